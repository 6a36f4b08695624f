//! Results over time from the history: series of values, and distributions. A process of a cluster that does not own the ledger sends the
//! question to the one that does, which writes the history.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::app::{Shared, in_turn, known_model};
use super::lookup::{look, pick};
use super::problem::{Parameters, PathNames, Problem};
use super::slots::Kind;
use super::standby;
use crate::api::{self, DistributionsQuery, SeriesQuery};
use crate::history::columns::{self, Detail, Row};
use crate::history::record::Bin;
use crate::history::record::series::split;
use crate::history::{DAY_MS, Found, HistoryError, Reader, Wanted, time_of};
use crate::view::failing::Part;
use driftgate_core::codec::time::utc;

/// At most so many points are in an answer, or windows with distributions; and rows in a file.
const MOST_POINTS: usize = 100_000;
const MOST_WINDOWS: usize = 10_000;
const MOST_ROWS: usize = 500_000;
/// Where there are more windows with distributions than an answer has, so many are left: what a picture shows.
const DRAWN: usize = 1000;

/// Days that are answered unless something else is asked for.
pub const DAYS: i64 = 7;

/// A range of time in ms: ends of windows, `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// What is asked for by name.
#[derive(Clone, Debug, Default)]
pub struct Named {
    pub version: String,
    pub rule: Option<String>,
    pub subject: Option<String>,
    /// Also the segments of subjects.
    pub segments: bool,
    /// Rules with a subject each; none: what `rule` and `subject` say.
    pub series: Vec<(String, String)>,
}

/// GET /api/v1/models/{model}/versions/{version}/series
pub(super) async fn series(
    State(app): State<Shared>,
    uri: Uri,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(query): Parameters<SeriesQuery>,
) -> Result<Response, Problem> {
    if let Some(response) = elsewhere(&app, &uri) {
        return Ok(response);
    }
    let is_file = match query.format.as_deref() {
        None | Some("json") => false,
        Some("parquet") => true,
        Some(other) => return Err(Problem::bad_request(format!("format is {other:?}; it can be json or parquet"))),
    };
    let asked = (query.from.as_deref(), query.to.as_deref());
    let range = range(&app, &model, asked, DAYS).await?;
    let segments = query.segments.unwrap_or(is_file);
    let named =
        Named { version: version.clone(), rule: query.rule, subject: query.subject, segments, ..Named::default() };
    let (detail, most) = if is_file { (Detail::Bins, MOST_ROWS) } else { (Detail::Numbers, MOST_POINTS) };
    let rows = find(&app, &model, named, range, (detail, most)).await?;
    if is_file {
        let written = in_turn(&app, Kind::Read, move |_| {
            let mut bytes = Vec::new();
            columns::write(&model, &rows, &mut bytes).map(|()| bytes)
        });
        let bytes = written.await?.map_err(Problem::internal)?;
        return Ok(([(CONTENT_TYPE, "application/vnd.apache.parquet")], bytes).into_response());
    }
    let found =
        api::SeriesFound { model, version, from: utc(range.from_ms), to: utc(range.to_ms), series: grouped(&rows) };
    Ok(Json(found).into_response())
}

/// GET /api/v1/models/{model}/versions/{version}/distributions
pub(super) async fn distributions(
    State(app): State<Shared>,
    uri: Uri,
    PathNames((model, version)): PathNames<(String, String)>,
    Parameters(query): Parameters<DistributionsQuery>,
) -> Result<Response, Problem> {
    if let Some(response) = elsewhere(&app, &uri) {
        return Ok(response);
    }
    let Some(subject) = query.subject else {
        return Err(Problem::bad_request("subject is missing: name a feature, or score"));
    };
    let range = range(&app, &model, (query.from.as_deref(), query.to.as_deref()), 1).await?;
    let named =
        Named { version: version.clone(), rule: query.rule, subject: Some(subject.clone()), ..Named::default() };
    let most = match query.most {
        Some(most) if most == 0 || most > MOST_WINDOWS => {
            return Err(Problem::bad_request(format!("most is {most}; it can be 1 to {MOST_WINDOWS}")));
        }
        most => most,
    };
    let fits = move |windows: usize| most.unwrap_or(if windows > MOST_WINDOWS { DRAWN } else { MOST_WINDOWS });
    let (rows, every) = thinned(&app, &model, named, range, (Detail::Bins, true, fits)).await?;
    let distributions = rows.iter().filter(|row| !row.of.bins.is_empty()).map(distribution).collect();
    let (from, to) = (utc(range.from_ms), utc(range.to_ms));
    Ok(Json(api::DistributionsFound { model, version, subject, from, to, every, distributions }).into_response())
}

/// The answer of a process that does not write the history of its cluster; `None` where this one answers.
pub(super) fn elsewhere(app: &Shared, uri: &Uri) -> Option<Response> {
    let view = app.view.read();
    // A command on the folder itself asks nobody.
    if view.failing.contains_key(&Part::Daemon) {
        return None;
    }
    let cluster = view.cluster.as_ref().filter(|cluster| !cluster.owns())?;
    Some(standby::elsewhere(cluster, uri))
}

fn reader(app: &Shared) -> Result<Reader, Problem> {
    app.history.clone().ok_or_else(|| {
        Problem::not_found(
            "no results over time are kept: the configuration says `history: none`, or this is no daemon",
        )
    })
}

/// The range that is asked for: up to the newest window, and so many days, unless something else is said.
pub(super) async fn range(
    app: &Shared,
    model: &str,
    (from, to): (Option<&str>, Option<&str>),
    days: i64,
) -> Result<Range, Problem> {
    known_model(app, model)?;
    let reader = reader(app)?;
    let to_ms = if let Some(text) = to {
        time("to", text)?
    } else {
        let model = model.to_owned();
        let newest = in_turn(app, Kind::Read, move |_| reader.newest(&model)).await?.map_err(problem)?;
        newest.unwrap_or_else(|| (app.now_ms)()).saturating_add(1)
    };
    let from_ms = match from {
        Some(text) => time("from", text)?,
        None => to_ms.saturating_sub(days.saturating_mul(DAY_MS)),
    };
    if from_ms >= to_ms {
        return Err(Problem::bad_request(format!("from ({}) is not before to ({})", utc(from_ms), utc(to_ms))));
    }
    Ok(Range { from_ms, to_ms })
}

/// A time: RFC 3339, or the beginning of a date or minute in UTC.
pub(super) fn time(key: &str, text: &str) -> Result<i64, Problem> {
    let minutes = (text.len() == 16).then(|| format!("{text}:00Z"));
    time_of(minutes.as_deref().unwrap_or(text)).ok_or_else(|| {
        Problem::bad_request(format!(
            "{key} is {text:?}; it can be a time such as 2026-11-28T06:00:00Z, or a date such as 2026-11-28"
        ))
    })
}

/// The rows of a range. Where there are none, the version has to be known.
pub(super) async fn find(
    app: &Shared,
    model: &str,
    named: Named,
    range: Range,
    (detail, most): (Detail, usize),
) -> Result<Found, Problem> {
    let version = named.version.clone();
    let rows = kept(app, model, named, range, (detail, most)).await?;
    is_known(app, model, &version, &rows).await?;
    Ok(rows)
}

/// The rows of a range, of whatever version.
pub(super) async fn kept(
    app: &Shared,
    model: &str,
    named: Named,
    range: Range,
    (detail, most): (Detail, usize),
) -> Result<Found, Problem> {
    let (reader, of) = (reader(app)?, model.to_owned());
    let found = in_turn(app, Kind::Read, move |_| reader.find(&of, &Wanted { detail, most, ..wanted(&named, range) }));
    found.await?.map_err(problem)
}

/// The same, and of so many windows, one after the other, the worst: as few that no more are left than fit, of all that there are. With `only_bins`
/// those that have a distribution.
pub(super) async fn thinned(
    app: &Shared,
    model: &str,
    named: Named,
    range: Range,
    (detail, only_bins, fits): (Detail, bool, impl FnOnce(usize) -> usize + Send + 'static),
) -> Result<(Found, usize), Problem> {
    let (reader, of) = (reader(app)?, model.to_owned());
    let version = named.version.clone();
    let found = in_turn(app, Kind::Read, move |_| {
        let wanted = Wanted { detail, only_bins, ..wanted(&named, range) };
        let windows = reader.windows(&of, &wanted)?;
        let every = windows.div_ceil(fits(windows).max(1)).max(1);
        reader.find(&of, &Wanted { every, ..wanted }).map(|rows| (rows, every))
    });
    let (rows, every) = found.await?.map_err(problem)?;
    is_known(app, model, &version, &rows).await?;
    Ok((rows, every))
}

fn wanted(named: &Named, range: Range) -> Wanted<'_> {
    Wanted {
        version: &named.version,
        rule: named.rule.as_deref(),
        subject: named.subject.as_deref(),
        series: &named.series,
        segments: named.segments,
        from_ms: range.from_ms,
        to_ms: range.to_ms,
        ..Wanted::default()
    }
}

/// Refuses a version without rows that is not known. Versions that only events name are not known where no daemon counts.
async fn is_known(app: &Shared, model: &str, version: &str, rows: &[Row]) -> Result<(), Problem> {
    if rows.is_empty() && !app.view.read().failing.contains_key(&Part::Daemon) {
        let (seen, records) = look(app, model).await?;
        pick(model, version, &seen, &records)?;
    }
    Ok(())
}

fn problem(error: HistoryError) -> Problem {
    match error {
        HistoryError::TooMany { .. } => Problem::bad_request(error.to_string()),
        other => Problem::internal(other),
    }
}

/// Rows by series.
fn grouped(rows: &[Row]) -> Vec<api::Series> {
    let mut all: Vec<api::Series> = Vec::new();
    for row in rows {
        let (subject, segment) = split(&row.of.subject);
        let is_it = |last: &api::Series| {
            (&*last.rule, &*last.subject, last.segment.as_deref()) == (&*row.of.rule, subject, segment)
        };
        if !all.last().is_some_and(is_it) {
            all.push(api::Series {
                group: row.group.clone(),
                rule: row.of.rule.clone(),
                metric: row.of.metric.clone(),
                subject: subject.to_owned(),
                segment: segment.map(str::to_owned),
                points: Vec::new(),
            });
        }
        all.iter_mut().last().into_iter().for_each(|series| series.points.push(point(row)));
    }
    all
}

fn point(row: &Row) -> api::Point {
    let of = &row.of;
    api::Point {
        start: utc(row.start_ms),
        end: utc(row.end_ms),
        complete: row.complete,
        stage: row.stage.clone(),
        status: of.status,
        value: of.value,
        lower: of.lower,
        upper: of.upper,
        limit: of.limit,
        side: of.side.clone(),
        warn: of.warn,
        n: of.n,
        reason: of.reason.clone(),
        pending: of.pending,
        muted: of.muted,
    }
}

fn distribution(row: &Row) -> api::series::WindowDistribution {
    let of = &row.of;
    api::series::WindowDistribution {
        rule: of.rule.clone(),
        start: utc(row.start_ms),
        end: utc(row.end_ms),
        complete: row.complete,
        status: of.status,
        value: of.value,
        n: of.n,
        missing: of.missing,
        invalid: of.invalid,
        reference_n: of.reference_n,
        bins: of.bins.iter().map(Bin::as_in_a_verdict).collect(),
    }
}
