//! A score's counts by label in a few bins: what a ROC curve, a precision–recall curve and a calibration diagram are drawn from.

use serde::{Deserialize, Serialize};

use super::real::real;
use super::scores::ends;

/// A bin of scores, above the `le` of the one before it and up to its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreBin {
    /// The largest score that falls into it; `None` without an end.
    pub le: Option<f64>,
    /// Labelled predictions in it, by label.
    pub negatives: u64,
    pub positives: u64,
    /// The mean of its scores: halfway between the least and the most that it can be, with scores within [0, 1]; `None` where one is no probability.
    pub score: Option<f64>,
}

/// Counts over the cells of a grid ([`super::grid::Grid`]: 2K+1 cells for K points) in at most `most` + 1 bins that hold about equally many each.
///
/// Each bin ends at a point of the grid, so it says of every score whether it is in it: a value of the ROC curve at an end is exact. Bins that nothing
/// falls into are part of the next one. Empty where nothing was counted.
///
/// ```
/// use driftgate_core::stats::by_label::by_label;
///
/// // Points 0.2 and 0.7: three scores of exactly 0.2, one between, two of 0.7.
/// let bins = by_label(&[0.2, 0.7], [&[0, 3, 0, 0, 0], &[0, 0, 1, 2, 0]], 2);
/// assert_eq!(bins.iter().map(|b| (b.le, b.negatives, b.positives)).collect::<Vec<_>>(), [(Some(0.2), 3, 0), (Some(0.7), 0, 3)]);
/// ```
#[must_use]
pub fn by_label(points: &[f64], [negatives, positives]: [&[u64]; 2], most: u64) -> Vec<ScoreBin> {
    let all: u64 = negatives.iter().chain(positives).fold(0, |sum, n| sum.saturating_add(*n));
    let enough = all.div_ceil(most.max(1)).max(1);
    let mut bins = Vec::new();
    let mut open = Open::default();
    // Cell 2k lies below point k and cell 2k + 1 at it: both end there.
    for (at, (negative, positive)) in negatives.chunks(2).zip(positives.chunks(2)).enumerate() {
        for (cell, (negative, positive)) in (2 * at..).zip(negative.iter().zip(positive)) {
            open.add([*negative, *positive], ends(points, cell));
        }
        if open.n() >= enough || at >= points.len() {
            bins.extend(open.bin(points.get(at).copied()));
            open = Open::default();
        }
    }
    bins
}

/// A bin that is being filled.
#[derive(Default)]
struct Open {
    negatives: u64,
    positives: u64,
    /// The least and the most that its scores add up to.
    from: f64,
    to: f64,
    /// Whether a score of it is no probability.
    is_improper: bool,
}

impl Open {
    fn n(&self) -> u64 {
        self.negatives.saturating_add(self.positives)
    }

    /// Adds a cell's counts, `[negatives, positives]`, and where its scores lie.
    fn add(&mut self, counts: [u64; 2], (from, to, holds_probabilities): (f64, f64, bool)) {
        let [negatives, positives] = counts;
        let n = real(negatives.saturating_add(positives));
        self.negatives = self.negatives.saturating_add(negatives);
        self.positives = self.positives.saturating_add(positives);
        self.is_improper |= n > 0.0 && !holds_probabilities;
        self.from += n * from.clamp(0.0, 1.0);
        self.to += n * to.clamp(0.0, 1.0);
    }

    fn bin(&self, le: Option<f64>) -> Option<ScoreBin> {
        let Self { negatives, positives, .. } = *self;
        (self.n() > 0).then(|| {
            let score = f64::midpoint(self.from, self.to) / real(self.n());
            ScoreBin { le, negatives, positives, score: (!self.is_improper).then_some(score) }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::auc::auc;
    use super::super::grid::Grid;
    use super::*;

    proptest! {
        /// Nothing is lost, ends ascend, and the area of the curve through the ends is the AUC as far as these bins tell it.
        #[test]
        fn bins_hold_every_row_and_enclose_the_area(
            counts in vec((0_u64..9, 0_u64..9), 0..12).prop_map(|mut all| { all.push((0, 0)); if all.len() % 2 == 0 { all.push((1, 0)); } all }),
            most in 0_u64..30,
        ) {
            let (negatives, positives): (Vec<u64>, Vec<u64>) = counts.into_iter().unzip();
            let points: Vec<f64> = (0_u32..).map(|at| f64::from(at) / 16.0).take(negatives.len() / 2).collect();
            let bins = by_label(&points, [&negatives, &positives], most);
            let sum = |of: fn(&ScoreBin) -> u64| bins.iter().map(of).sum::<u64>();
            prop_assert_eq!(sum(|b| b.negatives), negatives.iter().sum::<u64>());
            prop_assert_eq!(sum(|b| b.positives), positives.iter().sum::<u64>());
            prop_assert!(bins.len() <= usize::try_from(most.max(1)).unwrap() + 1);
            let ends: Vec<f64> = bins.iter().map(|b| b.le.unwrap_or(f64::INFINITY)).collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", ends);
            prop_assert!(bins.iter().all(|b| b.score.is_none_or(|score| (0.0..=1.0).contains(&score))));
            let of = |count: fn(&ScoreBin) -> u64| bins.iter().map(count).collect::<Vec<u64>>();
            let fine = auc(&positives, &negatives, Grid::is_atom);
            if let (Some(fine), Some(coarse)) = (fine, auc(&of(|b| b.positives), &of(|b| b.negatives), |_| false)) {
                prop_assert!(coarse.lo <= fine.lo + 1e-12 && fine.hi <= coarse.hi + 1e-12, "{:?} {:?}", fine, coarse);
            }
        }
    }

    #[test]
    fn scores_beyond_the_points_have_no_end_and_nothing_has_no_bin() {
        let bins = by_label(&[0.5], [&[1, 0, 0], &[0, 0, 2]], 20);
        let last = ScoreBin { le: None, negatives: 0, positives: 2, score: Some(0.75) };
        assert_eq!(bins, [ScoreBin { le: Some(0.5), negatives: 1, positives: 0, score: Some(0.25) }, last]);
        let beyond = by_label(&[0.5, 3.0], [&[0, 0, 0, 1, 0], &[0, 1, 0, 0, 0]], 20);
        assert_eq!(beyond.iter().map(|bin| bin.score).collect::<Vec<_>>(), [Some(0.5), None]);
        assert!(by_label(&[0.5], [&[0, 0, 0], &[0, 0, 0]], 20).is_empty());
        assert!(by_label(&[], [&[], &[]], 0).is_empty());
    }
}
