//! Shares of a window's events whose value of a feature is missing or invalid.

use super::alarms::Simulation;
use super::certain;
use super::counts::{Distribution, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Change, Limits, MIN_SAMPLES, Region, VERSUS};
use super::options::subjects;
use super::result::{Certain, Judged, enough_events};
use super::shown;
use super::types::{Bound, Side, Subject, Tolerance};
use crate::codec::number::number;
use crate::stats::ratio::Ratio;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 2] = [&MISSING_RATE, &INVALID_RATE];

static MISSING_RATE: Definition = Definition {
    name: "missing_rate",
    documentation: "The share of events without a value of the feature. With `max_increase` the value is its increase over the share in the \
        snapshot, and `rate` the share itself. Its samples are the events, not the values measured: a feature that is gone altogether blocks.",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: true },
    baseline: Reference::Shown,
    minimum: Minimum::Events,
    limit: LimitForm::Full,
    bounds: Bounds::Rate,
    example: "0.05",
    values: Values::Difference,
    options: &[VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, names| {
        let (of, min_samples) = (subjects(map, names, definition), MIN_SAMPLES.optional_whole(map));
        Some(RuleKind::new(EventRate { definition, of: of?, min_samples: min_samples? }))
    },
};

static INVALID_RATE: Definition = Definition {
    name: "invalid_rate",
    documentation: "The share of events whose value of the feature cannot be read as its type. Its samples are the events, as with \
        `missing_rate`. A snapshot has no invalid values: an increase is the share itself.",
    baseline: Reference::None,
    example: "0.01",
    values: Values::Fraction,
    ..MISSING_RATE
};

/// A share of all events, or its change against the snapshot, by subject.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRate {
    definition: &'static Definition,
    pub of: Vec<Subject<Limits>>,
    pub min_samples: Option<u64>,
}

impl EventRate {
    fn is_of_missing(&self) -> bool {
        self.definition == &MISSING_RATE
    }

    /// The share in the window and in the snapshot's rows; `None` without any.
    fn rates(&self, c: &Distribution<'_>) -> (Option<Ratio>, Option<Ratio>) {
        let missing = self.is_of_missing();
        let (now, then) = if missing { (c.missing, c.reference_missing) } else { (c.invalid, c.reference_invalid) };
        (Ratio::of_counts(now, c.events()), Ratio::of_counts(then, c.reference_events()))
    }

    fn certain_of(&self, window: &dyn WindowCounts, subject: &Subject<Limits>, alpha: f64) -> Option<Certain> {
        let c = window.distribution(subject.target)?;
        let missing = self.is_of_missing();
        let (now, then) = if missing { (c.missing, c.reference_missing) } else { (c.invalid, c.reference_invalid) };
        let counts = ((now, c.events()), Some((then, c.reference_events())));
        certain::shares(&subject.limit, counts, window.design_effect(None), alpha)
    }

    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<Limits>) -> Judged {
        let Some(c) = window.distribution(subject.target) else { return shown::absent(window, subject.target) };
        let (rate, reference) = self.rates(&c);
        let change = subject.limit.change();
        let compared = match change {
            None => rate,
            Some((change, tolerance)) => rate.zip(reference).and_then(|(now, then)| change.of(tolerance, now, then)),
        };
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough_events(c.events(), least, compared, |value| subject.limit.status(value));
        // The share of missing values in the snapshot is one of all its rows.
        let rows = c.reference_events();
        let (status, reason) = if change.is_some() { shown::against(window, rows, judged) } else { judged };
        let mut evidence = Vec::new();
        let shows = self.is_of_missing() || change.is_some();
        evidence.extend(shows.then(|| ("rate", number(rate.map(Ratio::value)))));
        evidence.push(("limit", subject.limit.evidence()));
        evidence.extend(shown::tail(&c));
        evidence.extend(shows.then(|| ("reference_value", number(reference.map(Ratio::value)))));
        let value = compared.map(Ratio::value);
        Judged { subject: window.target(subject.target).to_owned(), status, value, evidence, reason, bins: None }
    }
}

impl Check for EventRate {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        self.of.iter().map(|subject| Read::Distribution(subject.target)).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        self.of.get(at)?.limit.floor()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| self.judge_one(window, subject)).collect()
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        self.of.iter().map(|subject| self.certain_of(window, subject, alpha)).collect()
    }

    /// Of limits from above: an increase over the rate in training, or a rate of what training has none of.
    fn simulation(&self) -> Simulation {
        let limit = |subject: &Subject<Limits>| match subject.limit.region {
            Region::Change(Change::Increase, Tolerance::Absolute(limit)) => Some((subject.target, limit.value())),
            Region::Side(Side::Lt | Side::Lte, limit) if !self.is_of_missing() => Some((subject.target, limit.value())),
            _ => None,
        };
        let what = if self.is_of_missing() { "missing values" } else { "invalid values" };
        match self.of.iter().map(limit).collect() {
            Some(of) => Simulation::Rate { of, what, as_in_training: self.is_of_missing() },
            None => {
                Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual rate")
            }
        }
    }
}
