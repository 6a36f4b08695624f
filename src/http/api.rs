//! The API: models, versions and verdicts as JSON, registering a version, and the gate's answer. What the picture and the
//! registry say of a version stands beside each other; neither is corrected by the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::actions::{self, By};
use super::guard::Sight;
use super::problem::{Names, Parameters, Problem, named};
use super::stages::stages;
use super::{Shared, promote_when_read, registry, with_desk};
use crate::registry::{ActiveBlock, Registration, Registry as _, VersionRecord};
use crate::telemetry::events::registry::{VerdictUnreadable, VersionRegistering};
use crate::view::stream_state;
use crate::view::{ModelView, Past, VersionView};
use driftgate_core::gate::{self, Answer};

/// Verdicts in a list, unless the request says how many.
const LISTED: usize = 50;
const MOST_LISTED: usize = 1000;

type Answered = Result<Json<Value>, Problem>;

/// GET /api/v1/models
pub(super) async fn models(State(app): State<Shared>, sight: Sight) -> Answered {
    let records = registry(&app, |r| r.versions(None)).await?;
    // A copy, so that the pipeline does not wait for an answer to be written.
    let models = app.view.read().models.clone();
    let models = models.iter().filter(|(name, _)| sight.sees(name));
    let models: Vec<Value> = models.map(|(name, seen)| summary(name, seen, &records)).collect();
    Ok(Json(json!({"models": models})))
}

/// GET /api/v1/models/{model}
pub(super) async fn model(State(app): State<Shared>, Names(model): Names<String>) -> Answered {
    let (seen, records) = look(&app, &model).await?;
    Ok(Json(summary(&model, &seen, &records)))
}

/// GET /api/v1/models/{model}/versions/{version}
pub(super) async fn version(State(app): State<Shared>, Names((model, version)): Names<(String, String)>) -> Answered {
    let (seen, records) = look(&app, &model).await?;
    let (v, record) = pick(&model, &version, &seen, &records)?;
    let latest = v.into_iter().flat_map(VersionView::latest);
    let mut verdicts: BTreeMap<String, Value> =
        latest.map(|verdict| (verdict.group.clone(), json!(**verdict))).collect();
    // What the registry has, by group: the end of the last window, which decisions follow; and groups the daemon has not
    // judged since it started.
    let mut recorded = serde_json::Map::new();
    let (m, name) = (model.clone(), version.clone());
    for text in registry(&app, move |r| r.verdicts(&m, &name)).await? {
        let verdict = match serde_json::from_str::<Value>(&text) {
            Ok(verdict) => verdict,
            Err(e) => {
                VerdictUnreadable { model: &model, version: &version, error: &e }.emit();
                continue;
            }
        };
        let Some(group) = verdict.get("group").and_then(Value::as_str) else { continue };
        recorded.insert(group.to_owned(), verdict.pointer("/window/end").cloned().unwrap_or_default());
        verdicts.entry(group.to_owned()).or_insert(verdict);
    }
    let baseline = match v.and_then(|v| v.baseline.as_ref()) {
        None => Value::Null,
        Some(Ok(sha256)) => json!({"sha256": sha256, "rows": v.and_then(|v| v.reference_rows)}),
        Some(Err(error)) => json!({"error": error}),
    };
    Ok(Json(json!({
        "model": model,
        "version": version,
        "policy_sha256": seen.policy.sha256,
        "stages": record.map_or(&[][..], |r| &r.stages),
        "predictions": v.map_or(0, |v| v.predictions),
        "registry": record,
        "baseline": baseline,
        "blocks": blocks(v, record),
        "verdicts": verdicts,
        "recorded": recorded,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    group: Option<String>,
    limit: Option<usize>,
}

/// GET /api/v1/models/{model}/versions/{version}/verdicts?group=&limit=: the newest first; older ones without their
/// evidence, and with `"brief": true`.
pub(super) async fn verdicts(
    State(app): State<Shared>,
    Names((model, version)): Names<(String, String)>,
    Parameters(which): Parameters<Which>,
) -> Answered {
    let limit = which.limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is {limit}; it can be 1 to {MOST_LISTED}")));
    }
    let (seen, records) = look(&app, &model).await?;
    let (v, _) = pick(&model, &version, &seen, &records)?;
    let kept = v.map(|v| &v.verdicts);
    if let Some(group) = &which.group {
        let is_known =
            seen.policy.groups.iter().any(|g| g.name == *group) || kept.is_some_and(|k| k.contains_key(group));
        if !is_known {
            let groups = named(seen.policy.groups.iter().map(|g| g.name.as_str()));
            return Err(Problem::not_found(format!("model {model:?} has no group {group:?}; its groups are {groups}")));
        }
    }
    let of = |group: &&String| which.group.as_ref().is_none_or(|g| g == *group);
    let mut list: Vec<Past<'_>> =
        kept.into_iter().flatten().filter(|(g, _)| of(g)).flat_map(|(_, kept)| kept.newest_first()).collect();
    list.sort_by(|a, b| b.order().cmp(&a.order()));
    list.truncate(limit);
    Ok(Json(json!({"verdicts": list})))
}

/// What registering says beside the path.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Body {
    snapshot: Option<String>,
    snapshot_sha256: Option<String>,
    artifact_sha256: Option<String>,
    artifact: Option<String>,
    baseline_version: Option<String>,
    stage: Option<String>,
    evidence: serde_json::Map<String, Value>,
}

/// POST /api/v1/models/{model}/versions/{version}
pub(super) async fn register(
    State(app): State<Shared>,
    by: By,
    given: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<VersionRecord>), Problem> {
    let what = "any of snapshot, snapshot_sha256, artifact_sha256, artifact, baseline_version, stage and evidence";
    let Body { snapshot, snapshot_sha256, artifact_sha256, artifact, baseline_version, stage, evidence } =
        actions::body(given, what)?;
    let bounded = |what, text| (what, text, actions::LONGEST_LOCATION);
    actions::all_bounded(&[
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
    let (was_there, record) = with_desk(&app, &model, &actor, move |r, desk| {
        let was_there = r.version(&registration.model, &registration.version)?.is_some();
        let evidence: Vec<(String, Value)> = evidence.into_iter().collect();
        Ok((was_there, r.register_as(desk, &registration, &evidence)?))
    })
    .await?;
    promote_when_read(&app, &seen.policy, &record.version, &actor);
    Ok((if was_there { StatusCode::OK } else { StatusCode::CREATED }, Json(record)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Where {
    to: Option<String>,
}

/// GET /api/v1/gate/{model}/{version}?to=STAGE: 200 whatever the answer, since Argo takes anything else for an error.
pub(super) async fn gate(
    State(app): State<Shared>,
    Names((model, version)): Names<(String, String)>,
    Parameters(Where { to }): Parameters<Where>,
) -> Result<Json<Answer>, Problem> {
    let seen = known_model(&app, &model)?;
    let to = to.filter(|to| !to.is_empty()).ok_or_else(|| {
        Problem::bad_request(format!(
            "name the stage to promote to with ?to=STAGE; the stages of {model:?} are {}",
            named(stages(&seen.policy))
        ))
    })?;
    let now_ms = (app.now_ms)();
    let late = gate::unanswered(&seen.policy, &to, &version, BUSY, now_ms);
    let policy = Arc::clone(&seen.policy);
    let asked = with_desk(&app, &model, "", move |registry, desk| match registry.gate(desk, &version, &to) {
        Err(e) if e.is_busy() => Ok(gate::unanswered(&policy, &to, &version, BUSY, now_ms)),
        said => said,
    });
    if app.registry.waits_for_artifacts() {
        return asked.await.map(Json);
    }
    tokio::time::timeout(GATE_WITHIN, asked).await.unwrap_or(Ok(late)).map(Json)
}

/// The gate answers within this time, whatever the registry does.
const GATE_WITHIN: Duration = Duration::from_millis(700);
/// Why it says nothing else then.
pub const BUSY: &str =
    "the registry does not answer: another process holds it, or its disk is slow; ask again, and look for who holds it";

/// The active blocks: the registry's, and those the pipeline raised that are not in it.
fn blocks(v: Option<&VersionView>, record: Option<&VersionRecord>) -> Vec<ActiveBlock> {
    let mut blocks = record.map(|r| r.blocks.clone()).unwrap_or_default();
    for raised in v.map(stream_state::blocks).unwrap_or_default() {
        if !blocks.iter().any(|b| b.group == raised.group) {
            blocks.push(raised);
        }
    }
    blocks
}

/// A version that events or the registry know, as both have it.
pub(super) async fn pick_known(
    app: &Shared,
    model: &str,
    version: &str,
) -> Result<(ModelView, Option<VersionRecord>), Problem> {
    let (seen, records) = look(app, model).await?;
    let record = pick(model, version, &seen, &records)?.1.cloned();
    Ok((seen, record))
}

pub(super) fn known_model(app: &Shared, model: &str) -> Result<ModelView, Problem> {
    let view = app.view.read();
    view.models.get(model).cloned().ok_or_else(|| {
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

/// A model in the picture and its versions in the registry.
async fn look(app: &Shared, model: &str) -> Result<(ModelView, Vec<VersionRecord>), Problem> {
    // First, so that names from outside reach the registry only if a policy has them.
    known_model(app, model)?;
    let name = model.to_owned();
    let records = registry(app, move |r| r.versions(Some(&name))).await?;
    Ok((known_model(app, model)?, records))
}

fn names<'a>(seen: &'a ModelView, records: &'a [VersionRecord]) -> BTreeSet<&'a str> {
    seen.versions.keys().chain(records.iter().map(|r| &r.version)).map(String::as_str).collect()
}

/// A version in the picture and in the registry; it is in one of them.
fn pick<'a>(
    model: &str,
    version: &str,
    seen: &'a ModelView,
    records: &'a [VersionRecord],
) -> Result<(Option<&'a VersionView>, Option<&'a VersionRecord>), Problem> {
    let found = (seen.versions.get(version), records.iter().find(|r| r.version == version));
    if found.0.is_none() && found.1.is_none() {
        let versions = named(names(seen, records));
        return Err(Problem::not_found(format!(
            "model {model:?} has no version {version:?}; its versions are {versions}"
        )));
    }
    Ok(found)
}

/// A model for the list: a line a version and group.
fn summary(model: &str, seen: &ModelView, records: &[VersionRecord]) -> Value {
    let records: Vec<VersionRecord> = records.iter().filter(|r| r.model == model).cloned().collect();
    let version = |version: &str| {
        let v = seen.versions.get(version);
        let record = records.iter().find(|r| r.version == version);
        let group = |group: &str| {
            let latest = v.and_then(|v| v.verdicts.get(group)?.latest());
            let line = latest.map(
                |l| json!({"status": l.status, "verdict_id": l.verdict_id, "window": l.window, "counted": l.counted}),
            );
            (group.to_owned(), line.unwrap_or_else(|| json!({"status": null})))
        };
        json!({
            "version": version,
            "stages": record.map_or(&[][..], |r| &r.stages),
            "predictions": v.map_or(0, |v| v.predictions),
            "groups": seen.policy.groups.iter().map(|g| group(&g.name)).collect::<serde_json::Map<_, _>>(),
            "blocks": blocks(v, record),
        })
    };
    json!({
        "model": model,
        "policy_sha256": seen.policy.sha256,
        "metadata": seen.policy.metadata,
        "versions": names(seen, &records).into_iter().map(version).collect::<Vec<_>>(),
    })
}
