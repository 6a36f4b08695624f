//! The HTTP edge: what the daemon shows of itself and what it lets be changed. Reads come from the status view and the registry; every
//! change needs a bearer token, and so does reading where others reach the port. Nothing is decided here. Requests and answers are
//! the types of [`crate::api`].
//!
//! | module | holds |
//! |---|---|
//! | `auth` | tokens and roles |
//! | `needs` | what the caller of a route needs |
//! | `slots` | how many requests work on the registry at once |
//! | `problem` | errors as JSON; path and query as they reach handlers |
//! | `app` | what every handler works with |
//! | `stages` | the stages of a policy |
//! | `lookup` | a version as the view and the registry have it |
//! | `probes`, `metrics` | live, ready; the view as Prometheus text |
//! | `models`, `status`, `explain`, `gate`, `cluster`, `series` | what is read |
//! | `standby` | what a process of a cluster answers that does not own the ledger |
//! | `actions` | what is changed |
//! | `hooks` | Flagger's webhooks |
//! | `ingest` | events on their way to a topic |
//! | `pages` | the pages for people |
//! | `guard` | the rule of a route, before its handler |
//! | `operation` | query, body and answers of a route, as types |
//! | `routes` | the table of routes, and the router made from it |
//! | `openapi` | the OpenAPI document made from the table |
//! | `server` | connections, their bounds in number and time, TLS, the names the server is asked by |

mod actions;
mod app;
pub mod auth;
mod cluster;
mod explain;
mod gate;
mod guard;
mod hooks;
mod ingest;
mod lookup;
pub mod metrics;
mod models;
pub mod needs;
pub mod openapi;
pub mod operation;
mod pages;
mod probes;
mod problem;
pub mod routes;
mod series;
pub mod server;
pub mod slots;
mod stages;
mod standby;
mod status;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use axum::http::{Method, StatusCode, Uri};
use axum::{Extension, Router};

pub use app::{App, Traffic};
pub use auth::{Access, Tokens};
pub use gate::BUSY;
pub use pages::report;
use problem::Problem;
use server::{Hosts, Port};

/// A request's body is at most this long.
const BODY_LIMIT: usize = 1024 * 1024;

/// Every route.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    routes::table(&app, BODY_LIMIT)
        .layer(Extension(operation::Document(openapi::text())))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(app)
}

/// Answers on `listener` until `shutdown` completes, then finishes the requests that are under way.
///
/// # Errors
/// A listener that fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let hosts = Hosts::of(&[], listener.local_addr()?.ip());
    let connections = Arc::clone(&app.traffic.connections);
    server::serve(vec![Port { listener, hosts, tls: None }], router(app), connections, shutdown).await
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}; there are {}", uri.path(), routes::paths()))
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not offered at {}; the header Allow names what is", uri.path()),
    )
}
