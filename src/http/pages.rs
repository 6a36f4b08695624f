//! Pages for people, written on the server: they work without JavaScript, and their addresses name what they show. The overview has every version,
//! the worst first; a version has a page with the status of its groups and a line per rule, a feature one with its values and distributions.
//!
//! `layout` is what all pages have, `markup` writes pieces of HTML, `chart`, `bars`, `forest`, `segments` and `heat` SVG, `by_segment` a table of small ones, `confusion` a matrix, `curves` the score by label, `band` what lies behind a line, `realised` what estimates are drawn beside, `standing` what stands against a version, `summary` a distribution in words; `overview`, `version` and `feature` are the pages, `forgotten` is that of a version that only the history has, `features` is the table of a version's features; `home` reads what
//! the overview shows, `promotion` shows what speaks for and against a promotion, `act` does what a person wants, `session` signs in and out, `issuer` has the issuer say who somebody is, `audit` shows
//! the audit log, `operations` the daemon; `report` is verdicts in one file; `trouble` has errors as pages.

pub(super) mod act;
pub(super) mod audit;
mod band;
mod bars;
mod by_segment;
mod chart;
mod confusion;
mod curves;
mod feature;
mod features;
mod forest;
mod forgotten;
mod heat;
pub(super) mod home;
pub(super) mod issuer;
pub(super) mod layout;
mod lineage;
mod markup;
pub(super) mod operations;
mod overview;
pub(super) mod promotion;
mod realised;
pub mod report;
mod segments;
pub(super) mod session;
mod standing;
mod summary;
pub(super) mod trouble;
mod version;

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use maud::PreEscaped;

use super::app::{Shared, known_model, registry};
use super::auth::Visitor;
use super::explain::explain;
use super::problem::{Parameters, PathNames, Problem};
use super::series::{self, DAYS, Named, Range};
use crate::api::{PageQuery, VersionPageQuery};
use crate::history::columns::{Detail, Row, VERDICT, rows_of};
use crate::history::{DAY_MS, Window};
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::policy::Policy;
use layout::Part;

/// At most so many windows are drawn.
const MOST_POINTS: usize = 100_000;
/// So many records of the audit log are looked through for what happened.
const MOST_RECORDS: usize = 1000;
/// And so many of segments, which are small pictures.
const MOST_OF_SEGMENTS: usize = 3000;

/// GET /models/{model}/versions/{version}
pub(super) async fn version(
    State(app): State<Shared>,
    uri: Uri,
    visitor: Visitor,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(query): Parameters<VersionPageQuery>,
) -> Result<Response, Problem> {
    if let Some(response) = series::elsewhere(&app, &uri) {
        return Ok(response);
    }
    let policy = known_model(&app, &model)?.policy;
    let range = asked_range(&app, &model, (query.from.as_deref(), query.to.as_deref())).await?;
    let choice = features::Choice { order: order(query.sort.as_deref())?, find: query.find };
    let seen = match explain(State(Arc::clone(&app)), PathNames((model.clone(), version.clone()))).await {
        Ok(seen) => seen.0,
        Err(problem) if problem.is_not_found() => {
            let groups: Vec<String> = policy.groups.iter().map(|group| group.name.clone()).collect();
            let Some(found) = forgotten::find(&app, &model, &version, &groups).await? else { return Err(problem) };
            let body = found.body((&model, &version), range);
            return Ok(layout::page(&format!("{model} {version}"), Part::Models, &visitor, &PreEscaped(body)));
        }
        Err(problem) => return Err(problem),
    };
    // Everything in one reading: a file of the history is opened once.
    let worst = |verdict: &Verdict| -> Vec<(String, String)> {
        version::worst_by_rule(verdict).into_iter().map(|(rule, of)| (rule.to_owned(), of.subject.clone())).collect()
    };
    let mut wanted: Vec<(String, String)> = seen.verdicts.iter().flat_map(worst).collect();
    wanted.extend(policy.groups.iter().map(|group| (group.name.clone(), String::new())));
    let named = Named { version: version.clone(), series: wanted, ..Named::default() };
    let found = match app.history {
        Some(_) => series::find(&app, &model, named, range, (Detail::Numbers, MOST_POINTS)).await?,
        None => Vec::new(),
    };
    let of = |rule: &str, subject: &str| of_series(&found, rule, subject);
    let mut groups = Vec::new();
    for group in &policy.groups {
        let verdict = seen.verdicts.iter().find(|verdict| verdict.group == group.name);
        let last = verdict.into_iter().flat_map(|verdict| results(verdict, &policy)).collect();
        let lines = verdict.into_iter().flat_map(version::worst_by_rule);
        let lines = lines.map(|(rule, worst)| (worst, of(rule, &worst.subject))).collect();
        groups.push(version::Group { name: &group.name, windows: of(&group.name, ""), verdict, last, lines });
    }
    let name = model.clone();
    let found = registry(&app, move |r| r.audit_before(Some(&name), None, MOST_RECORDS)).await?;
    let moments = version::moments(&found.records, &version, range);
    let lines: Vec<_> = groups.iter().map(|group| group.features(&choice)).collect();
    let room = features::Room::of(&lines);
    let over_time = match app.history {
        Some(_) => Some(over_time(&app, (&model, &version), (&lines, room), range).await?),
        None => None,
    };
    let features = version::Features { lines: &lines, room, over_time: over_time.as_deref(), choice: &choice };
    let page = version::Page { seen: &seen, range, groups: &groups, features, moments: &moments };
    Ok(layout::page(&format!("{model} {version}"), Part::Models, &visitor, &PreEscaped(page.body())))
}

/// GET /models/{model}/versions/{version}/subjects/{subject}
pub(super) async fn feature(
    State(app): State<Shared>,
    uri: Uri,
    visitor: Visitor,
    PathNames((model, version, subject)): PathNames<(String, String, String)>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Response, Problem> {
    if let Some(response) = series::elsewhere(&app, &uri) {
        return Ok(response);
    }
    let is_kept = app.history.is_some();
    let names = (model.as_str(), version.as_str(), subject.as_str());
    let range = asked_range(&app, &model, (query.from.as_deref(), query.to.as_deref())).await?;
    let (found, every) = if is_kept {
        rows(&app, names, range, (false, MOST_POINTS)).await?
    } else {
        (last_rows(&app, &model, &version, &subject).await?, 1)
    };
    let segments = if is_kept { rows(&app, names, range, (true, MOST_OF_SEGMENTS)).await?.0 } else { Vec::new() };
    let chosen = match query.window.as_deref() {
        Some(text) => Some(series::time("window", text)?),
        None => found.iter().map(|row| row.end_ms).max(),
    };
    let mut distributions: Vec<Row> = found.iter().filter(|row| Some(row.end_ms) == chosen).cloned().collect();
    if let Some(end) = chosen.filter(|_| is_kept && distributions.is_empty()) {
        let only = Range { from_ms: end, to_ms: end.saturating_add(1) };
        distributions = rows(&app, names, only, (false, MOST_POINTS)).await?.0;
    }
    let of_version = PathNames((model.clone(), version.clone()));
    // A version that only the history knows has no verdict any more.
    let seen = explain(State(Arc::clone(&app)), of_version).await.ok();
    let verdicts = seen.iter().flat_map(|seen| &seen.0.verdicts);
    let of_it = verdicts.flat_map(|verdict| verdict.results.iter().map(move |of| (verdict.window.end, of)));
    let of_it: Vec<_> = of_it.filter(|(_, of)| of.subject == subject).collect();
    let last: Vec<_> = of_it.iter().map(|(_, of)| *of).collect();
    let compared: Vec<_> = of_it.into_iter().filter(|(_, of)| of.get("by").is_some()).collect();
    let pairs = seen.as_ref().map_or_else(Vec::new, |seen| realised::pairs(&seen.0.verdicts, &subject));
    let realised = if is_kept { counted(&app, &model, &version, (&pairs, range)).await? } else { Vec::new() };
    let page = feature::Page {
        model: &model,
        version: &version,
        subject: &subject,
        is_kept,
        range: if is_kept { range } else { feature::spanned(&found, range) },
        rows: &found,
        every,
        segments: &segments,
        chosen,
        distributions: &distributions,
        realised: &realised,
        compared: &compared,
        last: &last,
    };
    Ok(layout::page(&format!("{subject} of {model} {version}"), Part::Models, &visitor, &PreEscaped(page.body())))
}

/// What features are ordered by.
fn order(sort: Option<&str>) -> Result<features::Order, Problem> {
    let Some(text) = sort else { return Ok(features::Order::default()) };
    features::Order::read(text).ok_or_else(|| {
        let all = features::Order::ALL.map(features::Order::name).join(", ");
        Problem::bad_request(format!("sort is {text:?}; it can be {all}"))
    })
}

/// The windows of the first features of each group, without their distributions: of a long range the worst of each stretch.
async fn over_time(
    app: &Shared,
    (model, version): (&str, &str),
    (lines, room): (&[Vec<features::Line<'_>>], features::Room),
    range: Range,
) -> Result<Vec<Row>, Problem> {
    let series: Vec<(String, String)> =
        lines.iter().flat_map(|lines| lines.iter().take(room.sparks)).map(features::Line::series).collect();
    if series.is_empty() {
        return Ok(Vec::new());
    }
    let most = series.len().saturating_mul(features::SPARK_POINTS);
    let named = Named { version: version.to_owned(), series, ..Named::default() };
    Ok(series::thinned(app, model, named, range, (Detail::Line, false, move |_| most)).await?.0)
}

/// The values over time of rules that count what others estimate, behind the names of those.
async fn counted(
    app: &Shared,
    model: &str,
    version: &str,
    (pairs, range): (&[realised::Pair], Range),
) -> Result<Vec<(String, Vec<Row>)>, Problem> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let series = pairs.iter().map(|pair| (pair.rule.clone(), pair.subject.clone())).collect();
    let named = Named { version: version.to_owned(), series, ..Named::default() };
    let found = series::find(app, model, named, range, (Detail::Numbers, MOST_POINTS)).await?;
    let of = |pair: &realised::Pair| (pair.estimate.clone(), of_series(&found, &pair.rule, &pair.subject));
    Ok(pairs.iter().map(of).collect())
}

/// The rows of a rule on a subject.
fn of_series(rows: &[Row], rule: &str, subject: &str) -> Vec<Row> {
    rows.iter().filter(|row| row.is_of(rule, subject)).cloned().collect()
}

/// The range that is asked for; where nothing is kept, the last days.
async fn asked_range(app: &Shared, model: &str, asked: (Option<&str>, Option<&str>)) -> Result<Range, Problem> {
    if app.history.is_some() {
        return series::range(app, model, asked, DAYS).await;
    }
    let to_ms = (app.now_ms)();
    Ok(Range { from_ms: to_ms.saturating_sub(DAYS.saturating_mul(DAY_MS)), to_ms })
}

/// Rows of a subject in the last window of each group, which are known without a history.
async fn last_rows(app: &Shared, model: &str, version: &str, subject: &str) -> Result<Vec<Row>, Problem> {
    let policy = known_model(app, model)?.policy;
    let names = PathNames((model.to_owned(), version.to_owned()));
    let seen = explain(State(Arc::clone(app)), names).await?.0;
    let rows = seen.verdicts.iter().flat_map(|verdict| results(verdict, &policy));
    Ok(rows.filter(|row| row.of.subject == subject).collect())
}

/// The rows of a verdict's results, without its own.
fn results(verdict: &Verdict, policy: &Policy) -> impl Iterator<Item = Row> {
    rows_of(Window::of(verdict, policy)).filter(|row| row.of.metric != VERDICT && row.of.segment().is_none())
}

/// Rows of a subject with their distributions, of every rule; with `segments` those of its segments alone. Where they are more than `most`, the worst of
/// so many windows.
async fn rows(
    app: &Shared,
    (model, version, subject): (&str, &str, &str),
    range: Range,
    (segments, most): (bool, usize),
) -> Result<(Vec<Row>, usize), Problem> {
    let (version, subject) = (version.to_owned(), Some(subject.to_owned()));
    let named = Named { version, subject, segments, ..Named::default() };
    let (mut found, every) = series::thinned(app, model, named, range, (Detail::Bins, false, move |_| most)).await?;
    found.retain(|row| row.of.segment().is_some() == segments);
    Ok((found, every))
}
