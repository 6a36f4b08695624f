//! What somebody asks at three in the morning: what is going on with the models, why is this version blocked and since
//! when, what was promoted, where would a rollback go, who did what. Nothing here changes anything.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{known_model, pick_known};
use super::guard::Sight;
use super::problem::{Names, Parameters, Problem};
use super::{Shared, registry, with_desk};
use crate::problems::{self, ModelFacts};
use crate::registry::{PROD, VersionRecord};
use crate::view::View;
use driftgate_core::judge::verdict::{Status, Verdict, utc};
use driftgate_core::policy::Enforce;
use driftgate_core::promotion::record;

type Answered = Result<Json<Value>, Problem>;

/// Records in a history, unless the request says how many.
const LISTED: usize = 100;
const MOST_LISTED: usize = 10_000;

/// GET /api/v1/status: every model in a few lines.
pub(super) async fn status(State(app): State<Shared>, sight: Sight) -> Answered {
    let names: Vec<String> = app.view.read().models.keys().filter(|name| sight.sees(name)).cloned().collect();
    let undelivered = registry(&app, crate::registry::Embedded::waiting).await?;
    let is_whole = sight.sees_all();
    // Topics serve several models, and what the daemon says of itself may name any.
    let mut problems = if is_whole { problems::of_daemon(&app.view.read(), &undelivered) } else { Vec::new() };
    let mut models = Vec::new();
    for name in names {
        let (model, found) = status_of(&app, &name).await?;
        models.push(model);
        problems.extend(found);
    }
    problems.sort_by_key(|p| p.severity);
    let waiting: serde_json::Map<String, Value> = undelivered.into_iter().map(|(k, n)| (k, n.into())).collect();
    let view = app.view.read();
    Ok(Json(json!({
        "problems": problems,
        "ready": view.is_ready(),
        "not_ready": view.readiness,
        "undelivered": waiting,
        "inputs": if is_whole { inputs_of(&view) } else { Vec::new() },
        "remarks": view.remarks.values().filter(|_| is_whole).flat_map(|of_topic| &of_topic.sentences).collect::<Vec<_>>(),
        "models": models,
    })))
}

/// GET /api/v1/inputs: what was read of each topic, what share of it was rejected lately, and an example of each reason.
pub(super) async fn inputs(State(app): State<Shared>, sight: Sight) -> Json<Value> {
    if !sight.sees_all() {
        return Json(json!({"inputs": [], "problems": []}));
    }
    let view = app.view.read();
    Json(json!({"inputs": inputs_of(&view), "problems": crate::view::inputs::problems(&view.inputs)}))
}

fn inputs_of(view: &View) -> Vec<Value> {
    view.inputs.iter().map(|(topic, input)| input.json(topic)).collect()
}

/// GET /api/v1/models/{model}/status
pub(super) async fn model_status(State(app): State<Shared>, Names(model): Names<String>) -> Answered {
    known_model(&app, &model)?;
    Ok(Json(status_of(&app, &model).await?.0))
}

/// A model in a few lines, and what is wrong with it.
async fn status_of(app: &Shared, model: &str) -> Result<(Value, Vec<problems::Problem>), Problem> {
    let name = model.to_owned();
    let facts = registry(app, move |r| {
        use crate::registry::Registry as _;
        Ok(ModelFacts {
            records: r.versions(Some(&name))?,
            frozen: r.frozen(&name)?,
            rollout: r.last_rollout(&name)?,
            pending: r.pending_rollbacks()?.into_iter().find(|p| p.model == name),
            lost: r.problems(Some(&name))?,
            last_prod_move: r.last_move(&name, PROD)?,
        })
    })
    .await?;
    let seen = known_model(app, model)?;
    let found = problems::of_model(model, &seen, &facts, (app.now_ms)());
    let records = &facts.records;
    let worst = |version: &str| {
        let enforced = |group: &str| {
            let group = seen.policy.groups.iter().find(|g| g.name == group);
            group.is_some_and(|g| g.enforce == Enforce::Block)
        };
        let latest = seen.versions.get(version).into_iter().flat_map(crate::view::VersionView::latest);
        let latest = latest.filter(|v| enforced(&v.group));
        let worst = latest.max_by_key(|v| (v.decides(), v.window.end));
        worst.map(|v| {
            let blocking: Vec<String> = v
                .results
                .iter()
                .filter(|r| r.decides() == v.decides() && v.decides() >= Status::Insufficient)
                .map(driftgate_core::judge::verdict::RuleResult::sentence)
                .collect();
            json!({"group": v.group, "status": v.status, "window_end": utc(v.window.end), "reasons": blocking})
        })
    };
    let mut versions: Vec<Value> = Vec::new();
    let names: std::collections::BTreeSet<&str> =
        records.iter().map(|r| r.version.as_str()).chain(seen.versions.keys().map(String::as_str)).collect();
    for version in names {
        let record = records.iter().find(|r| r.version == version);
        versions.push(json!({
            "version": version,
            "stages": record.map_or(&[][..], |r| &r.stages),
            "blocks": record.map_or(&[][..], |r| &r.blocks),
            "rolled_back": record.and_then(|r| r.rolled_back.clone()),
            "differing": record.map_or_else(Vec::new, VersionRecord::differing),
            "predictions": seen.versions.get(version).map_or(0, |v| v.predictions),
            "worst": worst(version),
        }));
    }
    let status = json!({
        "model": model,
        "problems": found,
        "policy_sha256": seen.policy.sha256,
        "metadata": seen.policy.metadata,
        "frozen": facts.frozen,
        "rollout": facts.rollout,
        "rollback_pending": facts.pending,
        "registry_drift": facts.lost,
        "versions": versions,
    });
    Ok((status, found))
}

/// GET /api/v1/models/{model}/versions/{version}/explain: everything that speaks for and against a version.
pub(super) async fn explain(State(app): State<Shared>, Names((model, version)): Names<(String, String)>) -> Answered {
    let (seen, record) = pick_known(&app, &model, &version).await?;
    let view = seen.versions.get(&version).cloned().unwrap_or_default();
    let mut latest: Vec<Verdict> = view.latest().map(|v| (**v).clone()).collect();
    latest.sort_by(|a, b| a.group.cmp(&b.group));
    let stages: Vec<String> = super::stages::stages(&seen.policy).into_iter().map(str::to_owned).collect();
    let name = version.clone();
    let (dossier, gates, promotions, frozen) = with_desk(&app, &model, "", move |registry, desk| {
        let mut gates = serde_json::Map::new();
        for stage in &stages {
            gates.insert(stage.clone(), json!(registry.gate(desk, &name, stage)?));
        }
        let dossier = registry.dossier(desk.policy, &name, desk.now_ms)?;
        let promotions = registry.promotions(&desk.policy.model, &name)?;
        Ok((dossier, gates, promotions, registry.frozen(&desk.policy.model)?))
    })
    .await?;
    Ok(Json(json!({
        "model": model,
        "version": version,
        "stages": record.as_ref().map_or(&[][..], |r| &r.stages),
        "blocks": record.as_ref().map_or(&[][..], |r| &r.blocks),
        "rolled_back": record.as_ref().and_then(|r| r.rolled_back.clone()),
        "frozen": frozen,
        "rollback_target": dossier.rollback_target,
        "lineage": {
            "snapshot": record.as_ref().and_then(|r| r.snapshot_in_use().map(str::to_owned)),
            "snapshot_sha256": record.as_ref().and_then(|r| r.snapshot_sha256.clone()),
            "artifact": record.as_ref().and_then(|r| r.artifact.clone()),
            "artifact_sha256": record.as_ref().and_then(|r| r.artifact_sha256.clone()),
            "baseline_sha256": view.baseline.and_then(Result::ok),
            "policy_sha256": seen.policy.sha256,
            "differing": dossier.differing(),
            "reported": dossier.reported,
            "evidence": dossier.evidence.into_values().collect::<Vec<_>>(),
        },
        "approvals": dossier.approvals,
        "overrides": dossier.overrides,
        "gates": gates,
        "promotions": promotions,
        "verdicts": latest,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    limit: Option<usize>,
    /// Only records before this one.
    before: Option<u64>,
}

/// GET /api/v1/models/{model}/history: the audit log's last records of a model, the oldest first. `left_out`: older ones were
/// asked for, too, and the answer would be too long; `before` the first one asks for them.
pub(super) async fn history(
    State(app): State<Shared>,
    Names(model): Names<String>,
    Parameters(Limit { limit, before }): Parameters<Limit>,
) -> Answered {
    known_model(&app, &model)?;
    let most = limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&most) {
        return Err(Problem::bad_request(format!("limit is {most}; it can be 1 to {MOST_LISTED}")));
    }
    let found = registry(&app, move |r| r.audit_before(Some(&model), before, most)).await?;
    Ok(Json(json!({"history": found.records, "left_out": found.left_out})))
}

/// GET /api/v1/models/{model}/rollout: the last rollout, under way or ended.
pub(super) async fn rollout(State(app): State<Shared>, Names(model): Names<String>) -> Answered {
    known_model(&app, &model)?;
    let state = registry(&app, move |r| r.last_rollout(&model)).await?;
    Ok(Json(json!({"rollout": state})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct As {
    format: Option<String>,
}

/// GET /api/v1/models/{model}/versions/{version}/promotions?format=markdown: the records, or the newest as a note.
pub(super) async fn promotions(
    State(app): State<Shared>,
    Names((model, version)): Names<(String, String)>,
    Parameters(As { format }): Parameters<As>,
) -> Result<Response, Problem> {
    known_model(&app, &model)?;
    let (m, v) = (model.clone(), version.clone());
    let records = registry(&app, move |r| r.promotions(&m, &v)).await?;
    match format.as_deref() {
        None | Some("json") => Ok(Json(json!({"promotions": records})).into_response()),
        Some("markdown") => match records.first() {
            Some(newest) => {
                Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], record::note(newest)).into_response())
            }
            None => Err(Problem::not_found(format!("version {version:?} of {model:?} was never promoted"))),
        },
        Some(other) => Err(Problem::bad_request(format!("format is {other:?}; it can be json or markdown"))),
    }
}
