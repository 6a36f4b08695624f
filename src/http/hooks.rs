//! Flagger's webhooks. Any answer above 202 fails there, so a gate that does not pass is a 403 with the reasons as text.
//! The rollback hook is the other way round: 2xx means roll back. What it tells us of an end needs a token.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::api::known_model;
use super::auth::Role;
use super::problem::Problem;
use super::{Shared, with_desk};
use crate::gate::GateVerdict;
use crate::registry::PROD;
use crate::registry::embedded::Told;
use crate::rollout::Phase;

/// What Flagger posts.
#[derive(Debug, Deserialize)]
pub(super) struct Call {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

/// POST /hooks/flagger/{hook}
pub(super) async fn flagger(
    State(app): State<Shared>,
    Path(hook): Path<String>,
    headers: HeaderMap,
    Json(call): Json<Call>,
) -> Result<Response, Problem> {
    let model = call.metadata.get("model").unwrap_or(&call.name).clone();
    known_model(&app, &model)?;
    let Some(version) = call.metadata.get("version").cloned() else {
        return Err(Problem::bad_request(format!(
            "the hook of {:?} in {:?} names no version: add metadata {{model: …, version: …}} to it",
            call.name, call.namespace
        )));
    };
    let to = call.metadata.get("to").cloned().unwrap_or_else(|| PROD.to_owned());
    match hook.as_str() {
        "confirm-rollout" | "pre-rollout" | "rollout" | "confirm-traffic-increase" | "confirm-promotion" => {
            let answer =
                with_desk(&app, &model, "flagger", move |registry, desk| registry.gate(desk, &version, &to)).await?;
            let status = if answer.verdict == GateVerdict::Pass { StatusCode::OK } else { StatusCode::FORBIDDEN };
            Ok((status, format!("{answer}\n")).into_response())
        }
        "rollback" => {
            let told = with_desk(&app, &model, "flagger", move |registry, desk| {
                let state = registry.rollouts()?.into_iter().find(|r| r.model == desk.policy.model);
                let state = state.filter(|s| s.candidate == version);
                // A rollout under way is a new try, whatever became of an earlier one.
                if state.as_ref().is_some_and(|s| !s.phase.is_over()) {
                    return Ok(None);
                }
                let failed = state.filter(|s| s.phase == Phase::Failed).map(|s| s.why);
                let rolled_back = registry.dossier(desk.policy, &version, desk.now_ms)?.rolled_back;
                Ok(rolled_back.or(failed))
            })
            .await?;
            Ok(match told {
                Some(why) => (StatusCode::OK, format!("roll back: {why}\n")).into_response(),
                None => (StatusCode::FORBIDDEN, "nothing asks for a rollback\n").into_response(),
            })
        }
        "post-rollout" | "event" => {
            // Flagger sends an event for every step; only an end changes something.
            let succeeded = match call.phase.as_str() {
                "Succeeded" => true,
                "Failed" => false,
                _ => return Ok((StatusCode::OK, "noted\n").into_response()),
            };
            let header = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok()).map(str::to_owned);
            let token = header.or_else(|| call.metadata.get("token").map(|token| format!("Bearer {token}")));
            let actor = app.tokens.authorize(token.as_deref(), Role::Operator, &model)?.to_owned();
            let state = with_desk(&app, &model, &actor, move |registry, desk| {
                let running =
                    registry.rollout(&desk.policy.model)?.is_some_and(|s| s.candidate == version && s.external);
                if running { registry.tell_rollout(desk, &Told::External { succeeded }) } else { Ok(None) }
            })
            .await?;
            let text =
                state.map_or_else(|| "no such rollout is under way\n".to_owned(), |s| format!("{}\n", s.phase.name()));
            Ok((StatusCode::OK, text).into_response())
        }
        other => Err(Problem::not_found(format!(
            "there is no hook {other:?}; there are confirm-rollout, pre-rollout, rollout, confirm-traffic-increase, confirm-promotion, post-rollout, event and rollback"
        ))),
    }
}
