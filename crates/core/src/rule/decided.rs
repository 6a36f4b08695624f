//! Rules on decisions over all segments: rates of the confusion matrix, F1, balanced accuracy, and the rate of selection, which
//! needs no label.

use serde_json::Value;

use super::alarms::Simulation;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::measured::status;
use super::options::bound;
use super::result::{Judged, enough, limit};
use super::types::Bound;
use crate::codec::number::number;
use crate::stats::confusion::Confusion;
use crate::stats::quality::{Metric, named};

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
    limit: LimitForm::Any,
    bounds: Bounds::Rate,
    example: "0.8",
    values: Values::Fraction,
    options: &[],
    recorded_as: None,
    parse: |definition, map, _| {
        let (metric, bound) = (named(definition.name), bound(definition, map));
        Some(RuleKind::new(Decided { definition, metric: metric?, bound: bound? }))
    },
};

static ACCURACY: Definition = Definition {
    name: "accuracy",
    documentation: "The share of labelled predictions whose decision is the label: (TP + TN) / all. `lower` and `upper` are Wilson's 95% \
        interval, as in every rule on a share of decisions.",
    ..BASE
};
static PRECISION: Definition = Definition {
    name: "precision",
    documentation: "The share of positive decisions whose label is positive: TP / (TP + FP), the positive predictive value.",
    ..BASE
};
static PPV: Definition =
    Definition { name: "ppv", documentation: "Another name of `precision`: TP / (TP + FP).", ..BASE };
static RECALL: Definition = Definition {
    name: "recall",
    documentation: "The share of positive labels that are decided positively: TP / (TP + FN), the true positive rate.",
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
        TP / (TP + FP + FN), transformed as the value is.",
    ..BASE
};
static BALANCED_ACCURACY: Definition = Definition {
    name: "balanced_accuracy",
    documentation: "The mean of `recall` and `specificity`. `lower` and `upper` come from Newcombe's 95% interval of TPR − FPR.",
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
    pub bound: Bound,
}

impl Decided {
    fn is_selection(&self) -> bool {
        self.definition.counts == Counts::Decisions
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
        vec![self.bound]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counts = window.quality();
        let (now, reference) = if self.is_selection() {
            (Confusion::of_decisions(counts.decisions), counts.reference_decisions.map(Confusion::of_decisions))
        } else {
            (counts.confusion, counts.reference)
        };
        let n = now.total();
        let mut why = None;
        let (status, insufficient) = enough(n, window.min_samples(), self.metric.exact(&now), |value| {
            let (status, reason) = status(self.bound, |limit| limit.order(value));
            why = reason;
            status
        });
        let interval = self.metric.interval(&now);
        let mut evidence = vec![
            ("lower", number(interval.map(|i| i.0))),
            ("upper", number(interval.map(|i| i.1))),
            ("limit", limit(self.bound.side.name(), self.bound.limit)),
            ("n", n.into()),
        ];
        evidence.extend(self.counted(&now));
        evidence.push(("reference_value", number(reference.as_ref().and_then(|r| self.metric.value(r)))));
        evidence.push(("reference_n", reference.as_ref().map_or(0, Confusion::total).into()));
        let (value, reason) = (self.metric.value(&now), insufficient.or(why));
        vec![Judged { subject: "decision".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual value")
    }
}

impl Decided {
    /// The confusion matrix, or of a rule without labels who is selected.
    fn counted(&self, now: &Confusion) -> Vec<(&'static str, Value)> {
        if self.is_selection() {
            return vec![("selected", now.selected().into())];
        }
        [("tp", now.tp), ("fn", now.fn_), ("fp", now.fp), ("tn", now.tn)].map(|(key, n)| (key, n.into())).to_vec()
    }
}
