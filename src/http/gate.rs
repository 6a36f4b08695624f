//! The gate's answer to pipelines.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;

use super::app::{Shared, known_model, with_context};
use super::problem::{Parameters, PathNames, Problem, named};
use super::stages::stages;
use super::standby;
use crate::api::GateQuery;
use driftgate_core::gate::{self, Answer};

/// The gate answers within this time, whatever the registry does.
const GATE_WITHIN: Duration = Duration::from_millis(700);
/// Why it says nothing else then.
pub const BUSY: &str =
    "the registry does not answer: another process holds it, or its disk is slow; ask again, and look for who holds it";

/// GET /api/v1/gate/{model}/{version}?to=STAGE: 200 whatever the answer, since Argo takes anything else for an error.
pub(super) async fn gate(
    State(app): State<Shared>,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(GateQuery { to }): Parameters<GateQuery>,
) -> Result<Json<Answer>, Problem> {
    let seen = known_model(&app, &model)?;
    let to = to.filter(|to| !to.is_empty()).ok_or_else(|| {
        Problem::bad_request(format!(
            "name the stage to promote to with ?to=STAGE; the stages of {model:?} are {}",
            named(stages(&seen.policy))
        ))
    })?;
    let now_ms = (app.now_ms)();
    let cluster = app.view.read().cluster.clone();
    let late = gate::unanswered(&seen.policy, &to, &version, BUSY, now_ms);
    let policy = Arc::clone(&seen.policy);
    let asked = with_context(&app, &model, "", move |registry, context| {
        match standby::gate(cluster.as_ref(), registry, context, &version, &to) {
            Err(e) if e.is_busy() => Ok(gate::unanswered(&policy, &to, &version, BUSY, now_ms)),
            said => said,
        }
    });
    if app.registry.waits_for_artifacts() {
        return asked.await.map(Json);
    }
    tokio::time::timeout(GATE_WITHIN, asked).await.unwrap_or(Ok(late)).map(Json)
}
