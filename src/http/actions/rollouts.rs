//! What a person says of a rollout, and whether automatic actions go on.

use axum::Json;
use axum::extract::State as Extracted;

use super::request::{Body, By, LONGEST_NAME, LONGEST_REASON, all_bounded, body, said};
use crate::api::{FreezeRequest, Frozen, RolloutRequest};
use crate::http::app::{Shared, with_context};
use crate::http::problem::Problem;
use crate::ledger::{FROZEN, RegistryError, RolloutCommand};
use driftgate_core::rollout::State;

/// POST /api/v1/models/{model}/rollout: `{"action": "pause", "reason": "…"}`
pub async fn rollout(Extracted(app): Extracted<Shared>, by: By, given: Body) -> Result<Json<State>, Problem> {
    let given: RolloutRequest = body(given, "action (pause, resume, abort, promote, succeeded, failed) and reason")?;
    all_bounded(&[("action", Some(&given.action), LONGEST_NAME), ("reason", given.reason.as_deref(), LONGEST_REASON)])?;
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let reason = given.reason.as_deref().unwrap_or("no reason given");
        let told = match given.action.as_str() {
            "pause" => RolloutCommand::Pause(reason),
            "resume" => RolloutCommand::Resume,
            "abort" => RolloutCommand::Abort(reason),
            "promote" => RolloutCommand::Promote,
            "succeeded" => RolloutCommand::External { succeeded: true },
            "failed" => RolloutCommand::External { succeeded: false },
            other => {
                return Err(RegistryError::Conflict(format!(
                    "a rollout cannot be told {other:?}; it can be told pause, resume, abort, promote, and of another controller's: succeeded, failed"
                )));
            }
        };
        match registry.tell_rollout(context, &told)? {
            Some(state) => Ok(state),
            None => Err(RegistryError::Conflict(format!(
                "no rollout of {:?} is under way",
                context.policy.model
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
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let changed = registry.freeze(&context.policy.model, context.actor, &reason, context.now_ms)?;
        registry.tell_rollout(context, &RolloutCommand::Pause(FROZEN))?;
        let frozen = registry.frozen(&context.policy.model)?;
        Ok(Frozen { model: context.policy.model.clone(), frozen, changed })
    })
    .await
    .map(Json)
}

/// POST /api/v1/models/{model}/resume: automatic actions go on.
pub async fn resume(Extracted(app): Extracted<Shared>, by: By) -> Result<Json<Frozen>, Problem> {
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let changed = registry.resume(&context.policy.model, context.actor, context.now_ms)?;
        if registry.rollout(&context.policy.model)?.is_some_and(|r| r.paused.as_deref() == Some(FROZEN)) {
            registry.tell_rollout(context, &RolloutCommand::Resume)?;
        }
        Ok(Frozen { model: context.policy.model.clone(), frozen: None, changed })
    })
    .await
    .map(Json)
}
