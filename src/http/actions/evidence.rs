//! Evidence that is attached to a version.

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::request::{Body, By, body};
use crate::api::{EvidenceKept, EvidenceRequest};
use crate::http::app::{Shared, known_model, promote_when_read, with_context};
use crate::http::problem::Problem;

/// POST …/evidence: `{"tests": "pass", "offline": {"auc": 0.88}, …}`
pub async fn evidence(State(app): State<Shared>, by: By, given: Body) -> Result<Json<EvidenceKept>, Problem> {
    let EvidenceRequest(given) = body(given, "a value for each kind of evidence")?;
    if given.is_empty() {
        return Err(Problem::bad_request("the body names no evidence; write {\"tests\": \"pass\"} and the like"));
    }
    let By { actor, model, version, .. } = by;
    let policy = known_model(&app, &model)?.policy;
    let (of, by) = (version.clone(), actor.clone());
    let kept = with_context(&app, &model, &actor.clone(), move |registry, context| {
        let given: Vec<(String, Value)> = given.into_iter().collect();
        let kept = registry.attach(&context.policy.model, &version, &given, &actor, context.now_ms)?;
        registry.promote_automatically(context, &version)?;
        Ok(EvidenceKept { model: context.policy.model.clone(), version, evidence: kept })
    })
    .await?;
    promote_when_read(&app, &policy, &of, &by);
    Ok(Json(kept))
}
