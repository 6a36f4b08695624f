//! Rules on how well the score predicts the label.

use super::alarms::Simulation;
use super::counts::WindowCounts;
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::options::ReadLimit as _;
use super::result::{Judged, at_least, bounded, enough, limit};
use super::types::{Bound, Side};
use crate::codec::number::number;
use crate::stats::auc;
use crate::stats::grid::Grid;
use crate::stats::limit::Limit;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 1] = [&AUC];

static AUC: Definition = Definition {
    name: "auc",
    documentation: "The area under the ROC curve of the score, over labelled predictions. Scores in one cell of the grid cannot be told \
        apart: `lower` and `upper` enclose the exact value.",
    guards: Guard::Outcome,
    counts: Counts::Pairs,
    subjects: Subjects::Only("score"),
    baseline: Reference::Shown,
    minimum: Minimum::Samples,
    limit: LimitForm::AtLeast("gte"),
    bounds: Bounds::SomeRate,
    example: "0.7",
    values: Values::Fraction,
    options: &[],
    recorded_as: Some("live_auc"),
    parse: |definition, map, _| Some(RuleKind::new(Auc { gte: Limit::in_options(map, None, definition)? })),
};

/// Blocks below the limit (`gte`).
#[derive(Clone, Debug, PartialEq)]
pub struct Auc {
    pub gte: Limit,
}

impl Check for Auc {
    fn definition(&self) -> &'static Definition {
        &AUC
    }

    fn reads(&self) -> Vec<Read> {
        vec![Read::ScoreByLabel]
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![bounded(Side::Gte, self.gte)]
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        let counted = window.score_by_label();
        let of = |[no, yes]: [&[u64]; 2]| auc::auc(yes, no, Grid::is_atom);
        let found = counted.and_then(of);
        let n = counted.map_or(0, |sides| sides.into_iter().flatten().sum());
        let reference = window.reference_score_by_label().and_then(of);
        let exact = found.as_ref().map(|a| a.exact);
        let (status, reason) = enough(n, window.min_samples(), exact, |v| at_least(v, self.gte));
        let evidence = vec![
            ("lower", number(found.as_ref().map(|a| a.lo))),
            ("upper", number(found.as_ref().map(|a| a.hi))),
            ("limit", limit("gte", self.gte)),
            ("n", n.into()),
            ("reference_value", number(reference.map(|a| a.mid))),
        ];
        let value = found.as_ref().map(|a| a.mid);
        vec![Judged { subject: "score".to_owned(), status, value, evidence, reason, bins: None }]
    }

    fn simulation(&self) -> Simulation {
        Simulation::Auc { gte: self.gte.value() }
    }
}
