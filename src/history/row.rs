//! A row of the history: a window of one series. Rows are ordered by series and end, and there is one of each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

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

    /// Whether it is of a rule on a subject.
    #[must_use]
    pub fn is_of(&self, rule: &str, subject: &str) -> bool {
        self.of.rule == rule && self.of.subject == subject
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
    let of_all = window.results.iter().filter(|result| result.segment().is_none());
    let status = of_all.map(|result| result.status).max().unwrap_or(Status::Pass);
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

/// Orders rows; of those of one series and window the last one stays: a window that was judged again, or delivered twice. Names are compared once
/// for each stretch of a series, and each row is moved once.
#[must_use]
pub fn settled(rows: Vec<Row>) -> Vec<Row> {
    let mut order = order(&rows);
    order.sort_unstable();
    order.dedup_by_key(|(series, end_ms, _)| (*series, *end_ms));
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, _, Reverse(at))| rows.get_mut(at)?.take()).collect()
}

/// The place of each row's series among all series, its end, and where it is: of those alike the last one comes first.
fn order(rows: &[Row]) -> Vec<(usize, i64, Reverse<usize>)> {
    type Name<'r> = (&'r str, &'r str, &'r str, &'r str);
    let mut numbers: BTreeMap<Name<'_>, usize> = BTreeMap::new();
    let mut of_rows: Vec<usize> = Vec::with_capacity(rows.len());
    let mut before: Option<(Name<'_>, usize)> = None;
    for row in rows {
        let (version, group, rule, subject, _) = row.key();
        let name = (version, group, rule, subject);
        let number = match before {
            Some((same, number)) if same == name => number,
            _ => {
                let next = numbers.len();
                *numbers.entry(name).or_insert(next)
            }
        };
        before = Some((name, number));
        of_rows.push(number);
    }
    let mut ranks = vec![0; numbers.len()];
    for (rank, number) in numbers.values().enumerate() {
        if let Some(of) = ranks.get_mut(*number) {
            *of = rank;
        }
    }
    let series = of_rows.iter().map(|number| ranks.get(*number).copied().unwrap_or_default());
    series.zip(rows).enumerate().map(|(at, (rank, row))| (rank, row.end_ms, Reverse(at))).collect()
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
    /// Whether any of them has a distribution; `None` where the file does not say.
    #[serde(default)]
    pub bins: Option<bool>,
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
                last.bins = Some(last.bins == Some(true) || !row.of.bins.is_empty());
            }
            _ => found.push(Place {
                version: version.to_owned(),
                group: group.to_owned(),
                rule: rule.to_owned(),
                subject: subject.to_owned(),
                first: at,
                rows: 1,
                bins: Some(!row.of.bins.is_empty()),
            }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::{measured, window};
    use super::*;

    proptest! {
        /// As a stable sort by the whole key, of which the last one of those alike stays.
        #[test]
        fn settled_rows_are_sorted_and_the_last_of_those_alike_stays(
            drawn in prop::collection::vec((0_i64..4, 0_u8..2, 0_u8..3), 0..60)
        ) {
            let rows: Vec<Row> = drawn
                .iter()
                .zip(0..)
                .flat_map(|((end_ms, version, subject), value)| {
                    let of = measured("drift/psi", &subject.to_string(), f64::from(value));
                    rows_of(window(&version.to_string(), *end_ms, vec![of]))
                })
                .collect();
            let mut sorted = rows.clone();
            sorted.reverse();
            sorted.sort_by(|a, b| a.key().cmp(&b.key()));
            sorted.dedup_by(|next, kept| next.key() == kept.key());
            prop_assert_eq!(settled(rows), sorted);
        }
    }
}
