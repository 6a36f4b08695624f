//! Flagger's webhooks. Any answer above 202 fails there, so a gate that does not pass is a 403 with the reasons as text.
//! The rollback hook is the other way round: 2xx means roll back. What it tells us of an end needs a token.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::app::{Shared, known_model, with_context};
use super::auth::Caller;
use super::problem::Problem;
use super::standby;
use crate::ledger::{Embedded, RequestContext, RolloutCommand};
use driftgate_core::gate::GateVerdict;
use driftgate_core::promotion::PROD;
use driftgate_core::rollout::Phase;

type Answered = Result<Response, Problem>;

/// What Flagger posts.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = FlaggerCall)]
pub(super) struct Call {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

impl Call {
    pub fn read(body: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(body).map_err(|e| {
            Problem::bad_request(format!(
                "the body is not what Flagger posts: {e}; it is a JSON object with name, phase and metadata"
            ))
        })
    }

    /// The model that is asked about.
    pub fn model(&self) -> &str {
        self.metadata.get("model").unwrap_or(&self.name)
    }

    pub fn token(&self) -> Option<&str> {
        self.metadata.get("token").map(String::as_str)
    }

    /// How the rollout ended, if it did; Flagger sends an event for every step.
    pub fn succeeded(&self) -> Option<bool> {
        match self.phase.as_str() {
            "Succeeded" => Some(true),
            "Failed" => Some(false),
            _ => None,
        }
    }

    /// The model, version and stage.
    fn question(&self, app: &Shared) -> Result<(String, String, String), Problem> {
        let model = self.model().to_owned();
        known_model(app, &model)?;
        let Some(version) = self.metadata.get("version").cloned() else {
            return Err(Problem::bad_request(format!(
                "the hook of {:?} in {:?} names no version: add metadata {{model: …, version: …}} to it",
                self.name, self.namespace
            )));
        };
        Ok((model, version, self.metadata.get("to").cloned().unwrap_or_else(|| PROD.to_owned())))
    }
}

/// POST /hooks/flagger/confirm-rollout and the like: may it go on?
pub(super) async fn gate(State(app): State<Shared>, body: Bytes) -> Answered {
    let (model, version, to) = Call::read(&body)?.question(&app)?;
    let cluster = app.view.read().cluster.clone();
    let ask = move |registry: &Embedded, context: &RequestContext<'_>| {
        standby::gate(cluster.as_ref(), registry, context, &version, &to)
    };
    let answer = with_context(&app, &model, "", ask).await?;
    let status = if answer.verdict == GateVerdict::Pass { StatusCode::OK } else { StatusCode::FORBIDDEN };
    Ok((status, format!("{answer}\n")).into_response())
}

/// POST /hooks/flagger/rollback: shall it go back?
pub(super) async fn rollback(State(app): State<Shared>, body: Bytes) -> Answered {
    let (model, version, _) = Call::read(&body)?.question(&app)?;
    let told = with_context(&app, &model, "", move |registry, context| {
        let state = registry.last_rollout(&context.policy.model)?;
        let state = state.filter(|s| s.candidate == version);
        // A rollout under way is a new try, whatever became of an earlier one.
        if state.as_ref().is_some_and(|s| !s.phase.is_over()) {
            return Ok(None);
        }
        let failed = state.filter(|s| s.phase == Phase::Failed).map(|s| s.why);
        let rolled_back = registry.dossier(context.policy, &version, context.now_ms)?.rolled_back;
        Ok(rolled_back.or(failed))
    })
    .await?;
    Ok(match told {
        Some(why) => (StatusCode::OK, format!("roll back: {why}\n")).into_response(),
        None => (StatusCode::FORBIDDEN, "nothing asks for a rollback\n").into_response(),
    })
}

/// POST /hooks/flagger/post-rollout and event: how it ended, told by whoever has the token for it.
pub(super) async fn ended(
    State(app): State<Shared>,
    caller: Option<Extension<Caller>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let call = Call::read(&body)?;
    let (model, version, _) = call.question(&app)?;
    let (Some(succeeded), Some(Extension(caller))) = (call.succeeded(), caller) else {
        return Ok((StatusCode::OK, "noted\n").into_response());
    };
    let state = with_context(&app, &model, &caller.actor, move |registry, context| {
        let running = registry.rollout(&context.policy.model)?.is_some_and(|s| s.candidate == version && s.external);
        if running { registry.tell_rollout(context, &RolloutCommand::External { succeeded }) } else { Ok(None) }
    })
    .await?;
    let text = state.map_or_else(|| "no such rollout is under way\n".to_owned(), |s| format!("{}\n", s.phase.name()));
    Ok((StatusCode::OK, text).into_response())
}
