//! Promotions, and rollbacks by hand.

use axum::Json;
use axum::extract::State;

use super::request::{Body, By, LONGEST_NAME, LONGEST_REASON, all_bounded, body, said};
use crate::api::{PromoteRequest, Promoted, RollbackRequest, RolledBack};
use crate::http::app::{Shared, with_context};
use crate::http::problem::Problem;
use crate::ledger::{Promotion, PromotionRequest, RegistryError};
use driftgate_core::promotion::PROD;

/// POST …/promote: `{"to": "prod"}`; 200 whatever the gate says, with its verdict.
pub async fn promote(State(app): State<Shared>, by: By, given: Body) -> Result<Json<Promoted>, Problem> {
    let given: PromoteRequest = body(given, "any of to, retry and comment")?;
    all_bounded(&[
        ("to", Some(&given.to), LONGEST_NAME),
        ("retry", given.retry.as_deref(), LONGEST_REASON),
        ("comment", given.comment.as_deref(), LONGEST_REASON),
    ])?;
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let wish = PromotionRequest {
            version: &by.version,
            to: &given.to,
            retry: given.retry.as_deref(),
            comment: given.comment.as_deref(),
        };
        let Promotion { answer, record, rollout } = registry.promote(context, &wish)?;
        Ok(Promoted { answer, record, rollout })
    })
    .await
    .map(Json)
}

/// POST …/rollback: `{"reason": "…"}`
pub async fn rollback(State(app): State<Shared>, by: By, given: Body) -> Result<Json<RolledBack>, Problem> {
    let given: RollbackRequest = body(given, "a reason, and if wanted to and drill")?;
    let reason = said("reason", &given.reason)?;
    all_bounded(&[("to", given.to.as_deref(), LONGEST_NAME)])?;
    with_context(&app, &by.model, &by.actor, move |registry, context| {
        let model = context.policy.model.as_str();
        let standing = registry.standing(model, PROD)?;
        if standing.as_deref() != Some(by.version.as_str()) {
            let stands = standing.unwrap_or_else(|| "no version".to_owned());
            return Err(RegistryError::Conflict(format!(
                "{PROD} of {model:?} stands on {stands}, not on {:?}: nothing was moved",
                by.version
            )));
        }
        let (from, to) =
            registry.roll_back(model, given.to.as_deref(), context.actor, &reason, given.drill, context.now_ms)?;
        let moved = to.is_some() && !given.drill;
        Ok(RolledBack { model: model.to_owned(), from, to, drill: given.drill, moved })
    })
    .await
    .map(Json)
}
