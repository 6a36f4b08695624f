//! Rules on how the service behaves: latency quantiles and the error rate.

use super::alarms::Simulation;
use super::certain;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::limits::{Limits, MIN_SAMPLES};
use super::result::{Certain, Judged, enough};
use super::types::{Bound, Side};
use crate::codec::number::number;
use crate::stats::proportion::wilson;
use crate::stats::quantile;
use crate::stats::ratio::Ratio;
use crate::yaml::Map;

/// Two-sided α of the intervals that are shown.
const ALPHA: f64 = 0.05;
const UNKNOWN: &str = "what is usual for the service is not in the policy";

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 5] =
    [&LATENCY_P50_MS, &LATENCY_P90_MS, &LATENCY_P95_MS, &LATENCY_P99_MS, &ERROR_RATE];

const BASE: Definition = Definition {
    name: "",
    documentation: "",
    guards: Guard::Service,
    counts: Counts::Predictions,
    subjects: Subjects::Only("latency_ms"),
    baseline: Reference::None,
    minimum: Minimum::Samples,
    limit: LimitForm::Usual(Side::Lt),
    bounds: Bounds::Milliseconds,
    example: "80",
    values: Values::Milliseconds,
    options: &[MIN_SAMPLES],
    recorded_as: None,
    parse: |_, _, _| None,
};

static LATENCY_P50_MS: Definition = Definition {
    name: "latency_p50_ms",
    documentation: "The median latency in milliseconds, from a histogram whose buckets are within 1% of a value.",
    parse: |definition, map, _| latency(definition, 0.5, map),
    ..BASE
};
static LATENCY_P90_MS: Definition = Definition {
    name: "latency_p90_ms",
    documentation: "The 90% quantile of latency in milliseconds.",
    parse: |definition, map, _| latency(definition, 0.9, map),
    ..BASE
};
static LATENCY_P95_MS: Definition = Definition {
    name: "latency_p95_ms",
    documentation: "The 95% quantile of latency in milliseconds.",
    parse: |definition, map, _| latency(definition, 0.95, map),
    ..BASE
};
static LATENCY_P99_MS: Definition = Definition {
    name: "latency_p99_ms",
    documentation: "The 99% quantile of latency in milliseconds.",
    parse: |definition, map, _| latency(definition, 0.99, map),
    ..BASE
};

/// `quantile` in (0, 1), the limit in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    pub definition: &'static Definition,
    pub quantile: f64,
    pub limit: Limits,
    pub min_samples: Option<u64>,
}

fn latency(definition: &'static Definition, quantile: f64, map: &Map) -> Option<RuleKind> {
    let (limit, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
    Some(RuleKind::new(Latency { definition, quantile, limit: limit?, min_samples: min_samples? }))
}

impl Check for Latency {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Latency(self.quantile)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limit.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limit.floor()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counted = window.latency();
        let n = counted.cells.iter().sum();
        let value = quantile::quantile(counted.cells, self.quantile);
        let bounds = quantile::quantile_bounds(counted.cells, self.quantile, ALPHA);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let (status, reason) = enough(n, least, value, |v| self.limit.status(v));
        let evidence = vec![
            ("lower", number(bounds.map(|b| b.0))),
            ("upper", number(bounds.map(|b| b.1))),
            ("limit", self.limit.evidence()),
            ("n", n.into()),
            ("missing", counted.missing.into()),
            ("invalid", counted.invalid.into()),
        ];
        vec![Judged { subject: "latency_ms".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let effect = window.design_effect(None);
        let ends = quantile::bounds_at(window.latency().cells, self.quantile, effect, alpha);
        vec![ends.map(|ends| certain::of(&self.limit, ends))]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown(UNKNOWN)
    }

    fn breach(&self, _: &str) -> String {
        match self.limit.upper() {
            Some(limit) if self.limit.bound().side == Side::Lt => {
                format!("{} at {limit} ms or above", self.definition.name)
            }
            _ => format!("{} {} ms", self.definition.name, self.limit.breach()),
        }
    }
}

static ERROR_RATE: Definition = Definition {
    name: "error_rate",
    documentation: "The share of predictions that say `error`, of those that say whether there was one.",
    subjects: Subjects::Only("error"),
    bounds: Bounds::Fraction,
    example: "0.01",
    values: Values::Percent,
    options: &[UNIT, MIN_SAMPLES],
    parse: |definition, map, _| {
        let limit = if UNIT.word(map, &[false, true])? {
            Limits::read_within(Bounds::Percentage, definition, map).map(Limits::of_percent)
        } else {
            Limits::read(definition, map)
        };
        let min_samples = MIN_SAMPLES.optional_whole(map);
        Some(RuleKind::new(ErrorRate { limit: limit?, min_samples: min_samples? }))
    },
    ..BASE
};
const UNIT: Opt = Opt {
    key: "unit",
    takes: Takes::Words(&["fraction", "percent"]),
    default: "fraction",
    documentation: "Whether the limits are written as fractions or as percentages.",
};

/// The limit is a fraction.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRate {
    pub limit: Limits,
    pub min_samples: Option<u64>,
}

impl Check for ErrorRate {
    fn definition(&self) -> &'static Definition {
        &ERROR_RATE
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Error]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limit.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limit.floor()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counted = window.errors();
        let (ok, errors) = if let [ok, errors] = counted.cells { (*ok, *errors) } else { (0, 0) };
        let n = ok + errors;
        let rate = Ratio::of_counts(errors, n);
        let value = rate.map(Ratio::value);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let (status, reason) = enough(n, least, rate, |v| self.limit.status(v));
        let interval = wilson(errors, n, ALPHA);
        let evidence = vec![
            ("lower", number(interval.map(|i| i.0))),
            ("upper", number(interval.map(|i| i.1))),
            ("limit", self.limit.evidence()),
            ("n", n.into()),
            ("missing", counted.missing.into()),
            ("invalid", counted.invalid.into()),
        ];
        vec![Judged { subject: "error".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let [ok, errors] = window.errors().cells else { return Vec::new() };
        let counts = ((*errors, ok + errors), None);
        vec![certain::shares(&self.limit, counts, window.design_effect(None), alpha)]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown(UNKNOWN)
    }

    fn breach(&self, _: &str) -> String {
        format!("an error rate {}", self.limit.breach())
    }
}
