//! The HTTP edge: what the daemon shows of itself and what it lets be changed. Reads come from the shared picture and the
//! registry; the one change there is, registering a version, needs a bearer token. Nothing is decided here.
//!
//! | module | holds |
//! |---|---|
//! | `api` | models, versions, verdicts, registering, the gate |
//! | `auth` | tokens and roles |
//! | `metrics` | the picture as Prometheus text |
//! | `dashboard` | the page for people |
//! | `problem` | errors as JSON; path and query as they reach handlers |

mod api;
pub mod auth;
mod dashboard;
pub mod metrics;
mod problem;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

pub use auth::Tokens;
use problem::Problem;

use crate::registry::{Registry, RegistryError};
use crate::view;

/// A request's body is at most this long.
const BODY_LIMIT: usize = 1024 * 1024;

/// What the routes read and change.
pub struct App {
    pub view: view::Shared,
    pub registry: Arc<dyn Registry>,
    pub tokens: Tokens,
    /// The wall clock, ms.
    pub now_ms: fn() -> i64,
}

type Shared = Arc<App>;

/// Every route.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/", get(dashboard::page))
        .route("/live", get(async || "live"))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .route("/api/v1/models", get(api::models))
        .route("/api/v1/models/{model}", get(api::model))
        .route("/api/v1/models/{model}/versions/{version}", get(api::version).post(api::register))
        .route("/api/v1/models/{model}/versions/{version}/verdicts", get(api::verdicts))
        .route("/api/v1/gate/{model}/{version}", get(api::gate))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Arc::new(app))
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
    axum::serve(listener, router(app)).with_graceful_shutdown(shutdown).await
}

/// Calls the registry off the async threads.
async fn registry<T: Send + 'static>(
    app: &Shared,
    call: impl FnOnce(&dyn Registry) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    let registry = Arc::clone(&app.registry);
    tokio::task::spawn_blocking(move || call(registry.as_ref()))
        .await
        .map_err(Problem::internal)?
        .map_err(Problem::from)
}

/// GET /ready
async fn ready(State(app): State<Shared>) -> Response {
    let view = app.view.read();
    if view.is_ready() {
        return Json(json!({"ready": true})).into_response();
    }
    let mut waiting = view.not_ready.clone();
    drop(view);
    if waiting.is_empty() {
        waiting.insert("daemon".to_owned(), "is starting".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "waiting": waiting}))).into_response()
}

/// GET /metrics
async fn scrape(State(app): State<Shared>) -> Result<Response, Problem> {
    let text = tokio::task::spawn_blocking(move || {
        // What the pipeline counts stays visible when the registry fails.
        let records = app.registry.versions(None).unwrap_or_else(|error| {
            tracing::warn!(%error, "the stages are missing in the metrics");
            Vec::new()
        });
        // A copy, so that the pipeline does not wait for a scrape.
        let view = app.view.read().clone();
        metrics::render(&view, &records, (app.now_ms)())
    });
    let text = text.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}; there are /, /live, /ready, /metrics, /api/v1/models, /api/v1/models/{{model}}, \
         /api/v1/models/{{model}}/versions/{{version}} with /verdicts, and /api/v1/gate/{{model}}/{{version}}?to=STAGE",
        uri.path()
    ))
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not offered at {}; the header Allow names what is", uri.path()),
    )
}
