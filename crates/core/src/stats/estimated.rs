//! Quality before labels come: what a confusion matrix and the area under the ROC curve are expected to be, where each score is the calibrated
//! probability of a positive label (NannyML's confidence-based performance estimation). Scores are counted by the cells of a grid, so each
//! metric is an interval; it has no width where every score is a grid point that labelled rows reach to.

use super::calibration::{Calibration, Probability};
use super::real::{real, total};
use super::scores::{Interval, NoScore, ends};

mod certain;

/// A metric that can be estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Accuracy,
    Precision,
    Recall,
    F1,
    Auc,
}

/// What is estimated of a window's scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    /// Contains the estimate of the raw scores.
    pub interval: Interval,
}

/// A score's counts over the cells of a grid, as probabilities.
pub struct Expected {
    cells: Vec<Cell>,
    n: u64,
    /// Scores that may lie where no labelled row was.
    unsupported: u64,
}

struct Cell {
    rows: f64,
    is_positive: bool,
    of: Probability,
}

/// A number as far as it is known: its least value, the one that is taken, and its largest.
type Ends = [f64; 3];

impl Expected {
    /// The counts of cells ([`super::grid::Grid`]: 2K+1 for K points) under a calibration. A score from `threshold` on is decided positively; the
    /// threshold is a point of the grid.
    ///
    /// # Errors
    /// No score, or one that is no probability where the score itself is taken for one.
    pub fn new(points: &[f64], cells: &[u64], calibration: &Calibration, threshold: f64) -> Result<Self, NoScore> {
        let n = total(cells).filter(|n| *n > 0).ok_or(NoScore::Empty)?;
        let (mut found, mut unsupported) = (Vec::new(), 0);
        for (cell, rows) in cells.iter().copied().enumerate().filter(|(_, rows)| *rows > 0) {
            let (from, to, holds_probabilities) = ends(points, cell);
            if calibration.isotonic.is_none() && !holds_probabilities {
                return Err(NoScore::NotProbabilities);
            }
            let of = calibration.between(from, to);
            unsupported += if of.is_unsupported { rows } else { 0 };
            found.push(Cell { rows: real(rows), is_positive: from >= threshold, of });
        }
        Ok(Self { cells: found, n, unsupported })
    }

    /// Scores that may lie where no labelled row was.
    #[must_use]
    pub fn unsupported(&self) -> u64 {
        self.unsupported
    }

    /// A metric; `None` where its denominator is 0, as that of precision without a positive decision.
    #[must_use]
    pub fn estimate(&self, metric: Metric) -> Option<Estimate> {
        let [lower, value, upper] = match metric {
            Metric::Auc => self.auc()?,
            _ => self.of_decisions(metric),
        };
        // An end that divides by 0 is not known; the ends round by themselves.
        let (lower, upper) = (Some(lower).filter(|x| x.is_finite()), Some(upper).filter(|x| x.is_finite()));
        let interval = Interval { lower: lower.unwrap_or(0.0).min(value), upper: upper.unwrap_or(1.0).max(value) };
        value.is_finite().then_some(Estimate { value, interval })
    }

    /// The expected positives among those decided positively, or negatively.
    fn positives(&self, decided: bool) -> Ends {
        let mut sums = [0.0; 3];
        for cell in self.cells.iter().filter(|cell| cell.is_positive == decided) {
            for (sum, p) in sums.iter_mut().zip([cell.of.lower, cell.of.value, cell.of.upper]) {
                *sum += cell.rows * p;
            }
        }
        sums
    }

    /// Each of these rises with the true positives, and falls with the positives that are decided negatively.
    fn of_decisions(&self, metric: Metric) -> Ends {
        let decided: f64 = self.cells.iter().filter(|cell| cell.is_positive).map(|cell| cell.rows).sum();
        let (found, [least, missed, most]) = (self.positives(true), self.positives(false));
        let n = real(self.n);
        let of = |tp: f64, missed: f64| match metric {
            Metric::Accuracy => (tp + (n - decided - missed)) / n,
            Metric::Precision => tp / decided,
            Metric::F1 => 2.0 * tp / (decided + tp + missed),
            Metric::Recall | Metric::Auc => tp / (tp + missed),
        };
        let [low, tp, high] = found;
        [of(low, most), of(tp, missed), of(high, least)]
    }

    /// The area under the expected ROC curve: the probability that of a positive and a negative row the positive has the higher score, those of one
    /// cell counted half.
    fn auc(&self) -> Option<Ends> {
        let (mut pairs, mut negatives, mut positives) = (0.0, 0.0, 0.0);
        for Cell { rows, of: Probability { value, .. }, .. } in &self.cells {
            pairs += rows * value * (negatives + rows * (1.0 - value) / 2.0);
            negatives += rows * (1.0 - value);
            positives += rows * value;
        }
        let value = Some(pairs / (positives * negatives)).filter(|value| value.is_finite())?;
        Some([self.end_of_auc(false), value, self.end_of_auc(true)])
    }

    /// The least or the largest area. Of rows by ascending score, with probabilities `p`, the pairs are `Σ p_i·Σ_{j<i} (1 − p_j) + Σ p_i·(1 − p_i)/2`, whose
    /// derivative by `p_i` grows by 1 from row to row; that of what they are divided by, `Σp·Σ(1 − p)`, is the same for all rows. So the derivative of
    /// the area changes its sign once: where it is largest, rows up to some row have their least probability and those above it
    /// their largest, and the other way round where it is least. The cell of that row counts at its worst.
    fn end_of_auc(&self, is_largest: bool) -> f64 {
        let n = real(self.n);
        let ends = |of: &Probability| if is_largest { (of.lower, of.upper) } else { (of.upper, of.lower) };
        // Above each cell, the last first: positives, and their pairs with the negatives there.
        let mut above = vec![(0.0, 0.0)];
        for Cell { rows, of, .. } in self.cells.iter().rev() {
            let (positives, pairs) = above.last().copied().unwrap_or_default();
            let (yes, no) = (rows * ends(of).1, rows * (1.0 - ends(of).1));
            above.push((positives + yes, pairs + yes * no / 2.0 + no * positives));
        }
        above.pop();
        let (mut below, mut negatives, mut positives) = (0.0, 0.0, 0.0);
        let mut found = if is_largest { 0.0_f64 } else { 1.0 };
        for (Cell { rows, of, .. }, (positives_above, pairs_above)) in self.cells.iter().zip(above.into_iter().rev()) {
            let (least, most) =
                (positives + positives_above + rows * of.lower, positives + positives_above + rows * of.upper);
            let product = |positives: f64| positives * (n - positives);
            let others = below + pairs_above + positives_above * negatives;
            // Within the cell a higher score may have a higher probability, most so where half the rows are at each end.
            let (yes, no, within, divisor) = if is_largest {
                let spread = rows * rows * (of.upper - of.lower) / 8.0;
                (rows * of.upper, rows * (1.0 - of.lower), spread, product(least).min(product(most)))
            } else {
                // Positives times negatives are most where they are as many.
                (rows * of.lower, rows * (1.0 - of.upper), 0.0, product((n / 2.0).clamp(least, most)))
            };
            let area = (others + yes * negatives + positives_above * no + yes * no / 2.0 + within) / divisor;
            let area = if area.is_finite() { area.clamp(0.0, 1.0) } else { f64::from(u8::from(is_largest)) };
            found = if is_largest { found.max(area) } else { found.min(area) };
            let (yes, no) = (rows * ends(of).0, rows * (1.0 - ends(of).0));
            below += yes * (negatives + no / 2.0);
            negatives += no;
            positives += yes;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::grid::{self, Grid};
    use super::*;

    const ALL: [Metric; 5] = [Metric::Accuracy, Metric::Precision, Metric::Recall, Metric::F1, Metric::Auc];

    /// The metrics of raw scores, as NannyML computes them: the sums of probabilities of single rows.
    fn by_rows(metric: Metric, scores: &[f64], calibration: &Calibration, threshold: f64) -> f64 {
        let mut sorted: Vec<(f64, f64)> = scores.iter().map(|score| (*score, calibration.at(*score))).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sum = |of: &dyn Fn(f64) -> bool| -> f64 { sorted.iter().filter(|(x, _)| of(*x)).map(|(_, p)| p).sum() };
        let (tp, missed) = (sum(&|x| x >= threshold), sum(&|x| x < threshold));
        let decided = real(sorted.iter().filter(|(x, _)| *x >= threshold).count() as u64);
        let n = real(sorted.len() as u64);
        match metric {
            Metric::Accuracy => (tp + n - decided - missed) / n,
            Metric::Precision => tp / decided,
            Metric::Recall => tp / (tp + missed),
            Metric::F1 => 2.0 * tp / (decided + tp + missed),
            Metric::Auc => {
                let (mut area, mut below) = (0.0, 0.0);
                for same in sorted.chunk_by(|a, b| a.0.to_bits() == b.0.to_bits()) {
                    let yes: f64 = same.iter().map(|(_, p)| p).sum();
                    let no = real(same.len() as u64) - yes;
                    area += yes * (below + no / 2.0);
                    below += no;
                }
                let all: f64 = sorted.iter().map(|(_, p)| p).sum();
                area / (all * (n - all))
            }
        }
    }

    fn score() -> impl Strategy<Value = f64> {
        prop_oneof![0.0..=1.0_f64, (0_u8..=10).prop_map(|tenths| f64::from(tenths) / 10.0)]
    }

    proptest! {
        #[test]
        fn the_interval_contains_the_estimate_of_the_raw_scores(
            labelled in vec((score(), any::<bool>()), 1..80),
            window in vec(score(), 1..60),
            points in 3_usize..20,
            threshold in (1_u8..=9).prop_map(|tenths| f64::from(tenths) / 10.0),
        ) {
            let calibration = Calibration::fit(labelled.iter().copied()).unwrap();
            let sorted = grid::sorted(&labelled.iter().map(|(score, _)| *score).collect::<Vec<_>>());
            for points in [Some(points), None] {
                let grid = Grid::from_sorted(&sorted, points, &[threshold]);
                let mut cells = vec![0; grid.cells()];
                window.iter().for_each(|score| cells[grid.locate(*score)] += 1);
                let expected = Expected::new(grid.points(), &cells, &calibration, threshold).unwrap();
                for metric in ALL {
                    let raw = by_rows(metric, &window, &calibration, threshold);
                    match expected.estimate(metric) {
                        Some(Estimate { value, interval: Interval { lower, upper } }) => {
                            prop_assert!(lower <= value && value <= upper);
                            prop_assert!((-1e-9..=1.0 + 1e-9).contains(&value), "{:?} {}", metric, value);
                            let is_in = !raw.is_finite() || lower - 1e-9 <= raw && raw <= upper + 1e-9;
                            prop_assert!(is_in, "{:?}: {} not in {}..{}", metric, raw, lower, upper);
                            let of = |alpha| expected.bounds(metric, 1.0, alpha);
                            let Some(((low, high), (lowest, highest))) = of(0.05).zip(of(1e-6)) else {
                                prop_assert!(metric == Metric::Auc && window.len() == 1, "{:?}", metric);
                                continue;
                            };
                            prop_assert!(low <= lower + 1e-9 && upper <= high + 1e-9, "{:?}: {}..{}", metric, low, high);
                            prop_assert!(lowest <= low + 1e-9 && high <= highest + 1e-9);
                        }
                        None => prop_assert!(!raw.is_finite() || metric == Metric::Auc, "{:?} {}", metric, raw),
                    }
                }
            }
        }

        #[test]
        fn scores_that_are_grid_points_leave_no_interval(labelled in vec((score(), any::<bool>()), 1..80)) {
            let calibration = Calibration::fit(labelled.iter().copied()).unwrap();
            let scores: Vec<f64> = labelled.iter().map(|(score, _)| *score).collect();
            let grid = Grid::from_sorted(&grid::sorted(&scores), None, &[0.5]);
            let mut cells = vec![0; grid.cells()];
            scores.iter().for_each(|score| cells[grid.locate(*score)] += 1);
            let expected = Expected::new(grid.points(), &cells, &calibration, 0.5).unwrap();
            prop_assert_eq!(expected.unsupported(), 0);
            for metric in ALL {
                if let Some(Estimate { value, interval }) = expected.estimate(metric) {
                    prop_assert!(interval.upper - interval.lower < 1e-9);
                    prop_assert!((value - by_rows(metric, &scores, &calibration, 0.5)).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn a_score_that_is_no_probability_needs_a_regression() {
        let of = |rows: &[(f64, bool)]| Calibration::fit(rows.iter().copied()).unwrap();
        let (plain, logits) =
            (of(&[(0.2, false), (0.8, true)]), of(&[(-3.0, false), (1.0, true), (0.5, false), (0.0, true)]));
        let grid = Grid::from_sorted(&[0.2, 0.8, 2.0], None, &[]);
        let mut cells = vec![0; grid.cells()];
        assert_eq!(Expected::new(grid.points(), &cells, &plain, 0.5).err(), Some(NoScore::Empty));
        cells[grid.locate(2.0)] = 3;
        assert_eq!(Expected::new(grid.points(), &cells, &plain, 0.5).err(), Some(NoScore::NotProbabilities));
        // Beyond all labelled scores it may be anything from the last value on.
        let expected = Expected::new(grid.points(), &cells, &logits, 0.5).unwrap();
        let found = expected.estimate(Metric::Precision).unwrap();
        assert_eq!((expected.unsupported(), found.interval.upper.to_string()), (3, "1".to_owned()));
        assert_eq!(expected.estimate(Metric::Recall).unwrap().value.to_string(), "1");
    }
}
