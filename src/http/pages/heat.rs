//! The distribution of a subject over time as a heat map: a column per window, a row per bin, the darker the greater the bin's share; training is on the
//! left.

use std::fmt::Write as _;

use super::markup::{escaped, time};
use crate::history::columns::Row;
use crate::history::record::Bin;

/// At most so many columns: neighbouring windows are added.
const COLUMNS: usize = 120;
const BINS: usize = 60;
/// Shares are drawn in so many steps.
const STEPS: u32 = 8;
const WIDTH: u32 = 900;
const LEFT: u32 = 110;
const ROW: u32 = 14;

/// Windows of one rule, in their order; the bins of the last one are drawn, and windows that have others are left out. Empty where there is none.
pub fn heat(title: &str, rows: &[Row], name: impl Fn(&str) -> String) -> String {
    let Some(bins) = rows.iter().rev().map(|row| &row.of.bins).find(|bins| !bins.is_empty() && bins.len() <= BINS)
    else {
        return String::new();
    };
    let alike =
        |row: &&Row| row.of.bins.len() == bins.len() && row.of.bins.iter().zip(bins).all(|(a, b)| a.name == b.name);
    let windows: Vec<&Row> = rows.iter().filter(alike).collect();
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else { return String::new() };
    let sums: Vec<Vec<u64>> =
        windows.chunks(windows.len().div_ceil(COLUMNS).max(1)).map(|chunk| added(chunk, bins.len())).collect();
    let training: Vec<u64> = bins.iter().map(|bin| bin.reference).collect();
    let columns: Vec<Vec<u32>> = std::iter::once(&training).chain(&sums).map(|counts| steps(counts)).collect();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let height = ROW * count(bins.len()) + 18;
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{}</title>\n", escaped(title));
    for (at, Bin { name: bin, .. }) in bins.iter().enumerate() {
        let shown: String = name(bin).chars().take(18).collect();
        let _ = write!(out, "<text x=\"0\" y=\"{}\">{}</text>", ROW * count(at) + 11, escaped(&shown));
    }
    let width = f64::from(WIDTH - LEFT - 30) / f64::from(count(sums.len()).max(1));
    for step in 1..=STEPS {
        let mut path = String::new();
        for (bin, _) in bins.iter().enumerate() {
            for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.get(bin) == Some(&step)) {
                let _ = column;
                // Training is apart from the windows.
                let (left, wide) = match at.checked_sub(1) {
                    None => (f64::from(LEFT), 20.0),
                    Some(at) => (f64::from(LEFT + 30) + width * f64::from(count(at)), width),
                };
                let _ = write!(path, "M{left:.1} {}h{wide:.1}v{ROW}h-{wide:.1}z", ROW * count(bin));
            }
        }
        if !path.is_empty() {
            let opacity = f64::from(step) / f64::from(STEPS);
            let _ = write!(out, "<path d=\"{path}\" fill=\"var(--window)\" fill-opacity=\"{opacity:.2}\"/>");
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{y}\">training</text><text x=\"{}\" y=\"{y}\">{}</text><text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{}</text></svg>",
        LEFT + 60,
        time(first.end_ms),
        time(last.end_ms),
        y = height - 3
    );
    out
}

/// The counts of windows together, by bin.
fn added(windows: &[&Row], bins: usize) -> Vec<u64> {
    let mut sums = vec![0_u64; bins];
    for row in windows {
        for (sum, bin) in sums.iter_mut().zip(&row.of.bins) {
            *sum = sum.saturating_add(bin.window);
        }
    }
    sums
}

/// Shares of the sum in steps; 0 is nothing. A bin that has half of the values or more is the darkest.
fn steps(counts: &[u64]) -> Vec<u32> {
    let all: u128 = counts.iter().map(|n| u128::from(*n)).sum();
    let step = |n: &u64| {
        let share = u128::from(*n) * u128::from(STEPS) * 2;
        u32::try_from(share.div_ceil(all.max(1))).unwrap_or(STEPS).min(STEPS)
    };
    counts.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::columns::rows_of;
    use crate::history::record::tests::{measured, window};

    fn row(end_ms: i64, counts: &[u64]) -> Row {
        let mut of = measured("drift/psi", "a", 0.1);
        of.bins = counts
            .iter()
            .enumerate()
            .map(|(at, n)| Bin { name: format!("le:{at}"), reference: 5, window: *n })
            .collect();
        rows_of(window("1", end_ms, vec![of])).nth(1).unwrap()
    }

    #[test]
    fn a_column_is_as_dark_as_its_shares_and_other_bins_are_left_out() {
        assert_eq!(steps(&[0, 1, 50, 49]), [0, 1, 8, 8]);
        assert_eq!((steps(&[0, 0]), steps(&[u64::MAX, u64::MAX])), (vec![0, 0], vec![8, 8]));
        let rows = [row(1, &[1, 9]), row(2, &[1, 2, 3]), row(3, &[9, 1])];
        let svg = heat("a<", &rows, str::to_owned);
        assert!(svg.contains("<title>a&lt;</title>") && svg.contains("le:1") && !svg.contains("le:2"), "{svg}");
        assert_eq!(svg.matches("v14h").count(), 6, "training and two windows of two bins: {svg}");
        let many: Vec<Row> = (0..5000).map(|at| row(at, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).collect();
        assert!(heat("t", &many, str::to_owned).len() < 60_000);
        assert_eq!(heat("t", &[], str::to_owned), "");
    }
}
