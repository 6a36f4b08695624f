//! Errors of pages as pages, for clients that read them. Where reading needs a token and none was sent, that is the page of signing in.

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use maud::html;

use super::layout::{self, Part};
use super::session::{form, within};
use crate::http::app::Shared;
use crate::http::auth::Visitor;
use crate::http::problem::Told;

/// Answers with a page instead of JSON where the request takes HTML. A browser is never sent a challenge, for which it would show its own box for a
/// password before this page.
pub async fn dressed(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let reads = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let reads = reads.is_some_and(|accept| accept.contains("text/html"));
    let is_get = request.method() == Method::GET;
    let sent_token = request.headers().contains_key(AUTHORIZATION);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let response = next.run(request).await;
    let Some(Told(why)) = response.extensions().get::<Told>().cloned().filter(|_| reads) else { return response };
    let path = if is_get { path } else { "/".to_owned() };
    let asks = response.status() == StatusCode::UNAUTHORIZED && response.headers().contains_key(WWW_AUTHENTICATE);
    let mut page = if asks {
        let page = form(&app, &within(Some(&path)), sent_token.then_some(why.as_str()));
        (response.status(), layout::page("Sign in", Part::Models, &Visitor::default(), &page)).into_response()
    } else {
        trouble(response.status(), &why, &path)
    };
    for name in [LOCATION, RETRY_AFTER] {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

/// A page that says what went wrong.
fn trouble(status: StatusCode, why: &str, path: &str) -> Response {
    // Of the session nothing is known here; who is not let in may sign in.
    let can_sign_in = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let visitor = Visitor { path: path.to_owned(), can_sign_in, ..Visitor::default() };
    let title = status.canonical_reason().unwrap_or("Error");
    let body = html! {
        h1 { (title) }
        div.notice.block { p { (why) } }
        p { a href="/" { "Overview" } }
    };
    (status, layout::page(title, Part::Models, &visitor, &body)).into_response()
}
