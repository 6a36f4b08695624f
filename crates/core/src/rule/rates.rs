//! Shares of a window's events whose value of a feature is missing or invalid.

use super::alarms::Simulation;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::options::subjects;
use super::result::{Judged, at_most, bounded, enough_events, limit};
use super::shown;
use super::types::{Bound, Side, Subject, Target};
use crate::codec::number::number;
use crate::stats::limit::Limit;
use crate::stats::ratio::Ratio;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 2] = [&MISSING_RATE, &INVALID_RATE];

static MISSING_RATE: Definition = Definition {
    name: "missing_rate",
    documentation: "The share of events without a value of the feature, less that share in the snapshot. Its samples are the events, not \
        the values measured: a feature that is gone altogether blocks.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: true },
    baseline: Reference::Snapshot,
    minimum: Minimum::Events,
    limit: LimitForm::AtMost("max_increase"),
    bounds: Bounds::Rate,
    example: "0.05",
    values: Values::Difference,
    options: &[],
    recorded_as: None,
    parse: |definition, map, names| Some(RuleKind::new(MissingRate { of: subjects(map, names, definition)? })),
};

/// Blocks above the limit (`max_increase`).
#[derive(Clone, Debug, PartialEq)]
pub struct MissingRate {
    pub of: Vec<Subject<Limit>>,
}

impl Check for MissingRate {
    fn definition(&self) -> &'static Definition {
        &MISSING_RATE
    }

    fn reads(&self) -> Vec<Read> {
        distributions(&self.of)
    }

    fn bounds(&self) -> Vec<Bound> {
        bounds(&self.of)
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| missing_rate(window, subject)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Rate { of: limits(&self.of), what: "missing values", as_in_training: true }
    }
}

fn missing_rate(window: &dyn WindowCounts, subject: &Subject<Limit>) -> Judged {
    let Some(c) = window.distribution(subject.target) else { return shown::absent(window, subject.target) };
    let reference_total = c.reference_n + c.reference_missing;
    let (rate, reference) =
        (Ratio::of_counts(c.missing, c.events()), Ratio::of_counts(c.reference_missing, reference_total));
    let increase = rate.zip(reference).and_then(|(now, then)| now.minus(then));
    let value = increase.map(Ratio::value);
    let judged = enough_events(c.events(), window.min_samples(), increase, |v| at_most(v, subject.limit));
    // The share of missing values in the snapshot is one of all its rows.
    let (status, reason) = shown::against(window, reference_total, judged);
    let mut evidence = vec![("rate", number(rate.map(Ratio::value))), ("limit", limit("max_increase", subject.limit))];
    evidence.extend(shown::tail(&c));
    evidence.push(("reference_value", number(reference.map(Ratio::value))));
    Judged { subject: window.target(subject.target).to_owned(), status, value, evidence, reason, bins: None }
}

static INVALID_RATE: Definition = Definition {
    name: "invalid_rate",
    documentation: "The share of events whose value of the feature cannot be read as its type. Its samples are the events, as with \
        `missing_rate`.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: true },
    baseline: Reference::None,
    minimum: Minimum::Events,
    limit: LimitForm::AtMost("lte"),
    bounds: Bounds::Rate,
    example: "0.01",
    values: Values::Fraction,
    options: &[],
    recorded_as: None,
    parse: |definition, map, names| Some(RuleKind::new(InvalidRate { of: subjects(map, names, definition)? })),
};

/// Blocks above the limit (`lte`).
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidRate {
    pub of: Vec<Subject<Limit>>,
}

impl Check for InvalidRate {
    fn definition(&self) -> &'static Definition {
        &INVALID_RATE
    }

    fn reads(&self) -> Vec<Read> {
        distributions(&self.of)
    }

    fn bounds(&self) -> Vec<Bound> {
        bounds(&self.of)
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| invalid_rate(window, subject)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Rate { of: limits(&self.of), what: "invalid values", as_in_training: false }
    }
}

fn invalid_rate(window: &dyn WindowCounts, subject: &Subject<Limit>) -> Judged {
    let Some(c) = window.distribution(subject.target) else { return shown::absent(window, subject.target) };
    let rate = Ratio::of_counts(c.invalid, c.events());
    let value = rate.map(Ratio::value);
    let (status, reason) = enough_events(c.events(), window.min_samples(), rate, |v| at_most(v, subject.limit));
    let mut evidence = vec![("limit", limit("lte", subject.limit))];
    evidence.extend(shown::tail(&c));
    Judged { subject: window.target(subject.target).to_owned(), status, value, evidence, reason, bins: None }
}

fn distributions(of: &[Subject<Limit>]) -> Vec<Read> {
    of.iter().map(|subject| Read::Distribution(subject.target)).collect()
}

fn bounds(of: &[Subject<Limit>]) -> Vec<Bound> {
    of.iter().map(|subject| bounded(Side::Lte, subject.limit)).collect()
}

fn limits(of: &[Subject<Limit>]) -> Vec<(Target, f64)> {
    of.iter().map(|subject| (subject.target, subject.limit.value())).collect()
}
