//! Registering a version.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use super::request::{Body, By, LONGEST_LOCATION, all_bounded, body};
use crate::api::RegisterRequest;
use crate::http::app::{Shared, known_model, promote_when_read, with_context};
use crate::http::problem::Problem;
use crate::telemetry::events::registry::VersionRegistering;
use driftgate_core::promotion::version::{Registration, VersionRecord};

/// POST /api/v1/models/{model}/versions/{version}
pub async fn register(
    State(app): State<Shared>,
    by: By,
    given: Body,
) -> Result<(StatusCode, Json<VersionRecord>), Problem> {
    let what = "any of snapshot, snapshot_sha256, artifact_sha256, artifact, baseline_version, stage and evidence";
    let RegisterRequest { snapshot, snapshot_sha256, artifact_sha256, artifact, baseline_version, stage, evidence } =
        body(given, what)?;
    let bounded = |what, text| (what, text, LONGEST_LOCATION);
    all_bounded(&[
        bounded("snapshot", snapshot.as_deref()),
        bounded("snapshot_sha256", snapshot_sha256.as_deref()),
        bounded("artifact_sha256", artifact_sha256.as_deref()),
        bounded("artifact", artifact.as_deref()),
        bounded("baseline_version", baseline_version.as_deref()),
    ])?;
    let By { model, version, actor, .. } = by;
    let seen = known_model(&app, &model)?;
    VersionRegistering { actor: &actor, model: &model, version: &version, stage: stage.as_deref() }.emit();
    let baseline = seen.versions.get(&version).and_then(|v| v.baseline.as_ref());
    let registration = Registration {
        model: model.clone(),
        version,
        snapshot,
        snapshot_sha256,
        artifact_sha256,
        artifact,
        baseline_version,
        stage,
        corrects_snapshot: baseline.is_some_and(Result::is_err),
    };
    let (was_there, record) = with_context(&app, &model, &actor, move |r, context| {
        let was_there = r.version(&registration.model, &registration.version)?.is_some();
        let evidence: Vec<(String, Value)> = evidence.into_iter().collect();
        Ok((was_there, r.register_as(context, &registration, &evidence)?))
    })
    .await?;
    promote_when_read(&app, &seen.policy, &record.version, &actor);
    Ok((if was_there { StatusCode::OK } else { StatusCode::CREATED }, Json(record)))
}
