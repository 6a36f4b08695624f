//! Rules that compare any metric of decisions between segments, named by `of`: gaps, ratios, bounds of gaps, average odds.

use super::super::alarms::{Breaks, SegmentSimulation, Simulation};
use super::super::counts::WindowCounts;
use super::super::definition::{
    Bounds, Check, Counts, Definition, LimitForm, Minimum, Opt, Read, RuleKind, Subjects, Takes, Values,
};
use super::super::limits::{Limits, MIN_SAMPLES, Region, VERSUS};
use super::super::multiclass::CLASS;
use super::super::names::PolicyNames;
use super::super::options::{DESIGN_EFFECT, MIN_POSITIVES, ReadLimit as _};
use super::super::result::{Judged, bounded};
use super::super::types::{Bound, Side};
use super::by_class::ByClass;
use super::listed::ComparedSegments;
use super::{ADVICE, BASE, REFERENCE, over};
use crate::stats::fairness::Rate;
use crate::stats::limit::Limit;
use crate::stats::quality::{Metric, named};
use crate::yaml::Map;

/// The rules of this family, in the order of the reference.
pub(crate) static RULES: [&Definition; 4] = [&GAP, &RATIO, &GAP_LCB, &AVERAGE_ODDS];

static GAP: Definition = Definition {
    name: "gap",
    documentation: "The largest less the smallest value of a metric (`of`) over eligible segments, or with `reference` the largest difference to \
        the value of that segment. `best` is the segment with the value that is good for those who are judged: a high recall, a low \
        `fpr`; of `selection_rate` the two are `highest` and `lowest`. `lower` and `upper` are Newcombe's 95% interval. `of: selection_rate` reads no \
        labels and counts every prediction with a decision. With `task: multiclass` it is of one `class` against all others, or of the class         that is worst (`class` in the result).",
    limit: LimitForm::Full,
    bounds: Bounds::Rate,
    example: "0.05",
    options: &[OF, CLASS, REFERENCE, VERSUS, MIN_POSITIVES, MIN_SAMPLES],
    parse: |definition, map, names| compared(definition, [&GAP_OF_SELECTION, &GAP_OF_CLASSES], map, names),
    ..BASE
};
/// Of a policy with classes.
static GAP_OF_CLASSES: Definition = Definition { counts: Counts::Classes, ..GAP };
static GAP_OF_SELECTION: Definition = Definition { counts: Counts::Decisions, ..GAP };

static RATIO: Definition = Definition {
    name: "ratio",
    documentation: "The smallest over the largest value of a metric (`of`) over eligible segments; with `reference` each segment's value over that \
        segment's, of which the one that lies worst to the limit is the value. The four-fifths rule is \
        `{of: selection_rate, gte: 0.8}`.",
    bounds: Bounds::AboveZero,
    example: "0.8",
    values: Values::FromZero,
    parse: |definition, map, names| compared(definition, [&RATIO_OF_SELECTION, &RATIO_OF_CLASSES], map, names),
    ..GAP
};
static RATIO_OF_CLASSES: Definition = Definition { counts: Counts::Classes, ..RATIO };
static RATIO_OF_SELECTION: Definition = Definition { counts: Counts::Decisions, ..RATIO };

const OF: Opt = Opt {
    key: "of",
    takes: Takes::OneOf(&METRICS),
    default: "",
    documentation: "The metric that is compared; the rules of these names say what each is.",
};
const METRICS: [&str; 14] = [
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
];

/// What a rule compares between segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compared {
    /// Under the name that the rule gives it.
    Metric(&'static str, Metric),
    AverageOdds,
}

impl Compared {
    fn read(option: &Opt, map: &Map) -> Option<Self> {
        let name = option.one_of(map)?;
        Some(named(name).map_or(Self::AverageOdds, |metric| Self::Metric(name, metric)))
    }

    fn is_selection(self) -> bool {
        matches!(self, Self::Metric(_, Metric::Rate(Rate::Selection)))
    }

    /// The rates that `check --alarms` simulates; none where it simulates nothing.
    fn rates(self) -> &'static [Rate] {
        match self {
            Self::AverageOdds | Self::Metric(_, Metric::F1 | Metric::BalancedAccuracy) => &[],
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
    [of_selection, of_classes]: [&'static Definition; 2],
    map: &Map,
    names: &PolicyNames,
) -> Option<RuleKind> {
    let of = Compared::read(&OF, map);
    let (by, min_positives) = over(map, names);
    let (limits, reference) = (Limits::read(definition, map), REFERENCE.optional_name(map));
    let of = of?;
    let is_ratio = definition.name == RATIO.name;
    if of == Compared::AverageOdds && (is_ratio || reference.as_ref().is_some_and(Option::is_some)) {
        let place = map.get("of").unwrap_or_else(|| map.item().clone());
        return place.fail(
            "average_odds is a mean of gaps, and has neither a ratio nor a reference: write `gap: {of: average_odds, by: …, lt: …}`",
        );
    }
    let metric = if let Compared::Metric(_, metric) = of { Some(metric) } else { None };
    let classes = ByClass::read(metric, definition, map, names)?;
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
    fn of_metric(&self, segments: &ComparedSegments<'_>, metric: Metric) -> Judged {
        let reference = self.reference.as_deref();
        if self.definition.name == RATIO.name {
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
        if let (Some(classes), Compared::Metric(name, metric)) = (&self.classes, self.of) {
            let is_ratio = self.definition.name == RATIO.name;
            return vec![classes.worst(is_ratio, |class| {
                let segments = ComparedSegments::of_class(window, self.by, class).with_least(self.min_samples);
                self.of_metric(&segments.showing(name, metric), metric)
            })];
        }
        let segments = ComparedSegments::new(window, self.by, self.of.is_selection(), 1.0).with_least(self.min_samples);
        let Compared::Metric(name, metric) = self.of else {
            return vec![segments.average_odds(self.limits, self.min_positives)];
        };
        vec![self.of_metric(&segments.showing(name, metric), metric)]
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

static GAP_LCB: Definition = Definition {
    name: "gap_lcb",
    documentation: "A lower bound of `gap` of a rate that is a proportion (`of`), over all pairs of eligible segments (Newcombe's interval, \
        corrected for their number), or of each segment to the one that `reference` names. It blocks where chance cannot be the \
        reason, and warns with `underpowered` where the window is too small to tell.",
    limit: LimitForm::AtMost("lte"),
    bounds: Bounds::Rate,
    values: Values::Difference,
    options: &[OF_PROPORTION, REFERENCE, MIN_POSITIVES, MIN_SAMPLES, DESIGN_EFFECT],
    parse: |definition, map, names| {
        let of = OF_PROPORTION.one_of(map);
        let (by, min_positives) = over(map, names);
        let lte = Limit::in_options(map, None, definition);
        let (reference, design_effect) = (REFERENCE.optional_name(map), DESIGN_EFFECT.optional_number(map));
        let name = of?;
        let Some(Metric::Rate(rate)) = named(name) else { return None };
        let definition = if rate == Rate::Selection { &GAP_LCB_OF_SELECTION } else { definition };
        let min_samples = MIN_SAMPLES.optional_whole(map);
        let (by, lte, min_positives, reference, design_effect) =
            (by?, lte?, min_positives?, reference?, design_effect?);
        let min_samples = min_samples?;
        Some(RuleKind::new(GapLcb {
            definition,
            name,
            rate,
            by,
            lte,
            min_positives,
            min_samples,
            reference,
            design_effect,
        }))
    },
    ..BASE
};
static GAP_LCB_OF_SELECTION: Definition = Definition { counts: Counts::Decisions, ..GAP_LCB };
const OF_PROPORTION: Opt = Opt { takes: Takes::OneOf(&PROPORTIONS), ..OF };
const PROPORTIONS: [&str; 11] =
    ["accuracy", "precision", "ppv", "recall", "tpr", "specificity", "fpr", "fnr", "fdr", "for", "selection_rate"];

/// A bound of a rate's gap against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct GapLcb {
    definition: &'static Definition,
    name: &'static str,
    pub rate: Rate,
    pub by: usize,
    pub lte: Limit,
    pub min_positives: u64,
    pub min_samples: Option<u64>,
    pub reference: Option<String>,
    pub design_effect: Option<f64>,
}

impl Check for GapLcb {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Segmentation(self.by)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![bounded(Side::Lte, self.lte)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let effect = window.design_effect(self.design_effect);
        let segments = ComparedSegments::new(window, self.by, self.rate == Rate::Selection, effect);
        let segments = segments.showing(self.name, self.rate.into()).with_least(self.min_samples);
        vec![segments.gap_bound(self.rate, self.lte, self.min_positives, self.reference.as_deref())]
    }

    fn simulation(&self) -> Simulation {
        super::simulation(self.by, self.min_positives, (self.rate, Breaks::GapBound(self.lte.value())), ADVICE)
    }

    fn design_effect(&self) -> Option<Option<f64>> {
        Some(self.design_effect)
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
