//! The segments of a subject over time: for each rule a line per segment, with its least and greatest value, and the distribution of those that
//! fail most often; below it the numbers.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::chart::{self, Point, point};
use super::heat::heat;
use super::markup::{bin_name, escaped, number, status, table, time};
use crate::history::columns::Row;
use crate::http::series::Range;
use driftgate_core::codec::number::short;
use driftgate_core::judge::verdict::Status;

/// So many segments of a rule have their distributions drawn.
const DRAWN: usize = 3;
/// So many windows of each segment are listed.
const LISTED: usize = 10;

/// The segments in a range of time, by rule and segment, each in the order of its windows; nothing where there are none.
pub fn over_time(rows: &[Row], range: Range) -> String {
    let mut out = String::new();
    for rows in rows.chunk_by(|a, b| a.of.rule == b.of.rule) {
        let Some(first) = rows.first() else { continue };
        let mut all: Vec<&[Row]> = rows.chunk_by(|a, b| a.of.subject == b.of.subject).collect();
        all.sort_by_key(|rows| (Reverse(failing(rows)), Reverse(rows.last().map(|row| row.of.status))));
        let rule = escaped(&first.of.rule);
        let _ = writeln!(
            out,
            "<h2>{rule} by segment over time <span class=\"soft\">those that fail most often first; the dashed line is the limit</span></h2>"
        );
        let heads = ["segment", "last status", "over time", "last", "least", "greatest", "last n", "windows that fail"];
        out.push_str(&table(
            &format!("Segments of {rule} over time"),
            &heads,
            all.iter().map(|rows| cells(rows, range)),
        ));
        let with_bins = all.iter().filter(|rows| rows.iter().any(|row| !row.of.bins.is_empty()));
        for rows in with_bins.take(DRAWN) {
            let name = segment(rows);
            let title = format!("the distribution in {name}, training on the left");
            let drawn = heat(&title, rows, bin_name);
            if !drawn.is_empty() {
                let name = escaped(name);
                let _ = writeln!(out, "<h3>Distribution in {name} over time</h3>\n{drawn}");
            }
        }
        let windows = all.iter().flat_map(|rows| rows.iter().rev().take(LISTED));
        let _ = write!(
            out,
            "<details><summary>The last {LISTED} windows of each</summary>\n{}</details>\n",
            table(
                &format!("Windows of {rule} by segment"),
                &["segment", "window until", "status", "value", "bounds", "n", "reason"],
                windows.map(numbers)
            )
        );
    }
    out
}

fn segment(rows: &[Row]) -> &str {
    rows.first().and_then(|row| row.of.segment()).unwrap_or_default()
}

/// Windows that warn or block.
fn failing(rows: &[Row]) -> usize {
    rows.iter().filter(|row| matches!(row.of.status, Status::Warn | Status::Block)).count()
}

/// A segment in one line.
fn cells(rows: &[Row], range: Range) -> Vec<String> {
    let name = segment(rows);
    let points: Vec<Point> = rows.iter().map(point).collect();
    let values = || points.iter().filter_map(|point| point.value).filter(|x| x.is_finite());
    let (least, greatest) = (values().reduce(f64::min), values().reduce(f64::max));
    let drawn = if values().next().is_some() {
        chart::spark(&format!("{name} over time"), &points, range)
    } else {
        String::new()
    };
    let newest = rows.last().map(|row| &row.of);
    let n = newest.and_then(|of| of.n).map_or_else(String::new, |n| n.to_string());
    vec![
        escaped(name),
        newest.map_or_else(String::new, |of| status(of.status)),
        drawn,
        number(newest.and_then(|of| of.value)),
        number(least),
        number(greatest),
        n,
        format!("{} of {}", failing(rows), rows.len()),
    ]
}

/// A window of a segment in numbers.
fn numbers(row: &Row) -> Vec<String> {
    let of = &row.of;
    let bounds = match (of.lower, of.upper) {
        (Some(lower), Some(upper)) => format!("{} to {}", short(lower), short(upper)),
        _ => String::new(),
    };
    vec![
        escaped(of.segment().unwrap_or_default()),
        time(row.end_ms),
        status(of.status),
        number(of.value),
        bounds,
        of.n.map_or_else(String::new, |n| n.to_string()),
        of.reason.as_deref().map_or_else(String::new, escaped),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::columns::rows_of;
    use crate::history::record::Measured;
    use crate::history::record::series::joined;
    use crate::history::record::tests::{measured, window};

    fn row(segment: &str, end_ms: i64, status: Status, value: Option<f64>) -> Row {
        let mut of = measured("drift/psi", &joined("amount", segment), 0.0);
        if status == Status::Pass {
            of.bins.clear();
        }
        let of = Measured { status, value, ..of };
        rows_of(window("1", end_ms, vec![of])).nth(1).unwrap()
    }

    #[test]
    fn each_segment_has_a_line_those_that_fail_first_with_their_distribution() {
        let rows = [
            row("country=<FR>", 1, Status::Pass, Some(0.01)),
            row("country=<FR>", 2, Status::Pass, None),
            row("country=DE", 1, Status::Block, Some(0.5)),
            row("country=DE", 2, Status::Pass, Some(0.1)),
        ];
        let shown = over_time(&rows, Range { from_ms: 0, to_ms: 3 });
        let at = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text}: {shown}"));
        assert!(at("<td>country=DE</td>") < at("<td>country=&lt;FR&gt;</td>") && !shown.contains("<FR>"));
        assert!(shown.contains("<td>1 of 2</td>") && shown.contains("<td>0 of 2</td>"), "{shown}");
        assert_eq!((shown.matches("class=\"spark\"").count(), shown.matches("<h3>").count()), (2, 1), "{shown}");
        assert!(shown.contains("<details>") && !shown.contains('\u{1f}'));
        assert_eq!(over_time(&[], Range { from_ms: 0, to_ms: 3 }), "");
        let none = over_time(&[row("a", 1, Status::Insufficient, None)], Range { from_ms: 0, to_ms: 3 });
        assert!(!none.contains("class=\"spark\""), "{none}");
    }

    #[test]
    fn a_page_of_many_segments_stays_small() {
        let rows: Vec<Row> = (0..24)
            .flat_map(|at| (0..125).map(move |end| row(&format!("s{at}"), end, Status::Pass, Some(0.1))))
            .collect();
        let shown = over_time(&rows, Range { from_ms: 0, to_ms: 125 });
        assert!(shown.len() < 120_000, "{}", shown.len());
    }
}
