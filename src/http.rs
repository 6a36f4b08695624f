//! The HTTP edge: what the daemon shows of itself and what it lets be changed. Reads come from the shared picture and the
//! registry; every change needs a bearer token, and reading too where others reach the port. Nothing is decided here.
//!
//! | module | holds |
//! |---|---|
//! | `api` | models, versions, verdicts, registering, the gate |
//! | `actions` | evidence, approvals, promotions, rollouts, rollbacks, overrides, unblocking, freezes |
//! | `insight` | status, explanations, history, promotion records |
//! | `hooks` | Flagger's webhooks |
//! | `routes` | every route and what it needs |
//! | `guard` | the rule of a route, before its handler |
//! | `auth` | tokens and roles |
//! | `metrics` | the picture as Prometheus text |
//! | `dashboard` | the page for people |
//! | `problem` | errors as JSON; path and query as they reach handlers |
//! | `server` | connections, their bounds in number and time, TLS, the names the server is asked by |
//! | `slots` | how many requests work on the registry at once |
//! | `stages` | the stages of a policy |

mod actions;
mod api;
pub mod auth;
mod dashboard;
mod guard;
mod hooks;
mod insight;
pub mod metrics;
mod problem;
pub mod routes;
pub mod server;
pub mod slots;
mod stages;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use prometheus::proto::MetricFamily;
use serde_json::json;

pub use api::BUSY;
pub use auth::{Access, Tokens};
use problem::Problem;
use server::connections::Connections;
use server::{Hosts, Port};
use slots::{Kind, Slots};

use crate::ledger::{Desk, Embedded};
use crate::registry::{Registry as _, RegistryError};
use crate::telemetry::events::http::ScrapeIncomplete;
use crate::telemetry::events::registry::NotPromoted;
use crate::telemetry::events::threads::{NoThread, Purpose};
use crate::view;
use driftgate_core::policy::Policy;

/// A request's body is at most this long.
const BODY_LIMIT: usize = 1024 * 1024;

/// What the routes read and change. A clone is the same one.
#[derive(Clone)]
pub struct App {
    pub view: view::Shared,
    pub registry: Arc<Embedded>,
    /// Who is let in.
    pub access: Arc<Access>,
    /// The wall clock, ms.
    pub now_ms: fn() -> i64,
    pub traffic: Traffic,
}

/// What bounds requests, and what became of them.
#[derive(Clone, Default)]
pub struct Traffic {
    pub connections: Arc<Connections>,
    pub slots: Arc<Slots>,
    pub certificates: Option<Arc<server::tls::Certificates>>,
}

type Shared = Arc<App>;

/// Every route.
pub fn router(app: App) -> Router {
    let app = Arc::new(app);
    routes::table(&app, BODY_LIMIT).fallback(nothing_here).method_not_allowed_fallback(other_method).with_state(app)
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

/// Reads the registry off the async threads.
async fn registry<T: Send + 'static>(
    app: &Shared,
    call: impl FnOnce(&Embedded) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    in_turn(app, Kind::Read, move |app| call(&app.registry)).await?.map_err(Problem::from)
}

/// Does what may take a while off the async threads, once it is its turn. The turn lasts as long as the work, whoever waits.
async fn in_turn<T: Send + 'static>(
    app: &Shared,
    kind: Kind,
    work: impl FnOnce(&App) -> T + Send + 'static,
) -> Result<T, Problem> {
    let turn = app.traffic.slots.turn(kind).await?;
    let app = Arc::clone(app);
    let done = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(&app)
    });
    done.await.map_err(Problem::internal)
}

/// Calls the registry with the model's policy and what the stream says, on behalf of somebody; of nobody (`""`), to read.
async fn with_desk<T: Send + 'static>(
    app: &Shared,
    model: &str,
    actor: &str,
    call: impl FnOnce(&Embedded, &Desk<'_>) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    let policy = api::known_model(app, model)?.policy;
    let (view, actor, now_ms) = (app.view.clone(), actor.to_owned(), (app.now_ms)());
    let kind = if actor.is_empty() { Kind::Read } else { Kind::Change };
    let done = in_turn(app, kind, move |app| {
        let live = |version: &str| crate::view::stream_state::live(&view, &policy.model, version);
        call(&app.registry, &Desk { policy: &policy, live: &live, actor: &actor, now_ms })
    });
    done.await?.map_err(Problem::from)
}

/// GET /live
async fn live() -> &'static str {
    "live"
}

/// Promotes a version by the transitions that need nobody once its artifact is read: what was attached or registered just now
/// may be all that they wait for.
fn promote_when_read(app: &Shared, policy: &Arc<Policy>, version: &str, actor: &str) {
    let registry = &app.registry;
    let reading = registry.is_reading_artifact(policy, version).unwrap_or(false);
    if !reading || policy.transitions.is_empty() || registry.promotes_later(&policy.model, version) {
        return;
    }
    let (app, policy, version, actor) = (Arc::clone(app), Arc::clone(policy), version.to_owned(), actor.to_owned());
    let work = move || {
        let registry = &app.registry;
        let live = |version: &str| crate::view::stream_state::live(&app.view, &policy.model, version);
        let finished = registry.finish_artifact(&policy, &version);
        registry.promoted(&policy.model, &version);
        let desk = Desk { policy: &policy, live: &live, actor: &actor, now_ms: (app.now_ms)() };
        if let Err(e) = finished.and_then(|()| registry.promote_automatically(&desk, &version)) {
            NotPromoted { model: &policy.model, version: &version, error: &e }.emit();
        }
    };
    if let Err(e) = std::thread::Builder::new().name("promote".into()).spawn(work) {
        NoThread { purpose: Purpose::WaitForArtifact, error: &e }.emit();
    }
}

/// GET /ready
async fn ready(State(app): State<Shared>) -> Response {
    let view = app.view.read();
    if view.is_ready() {
        return Json(json!({"ready": true})).into_response();
    }
    let waiting = view.waiting();
    drop(view);
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "waiting": waiting}))).into_response()
}

impl App {
    /// Every metric with its series: those of the stream and the registry, then those of the server.
    ///
    /// # Errors
    /// Metrics that contradict each other, which a test would have shown.
    pub fn metrics(&self) -> prometheus::Result<Vec<MetricFamily>> {
        // A copy, so that the pipeline does not wait for a scrape.
        let mut view = self.view.read().clone();
        let registered = self.registry.versions(None).ok();
        view.leave_out(registered.as_deref());
        // What the pipeline counts stays visible when the registry fails.
        let ledger = metrics::Ledger::read(&view, &self.registry, (self.now_ms)()).unwrap_or_else(|error| {
            ScrapeIncomplete { error: &error }.emit();
            metrics::Ledger::default()
        });
        let mut families = metrics::families(&view, &ledger)?;
        families.extend(metrics::server(&self.traffic.connections, self.traffic.certificates.as_deref())?);
        Ok(families)
    }
}

/// GET /metrics
async fn scrape(State(app): State<Shared>) -> Result<Response, Problem> {
    let text = in_turn(&app, Kind::Scrape, |app| metrics::text(&app.metrics()?));
    let text = text.await?.map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
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
