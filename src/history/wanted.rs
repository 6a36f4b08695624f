//! What is asked for of the history, and which rows that is: of a long range the worst window of each stretch, since no picture has room for all.

use std::collections::BTreeSet;

use super::columns::{Detail, Place, Row, settled};
use super::record::series::split;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    pub version: &'w str,
    /// `None`: of every group.
    pub group: Option<&'w str>,
    /// `group/id`; `None`: every rule.
    pub rule: Option<&'w str>,
    pub subject: Option<&'w str>,
    /// Rules with a subject each, of which the windows are asked for; none: what `rule` and `subject` say.
    pub series: &'w [(String, String)],
    /// Also the segments of subjects, each a series of its own.
    pub segments: bool,
    /// Windows whose end is in `[from_ms, to_ms)`.
    pub from_ms: i64,
    pub to_ms: i64,
    /// How much is read of each window.
    pub detail: Detail,
    /// Only windows that have a distribution; with the distributions.
    pub only_bins: bool,
    /// Of so many windows of a series, one after the other on a day, the worst is there; 1: all are.
    pub every: usize,
    /// More rows than this are an error.
    pub most: usize,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        let (version, group, rule, subject) = ("", None, None, None);
        let (segments, detail, only_bins, every, most) = (false, Detail::default(), false, 1, usize::MAX);
        Self {
            version,
            group,
            rule,
            subject,
            series: &[],
            segments,
            from_ms: 0,
            to_ms: 0,
            detail,
            only_bins,
            every,
            most,
        }
    }
}

impl Wanted<'_> {
    pub(super) fn is_named(&self, version: &str, group: &str) -> bool {
        self.version == version && self.group.is_none_or(|g| g == group)
    }

    pub(super) fn is_series(&self, rule: &str, name: &str) -> bool {
        let (subject, segment) = split(name);
        (self.segments || segment.is_none())
            && self.rule.is_none_or(|r| r == rule)
            && self.subject.is_none_or(|s| s == subject)
            && (self.series.is_empty() || self.series.iter().any(|(r, s)| r == rule && s == subject))
    }

    pub(super) fn is_place(&self, place: &Place) -> bool {
        self.is_named(&place.version, &place.group) && self.is_series(&place.rule, &place.subject)
    }

    pub(super) fn is_row(&self, row: &Row) -> bool {
        self.is_named(&row.version, &row.group)
            && self.is_series(&row.of.rule, &row.of.subject)
            && self.is_time(row.end_ms)
    }

    pub(super) fn is_time(&self, end_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&end_ms)
    }

    /// The places of the rows of a series that are to be there: the worst of each stretch in the range, the last of those alike.
    pub(super) fn chosen(&self, rows: &[Row]) -> Vec<usize> {
        let within: Vec<usize> =
            (0..).zip(rows).filter(|(_, row)| self.is_time(row.end_ms)).map(|(at, _)| at).collect();
        if self.every <= 1 {
            return within;
        }
        let status = |at: &&usize| rows.get(**at).map(|row| row.of.status);
        within.chunks(self.every).filter_map(|stretch| stretch.iter().max_by_key(status)).copied().collect()
    }

    /// Without the rows that have no distribution, where they are not asked for.
    pub(super) fn with_bins(&self, mut rows: Vec<Row>) -> Vec<Row> {
        rows.retain(|row| !self.only_bins || !row.of.bins.is_empty());
        rows
    }

    /// Rows of several series that were not read by series.
    pub(super) fn thinned(&self, rows: Vec<Row>) -> Vec<Row> {
        if self.every <= 1 {
            return self.with_bins(rows);
        }
        let rows = settled(self.with_bins(rows));
        let is_same = |a: &Row, b: &Row| {
            let (a, b) = (a.key(), b.key());
            (a.0, a.1, a.2, a.3) == (b.0, b.1, b.2, b.3)
        };
        let mut first = 0;
        let mut kept = BTreeSet::new();
        for series in rows.chunk_by(is_same) {
            kept.extend(self.chosen(series).into_iter().map(|at| first + at));
            first += series.len();
        }
        rows.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, row)| row).collect()
    }
}
