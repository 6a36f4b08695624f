//! Signing in and out: a token is exchanged for a session, whose cookie no script reads and no other site's page sends. Forms that change something
//! are taken from pages of this server only.

use std::time::Instant;

use axum::extract::{Form, FromRequest, Request, State};
use axum::http::header::{COOKIE, HOST, HeaderName, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::layout::{self, Part};
use super::markup::part as encoded;
use crate::api::SignInQuery;
use crate::http::app::Shared;
use crate::http::auth::Visitor;
use crate::http::auth::sessions::{self, LONGEST, same};
use crate::http::problem::{Parameters, Problem};

const REFRESH: HeaderName = HeaderName::from_static("refresh");

/// GET /sign-in
pub async fn ask(State(app): State<Shared>, visitor: Visitor, Parameters(query): Parameters<SignInQuery>) -> Response {
    layout::page("Sign in", Part::Models, &visitor, &form(&app, &within(query.next.as_deref()), None))
}

/// The page of signing in, with what went wrong before.
pub fn form(app: &Shared, next: &str, wrong: Option<&str>) -> Markup {
    let issuer = app.access.issuer();
    let there = issuer.and_then(|issuer| issuer.sign_in());
    html! {
        h1 { "Sign in" }
        @if let Some(wrong) = wrong { div.notice.block role="alert" { p { (wrong) } } }
        @if let (Some(issuer), Some(there)) = (issuer, there) {
            p { a.main href={ (there.url) "/sign-in/issuer?next=" (encoded(next)) } { "sign in at " (issuer.name()) } }
            h2 { "With a token" }
        }
        p { "Whoever signs in can do on these pages what the token may do over the API."
            @if let Some(issuer) = issuer { " Tokens of the tokens file are taken, and those of " (issuer.name()) "." } }
        form method="post" action="/sign-in" {
            input type="hidden" name="next" value=(next);
            div.fields {
                label { "token" input type="password" name="token" required autocomplete="off" size="32"; }
                button.main { "sign in" }
            }
        }
        p.soft.small { "The token stays on the server, for 12 hours at most, or an hour without a request. The browser keeps a cookie that stands for it." }
    }
}

/// What the form of signing in sends.
#[derive(Deserialize)]
pub struct SignIn {
    token: String,
    next: Option<String>,
}

/// POST /sign-in
pub async fn sign_in(
    State(app): State<Shared>,
    headers: HeaderMap,
    OwnForm(given): OwnForm<SignIn>,
) -> Result<Response, Problem> {
    let next = within(given.next.as_deref());
    match app.access.sign_in(given.token.trim(), Instant::now()).await {
        Ok(Some(name)) => Ok(leading(&next, Some(&cookie(&app, &headers, &name, LONGEST.as_secs())))),
        Ok(None) => Err(Problem::internal("the system gives no random bytes, so that no session can begin")),
        Err(refusal) => {
            let page = form(&app, &next, Some(&refusal.to_string()));
            let mut response = layout::page("Sign in", Part::Models, &Visitor::default(), &page);
            *response.status_mut() = StatusCode::FORBIDDEN;
            Ok(response)
        }
    }
}

/// What a form sends that says nothing else.
#[derive(Deserialize)]
pub struct Bare {
    csrf: String,
}

/// POST /sign-out
pub async fn sign_out(
    State(app): State<Shared>,
    visitor: Visitor,
    headers: HeaderMap,
    OwnForm(given): OwnForm<Bare>,
) -> Result<Response, Problem> {
    visitor.check(&given.csrf)?;
    let ended = cookie(&app, &headers, "", 0);
    match app.access.sign_out(&cookies(&headers), Instant::now()) {
        Some(there) => Ok(signed_out(&app, &there, &ended)),
        None => Ok(leading("/", Some(&ended))),
    }
}

/// The page that ends a session here and goes on to the issuer, where it is ended too. A redirect would not do: what a form leads to has to be of
/// this server (`form-action`).
fn signed_out(app: &Shared, there: &str, cookie: &str) -> Response {
    let name = app.access.issuer().map_or("the issuer", |issuer| issuer.name());
    let body = html! {
        h1 { "Signed out here" }
        p { a href=(there) { "Sign out at " (name) } }
    };
    let mut response = layout::page("Signed out", Part::Models, &Visitor::default(), &body);
    let set = [(SET_COOKIE, cookie.to_owned()), (REFRESH, format!("0; url={there}"))];
    for (name, value) in set {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Visitor {
    /// Refuses a form that is not of a page of this session.
    pub fn check(&self, csrf: &str) -> Result<(), Problem> {
        if !self.csrf.is_empty() && same(&self.csrf, csrf) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "this form is of another session, or of none: open the page again, and sign in if it asks for that",
        ))
    }
}

/// All `Cookie` headers.
pub fn cookies(headers: &HeaderMap) -> String {
    let all: Vec<&str> = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    all.join("; ")
}

/// The cookie of a session.
pub fn cookie(app: &Shared, headers: &HeaderMap, name: &str, seconds: u64) -> String {
    let secure = if is_secure(app, headers) { "; Secure" } else { "" };
    format!("{}={name}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", sessions::COOKIE)
}

/// Whether the browser asked by https.
pub fn is_secure(app: &Shared, headers: &HeaderMap) -> bool {
    // Behind a proxy that ends TLS, its word: whoever sends it otherwise harms nobody but himself.
    let proxied =
        headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    let known =
        app.access.issuer().and_then(|issuer| issuer.sign_in()).is_some_and(|own| own.url.starts_with("https:"));
    app.traffic.certificates.is_some() || proxied || known
}

/// Another page of this server.
pub fn leading(to: &str, cookie: Option<&str>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let pairs = [(LOCATION, Some(to)), (SET_COOKIE, cookie)];
    for (name, value) in pairs.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A path of this server to go on to; the overview for anything else.
pub fn within(next: Option<&str>) -> String {
    let is_path = |next: &&str| {
        next.starts_with('/') && !next.starts_with("//") && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    next.filter(is_path).unwrap_or("/").to_owned()
}

/// A form that a page of this server sent.
pub struct OwnForm<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for OwnForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Problem> {
        if !is_own(request.headers()) {
            return Err(Problem::forbidden("the form was sent by a page of another site, and is not taken"));
        }
        let form = Form::<T>::from_request(request, app).await;
        form.map(|Form(given)| Self(given)).map_err(|e| Problem::new(e.status(), e.body_text()))
    }
}

/// Whether a browser says that one of our pages sent the request. Other clients say nothing, and have no cookie that a browser would send along.
fn is_own(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some_and(|origin| !host.is_empty() && origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_a_page_of_this_server_only() {
        for (next, to) in [
            (None, "/"),
            (Some("/models/a/versions/1?to=prod"), "/models/a/versions/1?to=prod"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/a\r\nset-cookie: x"), "/"),
        ] {
            assert_eq!(within(next), to, "{next:?}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_told_by_the_browser() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_own(&pairs.collect())
        };
        assert!(of(&[]) && of(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(of(&[("origin", "http://localhost:9464"), ("host", "localhost:9464")]));
        for refused in [
            [("sec-fetch-site", "cross-site"), ("host", "a")],
            [("sec-fetch-site", "same-site"), ("host", "a")],
            [("sec-fetch-site", "none"), ("host", "a")],
            [("origin", "http://b"), ("host", "a")],
            [("origin", "null"), ("host", "null")],
            [("origin", "http://"), ("host", "")],
        ] {
            assert!(!of(&refused), "{refused:?}");
        }
    }
}
