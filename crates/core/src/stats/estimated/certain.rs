//! Bounds of an estimate at any level: of what the scores were drawn from, under the same calibration.

use super::super::bounds;
use super::super::real::real;
use super::{Cell, Expected, Metric};

/// An interval.
type Ends = (f64, f64);

impl Expected {
    /// Bounds at any level of a metric. Of a metric of decisions each sum that it is made of is a mean of values within [0, 1], and they share α; of the
    /// area under the curve see [`Self::auc_bounds`]. Each row counts as 1/φ. `None` without a value, or with an α outside of (0, 1).
    #[must_use]
    pub fn bounds(&self, metric: Metric, design_effect: f64, alpha: f64) -> Option<Ends> {
        let (n, size) = (real(self.n), bounds::size(self.n, design_effect));
        let decided: f64 = self.cells.iter().filter(|cell| cell.is_positive).map(|cell| cell.rows).sum();
        let ([tp, _, most_tp], [missed, _, most_missed]) = (self.positives(true), self.positives(false));
        // Of sums over so many rows, which count as `size`.
        let mean = |(least, most): Ends, rows: f64, size: f64, alpha: f64| {
            let of = |sum: f64| bounds::mean((sum / rows).clamp(0.0, 1.0), size, alpha);
            Some((of(least)?.0, of(most)?.1))
        };
        let over = |part: f64, rest: f64| if part + rest > 0.0 { part / (part + rest) } else { 0.0 };
        match metric {
            Metric::Auc => self.auc_bounds(size, alpha),
            Metric::Accuracy => {
                let right = (tp + n - decided - most_missed, most_tp + n - decided - missed);
                mean(right, n, size, alpha)
            }
            // Of the rows that are decided positively.
            Metric::Precision => mean((tp, most_tp), decided, size * decided / n, alpha),
            Metric::Recall => {
                let (found, missed) =
                    (mean((tp, most_tp), n, size, alpha / 2.0)?, mean((missed, most_missed), n, size, alpha / 2.0)?);
                Some((over(found.0, missed.1), over(found.1, missed.0)))
            }
            Metric::F1 => {
                // 2·TP/(2·TP + wrong).
                let wrong = (decided - most_tp + missed, decided - tp + most_missed);
                let (found, wrong) = (mean((tp, most_tp), n, size, alpha / 2.0)?, mean(wrong, n, size, alpha / 2.0)?);
                Some((over(2.0 * found.0, wrong.1), over(2.0 * found.1, wrong.0)))
            }
        }
    }

    /// Where the area under the curve of what the scores were drawn from lies, but for a probability of at most α. Of two independent rows, of which the
    /// one with the higher score is positive with a probability of p and the other with q, it is the mean a of p·(1 − q) over that of p·(1 − q) + q·(1 − p).
    /// So of `t + (1 − t)·p·(1 − q) − t·q·(1 − p)`, which lies within [0, 1], the mean is t where a is t. The rows hold half as many independent pairs
    /// as rows, and what [`bounds::mean`] says of means it says of those of all pairs, too (Hoeffding 1963, section 5a, of U-statistics): the area
    /// is one of the t that it does not exclude. `None` where no row, or every one, may be positive.
    fn auc_bounds(&self, size: f64, alpha: f64) -> Option<Ends> {
        let (pairs, n) = ((size / 2.0).floor(), real(self.n));
        if pairs < 1.0 || !(alpha > 0.0 && alpha < 1.0) {
            return None;
        }
        let most = (2.0 / alpha).ln() / pairs;
        let [low, high] = [false, true].map(|is_most| self.ordered_pairs(is_most));
        // Positives times negatives, over pairs of two rows.
        let positives = [self.positives(true), self.positives(false)];
        let [least_p, most_p] = [0, 2].map(|end| positives.iter().filter_map(|ends| ends.get(end)).sum::<f64>() / n);
        let product = |p: f64| p * (1.0 - p) * n / (n - 1.0);
        let largest = product(0.5_f64.clamp(least_p, most_p));
        let smallest = (product(least_p).min(product(most_p)) - 1.0 / (4.0 * (n - 1.0))).max(0.0);
        // Not excluded: a mean on the other side of t, or near it.
        let near = |t: f64, mean: f64| bounds::divergence(mean.clamp(0.0, 1.0), t) <= most;
        let above = |t: f64| t + 2.0 * (low - t * largest);
        let below = |t: f64| t + 2.0 * (high - t * smallest);
        let inside = |part: f64, whole: f64| if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { f64::NAN };
        let (from, to) = (inside(low, largest), inside(high, smallest));
        let lower = if from.is_nan() { return None } else { bounds::crossing(from, 0.0, |t| near(t, above(t))) };
        let upper = if to.is_nan() { 1.0 } else { bounds::crossing(to, 1.0, |t| near(t, below(t))) };
        Some((lower, upper))
    }

    /// The least, or the largest, mean of p·(1 − q) over ordered pairs of two rows, of which the one with the higher score has p: pairs of rows with one
    /// score count half, and of rows of one cell it is not known.
    fn ordered_pairs(&self, is_most: bool) -> f64 {
        let n = real(self.n);
        let (mut pairs, mut negatives) = (0.0, 0.0);
        for Cell { rows, of, .. } in &self.cells {
            let (positive, negative) = if is_most { (of.upper, 1.0 - of.lower) } else { (of.lower, 1.0 - of.upper) };
            pairs += rows * positive * (negatives + rows * negative / 2.0);
            negatives += rows * negative;
        }
        // Each row was paired with itself, too, at an eighth at most.
        let own = if is_most { 0.0 } else { n / 8.0 };
        ((pairs - own) / (n * (n - 1.0))).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::calibration::Calibration;
    use super::super::super::draws::Draws;
    use super::super::super::grid::Grid;
    use super::*;

    /// Of scores that are tenths, each as likely, and probabilities themselves: pairs by hand.
    const TENTHS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    fn expected(cells: &[u64], grid: &Grid) -> Expected {
        let rows = TENTHS.into_iter().flat_map(|p| (1..=10).map(move |i| (p, f64::from(i) <= 10.0 * p + 1e-9)));
        Expected::new(grid.points(), cells, &Calibration::fit(rows).unwrap(), 0.5).unwrap()
    }

    #[test]
    fn bounds_of_the_area_miss_no_more_often_than_they_say_and_tell_something() {
        let grid = Grid::from_sorted(&TENTHS, None, &[]);
        let mut all = vec![0; grid.cells()];
        TENTHS.iter().for_each(|p| all[grid.locate(*p)] += 1_000_000);
        let area = expected(&all, &grid).estimate(Metric::Auc).unwrap().value;
        let mut draws = Draws::new(11);
        let (mut missed, mut widest) = (0, 0.0_f64);
        for _ in 0..400 {
            let mut cells = vec![0; grid.cells()];
            (0..4000).for_each(|_| cells[grid.locate(TENTHS[draws.below(9)])] += 1);
            let (lower, upper) = expected(&cells, &grid).bounds(Metric::Auc, 1.0, 0.05).unwrap();
            missed += u32::from(area < lower || upper < area);
            widest = widest.max(upper - lower);
        }
        assert!(missed <= 20 && widest < 0.15, "{missed} {widest}");
    }

    #[test]
    fn with_one_row_or_one_class_there_is_none() {
        let grid = Grid::from_sorted(&TENTHS, None, &[]);
        let mut cells = vec![0; grid.cells()];
        cells[grid.locate(0.3)] = 1;
        assert_eq!(expected(&cells, &grid).bounds(Metric::Auc, 1.0, 0.05), None);
        cells[grid.locate(0.3)] = 200;
        let wide = expected(&cells, &grid);
        let (lower, upper) = wide.bounds(Metric::Auc, 1.0, 0.05).unwrap();
        assert!(lower < 0.5 && 0.5 < upper);
        let (least, most) = wide.bounds(Metric::Auc, 4.0, 0.05).unwrap();
        assert!(least < lower && upper < most, "rows that hang together say less");
    }
}
