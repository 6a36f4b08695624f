//! The mean of a numeric feature or of the score, from a sum in billionths that merges exactly.

use serde_json::Value;

use super::alarms::Simulation;
use super::certain;
use super::counts::{SumCounts, TargetReference, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Change, Limits, MIN_SAMPLES, VERSUS};
use super::options::subjects;
use super::result::{Certain, Judged, enough, real};
use super::shown;
use super::types::{Bound, Subject, Tolerance};
use crate::codec::number::number;
use crate::stats::bounds;
use crate::stats::limit::{Amount, Limit};
use crate::stats::proportion::normal_interval;
use crate::stats::ratio::Ratio;

/// The rules of this family.
pub(super) static RULES: [&Definition; 1] = [&MEAN];

static MEAN: Definition = Definition {
    name: "mean",
    documentation: "The mean of a numeric feature's measured values, or of the score. Each value is kept to the nearest billionth, and one beyond \
        ±1e12 counts as that. A change is one of the snapshot's mean; in `{sigmas: 3}` it is counted in standard deviations (divisor n) of the \
        training values.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: false },
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::Full,
    bounds: Bounds::Value,
    example: "100",
    values: Values::Any,
    options: &[VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, names| {
        let (of, min_samples) = (subjects(map, names, definition), MIN_SAMPLES.optional_whole(map));
        Some(RuleKind::new(Mean { of: of?, min_samples: min_samples? }))
    },
};

/// The mean of each subject against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    pub of: Vec<Subject<Limits>>,
    pub min_samples: Option<u64>,
}

/// What is compared with the limit: the mean, or its change.
fn compared(limits: &Limits, counts: &SumCounts) -> Option<Amount> {
    let now = counts.mean?;
    if let Some((change, _)) = limits.sigmas() {
        // A constant feature has no standard deviation to count in.
        let sigma = counts.deviation.filter(|sigma| *sigma > 0.0)?;
        let then = counts.reference_mean?;
        let by = match change {
            Change::Increase => now.minus(then).map_or(now.value() - then.value(), Ratio::value),
            Change::Drop => then.minus(now).map_or(then.value() - now.value(), Ratio::value),
        };
        return Some(by / sigma).filter(|by| by.is_finite()).map(Amount::Float);
    }
    let Some((change, tolerance)) = limits.change() else { return Some(Amount::Exact(now)) };
    let then = counts.reference_mean?;
    change.of(tolerance, now, then).map(Amount::Exact).or_else(|| {
        // The terms of both means are too long for an exact difference.
        let ends = |mean: Ratio| (mean.value(), mean.value());
        change.of_intervals(tolerance, ends(now), ends(then)).map(|(by, _)| Amount::Float(by))
    })
}

impl Mean {
    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<Limits>) -> Judged {
        let target = subject.target;
        let (Some(c), Some(counts)) = (window.distribution(target), window.sum(target)) else {
            return shown::absent(window, target);
        };
        let is_change = subject.limit.is_change();
        let found = compared(&subject.limit, &counts);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(c.n, least, found, |value| subject.limit.status(value));
        let (status, reason) = if is_change { shown::against(window, c.reference_n, judged) } else { judged };
        let mut evidence: Vec<(&'static str, Value)> = vec![("limit", subject.limit.evidence())];
        evidence.extend(is_change.then(|| ("now", number(counts.mean.map(Ratio::value)))));
        evidence.push(("reference_value", number(counts.reference_mean.map(Ratio::value))));
        evidence.extend(subject.limit.sigmas().map(|_| ("reference_deviation", number(counts.deviation))));
        evidence.extend(shown::tail(&c));
        let value = found.map(Amount::value);
        Judged { subject: window.target(target).to_owned(), status, value, evidence, reason, bins: None }
    }
}

/// The interval of a mean, or of its change, that misses with a probability of α: normal quantiles of the standard error. It is asymptotic, as a
/// feature has no largest value; the spread is no less than that of the window, as each value is taken for the end of its cell that lies
/// further from the mean.
fn certain_of(window: &dyn WindowCounts, subject: &Subject<Limits>, alpha: f64) -> Option<Certain> {
    let target = subject.target;
    let (c, counts) = (window.distribution(target)?, window.sum(target)?);
    let TargetReference::Numeric { cells: reference, .. } = c.reference else { return None };
    let effect = window.design_effect(None);
    let points = window.points(target);
    let interval = |mean: Option<Ratio>, ends: Option<[f64; 2]>, cells: &[u64], alpha: f64| {
        let mean = mean?.value();
        let n = bounds::size(cells.iter().sum(), effect);
        normal_interval(mean, spread(mean, ends?, points, cells)?, n, alpha)
    };
    let now = |alpha| interval(counts.mean, counts.ends, c.cells, alpha);
    let then = |alpha| interval(counts.reference_mean, counts.reference_ends, reference, alpha);
    let Some((change, _)) = subject.limit.sigmas() else {
        return certain::compared(&subject.limit, alpha, now, then);
    };
    let sigma = counts.deviation.filter(|sigma| *sigma > 0.0)?;
    let absolute = Tolerance::Absolute(Limit::ZERO);
    let (lower, upper) = change.of_intervals(absolute, now(alpha / 2.0)?, then(alpha / 2.0)?)?;
    Some(certain::of(&subject.limit, (lower / sigma, upper / sigma)))
}

/// The root of the mean squared distance of values from their mean, at most: cell 2k + 1 holds the values at point k, cell 2k those between the points
/// k − 1 and k, and the ends bound the first and the last cell.
fn spread(mean: f64, [smallest, largest]: [f64; 2], points: &[f64], cells: &[u64]) -> Option<f64> {
    let n = cells.iter().sum::<u64>();
    let point = |at: usize| points.get(at).copied();
    let furthest = |cell: usize| {
        let (low, high) = if cell % 2 == 1 {
            (point(cell / 2), point(cell / 2))
        } else {
            (cell.checked_sub(2).and_then(|before| point(before / 2)), point(cell / 2))
        };
        let (low, high) = (low.unwrap_or(smallest), high.unwrap_or(largest));
        (low - mean).abs().max((high - mean).abs())
    };
    let filled = cells.iter().enumerate().filter(|(_, count)| **count > 0);
    let sum: f64 = filled.map(|(cell, count)| real(*count) * furthest(cell).powi(2)).sum();
    (n > 0).then(|| (sum / real(n)).sqrt())
}

impl Check for Mean {
    fn definition(&self) -> &'static Definition {
        &MEAN
    }

    fn reads(&self) -> Vec<Read> {
        let each = self.of.iter().flat_map(|s| [Read::Distribution(s.target), Read::Sum(s.target)]);
        let deviations = self.of.iter().any(|s| s.limit.sigmas().is_some()).then_some(Read::Deviations);
        each.chain(deviations).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        self.of.get(at)?.limit.floor()
    }

    fn is_change(&self) -> bool {
        self.of.iter().any(|subject| subject.limit.is_change())
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| self.judge_one(window, subject)).collect()
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        self.of.iter().map(|subject| certain_of(window, subject, alpha)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual mean")
    }
}
