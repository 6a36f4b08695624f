//! What a person says of a rollout, and whether automatic actions go on.

use axum::Json;
use axum::extract::State as Extracted;

use super::request::{Body, By, LONGEST_NAME, LONGEST_REASON, all_bounded, body, said};
use crate::api::{FreezeRequest, Frozen, RolloutRequest};
use crate::http::app::{Shared, with_desk};
use crate::http::problem::Problem;
use crate::ledger::{FROZEN, Told};
use crate::registry::RegistryError;
use driftgate_core::rollout::State;

/// POST /api/v1/models/{model}/rollout: `{"action": "pause", "reason": "…"}`
pub async fn rollout(Extracted(app): Extracted<Shared>, by: By, given: Body) -> Result<Json<State>, Problem> {
    let given: RolloutRequest = body(given, "action (pause, resume, abort, promote, succeeded, failed) and reason")?;
    all_bounded(&[("action", Some(&given.action), LONGEST_NAME), ("reason", given.reason.as_deref(), LONGEST_REASON)])?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let reason = given.reason.as_deref().unwrap_or("no reason given");
        let told = match given.action.as_str() {
            "pause" => Told::Pause(reason),
            "resume" => Told::Resume,
            "abort" => Told::Abort(reason),
            "promote" => Told::Promote,
            "succeeded" => Told::External { succeeded: true },
            "failed" => Told::External { succeeded: false },
            other => {
                return Err(RegistryError::Conflict(format!(
                    "a rollout cannot be told {other:?}; it can be told pause, resume, abort, promote, and of another controller's: succeeded, failed"
                )));
            }
        };
        match registry.tell_rollout(desk, &told)? {
            Some(state) => Ok(state),
            None => Err(RegistryError::Conflict(format!(
                "no rollout of {:?} is under way",
                desk.policy.model
            ))),
        }
    })
    .await
    .map(Json)
}

/// POST /api/v1/models/{model}/freeze: automatic actions stop.
pub async fn freeze(Extracted(app): Extracted<Shared>, by: By, given: Body) -> Result<Json<Frozen>, Problem> {
    let given: FreezeRequest = body(given, "a reason")?;
    let reason = said("reason", &given.reason.unwrap_or_default())?;
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let changed = registry.freeze(&desk.policy.model, desk.actor, &reason, desk.now_ms)?;
        registry.tell_rollout(desk, &Told::Pause(FROZEN))?;
        let frozen = registry.frozen(&desk.policy.model)?;
        Ok(Frozen { model: desk.policy.model.clone(), frozen, changed })
    })
    .await
    .map(Json)
}

/// POST /api/v1/models/{model}/resume: automatic actions go on.
pub async fn resume(Extracted(app): Extracted<Shared>, by: By) -> Result<Json<Frozen>, Problem> {
    with_desk(&app, &by.model, &by.actor, move |registry, desk| {
        let changed = registry.resume(&desk.policy.model, desk.actor, desk.now_ms)?;
        if registry.rollout(&desk.policy.model)?.is_some_and(|r| r.paused.as_deref() == Some(FROZEN)) {
            registry.tell_rollout(desk, &Told::Resume)?;
        }
        Ok(Frozen { model: desk.policy.model.clone(), frozen: None, changed })
    })
    .await
    .map(Json)
}
