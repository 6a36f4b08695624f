//! Verdicts as one page in one file, which needs no network and no server: by version and group the status of each window, a line per rule for its worst
//! subject, and of the last window segments and the distributions that do not pass. Drawn by the parts of the daemon's pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::PreEscaped;

use super::bars::bars;
use super::chart::{self, Point, point};
use super::confusion::confusion;
use super::curves::curves;
use super::forest::forest;
use super::layout;
pub use super::layout::alone;
use super::markup::{bin_name, escaped, number, status, table, time};
use super::version::worst_by_rule;
use crate::history::columns::{Row, rows_of};
use crate::history::record::Window;
use crate::http::series::Range;
use driftgate_core::judge::ranking;
use driftgate_core::judge::verdict::{RuleResult, Status, Verdict};

/// Of so many results of a group's last window that do not pass the distributions are drawn.
const DISTRIBUTIONS: usize = 12;

/// The page of verdicts, in whatever order they come.
#[must_use]
pub fn report(title: &str, mut verdicts: Vec<Verdict>) -> String {
    verdicts.sort_by(|a, b| {
        (&a.model, &a.version, &a.group, a.window.end).cmp(&(&b.model, &b.version, &b.group, b.window.end))
    });
    let mut out = format!("<h1>{}</h1>\n", escaped(title));
    out.push_str(&summary(&verdicts));
    for version in verdicts.chunk_by(|a, b| (&a.model, &a.version) == (&b.model, &b.version)) {
        let Some(first) = version.first() else { continue };
        let _ = writeln!(out, "<h2>{} {}</h2>", escaped(&first.model), escaped(&first.version));
        for group in version.chunk_by(|a, b| a.group == b.group) {
            out.push_str(&of_group(group));
        }
    }
    layout::alone(title, &PreEscaped(out))
}

/// The last verdict of each group.
fn summary(verdicts: &[Verdict]) -> String {
    let mut last: BTreeMap<(&str, &str, &str), &Verdict> = BTreeMap::new();
    for verdict in verdicts {
        last.insert((&verdict.model, &verdict.version, &verdict.group), verdict);
    }
    let mut all: Vec<&Verdict> = last.into_values().collect();
    all.sort_by_key(|verdict| std::cmp::Reverse(verdict.status));
    let cells = |v: &&Verdict| {
        let mut failing: Vec<&RuleResult> = v.results.iter().filter(|r| r.status > Status::Warn).collect();
        ranking::sort(&mut failing, |result| result.rank());
        let failing: Vec<String> = failing.into_iter().take(3).map(RuleResult::sentence).collect();
        vec![
            status(v.status),
            escaped(&format!("{} {}", v.model, v.version)),
            escaped(&v.group),
            time(v.window.end),
            v.counted.predictions.to_string(),
            escaped(&failing.join("; ")),
        ]
    };
    table(
        "The last window of each group",
        &["status", "version", "group", "window until", "predictions", "why"],
        all.iter().map(cells),
    )
}

fn of_group(verdicts: &[Verdict]) -> String {
    let (Some(first), Some(last)) = (verdicts.first(), verdicts.last()) else { return String::new() };
    let mut out = format!("<h3>{} {}</h3>\n", escaped(&last.group), status(last.status));
    let range = Range { from_ms: first.window.start, to_ms: last.window.end.saturating_add(1) };
    let windows: Vec<(i64, Status)> = verdicts.iter().map(|v| (v.window.end, v.status)).collect();
    out.push_str(&chart::strip(&format!("status of {} over time", last.group), &windows, &[], range));
    let _ = writeln!(
        out,
        "<p class=\"soft\">{} windows, {} to {}</p>",
        verdicts.len(),
        time(range.from_ms),
        time(last.window.end)
    );
    let rows: Vec<Row> = verdicts.iter().flat_map(|v| rows_of(Window::bare(v))).collect();
    let cells = |(rule, worst): (&str, &RuleResult)| {
        let of = rows.iter().filter(|row| row.is_of(rule, &worst.subject));
        let points: Vec<Point> = of.map(point).collect();
        let spark = chart::spark(&format!("{rule} of {}", worst.subject), &points, range);
        vec![
            escaped(rule),
            escaped(&worst.subject),
            status(worst.status),
            number(worst.value),
            spark,
            escaped(worst.reason.as_deref().unwrap_or_default()),
        ]
    };
    let name = format!("Rules of {} of {} {}", last.group, last.model, last.version);
    out.push_str(&table(
        &name,
        &["rule", "worst subject", "status", "value", "over time", "reason"],
        worst_by_rule(last).into_iter().map(cells),
    ));
    out.push_str(&confusion(last));
    out.push_str(&curves(last));
    last.results.iter().for_each(|result| out.push_str(&forest(result)));
    let is_drawn =
        |row: &&Row| row.end_ms == last.window.end && row.of.status != Status::Pass && !row.of.bins.is_empty();
    let mut drawn: Vec<&Row> = rows.iter().filter(is_drawn).collect();
    let of = |row: &Row| last.results.iter().find(|r| row.is_of(&r.rule, &r.subject));
    ranking::sort(&mut drawn, |row| of(row).and_then(RuleResult::rank));
    for row in drawn.into_iter().take(DISTRIBUTIONS) {
        let title = format!("{} of {}: training and the last window", row.of.rule, row.of.subject);
        let _ = writeln!(out, "<h3>{} <span class=\"soft\">grey: training, blue: window</span></h3>", escaped(&title));
        out.push_str(&bars(&title, &row.of.bins, bin_name));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::status_view::{MODEL, status_view};

    #[test]
    fn a_report_is_one_page_that_asks_nobody() {
        let view = status_view();
        let versions = view.models[MODEL].versions.values();
        let verdicts: Vec<Verdict> =
            versions.flat_map(|v| v.latest().map(|v| (**v).clone()).collect::<Vec<_>>()).collect();
        let page = report("A <report>", verdicts);
        assert!(page.starts_with("<!doctype html>") && page.contains("<h1>A &lt;report&gt;</h1>"), "{page}");
        for part in [
            "<h2>credit eu 1</h2>",
            "✕ block",
            "drift/psi temp 0.31 breaks lt 0.2",
            "drift/psi of temp: training and the last window",
            "<svg",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        for word in ["<script", "href=", "src=", "http://", "https://", "<form"] {
            assert!(!page.contains(word), "{word}: {page}");
        }
        assert!(report("empty", Vec::new()).contains("<h1>empty</h1>"));
    }
}
