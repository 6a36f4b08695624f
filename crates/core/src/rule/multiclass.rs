//! Rules on predictions of one of several classes (`task: multiclass`): the metrics of `decided` whose names they share, from the
//! confusion matrix of labelled predictions.

use serde_json::{Value, json};

use super::alarms::Simulation;
use super::certain;
use super::counts::{ClassCounts, WindowCounts};
use super::definition::{Check, Definition, Opt, Read, RuleKind, Takes};
use super::limits::{Change, Limits, MIN_SAMPLES};
use super::names::PolicyNames;
use super::result::{Certain, Judged, enough};
use super::shown;
use super::types::{Bound, Tolerance};
use crate::codec::number::number;
use crate::stats::confusion::{Confusion, Rate};
use crate::stats::limit::Amount;
use crate::stats::multiclass::{Average, ByClass};
use crate::stats::quality::{Metric, named};
use crate::yaml::{Map, units};

/// `average` and `class` of metrics of one class.
pub(super) const AVERAGE: Opt = Opt {
    key: "average",
    takes: Takes::Words(&["macro", "micro", "weighted"]),
    default: "",
    documentation: "With `task: multiclass`: the mean over the classes, over all pairs, or over the classes weighted by their labels, as \
        scikit-learn has them; or write `class`.",
};
pub(super) const CLASS: Opt = Opt {
    key: "class",
    takes: Takes::Text { wanted: "one of `classes:`", pattern: "." },
    default: "",
    documentation: "With `task: multiclass`: the metric of this class against all others.",
};

/// What of the classes is judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Of {
    All,
    Average(Average),
    /// A class, and its place among the policy's.
    Class(String, usize),
}

/// A metric of all classes, of their average, or of one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassRule {
    definition: &'static Definition,
    pub metric: Metric,
    pub of: Of,
    /// How many classes there are.
    classes: usize,
    pub limits: Limits,
    pub min_samples: Option<u64>,
}

/// A metric here or in the reference.
#[derive(Clone, Copy)]
struct Found {
    value: Option<Amount>,
    /// Wilson's interval of a proportion, and what was derived from it of F1.
    interval: Option<(f64, f64)>,
}

/// Reads a rule of a policy with classes.
pub(super) fn read(definition: &'static Definition, map: &Map, names: &PolicyNames) -> Option<RuleKind> {
    let classes = names.classes.as_deref().unwrap_or_default();
    let (limits, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
    let of = of(definition, map, classes);
    Some(RuleKind::new(ClassRule {
        definition,
        metric: named(definition.name)?,
        of: of?,
        classes: classes.len(),
        limits: limits?,
        min_samples: min_samples?,
    }))
}

/// `average` and `class` mean nothing of two classes.
pub(super) fn refuse(map: &Map) -> Option<()> {
    match [AVERAGE, CLASS].iter().find_map(|option| Some((option.key, map.get(option.key)?))) {
        Some((key, item)) => item.fail(format!(
            "`{key}` is for models of several classes: write `task: multiclass` at the top, or leave it out"
        )),
        None => Some(()),
    }
}

fn of(definition: &Definition, map: &Map, classes: &[String]) -> Option<Of> {
    let is_of_one = definition.options.iter().any(|option| option.key == CLASS.key);
    if !is_of_one {
        return Some(Of::All);
    }
    match (map.get(AVERAGE.key), map.get(CLASS.key)) {
        (Some(_), None) => {
            AVERAGE.word(map, &[Average::Macro, Average::Micro, Average::Weighted]).map(Of::Average)
        }
        (None, Some(item)) => {
            let name = item.text("a class")?;
            if classes.is_empty() {
                // What is wrong with the policy's classes is reported there.
                return None;
            }
            let at = classes.iter().position(|class| class == name);
            let known = || item.known_names(name, classes.iter().map(String::as_str));
            at.map(|at| Of::Class(name.to_owned(), at))
                .or_else(|| item.fail(format!("unknown class {}; {}", units::quote(name), known())))
        }
        (Some(_), Some(item)) => item.fail("both `average` and `class`: keep one, and write a rule of its own for the other"),
        (None, None) => map.item().fail(format!(
            "{} of several classes needs one of them, or their average: write `class: {}` or `average: macro` (or micro, or weighted)",
            definition.name,
            classes.first().map_or("a", String::as_str)
        )),
    }
}

impl ClassRule {
    /// The counts whose proportion the value is; `None` for a mean over classes.
    fn proportion(&self, by_class: &ByClass) -> Option<(Metric, Confusion)> {
        match (&self.of, self.metric) {
            (Of::Class(_, at), metric) => Some((metric, by_class.against_others(*at))),
            (Of::All, Metric::BalancedAccuracy) | (Of::Average(Average::Macro), _) => None,
            (Of::Average(Average::Weighted), metric) if metric != Metric::Rate(Rate::Tpr) => None,
            // One label a pair: micro averages are the accuracy, and so is recall weighted by labels.
            _ => Some((Metric::Rate(Rate::Accuracy), by_class.right())),
        }
    }

    fn found(&self, by_class: &ByClass) -> Found {
        if let Some((metric, counts)) = self.proportion(by_class) {
            return Found { value: metric.exact(&counts).map(Amount::Exact), interval: metric.interval(&counts) };
        }
        let value = match self.of {
            Of::Average(average) => by_class.mean(self.metric, average),
            _ => by_class.balanced_accuracy(),
        };
        Found { value: value.map(Amount::Float), interval: None }
    }

    /// Bounds of the metric at a level.
    fn bounds_at(&self, by_class: &ByClass, effect: f64, alpha: f64) -> Option<(f64, f64)> {
        match (self.proportion(by_class), &self.of) {
            (Some((metric, counts)), _) => metric.bounds(&counts, effect, alpha),
            (None, Of::Average(average)) => by_class.mean_bounds(self.metric, *average, effect, alpha),
            (None, _) => by_class.balanced_accuracy_bounds(effect, alpha),
        }
    }

    /// What is compared with the limit: the metric, or its change, with Newcombe's interval of a difference of proportions.
    fn compared(&self, now: &ByClass, reference: Option<&ByClass>) -> Found {
        let here = self.found(now);
        let Some((change, tolerance)) = self.limits.change() else { return here };
        let none = Found { value: None, interval: None };
        let Some(reference) = reference else { return none };
        let (Some(value), Some(then)) = (here.value, self.found(reference).value) else { return none };
        let value = change.of_amounts(tolerance, value, then);
        let interval = match (value, tolerance) {
            (Some(Amount::Exact(_)), Tolerance::Absolute(_)) => self.difference(change, now, reference),
            _ => None,
        };
        Found { value, interval }
    }

    fn difference(&self, change: Change, now: &ByClass, reference: &ByClass) -> Option<(f64, f64)> {
        let ((metric, now), (_, then)) = (self.proportion(now)?, self.proportion(reference)?);
        let found = match change {
            Change::Increase => metric.difference(&now, &then),
            Change::Drop => metric.difference(&then, &now),
        }?;
        Some((found.lower, found.upper))
    }

    /// The class and its counts, or the classes with the confusion matrix: a row a label, a column a prediction.
    fn counted(&self, counts: &ClassCounts<'_>) -> Vec<(&'static str, Value)> {
        let mut evidence = Vec::new();
        match &self.of {
            Of::All => {}
            Of::Average(average) => evidence.push((
                "average",
                match average {
                    Average::Macro => "macro",
                    Average::Micro => "micro",
                    Average::Weighted => "weighted",
                }
                .into(),
            )),
            Of::Class(name, at) => {
                let own = ByClass::of_matrix(self.classes, counts.now).against_others(*at);
                evidence.push(("class", json!(name)));
                evidence.extend(
                    [("tp", own.tp), ("fn", own.fn_), ("fp", own.fp), ("tn", own.tn)].map(|(key, n)| (key, n.into())),
                );
            }
        }
        let rows: Vec<&[u64]> = counts.now.chunks(self.classes.max(1)).collect();
        evidence.push(("classes", json!(counts.classes)));
        evidence.push(("confusion", json!(rows)));
        evidence
    }
}

impl Check for ClassRule {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Classes(self.classes)]
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
        let counts = window.classes();
        let now = ByClass::of_matrix(self.classes, counts.now);
        let reference = counts.reference.map(|matrix| ByClass::of_matrix(self.classes, matrix));
        let (n, reference_n) = (now.n(), reference.as_ref().map_or(0, ByClass::n));
        let compared = self.compared(&now, reference.as_ref());
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(n, least, compared.value, |value| self.limits.status(value));
        let is_change = self.limits.is_change();
        let (status, reason) = if is_change { shown::against(window, reference_n, judged) } else { judged };
        let value = |amount: Option<Amount>| number(amount.map(Amount::value));
        let mut evidence = vec![
            ("lower", number(compared.interval.map(|ends| ends.0))),
            ("upper", number(compared.interval.map(|ends| ends.1))),
            ("limit", self.limits.evidence()),
            ("n", n.into()),
        ];
        evidence.extend(is_change.then(|| ("now", value(self.found(&now).value))));
        evidence.extend(self.counted(&counts));
        evidence.push(("reference_value", value(reference.and_then(|reference| self.found(&reference).value))));
        evidence.push(("reference_n", reference_n.into()));
        let value = compared.value.map(Amount::value);
        vec![Judged { subject: "prediction".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let counts = window.classes();
        let effect = window.design_effect(None);
        let bound = |matrix: Option<&[u64]>| {
            let found = matrix.map(|matrix| ByClass::of_matrix(self.classes, matrix));
            move |alpha| self.bounds_at(found.as_ref()?, effect, alpha)
        };
        vec![certain::compared(&self.limits, alpha, bound(Some(counts.now)), bound(counts.reference))]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual value")
    }
}
