//! Shares of a feature's measured values: outside of the training range, of no known category, of one value.

use serde_json::Value;

use super::alarms::Simulation;
use super::binning::{Binning, DECILES};
use super::certain;
use super::counts::{Distribution, TargetReference, WindowCounts};
use super::definition::{
    Bounds, Check, Counts, Definition, Guard, LimitForm, Minimum, Read, Reference, RuleKind, Subjects, Values,
};
use super::forms::{RANGE, range};
use super::limits::{Limits, MIN_SAMPLES, VERSUS};
use super::options::subjects;
use super::result::{Certain, Judged, enough, real};
use super::shown;
use super::types::{Bound, Status, Subject, Target};
use crate::codec::number::number;
use crate::stats::bounds;
use crate::stats::grid::Grid;
use crate::stats::ratio::Ratio;

/// The rules of this family, in the order of the reference.
pub(super) static RULES: [&Definition; 3] = [&OUT_OF_RANGE, &NEW_CATEGORIES, &CONSTANT];

const BASE: Definition = Definition {
    name: "",
    documentation: "",
    guards: Guard::Drift,
    counts: Counts::Predictions,
    subjects: Subjects::Features { categorical: true },
    baseline: Reference::Snapshot,
    minimum: Minimum::Samples,
    limit: LimitForm::Band,
    bounds: Bounds::Rate,
    example: "0.01",
    values: Values::Fraction,
    options: &[MIN_SAMPLES],
    recorded_as: None,
    parse: |definition, map, names| {
        let (of, min_samples) = (subjects(map, names, definition), MIN_SAMPLES.optional_whole(map));
        let (of, min_samples, range) = (of?, min_samples?, range(map)?);
        Some(RuleKind::new(ShareOfValues { definition, of, min_samples, range }))
    },
};

static OUT_OF_RANGE: Definition = Definition {
    name: "out_of_range",
    documentation: "The share of measured values below the smallest or above the largest value in the snapshot, or outside of `range`; `below` \
        and `above` count them. Missing and invalid values are no part of it.",
    subjects: Subjects::Features { categorical: false },
    options: &[RANGE, MIN_SAMPLES],
    ..BASE
};
static NEW_CATEGORIES: Definition = Definition {
    name: "new_categories",
    documentation: "The share of measured values that are none of the snapshot's categories; `unseen` names the most frequent ones where it \
        does not pass. `of: features` means the categorical ones.",
    subjects: Subjects::Categories,
    ..BASE
};
static CONSTANT: Definition = Definition {
    name: "constant",
    documentation: "The share of the most frequent value among those measured, 1 for a feature that is stuck. Numbers between two points of the \
        grid, below the first or above the last count as one value: of training values about one in a thousand lies there, so the share is \
        exact where it matters, and a feature that is stuck blocks wherever it is. Values that are all beyond the training range count as \
        one too. `lower` is the share that one value has for certain. A change is one of the snapshot's share.",
    baseline: Reference::Shown,
    limit: LimitForm::Full,
    example: "0.9",
    options: &[VERSUS, MIN_SAMPLES],
    ..BASE
};

/// A share of the measured values, or of `constant` its change against the snapshot, by subject.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareOfValues {
    definition: &'static Definition,
    pub of: Vec<Subject<Limits>>,
    pub min_samples: Option<u64>,
    /// What `out_of_range` takes for the range in place of the snapshot's.
    pub range: Option<[f64; 2]>,
}

/// A share, or the least and the most that it can be; and what stands beside it.
#[derive(Default)]
struct Found {
    ends: Option<[Ratio; 2]>,
    reference: Option<[Ratio; 2]>,
    evidence: Vec<(&'static str, Value)>,
}

impl ShareOfValues {
    fn found(&self, window: &dyn WindowCounts, target: Target, c: &Distribution<'_>) -> Found {
        let share = |k: u64| Ratio::of_counts(k, c.n).map(|ratio| [ratio; 2]);
        if self.definition == &OUT_OF_RANGE {
            let outside = match self.range {
                Some(range) => outside_of(range, window.points(target), c.cells),
                None => c.outside(),
            };
            let Some((below, above)) = outside else { return Found::default() };
            let mut evidence = vec![("below", below.into()), ("above", above.into())];
            evidence.extend(self.range.map(|range| ("range", range.to_vec().into())));
            return Found { ends: share(below + above), reference: None, evidence };
        }
        if self.definition == &NEW_CATEGORIES {
            // The last cell of a categorical feature holds all that the snapshot has not.
            let unseen = c.cells.last().copied().filter(|_| matches!(c.reference, TargetReference::Categorical(_)));
            return Found { ends: unseen.and_then(share), ..Found::default() };
        }
        let binned = window.binned(target, &DECILES, c.cells);
        let (reference, unseen) = match c.reference {
            TargetReference::Numeric { cells, .. } => (cells, None),
            TargetReference::Categorical(_) => (binned.reference.as_slice(), window.unseen(target)),
        };
        // Where there are too many of them, some are counted together.
        let unseen = unseen.filter(|each| Some(&each.iter().sum::<u64>()) == c.cells.last());
        let ends = most_frequent(c, c.cells, unseen.as_deref());
        Found { ends, reference: most_frequent(c, reference, Some(&[])), evidence: Vec::new() }
    }

    /// The fullest of several cells is bounded with all of them.
    fn certain_of(&self, window: &dyn WindowCounts, subject: &Subject<Limits>, alpha: f64) -> Option<Certain> {
        let c = window.distribution(subject.target)?;
        let Found { ends, reference, .. } = self.found(window, subject.target, &c);
        let cells = if self.definition == &CONSTANT { real(c.cells.len().max(1) as u64) } else { 1.0 };
        let effect = window.design_effect(None);
        let bound = |ends: Option<[Ratio; 2]>, n: u64| {
            move |alpha: f64| bounds::mean(ends?[1].value(), bounds::size(n, effect), alpha / cells)
        };
        certain::compared(&subject.limit, alpha, bound(ends, c.n), bound(reference, c.reference_n))
    }

    fn judge_one(&self, window: &dyn WindowCounts, subject: &Subject<Limits>) -> Judged {
        let target = subject.target;
        let Some(c) = window.distribution(target) else { return shown::absent(window, target) };
        let Found { ends, reference, mut evidence } = self.found(window, target, &c);
        let is_change = subject.limit.change().is_some();
        // Of both the fullest cell: a guard errs to the side that blocks, and is decided.
        let (now, then) = (ends.map(|[_, upper]| upper), reference.map(|[_, upper]| upper));
        let compared = match subject.limit.change() {
            None => now,
            Some((change, tolerance)) => now.zip(then).and_then(|(now, then)| change.of(tolerance, now, then)),
        };
        let least = self.min_samples.unwrap_or_else(|| window.min_samples());
        let judged = enough(c.n, least, compared, |value| subject.limit.status(value));
        let is_against = is_change || (self.definition != &CONSTANT && self.range.is_none());
        let (status, reason) = if is_against { shown::against(window, c.reference_n, judged) } else { judged };
        if self.definition == &CONSTANT {
            evidence.push(("lower", number(ends.map(|[lower, _]| lower.value()))));
            evidence.push(("upper", number(now.map(Ratio::value))));
            evidence.extend(is_change.then(|| ("now", number(now.map(Ratio::value)))));
            evidence.push(("reference_value", number(then.map(Ratio::value))));
        }
        evidence.push(("limit", subject.limit.evidence()));
        evidence.extend(shown::tail(&c));
        if status != Status::Pass && self.definition == &NEW_CATEGORIES {
            evidence.extend(shown::unseen(window, target));
        }
        let value = compared.map(Ratio::value);
        Judged { subject: window.target(target).to_owned(), status, value, evidence, reason, bins: None }
    }
}

/// Counts below and above a range whose ends are points of the grid.
fn outside_of([low, high]: [f64; 2], points: &[f64], cells: &[u64]) -> Option<(u64, u64)> {
    let cell_of = |end: f64| points.binary_search_by(|point| point.total_cmp(&end)).ok().map(|at| 2 * at + 1);
    let (low, high) = (cell_of(low)?, cell_of(high)?);
    Some((cells.iter().take(low).sum(), cells.iter().skip(high + 1).sum()))
}

/// The least and the most that the share of the most frequent value can be, of counts by cell: a grid's points are values, its open
/// cells hold any number of them. Of categories the last cell holds the unseen ones, which `unseen` tells apart where it is given.
fn most_frequent(c: &Distribution<'_>, cells: &[u64], unseen: Option<&[u64]>) -> Option<[Ratio; 2]> {
    let n: u64 = cells.iter().sum();
    let most = |counts: &mut dyn Iterator<Item = u64>| counts.max().unwrap_or(0);
    let all = most(&mut cells.iter().copied());
    let (lower, upper) = match c.reference {
        TargetReference::Numeric { .. } => {
            let atoms = most(&mut cells.iter().enumerate().filter(|(cell, _)| Grid::is_atom(*cell)).map(|(_, n)| *n));
            // Any open cell holds a value at least once.
            (atoms.max(u64::from(n > 0)), all)
        }
        TargetReference::Categorical(_) => {
            let (last, known) = cells.split_last()?;
            let known = most(&mut known.iter().copied());
            match unseen {
                Some(each) => {
                    let most = known.max(most(&mut each.iter().copied()));
                    (most, most)
                }
                None => (known.max(u64::from(*last > 0)), known.max(*last)),
            }
        }
    };
    Some([Ratio::of_counts(lower, n)?, Ratio::of_counts(upper, n)?])
}

impl Check for ShareOfValues {
    fn definition(&self) -> &'static Definition {
        self.definition
    }

    fn reads(&self) -> Vec<Read> {
        let ends = self.range.map(|range| Read::Bins(Binning::Edges(range.to_vec())));
        self.of.iter().map(|subject| Read::Distribution(subject.target)).chain(ends).collect()
    }

    fn bounds(&self) -> Vec<Bound> {
        self.of.iter().map(|subject| subject.limit.bound()).collect()
    }

    fn floor(&self, at: usize) -> Option<Bound> {
        self.of.get(at)?.limit.floor()
    }

    fn is_change(&self) -> bool {
        self.of.iter().any(|subject| subject.limit.change().is_some())
    }

    fn judge(&self, window: &dyn WindowCounts, _: bool) -> Vec<Judged> {
        self.of.iter().map(|subject| self.judge_one(window, subject)).collect()
    }

    fn certain(&self, window: &dyn WindowCounts, _: &[Judged], alpha: f64) -> Vec<Option<Certain>> {
        self.of.iter().map(|subject| self.certain_of(window, subject, alpha)).collect()
    }

    fn simulation(&self) -> Simulation {
        Simulation::Unknown("how often a window breaks it depends on how far the limit is from the usual share")
    }
}
