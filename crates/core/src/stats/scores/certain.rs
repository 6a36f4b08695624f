//! Bounds of metrics of a score at any level: of what the labelled rows were drawn from, not of the rows.

use super::super::bins::Bin;
use super::super::bounds;
use super::super::real::{length, real};
use super::{ScoreCells, loss};

/// The largest loss that a row can have, and one that a row seldom has: of a probability of 1%.
const MOST_LOSS: f64 = 36.044;
const LARGE_LOSS: f64 = 4.605_170_185_988_091;

impl ScoreCells<'_> {
    /// Where the log loss of what the rows were drawn from lies, but for a probability of at most α, each row counting as 1/φ: above the mean of
    /// losses of which none counts for more than that of a probability of 1%, less their [`bounds::spread`], and below the mean of all and theirs.
    /// `None` without a value, or with an α outside of (0, 1).
    #[must_use]
    pub fn log_loss_bounds(&self, design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
        let rows = self.n()?;
        let (n, size) = (real(rows), bounds::size(rows, design_effect));
        let (mut least, mut most) = ([0.0; 2], [0.0; 2]);
        let add = |[sum, squares]: &mut [f64; 2], count: f64, loss: f64| {
            *sum += count * loss;
            *squares += count * loss * loss;
        };
        let read = self.each_loss(loss, |count, low, high| {
            add(&mut least, count, low.min(LARGE_LOSS));
            add(&mut most, count, high);
        });
        read.ok()?;
        let of = |[sum, squares]: [f64; 2], most: f64| {
            let mean = sum / n;
            Some((mean, bounds::spread((squares / n - mean * mean).max(0.0), most, size, alpha / 2.0)?))
        };
        let ((low, below), (high, above)) = (of(least, LARGE_LOSS)?, of(most, MOST_LOSS)?);
        Some(((low - below).max(0.0), (high + above).min(MOST_LOSS)))
    }

    /// The same of the expected calibration error. It is the largest mean, over all ways to give each bin a sign, of what rows with their bin's sign differ
    /// by, `label − score`: the [`bounds::spread`] of a mean of values within [−1, 1], for each of the signs an equal part of α. The variance of
    /// each is at most the Brier score.
    #[must_use]
    pub fn ece_bounds(&self, bins: &[Bin], design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
        let size = bounds::size(self.n()?, design_effect);
        let (found, brier) = (self.ece(bins).ok()?, self.brier().ok()?);
        let signs = length(bins.len()).exp2();
        let width = bounds::spread(brier.upper, 2.0, size, alpha / signs)?;
        Some(((found.lower - width).max(0.0), (found.upper + width).min(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::bins::bins;
    use super::super::super::grid::Grid;
    use super::super::tests::{Rows, counted, reference_grid, rows, score_cells};

    /// Rows with a score whose label is drawn by it, but for every tenth, whose label is drawn by `wrong`; of a generator of whole numbers.
    fn drawn(n: u32, seed: u64, wrong: f64) -> Rows {
        let mut state = seed.wrapping_mul(2).wrapping_add(1);
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
        };
        let scores = [0.1, 0.3, 0.5, 0.7, 0.9].into_iter().cycle().zip(0..n);
        scores.map(|(score, i)| (score, uniform() < if i % 10 == 3 { wrong } else { score })).collect()
    }

    #[test]
    fn bounds_miss_what_rows_are_drawn_from_no_more_often_than_they_say() {
        let grid = Grid::from_sorted(&[0.1, 0.3, 0.5, 0.7, 0.9], None, &[]);
        let edges: Vec<(f64, bool)> = [0.1, 0.3, 0.5, 0.7, 0.9].into_iter().map(|edge| (edge, false)).collect();
        let bins = bins(&grid, &edges);
        let wrong = 0.5;
        // Of the score 0.7 every second row is drawn by `wrong`.
        let entropy = |p: f64, score: f64| -p * score.ln() - (1.0 - p) * (1.0 - score).ln();
        let expected = [0.1, 0.3, 0.5, 0.9].into_iter().map(|p| entropy(p, p)).sum::<f64>() / 5.0;
        let expected = expected + entropy(f64::midpoint(0.7, wrong), 0.7) / 5.0;
        let calibration = (0.7 - wrong) / 10.0;
        let (mut missed, mut widest) = ([0_u32; 2], [0.0_f64; 2]);
        for seed in 0..400 {
            let cells = counted(&grid, &drawn(2000, seed, wrong));
            let found = score_cells(&grid, &cells);
            let all = [
                (found.log_loss_bounds(1.0, 0.05).unwrap(), expected),
                (found.ece_bounds(&bins, 1.0, 0.05).unwrap(), calibration),
            ];
            for (at, ((lower, upper), of)) in all.into_iter().enumerate() {
                missed[at] += u32::from(of < lower || upper < of);
                widest[at] = widest[at].max(of - lower);
            }
        }
        assert!(missed.iter().all(|n| *n <= 20), "of 400 at 5%: {missed:?}");
        assert!(widest.iter().all(|width| *width < 0.15), "they tell something: {widest:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// They widen as α falls, and as rows hang together.
        #[test]
        fn bounds_hold_the_value_and_nest(reference in rows(120), window in rows(80), alpha in 1e-9..0.5_f64) {
            let (grid, edges) = reference_grid(&reference, Some(8));
            let cells = counted(&grid, &window);
            let (found, bins) = (score_cells(&grid, &cells), bins(&grid, &edges));
            let of = |effect, alpha| [found.log_loss_bounds(effect, alpha), found.ece_bounds(&bins, effect, alpha)];
            let values = [found.log_loss().unwrap(), found.ece(&bins).unwrap()];
            for (((near, far), dependent), value) in of(1.0, alpha).into_iter().zip(of(1.0, alpha / 9.0)).zip(of(3.0, alpha)).zip(values) {
                let Some(((low, high), (lower, higher))) = near.zip(far) else { continue };
                prop_assert!(lower <= low && high <= higher);
                prop_assert!(value.upper <= high + 1e-12);
                prop_assert!(low <= value.lower + 1e-12);
                prop_assert!(dependent.is_none_or(|(least, most)| least <= low && high <= most));
            }
        }
    }
}
