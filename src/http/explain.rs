//! Why a version may be promoted or not, who did what, what was promoted. Nothing here changes anything.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::app::{Shared, known_model, registry, with_context};
use super::lookup::pick_known;
use super::problem::{Parameters, PathNames, Problem};
use super::stages::stages;
use super::standby;
use crate::api::{self, HistoryQuery, PromotionsQuery};
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::promotion::record;

/// Records in a history, unless the request says how many.
const LISTED: usize = 100;
const MOST_LISTED: usize = 10_000;

/// GET /api/v1/models/{model}/versions/{version}/explain: everything that speaks for and against a version.
pub(super) async fn explain(
    State(app): State<Shared>,
    PathNames((model, version)): PathNames<(String, String)>,
) -> Result<Json<api::Explanation>, Problem> {
    let (seen, record) = pick_known(&app, &model, &version).await?;
    let view = seen.versions.get(&version).cloned().unwrap_or_default();
    let mut verdicts: Vec<Verdict> = view.latest().map(|v| (**v).clone()).collect();
    verdicts.sort_by(|a, b| a.group.cmp(&b.group));
    let stages: Vec<String> = stages(&seen.policy).into_iter().map(str::to_owned).collect();
    let (name, cluster) = (version.clone(), app.view.read().cluster.clone());
    let (dossier, gates, promotions, frozen) = with_context(&app, &model, "", move |registry, context| {
        let mut gates = Vec::new();
        for stage in stages {
            let answer = standby::gate(cluster.as_ref(), registry, context, &name, &stage)?;
            gates.push((stage, answer));
        }
        let dossier = registry.dossier(context.policy, &name, context.now_ms)?;
        let promotions = registry.promotions(&context.policy.model, &name)?;
        Ok((dossier, gates, promotions, registry.frozen(&context.policy.model)?))
    })
    .await?;
    let record = record.as_ref();
    let lineage = api::Lineage {
        snapshot: record.and_then(|r| r.snapshot_in_use().map(str::to_owned)),
        snapshot_sha256: record.and_then(|r| r.snapshot_sha256.clone()),
        artifact: record.and_then(|r| r.artifact.clone()),
        artifact_sha256: record.and_then(|r| r.artifact_sha256.clone()),
        baseline_sha256: view.baseline.and_then(Result::ok),
        policy_sha256: Some(seen.policy.sha256.clone()),
        differing: dossier.differing(),
        reported: dossier.reported,
        evidence: dossier.evidence.into_values().collect(),
    };
    Ok(Json(api::Explanation {
        model,
        version,
        stages: record.map(|r| r.stages.clone()).unwrap_or_default(),
        blocks: record.map(|r| r.blocks.clone()).unwrap_or_default(),
        rolled_back: record.and_then(|r| r.rolled_back.clone()),
        frozen,
        rollback_target: dossier.rollback_target,
        lineage,
        approvals: dossier.approvals,
        overrides: dossier.overrides,
        gates: gates.into_iter().collect(),
        promotions,
        verdicts,
    }))
}

/// GET /api/v1/models/{model}/history: the audit log's last records of a model, the oldest first. `left_out`: older ones were
/// asked for, too, and the answer would be too long; `before` the first one asks for them.
pub(super) async fn history(
    State(app): State<Shared>,
    PathNames(model): PathNames<String>,
    Parameters(HistoryQuery { limit, before }): Parameters<HistoryQuery>,
) -> Result<Json<api::History>, Problem> {
    known_model(&app, &model)?;
    let most = limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&most) {
        return Err(Problem::bad_request(format!("limit is {most}; it can be 1 to {MOST_LISTED}")));
    }
    let found = registry(&app, move |r| r.audit_before(Some(&model), before, most)).await?;
    Ok(Json(api::History { history: found.records, left_out: found.left_out }))
}

/// GET /api/v1/models/{model}/rollout: the last rollout, under way or ended.
pub(super) async fn rollout(
    State(app): State<Shared>,
    PathNames(model): PathNames<String>,
) -> Result<Json<api::LastRollout>, Problem> {
    known_model(&app, &model)?;
    let rollout = registry(&app, move |r| r.last_rollout(&model)).await?;
    Ok(Json(api::LastRollout { rollout }))
}

/// GET /api/v1/models/{model}/versions/{version}/promotions?format=markdown: the records, or the newest as a note.
pub(super) async fn promotions(
    State(app): State<Shared>,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(PromotionsQuery { format }): Parameters<PromotionsQuery>,
) -> Result<Response, Problem> {
    known_model(&app, &model)?;
    let (m, v) = (model.clone(), version.clone());
    let records = registry(&app, move |r| r.promotions(&m, &v)).await?;
    match format.as_deref() {
        None | Some("json") => Ok(Json(api::Promotions { promotions: records }).into_response()),
        Some("markdown") => match records.first() {
            Some(newest) => {
                Ok(([(CONTENT_TYPE, "text/markdown; charset=utf-8")], record::note(newest)).into_response())
            }
            None => Err(Problem::not_found(format!("version {version:?} of {model:?} was never promoted"))),
        },
        Some(other) => Err(Problem::bad_request(format!("format is {other:?}; it can be json or markdown"))),
    }
}
