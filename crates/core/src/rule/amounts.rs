//! How much came: events of a version in a window, positive labels, labels at all.

use serde_json::Value;

use super::alarms::Simulation;
use super::certain;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::result::{Certain, Judged, enough, enough_events};
use super::shown;
use super::types::{Bound, Side, Status};
use crate::codec::number::number;
use crate::stats::bounds;
use crate::stats::proportion::wilson;
use crate::stats::ratio::Ratio;

/// Two-sided α of the intervals that are shown.
const ALPHA: f64 = 0.05;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 3] = [&VOLUME, &LABEL_RATE, &LABEL_COVERAGE];

static VOLUME: Definition = Definition {
    name: "volume",
    documentation: "The number of the version's predictions in the window. A window without any is judged too while the version is active: up to \
        `retire_after` behind its last prediction, as far as event time has come by other events of the model.",
    guards: Guard::Service,
    counts: Counts::Predictions,
    subjects: Subjects::Only("events"),
    baseline: Reference::None,
    minimum: Minimum::Nothing,
    limit: LimitForm::UsualFull(Side::Gte),
    bounds: Bounds::FromZero,
    example: "1000",
    values: Values::Any,
    options: &[VERSUS],
    recorded_as: None,
    parse: |definition, map, _| {
        Some(RuleKind::new(Quantity { definition, limits: Limits::read(definition, map)?, min_samples: None }))
    },
};
static LABEL_RATE: Definition = Definition {
    name: "label_rate",
    documentation: "The share of positive labels among the labels of joined predictions, whatever was decided. A change is one of the snapshot's share.",
    guards: Guard::Drift,
    counts: Counts::Pairs,
    subjects: Subjects::Only("label"),
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::Full,
    bounds: Bounds::Rate,
    example: "0.5",
    values: Values::Fraction,
    options: &[VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, _| {
        let (limits, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
        Some(RuleKind::new(Quantity { definition, limits: limits?, min_samples: min_samples? }))
    },
};
static LABEL_COVERAGE: Definition = Definition {
    name: "label_coverage",
    documentation: "The share of the window's predictions that have a label, once the horizon of all of them has passed. It needs \
        `labels: {attribute: prediction_time}`, and is `insufficient` by the labels' own times, by which a window holds those of other predictions.",
    guards: Guard::Service,
    baseline: Reference::None,
    minimum: Minimum::Events,
    limit: LimitForm::UsualFull(Side::Gte),
    example: "0.9",
    ..LABEL_RATE
};

/// A number of events, or a share of labels, against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    definition: &'static Definition,
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

/// So many of so many, here and in the reference.
struct Counted {
    now: Option<(u64, u64)>,
    then: Option<(u64, u64)>,
}

impl Quantity {
    fn is_volume(&self) -> bool {
        self.definition == &VOLUME
    }

    fn counted(&self, window: &dyn WindowCounts) -> Counted {
        let positives = |[no, yes]: [u64; 2]| (yes, no + yes);
        let covered = |(labels, events): (Option<[u64; 2]>, u64)| Some((labels?.iter().sum(), events));
        if self.definition == &LABEL_RATE {
            return Counted { now: window.labels().map(positives), then: window.reference_labels().map(positives) };
        }
        if self.is_volume() {
            return Counted { now: Some((window.events(), 1)), then: window.reference_events().map(|n| (n, 1)) };
        }
        let then = window.reference_events().map(|events| (window.reference_labels(), events));
        Counted { now: covered((window.labels(), window.events())), then: then.and_then(covered) }
    }

    fn status(&self, window: &dyn WindowCounts, n: u64, value: Option<Ratio>) -> (Status, Option<String>) {
        let decide = |value: Ratio| self.limits.status(value);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        match (self.definition.minimum, value) {
            (Minimum::Nothing, Some(value)) => decide(value),
            (Minimum::Nothing, None) => (Status::Insufficient, Some("it cannot be computed".to_owned())),
            (Minimum::Events, value) => enough_events(n, least, value, decide),
            (_, value) => enough(n, least, value, decide),
        }
    }
}

impl Check for Quantity {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        if self.is_volume() { vec![Read::Volume] } else { vec![Read::Labels] }
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limits.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limits.floor()
    }

    fn is_change(&self) -> bool {
        self.limits.is_change()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let Counted { now, then } = self.counted(window);
        let ratio = |of: Option<(u64, u64)>| of.and_then(|(k, n)| Ratio::of_counts(k, n));
        let compared = match self.limits.change() {
            None => ratio(now),
            Some((change, tolerance)) => {
                ratio(now).zip(ratio(then)).and_then(|(now, then)| change.of(tolerance, now, then))
            }
        };
        let n = now.map_or(0, |(_, n)| n);
        let judged = self.status(window, n, compared);
        let reference_n = then.map_or(0, |(k, n)| if self.is_volume() { k } else { n });
        let (status, reason) = if self.definition == &LABEL_COVERAGE && !window.labels_may_come() {
            let why = "labels count at their own time, so that a window has those of other predictions: write `labels: {attribute: prediction_time}`";
            (Status::Insufficient, Some(why.to_owned()))
        } else if self.limits.is_change() {
            shown::against(window, reference_n, judged)
        } else {
            judged
        };
        let mut evidence: Vec<(&'static str, Value)> = vec![("limit", self.limits.evidence())];
        if !self.is_volume() {
            let interval = now.and_then(|(k, n)| wilson(k, n, ALPHA)).filter(|_| !self.limits.is_change());
            evidence.push(("lower", number(interval.map(|i| i.0))));
            evidence.push(("upper", number(interval.map(|i| i.1))));
        }
        evidence.extend(self.limits.is_change().then(|| ("now", number(ratio(now).map(Ratio::value)))));
        evidence.push(("n", if self.is_volume() { now.map_or(0, |(k, _)| k) } else { n }.into()));
        evidence.extend(then.map(|_| ("reference_value", number(ratio(then).map(Ratio::value)))));
        evidence.extend(then.map(|_| ("reference_n", reference_n.into())));
        let Subjects::Only(subject) = self.definition.subjects else { return Vec::new() };
        let value = compared.map(Ratio::value);
        vec![Judged { subject: subject.to_owned(), status, value, evidence, reason, bins: None }]
    }

    /// Of a volume the number that comes on average, where events come independently of each other.
    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let Counted { now, then } = self.counted(window);
        let effect = window.design_effect(None);
        if self.is_volume() {
            let bound = |of: Option<(u64, u64)>| move |alpha| bounds::count(of?.0, effect, alpha);
            return vec![certain::compared(&self.limits, alpha, bound(now), bound(then))];
        }
        vec![now.and_then(|now| certain::shares(&self.limits, (now, then), effect, alpha))]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("what is usual for the service is not in the policy")
    }
}
