//! The page of a subject: its values over time by rule, and the distribution of a window beside the training snapshot's; below each picture its numbers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::band::{Banded, banded};
use super::bars::bars;
use super::by_segment::over_time;
use super::chart::{self, Point, point};
use super::heat::heat;
use super::markup::{
    NO_HISTORY, bin_name, choice, escaped, number, status, subject_path, table, tenths, time, version_path,
};
use super::segments::segments;
use super::summary::summary;
use crate::history::columns::Row;
use crate::http::series::Range;
use driftgate_core::codec::time::utc;
use driftgate_core::judge::ranking;
use driftgate_core::judge::verdict::{RuleResult, Status};

/// So many windows are in the tables of a page, and at least so many in each.
const LISTED: usize = 400;
const LISTED_EACH: usize = 20;

pub struct Page<'p> {
    pub model: &'p str,
    pub version: &'p str,
    pub subject: &'p str,
    /// Whether there is a history; without one `rows` are those of the last windows.
    pub is_kept: bool,
    pub range: Range,
    /// By rule and window.
    pub rows: &'p [Row],
    /// Of so many windows of a rule the worst is among them.
    pub every: usize,
    /// The end of the window whose distribution is shown.
    pub chosen: Option<i64>,
    pub distributions: &'p [Row],
    /// By rule that estimates a metric, the windows of one that counts it.
    pub realised: &'p [(String, Vec<Row>)],
    /// Its segments, by rule, segment and window.
    pub segments: &'p [Row],
    /// The results of the last windows that are judged by segment, behind the windows' ends.
    pub compared: &'p [(i64, &'p RuleResult)],
    /// Its results of the last windows.
    pub last: &'p [&'p RuleResult],
}

/// The range that rows end in; another one where there are none.
pub fn spanned(rows: &[Row], otherwise: Range) -> Range {
    let ends = || rows.iter().map(|row| row.end_ms);
    match (ends().min(), ends().max()) {
        (Some(from_ms), Some(to_ms)) => Range { from_ms, to_ms: to_ms.saturating_add(1) },
        _ => otherwise,
    }
}

/// The value of a row, without its limits and its status.
fn value_alone(row: &Row) -> Point {
    Point { limit: None, warn: None, status: Status::Pass, ..point(row) }
}

impl Page<'_> {
    pub fn body(&self) -> String {
        let Self { model, version, subject, range, rows, is_kept, .. } = self;
        let mut out = format!(
            "<h1>{} <span class=\"soft\">of</span> <a href=\"{}\">{} {}</a></h1>\n",
            escaped(subject),
            version_path(model, version),
            escaped(model),
            escaped(version)
        );
        if let Some(weight) = self.last.iter().find_map(|result| result.importance()) {
            let _ = writeln!(
                out,
                "<p>Importance {}. <span class=\"soft\">Rank: value over limit times importance.</span></p>",
                number(Some(weight))
            );
        }
        if *is_kept {
            out.push_str(&choice(*range));
        }
        out.push_str(&self.absence());
        if self.every > 1 {
            let _ = writeln!(
                out,
                "<p class=\"notice\">This range has more windows than a page shows: of {} windows, one after the other, the worst is here. A shorter range has all.</p>",
                self.every
            );
        }
        // What is worst now stands first; where the feature has an importance, what is ranked first.
        let mut all: Vec<&[Row]> = rows.chunk_by(|a, b| a.of.rule == b.of.rule).collect();
        all.sort_by_key(|rows| Reverse(rows.last().map(|row| row.of.status)));
        ranking::sort(&mut all, |rows| rows.last().and_then(|row| self.rank(row)));
        for series in all {
            out.push_str(&self.series(series));
        }
        out.push_str(&self.over_time());
        out.push_str(&self.distribution());
        out.push_str(&over_time(self.segments, self.range));
        out.push_str(&self.by_segment());
        out
    }

    /// What is not shown, why, and what to do about it; nothing where the range has windows.
    fn absence(&self) -> String {
        let path = subject_path(self.model, self.version, self.subject);
        let said = match (self.is_kept, self.rows.is_empty()) {
            (true, false) => return String::new(),
            (true, true) => format!(
                "No values in this range: no window of {} ends in it. Choose another range, or see \
                 <a href=\"{path}\">the newest days</a>.",
                escaped(self.subject)
            ),
            (false, false) => {
                format!("{NO_HISTORY}. These are the results of the last window of each group.")
            }
            (false, true) => format!(
                "{NO_HISTORY}. The last windows have no result of {}: the policy has no rule on it, or no window was judged yet.",
                escaped(self.subject)
            ),
        };
        format!("<p class=\"notice\">{said}</p>\n")
    }

    /// The segments of the last windows, where a rule judges them.
    fn by_segment(&self) -> String {
        let mut out = String::new();
        for (end, result) in self.compared {
            let shown = segments(result);
            if !shown.is_empty() {
                let _ = write!(out, "<h2>By segment in the window until {}</h2>\n{shown}", time(*end));
            }
        }
        out
    }

    /// What the last window's result of a row's rule is ranked by.
    fn rank(&self, row: &Row) -> Option<f64> {
        self.last.iter().find(|result| result.rule == row.of.rule)?.rank()
    }

    /// Whether a rule's distributions are those of its worst segment, another one in each window.
    fn is_by_segment(&self, row: &Row) -> bool {
        self.compared.iter().any(|(_, result)| result.rule == row.of.rule)
    }

    /// The segment whose distribution a row has, behind its name; nothing of a rule that judges all values together.
    fn of_segment(&self, row: &Row) -> String {
        let known = self.compared.iter().find(|(end, result)| *end == row.end_ms && result.rule == row.of.rule);
        match known.and_then(|(_, result)| result.read::<String>("segment")) {
            Some(segment) => format!(" in its worst segment, {}", escaped(&segment)),
            None if self.is_by_segment(row) => " in its worst segment".to_owned(),
            None => String::new(),
        }
    }

    /// The distributions of the range, of the first rule that has any: of all values, if there is one.
    fn over_time(&self) -> String {
        let with_bins = |rows: &&[Row]| rows.iter().any(|row| !row.of.bins.is_empty());
        let all = || self.rows.chunk_by(|a, b| a.of.rule == b.of.rule).filter(with_bins);
        let of_all = all().find(|rows| rows.iter().all(|row| !self.is_by_segment(row)));
        let Some(rows) = of_all.or_else(|| all().next()) else {
            return String::new();
        };
        let whose = if of_all.is_none() { " in the worst segment of each window" } else { "" };
        let title = format!("the distribution of {}{whose} over time, training on the left", self.subject);
        let drawn = heat(&title, rows, bin_name);
        if drawn.is_empty() {
            return drawn;
        }
        format!(
            "<h2>Distribution{whose} over time <span class=\"soft\">the darker, the more values; training on the left</span></h2>\n{drawn}"
        )
    }

    fn series(&self, rows: &[Row]) -> String {
        let Some(last) = rows.last() else { return String::new() };
        let rule = escaped(&last.of.rule);
        let limit = last.of.limit.map_or_else(String::new, |limit| {
            format!("{} {}", last.of.side.as_deref().map_or_else(|| "limit".to_owned(), escaped), number(Some(limit)))
        });
        let warn = last.of.warn.map_or_else(String::new, |warn| format!(", warn {}", number(Some(warn))));
        let rank = self.rank(last).map_or_else(String::new, |rank| format!(", rank {}", number(Some(rank))));
        let limits = format!("{limit}{warn}{rank}");
        let title = format!("{} of {} over time: {limits}", last.of.rule, self.subject);
        let Banded { points, legend: shaded } = banded(rows, |row| !self.is_by_segment(row));
        let realised = self.realised.iter().find(|(estimate, _)| *estimate == last.of.rule);
        let realised = realised.map_or(&[][..], |(_, rows)| rows);
        let counted: Vec<Point> = realised.iter().map(value_alone).collect();
        let legend = realised.first().map_or_else(String::new, |row| {
            format!(
                "<p class=\"soft\">Blue: the estimate, grey: what {} counted once labels came.</p>\n",
                escaped(&row.of.rule)
            )
        });
        let mut out = format!("<h2>{rule} {} <span class=\"soft\">{limits}</span></h2>\n", status(last.of.status));
        if points.iter().chain(&counted).any(|point| point.value.is_some()) {
            out.push_str(&legend);
            out.push_str(&shaded.map_or_else(String::new, |said| format!("<p class=\"soft\">{said}</p>\n")));
            out.push_str(&chart::line(&title, &points, &counted, self.range));
        } else {
            out.push_str("<p class=\"soft\">None of these windows has a value; the table says why.</p>\n");
        }
        out.push_str(&self.windows(rows, realised));
        out
    }

    /// The windows of a rule as a table, beside what was realised of them.
    fn windows(&self, rows: &[Row], realised: &[Row]) -> String {
        let rule = rows.last().map_or("", |last| last.of.rule.as_str());
        let series = self.rows.chunk_by(|a, b| a.of.rule == b.of.rule).count().max(2);
        let most = (LISTED / series).max(LISTED_EACH);
        let then: BTreeMap<(i64, i64), Option<f64>> =
            realised.iter().map(|row| ((row.start_ms, row.end_ms), row.of.value)).collect();
        let cells = |row: &Row| {
            let of = &row.of;
            let bounds = match (of.lower, of.upper) {
                (None, None) => String::new(),
                (lower, upper) => format!("{} to {}", number(lower), number(upper)),
            };
            let n = of.n.map_or_else(String::new, |n| n.to_string());
            let reason = of.reason.as_deref().map_or_else(String::new, escaped);
            let end = format!("<a href=\"{}\">{}</a>", self.window_path(row.end_ms), time(row.end_ms));
            let mut cells = vec![end, status(of.status), number(of.value), bounds];
            if !realised.is_empty() {
                cells.push(number(then.get(&(row.start_ms, row.end_ms)).copied().flatten()));
            }
            cells.extend([number(of.limit), number(of.warn), n, reason]);
            cells
        };
        let mut heads = vec!["window until", "status", "value", "bounds"];
        if !realised.is_empty() {
            heads.push("realised");
        }
        heads.extend(["limit", "warn", "n", "reason"]);
        let mut out = table(&format!("Windows of {rule}"), &heads, rows.iter().rev().take(most).map(cells));
        if rows.len() > most {
            let _ = writeln!(
                out,
                "<p class=\"soft\">The last {most} of {} windows; the API has all of them.</p>",
                rows.len()
            );
        }
        out
    }

    /// This page with another window's distribution.
    fn window_path(&self, end_ms: i64) -> String {
        let path = subject_path(self.model, self.version, self.subject);
        let (from, to) = (utc(self.range.from_ms), utc(self.range.to_ms));
        format!("{path}?from={from}&amp;to={to}&amp;window={}#distribution", utc(end_ms))
    }

    fn distribution(&self) -> String {
        let with_bins = || self.distributions.iter().filter(|row| !row.of.bins.is_empty());
        let Some(row) = with_bins().find(|row| !self.is_by_segment(row)).or_else(|| with_bins().next()) else {
            return match self.chosen {
                Some(end) => format!("<p class=\"soft\">The window until {} has no distribution.</p>\n", time(end)),
                None => String::new(),
            };
        };
        let (of, window) = (&row.of, format!("{} to {}", time(row.start_ms), time(row.end_ms)));
        let whose = self.of_segment(row);
        let mut out = format!("<h2 id=\"distribution\">Distribution of the window {window}{whose}</h2>\n");
        let count = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} values, {} missing, {} invalid; {} training rows. Grey: training, blue: window.</p>",
            count(of.n),
            count(of.missing),
            count(of.invalid),
            count(of.reference_n)
        );
        out.push_str(&bars(&format!("{} in training and in the window {window}", self.subject), &of.bins, bin_name));
        out.push_str(&summary(&of.bins));
        let all = |of_bin: fn(&crate::history::record::Bin) -> u64| of.bins.iter().map(of_bin).sum::<u64>();
        let sums = (all(|b| b.reference), all(|b| b.window));
        let share = |n: u64, sum: u64| format!("{n} ({})", tenths(n, sum));
        let cells = |bin: &crate::history::record::Bin| {
            vec![escaped(&bin_name(&bin.name)), share(bin.reference, sums.0), share(bin.window, sums.1)]
        };
        out.push_str(&table("Bins", &["bin", "training", "window"], of.bins.iter().map(cells)));
        out
    }
}
