//! The features of a group in its last window, the worst first or by a column: both distributions small, the value over time, how near it is to its limit, and
//! the share of missing values. A feature that several rules judge has the line of the one that it does worst by. Where the policy says how much features
//! matter, they are ranked by value over limit times that.

mod line;
mod order;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::bars::small;
use super::chart;
use super::markup::{escaped, number, part, status, subject_path, table};
use crate::history::columns::Row;
use crate::http::series::Range;
use driftgate_core::codec::time::utc;
use driftgate_core::judge::verdict::RuleResult;
pub use line::Line;
use line::{missing, nearness};
pub use order::Order;

/// So many lines has a page: it stays below 300 KB.
const LINES: usize = 120;
/// Of so many of them the values over time are drawn, each with about so many windows.
const SPARKS: usize = 36;
pub const SPARK_POINTS: usize = 40;

/// What is room for in each of a page's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub lines: usize,
    pub sparks: usize,
}

impl Room {
    /// By group, of those that have lines.
    pub fn of(lines: &[Vec<Line<'_>>]) -> Self {
        let tables = lines.iter().filter(|lines| !lines.is_empty()).count().max(1);
        Self { lines: LINES.div_ceil(tables), sparks: SPARKS.div_ceil(tables) }
    }
}

/// Which features are shown, and how they are ordered.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    pub order: Order,
    /// Only those whose names have this text in them, whatever its case.
    pub find: Option<String>,
}

/// The lines of a group's rows, which are those of `results`; none where no rule of the group compares distributions, or none is asked for.
pub fn lines<'p>(rows: &'p [Row], results: &[RuleResult], choice: &Choice) -> Vec<Line<'p>> {
    let judged: BTreeMap<(&str, &str), &RuleResult> =
        results.iter().map(|result| ((result.rule.as_str(), result.subject.as_str()), result)).collect();
    let wanted = choice.find.as_deref().unwrap_or_default().to_lowercase();
    let mut worst: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.of.bins.is_empty() && row.of.subject.to_lowercase().contains(&wanted)) {
        let kept = worst.entry(&row.of.subject).or_insert(row);
        if is_worse(row, kept) {
            *kept = row;
        }
    }
    let line = |row: &'p Row| {
        let result = judged.get(&(row.of.rule.as_str(), row.of.subject.as_str()));
        let importance = result.and_then(|result| result.importance());
        Line { row, importance, rank: result.filter(|_| importance.is_some()).and_then(|result| result.rank()) }
    };
    let mut lines: Vec<Line<'p>> = worst.into_values().map(line).collect();
    choice.order.sort(&mut lines);
    lines
}

/// The features of a group as a table.
pub struct Table<'p> {
    pub model: &'p str,
    pub version: &'p str,
    pub group: &'p str,
    pub lines: &'p [Line<'p>],
    pub room: Room,
    /// Windows of the first lines' rules; `None` where none are kept.
    pub over_time: Option<&'p [Row]>,
    pub range: Range,
    pub choice: &'p Choice,
}

impl Table<'_> {
    /// Empty where there are no lines.
    pub fn shown(&self) -> String {
        if self.lines.is_empty() {
            return String::new();
        }
        let is_ranked = self.lines.iter().any(|line| line.importance.is_some());
        let mut heads =
            vec![self.head("feature", Order::Name), self.head("status", Order::Worst), "training, window".to_owned()];
        heads.extend(self.over_time.map(|_| "over time".to_owned()));
        heads.extend(["rule", "value", "limit"].map(str::to_owned));
        heads.push(self.head("value of limit", Order::Near));
        heads.extend([self.head("missing", Order::Missing), self.head("values", Order::Values)]);
        if is_ranked {
            heads.extend([self.head("importance", Order::Importance), self.head("rank", Order::Rank)]);
        }
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let mut out = format!(
            "<h3>Features <span class=\"soft\">grey: training, blue: the last window; {}</span></h3>\n",
            self.choice.order.sentence(is_ranked)
        );
        let cells =
            self.lines.iter().take(self.room.lines).enumerate().map(|(at, line)| self.cells(at, line, is_ranked));
        out.push_str(&table(&format!("Features of {}", self.group), &heads, cells));
        if let Some(more) = self.lines.len().checked_sub(self.room.lines).filter(|more| *more > 0) {
            let _ = writeln!(out, "<p class=\"soft\">{more} more: search for a part of their names above.</p>");
        }
        out
    }

    fn cells(&self, at: usize, line: &Line<'_>, is_ranked: bool) -> Vec<String> {
        let of = &line.row.of;
        let name = escaped(&of.subject);
        let drawn = small(&format!("{} in training and in the last window", of.subject), &of.bins);
        let limit = of.limit.map_or_else(String::new, |limit| {
            format!("{} {}", of.side.as_deref().map_or_else(String::new, escaped), number(Some(limit)))
        });
        let mut cells = vec![
            format!("<a href=\"{}\">{name}</a>", subject_path(self.model, self.version, &of.subject)),
            status(of.status),
            drawn,
        ];
        if let Some(over_time) = self.over_time {
            // The rows are those of the first lines.
            let own = over_time.iter().filter(|row| at < self.room.sparks && row.is_of(&of.rule, &of.subject));
            let points: Vec<chart::Point> = own.map(chart::point).collect();
            let title = format!("{} of {} over time", of.rule, of.subject);
            cells.push(if points.len() > 1 { chart::tiny(&title, &points, self.range) } else { String::new() });
        }
        cells.extend([
            escaped(&of.rule),
            number(of.value),
            limit,
            nearness(line.row).map_or_else(String::new, |near| format!("{:.0}%", 100.0 * near.min(99.0))),
            missing(line).map_or_else(String::new, |share| format!("{:.1}%", 100.0 * share)),
            of.n.map_or_else(String::new, |n| n.to_string()),
        ]);
        if is_ranked {
            cells.extend([number(line.importance), number(line.rank)]);
        }
        cells
    }

    /// The head of a column that the table can be ordered by: a link that does.
    fn head(&self, text: &str, order: Order) -> String {
        if order == self.choice.order {
            return format!("{text} ↓");
        }
        let find = self.choice.find.as_deref().map_or_else(String::new, |find| format!("&amp;find={}", part(find)));
        let (from, to) = (utc(self.range.from_ms), utc(self.range.to_ms));
        format!("<a href=\"?from={from}&amp;to={to}&amp;sort={}{find}\">{text}</a>", order.name())
    }
}

/// A search by name that keeps the range and the order.
pub fn search(choice: &Choice, range: Range) -> String {
    format!(
        "<form method=\"get\" role=\"search\"><p><input type=\"hidden\" name=\"from\" value=\"{}\"><input type=\"hidden\" name=\"to\" value=\"{}\">\
         <input type=\"hidden\" name=\"sort\" value=\"{}\"><label>features named <input type=\"search\" name=\"find\" value=\"{}\"></label> \
         <button>show</button></p></form>\n",
        utc(range.from_ms),
        utc(range.to_ms),
        choice.order.name(),
        escaped(choice.find.as_deref().unwrap_or_default())
    )
}

fn is_worse(a: &Row, b: &Row) -> bool {
    let rank = |row: &Row| nearness(row).unwrap_or(-1.0);
    a.of.status.cmp(&b.of.status).then_with(|| rank(a).total_cmp(&rank(b))).is_gt()
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

    const RANGE: Range = Range { from_ms: 0, to_ms: 86_400_000 };

    fn shown(rows: &[Row], results: &[RuleResult], choice: &Choice) -> String {
        let lines = lines(rows, results, choice);
        let (over_time, range, lines) = (Some(rows), RANGE, [lines]);
        let (room, [lines]) = (Room::of(&lines), &lines);
        Table { model: "m", version: "1", group: "drift", lines, room, over_time, range, choice }.shown()
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
        let found = |order, find: Option<&str>| -> Vec<(String, String)> {
            let choice = Choice { order, find: find.map(str::to_owned) };
            lines(&rows, &[], &choice).iter().map(Line::series).collect()
        };
        let of = |rule: &str, subject: &str| (rule.to_owned(), subject.to_owned());
        let (a, b, c) = (of("drift/psi", "a<b"), of("drift/psi", "b"), of("drift/ks_p", "c"));
        assert_eq!(found(Order::Worst, None), [b.clone(), c.clone(), a.clone()]);
        assert_eq!(found(Order::Name, None), [a.clone(), b.clone(), c]);
        assert_eq!(found(Order::Near, Some("B")), [b, a]);
        let page = shown(&rows, &[], &Choice::default());
        for part in
            ["150%", "91%", "50%", "10.0%", "a&lt;b", "lt 0.2", "<svg", "status ↓", "sort=near\">value of limit"]
        {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("a<b") && !page.contains("NaN"));
        assert_eq!(shown(&[], &[], &Choice::default()), "");
        let odd = Choice { find: Some("<\"&".to_owned()), ..Choice::default() };
        assert!(!search(&odd, RANGE).contains("<\"&") && !shown(&rows, &[], &odd).contains("<\"&"));
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
        let found = |order| -> Vec<String> {
            let choice = Choice { order, find: None };
            lines(&rows, &judged, &choice).iter().map(|line| line.series().1).collect()
        };
        assert_eq!(found(Order::Worst), ["b", "a", "c"]);
        assert_eq!(
            (found(Order::Near), found(Order::Rank)),
            (["c", "a", "b"].map(str::to_owned).into(), found(Order::Importance))
        );
        let page = shown(&rows, &judged, &Choice::default());
        for part in ["ranked by value over limit times importance", ">importance<", ">0.4<", ">0.6<", ">0.3<"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
