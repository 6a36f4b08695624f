//! A line of the features' table: the result that a feature does worst by, and what lines are ordered by.

use crate::history::columns::Row;
use crate::http::pages::markup::share;

/// A feature of a group in its last window.
pub struct Line<'p> {
    pub row: &'p Row,
    pub importance: Option<f64>,
    pub rank: Option<f64>,
}

impl Line<'_> {
    /// The rule and the subject whose values over time the line shows.
    pub fn series(&self) -> (String, String) {
        (self.row.of.rule.clone(), self.row.of.subject.clone())
    }
}

/// How near a value is to its limit: 1 is at it, more is beyond it. `None` where either is missing or not positive.
pub fn nearness(row: &Row) -> Option<f64> {
    let (value, limit) = (row.of.value?, row.of.limit?);
    let near = match row.of.side.as_deref() {
        Some("gt" | "gte") => limit / value,
        _ => value / limit,
    };
    (near.is_finite() && value >= 0.0 && limit > 0.0).then_some(near)
}

/// The share of a line's values that are missing.
pub fn missing(line: &Line<'_>) -> Option<f64> {
    let of = &line.row.of;
    let (missing, n) = (of.missing?, of.n?);
    let all = n.saturating_add(missing).saturating_add(of.invalid.unwrap_or(0));
    Some(share(missing, all).unwrap_or(0.0))
}
