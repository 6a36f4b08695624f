//! What every handler works with: the view, the registry, who is let in, and the turns that bound how many requests work at once.

use std::sync::Arc;

use axum::http::StatusCode;

use super::auth::Access;
use super::problem::{Problem, named};
use super::server::connections::Connections;
use super::server::tls::Certificates;
use super::slots::{Kind, Slots};
use crate::history::Reader;
use crate::ledger::{Embedded, RegistryError, RequestContext};
use crate::sink::ingest::Ingest;
use crate::telemetry::events::registry::NotPromoted;
use crate::telemetry::events::threads::{NoThread, Purpose};
use crate::view::{self, ModelView};
use driftgate_core::policy::Policy;

/// What the routes read and change. A clone is the same one.
#[derive(Clone)]
pub struct App {
    pub view: view::Shared,
    pub registry: Arc<Embedded>,
    /// Results over time, where they are kept.
    pub history: Option<Reader>,
    /// The sources that take events over HTTP.
    pub ingest: Ingest,
    /// Which series `/metrics` has of verdicts.
    pub series: super::metrics::Options,
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
    pub certificates: Option<Arc<Certificates>>,
}

pub(super) type Shared = Arc<App>;

/// Reads the registry off the async threads.
pub(super) async fn registry<T: Send + 'static>(
    app: &Shared,
    call: impl FnOnce(&Embedded) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    in_turn(app, Kind::Read, move |app| call(&app.registry)).await?.map_err(Problem::from)
}

/// Does what may take a while off the async threads, once it is its turn. The turn lasts as long as the work, whoever waits.
pub(super) async fn in_turn<T: Send + 'static>(
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
pub(super) async fn with_context<T: Send + 'static>(
    app: &Shared,
    model: &str,
    actor: &str,
    call: impl FnOnce(&Embedded, &RequestContext<'_>) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Problem> {
    let policy = known_model(app, model)?.policy;
    let (view, actor, now_ms) = (app.view.clone(), actor.to_owned(), (app.now_ms)());
    let kind = if actor.is_empty() { Kind::Read } else { Kind::Change };
    let done = in_turn(app, kind, move |app| {
        let live = |version: &str| crate::view::stream_state::current(&view, &policy.model, version);
        call(&app.registry, &RequestContext { policy: &policy, live: &live, actor: &actor, now_ms })
    });
    done.await?.map_err(Problem::from)
}

/// Promotes a version by the transitions that need nobody once its artifact is read: what was attached or registered just now
/// may be all that they wait for.
pub(super) fn promote_when_read(app: &Shared, policy: &Arc<Policy>, version: &str, actor: &str) {
    let registry = &app.registry;
    let reading = registry.is_reading_artifact(policy, version).unwrap_or(false);
    if !reading || policy.transitions.is_empty() || registry.promotes_later(&policy.model, version) {
        return;
    }
    let (app, policy, version, actor) = (Arc::clone(app), Arc::clone(policy), version.to_owned(), actor.to_owned());
    let work = move || {
        let registry = &app.registry;
        let live = |version: &str| crate::view::stream_state::current(&app.view, &policy.model, version);
        let finished = registry.finish_artifact(&policy, &version);
        registry.promoted(&policy.model, &version);
        let context = RequestContext { policy: &policy, live: &live, actor: &actor, now_ms: (app.now_ms)() };
        if let Err(e) = finished.and_then(|()| registry.promote_automatically(&context, &version)) {
            NotPromoted { model: &policy.model, version: &version, error: &e }.emit();
        }
    };
    if let Err(e) = std::thread::Builder::new().name("promote".into()).spawn(work) {
        NoThread { purpose: Purpose::WaitForArtifact, error: &e }.emit();
    }
}

/// A model that a policy is for.
pub(super) fn known_model(app: &Shared, model: &str) -> Result<ModelView, Problem> {
    let view = app.view.read();
    view.models.get(model).cloned().ok_or_else(|| {
        if view.restoring.contains(model) {
            let message = format!("the state of model {model:?} is still being restored after a start; ask again");
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE, message);
        }
        if !app.access.is_open() {
            // Whoever asks may not be one who may know them all.
            return Problem::not_found(format!(
                "no policy is for model {model:?}; GET /api/v1/models lists those there are"
            ));
        }
        let models = named(view.models.keys().map(String::as_str));
        Problem::not_found(format!("no policy is for model {model:?}; the models are {models}"))
    })
}
