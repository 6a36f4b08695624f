//! The band that a chart shows behind a rule's values: where PSI lies without drift, and of other rules the bounds of each value.

use std::collections::BTreeMap;

use super::chart::{Point, point};
use crate::history::columns::Row;
use driftgate_core::stats::chi2::chi2_isf;
use driftgate_core::stats::psi::null_scale;

/// Of windows without drift so many lie below the band, and as many above it.
const TAIL: f64 = 0.025;

/// Windows of one rule as they are drawn, and what the band behind them is; nothing where they have none.
pub struct Banded {
    pub points: Vec<Point>,
    pub legend: Option<&'static str>,
}

/// `is_whole` says whether a row's distribution is that of all of its values.
pub fn banded(rows: &[Row], is_whole: impl Fn(&Row) -> bool) -> Banded {
    // The quantiles of χ² by bins: they take long, and windows have the same bins.
    let mut quantiles: BTreeMap<usize, Option<(f64, f64)>> = BTreeMap::new();
    let mut legend = None;
    let mut of = |row: &Row| {
        let is_psi = row.of.metric == "psi";
        let band = if is_psi && is_whole(row) {
            let bins = row.of.bins.len();
            let of_bins = *quantiles.entry(bins).or_insert_with(|| {
                let freedom = u64::try_from(bins).ok()?.checked_sub(1).filter(|freedom| *freedom > 0)?;
                Some((chi2_isf(1.0 - TAIL, freedom)?, chi2_isf(TAIL, freedom)?))
            });
            let scale = row.of.n.zip(row.of.reference_n).and_then(|(n, m)| null_scale(n, m));
            of_bins.zip(scale).map(|((low, high), scale)| (low * scale, high * scale))
        } else if is_psi {
            None
        } else {
            row.of.lower.zip(row.of.upper)
        };
        if band.is_some() {
            let without_drift = "Shaded: where 95 of 100 windows of this size lie without drift.";
            legend = Some(if is_psi { without_drift } else { "Shaded: the bounds of each value." });
        }
        Point { band, ..point(row) }
    };
    let points = rows.iter().map(&mut of).collect();
    Banded { points, legend }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::columns::rows_of;
    use crate::history::record::tests::{measured, window};

    #[test]
    fn psi_has_the_band_of_its_sizes_and_other_rules_have_their_bounds() {
        let mut rate = measured("quality/recall", "decision", 0.5);
        (rate.metric, rate.lower, rate.upper) = ("recall".into(), Some(0.4), Some(0.6));
        let of = |measured| rows_of(window("1", 1, vec![measured])).skip(1).collect::<Vec<Row>>();
        let found = banded(&of(rate), |_| true);
        assert_eq!((found.points[0].band, found.legend), (Some((0.4, 0.6)), Some("Shaded: the bounds of each value.")));
        // Two bins: χ²(1) lies between 0.000982 and 5.0239 in 95 of 100 (scipy.stats.chi2.ppf), at 1/600 + 1/1000.
        let psi = of(measured("drift/psi", "a", 0.1));
        let (low, high) = banded(&psi, |_| true).points[0].band.unwrap();
        let scale = 1.0 / 600.0 + 1.0 / 1000.0;
        assert!((low / scale - 0.000_982_07).abs() < 1e-7 && (high / scale - 5.023_886).abs() < 1e-5, "{low} {high}");
        assert!(banded(&psi, |_| false).legend.is_none(), "the bins are those of a segment");
        let mut empty = psi;
        empty[0].of.n = None;
        assert!(banded(&empty, |_| true).points[0].band.is_none());
    }
}
