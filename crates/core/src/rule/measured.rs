//! Rules on what other systems measured: one aggregate of a window's measurements against a limit. They need neither a
//! baseline nor `min_samples`: one measurement is a measurement.

use std::cmp::Ordering;

use super::alarms::Simulation;
use super::counts::{MeasuredValue, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::options::bound;
use super::result::{Certain, Judged, limit};
use super::types::{Aggregate, Bound, Side, Status};
use crate::stats::limit::{Amount, Limit};

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 1] = [&MEASURED];

static MEASURED: Definition = Definition {
    name: "measured",
    documentation: "What another system measured (SLOs, business KPIs, costs) and sent as `measurements` events: an aggregate of the window's \
        measurements of one metric. It needs neither a baseline nor `min_samples`.",
    guards: Guard::Outcome,
    counts: Counts::Measurements,
    subjects: Subjects::Measured,
    baseline: Reference::None,
    minimum: Minimum::One,
    limit: LimitForm::Any,
    bounds: Bounds::Value,
    example: "0.5",
    values: Values::Any,
    options: &[AGG],
    recorded_as: None,
    parse: |definition, map, names| {
        let of = map.require("of", "cost_per_1k").and_then(|item| item.name("a metric's name"));
        let aggregate = AGG.word(map, &Aggregate::ALL);
        let bound = bound(definition, map);
        let (of, aggregate, bound) = (of?, aggregate?, bound?);
        Some(RuleKind::new(MeasuredRule { of: names.measured_of(of), aggregate, bound }))
    },
};
const AGG: Opt = Opt {
    key: "agg",
    takes: Takes::Words(&["mean", "max", "min", "sum"]),
    default: "mean",
    documentation: "What is computed from the window's measurements: their mean weighted by `n`, the largest, the smallest, or the sum of value times `n`.",
};

/// `of` is an index into the policy's measured metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredRule {
    pub of: usize,
    pub aggregate: Aggregate,
    pub bound: Bound,
}

impl Check for MeasuredRule {
    fn definition(&self) -> &'static Definition {
        &MEASURED
    }

    fn reads(&self) -> Vec<Read> {
        let spread =
            matches!(self.aggregate, Aggregate::Mean | Aggregate::Sum).then_some(Read::MeasuredSpread(self.of));
        std::iter::once(Read::Measured(self.of)).chain(spread).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.bound]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let measured = window.measured(self.of, self.aggregate);
        let (status, reason) = judged(&measured, self.bound);
        let evidence = vec![
            ("limit", limit(self.bound.side.name(), self.bound.limit)),
            ("method", self.aggregate.name().into()),
            ("n", measured.n.into()),
        ];
        let (subject, value) = (measured.name.to_owned(), measured.value);
        vec![Judged { subject, status, value, evidence, reason, bins: None }]
    }

    fn unbounded(&self) -> Option<&'static str> {
        let is_end = matches!(self.aggregate, Aggregate::Max | Aggregate::Min);
        is_end.then_some(
            "the largest and the smallest of a window say nothing of the next one's: write `agg: mean` or `agg: sum`",
        )
    }

    /// Of measurements that are independent of each other, how many there are being chance as well where they are added up.
    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let MeasuredValue { value, n, .. } = window.measured(self.of, self.aggregate);
        let ends = value.zip(window.measured_spread(self.of)).and_then(|(value, spread)| match self.aggregate {
            Aggregate::Sum => spread.sum_bounds(value, alpha),
            _ => spread.mean_bounds(value, n, alpha),
        });
        let breaks = |end: f64| !self.bound.side.passes(self.bound.limit.order(end));
        vec![ends.map(|(lower, upper)| Certain { lower, upper, blocks: breaks(lower) && breaks(upper) })]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("what is usual for the service is not in the policy")
    }
}

/// Means and sums are compared as the ratios of integers that they are.
pub(crate) fn judged(measured: &MeasuredValue<'_>, bound: Bound) -> (Status, Option<String>) {
    let Some(value) = measured.value else {
        return (Status::Insufficient, Some("nothing was measured".to_owned()));
    };
    status(bound, |limit| limit.order(measured.exact.map_or(Amount::Float(value), Amount::Exact)))
}

fn status(bound: Bound, compare: impl Fn(Limit) -> Ordering) -> (Status, Option<String>) {
    if !bound.side.passes(compare(bound.limit)) {
        return (Status::Block, None);
    }
    match bound.warn {
        Some(warn) if !bound.side.passes(compare(warn)) => {
            let lies = match bound.side {
                Side::Lt => "at or above",
                Side::Lte => "above",
                Side::Gt => "at or below",
                Side::Gte => "below",
            };
            (Status::Warn, Some(format!("{lies} warn {warn}")))
        }
        _ => (Status::Pass, None),
    }
}
