//! Drops of each segment's true positive rate below the training snapshot's, and their bounds.

use super::super::alarms::{Breaks, Simulation};
use super::super::counts::WindowCounts;
use super::super::definition::{Bounds, Check, Definition, LimitForm, Minimum, Read, Reference, RuleKind, Values};
use super::super::names::PolicyNames;
use super::super::options::{DESIGN_EFFECT, MIN_POSITIVES, ReadLimit as _};
use super::super::result::{Certain, Judged, bounded};
use super::super::types::{Bound, Side};
use super::listed::ComparedSegments;
use super::{ADVICE, BASE, over, simulation};
use crate::stats::fairness::Rate;
use crate::stats::limit::Limit;
use crate::yaml::Map;

/// The rules of this file, in the order of the reference.
pub(crate) static RULES: [&Definition; 2] = [&TPR_DROP, &TPR_DROP_LCB];

static TPR_DROP: Definition = Definition {
    name: "tpr_drop",
    documentation: "How far the true positive rate of the segment that fell the most lies below its own in the training snapshot.",
    baseline: Reference::Snapshot,
    minimum: Minimum::OneSegment,
    limit: LimitForm::AtMost("max"),
    bounds: Bounds::Rate,
    example: "0.1",
    values: Values::Difference,
    options: &[MIN_POSITIVES],
    parse: |definition, map, names| tpr_drop(definition, false, map, names),
    ..BASE
};
static TPR_DROP_LCB: Definition = Definition {
    name: "tpr_drop_lcb",
    documentation: "A lower bound of `tpr_drop` (Newcombe's interval, corrected for the number of segments): it blocks where chance cannot \
        be the reason.",
    options: &[MIN_POSITIVES, DESIGN_EFFECT],
    parse: |definition, map, names| tpr_drop(definition, true, map, names),
    ..TPR_DROP
};

/// Blocks when a segment's TPR lies more than `max` below the snapshot's (`lcb`: when Newcombe's lower bound does).
#[derive(Clone, Debug, PartialEq)]
pub struct TprDrop {
    pub by: usize,
    pub max: Limit,
    pub min_positives: u64,
    pub lcb: bool,
    pub design_effect: Option<f64>,
}

fn tpr_drop(definition: &'static Definition, lcb: bool, map: &Map, names: &PolicyNames) -> Option<RuleKind> {
    let (by, min_positives) = over(map, names);
    let max = Limit::in_options(map, None, definition);
    let design_effect = if lcb { DESIGN_EFFECT.optional_number(map) } else { Some(None) };
    let (by, max, min_positives, design_effect) = (by?, max?, min_positives?, design_effect?);
    Some(RuleKind::new(TprDrop { by, max, min_positives, lcb, design_effect }))
}

impl Check for TprDrop {
    fn definition(&self) -> &'static Definition {
        if self.lcb { &TPR_DROP_LCB } else { &TPR_DROP }
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::Segmentation(self.by), Read::SnapshotSegments(self.by)]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![bounded(Side::Lte, self.max)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        if self.lcb {
            let segments = ComparedSegments::new(window, self.by, false, window.design_effect(self.design_effect));
            return vec![segments.drop_bound(self.max, self.min_positives)];
        }
        vec![ComparedSegments::new(window, self.by, false, 1.0).drop(self.max, self.min_positives)]
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        let segments = ComparedSegments::new(window, self.by, false, window.design_effect(self.design_effect));
        let there = if self.lcb { 1 } else { self.min_positives };
        vec![segments.certain_drop(self.max, self.min_positives, there, alpha)]
    }

    fn simulation(&self) -> Simulation {
        let max = self.max.value();
        let (breaks, advice) = if self.lcb {
            (Breaks::DropBound(max), ADVICE)
        } else {
            (Breaks::Drop(max), "raise `min_positives` or the limit, or write `tpr_drop_lcb`")
        };
        simulation(self.by, self.min_positives, (Rate::Tpr, breaks), advice)
    }

    fn design_effect(&self) -> Option<Option<f64>> {
        self.lcb.then_some(self.design_effect)
    }
}
