//! The mean of a numeric feature or of the score, from a sum in billionths that merges exactly.

use serde_json::Value;

use super::alarms::Simulation;
use super::counts::{SumCounts, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Change, Limits, MIN_SAMPLES, VERSUS};
use super::options::subjects;
use super::result::{Judged, enough};
use super::shown;
use super::types::{Bound, Subject};
use crate::codec::number::number;
use crate::stats::limit::Amount;
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

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual mean")
    }
}
