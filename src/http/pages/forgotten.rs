//! The page of a version that only the history knows: nobody registered it, and the daemon counts it no longer. The status of its groups over time, and
//! the results of their last windows.

use std::fmt::Write as _;

use super::chart;
use super::markup::{choice, escaped, number, status, subject_path, table, time, version_path};
use crate::history::DAY_MS;
use crate::history::columns::{Detail, Row, VERDICT};
use crate::http::app::Shared;
use crate::http::problem::Problem;
use crate::http::series::{self, DAYS, Named, Range};
use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::Status;

/// So many windows are looked through for the last ones.
const MOST: usize = 500_000;
/// So many results of a window are listed.
const LISTED: usize = 2000;

/// What the history has of such a version.
pub struct Found {
    /// The statuses of its groups in all windows, by group and window.
    windows: Vec<Row>,
    /// The results of each group's last window.
    last: Vec<Row>,
}

/// Looks for a version in the history; `None` where there is nothing of it.
pub async fn find(app: &Shared, model: &str, version: &str, groups: &[String]) -> Result<Option<Found>, Problem> {
    if app.history.is_none() {
        return Ok(None);
    }
    let statuses = groups.iter().map(|group| (group.clone(), String::new())).collect();
    let named = |series| Named { version: version.to_owned(), series, ..Named::default() };
    let always = Range { from_ms: 0, to_ms: i64::MAX };
    let windows = series::kept(app, model, named(statuses), always, (Detail::Numbers, MOST)).await?;
    let mut last = Vec::new();
    for of_group in windows.chunk_by(|a, b| a.group == b.group) {
        let Some(end) = of_group.last() else { continue };
        let then = Range { from_ms: end.end_ms, to_ms: end.end_ms.saturating_add(1) };
        let found = series::kept(app, model, named(Vec::new()), then, (Detail::Numbers, MOST)).await?;
        last.extend(found.into_iter().filter(|row| row.group == end.group && row.of.metric != VERDICT));
    }
    Ok((!windows.is_empty()).then_some(Found { windows, last }))
}

impl Found {
    pub fn body(&self, (model, version): (&str, &str), range: Range) -> String {
        let mut out = format!(
            "<h1>{} {} <span class=\"soft\">no stage</span></h1>\n<p class=\"notice\">Only the history has this version: it is not registered, and the \
             daemon does not count it.{}</p>\n{}",
            escaped(model),
            escaped(version),
            self.last_days(model, version),
            choice(range)
        );
        for windows in self.windows.chunk_by(|a, b| a.group == b.group) {
            let Some(group) = windows.first().map(|row| &row.group) else { continue };
            let name = escaped(group);
            let shown: Vec<(i64, Status)> = windows
                .iter()
                .map(|row| (row.end_ms, row.of.status))
                .filter(|(end, _)| (range.from_ms..range.to_ms).contains(end))
                .collect();
            let _ = writeln!(out, "<h2>{name}</h2>");
            if shown.is_empty() {
                let _ = writeln!(out, "<p class=\"soft\">No window of {name} ends in this range.</p>");
            } else {
                out.push_str(&chart::strip(&format!("status of {group} over time"), &shown, &[], range));
            }
            let last: Vec<&Row> = self.last.iter().filter(|row| row.group == *group).take(LISTED).collect();
            let Some(end) = last.first().map(|row| row.end_ms) else { continue };
            let _ = writeln!(out, "<h3>The window until {}</h3>", time(end));
            let cells = |row: &&Row| {
                let of = &row.of;
                let subject =
                    format!("<a href=\"{}\">{}</a>", subject_path(model, version, &of.subject), escaped(&of.subject));
                vec![escaped(&of.rule), subject, status(of.status), number(of.value), number(of.limit)]
            };
            let heads = ["rule", "subject", "status", "value", "limit"];
            out.push_str(&table(&format!("Results of {name}"), &heads, last.iter().map(cells)));
        }
        out
    }

    /// The days in which its last windows are.
    fn last_days(&self, model: &str, version: &str) -> String {
        let Some(end) = self.windows.iter().map(|row| row.end_ms).max() else { return String::new() };
        let from = end.saturating_sub(DAYS.saturating_mul(DAY_MS));
        format!(
            " Its last window ended at <a href=\"{}?from={}&amp;to={}\">{}</a>.",
            version_path(model, version),
            utc(from),
            utc(end.saturating_add(1)),
            time(end)
        )
    }
}
