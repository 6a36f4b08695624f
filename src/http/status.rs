//! The status of the daemon, of its inputs, and of every model. Nothing here changes anything.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;

use super::app::{Shared, known_model, registry};
use super::guard::Sight;
use super::lookup::facts;
use super::problem::{PathNames, Problem};
use crate::api;
use crate::ledger::Embedded;
use crate::problems::{self, ModelFacts};
use crate::view::{ModelView, VersionView, View};
use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::{RuleResult, Status};
use driftgate_core::policy::Enforce;
use driftgate_core::promotion::version::VersionRecord;

/// GET /api/v1/status: every model in a few lines.
pub(super) async fn status(State(app): State<Shared>, sight: Sight) -> Result<Json<api::Status>, Problem> {
    let names: Vec<String> = app.view.read().models.keys().filter(|name| sight.sees(name)).cloned().collect();
    let undelivered = registry(&app, Embedded::waiting).await?;
    let is_whole = sight.sees_all();
    // Topics serve several models, and what the daemon says of itself may name any.
    let mut problems = if is_whole { problems::of_daemon(&app.view.read(), &undelivered) } else { Vec::new() };
    let (cluster, now_ms) = (app.view.read().cluster.clone(), (app.now_ms)());
    problems.extend(cluster.iter().filter_map(|cluster| problems::of_cluster(cluster, now_ms)));
    let mut models = Vec::new();
    for (name, facts) in facts(&app, names).await? {
        let (model, found) = status_of(&app, &name, facts)?;
        models.push(model);
        problems.extend(found);
    }
    problems.sort_by_key(|p| p.severity);
    let view = app.view.read();
    let remarks = view.remarks.values().filter(|_| is_whole).flat_map(|of_topic| of_topic.sentences.clone()).collect();
    Ok(Json(api::Status {
        cluster: cluster.map(|cluster| api::Cluster::of(&cluster, &view, now_ms)),
        problems,
        ready: view.is_ready(),
        not_ready: if is_whole { view.readiness.by_name() } else { BTreeMap::new() },
        undelivered: undelivered.into_iter().collect(),
        inputs: if is_whole { inputs_of(&view) } else { Vec::new() },
        remarks,
        models,
    }))
}

/// GET /api/v1/inputs: what was read of each topic, what share of it was rejected lately, and an example of each reason.
pub(super) async fn inputs(State(app): State<Shared>, sight: Sight) -> Json<api::Inputs> {
    if !sight.sees_all() {
        return Json(api::Inputs { inputs: Vec::new(), problems: Vec::new() });
    }
    let view = app.view.read();
    Json(api::Inputs { inputs: inputs_of(&view), problems: crate::view::inputs::problems(&view.inputs) })
}

fn inputs_of(view: &View) -> Vec<api::Input> {
    view.inputs.iter().map(|(topic, input)| api::Input::of(topic, input)).collect()
}

/// GET /api/v1/models/{model}/status
pub(super) async fn model_status(
    State(app): State<Shared>,
    PathNames(model): PathNames<String>,
) -> Result<Json<api::ModelStatus>, Problem> {
    known_model(&app, &model)?;
    let facts = facts(&app, vec![model.clone()]).await?.remove(&model).unwrap_or_default();
    Ok(Json(status_of(&app, &model, facts)?.0))
}

/// A model in a few lines, and what is wrong with it.
fn status_of(
    app: &Shared,
    model: &str,
    facts: ModelFacts,
) -> Result<(api::ModelStatus, Vec<problems::Problem>), Problem> {
    let seen = known_model(app, model)?;
    let found = problems::of_model(model, &seen, &facts, (app.now_ms)());
    let names: BTreeSet<&str> =
        facts.records.iter().map(|r| r.version.as_str()).chain(seen.versions.keys().map(String::as_str)).collect();
    let line = |version: &str| line(version, &seen, facts.records.iter().find(|r| r.version == version));
    let status = api::ModelStatus {
        model: model.to_owned(),
        problems: found.clone(),
        policy_sha256: seen.policy.sha256.clone(),
        metadata: seen.policy.metadata.clone(),
        versions: names.into_iter().map(line).collect(),
        registry_drift: facts.lost.iter().map(api::status::RegistryDrift::from).collect(),
        frozen: facts.frozen,
        rollout: facts.rollout,
        rollback_pending: facts.pending,
    };
    Ok((status, found))
}

/// A version in a line.
fn line(version: &str, seen: &ModelView, record: Option<&VersionRecord>) -> api::VersionStatus {
    let shown = seen.versions.get(version);
    api::VersionStatus {
        version: version.to_owned(),
        stages: record.map(|r| r.stages.clone()).unwrap_or_default(),
        blocks: record.map(|r| r.blocks.clone()).unwrap_or_default(),
        rolled_back: record.and_then(|r| r.rolled_back.clone()),
        differing: record.map_or_else(Vec::new, VersionRecord::differing),
        predictions: shown.map_or(0, |v| v.predictions),
        worst: shown.and_then(|v| worst(v, seen)),
    }
}

/// The worst of the latest verdicts of groups that are enforced.
fn worst(version: &VersionView, seen: &ModelView) -> Option<api::Worst> {
    let enforced = |group: &str| {
        let group = seen.policy.groups.iter().find(|g| g.name == group);
        group.is_some_and(|g| g.enforce == Enforce::Block)
    };
    let latest = version.latest().filter(|v| enforced(&v.group));
    let worst = latest.max_by_key(|v| (v.decides(), v.window.end))?;
    let decides = worst.decides();
    let decisive = worst.results.iter().filter(|r| r.decides() == decides && decides >= Status::Insufficient);
    Some(api::Worst {
        group: worst.group.clone(),
        status: worst.status,
        window_end: utc(worst.window.end),
        reasons: decisive.map(RuleResult::sentence).collect(),
    })
}
