//! Where gaps, ratios and drops between segments lie at a level: every segment's metric within its bounds together, which share α.

use super::super::certain::{self, compared};
use super::super::limits::Limits;
use super::super::result::Certain;
use super::super::types::Tolerance;
use super::gaps::place;
use super::listed::ComparedSegments;
use crate::stats::fairness::{Confusion, Rate};
use crate::stats::limit::Limit;
use crate::stats::quality::Metric;

/// An interval.
type Ends = (f64, f64);

/// Where a segment's value lies at a level.
pub(super) type SegmentBounds<'c> = Box<dyn Fn(f64) -> Option<Ends> + 'c>;

/// The segments of one side that are compared, and the place among them of the one that the others are compared with.
pub(super) struct Sides<'c> {
    pub each: Vec<SegmentBounds<'c>>,
    pub base: Option<usize>,
    pub is_to_base: bool,
}

impl Sides<'_> {
    /// Each segment's value, all of them but for a probability of α.
    #[allow(clippy::cast_precision_loss, reason = "segments are few")]
    fn bounds(&self, alpha: f64) -> Option<Vec<Ends>> {
        let each = alpha / self.each.len().max(1) as f64;
        self.each.iter().map(|bounds| bounds(each)).collect()
    }

    /// The largest less the smallest, or the largest distance to the base.
    pub fn gap(&self, alpha: f64) -> Option<Ends> {
        let each = self.bounds(alpha)?;
        if !self.is_to_base {
            let largest = |of: fn(&Ends) -> f64| each.iter().map(of).reduce(f64::max);
            let smallest = |of: fn(&Ends) -> f64| each.iter().map(of).reduce(f64::min);
            let lower = (largest(|e| e.0)? - smallest(|e| e.1)?).max(0.0);
            return Some((lower, largest(|e| e.1)? - smallest(|e| e.0)?));
        }
        let base = self.base?;
        let (low, high) = *each.get(base)?;
        let others = || each.iter().enumerate().filter(|(at, _)| *at != base).map(|(_, ends)| *ends);
        let lower = others().map(|(l, u)| (l - high).max(low - u)).reduce(f64::max)?.max(0.0);
        let upper = others().map(|(l, u)| (u - low).max(high - l)).reduce(f64::max)?;
        Some((lower, upper))
    }

    /// The smallest over the largest, or each over the base.
    fn ratios(&self, alpha: f64) -> Option<Vec<Ends>> {
        let each = self.bounds(alpha)?;
        let over = |(low, high): Ends, (from, to): Ends| {
            let upper = if from > 0.0 { high / from } else { f64::INFINITY };
            (if to > 0.0 { low.max(0.0) / to } else { 0.0 }, upper)
        };
        if !self.is_to_base {
            let end = |of: fn(&Ends) -> f64, pick: fn(f64, f64) -> f64| each.iter().map(of).reduce(pick);
            let smallest = (end(|e| e.0, f64::min)?, end(|e| e.1, f64::min)?);
            let largest = (end(|e| e.0, f64::max)?, end(|e| e.1, f64::max)?);
            let (lower, upper) = over(smallest, largest);
            return Some(vec![(lower, upper.min(1.0))]);
        }
        let base = self.base?;
        let of_base = *each.get(base)?;
        Some(each.iter().enumerate().filter(|(at, _)| *at != base).map(|(_, ends)| over(*ends, of_base)).collect())
    }
}

/// A gap, or its change.
pub(super) fn gap(limits: &Limits, (here, there): (&Sides<'_>, Option<&Sides<'_>>), alpha: f64) -> Option<Certain> {
    compared(limits, alpha, |alpha| here.gap(alpha), |alpha| there?.gap(alpha))
}

/// A ratio, or its change; of ratios to a segment the one that blocks, if one does.
pub(super) fn ratio(limits: &Limits, (here, there): (&Sides<'_>, Option<&Sides<'_>>), alpha: f64) -> Option<Certain> {
    if !limits.is_change() {
        return Certain::any(here.ratios(alpha)?.into_iter().map(|ends| certain::of(limits, ends)));
    }
    // Of several the change is that of the worst on either side: it has all of their ends.
    let all = |ratios: Vec<Ends>| ratios.into_iter().reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    compared(limits, alpha, |alpha| all(here.ratios(alpha)?), |alpha| all(there?.ratios(alpha)?))
}

/// A metric of a segment by its counts.
fn bounds_of(metric: Metric, counts: &Confusion, effect: f64) -> SegmentBounds<'_> {
    Box::new(move |alpha| metric.bounds(counts, effect, alpha))
}

impl ComparedSegments<'_> {
    /// The eligible segments of the window.
    fn here(&self, metric: Metric, least: u64, reference: Option<&str>) -> Sides<'_> {
        let (eligible, effect) = (metric.eligible(&self.confusions, least), self.effect_of_rows());
        let base = self.base(&eligible, reference).and_then(|at| eligible.binary_search(&at).ok());
        let each = eligible.iter().filter_map(|at| self.confusions.get(*at));
        Sides {
            each: each.map(|counts| bounds_of(metric, counts, effect)).collect(),
            base,
            is_to_base: reference.is_some(),
        }
    }

    /// The eligible segments of what is compared with.
    fn there(&self, metric: Metric, least: u64, reference: Option<&str>) -> Option<Sides<'_>> {
        let (known, effect) = (self.reference.as_ref()?, self.effect_of_rows());
        let each: Vec<(&str, &Confusion)> = known
            .iter()
            .filter(|(_, counts)| metric.is_eligible(counts, least))
            .map(|(name, counts)| (name.as_str(), counts))
            .collect();
        let base = place(each.iter().map(|(name, _)| *name), reference);
        let each = each.into_iter().map(|(_, counts)| bounds_of(metric, counts, effect)).collect();
        Some(Sides { each, base, is_to_base: reference.is_some() })
    }

    /// A gap, or its change.
    pub(super) fn certain_gap(
        &self,
        metric: Metric,
        limits: &Limits,
        least: u64,
        reference: Option<&str>,
        alpha: f64,
    ) -> Option<Certain> {
        let (here, there) = (self.here(metric, least, reference), self.there(metric, least, reference));
        gap(limits, (&here, there.as_ref()), alpha)
    }

    /// The larger of the gaps of two rates, or their mean, or its change.
    pub(super) fn certain_odds(&self, limits: &Limits, least: u64, is_mean: bool, alpha: f64) -> Option<Certain> {
        let join = |one: Ends, other: Ends| {
            if is_mean {
                (f64::midpoint(one.0, other.0), f64::midpoint(one.1, other.1))
            } else {
                (one.0.max(other.0), one.1.max(other.1))
            }
        };
        let rates = [Rate::Tpr, Rate::Fpr].map(Metric::Rate);
        let here = rates.map(|rate| self.here(rate, least, None));
        let there = rates.map(|rate| self.there(rate, least, None));
        // Both gaps share α.
        let both =
            |[one, other]: [&Sides<'_>; 2], alpha: f64| Some(join(one.gap(alpha / 2.0)?, other.gap(alpha / 2.0)?));
        let then = |alpha| both([there[0].as_ref()?, there[1].as_ref()?], alpha);
        compared(limits, alpha, |alpha| both([&here[0], &here[1]], alpha), then)
    }

    /// A ratio, or its change.
    pub(super) fn certain_ratio(
        &self,
        metric: Metric,
        limits: &Limits,
        least: u64,
        reference: Option<&str>,
        alpha: f64,
    ) -> Option<Certain> {
        let (here, there) = (self.here(metric, least, reference), self.there(metric, least, reference));
        ratio(limits, (&here, there.as_ref()), alpha)
    }

    /// How far the true positive rate of any segment lies below its own in the snapshot.
    #[allow(clippy::cast_precision_loss, reason = "segments are few")]
    pub(super) fn certain_drop(&self, max: Limit, least: u64, there: u64, alpha: f64) -> Option<Certain> {
        let eligible = self.comparable(least, there);
        let each = alpha / (2.0 * eligible.len().max(1) as f64);
        let effect = self.effect_of_rows();
        let tpr = |counts: &Confusion| Metric::Rate(Rate::Tpr).bounds(counts, effect, each);
        let drops = eligible.iter().filter_map(|at| {
            let segment = self.each.get(*at)?;
            let ((low, high), (from, to)) = (tpr(&segment.confusion)?, tpr(&segment.reference?)?);
            Some(certain::of_drop(Tolerance::Absolute(max), (from - high, to - low)))
        });
        Certain::any(drops)
    }
}
