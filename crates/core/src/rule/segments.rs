//! Rules over segments: gaps of rates between them, their safe bounds, drops below the training snapshot. Segments that are
//! too small are named and left out; fewer than two that are not make a gap `insufficient`.

mod amounts;
mod bounds;
mod by_class;
mod by_error;
mod certain;
pub mod drops;
pub mod gap_lcb;
mod gaps;
mod listed;
pub mod metrics;

use super::alarms::{Breaks, SegmentSimulation, Simulation};
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Opt, Read, Reference, RuleKind, Subjects, Takes,
    Values,
};
use super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::names::PolicyNames;
use super::options::{DESIGN_EFFECT, MIN_POSITIVES, ReadLimit as _};
use super::result::{Certain, Judged, bounded};
use super::types::{Bound, Side};
use crate::stats::fairness::Rate;
use crate::stats::limit::Limit;
use crate::yaml::Map;
use listed::ComparedSegments;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 6] =
    [&TPR_GAP, &FPR_GAP, &SELECTION_GAP, &EQUALIZED_ODDS, &DISPARATE_IMPACT, &TPR_GAP_LCB];

const BASE: Definition = Definition {
    name: "",
    documentation: "",
    guards: Guard::Fairness,
    counts: Counts::DecidedPairs,
    subjects: Subjects::Segmentation,
    baseline: Reference::Shown,
    minimum: Minimum::TwoSegments,
    limit: LimitForm::UsualFull(Side::Lt),
    bounds: Bounds::SomeRate,
    example: "0.03",
    values: Values::Fraction,
    options: &[VERSUS, MIN_POSITIVES, MIN_SAMPLES],
    recorded_as: None,
    parse: |_, _, _| None,
};
const OTHER_FORM: &str = "it is not computed for a limit of this form";
const ADVICE: &str = "raise `min_positives` or the limit";

/// `by` and `min_positives`, which every rule over segments takes.
fn over(map: &Map, names: &PolicyNames) -> (Option<usize>, Option<u64>) {
    let by = map.require("by", "one of `segments:`").and_then(|item| names.segmentation_of(&item));
    (by, MIN_POSITIVES.whole(map))
}

static TPR_GAP: Definition = Definition {
    name: "tpr_gap",
    documentation: "The largest less the smallest true positive rate of eligible segments. `best` is the segment with the high rate.",
    recorded_as: Some("fairness_tpr_gap"),
    parse: |definition, map, names| gap(definition, GapMeasure::Tpr, map, names),
    ..BASE
};
static FPR_GAP: Definition = Definition {
    name: "fpr_gap",
    documentation: "The largest less the smallest false positive rate of eligible segments. `best` is the segment with the low rate.",
    parse: |definition, map, names| gap(definition, GapMeasure::Fpr, map, names),
    ..BASE
};
static SELECTION_GAP: Definition = Definition {
    name: "selection_gap",
    documentation: "The largest less the smallest share of predictions that are decided positively. It reads no labels and counts every \
        prediction with a decision, so it also holds where labels exist only for those who were selected.",
    counts: Counts::Decisions,
    parse: |definition, map, names| gap(definition, GapMeasure::Selection, map, names),
    ..BASE
};
static EQUALIZED_ODDS: Definition = Definition {
    name: "equalized_odds",
    documentation: "The larger of the gaps of true and false positive rates; `driven_by` says which of the two it is.",
    parse: |definition, map, names| gap(definition, GapMeasure::EqualizedOdds, map, names),
    ..BASE
};

/// Which rate a fairness gap compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapMeasure {
    Tpr,
    Fpr,
    Selection,
    EqualizedOdds,
}

/// A gap against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    pub measure: GapMeasure,
    pub by: usize,
    pub limit: Limits,
    pub min_positives: u64,
    pub min_samples: Option<u64>,
}

fn gap(definition: &'static Definition, measure: GapMeasure, map: &Map, names: &PolicyNames) -> Option<RuleKind> {
    let (by, min_positives) = over(map, names);
    let (limit, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
    let (by, limit, min_positives, min_samples) = (by?, limit?, min_positives?, min_samples?);
    Some(RuleKind::new(Gap { measure, by, limit, min_positives, min_samples }))
}

impl Check for Gap {
    fn definition(&self) -> &'static Definition {
        match self.measure {
            GapMeasure::Tpr => &TPR_GAP,
            GapMeasure::Fpr => &FPR_GAP,
            GapMeasure::Selection => &SELECTION_GAP,
            GapMeasure::EqualizedOdds => &EQUALIZED_ODDS,
        }
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Segmentation(self.by)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limit.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limit.floor()
    }

    fn is_change(&self) -> bool {
        self.limit.change().is_some()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let selection = self.measure == GapMeasure::Selection;
        let segments = ComparedSegments::new(window, self.by, selection, 1.0).with_least(self.min_samples);
        let rate = match self.measure {
            GapMeasure::EqualizedOdds => {
                return vec![segments.equalized_odds(self.limit, self.min_positives)];
            }
            GapMeasure::Tpr => Rate::Tpr,
            GapMeasure::Fpr => Rate::Fpr,
            GapMeasure::Selection => Rate::Selection,
        };
        vec![segments.gap(rate.into(), self.limit, self.min_positives, None)]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let selection = self.measure == GapMeasure::Selection;
        let segments = ComparedSegments::new(window, self.by, selection, 1.0);
        let rate = match self.measure {
            GapMeasure::EqualizedOdds => {
                return vec![segments.certain_odds(&self.limit, self.min_positives, false, alpha)];
            }
            GapMeasure::Tpr => Rate::Tpr,
            GapMeasure::Fpr => Rate::Fpr,
            GapMeasure::Selection => Rate::Selection,
        };
        vec![segments.certain_gap(rate.into(), &self.limit, self.min_positives, None, alpha)]
    }

    fn simulation(&self) -> Simulation {
        let rates: &[Rate] = match self.measure {
            GapMeasure::Tpr => &[Rate::Tpr],
            GapMeasure::Fpr => &[Rate::Fpr],
            GapMeasure::Selection => &[Rate::Selection],
            GapMeasure::EqualizedOdds => &[Rate::Tpr, Rate::Fpr],
        };
        let Some(limit) = self.limit.upper() else { return Simulation::Unknown(OTHER_FORM) };
        Simulation::Segments(SegmentSimulation {
            by: self.by,
            min_positives: self.min_positives,
            parts: rates.iter().map(|rate| (*rate, Breaks::Gap(limit.value()))).collect(),
            advice: "raise `min_positives` or the limit, or write `tpr_gap_lcb`, which blocks only where chance cannot be it",
        })
    }
}

static DISPARATE_IMPACT: Definition = Definition {
    name: "disparate_impact",
    documentation: "The smallest over the largest selection rate of eligible segments, which the four-fifths rule wants at 0.8 or above. \
        It counts every prediction with a decision, as `selection_gap` does.",
    counts: Counts::Decisions,
    limit: LimitForm::UsualFull(Side::Gte),
    bounds: Bounds::AboveZero,
    example: "0.8",
    recorded_as: Some("fairness_disparate_impact"),
    parse: |definition, map, names| {
        let (by, min_positives) = over(map, names);
        let (limit, min_samples) = (Limits::read(definition, map), MIN_SAMPLES.optional_whole(map));
        let (by, limit, min_positives, min_samples) = (by?, limit?, min_positives?, min_samples?);
        Some(RuleKind::new(DisparateImpact { by, limit, min_positives, min_samples }))
    },
    ..BASE
};

/// A ratio of selection rates against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct DisparateImpact {
    pub by: usize,
    pub limit: Limits,
    pub min_positives: u64,
    pub min_samples: Option<u64>,
}

impl Check for DisparateImpact {
    fn definition(&self) -> &'static Definition {
        &DISPARATE_IMPACT
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Segmentation(self.by)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![self.limit.bound()]
    }

    fn floor(&self, _: usize) -> Option<Bound> {
        self.limit.floor()
    }

    fn is_change(&self) -> bool {
        self.limit.change().is_some()
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let segments = ComparedSegments::new(window, self.by, true, 1.0).with_least(self.min_samples);
        vec![segments.ratio(Rate::Selection.into(), self.limit, self.min_positives, None)]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let segments = ComparedSegments::new(window, self.by, true, 1.0);
        vec![segments.certain_ratio(Rate::Selection.into(), &self.limit, self.min_positives, None, alpha)]
    }

    fn simulation(&self) -> Simulation {
        let Some(limit) = self.limit.lower() else { return Simulation::Unknown(OTHER_FORM) };
        simulation(self.by, self.min_positives, (Rate::Selection, Breaks::Ratio(limit.value())), ADVICE)
    }
}

static TPR_GAP_LCB: Definition = Definition {
    name: "tpr_gap_lcb",
    documentation: "A lower bound of `tpr_gap` over all pairs of eligible segments (Newcombe's interval, corrected for their number), or of \
        each segment below the one that `reference` names. It blocks where chance cannot be the reason, and warns with `underpowered` \
        where the window is too small to tell.",
    limit: LimitForm::AtMost("lte"),
    bounds: Bounds::Rate,
    values: Values::Difference,
    options: &[MIN_POSITIVES, REFERENCE, DESIGN_EFFECT],
    parse: |definition, map, names| {
        let (by, min_positives) = over(map, names);
        let lte = Limit::in_options(map, None, definition);
        let (reference, design_effect) = (REFERENCE.optional_name(map), DESIGN_EFFECT.optional_number(map));
        Some(RuleKind::new(TprGapLcb {
            by: by?,
            lte: lte?,
            min_positives: min_positives?,
            reference: reference?,
            design_effect: design_effect?,
        }))
    },
    ..BASE
};
const REFERENCE: Opt = Opt {
    key: "reference",
    takes: Takes::Text { wanted: "a segment's value", pattern: "." },
    default: "",
    documentation: "The segment that the others are compared with; without it, every pair of segments is.",
};

/// Blocks above the limit (`lte`); against a named segment or over all pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct TprGapLcb {
    pub by: usize,
    pub lte: Limit,
    pub min_positives: u64,
    pub reference: Option<String>,
    pub design_effect: Option<f64>,
}

impl Check for TprGapLcb {
    fn definition(&self) -> &'static Definition {
        &TPR_GAP_LCB
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Segmentation(self.by)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![bounded(Side::Lte, self.lte)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let segments = ComparedSegments::new(window, self.by, false, window.design_effect(self.design_effect));
        vec![segments.gap_bound((Rate::Tpr, 1), self.lte, self.min_positives, self.reference.as_deref())]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let segments = ComparedSegments::new(window, self.by, false, window.design_effect(self.design_effect));
        let (limits, reference) = (Limits::at_most(self.lte), self.reference.as_deref());
        vec![segments.certain_gap(Rate::Tpr.into(), &limits, self.min_positives, reference, alpha)]
    }

    fn simulation(&self) -> Simulation {
        simulation(self.by, self.min_positives, (Rate::Tpr, Breaks::GapBound(self.lte.value())), ADVICE)
    }

    fn design_effect(&self) -> Option<Option<f64>> {
        Some(self.design_effect)
    }
}

fn simulation(by: usize, min_positives: u64, part: (Rate, Breaks), advice: &'static str) -> Simulation {
    Simulation::Segments(SegmentSimulation { by, min_positives, parts: vec![part], advice })
}
