//! What every page has: head, navigation and style; and the headers that keep a browser from running or asking for anything else.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, PreEscaped, html};

use super::markup::part as encoded;
use crate::http::auth::Visitor;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// What a browser may do with a page: show it with its own style, run the one script of this server and let it ask this server, and send
/// its forms back.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// Which part of the pages one is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Overview,
    Audit,
    Operations,
    /// Of a model or version.
    Models,
}

const PARTS: [(Part, &str, &str); 3] = [
    (Part::Overview, "/", "Overview"),
    (Part::Operations, "/operations", "Operations"),
    (Part::Audit, "/audit", "Audit log"),
];

/// GET /page.js: the script that every page names, which says when the server does not answer any more.
pub async fn script() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, SCRIPT).into_response()
}

/// A page as it is answered. It works without its script, and asks nobody else for anything.
pub fn page(title: &str, part: Part, visitor: &Visitor, body: &Markup) -> Response {
    (headers(), whole(title, part, visitor, body).into_string()).into_response()
}

fn headers() -> HeaderMap {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Other sites get none; our own forms say where they come from.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-cache"),
    ];
    headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

/// A page in a file of its own: without navigation, since there is no server.
#[must_use]
pub fn alone(title: &str, body: &Markup) -> String {
    let page = html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            (head(title, false))
            body {
                main { (body) }
                footer { "driftgate " (env!("CARGO_PKG_VERSION")) " · times in UTC" }
            }
        }
    };
    page.into_string()
}

fn head(title: &str, is_served: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " · driftgate" }
            style { (PreEscaped(STYLE)) }
            @if is_served { script src="/page.js" defer {} }
        }
    }
}

fn whole(title: &str, part: Part, visitor: &Visitor, body: &Markup) -> Markup {
    html! {
        (PreEscaped("<!doctype html>\n"))
        html lang="en" {
            (head(title, true))
            body {
                a.skip href="#main" { "Skip to the content" }
                header.bar {
                    div.top {
                        a.brand href="/" { "driftgate" }
                        nav aria-label="Pages" {
                            @for (of, path, name) in PARTS {
                                a href=(path) aria-current=[(of == part).then_some("page")] { (name) }
                            }
                        }
                        (signing(visitor))
                    }
                }
                main #main { (body) }
                footer { "driftgate " (env!("CARGO_PKG_VERSION")) " · times in UTC" }
            }
        }
    }
}

/// Who is signed in, or where to do that.
fn signing(visitor: &Visitor) -> Markup {
    html! {
        @match &visitor.caller {
            Some(caller) => {
                form method="post" action="/sign-out" {
                    input type="hidden" name="csrf" value=(visitor.csrf);
                    span.soft { (caller.actor) } " " button { "sign out" }
                }
            }
            None => @if visitor.can_sign_in {
                span.who { a href={ "/sign-in?next=" (encoded(&visitor.path)) } { "sign in" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_asks_nobody_else_and_its_texts_are_texts() {
        let text = whole("<b>", Part::Overview, &Visitor::default(), &html! { p { "a<b" } }).into_string();
        assert!(text.starts_with("<!doctype html>") && text.contains("<title>&lt;b&gt; · driftgate</title>"));
        assert!(text.contains("<p>a&lt;b</p>") && text.contains("aria-current=\"page\""));
        let own = "<script src=\"/page.js\" defer></script>";
        assert!(text.contains(own) && !alone("a", &html! {}).contains("<script"));
        let text = text.replace(own, "");
        for word in ["<script", "@import", "url(", "http://", "https://", "src="] {
            assert!(!text.contains(word), "{word}");
        }
        assert!(STYLE.len() < 9000, "{}", STYLE.len());
    }
}
