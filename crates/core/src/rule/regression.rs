//! Rules on the errors of predicted numbers (`task: regression`): how far predictions lie from their labels.

use serde_json::Value;

use super::alarms::Simulation;
use super::certain;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::result::{Certain, Judged, enough};
use super::shown;
use super::types::{Bound, Side};
use crate::codec::number::number;
use crate::stats::limit::Amount;
use crate::stats::regression::{ErrorMetric, Errors};

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 5] = [&MAE, &RMSE, &MEAN_ERROR, &MAPE, &R2];

static MAE: Definition = Definition {
    name: "mae",
    documentation: "The mean absolute error: the mean of |score − label| over labelled predictions of `task: regression`. Each error is kept to the \
        nearest billionth, and one beyond 1e12 counts as that.",
    guards: Guard::Outcome,
    counts: Counts::Errors,
    subjects: Subjects::Only("score"),
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::UsualFull(Side::Lte),
    bounds: Bounds::FromZero,
    example: "15",
    values: Values::FromZero,
    options: &[VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, _| {
        let (limits, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
        let metric = ErrorMetric::named(definition.name)?;
        Some(RuleKind::new(ErrorRule { definition, metric, limits: limits?, min_samples: min_samples? }))
    },
};
static RMSE: Definition = Definition {
    name: "rmse",
    documentation: "The root of the mean squared error, over labelled predictions of `task: regression`. Squares are kept to the nearest billionth, \
        and one beyond 1e20 counts as that.",
    example: "30",
    ..MAE
};
static MEAN_ERROR: Definition = Definition {
    name: "mean_error",
    documentation: "The mean of score − label over labelled predictions of `task: regression`: above 0 where predictions are too high.",
    limit: LimitForm::Full,
    bounds: Bounds::Value,
    example: "5",
    values: Values::Any,
    ..MAE
};
static MAPE: Definition = Definition {
    name: "mape",
    documentation: "The mean of |score − label|/|label|, as a fraction, over labelled predictions of `task: regression` whose label is not 0; `zeros` \
        are those left out.",
    example: "0.2",
    ..MAE
};
static R2: Definition = Definition {
    name: "r2",
    documentation: "The coefficient of determination, 1 − Σ(score − label)²/Σ(label − mean label)², over labelled predictions of \
        `task: regression`; below 0 where the mean label predicts better. It is `insufficient` where all labels are the same.",
    limit: LimitForm::UsualFull(Side::Gte),
    bounds: Bounds::Value,
    example: "0.5",
    values: Values::Any,
    ..MAE
};

/// A metric of the errors against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorRule {
    definition: &'static Definition,
    pub metric: ErrorMetric,
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

impl ErrorRule {
    /// The metric of these sums, and the samples that it is the metric of.
    fn of(&self, errors: &Errors) -> (Option<Amount>, u64) {
        (self.metric.value(errors), self.metric.samples(errors))
    }

    /// What is compared with the limit: the metric, or its change.
    fn compared(&self, now: Option<Amount>, then: Option<Amount>) -> Option<Amount> {
        let Some((change, tolerance)) = self.limits.change() else { return now };
        change.of_amounts(tolerance, now?, then?)
    }
}

impl Check for ErrorRule {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        let spread = self.metric.reads_spread().then_some(Read::Spread);
        std::iter::once(Read::Errors).chain(spread).collect()
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
        let counts = window.numbers();
        let (now, n) = counts.now.as_ref().map_or((None, 0), |errors| self.of(errors));
        let (then, reference_n) = counts.reference.as_ref().map_or((None, 0), |errors| self.of(errors));
        let compared = self.compared(now, then);
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(n, least, compared, |value| self.limits.status(value));
        let is_change = self.limits.is_change();
        let (status, reason) = if is_change { shown::against(window, reference_n, judged) } else { judged };
        let value = |amount: Option<Amount>| number(amount.map(Amount::value));
        let mut evidence: Vec<(&'static str, Value)> = vec![("limit", self.limits.evidence())];
        evidence.extend(is_change.then(|| ("now", value(now))));
        evidence.push(("n", n.into()));
        if self.metric == ErrorMetric::Mape {
            evidence.push(("zeros", counts.now.map_or(0, |errors| errors.zeros()).into()));
        }
        evidence.push(("reference_value", value(then)));
        evidence.push(("reference_n", reference_n.into()));
        let value = compared.map(Amount::value);
        vec![Judged { subject: "score".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let effect = window.design_effect(None);
        let bound = |errors: Option<Errors>| move |alpha| self.metric.interval(&errors?, effect, alpha);
        let counts = window.numbers();
        vec![certain::compared(&self.limits, alpha, bound(counts.now), bound(counts.reference))]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual error")
    }
}
