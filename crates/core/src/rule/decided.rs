//! Rules on decisions over all segments: rates of the confusion matrix, F1, balanced accuracy, and the rate of selection, which
//! needs no label.

use serde_json::Value;

use super::alarms::Simulation;
use super::certain;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Values,
};
use super::limits::{Change, Limits, MIN_SAMPLES, VERSUS};
use super::multiclass::{self, AVERAGE, CLASS};
use super::result::{Certain, Judged, enough};
use super::shown;
use super::types::{Bound, Tolerance};
use crate::codec::number::number;
use crate::stats::confusion::Confusion;
use crate::stats::quality::{Metric, named};
use crate::stats::ratio::Ratio;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 13] = [
    &ACCURACY,
    &PRECISION,
    &PPV,
    &RECALL,
    &TPR,
    &SPECIFICITY,
    &F1,
    &BALANCED_ACCURACY,
    &FPR,
    &FNR,
    &FDR,
    &FOR,
    &SELECTION_RATE,
];

const BASE: Definition = Definition {
    name: "",
    documentation: "",
    guards: Guard::Outcome,
    counts: Counts::DecidedPairs,
    subjects: Subjects::Only("decision"),
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::Full,
    bounds: Bounds::Rate,
    example: "0.8",
    values: Values::Fraction,
    options: &[VERSUS, MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, names| {
        if names.classes.is_none() {
            multiclass::refuse(map)?;
        } else if let Some(definition) = OF_CLASSES.iter().find(|of| *of == definition) {
            return multiclass::read(definition, map, names);
        }
        let (metric, limits) = (named(definition.name), Limits::read(definition, map));
        let min_samples = MIN_SAMPLES.optional_whole(map);
        Some(RuleKind::new(Decided { definition, metric: metric?, limits: limits?, min_samples: min_samples? }))
    },
};

/// Rules whose options say which class, or which average.
const ONE_CLASS: &[Opt] = &[AVERAGE, CLASS, VERSUS, MIN_SAMPLES];
/// The rules of these names of a policy with classes: what they are about and count is another thing there.
static OF_CLASSES: [Definition; 5] = [
    Definition { counts: Counts::Classes, subjects: Subjects::Only("prediction"), ..ACCURACY },
    Definition { counts: Counts::Classes, subjects: Subjects::Only("prediction"), ..BALANCED_ACCURACY },
    Definition { counts: Counts::Classes, subjects: Subjects::Only("prediction"), ..PRECISION },
    Definition { counts: Counts::Classes, subjects: Subjects::Only("prediction"), ..RECALL },
    Definition { counts: Counts::Classes, subjects: Subjects::Only("prediction"), ..F1 },
];

static ACCURACY: Definition = Definition {
    name: "accuracy",
    documentation: "The share of labelled predictions whose decision is the label: (TP + TN) / all; with `task: multiclass` whose \
        predicted class is the label. `lower` and `upper` are Wilson's 95% \
        interval, as in every rule on a share of decisions.",
    ..BASE
};
static PRECISION: Definition = Definition {
    name: "precision",
    documentation: "The share of positive decisions whose label is positive: TP / (TP + FP), the positive predictive value. With \
        `task: multiclass` of one `class` against all others, or an `average` over the classes.",
    options: ONE_CLASS,
    ..BASE
};
static PPV: Definition =
    Definition { name: "ppv", documentation: "Another name of `precision`: TP / (TP + FP).", ..BASE };
static RECALL: Definition = Definition {
    name: "recall",
    documentation: "The share of positive labels that are decided positively: TP / (TP + FN), the true positive rate. With \
        `task: multiclass` of one `class` against all others, or an `average` over the classes.",
    options: ONE_CLASS,
    ..BASE
};
static TPR: Definition = Definition { name: "tpr", documentation: "Another name of `recall`: TP / (TP + FN).", ..BASE };
static SPECIFICITY: Definition = Definition {
    name: "specificity",
    documentation: "The share of negative labels that are decided negatively: TN / (TN + FP), the true negative rate.",
    ..BASE
};
static F1: Definition = Definition {
    name: "f1",
    documentation: "The harmonic mean of `precision` and `recall`: 2·TP / (2·TP + FP + FN). `lower` and `upper` are Wilson's 95% interval of \
        TP / (TP + FP + FN), transformed as the value is. With `task: multiclass` of one `class` against all others, or an `average` over the \
        classes, which has no interval.",
    options: ONE_CLASS,
    ..BASE
};
static BALANCED_ACCURACY: Definition = Definition {
    name: "balanced_accuracy",
    documentation: "The mean of `recall` and `specificity`. `lower` and `upper` come from Newcombe's 95% interval of TPR − FPR. \
        With `task: multiclass` it is the mean recall over the classes that a label names, without an interval.",
    ..BASE
};
static FPR: Definition = Definition {
    name: "fpr",
    documentation: "The false positive rate: the share of negative labels that are decided positively, FP / (FP + TN).",
    example: "0.1",
    ..BASE
};
static FNR: Definition = Definition {
    name: "fnr",
    documentation: "The false negative rate: the share of positive labels that are decided negatively, FN / (FN + TP).",
    example: "0.1",
    ..BASE
};
static FDR: Definition = Definition {
    name: "fdr",
    documentation: "The false discovery rate: the share of positive decisions whose label is negative, FP / (FP + TP).",
    example: "0.1",
    ..BASE
};
static FOR: Definition = Definition {
    name: "for",
    documentation: "The false omission rate: the share of negative decisions whose label is positive, FN / (FN + TN).",
    example: "0.1",
    ..BASE
};
static SELECTION_RATE: Definition = Definition {
    name: "selection_rate",
    documentation: "The share of predictions that are decided positively. It reads no labels and counts every prediction with a decision, \
        in the windows of the predictions.",
    guards: Guard::Drift,
    counts: Counts::Decisions,
    example: "0.5",
    ..BASE
};

/// A metric of all decisions against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    definition: &'static Definition,
    pub metric: Metric,
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

impl Decided {
    fn is_selection(&self) -> bool {
        self.definition.counts == Counts::Decisions
    }

    /// The decisions of the window, and of its reference.
    fn counts(&self, window: &dyn WindowCounts) -> (Confusion, Option<Confusion>) {
        let counts = window.quality();
        if self.is_selection() {
            return (
                Confusion::of_decisions(counts.decisions),
                counts.reference_decisions.map(Confusion::of_decisions),
            );
        }
        (counts.confusion, counts.reference)
    }
}

impl Check for Decided {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        vec![if self.is_selection() { Read::Decisions } else { Read::Confusion }]
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
        let (now, reference) = self.counts(window);
        let n = now.total();
        let compared = self.compared(&now, reference.as_ref());
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(n, least, compared.as_ref().map(|c| c.exact), |value| self.limits.status(value));
        let reference_n = reference.as_ref().map_or(0, Confusion::total);
        let (status, reason) =
            if self.limits.change().is_some() { shown::against(window, reference_n, judged) } else { judged };
        let mut evidence = vec![
            ("lower", number(compared.as_ref().and_then(|c| c.interval).map(|i| i.0))),
            ("upper", number(compared.as_ref().and_then(|c| c.interval).map(|i| i.1))),
            ("limit", self.limits.evidence()),
            ("n", n.into()),
        ];
        if self.limits.change().is_some() {
            evidence.push(("now", number(self.metric.value(&now))));
        }
        evidence.extend(self.counted(&now));
        evidence.push(("reference_value", number(reference.as_ref().and_then(|r| self.metric.value(r)))));
        evidence.push(("reference_n", reference_n.into()));
        let value = compared.map(|c| c.exact.value());
        vec![Judged { subject: "decision".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let (now, reference) = self.counts(window);
        let effect = window.design_effect(None);
        let bound = |counts: Option<Confusion>| move |alpha| self.metric.bounds(&counts?, effect, alpha);
        vec![certain::compared(&self.limits, alpha, bound(Some(now)), bound(reference))]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual value")
    }
}

/// What is compared with the limit.
struct Compared {
    exact: Ratio,
    /// Its 95% interval; `None` for a change relative to the reference.
    interval: Option<(f64, f64)>,
}

impl Decided {
    /// The metric, or its change against the snapshot.
    fn compared(&self, now: &Confusion, reference: Option<&Confusion>) -> Option<Compared> {
        let Some((change, tolerance)) = self.limits.change() else {
            return Some(Compared { exact: self.metric.exact(now)?, interval: self.metric.interval(now) });
        };
        let reference = reference?;
        let exact = change.of(tolerance, self.metric.exact(now)?, self.metric.exact(reference)?)?;
        let difference = match (tolerance, change) {
            (Tolerance::Relative(_), _) => None,
            (Tolerance::Absolute(_), Change::Increase) => self.metric.difference(now, reference),
            (Tolerance::Absolute(_), Change::Drop) => self.metric.difference(reference, now),
        };
        Some(Compared { exact, interval: difference.map(|d| (d.lower, d.upper)) })
    }

    /// The confusion matrix, or of a rule without labels who is selected.
    fn counted(&self, now: &Confusion) -> Vec<(&'static str, Value)> {
        if self.is_selection() {
            return vec![("selected", now.selected().into())];
        }
        [("tp", now.tp), ("fn", now.fn_), ("fp", now.fp), ("tn", now.tn)].map(|(key, n)| (key, n.into())).to_vec()
    }
}
