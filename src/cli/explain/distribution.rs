//! Two distributions beside each other as bars: the training data's and the window's, in percent. The bins that differ
//! most are marked; of many bins those are kept, and the rest is summed.

use std::fmt::Write as _;

use crate::cli::display;
use driftgate_core::codec::number::short;
use driftgate_core::judge::evidence::{Bin, BinOf};

/// Columns where the terminal does not say how many it has.
pub const WIDTH: usize = 100;
/// Rows at most, with the one that sums the rest.
const ROWS: usize = 12;
/// Bins that are marked at most.
const MARKED: usize = 3;
/// A bin is marked if its share moved by so much.
const MOVED: f64 = 0.01;
/// Characters of a label.
const LABEL: usize = 24;
/// ` 100.0% `: the text before a bar.
const PERCENT: usize = 8;
/// Characters of a bar.
const SHORTEST: usize = 5;
const LONGEST: usize = 50;

/// A bin's shares in training and in the window, from 0 to 1.
struct Row {
    label: String,
    reference: f64,
    window: f64,
    marked: bool,
}

/// The chart with its title. `bins` are as verdicts have them: `le`, `eq`, `category` or `others`, with counts.
pub fn chart(title: &str, bins: &[Bin], reference_n: Option<u64>, n: Option<u64>, width: usize) -> String {
    let rows = rows(bins);
    let label = rows.iter().map(|r| r.label.chars().count()).max().unwrap_or(0).clamp(8, LABEL);
    let bar = width.saturating_sub(label + 4 + 2 * PERCENT) / 2;
    let bar = bar.clamp(SHORTEST, LONGEST);
    let largest = rows.iter().flat_map(|r| [r.reference, r.window]).fold(0.0, f64::max);
    let of = |n: Option<u64>| n.map_or_else(String::new, |n| format!(" ({})", display::count(n)));
    let mut out = format!("{title}\n");
    let (training, window) = (format!(" training{}", of(reference_n)), format!(" window{}", of(n)));
    let _ = writeln!(out, "  {:<label$}{training:<left$}{window}", "", left = PERCENT + bar);
    for row in &rows {
        let mark = if row.marked { '*' } else { ' ' };
        let line = format!(
            "{mark} {:<label$}{}{:<bar$}{}{}",
            cut(&row.label),
            percent(row.reference),
            bars(row.reference, largest, bar),
            percent(row.window),
            bars(row.window, largest, bar),
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn percent(share: f64) -> String {
    format!(" {:>5.1}% ", share * 100.0)
}

/// A bar as long as its share of the largest one; what is there at all is at least a hair.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the bar's length")]
#[allow(clippy::cast_precision_loss, reason = "a terminal's width")]
fn bars(share: f64, largest: f64, longest: usize) -> String {
    if share <= 0.0 || largest <= 0.0 {
        return String::new();
    }
    let halves = (share / largest * longest as f64 * 2.0).round() as usize;
    match (halves / 2, halves % 2) {
        (0, 0) => "▏".to_owned(),
        (whole, 0) => "█".repeat(whole),
        (whole, _) => format!("{}▌", "█".repeat(whole)),
    }
}

fn cut(label: &str) -> String {
    if label.chars().count() <= LABEL {
        return label.to_owned();
    }
    let kept: String = label.chars().take(LABEL - 1).collect();
    format!("{kept}…")
}

fn rows(bins: &[Bin]) -> Vec<Row> {
    let total = |count: fn(&Bin) -> u64| bins.iter().map(|bin| real(count(bin))).sum::<f64>();
    let (references, windows) = (total(|bin| bin.reference), total(|bin| bin.window));
    let share = |count: f64, total: f64| if total > 0.0 { count / total } else { 0.0 };
    let mut all: Vec<Row> = Vec::new();
    let mut before = None;
    for bin in bins {
        let label = label(&bin.of, before);
        before = match bin.of {
            BinOf::Le(edge) | BinOf::Eq(edge) => edge,
            BinOf::Category(_) | BinOf::Others(_) => None,
        };
        let (reference, window) = (share(real(bin.reference), references), share(real(bin.window), windows));
        all.push(Row { label, reference, window, marked: false });
    }
    // As PSI weighs a bin; one that is empty on one side counts as half an event.
    let weight = |r: &Row| {
        let (p, q) = (r.reference.max(0.5 / references.max(1.0)), r.window.max(0.5 / windows.max(1.0)));
        (p - q) * (p / q).ln()
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    let weights: Vec<f64> = all.iter().map(weight).collect();
    let of = |i: &usize| weights.get(*i).copied().unwrap_or(0.0);
    order.sort_by(|a, b| of(b).total_cmp(&of(a)).then(a.cmp(b)));
    for at in order.iter().take(MARKED) {
        if let Some(row) = all.get_mut(*at) {
            row.marked = (row.reference - row.window).abs() >= MOVED;
        }
    }
    if all.len() <= ROWS {
        return all;
    }
    let kept: Vec<usize> = order.into_iter().take(ROWS - 1).collect();
    let mut rest =
        Row { label: format!("{} others", all.len() - kept.len()), reference: 0.0, window: 0.0, marked: false };
    let mut out = Vec::with_capacity(ROWS);
    for (at, row) in all.into_iter().enumerate() {
        if kept.contains(&at) {
            out.push(row);
        } else {
            rest.reference += row.reference;
            rest.window += row.window;
        }
    }
    out.push(rest);
    out
}

/// What a bin holds. The last numeric bin has no upper edge, so it is named by the one before it.
fn label(of: &BinOf, before: Option<f64>) -> String {
    match (of, before) {
        (BinOf::Le(Some(le)), _) => format!("<= {}", short(*le)),
        (BinOf::Le(None), Some(before)) => format!("> {}", short(before)),
        (BinOf::Le(None), None) => "any".to_owned(),
        (BinOf::Eq(Some(x)), _) => format!("= {}", short(*x)),
        (BinOf::Eq(None), _) => "infinite".to_owned(),
        (BinOf::Others(others), _) => format!("{others} more categories"),
        (BinOf::Category(Some(name)), _) if name.is_empty() => "(empty)".to_owned(),
        (BinOf::Category(Some(name)), _) => name.clone(),
        (BinOf::Category(None), _) => "(not in training)".to_owned(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn real(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(bins: impl IntoIterator<Item = Value>) -> Vec<Bin> {
        bins.into_iter().map(|bin| serde_json::from_value(bin).unwrap()).collect()
    }

    #[test]
    fn numeric_bins_stand_in_their_order() {
        let bins = [
            json!({"le": 10.0, "reference": 50, "window": 10}),
            json!({"eq": 12.0, "reference": 0, "window": 0}),
            json!({"le": 20.0, "reference": 40, "window": 10}),
            json!({"le": null, "reference": 10, "window": 80}),
        ];
        let text = chart("drift/psi temp: 1.4, limit lt 0.2", &read(bins), Some(100), Some(100), 60);
        let expected = "\
drift/psi temp: 1.4, limit lt 0.2
           training (100)          window (100)
* <= 10     50.0% ██████████        10.0% ██
  = 12       0.0%                    0.0%
* <= 20     40.0% ████████          10.0% ██
* > 20      10.0% ██                80.0% ████████████████
";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn categories_that_differ_most_are_kept() {
        let mut bins: Vec<Value> =
            (0..20).map(|i| json!({"category": format!("c{i:02}"), "reference": 50, "window": 50})).collect();
        bins.push(json!({"category": null, "reference": 0, "window": 300}));
        bins.push(json!({"others": 7, "reference": 500, "window": 100}));
        let text = chart("t", &read(bins), None, None, WIDTH);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), ROWS, "{text}");
        assert!(lines.iter().any(|l| l.starts_with("* (not in training)")), "{text}");
        assert!(lines.iter().any(|l| l.starts_with("* 7 more categories")), "{text}");
        assert!(lines.last().unwrap().starts_with("  11 others"), "{text}");
    }

    #[test]
    fn what_is_equal_is_not_marked() {
        let bins = [
            json!({"category": "a", "reference": 10, "window": 10}),
            json!({"category": "", "reference": 0, "window": 0}),
        ];
        let text = chart("t", &read(bins), None, None, WIDTH);
        assert!(!text.contains('*') && text.contains("(empty)"), "{text}");
    }

    proptest! {
        /// A chart fits its width (titles aside), has few rows, and its shares sum to 100% a side.
        #[test]
        fn it_fits(counts in prop::collection::vec((0_u64..1000, 0_u64..1000), 1..60), width in 60_usize..200) {
            let bins: Vec<Value> = counts.iter().enumerate()
                .map(|(i, (r, w))| json!({"category": format!("category number {i} {}", "x".repeat(i)), "reference": r, "window": w}))
                .collect();
            let bins = read(bins);
            let text = chart("t", &bins, Some(1), Some(1), width);
            prop_assert!(text.lines().all(|line| line.chars().count() <= width), "{}", text);
            prop_assert!(text.lines().count() <= ROWS + 2);
            let rows = rows(&bins);
            for (sum, total) in [
                (rows.iter().map(|r| r.reference).sum::<f64>(), counts.iter().map(|c| c.0).sum::<u64>()),
                (rows.iter().map(|r| r.window).sum::<f64>(), counts.iter().map(|c| c.1).sum::<u64>()),
            ] {
                let whole = if total > 0 { 1.0 } else { 0.0 };
                prop_assert!((sum - whole).abs() < 1e-9);
            }
        }
    }
}
