//! Rules on how well the score predicts the label. The score is counted by the cells of the snapshot's grid, so each value is known
//! as an interval; it has no width where every score is a grid point.

use serde_json::Value;

use super::alarms::Simulation;
use super::certain;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Limits, MIN_SAMPLES, Region, VERSUS};
use super::result::{Certain, Judged, enough};
use super::shown;
use super::types::{Bound, Side};
use crate::codec::number::number;
use crate::stats::auc;
use crate::stats::bounds;
use crate::stats::by_label::by_label;
use crate::stats::grid::Grid;
use crate::stats::limit::Amount;
use crate::stats::scores::{Interval, NoScore, ScoreCells};

/// The bins of the score whose counts by label are in a result.
const CURVE: u64 = 20;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 4] = [&AUC, &LOG_LOSS, &BRIER, &ECE];

static AUC: Definition = Definition {
    name: "auc",
    documentation: "The area under the ROC curve of the score, over labelled predictions. Scores in one cell of the grid cannot be told \
        apart: `lower` and `upper` enclose the exact value. It blocks where the whole interval breaks the limit, and warns with \
        `underresolved` where part of it does. `by_label` has the counts by label in some twenty bins of the score, up to `le` each: the points of the ROC curve.",
    guards: Guard::Outcome,
    counts: Counts::Pairs,
    subjects: Subjects::Only("score"),
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::Full,
    bounds: Bounds::SomeRate,
    example: "0.7",
    values: Values::Fraction,
    options: &[VERSUS, MIN_SAMPLES],
    recorded_as: Some("live_auc"),
    parse: |definition, map, _| {
        let of = match definition.name {
            "log_loss" => ScoreMetric::LogLoss,
            "brier" => ScoreMetric::Brier,
            "ece" => ScoreMetric::Ece,
            _ => ScoreMetric::Auc,
        };
        let (limits, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
        Some(RuleKind::new(ScoreRule { of, limits: limits?, min_samples: min_samples? }))
    },
};
static LOG_LOSS: Definition = Definition {
    name: "log_loss",
    documentation: "The mean of −ln of the probability that the score gives to the label, over labelled predictions; probabilities are clipped \
        to 2.2e-16 from 0 and 1, as scikit-learn does. `lower` and `upper` enclose the exact value, as with `auc`. Scores below 0 or \
        above 1 make it `insufficient`.",
    bounds: Bounds::AboveZero,
    example: "0.5",
    values: Values::FromZero,
    recorded_as: None,
    ..AUC
};
static BRIER: Definition = Definition {
    name: "brier",
    documentation: "The Brier score: the mean squared difference of score and label, over labelled predictions. `lower` and `upper` enclose the \
        exact value, as with `auc`. Scores below 0 or above 1 make it `insufficient`.",
    example: "0.2",
    recorded_as: None,
    ..AUC
};
static ECE: Definition = Definition {
    name: "ece",
    documentation: "The expected calibration error: over ten bins of the score that hold equal counts in the snapshot, the mean difference between \
        the share of positive labels and the mean score, weighted by the bin's labelled predictions. `lower` and `upper` enclose the \
        exact value, as with `auc`. Scores below 0 or above 1 make it `insufficient`.",
    example: "0.1",
    recorded_as: None,
    ..AUC
};

/// Which metric of the score a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreMetric {
    Auc,
    LogLoss,
    Brier,
    Ece,
}

/// A metric of the score against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreRule {
    pub of: ScoreMetric,
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

/// A metric of the score as far as the cells tell.
#[derive(Clone, Copy)]
struct Found {
    value: f64,
    lower: f64,
    upper: f64,
    /// The ends as they are compared with a limit.
    ends: [Amount; 2],
}

impl From<Interval> for Found {
    fn from(found: Interval) -> Self {
        let Interval { lower, upper } = found;
        Self { value: found.mid(), lower, upper, ends: [lower.into(), upper.into()] }
    }
}

impl From<auc::Auc> for Found {
    fn from(found: auc::Auc) -> Self {
        let ends = found.exact_ends.map(Amount::Exact);
        Self { value: found.mid, lower: found.lo, upper: found.hi, ends }
    }
}

impl ScoreRule {
    /// The metric, or its change against the snapshot.
    fn compared(&self, now: &Found, reference: Option<&Found>) -> Option<Found> {
        let Some((change, tolerance)) = self.limits.change() else { return Some(*now) };
        let of = |found: &Found| (found.value, (found.lower, found.upper));
        let (value, (lower, upper)) = change.of_values(tolerance, of(now), of(reference?))?;
        Some(Found { value, lower, upper, ends: [lower.into(), upper.into()] })
    }

    /// Bounds of the metric at a level: of AUC, the integral of one distribution function by the other, by the bands of both distribution functions,
    /// which share α; of the Brier score as of a mean within [0, 1].
    fn bounds_at(&self, window: &dyn WindowCounts, sides: [&[u64]; 2], effect: f64, alpha: f64) -> Option<(f64, f64)> {
        let cells = score_cells(window, sides);
        let [negatives, positives] = sides.map(|cells| bounds::size(cells.iter().sum(), effect));
        match self.of {
            ScoreMetric::LogLoss => cells.log_loss_bounds(effect, alpha),
            ScoreMetric::Ece => cells.ece_bounds(window.quality().bins, effect, alpha),
            ScoreMetric::Brier => {
                let (found, n) = (cells.brier().ok()?, negatives + positives);
                let of = |mean: f64| bounds::mean(mean.clamp(0.0, 1.0), n, alpha);
                Some((of(found.lower)?.0, of(found.upper)?.1))
            }
            ScoreMetric::Auc => {
                let found = self.of(window, sides).ok()?;
                let width = bounds::band(negatives, alpha / 2.0)? + bounds::band(positives, alpha / 2.0)?;
                Some(((found.lower - width).max(0.0), (found.upper + width).min(1.0)))
            }
        }
    }

    /// The metric of score cells by label, `[negatives, positives]`.
    fn of(&self, window: &dyn WindowCounts, sides: [&[u64]; 2]) -> Result<Found, NoScore> {
        let (counts, cells) = (window.quality(), score_cells(window, sides));
        let [negatives, positives] = sides;
        match self.of {
            ScoreMetric::Auc => auc::auc(positives, negatives, Grid::is_atom).map(Found::from).ok_or(NoScore::Empty),
            ScoreMetric::LogLoss => cells.log_loss().map(Found::from),
            ScoreMetric::Brier => cells.brier().map(Found::from),
            ScoreMetric::Ece => cells.ece(counts.bins).map(Found::from),
        }
    }
}

fn score_cells<'w>(window: &'w dyn WindowCounts, [negatives, positives]: [&'w [u64]; 2]) -> ScoreCells<'w> {
    ScoreCells { points: window.quality().points, negatives, positives }
}

impl Check for ScoreRule {
    fn definition(&self) -> &'static Definition {
        match self.of {
            ScoreMetric::Auc => &AUC,
            ScoreMetric::LogLoss => &LOG_LOSS,
            ScoreMetric::Brier => &BRIER,
            ScoreMetric::Ece => &ECE,
        }
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::ScoreByLabel]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limits.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limits.floor()
    }

    fn is_change(&self) -> bool {
        self.limits.change().is_some()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counted = window.score_by_label();
        let n: u64 = counted.map_or(0, |sides| sides.into_iter().flatten().sum());
        let found = counted.map_or(Err(NoScore::Empty), |sides| self.of(window, sides));
        let reference = window.reference_score_by_label().and_then(|sides| self.of(window, sides).ok());
        let reference_n = window.reference_score_by_label().map_or(0, |sides| sides.into_iter().flatten().sum());
        let compared = found.as_ref().ok().and_then(|found| self.compared(found, reference.as_ref()));
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(n, least, compared.as_ref(), |compared| self.limits.status_of_interval(compared.ends));
        let (status, reason) =
            if self.limits.change().is_some() { shown::against(window, reference_n, judged) } else { judged };
        let reason = match found {
            Err(NoScore::NotProbabilities) => Some("a score is below 0 or above 1, and no probability".to_owned()),
            _ => reason,
        };
        let mut evidence: Vec<(&'static str, Value)> = vec![
            ("lower", number(compared.as_ref().map(|c| c.lower))),
            ("upper", number(compared.as_ref().map(|c| c.upper))),
            ("limit", self.limits.evidence()),
            ("n", n.into()),
            ("reference_value", number(reference.map(|r| r.value))),
        ];
        if self.limits.change().is_some() {
            evidence.push(("now", number(found.ok().map(|found| found.value))));
        }
        if let Some(sides) = counted {
            let bins = by_label(window.quality().points, sides, CURVE);
            evidence.push(("by_label", serde_json::to_value(bins).unwrap_or_default()));
        }
        let value = compared.map(|c| c.value);
        vec![Judged { subject: "score".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let effect = window.design_effect(None);
        let now = |alpha| self.bounds_at(window, window.score_by_label()?, effect, alpha);
        let then = |alpha| self.bounds_at(window, window.reference_score_by_label()?, effect, alpha);
        vec![certain::compared(&self.limits, alpha, now, then)]
    }

    fn simulation(&self) -> Simulation {
        match (self.of, self.limits.region) {
            (ScoreMetric::Auc, Region::Side(Side::Gte | Side::Gt, limit)) => Simulation::Auc { gte: limit.value() },
            _ => {
                Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual value")
            }
        }
    }
}
