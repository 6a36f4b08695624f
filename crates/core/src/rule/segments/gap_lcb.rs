//! `gap_lcb`: a bound of a rate's gap between segments.

use super::super::alarms::{Breaks, Simulation};
use super::super::counts::WindowCounts;
use super::super::definition::{Bounds, Check, Counts, Definition, LimitForm, Opt, Read, RuleKind, Takes, Values};
use super::super::limits::{Limits, MIN_SAMPLES};
use super::super::multiclass::CLASS;
use super::super::options::{DESIGN_EFFECT, MIN_POSITIVES, ReadLimit as _};
use super::super::result::{Certain, Judged, bounded};
use super::super::types::{Bound, Side};
use super::by_class::ByClass;
use super::listed::ComparedSegments;
use super::{ADVICE, BASE, REFERENCE, over};
use crate::stats::fairness::Rate;
use crate::stats::limit::Limit;
use crate::stats::quality::{Metric, named};

pub(super) static GAP_LCB: Definition = Definition {
    name: "gap_lcb",
    documentation: "A lower bound of `gap` of a rate that is a proportion (`of`), over all pairs of eligible segments (Newcombe's interval, \
        corrected for their number), or of each segment to the one that `reference` names. It blocks where chance cannot be the \
        reason, and warns with `underpowered` where the window is too small to tell. With `task: multiclass` it is of one `class` against all others, or \
        of the class that is worst, corrected for the number of classes.",
    limit: LimitForm::AtMost("lte"),
    bounds: Bounds::Rate,
    values: Values::Difference,
    options: &[OF_PROPORTION, CLASS, REFERENCE, MIN_POSITIVES, MIN_SAMPLES, DESIGN_EFFECT],
    parse: |definition, map, names| {
        let of = OF_PROPORTION.one_of(map);
        let (by, min_positives) = over(map, names);
        let lte = Limit::in_options(map, None, definition);
        let (reference, design_effect) = (REFERENCE.optional_name(map), DESIGN_EFFECT.optional_number(map));
        let name = of?;
        let Some(Metric::Rate(rate)) = named(name) else { return None };
        let classes = ByClass::read(Some(rate.into()), map, names)?;
        let definition = match classes {
            Some(_) => &GAP_LCB_OF_CLASSES,
            None if rate == Rate::Selection => &GAP_LCB_OF_SELECTION,
            None => definition,
        };
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
            classes,
        }))
    },
    ..BASE
};
static GAP_LCB_OF_CLASSES: Definition = Definition { counts: Counts::Classes, ..GAP_LCB };
static GAP_LCB_OF_SELECTION: Definition = Definition { counts: Counts::Decisions, ..GAP_LCB };
pub(super) const OF_PROPORTION: Opt = Opt {
    key: "of",
    takes: Takes::OneOf(&PROPORTIONS),
    default: "",
    documentation: "The metric that is compared; the rules of these names say what each is.",
};
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
    /// Of a policy with classes.
    classes: Option<ByClass>,
}

impl Check for GapLcb {
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
        vec![bounded(Side::Lte, self.lte)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let effect = window.design_effect(self.design_effect);
        let bound = |segments: ComparedSegments<'_>, comparisons: u64| {
            let segments = segments.showing(self.name, self.rate.into()).with_least(self.min_samples);
            segments.gap_bound((self.rate, comparisons), self.lte, self.min_positives, self.reference.as_deref())
        };
        match &self.classes {
            Some(classes) => {
                let counts = window.class_segments(self.by);
                vec![classes.worst(false, |class| {
                    bound(ComparedSegments::of_class(window, self.by, &counts, class, effect), classes.compared())
                })]
            }
            None => vec![bound(ComparedSegments::new(window, self.by, self.rate == Rate::Selection, effect), 1)],
        }
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let (limits, reference) = (Limits::at_most(self.lte), self.reference.as_deref());
        let of = |segments: ComparedSegments<'_>, alpha: f64| {
            segments.certain_gap(self.rate.into(), &limits, self.min_positives, reference, alpha)
        };
        let effect = window.design_effect(self.design_effect);
        match &self.classes {
            Some(classes) => vec![classes.certain(window, self.by, alpha, of)],
            None => vec![of(ComparedSegments::new(window, self.by, self.rate == Rate::Selection, effect), alpha)],
        }
    }

    fn simulation(&self) -> Simulation {
        super::simulation(self.by, self.min_positives, (self.rate, Breaks::GapBound(self.lte.value())), ADVICE)
    }

    fn design_effect(&self) -> Option<Option<f64>> {
        Some(self.design_effect)
    }
}
