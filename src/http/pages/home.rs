//! GET /: what the overview shows is read from the status view and the registry, and the last week of the rows of one page from the history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;

use super::layout::{self, Part};
use super::overview::{self, Overview, ROWS, Row, STALE, WEEK_MS};
use crate::api::{Input, OverviewQuery};
use crate::history::recent::Hours;
use crate::http::app::{Shared, in_turn, registry};
use crate::http::auth::Visitor;
use crate::http::guard::Sight;
use crate::http::lookup::facts;
use crate::http::problem::{Parameters, Problem};
use crate::http::slots::Kind;
use crate::ledger::Embedded;
use crate::problems::{self, ModelFacts};
use crate::view::{ModelView, View};

/// How often a browser may ask again, s.
const REFRESH: std::ops::RangeInclusive<u32> = 5..=3600;

/// GET /
pub async fn home(
    State(app): State<Shared>,
    sight: Sight,
    visitor: Visitor,
    Parameters(query): Parameters<OverviewQuery>,
) -> Result<Response, Problem> {
    check(&query)?;
    let now_ms = (app.now_ms)();
    let (models, seen) = view(&app, &sight);
    let facts = facts(&app, models.keys().cloned().collect()).await?;
    let undelivered = registry(&app, Embedded::waiting).await?;
    let (mut rows, mut problems) = judged(&models, &facts, now_ms);
    overview::sort(&mut rows);
    let teams: BTreeSet<String> = rows.iter().filter_map(|row| row.team.clone()).collect();
    let stages: BTreeSet<String> = rows.iter().flat_map(|row| row.stages.clone()).collect();
    let newest = rows.iter().filter_map(|row| row.newest_ms).max();
    let counted = overview::asked(rows, &OverviewQuery { status: None, ..query.clone() });
    let asked = overview::asked(counted.clone(), &query);
    let first = query.page.unwrap_or(1).saturating_sub(1).saturating_mul(ROWS);
    let shown: Vec<Row> = asked.iter().skip(first).take(ROWS).cloned().collect();
    if [&query.q, &query.team, &query.status, &query.stage]
        .iter()
        .any(|of| of.as_ref().is_some_and(|of| !of.is_empty()))
    {
        problems.retain(|problem| asked.iter().any(|row| Some(&row.model) == problem.model.as_ref()));
    } else if sight.sees_all() {
        problems.extend(problems::of_daemon(&app.view.read(), &undelivered));
        problems.extend(seen.cluster.iter().filter_map(|cluster| problems::of_cluster(cluster, now_ms)));
    }
    problems.sort_by_key(|problem| problem.severity);
    // Streams of long ago have their last week, too.
    let to_ms = newest.filter(|newest| now_ms.saturating_sub(*newest) > WEEK_MS).unwrap_or(now_ms);
    let hours = weeks(&app, &shown, to_ms).await?;
    let page = Overview {
        query: &query,
        now_ms,
        waiting: &seen.waiting,
        is_ready: seen.is_ready,
        problems: &problems,
        counted: &counted,
        shown: &shown,
        total: asked.len(),
        teams: &teams,
        stages: &stages,
        hours: &hours,
        is_kept: app.history.is_some(),
        to_ms,
        inputs: &seen.inputs,
    };
    let mut response = layout::page("Overview", Part::Overview, &visitor, &page.body());
    if let Some(every) = query.refresh.and_then(|every| HeaderValue::from_str(&every.to_string()).ok()) {
        response.headers_mut().insert("refresh", every);
    }
    Ok(response)
}

/// Refuses a query that can find nothing, with what it may say.
fn check(query: &OverviewQuery) -> Result<(), Problem> {
    let known = overview::State::ALL.map(overview::State::name);
    if let Some(status) = query.status.as_deref().filter(|status| !status.is_empty())
        && !known.contains(&status)
        && status != STALE
    {
        return Err(Problem::bad_request(format!("status is {status:?}; it can be {} or {STALE}", known.join(", "))));
    }
    if query.page == Some(0) {
        return Err(Problem::bad_request("page is 0; the first is 1"));
    }
    if let Some(every) = query.refresh.filter(|every| !REFRESH.contains(every)) {
        return Err(Problem::bad_request(format!("refresh is {every}; it can be 5 to 3600, in seconds")));
    }
    Ok(())
}

/// What the overview needs of the view beside its models.
struct Seen {
    is_ready: bool,
    waiting: BTreeMap<String, String>,
    cluster: Option<crate::view::cluster::ClusterView>,
    inputs: Vec<Input>,
}

/// Copies, so that the pipeline does not wait for a page to be written.
fn view(app: &Shared, sight: &Sight) -> (BTreeMap<String, ModelView>, Seen) {
    let view = app.view.read();
    let models = view.models.iter().filter(|(name, _)| sight.sees(name));
    let models = models.map(|(name, seen)| (name.clone(), seen.clone())).collect();
    let is_whole = sight.sees_all();
    let inputs = |view: &View| view.inputs.iter().map(|(topic, input)| Input::of(topic, input)).collect();
    let seen = Seen {
        is_ready: view.is_ready(),
        waiting: if view.is_ready() || !is_whole { BTreeMap::new() } else { view.waiting().by_name() },
        cluster: view.cluster.clone(),
        inputs: if is_whole { inputs(&view) } else { Vec::new() },
    };
    (models, seen)
}

/// Every version, and what is wrong with the models.
fn judged(
    models: &BTreeMap<String, ModelView>,
    facts: &BTreeMap<String, ModelFacts>,
    now_ms: i64,
) -> (Vec<Row>, Vec<problems::Problem>) {
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    let none = ModelFacts::default();
    for (name, seen) in models {
        let facts = facts.get(name).unwrap_or(&none);
        let found = problems::of_model(name, seen, facts, now_ms);
        let active = facts.rollout.as_ref().filter(|rollout| !rollout.phase.is_over());
        rows.extend(overview::of_model(name, seen, &facts.records, active, (&found, now_ms)));
        all.extend(found);
    }
    (rows, all)
}

/// The last week of the models that rows are of; none where another process of the cluster keeps it.
async fn weeks(app: &Shared, rows: &[Row], to_ms: i64) -> Result<BTreeMap<String, Hours>, Problem> {
    let is_elsewhere = app.view.read().cluster.as_ref().is_some_and(|cluster| !cluster.owns());
    let Some(reader) = app.history.clone().filter(|_| !is_elsewhere) else { return Ok(BTreeMap::new()) };
    let models: BTreeSet<String> = rows.iter().map(|row| row.model.clone()).collect();
    let app = Arc::clone(app);
    in_turn(&app, Kind::Read, move |_| {
        let of = |model: String| {
            let hours = reader.recent(&model, to_ms.saturating_sub(WEEK_MS), to_ms).map_err(Problem::internal)?;
            Ok((model, hours))
        };
        models.into_iter().map(of).collect()
    })
    .await?
}
