//! The features of a group in its last window, the worst first: both distributions small, how near the value is to its limit, and the share of missing
//! values. A feature that several rules judge has the line of the one that it does worst by. Where the policy says how much features matter, they are
//! ranked by value over limit times that.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chart;
use super::markup::{escaped, number, status, subject_path, table};
use crate::history::columns::Row;
use driftgate_core::judge::ranking;
use driftgate_core::judge::verdict::RuleResult;

/// So many lines: a page stays below 300 KB.
const LINES: usize = 200;
/// A distribution of more bins is not drawn.
const BINS: usize = 60;

/// A result's importance, and what it is ranked by.
#[derive(Clone, Copy)]
struct Ranked {
    importance: f64,
    rank: Option<f64>,
}

/// Those of results, by rule and subject.
struct Ranks<'r>(BTreeMap<(&'r str, &'r str), Ranked>);

impl<'r> Ranks<'r> {
    fn of(results: &'r [RuleResult]) -> Self {
        let ranked = |r: &RuleResult| Some(Ranked { importance: r.importance()?, rank: r.rank() });
        let of = |r: &'r RuleResult| Some(((r.rule.as_str(), r.subject.as_str()), ranked(r)?));
        Self(results.iter().filter_map(of).collect())
    }

    fn get(&self, row: &Row) -> Option<Ranked> {
        self.0.get(&(row.of.rule.as_str(), row.of.subject.as_str())).copied()
    }

    fn rank(&self, row: &Row) -> Option<f64> {
        self.get(row)?.rank
    }
}

/// The table of a group's rows, which are those of `results`; empty where no rule of the group compares distributions.
pub fn features((model, version): (&str, &str), group: &str, rows: &[Row], results: &[RuleResult]) -> String {
    let ranks = Ranks::of(results);
    let lines = lines(rows, &ranks);
    if lines.is_empty() {
        return String::new();
    }
    let is_ranked = !ranks.0.is_empty();
    let cells = |row: &&Row| {
        let of = &row.of;
        let name = escaped(&of.subject);
        let drawn = if of.bins.len() > BINS {
            String::new()
        } else {
            chart::small(&format!("{} in training and in the last window", of.subject), &of.bins)
        };
        let limit = of.limit.map_or_else(String::new, |limit| {
            format!("{} {}", of.side.as_deref().map_or_else(String::new, escaped), number(Some(limit)))
        });
        let mut cells = vec![
            format!("<a href=\"{}\">{name}</a>", subject_path(model, version, &of.subject)),
            status(of.status),
            drawn,
            escaped(&of.rule),
            number(of.value),
            limit,
            nearness(row).map_or_else(String::new, |near| format!("{:.0}%", 100.0 * near.min(99.0))),
            missing(row),
            of.n.map_or_else(String::new, |n| n.to_string()),
        ];
        if is_ranked {
            let shown = |x: Option<f64>| x.map_or_else(String::new, |x| number(Some(x)));
            cells.extend([shown(ranks.get(row).map(|of| of.importance)), shown(ranks.rank(row))]);
        }
        cells
    };
    let mut heads =
        vec!["feature", "status", "training, window", "rule", "value", "limit", "value of limit", "missing", "values"];
    heads.extend(is_ranked.then_some(["importance", "rank"]).into_iter().flatten());
    let order = if is_ranked { "ranked by value over limit times importance" } else { "the worst first" };
    let mut out =
        format!("<h3>Features <span class=\"soft\">grey: training, blue: the last window; {order}</span></h3>\n");
    out.push_str(&table(&format!("Features of {group}"), &heads, lines.iter().take(LINES).map(cells)));
    if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
        let _ = writeln!(out, "<p class=\"soft\">{more} more, which are better, are under All subjects.</p>");
    }
    out
}

/// Of each subject the row that is worst, of those with a distribution; what is ranked by its importance first, and then the worst.
fn lines<'r>(rows: &'r [Row], ranks: &Ranks<'_>) -> Vec<&'r Row> {
    let mut worst: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.of.bins.is_empty()) {
        let kept = worst.entry(&row.of.subject).or_insert(row);
        if is_worse(row, kept) {
            *kept = row;
        }
    }
    let mut lines: Vec<&Row> = worst.into_values().collect();
    // Stable: those that are alike stay in the order of their names.
    lines.sort_by(|a, b| is_worse(b, a).cmp(&is_worse(a, b)));
    ranking::sort(&mut lines, |row| ranks.rank(row));
    lines
}

fn is_worse(a: &Row, b: &Row) -> bool {
    let rank = |row: &Row| nearness(row).unwrap_or(-1.0);
    a.of.status.cmp(&b.of.status).then_with(|| rank(a).total_cmp(&rank(b))).is_gt()
}

/// How near a value is to its limit: 1 is at it, more is beyond it. `None` where either is missing or not positive.
fn nearness(row: &Row) -> Option<f64> {
    let (value, limit) = (row.of.value?, row.of.limit?);
    let near = match row.of.side.as_deref() {
        Some("gt" | "gte") => limit / value,
        _ => value / limit,
    };
    (near.is_finite() && value >= 0.0 && limit > 0.0).then_some(near)
}

/// The share of values that are missing.
fn missing(row: &Row) -> String {
    let (Some(missing), Some(n)) = (row.of.missing, row.of.n) else { return String::new() };
    let all = n.saturating_add(missing).saturating_add(row.of.invalid.unwrap_or(0));
    let permille = missing.saturating_mul(1000).checked_div(all).unwrap_or(0);
    format!("{}.{}%", permille / 10, permille % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::columns::rows_of;
    use crate::history::record::Measured;
    use crate::history::record::tests::{measured, window};
    use crate::http::tests::status_view;
    use driftgate_core::judge::verdict::Status;

    fn of(rule: &str, subject: &str, status: Status, (value, side, limit): (f64, &str, f64)) -> Measured {
        Measured {
            status,
            side: Some(side.to_owned()),
            limit: Some(limit),
            n: Some(90),
            missing: Some(10),
            invalid: Some(0),
            ..measured(rule, subject, value)
        }
    }

    #[test]
    fn the_worst_line_of_each_feature_comes_by_status_and_by_how_near_it_is_to_its_limit() {
        let (pass, block) = (Status::Pass, Status::Block);
        let mut bare = of("drift/rate", "z", block, (9.0, "lt", 1.0));
        bare.bins.clear();
        let results = vec![
            of("drift/psi", "a<b", pass, (0.1, "lt", 0.2)),
            of("drift/ks_p", "a<b", pass, (0.5, "gte", 0.01)),
            of("drift/psi", "b", block, (0.3, "lt", 0.2)),
            of("drift/ks_p", "c", pass, (0.011, "gte", 0.01)),
            bare,
        ];
        let rows: Vec<Row> = rows_of(window("1", 0, results)).collect();
        let found: Vec<(&str, &str)> =
            lines(&rows, &Ranks::of(&[])).iter().map(|row| (row.of.subject.as_str(), row.of.rule.as_str())).collect();
        assert_eq!(found, [("b", "drift/psi"), ("c", "drift/ks_p"), ("a<b", "drift/psi")]);
        let page = features(("m", "1"), "drift", &rows, &[]);
        for part in ["150%", "91%", "50%", "10.0%", "a&lt;b", "lt 0.2", "<svg"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("a<b") && !page.contains("NaN"));
        assert_eq!(features(("m", "1"), "drift", &[], &[]), "");
    }

    #[test]
    fn features_are_ranked_by_value_over_limit_times_importance() {
        let block = Status::Block;
        let results = vec![
            of("drift/psi", "a", block, (0.6, "lt", 0.2)),
            of("drift/psi", "b", block, (0.3, "lt", 0.2)),
            of("drift/psi", "c", block, (0.9, "lt", 0.2)),
        ];
        let rows: Vec<Row> = rows_of(window("1", 0, results)).collect();
        let judged = |subject: &str, value: f64, weight: Option<f64>| {
            let mut evidence = vec![("limit", serde_json::json!({"lt": 0.2}))];
            evidence.extend(weight.map(|weight| ("importance", weight.into())));
            status_view::result("drift/psi", "psi", subject, block, Some(value), evidence)
        };
        let judged = [judged("a", 0.6, Some(0.1)), judged("b", 0.3, Some(0.4)), judged("c", 0.9, None)];
        let found: Vec<&str> = lines(&rows, &Ranks::of(&judged)).iter().map(|row| row.of.subject.as_str()).collect();
        assert_eq!(found, ["b", "a", "c"]);
        let page = features(("m", "1"), "drift", &rows, &judged);
        for part in ["ranked by value over limit times importance", ">importance<", ">0.4<", ">0.6<", ">0.3<"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
