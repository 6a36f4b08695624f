//! The HTTP edge: what the daemon shows of itself and what it lets be changed. Reads come from the shared picture and the
//! registry; every change needs a bearer token. Nothing is decided here.
//!
//! | module | holds |
//! |---|---|
//! | `api` | models, versions, verdicts, registering, the gate |
//! | `actions` | evidence, approvals, promotions, rollouts, rollbacks, overrides, unblocking, freezes |
//! | `insight` | status, explanations, history, promotion records |
//! | `hooks` | Flagger's webhooks |
//! | `auth` | tokens and roles |
//! | `metrics` | the picture as Prometheus text |
//! | `dashboard` | the page for people |
//! | `problem` | errors as JSON; path and query as they reach handlers |

mod actions;
mod api;
pub mod auth;
mod dashboard;
mod hooks;
mod insight;
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
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

pub use api::BUSY;
pub use auth::Tokens;
use problem::Problem;

use crate::live;
use crate::registry::embedded::{Desk, Embedded};
use crate::registry::{Registry as _, RegistryError};
use crate::view;

/// A request's body is at most this long.
const BODY_LIMIT: usize = 1024 * 1024;

/// What the routes read and change.
pub struct App {
    pub view: view::Shared,
    pub registry: Arc<Embedded>,
    pub tokens: Tokens,
    /// The wall clock, ms.
    pub now_ms: fn() -> i64,
}

type Shared = Arc<App>;

/// Every route.
pub fn router(app: App) -> Router {
    const MODEL: &str = "/api/v1/models/{model}";
    const VERSION: &str = "/api/v1/models/{model}/versions/{version}";
    let model = |path: &str| format!("{MODEL}{path}");
    let version = |path: &str| format!("{VERSION}{path}");
    Router::new()
        .route("/", get(dashboard::page))
        .route("/live", get(async || "live"))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .route("/api/v1/models", get(api::models))
        .route("/api/v1/status", get(insight::status))
        .route("/api/v1/inputs", get(insight::inputs))
        .route(MODEL, get(api::model))
        .route(&model("/status"), get(insight::model_status))
        .route(&model("/history"), get(insight::history))
        .route(&model("/rollout"), get(insight::rollout).post(actions::rollout))
        .route(&model("/freeze"), post(actions::freeze))
        .route(&model("/resume"), post(actions::resume))
        .route(VERSION, get(api::version).post(api::register))
        .route(&version("/verdicts"), get(api::verdicts))
        .route(&version("/explain"), get(insight::explain))
        .route(&version("/promotions"), get(insight::promotions))
        .route(&version("/evidence"), post(actions::evidence))
        .route(&version("/approvals"), post(actions::approvals))
        .route(&version("/promote"), post(actions::promote))
        .route(&version("/rollback"), post(actions::rollback))
        .route(&version("/overrides"), post(actions::overrides))
        .route(&version("/unblock"), post(actions::unblock))
        .route("/hooks/flagger/{hook}", post(hooks::flagger))
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
    call: impl FnOnce(&Embedded) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    let registry = Arc::clone(&app.registry);
    tokio::task::spawn_blocking(move || call(&registry)).await.map_err(Problem::internal)?.map_err(Problem::from)
}

/// Calls the registry with the model's policy and what the stream says, on behalf of somebody.
async fn with_desk<T: Send + 'static>(
    app: &Shared,
    model: &str,
    actor: &str,
    call: impl FnOnce(&Embedded, &Desk<'_>) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    let policy = api::known_model(app, model)?.policy;
    let (view, actor, now_ms) = (app.view.clone(), actor.to_owned(), (app.now_ms)());
    registry(app, move |registry| {
        let live = |version: &str| live::live(&view, &policy.model, version);
        call(registry, &Desk { policy: &policy, live: &live, actor: &actor, now_ms })
    })
    .await
}

/// GET /ready
async fn ready(State(app): State<Shared>) -> Response {
    let view = app.view.read();
    if view.is_ready() {
        return Json(json!({"ready": true})).into_response();
    }
    let mut waiting = view.not_ready.clone();
    let failing = view.failing.iter().filter(|(part, _)| view.undelivered.contains(part));
    waiting.extend(failing.map(|(part, why)| (format!("delivery: {}", part.name()), why.clone())));
    drop(view);
    if waiting.is_empty() {
        waiting.insert("daemon".to_owned(), "is starting".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "waiting": waiting}))).into_response()
}

/// GET /metrics
async fn scrape(State(app): State<Shared>) -> Result<Response, Problem> {
    let text = tokio::task::spawn_blocking(move || {
        // A copy, so that the pipeline does not wait for a scrape.
        let mut view = app.view.read().clone();
        let registered = app.registry.versions(None).ok();
        view.leave_out(registered.as_deref());
        // What the pipeline counts stays visible when the registry fails.
        let ledger = metrics::Ledger::read(&view, &app.registry, (app.now_ms)()).unwrap_or_else(|error| {
            tracing::warn!(%error, "stages and gates are missing in the metrics");
            metrics::Ledger::default()
        });
        metrics::render(&view, &ledger)
    });
    let text = text.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}; there are /, /live, /ready, /metrics, /api/v1/status, /api/v1/inputs, \
         /api/v1/models, \
         /api/v1/models/{{model}} with /status, /history, /rollout, /freeze and /resume, \
         /api/v1/models/{{model}}/versions/{{version}} with /verdicts, /explain, /promotions, /evidence, /approvals, \
         /promote, /rollback, /overrides and /unblock, /api/v1/gate/{{model}}/{{version}}?to=STAGE, and /hooks/flagger/{{hook}}",
        uri.path()
    ))
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not offered at {}; the header Allow names what is", uri.path()),
    )
}
