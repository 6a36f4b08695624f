//! Metrics of a probability score from its counts by label over the cells of a grid: log loss, Brier score, expected calibration
//! error. A cell between two grid points leaves its scores open, so each metric is an interval that contains the value of the
//! raw rows; it has no width where every score is a grid point.

mod certain;

use super::bins::Bin;
use super::grid::Grid;
use super::real::{real, total};

/// scikit-learn's `log_loss` clips probabilities to [ε, 1 − ε] with the ε of doubles, and so do we: a certain error costs 36.04.
const EPSILON: f64 = f64::EPSILON;

/// The least and the most that a metric can be for these counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub lower: f64,
    pub upper: f64,
}

impl Interval {
    /// Halfway between both.
    #[must_use]
    pub fn mid(self) -> f64 {
        f64::midpoint(self.lower, self.upper)
    }
}

/// Why a metric of probabilities has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoScore {
    /// No labelled score was counted.
    Empty,
    /// A score below 0 or above 1 was counted.
    NotProbabilities,
}

/// A score's counts by label over the cells of a grid ([`super::grid::Grid`]): 2K+1 cells for K points.
#[derive(Clone, Copy, Debug)]
pub struct ScoreCells<'c> {
    /// The grid's points, strictly increasing.
    pub points: &'c [f64],
    /// Labelled 0, by cell.
    pub negatives: &'c [u64],
    /// Labelled 1, by cell.
    pub positives: &'c [u64],
}

/// The least and the largest score that may be in a cell of a grid of these points, and whether any of them is a probability.
pub(super) fn ends(points: &[f64], cell: usize) -> (f64, f64, bool) {
    let (at, point) = (cell / 2, |at: usize| points.get(at).copied());
    let above = point(at).unwrap_or(f64::INFINITY);
    if Grid::is_atom(cell) {
        return (above, above, (0.0..=1.0).contains(&above));
    }
    let below = at.checked_sub(1).and_then(point).unwrap_or(f64::NEG_INFINITY);
    // A bucket is open at both ends: one that ends at 0, or begins at 1, holds no probability.
    (below, above, below < 1.0 && above > 0.0)
}

/// The counts of one cell and the least and the largest score that may be in it.
#[derive(Clone, Copy)]
struct Cell {
    from: f64,
    to: f64,
    negatives: u64,
    positives: u64,
}

/// −ln of the probability that a score gives to a label.
fn loss(score: f64, label: bool) -> f64 {
    let score = score.clamp(EPSILON, 1.0 - EPSILON);
    if label { -score.ln() } else { -(-score).ln_1p() }
}

impl ScoreCells<'_> {
    /// Labelled scores.
    fn n(&self) -> Option<u64> {
        total(self.negatives)?.checked_add(total(self.positives)?).filter(|n| *n > 0)
    }

    /// Each cell as probabilities; beyond the outermost points up to 0 and 1.
    fn cells(&self) -> impl Iterator<Item = Result<Cell, NoScore>> {
        self.negatives.iter().zip(self.positives).enumerate().map(move |(cell, (negatives, positives))| {
            let (from, to, holds_probabilities) = ends(self.points, cell);
            if !holds_probabilities && *negatives + *positives > 0 {
                return Err(NoScore::NotProbabilities);
            }
            let (from, to) = (from.clamp(0.0, 1.0), to.clamp(0.0, 1.0));
            Ok(Cell { from, to, negatives: *negatives, positives: *positives })
        })
    }

    /// The mean of a loss over all rows. `of` gives the loss of a score with a label; between the ends of a cell it is monotone.
    fn mean_loss(&self, of: impl Fn(f64, bool) -> f64) -> Result<Interval, NoScore> {
        let n = real(self.n().ok_or(NoScore::Empty)?);
        let (mut lower, mut upper) = (0.0, 0.0);
        self.each_loss(of, |count, least, most| {
            lower += count * least;
            upper += count * most;
        })?;
        Ok(Interval { lower: lower / n, upper: upper / n })
    }

    /// The rows of each cell and label, with the least and the largest loss that each of them may have.
    fn each_loss(&self, of: impl Fn(f64, bool) -> f64, mut take: impl FnMut(f64, f64, f64)) -> Result<(), NoScore> {
        for cell in self.cells() {
            let Cell { from, to, negatives, positives } = cell?;
            for (count, label) in [(negatives, false), (positives, true)] {
                if count > 0 {
                    let (a, b) = (of(from, label), of(to, label));
                    take(real(count), a.min(b), a.max(b));
                }
            }
        }
        Ok(())
    }

    /// The mean of −ln of the probability that the score gives to the label (scikit-learn's `log_loss`), 0 or more.
    ///
    /// # Errors
    /// No labelled score, or one that is no probability.
    pub fn log_loss(&self) -> Result<Interval, NoScore> {
        self.mean_loss(loss)
    }

    /// The mean squared difference of score and label (Brier 1950; scikit-learn's `brier_score_loss`), in [0, 1].
    ///
    /// # Errors
    /// No labelled score, or one that is no probability.
    pub fn brier(&self) -> Result<Interval, NoScore> {
        self.mean_loss(|score, label| (score - f64::from(u8::from(label))).powi(2))
    }

    /// The expected calibration error (Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning,
    /// 2015) over bins of cells: `Σ n_b/n · |share of positives in b − mean score in b|`, in [0, 1].
    ///
    /// # Errors
    /// No labelled score, or one that is no probability.
    pub fn ece(&self, bins: &[Bin]) -> Result<Interval, NoScore> {
        let n = real(self.n().ok_or(NoScore::Empty)?);
        let (mut lower, mut upper, mut cells) = (0.0, 0.0, self.cells().enumerate().peekable());
        for bin in bins {
            // The positives of the bin, and the least and the most that its scores add up to.
            let (mut positives, mut from, mut to) = (0.0, 0.0, 0.0);
            while let Some((_, cell)) = cells.next_if(|(at, _)| *at < bin.end) {
                let cell = cell?;
                let count = real(cell.negatives + cell.positives);
                positives += real(cell.positives);
                from += count * cell.from;
                to += count * cell.to;
            }
            lower += (from - positives).max(positives - to).max(0.0);
            upper += (to - positives).max(positives - from);
        }
        Ok(Interval { lower: lower / n, upper: upper / n })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::bins::{bins, quantile_edges};
    use super::super::grid;
    use super::*;

    /// Score and label of rows.
    pub(super) type Rows = Vec<(f64, bool)>;

    pub(super) fn counted(grid: &Grid, rows: &[(f64, bool)]) -> [Vec<u64>; 2] {
        let mut cells = [vec![0; grid.cells()], vec![0; grid.cells()]];
        rows.iter().for_each(|(score, label)| cells[usize::from(*label)][grid.locate(*score)] += 1);
        cells
    }

    pub(super) fn score_cells<'c>(grid: &'c Grid, [negatives, positives]: &'c [Vec<u64>; 2]) -> ScoreCells<'c> {
        ScoreCells { points: grid.points(), negatives, positives }
    }

    #[allow(clippy::cast_precision_loss, reason = "a few rows")]
    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        let all: Vec<f64> = values.collect();
        all.iter().sum::<f64>() / all.len() as f64
    }

    fn brier(rows: &[(f64, bool)]) -> f64 {
        mean(rows.iter().map(|(score, label)| (score - f64::from(u8::from(*label))).powi(2)))
    }

    fn log_loss(rows: &[(f64, bool)]) -> f64 {
        mean(rows.iter().map(|(score, label)| {
            let score = score.clamp(EPSILON, 1.0 - EPSILON);
            if *label { -score.ln() } else { -(1.0 - score).ln() }
        }))
    }

    /// Over bins (previous edge, edge], by the raw rows; heavy edges are bins of their own.
    #[allow(clippy::cast_precision_loss, clippy::float_cmp, reason = "a few rows; an edge is one value")]
    fn ece(rows: &[(f64, bool)], edges: &[(f64, bool)]) -> f64 {
        let bin = |score: f64| {
            let below = edges.iter().filter(|(edge, _)| *edge < score).count();
            (below, edges.get(below).is_some_and(|(edge, heavy)| *heavy && *edge == score))
        };
        let mut sums = std::collections::BTreeMap::<_, f64>::new();
        for (score, label) in rows {
            *sums.entry(bin(*score)).or_default() += score - f64::from(u8::from(*label));
        }
        sums.values().map(|sum| sum.abs()).sum::<f64>() / rows.len() as f64
    }

    fn holds(found: Result<Interval, NoScore>, raw: f64) -> bool {
        found.is_ok_and(|found| found.lower <= raw + 1e-12 && raw <= found.upper + 1e-12)
    }

    pub(super) fn rows(most: usize) -> impl Strategy<Value = Rows> {
        let score = prop_oneof![0.0..=1.0_f64, (0_u8..=10).prop_map(|tenths| f64::from(tenths) / 10.0)];
        vec((score, any::<bool>()), 1..most)
    }

    pub(super) fn reference_grid(reference: &[(f64, bool)], points: Option<usize>) -> (Grid, Vec<(f64, bool)>) {
        let sorted = grid::sorted(&reference.iter().map(|(score, _)| *score).collect::<Vec<_>>());
        let edges = quantile_edges(&sorted, 10);
        let values: Vec<f64> = edges.iter().map(|edge| edge.0).collect();
        (Grid::from_sorted(&sorted, points, &values), edges)
    }

    #[test]
    fn scores_outside_of_zero_and_one_are_no_probabilities() {
        let grid = Grid::from_sorted(&[-1.0, 0.0, 0.5, 1.0, 2.0], None, &[]);
        for (score, found) in [
            (-2.0, Err(NoScore::NotProbabilities)),
            (-1.0, Err(NoScore::NotProbabilities)),
            (-0.5, Err(NoScore::NotProbabilities)),
            (0.0, Ok(0.0)),
            (0.5, Ok(0.25)),
            (1.0, Ok(1.0)),
            (1.5, Err(NoScore::NotProbabilities)),
            (3.0, Err(NoScore::NotProbabilities)),
        ] {
            let cells = counted(&grid, &[(score, false)]);
            assert_eq!(score_cells(&grid, &cells).brier().map(Interval::mid), found, "{score}");
        }
        let nothing = counted(&grid, &[]);
        assert_eq!(score_cells(&grid, &nothing).log_loss(), Err(NoScore::Empty));
    }

    #[test]
    fn a_certain_error_costs_what_scikit_learn_says() {
        let grid = Grid::from_sorted(&[0.0, 1.0], None, &[]);
        let cells = counted(&grid, &[(0.0, true)]);
        let found = score_cells(&grid, &cells).log_loss().unwrap();
        // sklearn.metrics.log_loss([1], [0.0], labels=[0, 1]) of scikit-learn 1.7.
        assert!((found.mid() - 36.043_653_389_117_15).abs() < 1e-9, "{found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn intervals_contain_the_value_of_the_raw_rows(reference in rows(120), window in rows(80), points in 2_usize..20) {
            for points in [Some(points), None] {
                let (grid, edges) = reference_grid(&reference, points);
                let cells = counted(&grid, &window);
                let found = score_cells(&grid, &cells);
                prop_assert!(holds(found.brier(), brier(&window)));
                prop_assert!(holds(found.log_loss(), log_loss(&window)));
                prop_assert!(holds(found.ece(&bins(&grid, &edges)), ece(&window, &edges)));
            }
        }

        #[test]
        fn an_exact_grid_leaves_no_interval(reference in rows(120)) {
            let (grid, edges) = reference_grid(&reference, None);
            let cells = counted(&grid, &reference);
            let found = score_cells(&grid, &cells);
            for found in [found.brier(), found.log_loss(), found.ece(&bins(&grid, &edges))] {
                let found = found.unwrap();
                prop_assert!((found.upper - found.lower).abs() < 1e-12, "{:?}", found);
            }
        }

        /// Panes that are counted apart, in any order, add up to the bytes of the whole.
        #[test]
        fn any_split_and_order_has_the_same_bits(reference in rows(60), window in rows(60), cut in 0_usize..60) {
            let (grid, edges) = reference_grid(&reference, Some(8));
            let (left, right) = window.split_at(cut.min(window.len()));
            let mut merged = counted(&grid, right);
            for (side, more) in merged.iter_mut().zip(counted(&grid, left)) {
                side.iter_mut().zip(more).for_each(|(sum, count)| *sum += count);
            }
            let whole = counted(&grid, &window);
            let bins = bins(&grid, &edges);
            let (merged, whole) = (score_cells(&grid, &merged), score_cells(&grid, &whole));
            prop_assert_eq!(merged.brier(), whole.brier());
            prop_assert_eq!(merged.log_loss(), whole.log_loss());
            prop_assert_eq!(merged.ece(&bins), whole.ece(&bins));
        }
    }
}
