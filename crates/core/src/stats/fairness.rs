//! Fairness across segments: gaps between rates as exact rationals, and confidence bounds of gaps.
//!
//! Functions take all segments and the indexes of the eligible ones, so that they return indexes of the caller's
//! own slice. Who is eligible is the caller's decision; [`Rate::eligible`] is the usual one. Highest and lowest are the first
//! in the given order among equals; which of them is good depends on the rate.

use super::hypotenuse::hypotenuse;
use super::proportion::newcombe_of_dependent;
use super::quality::Metric;
use super::real::real;

pub use super::confusion::{Confusion, Rate};
pub use super::ratio::Ratio;

/// The difference between the largest and the smallest rate.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Gap {
    /// The gap, in [0, 1]: for display.
    pub value: f64,
    /// The gap, exactly: for decisions.
    #[serde(skip)]
    pub exact: Ratio,
    /// Index of the segment with the largest rate.
    pub highest: usize,
    /// Index of the segment with the smallest rate.
    pub lowest: usize,
    /// Newcombe 95% lower bound of highest − lowest.
    pub lower: f64,
    /// Newcombe 95% upper bound of highest − lowest.
    pub upper: f64,
}

impl Gap {
    /// Whether the gap is at least the limit, exactly: `{lt: limit}` is violated.
    #[must_use]
    pub fn at_least(&self, limit: Ratio) -> bool {
        self.exact >= limit
    }

    /// Whether the gap exceeds the limit, exactly: `{lte: limit}` is violated.
    #[must_use]
    pub fn exceeds(&self, limit: Ratio) -> bool {
        self.exact > limit
    }
}

fn between(segments: &[Confusion], metric: Metric, highest: usize, lowest: usize) -> Option<Gap> {
    let found = metric.difference(segments.get(highest)?, segments.get(lowest)?)?;
    Some(Gap {
        value: found.exact.value(),
        exact: found.exact,
        highest,
        lowest,
        lower: found.lower,
        upper: found.upper,
    })
}

/// Indexes of the largest and the smallest value among the eligible segments that have one, and their number.
fn extremes(segments: &[Confusion], eligible: &[usize], metric: Metric) -> Option<(usize, usize, usize)> {
    let mut rated = eligible.iter().filter_map(|index| Some((*index, metric.exact(segments.get(*index)?)?)));
    let first = rated.next()?;
    let (mut highest, mut lowest, mut count) = (first, first, 1);
    for candidate in rated {
        count += 1;
        if candidate.1 > highest.1 {
            highest = candidate;
        }
        if candidate.1 < lowest.1 {
            lowest = candidate;
        }
    }
    Some((highest.0, lowest.0, count))
}

/// The gap of a metric over the eligible segments: max − min. `None` with fewer than two segments that have it.
#[must_use]
pub fn gap(segments: &[Confusion], eligible: &[usize], metric: impl Into<Metric>) -> Option<Gap> {
    let metric = metric.into();
    let (highest, lowest, count) = extremes(segments, eligible, metric)?;
    if count < 2 { None } else { between(segments, metric, highest, lowest) }
}

/// The largest absolute difference of a metric to a named reference segment's. `None` when the reference has no value or
/// nothing is compared with it.
#[must_use]
pub fn gap_to_reference(
    segments: &[Confusion],
    eligible: &[usize],
    metric: impl Into<Metric>,
    reference: usize,
) -> Option<Gap> {
    let metric = metric.into();
    let base = metric.exact(segments.get(reference)?)?;
    let mut widest: Option<Gap> = None;
    for index in eligible.iter().filter(|index| **index != reference) {
        let Some(other) = segments.get(*index).and_then(|segment| metric.exact(segment)) else {
            continue;
        };
        let (highest, lowest) = if other > base { (*index, reference) } else { (reference, *index) };
        let found = between(segments, metric, highest, lowest)?;
        if widest.is_none_or(|gap| found.exact > gap.exact) {
            widest = Some(found);
        }
    }
    widest
}

/// A ratio of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Impact {
    /// The ratio, for display.
    pub value: f64,
    /// The ratio, exactly: compare it with a limit.
    #[serde(skip)]
    pub exact: Ratio,
    /// Index of the segment with the largest value.
    pub highest: usize,
    /// Index of the segment with the smallest value.
    pub lowest: usize,
}

/// Disparate impact: the smallest selection rate over the largest, in [0, 1]. One segment has 1. `None` without
/// segments, or when no row is selected in any segment.
#[must_use]
pub fn disparate_impact(segments: &[Confusion], eligible: &[usize]) -> Option<Impact> {
    ratio(segments, eligible, Rate::Selection)
}

/// The smallest value of a metric over the largest, in [0, 1]. One segment has 1. `None` without a segment that has the metric,
/// or when it is 0 in all.
#[must_use]
pub fn ratio(segments: &[Confusion], eligible: &[usize], metric: impl Into<Metric>) -> Option<Impact> {
    let metric = metric.into();
    let (highest, lowest, _) = extremes(segments, eligible, metric)?;
    let exact = metric.exact(segments.get(lowest)?)?.over(metric.exact(segments.get(highest)?)?)?;
    Some(Impact { value: exact.value(), exact, highest, lowest })
}

/// Each eligible segment's value of a metric over that of a reference segment, by index, without the reference itself. Empty when
/// the reference has no value or 0.
#[must_use]
pub fn ratios_to_reference(
    segments: &[Confusion],
    eligible: &[usize],
    metric: impl Into<Metric>,
    reference: usize,
) -> Vec<(usize, Ratio)> {
    let metric = metric.into();
    let Some(base) = segments.get(reference).and_then(|segment| metric.exact(segment)) else { return Vec::new() };
    let over = |index: &usize| Some((*index, metric.exact(segments.get(*index)?)?.over(base)?));
    eligible.iter().filter(|index| **index != reference).filter_map(over).collect()
}

/// Selection rate of a segment over that of a reference segment; `None` when a rate is missing or the reference's is 0.
#[must_use]
pub fn impact_against(segment: &Confusion, reference: &Confusion) -> Option<Ratio> {
    Rate::Selection.exact(segment)?.over(Rate::Selection.exact(reference)?)
}

/// Equalized odds over segments.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct EqualizedOdds {
    /// The larger of the two gaps (TPR's when they are equal), and its segments.
    pub worst: Gap,
    /// Which rate it belongs to.
    pub rate: Rate,
    /// Mean of the two gaps: fairlearn's `equalized_odds_difference(agg="mean")`.
    pub mean: f64,
    /// The same, exactly.
    #[serde(skip)]
    pub exact_mean: Ratio,
    /// 95% bounds of the mean: of two independent differences, by squares that are added (Zou and Donner 2008).
    pub mean_lower: f64,
    pub mean_upper: f64,
}

/// Equalized odds: the gaps of TPR and FPR, each over its own eligible segments. `None` when one of them is.
#[must_use]
pub fn equalized_odds(segments: &[Confusion], for_tpr: &[usize], for_fpr: &[usize]) -> Option<EqualizedOdds> {
    let tpr = gap(segments, for_tpr, Rate::Tpr)?;
    let fpr = gap(segments, for_fpr, Rate::Fpr)?;
    let (worst, rate) = if fpr.exact > tpr.exact { (fpr, Rate::Fpr) } else { (tpr, Rate::Tpr) };
    let exact_mean = tpr.exact.minus(Ratio::ZERO.minus(fpr.exact)?)?.times(Ratio::new(1, 2)?)?;
    let mean = f64::midpoint(tpr.value, fpr.value);
    let below = hypotenuse(tpr.value - tpr.lower, fpr.value - fpr.lower) / 2.0;
    let above = hypotenuse(tpr.upper - tpr.value, fpr.upper - fpr.value) / 2.0;
    let (mean_lower, mean_upper) = ((mean - below).max(-1.0), (mean + above).min(1.0));
    Some(EqualizedOdds { worst, rate, mean, exact_mean, mean_lower, mean_upper })
}

/// Simultaneous confidence bounds of the largest gap of a rate.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct GapBound {
    /// Largest lower bound over the ordered pairs.
    pub lcb: f64,
    /// Upper bound of the pair that has it.
    pub pair_upper: f64,
    /// Largest upper bound over the ordered pairs.
    pub upper: f64,
    /// The pair's segment with the larger rate.
    pub highest: usize,
    /// The pair's segment with the smaller rate.
    pub lowest: usize,
    /// Two-sided α spent on each pair.
    pub alpha_pair: f64,
}

impl GapBound {
    /// The gap exceeds the limit with confidence.
    #[must_use]
    pub fn exceeds(&self, limit: f64) -> bool {
        self.lcb > limit
    }

    /// The evidence neither shows nor excludes a gap above the limit.
    #[must_use]
    pub fn underpowered(&self, limit: f64) -> bool {
        !self.exceeds(limit) && self.upper > limit
    }
}

/// Bounds of a rate's gap over the ordered pairs of eligible segments by Newcombe's interval, simultaneous by
/// Bonferroni: two-sided α per pair is 2α/(S(S−1)), or α/(S−1) when only pairs with `reference` are compared. Each sample
/// counts as n/φ, φ being the design effect of rows that depend on each other.
///
/// `None` with fewer than two eligible segments that have the rate, a reference that is not among them, or α outside (0, 1).
#[must_use]
pub fn gap_lcb(
    segments: &[Confusion],
    eligible: &[usize],
    rate: Rate,
    alpha: f64,
    reference: Option<usize>,
    design_effect: f64,
) -> Option<GapBound> {
    let counted = |index: &usize| segments.get(*index).map(|s| (*index, rate.counts(s))).filter(|s| s.1.1 > 0);
    let rated: Vec<(usize, (u64, u64))> = eligible.iter().filter_map(counted).collect();
    if rated.len() < 2 || reference.is_some_and(|base| rated.iter().all(|(index, _)| *index != base)) {
        return None;
    }
    let others = super::real::length(rated.len() - 1);
    let alpha_pair = if reference.is_some() { alpha / others } else { 2.0 * alpha / ((others + 1.0) * others) };
    let mut bound: Option<GapBound> = None;
    for (highest, (k1, n1)) in &rated {
        for (lowest, (k2, n2)) in rated.iter().filter(|(index, _)| index != highest) {
            if reference.is_some_and(|base| base != *highest && base != *lowest) {
                continue;
            }
            let (lcb, pair_upper) = newcombe_of_dependent((*k1, *n1), (*k2, *n2), alpha_pair, design_effect)?;
            let upper = bound.map_or(pair_upper, |found| found.upper.max(pair_upper));
            let found = match bound {
                Some(kept) if kept.lcb >= lcb => GapBound { upper, ..kept },
                _ => GapBound { lcb, pair_upper, upper, highest: *highest, lowest: *lowest, alpha_pair },
            };
            bound = Some(found);
        }
    }
    bound
}

/// [`gap_lcb`] of the TPR.
#[must_use]
pub fn tpr_gap_lcb(
    segments: &[Confusion],
    eligible: &[usize],
    alpha: f64,
    reference: Option<usize>,
    design_effect: f64,
) -> Option<GapBound> {
    gap_lcb(segments, eligible, Rate::Tpr, alpha, reference, design_effect)
}

/// How far a rate has fallen below its training snapshot's.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Fall {
    /// Snapshot − now, in [−1, 1]; negative when the rate has risen.
    pub value: f64,
    /// The same, exactly: compare it with a limit.
    #[serde(skip)]
    pub exact: Ratio,
    /// Newcombe lower bound at the given α.
    pub lower: f64,
    /// Newcombe upper bound at the given α.
    pub upper: f64,
}

/// The fall of a segment's rate below the snapshot's, with its Newcombe interval at two-sided `alpha`, samples counted as
/// n/φ by the design effect φ. `None` when a side has no such rate or α is outside (0, 1).
#[must_use]
pub fn fall_below(snapshot: &Confusion, now: &Confusion, rate: Rate, alpha: f64, design_effect: f64) -> Option<Fall> {
    let exact = rate.exact(snapshot)?.minus(rate.exact(now)?)?;
    let (lower, upper) = newcombe_of_dependent(rate.counts(snapshot), rate.counts(now), alpha, design_effect)?;
    Some(Fall { value: exact.value(), exact, lower, upper })
}

/// The bounds of TPR once the outstanding labels arrive.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct LabelBounds {
    /// TP/(TP+FN) over the labelled pairs; `None` without labelled positives.
    pub observed: Option<f64>,
    /// TP/(TP+FN+U0): every unlabelled predicted negative turns out positive.
    pub lo: f64,
    /// (TP+U1)/(TP+U1+FN): every unlabelled predicted positive turns out positive.
    pub hi: f64,
}

/// Bounds of TPR over unlabelled predictions: `unlabelled_pos` (U1) were predicted positive, `unlabelled_neg` (U0)
/// negative. A side that nothing constrains is 0 or 1. `None` when there is nothing at all.
#[must_use]
pub fn label_bounds(tp: u64, fn_: u64, unlabelled_pos: u64, unlabelled_neg: u64) -> Option<LabelBounds> {
    let share = |k: u64, n: u64| (n > 0).then(|| real(k) / real(n));
    let positives = tp.saturating_add(fn_);
    if positives == 0 && unlabelled_pos == 0 && unlabelled_neg == 0 {
        return None;
    }
    Some(LabelBounds {
        observed: share(tp, positives),
        lo: share(tp, positives.saturating_add(unlabelled_neg)).unwrap_or(0.0),
        hi: share(tp.saturating_add(unlabelled_pos), positives.saturating_add(unlabelled_pos)).unwrap_or(1.0),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "these values are exact by construction")]

    use super::*;

    fn segment(tp: u64, positives: u64) -> Confusion {
        Confusion { tp, fn_: positives - tp, fp: 1, tn: 9 }
    }

    #[test]
    fn a_gap_at_its_limit_is_at_least_but_does_not_exceed() {
        let segments = [segment(80, 100), segment(77, 100)];
        let limit = Ratio::from_decimal(0.03).unwrap_or(Ratio::ZERO);
        let found = gap(&segments, &[0, 1], Rate::Tpr);
        assert!(found.is_some_and(|gap| gap.at_least(limit) && !gap.exceeds(limit) && gap.value <= 0.03));
    }

    #[test]
    fn ties_go_to_the_first_and_indexes_are_the_callers() {
        let segments = [segment(0, 0), segment(5, 10), segment(9, 10), segment(9, 10), segment(5, 10)];
        let eligible = Rate::Tpr.eligible(&segments, 10);
        assert_eq!(eligible, [1, 2, 3, 4]);
        assert_eq!(gap(&segments, &eligible, Rate::Tpr).map(|gap| (gap.highest, gap.lowest)), Some((2, 1)));
        assert_eq!(gap(&segments, &[0, 1], Rate::Tpr), None);
        assert_eq!(gap(&segments, &[7, 8], Rate::Tpr), None);
        assert_eq!(Rate::Tpr.eligible(&segments, 0), [1, 2, 3, 4]);
    }

    #[test]
    fn bounds_name_the_pair_and_know_what_they_cannot_tell() {
        let segments = [segment(160, 200), segment(150, 200), segment(100, 200)];
        let bound = tpr_gap_lcb(&segments, &[0, 1, 2], 0.05, None, 1.0);
        assert!(bound.is_some_and(|b| b.highest == 0 && b.lowest == 2 && b.exceeds(0.03) && !b.underpowered(0.03)));
        let close = tpr_gap_lcb(&segments, &[0, 1], 0.05, Some(1), 1.0);
        assert!(close.is_some_and(|b| !b.exceeds(0.03) && b.underpowered(0.03) && !b.underpowered(0.5)));
        assert_eq!(tpr_gap_lcb(&segments, &[0, 1], 0.05, Some(2), 1.0), None);
        assert_eq!(tpr_gap_lcb(&segments, &[0, 1], 0.0, None, 1.0), None);
    }

    #[test]
    fn falls_and_late_labels() {
        let fall = fall_below(&segment(90, 100), &segment(70, 100), Rate::Tpr, 0.05, 1.0);
        assert!(fall.is_some_and(|d| d.exact == Ratio::from_decimal(0.2).unwrap_or(Ratio::ZERO) && d.lower > 0.05));
        assert_eq!(label_bounds(0, 0, 0, 0), None);
        assert!(label_bounds(0, 0, 3, 0).is_some_and(|b| b.observed.is_none() && b.lo == 0.0 && b.hi == 1.0));
        let nobody = [Confusion { tn: 5, ..Confusion::default() }; 2];
        assert_eq!(disparate_impact(&nobody, &[0, 1]), None);
    }
}
