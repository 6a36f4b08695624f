//! A row of the history: a window of one series. Rows are ordered by series and end, and there is one of each.

use serde::{Deserialize, Serialize};

use super::record::{Measured, Window};
use driftgate_core::judge::verdict::Status;

/// A window of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub version: String,
    pub stage: Option<String>,
    pub group: String,
    pub start_ms: i64,
    pub end_ms: i64,
    pub complete: bool,
    pub predictions: u64,
    pub labels: u64,
    pub of: Measured,
}

impl Row {
    /// What rows are ordered by, and of what there is one.
    #[must_use]
    pub fn key(&self) -> (&str, &str, &str, &str, i64) {
        (&self.version, &self.group, &self.of.rule, &self.of.subject, self.end_ms)
    }
}

/// The metric of the row that stands for all results of a window, under the group's name as its rule and without a subject.
pub const VERDICT: &str = "verdict";

/// What such a row has.
#[must_use]
pub fn verdict_of(group: &str, status: Status) -> Measured {
    Measured { rule: group.to_owned(), metric: VERDICT.to_owned(), status, ..Measured::nothing() }
}

/// The rows of a window: its status, then its results.
pub fn rows_of(window: Window) -> impl Iterator<Item = Row> {
    let status = window.results.iter().map(|result| result.status).max().unwrap_or(Status::Pass);
    let of_all = verdict_of(&window.group, status);
    let Window { version, stage, group, start_ms, end_ms, complete, predictions, labels, results } = window;
    std::iter::once(of_all).chain(results).map(move |of| Row {
        version: version.clone(),
        stage: stage.clone(),
        group: group.clone(),
        start_ms,
        end_ms,
        complete,
        predictions,
        labels,
        of,
    })
}

/// Orders rows; of those of one series and window the last one stays: a window that was judged again, or delivered twice.
#[must_use]
pub fn settled(mut rows: Vec<Row>) -> Vec<Row> {
    rows.reverse();
    rows.sort_by(|a, b| a.key().cmp(&b.key()));
    rows.dedup_by(|next, kept| next.key() == kept.key());
    rows
}

/// Where the rows of a series are in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub version: String,
    pub group: String,
    pub rule: String,
    pub subject: String,
    pub first: usize,
    pub rows: usize,
}

/// The series of rows that are settled.
#[must_use]
pub fn places(rows: &[Row]) -> Vec<Place> {
    let mut found: Vec<Place> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let (version, group, rule, subject, _) = row.key();
        match found.last_mut() {
            Some(last)
                if (&*last.version, &*last.group, &*last.rule, &*last.subject) == (version, group, rule, subject) =>
            {
                last.rows += 1;
            }
            _ => found.push(Place {
                version: version.to_owned(),
                group: group.to_owned(),
                rule: rule.to_owned(),
                subject: subject.to_owned(),
                first: at,
                rows: 1,
            }),
        }
    }
    found
}
