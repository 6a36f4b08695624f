//! Rules on how the service behaves: latency quantiles and the error rate.

use super::alarms::Simulation;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::options::{ReadLimit as _, upper as read_upper};
use super::result::{Judged, below, enough, limit, upper, warned};
use super::types::{Bound, Upper};
use crate::codec::number::number;
use crate::stats::limit::Limit;
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
    limit: LimitForm::Below,
    bounds: Bounds::Milliseconds,
    example: "80",
    values: Values::Milliseconds,
    options: &[],
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
    pub limit: Upper,
}

fn latency(definition: &'static Definition, quantile: f64, map: &Map) -> Option<RuleKind> {
    let limit = Upper::in_options(map, None, definition)?;
    Some(RuleKind::new(Latency { definition, quantile, limit }))
}

impl Check for Latency {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Latency(self.quantile)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![below(self.limit)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counted = window.latency();
        let n = counted.cells.iter().sum();
        let value = quantile::quantile(counted.cells, self.quantile);
        let bounds = quantile::quantile_bounds(counted.cells, self.quantile, ALPHA);
        let (status, reason) = enough(n, window.min_samples(), value, |v| upper(v, self.limit));
        let reason = reason.or_else(|| warned(status, self.limit));
        let evidence = vec![
            ("lower", number(bounds.map(|b| b.0))),
            ("upper", number(bounds.map(|b| b.1))),
            ("limit", limit("lt", self.limit.lt)),
            ("n", n.into()),
            ("missing", counted.missing.into()),
            ("invalid", counted.invalid.into()),
        ];
        vec![Judged { subject: "latency_ms".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown(UNKNOWN)
    }

    fn breach(&self, _: &str) -> String {
        format!("{} at {} ms or above", self.definition.name, self.limit.lt)
    }
}

static ERROR_RATE: Definition = Definition {
    name: "error_rate",
    documentation: "The share of predictions that say `error`, of those that say whether there was one.",
    subjects: Subjects::Only("error"),
    bounds: Bounds::Fraction,
    example: "0.01",
    values: Values::Percent,
    options: &[UNIT],
    parse: |definition, map, _| {
        let limit = if UNIT.word(map, &[false, true])? {
            let percent = read_upper(map, None, definition, Bounds::Percentage)?;
            Upper { lt: percent.lt.of_percent(), warn: percent.warn.map(Limit::of_percent) }
        } else {
            Upper::in_options(map, None, definition)?
        };
        Some(RuleKind::new(ErrorRate { limit }))
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
    pub limit: Upper,
}

impl Check for ErrorRate {
    fn definition(&self) -> &'static Definition {
        &ERROR_RATE
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Error]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![below(self.limit)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counted = window.errors();
        let (ok, errors) = if let [ok, errors] = counted.cells { (*ok, *errors) } else { (0, 0) };
        let n = ok + errors;
        let rate = Ratio::of_counts(errors, n);
        let value = rate.map(Ratio::value);
        let (status, reason) = enough(n, window.min_samples(), rate, |v| upper(v, self.limit));
        let reason = reason.or_else(|| warned(status, self.limit));
        let interval = wilson(errors, n, ALPHA);
        let evidence = vec![
            ("lower", number(interval.map(|i| i.0))),
            ("upper", number(interval.map(|i| i.1))),
            ("limit", limit("lt", self.limit.lt)),
            ("n", n.into()),
            ("missing", counted.missing.into()),
            ("invalid", counted.invalid.into()),
        ];
        vec![Judged { subject: "error".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown(UNKNOWN)
    }

    fn breach(&self, _: &str) -> String {
        format!("an error rate of {} or above", self.limit.lt)
    }
}
