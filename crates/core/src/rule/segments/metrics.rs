//! Rules that compare any metric of decisions between segments, named by `of`: gaps, ratios, bounds of gaps, average odds.

use super::super::alarms::{Breaks, SegmentSimulation, Simulation};
use super::super::counts::WindowCounts;
use super::super::definition::{
    Bounds, Check, Counts, Definition, LimitForm, Minimum, Opt, Read, RuleKind, Subjects, Takes, Values,
};
use super::super::limits::{Limits, MIN_SAMPLES, Region, VERSUS};
use super::super::multiclass::CLASS;
use super::super::names::PolicyNames;
use super::super::options::MIN_POSITIVES;
use super::super::result::{Certain, Judged};
use super::super::types::{Bound, Side};
use super::amounts::Comparing;
use super::by_class::ByClass;
use super::by_error;
use super::gap_lcb::{GAP_LCB, OF_PROPORTION};
use super::listed::ComparedSegments;
use super::{BASE, REFERENCE, over};
use crate::stats::fairness::Rate;
use crate::stats::quality::{Metric, named};
use crate::stats::regression::ErrorMetric;
use crate::yaml::Map;

/// The rules of this family, in the order of the reference.
pub(crate) static RULES: [&Definition; 4] = [&GAP, &RATIO, &GAP_LCB, &AVERAGE_ODDS];

static GAP: Definition = Definition {
    name: "gap",
    documentation: "The largest less the smallest value of a metric (`of`) over eligible segments, or with `reference` the largest difference to \
        the value of that segment. `best` is the segment with the value that is good for those who are judged: a high recall, a low \
        `fpr`; of `selection_rate` the two are `highest` and `lowest`. `lower` and `upper` are Newcombe's 95% interval. `of: selection_rate` reads no \
        labels and counts every prediction with a decision. With `task: multiclass` it is of one `class` against all others, or of the class \
        that is worst (`class` in the result); `balanced_accuracy` is the mean recall of all. With `task: regression` `of` is one of mae, rmse, mean_error, \
        mape and r2, and there is no interval.",
    limit: LimitForm::Full,
    // Of a share it is at most 1.
    bounds: Bounds::FromZero,
    example: "0.05",
    options: &[OF, CLASS, REFERENCE, VERSUS, MIN_POSITIVES, MIN_SAMPLES],
    parse: |definition, map, names| {
        compared(definition, [&GAP_OF_SELECTION, &GAP_OF_CLASSES, &GAP_OF_ERRORS], map, names)
    },
    ..BASE
};
/// Of a policy with classes.
static GAP_OF_CLASSES: Definition = Definition { counts: Counts::Classes, ..GAP };
/// Of a policy whose labels are numbers.
static GAP_OF_ERRORS: Definition = Definition { counts: Counts::Errors, values: Values::FromZero, ..GAP };
static GAP_OF_SELECTION: Definition = Definition { counts: Counts::Decisions, ..GAP };

static RATIO: Definition = Definition {
    name: "ratio",
    documentation: "The smallest over the largest value of a metric (`of`) over eligible segments; with `reference` each segment's value over that \
        segment's, of which the one that lies worst to the limit is the value. The four-fifths rule is \
        `{of: selection_rate, gte: 0.8}`.",
    bounds: Bounds::AboveZero,
    example: "0.8",
    values: Values::FromZero,
    parse: |definition, map, names| {
        compared(definition, [&RATIO_OF_SELECTION, &RATIO_OF_CLASSES, &RATIO_OF_ERRORS], map, names)
    },
    ..GAP
};
static RATIO_OF_CLASSES: Definition = Definition { counts: Counts::Classes, ..RATIO };
static RATIO_OF_ERRORS: Definition = Definition { counts: Counts::Errors, ..RATIO };
static RATIO_OF_SELECTION: Definition = Definition { counts: Counts::Decisions, ..RATIO };

const OF: Opt = Opt { takes: Takes::OneOf(&METRICS), ..OF_PROPORTION };
const METRICS: [&str; 19] = [
    "accuracy",
    "precision",
    "ppv",
    "recall",
    "tpr",
    "specificity",
    "f1",
    "balanced_accuracy",
    "fpr",
    "fnr",
    "fdr",
    "for",
    "selection_rate",
    "average_odds",
    "mae",
    "rmse",
    "mean_error",
    "mape",
    "r2",
];

/// What a rule compares between segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compared {
    /// Under the name that the rule gives it.
    Metric(&'static str, Metric),
    AverageOdds,
    /// Of predicted numbers.
    Errors(&'static str, ErrorMetric),
}

impl Compared {
    fn read(definition: &Definition, map: &Map, names: &PolicyNames) -> Option<Self> {
        let name = OF.one_of(map)?;
        if let Some(metric) = by_error::read(name, definition, map, names)? {
            return Some(Self::Errors(name, metric));
        }
        Some(named(name).map_or(Self::AverageOdds, |metric| Self::Metric(name, metric)))
    }

    fn is_selection(self) -> bool {
        matches!(self, Self::Metric(_, Metric::Rate(Rate::Selection)))
    }

    /// The rates that `check --alarms` simulates; none where it simulates nothing.
    fn rates(self) -> &'static [Rate] {
        match self {
            Self::AverageOdds | Self::Errors(..) | Self::Metric(_, Metric::F1 | Metric::BalancedAccuracy) => &[],
            Self::Metric(_, Metric::Rate(rate)) => match rate {
                Rate::Tpr => &[Rate::Tpr],
                Rate::Fpr => &[Rate::Fpr],
                Rate::Selection => &[Rate::Selection],
                Rate::Accuracy => &[Rate::Accuracy],
                Rate::Precision => &[Rate::Precision],
                Rate::Specificity => &[Rate::Specificity],
                Rate::Fnr => &[Rate::Fnr],
                Rate::Fdr => &[Rate::Fdr],
                Rate::For => &[Rate::For],
            },
        }
    }
}

/// A gap or a ratio of a metric between segments.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedMetric {
    definition: &'static Definition,
    pub of: Compared,
    pub by: usize,
    pub limits: Limits,
    pub reference: Option<String>,
    pub min_positives: u64,
    pub min_samples: Option<u64>,
    /// Of a policy with classes.
    classes: Option<ByClass>,
}

fn compared(
    definition: &'static Definition,
    [of_selection, of_classes, of_errors]: [&'static Definition; 3],
    map: &Map,
    names: &PolicyNames,
) -> Option<RuleKind> {
    let of = Compared::read(definition, map, names);
    let definition = if matches!(of, Some(Compared::Errors(..))) { of_errors } else { definition };
    let (by, min_positives) = over(map, names);
    let is_share = !matches!(of, Some(Compared::Errors(..))) && definition.name != RATIO.name;
    let bounds = if is_share { Bounds::Rate } else { definition.bounds };
    let (limits, reference) = (Limits::read_within(bounds, definition, map), REFERENCE.optional_name(map));
    let of = of?;
    let is_ratio = definition.name == RATIO.name;
    if of == Compared::AverageOdds && (is_ratio || reference.as_ref().is_some_and(Option::is_some)) {
        let place = map.get("of").unwrap_or_else(|| map.item().clone());
        return place.fail(
            "average_odds is a mean of gaps, and has neither a ratio nor a reference: write `gap: {of: average_odds, by: …, lt: …}`",
        );
    }
    let metric = if let Compared::Metric(_, metric) = of { Some(metric) } else { None };
    let classes = if matches!(of, Compared::Errors(..)) { None } else { ByClass::read(metric, map, names)? };
    let definition = match &classes {
        Some(_) => of_classes,
        None if of.is_selection() => of_selection,
        None => definition,
    };
    let min_samples = MIN_SAMPLES.optional_whole(map);
    let (by, limits, reference, min_positives, min_samples) = (by?, limits?, reference?, min_positives?, min_samples?);
    Some(RuleKind::new(ComparedMetric { definition, of, by, limits, reference, min_positives, min_samples, classes }))
}

impl ComparedMetric {
    fn is_ratio(&self) -> bool {
        self.definition.name == RATIO.name
    }

    /// What is no proportion.
    fn comparing(&self) -> Comparing<'_> {
        Comparing {
            is_ratio: self.is_ratio(),
            limits: self.limits,
            reference: self.reference.as_deref(),
            least: self.min_positives,
            min_samples: self.min_samples,
        }
    }

    fn of_metric(&self, segments: &ComparedSegments<'_>, metric: Metric) -> Judged {
        let reference = self.reference.as_deref();
        if self.is_ratio() {
            segments.ratio(metric, self.limits, self.min_positives, reference)
        } else {
            segments.gap(metric, self.limits, self.min_positives, reference)
        }
    }
}

impl Check for ComparedMetric {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        match &self.classes {
            _ if let Compared::Errors(_, metric) = self.of => {
                let spread = metric.reads_spread().then_some(Read::Spread);
                std::iter::once(Read::ErrorSegmentation(self.by)).chain(spread).collect()
            }
            Some(classes) => vec![Read::ClassSegmentation(self.by), Read::Classes(classes.names.len())],
            None => vec![Read::Segmentation(self.by)],
        }
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
        match (&self.classes, self.of) {
            (_, Compared::Errors(name, metric)) => {
                return vec![self.comparing().judge(&by_error::segments(window, self.by, name, metric))];
            }
            (Some(_), Compared::Metric(_, Metric::BalancedAccuracy)) => {
                return vec![self.comparing().judge(&by_error::balanced(window, self.by))];
            }
            _ => {}
        }
        let is_ratio = self.is_ratio();
        if let (Some(classes), Compared::Metric(name, metric)) = (&self.classes, self.of) {
            let counts = window.class_segments(self.by);
            return vec![classes.worst(is_ratio, |class| {
                let segments =
                    ComparedSegments::of_class(window, self.by, &counts, class, 1.0).with_least(self.min_samples);
                self.of_metric(&segments.showing(name, metric), metric)
            })];
        }
        let segments = ComparedSegments::new(window, self.by, self.of.is_selection(), 1.0).with_least(self.min_samples);
        let Compared::Metric(name, metric) = self.of else {
            return vec![segments.average_odds(self.limits, self.min_positives)];
        };
        vec![self.of_metric(&segments.showing(name, metric), metric)]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let least = self.min_positives;
        let metric = match (&self.classes, self.of) {
            (_, Compared::Errors(_, metric)) => {
                return vec![by_error::certain(window, self.by, metric, &self.comparing(), alpha)];
            }
            (Some(_), Compared::Metric(_, Metric::BalancedAccuracy)) => {
                return vec![by_error::certain_balanced(window, self.by, &self.comparing(), alpha)];
            }
            (_, Compared::AverageOdds) => {
                let segments = ComparedSegments::new(window, self.by, false, 1.0);
                return vec![segments.certain_odds(&self.limits, least, true, alpha)];
            }
            (_, Compared::Metric(_, metric)) => metric,
        };
        let reference = self.reference.as_deref();
        let of = |segments: ComparedSegments<'_>, alpha: f64| {
            if self.is_ratio() {
                segments.certain_ratio(metric, &self.limits, least, reference, alpha)
            } else {
                segments.certain_gap(metric, &self.limits, least, reference, alpha)
            }
        };
        match &self.classes {
            Some(classes) => vec![classes.certain(window, self.by, alpha, of)],
            None => vec![of(ComparedSegments::new(window, self.by, self.of.is_selection(), 1.0), alpha)],
        }
    }

    fn simulation(&self) -> Simulation {
        let breaks = match (self.definition.name == RATIO.name, self.limits.region) {
            (false, Region::Side(Side::Lt | Side::Lte, limit)) => Breaks::Gap(limit.value()),
            (true, Region::Side(Side::Gt | Side::Gte, limit)) => Breaks::Ratio(limit.value()),
            _ => return Simulation::Unknown("it is not computed for a limit of this form"),
        };
        let parts: Vec<(Rate, Breaks)> = self.of.rates().iter().map(|rate| (*rate, breaks)).collect();
        if parts.is_empty() || self.reference.is_some() {
            return Simulation::Unknown("it is not computed for this metric, or with a reference segment");
        }
        Simulation::Segments(SegmentSimulation {
            by: self.by,
            min_positives: self.min_positives,
            parts,
            advice: "raise `min_positives` or the limit, or write `gap_lcb`, which blocks only where chance cannot be it",
        })
    }
}

static AVERAGE_ODDS: Definition = Definition {
    name: "average_odds",
    documentation: "The mean of the gaps of true and false positive rates; `driven_by` says which of the two is larger, and `best` and `worst` are \
        its segments. `gap: {of: average_odds}` is the same.",
    limit: LimitForm::Full,
    bounds: Bounds::Rate,
    example: "0.05",
    subjects: Subjects::Segmentation,
    minimum: Minimum::TwoSegments,
    options: &[VERSUS, MIN_POSITIVES, MIN_SAMPLES],
    parse: |definition, map, names| {
        let (by, min_positives) = over(map, names);
        let min_samples = MIN_SAMPLES.optional_whole(map);
        let limits = Limits::read(definition, map);
        let (by, limits, min_positives, min_samples) = (by?, limits?, min_positives?, min_samples?);
        let of = Compared::AverageOdds;
        let (reference, classes) = (None, None);
        Some(RuleKind::new(ComparedMetric {
            definition,
            of,
            by,
            limits,
            reference,
            min_positives,
            min_samples,
            classes,
        }))
    },
    ..BASE
};
