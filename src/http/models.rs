//! Models, versions and verdicts. What the view and the registry have of a version is shown side by side; neither is corrected by the
//! other.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::app::{Shared, registry};
use super::guard::Sight;
use super::lookup::{look, names, pick};
use super::problem::{Parameters, PathNames, Problem, named};
use crate::api::{self, VerdictsQuery};
use crate::telemetry::events::registry::VerdictUnreadable;
use crate::view::stream_state;
use crate::view::{ModelView, Past, VersionView};
use driftgate_core::codec::time::utc;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::promotion::version::VersionRecord;

/// Verdicts in a list, unless the request says how many.
const LISTED: usize = 50;
const MOST_LISTED: usize = 1000;

/// GET /api/v1/models
pub(super) async fn models(State(app): State<Shared>, sight: Sight) -> Result<Json<api::Models>, Problem> {
    let records = registry(&app, |r| r.versions(None)).await?;
    // A copy, so that the pipeline does not wait for an answer to be written.
    let models = app.view.read().models.clone();
    let models = models.iter().filter(|(name, _)| sight.sees(name));
    let models = models.map(|(name, seen)| summary(name, seen, &records)).collect();
    Ok(Json(api::Models { models }))
}

/// GET /api/v1/models/{model}
pub(super) async fn model(
    State(app): State<Shared>,
    PathNames(model): PathNames<String>,
) -> Result<Json<api::ModelSummary>, Problem> {
    let (seen, records) = look(&app, &model).await?;
    Ok(Json(summary(&model, &seen, &records)))
}

/// GET /api/v1/models/{model}/versions/{version}
pub(super) async fn version(
    State(app): State<Shared>,
    PathNames((model, version)): PathNames<(String, String)>,
) -> Result<Json<api::VersionDetail>, Problem> {
    let (seen, records) = look(&app, &model).await?;
    let (v, record) = pick(&model, &version, &seen, &records)?;
    let latest = v.into_iter().flat_map(VersionView::latest);
    let mut verdicts: BTreeMap<String, Arc<Verdict>> =
        latest.map(|verdict| (verdict.group.clone(), Arc::clone(verdict))).collect();
    // The registry's, by group: the end of the last window, which decisions follow; and groups that the daemon has not judged
    // since it started.
    let mut recorded = Vec::new();
    let (m, name) = (model.clone(), version.clone());
    for text in registry(&app, move |r| r.verdicts(&m, &name)).await? {
        let verdict = match verdict_from_json(&text) {
            Ok(verdict) => verdict,
            Err(e) => {
                VerdictUnreadable { model: &model, version: &version, error: &e }.emit();
                continue;
            }
        };
        recorded.push((verdict.group.clone(), utc(verdict.window.end)));
        verdicts.entry(verdict.group.clone()).or_insert_with(|| Arc::new(verdict));
    }
    let baseline = v.and_then(|v| v.baseline.as_ref()).map(|baseline| match baseline {
        Ok(sha256) => api::Baseline::Known { sha256: sha256.clone(), rows: v.and_then(|v| v.reference_rows) },
        Err(error) => api::Baseline::Failed { error: error.clone() },
    });
    Ok(Json(api::VersionDetail {
        policy_sha256: seen.policy.sha256.clone(),
        stages: record.map(|r| r.stages.clone()).unwrap_or_default(),
        predictions: v.map_or(0, |v| v.predictions),
        registry: record.cloned(),
        baseline,
        blocks: blocks(v, record),
        verdicts,
        recorded: recorded.into_iter().collect(),
        model,
        version,
    }))
}

/// GET /api/v1/models/{model}/versions/{version}/verdicts?group=&limit=
pub(super) async fn verdicts(
    State(app): State<Shared>,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(which): Parameters<VerdictsQuery>,
) -> Result<Response, Problem> {
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
    // Written here: what is listed is borrowed from the view.
    Ok(Json(api::Verdicts { verdicts: list }).into_response())
}

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

/// A model for the list: one line per version and group.
fn summary(model: &str, seen: &ModelView, records: &[VersionRecord]) -> api::ModelSummary {
    let records: Vec<VersionRecord> = records.iter().filter(|r| r.model == model).cloned().collect();
    let version = |version: &str| {
        let v = seen.versions.get(version);
        let record = records.iter().find(|r| r.version == version);
        let group = |group: &str| {
            let latest = v.and_then(|v| v.verdicts.get(group)?.latest());
            (group.to_owned(), latest.map(|latest| api::GroupSummary::from(&**latest)).unwrap_or_default())
        };
        api::VersionSummary {
            version: version.to_owned(),
            stages: record.map(|r| r.stages.clone()).unwrap_or_default(),
            predictions: v.map_or(0, |v| v.predictions),
            groups: seen.policy.groups.iter().map(|g| group(&g.name)).collect(),
            blocks: blocks(v, record),
        }
    };
    api::ModelSummary {
        model: model.to_owned(),
        policy_sha256: seen.policy.sha256.clone(),
        metadata: seen.policy.metadata.clone(),
        versions: names(seen, &records).into_iter().map(version).collect(),
    }
}
