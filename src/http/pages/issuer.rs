//! Signing in at the issuer: a browser leaves for it with a cookie of the attempt, and comes back with a code, for which the issuer says who it is.
//!
//! The cookie of the attempt is sent by a browser that comes from the issuer (`SameSite=Lax`), that of the session is not: so the page that begins the
//! session goes on by itself, since a redirect would still count as one of the issuer's.

use std::time::Instant;

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use maud::html;

use super::layout::{self, Part};
use super::session::{cookie, cookies, form, is_secure, leading, within};
use crate::api::{SignInQuery, SignedInQuery};
use crate::http::app::Shared;
use crate::http::auth::Visitor;
use crate::http::auth::code::{Attempt, COOKIE, LASTS_S, said};
use crate::http::auth::oidc::Issuer;
use crate::http::problem::{Parameters, Problem};

/// GET /sign-in/issuer
pub async fn leave(
    State(app): State<Shared>,
    headers: HeaderMap,
    Parameters(query): Parameters<SignInQuery>,
) -> Result<Response, Problem> {
    let issuer = issuer(&app)?;
    let next = within(query.next.as_deref());
    let attempt = Attempt::begin(&next);
    let attempt =
        attempt.ok_or_else(|| Problem::internal("the system gives no random bytes, so that nobody signs in"))?;
    match issuer.address(&attempt) {
        Ok(address) => Ok(leading(&address, Some(&kept(&app, &headers, &attempt.cookie(), LASTS_S)))),
        Err(why) => Ok(refused(&app, &headers, &next, StatusCode::SERVICE_UNAVAILABLE, &why)),
    }
}

/// GET /sign-in/callback
pub async fn back(
    State(app): State<Shared>,
    headers: HeaderMap,
    Parameters(query): Parameters<SignedInQuery>,
) -> Result<Response, Problem> {
    let issuer = issuer(&app)?;
    let attempt = Attempt::of(&cookies(&headers));
    let Some(attempt) = attempt.filter(|attempt| attempt.is_of(query.state.as_deref().unwrap_or_default())) else {
        let why = "this is not the answer to an attempt of this browser of the last ten minutes: sign in again";
        return Ok(refused(&app, &headers, "/", StatusCode::BAD_REQUEST, why));
    };
    let next = within(Some(attempt.next()));
    let no = |status, why: &str| Ok(refused(&app, &headers, &next, status, why));
    if query.iss.as_deref().is_some_and(|iss| iss != issuer.name()) {
        return no(StatusCode::BAD_REQUEST, "the answer is of another issuer: sign in again");
    }
    let code = match (&query.code, &query.error) {
        (Some(code), None) => code,
        (_, Some(error)) => {
            let why = format!("the issuer says: {}", said(error, query.error_description.as_deref()));
            return no(StatusCode::FORBIDDEN, &why);
        }
        (None, None) => return no(StatusCode::BAD_REQUEST, "the issuer sent no code: sign in again"),
    };
    match app.access.sign_in_at_issuer(&attempt, code, Instant::now()).await {
        Ok(Some((name, seconds))) => Ok(arrived(&app, &headers, &next, &cookie(&app, &headers, &name, seconds))),
        Ok(None) => Err(Problem::internal("the system gives no random bytes, so that no session can begin")),
        Err(why) => no(StatusCode::FORBIDDEN, &why),
    }
}

/// The issuer that people sign in at.
fn issuer(app: &Shared) -> Result<&Issuer, Problem> {
    let issuer = app.access.issuer().filter(|issuer| issuer.sign_in().is_some());
    issuer
        .map(AsRef::as_ref)
        .ok_or_else(|| Problem::bad_request("nobody signs in at an issuer here: write http.oidc.sign_in"))
}

/// The cookie of an attempt.
fn kept(app: &Shared, headers: &HeaderMap, value: &str, seconds: u64) -> String {
    let secure = if is_secure(app, headers) { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/sign-in; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// The page that begins a session and goes on.
fn arrived(app: &Shared, headers: &HeaderMap, next: &str, session: &str) -> Response {
    let body = html! {
        h1 { "Signed in" }
        p { a href=(next) { "Go on" } }
    };
    let mut response = layout::page("Signed in", Part::Models, &Visitor::default(), &body);
    let set = [session.to_owned(), kept(app, headers, "", 0)];
    for value in set.iter().filter_map(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    if let Ok(on) = HeaderValue::from_str(&format!("0; url={next}")) {
        response.headers_mut().insert("refresh", on);
    }
    response
}

/// The page of signing in, with what went wrong.
fn refused(app: &Shared, headers: &HeaderMap, next: &str, status: StatusCode, why: &str) -> Response {
    let mut response = layout::page("Sign in", Part::Models, &Visitor::default(), &form(app, next, Some(why)));
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(&kept(app, headers, "", 0)) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}
