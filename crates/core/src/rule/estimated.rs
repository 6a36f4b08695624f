//! Quality before labels come: a metric of decisions, or of the score, expected by the score's calibration.

use serde_json::Value;

use super::alarms::Simulation;
use super::binning::Binning;
use super::certain;
use super::counts::{Distribution, TargetReference, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::result::{Certain, Judged, enough};
use super::shown;
use super::types::{Bound, Target};
use crate::codec::number::number;
use crate::stats::auc;
use crate::stats::calibration::Calibration;
use crate::stats::estimated::{Estimate, Expected, Metric};
use crate::stats::grid::Grid;
use crate::stats::limit::Amount;
use crate::stats::quality;
use crate::stats::scores::{Interval, NoScore};

/// The rules of this family.
pub(super) static RULES: [&Definition; 1] = [&ESTIMATED];

static ESTIMATED: Definition = Definition {
    name: "estimated",
    documentation: "What `of` is expected to be before labels come: NannyML's confidence-based performance estimation (CBPE). Each score stands for \
        the probability of a positive label, by isotonic regression over `baseline.reference`, labelled rows that the model was not trained \
        on, or the score itself where that is calibrated better (`method`). Decisions are those of `score.threshold`. Scores in one cell of the grid \
        cannot be told apart, and beyond the reference's scores nothing is known but that a probability lies between the outermost one and 0 or 1: \
        `lower` and `upper` enclose the value, and `unsupported` counts the scores that may lie there. It blocks where the whole interval breaks the \
        limit, and warns with `underresolved` where part of it does. `realised` is the metric of the labels that came, where another rule of the \
        group counts them. An estimate holds as long as the relation of score and label does: it sees that scores move, not that \
        the world does.",
    guards: Guard::Outcome,
    counts: Counts::Predictions,
    subjects: Subjects::Only("score"),
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::Full,
    bounds: Bounds::SomeRate,
    example: "0.7",
    values: Values::Fraction,
    options: &[OF, VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, names| {
        let of = OF.one_of(map);
        let (limits, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
        let (name, metric) = METRICS.into_iter().find(|(name, _)| Some(*name) == of)?;
        // What is missing is reported with what the rule needs of the policy.
        let threshold = names.threshold.unwrap_or(0.0);
        Some(RuleKind::new(Estimated { name, metric, threshold, limits: limits?, min_samples: min_samples? }))
    },
};

const OF: Opt = Opt {
    key: "of",
    takes: Takes::OneOf(&["accuracy", "precision", "recall", "f1", "auc"]),
    default: "",
    documentation: "The metric that is estimated; the rules of these names say what each is.",
};

/// The metrics as `of` names them.
const METRICS: [(&str, Metric); 5] = [
    ("accuracy", Metric::Accuracy),
    ("precision", Metric::Precision),
    ("recall", Metric::Recall),
    ("f1", Metric::F1),
    ("auc", Metric::Auc),
];

/// An estimated metric against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimated {
    /// The metric as it is written.
    name: &'static str,
    metric: Metric,
    /// Scores from here on are decided positively.
    threshold: f64,
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

/// An estimate of counted scores, and how many of them have no support.
struct Found {
    estimate: Estimate,
    unsupported: u64,
}

impl Estimated {
    /// A metric that divides by 0 has no value either, as one of no score.
    fn of(&self, points: &[f64], cells: &[u64], calibration: &Calibration) -> Result<Found, NoScore> {
        let expected = Expected::new(points, cells, calibration, self.threshold)?;
        let estimate = expected.estimate(self.metric).ok_or(NoScore::Empty)?;
        Ok(Found { estimate, unsupported: expected.unsupported() })
    }

    /// The estimate, or its change against that of the reference's scores.
    fn compared(&self, now: &Estimate, reference: Option<&Estimate>) -> Option<Estimate> {
        let Some((change, tolerance)) = self.limits.change() else { return Some(*now) };
        let of = |of: &Estimate| (of.value, (of.interval.lower, of.interval.upper));
        let (value, (lower, upper)) = change.of_values(tolerance, of(now), of(reference?))?;
        Some(Estimate { value, interval: Interval { lower, upper } })
    }

    /// The metric of labels that came, where they are counted in this window.
    fn realised(&self, window: &dyn WindowCounts) -> Option<f64> {
        if self.metric == Metric::Auc {
            let [negatives, positives] = window.score_by_label()?;
            return auc::auc(positives, negatives, Grid::is_atom).map(|found| found.mid);
        }
        quality::named(self.name)?.value(&window.quality().confusion)
    }

    fn evidence(&self, window: &dyn WindowCounts, c: &Distribution<'_>) -> Vec<(&'static str, Value)> {
        let realised = number(self.realised(window));
        std::iter::once(("realised", realised)).chain(shown::tail(c)).collect()
    }
}

impl Check for Estimated {
    fn definition(&self) -> &'static Definition {
        &ESTIMATED
    }

    fn reads(&self) -> Vec<Read> {
        // The threshold is a point of the grid, so that each cell lies on one side of it.
        let decided = (self.metric != Metric::Auc).then(|| Read::Bins(Binning::Edges(vec![self.threshold])));
        [Read::Distribution(Target::Score), Read::Calibration].into_iter().chain(decided).collect()
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
        let Some(c) = window.distribution(Target::Score) else { return vec![shown::absent(window, Target::Score)] };
        let subject = window.target(Target::Score);
        let Some(calibration) = window.calibration() else {
            return vec![Judged::uncounted(subject, "the baseline has no row of a score and a label to calibrate by")];
        };
        let points = window.points(Target::Score);
        let found = self.of(points, c.cells, calibration);
        let reference = match c.reference {
            TargetReference::Numeric { cells, .. } => self.of(points, cells, calibration).ok(),
            TargetReference::Categorical(_) => None,
        };
        let reference = reference.map(|found| found.estimate);
        let compared = found.as_ref().ok().and_then(|found| self.compared(&found.estimate, reference.as_ref()));
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let mut judged = enough(c.n, least, compared.as_ref(), |compared| {
            let Interval { lower, upper } = compared.interval;
            self.limits.status_of_interval([Amount::Float(lower), Amount::Float(upper)])
        });
        if self.is_change() {
            judged = shown::against(window, c.reference_n, judged);
        }
        let (status, reason) = shown::calibrated(window, calibration.rows, judged);
        let reason = match found {
            Err(NoScore::NotProbabilities) => Some(
                "a score is below 0 or above 1, and no probability, and the reference's scores were taken for such"
                    .to_owned(),
            ),
            _ => reason,
        };
        let mut evidence: Vec<(&'static str, Value)> = vec![
            ("of", self.name.into()),
            ("lower", number(compared.map(|c| c.interval.lower))),
            ("upper", number(compared.map(|c| c.interval.upper))),
            ("limit", self.limits.evidence()),
        ];
        if self.is_change() {
            evidence.push(("now", number(found.as_ref().ok().map(|found| found.estimate.value))));
        }
        evidence.extend([
            ("reference_value", number(reference.map(|reference| reference.value))),
            ("method", calibration.method().into()),
            ("unsupported", found.as_ref().map_or(0, |found| found.unsupported).into()),
        ]);
        evidence.extend(self.evidence(window, &c));
        let value = compared.map(|c| c.value);
        vec![Judged { subject: subject.to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let effect = window.design_effect(None);
        let bound = |cells: Option<&[u64]>, alpha: f64| {
            let points = window.points(Target::Score);
            let expected = Expected::new(points, cells?, window.calibration()?, self.threshold).ok()?;
            expected.bounds(self.metric, effect, alpha)
        };
        let counted = window.distribution(Target::Score);
        let now = counted.as_ref().map(|c| c.cells);
        let then = counted.as_ref().and_then(|c| match c.reference {
            TargetReference::Numeric { cells, .. } => Some(cells),
            TargetReference::Categorical(_) => None,
        });
        vec![certain::compared(&self.limits, alpha, |alpha| bound(now, alpha), |alpha| bound(then, alpha))]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual estimate")
    }

    fn breach(&self, _: &str) -> String {
        format!("estimated {}", self.name)
    }
}
