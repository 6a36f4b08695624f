//! The references of a window: of the training snapshot, or of what is in its place (`versus`).

use std::sync::LazyLock;

use super::super::against::{ReferenceCells, ReferenceCounts, confusion_of, two};
use super::CountedWindow;
use crate::baseline::{Baseline, Decided};
use crate::rule::counts::{Cells, Distribution, TargetReference};
use crate::rule::types::Target;
use crate::stats::fairness::Confusion;
use crate::stats::regression::Errors;
use crate::stats::regression::spread::Spread;
use crate::window::layout::Layout;
use crate::window::measured::MeasuredCell;
use crate::window::tally::Tally;

/// A target's counts beside those of its reference; of a reference without counts nothing is known.
pub(super) fn beside<'c>(
    baseline: &'c Baseline,
    target: Target,
    (n, counted): (u64, Cells<'c>),
    found: Option<ReferenceCells<'c>>,
) -> Option<Distribution<'c>> {
    let Cells { cells, missing, invalid } = counted;
    let found = found.unwrap_or(ReferenceCells { cells: &[], n: 0, missing: 0, invalid: 0 });
    let reference = match target {
        Target::Categorical(i) => TargetReference::Categorical(&baseline.categorical.get(i)?.names),
        numeric => TargetReference::Numeric { cells: found.cells, discrete: baseline.numeric(numeric)?.discrete },
    };
    Some(Distribution {
        cells,
        n,
        missing,
        invalid,
        reference_n: found.n,
        reference_missing: found.missing,
        reference_invalid: found.invalid,
        reference,
    })
}

impl CountedWindow<'_, '_> {
    /// A target's counts beside those of a reference that is not the snapshot.
    pub(super) fn beside_reference<'c>(
        &'c self,
        baseline: &'c Baseline,
        (at, target): (usize, Target),
        (n, counted): (u64, Cells<'c>),
    ) -> Option<Distribution<'c>> {
        let found = match target {
            Target::Categorical(_) => self.counts_in_reference().and_then(|counts| counts.distribution(at, target)),
            _ => self.cells_in_reference(baseline, target),
        };
        beside(baseline, target, (n, counted), found)
    }

    /// Labelled decisions, and all of them, of the reference; `snapshot` has those of the training snapshot.
    pub(super) fn decided_in_reference(&self, snapshot: Decided) -> (Option<Confusion>, Option<[u64; 2]>) {
        if self.against.is_none() {
            return (snapshot.labelled, snapshot.decisions);
        }
        let counts = self.counts_in_reference();
        let labelled = counts.and_then(|counts| Some(confusion_of(counts.cells(counts.layout.confusion?))));
        (labelled, counts.and_then(|counts| two(counts.cells(counts.layout.decisions?))))
    }

    /// The counts of a reference that is not the snapshot.
    pub(super) fn counts_in_reference(&self) -> Option<&ReferenceCounts<'_>> {
        self.against.and_then(|(_, counts, _)| counts)
    }

    /// The cells of a numeric target in that reference, where they are those of this baseline.
    pub(super) fn cells_in_reference(&self, baseline: &Baseline, target: Target) -> Option<ReferenceCells<'_>> {
        let counts = self.counts_in_reference().filter(|counts| counts.shares_grid(baseline, target))?;
        if target == Target::Label {
            return Some(counts.counted(counts.layout.labels?));
        }
        counts.distribution(self.target_at(target)?, target)
    }

    /// The counts of a categorical target there, by this baseline's categories.
    pub(super) fn categories_in_reference(&self, baseline: &Baseline, feature: usize) -> Option<Vec<u64>> {
        let target = Target::Categorical(feature);
        let counts = self.counts_in_reference()?;
        let found = counts.distribution(self.target_at(target)?, target)?;
        counts.by_category(baseline, feature, found.cells)
    }

    /// Labels 0 and 1 in the snapshot, or in the reference in its place.
    pub(super) fn labels_in_reference(&self, baseline: &Baseline) -> Option<[u64; 2]> {
        if self.against.is_none() {
            return baseline.beside.added.labels.flatten();
        }
        let counts = self.counts_in_reference()?;
        let cells = counts.cells(counts.layout.labels?);
        if self.window.policy.pairs_numbers() { Some([0, cells.iter().sum()]) } else { two(cells) }
    }

    /// The sum and the ends of a target's values: of the predictions, or of the features stream where those have none.
    pub(super) fn summed(&self, tally: &Tally, target: Target) -> Option<MeasuredCell> {
        let reads = self.window.reads;
        let [own, streamed] = reads.sums_at(reads.sums.binary_search(&target).ok()?);
        let cell = |at: usize| tally.measured.get(at).filter(|cell| cell.n > 0);
        cell(own).or_else(|| cell(streamed)).copied()
    }

    /// The sums of errors of pairs of numbers; `None` where no rule of the group reads them.
    pub(super) fn errors_of(&self, tally: &Tally) -> Option<Errors> {
        let reads = self.window.reads;
        let sum = |at: usize| tally.measured.get(at).map(MeasuredCell::fixed_sum).unwrap_or_default();
        let spread = |first: usize| Spread::of_cells(|at| sum(first + at));
        reads.numbers.then(|| Errors {
            sums: std::array::from_fn(|term| sum(reads.errors_at() + term)),
            spread: reads.spread_at().map(spread).unwrap_or_default(),
        })
    }

    /// The labels of pairs that are numbers, by the cells of the snapshot's labels.
    pub(super) fn number_labels_of<'c>(&'c self, baseline: &'c Baseline, layout: &Layout) -> Option<Distribution<'c>> {
        let known = baseline.numeric(Target::Label)?;
        let cells = self.cells(Some(layout.labels?));
        let n = cells.cells.iter().sum();
        let found = if self.against.is_some() {
            self.cells_in_reference(baseline, Target::Label)
        } else {
            Some(ReferenceCells { cells: &known.cells, n: known.count, missing: known.missing, invalid: 0 })
        };
        beside(baseline, Target::Label, (n, cells), found)
    }

    /// The labels of pairs, as the categories 0 and 1.
    pub(super) fn labels_of<'c>(&'c self, baseline: &Baseline, layout: &Layout) -> Option<Distribution<'c>> {
        static NAMES: LazyLock<[String; 2]> = LazyLock::new(|| ["0".to_owned(), "1".to_owned()]);
        let [no, yes] = self.labels_in_reference(baseline)?;
        let cells = self.cells(Some(layout.labels?)).cells;
        Some(Distribution {
            cells,
            n: cells.iter().sum(),
            missing: 0,
            invalid: 0,
            reference_n: no + yes,
            reference_missing: 0,
            reference_invalid: 0,
            reference: TargetReference::Categorical(&*NAMES),
        })
    }
}
