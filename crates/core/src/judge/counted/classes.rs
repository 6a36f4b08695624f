//! Predictions and labels of one of several classes: how often each stands in the window and in its reference, and the confusion matrix.

use super::CountedWindow;
use crate::baseline::Baseline;
use crate::rule::counts::{Cells, ClassCounts, Distribution, TargetReference};
use crate::rule::types::Target;
use crate::window::layout::{CellBlock, Layout};

impl CountedWindow<'_, '_> {
    /// The labels of pairs: numbers, one of several classes, or 0 and 1.
    pub(super) fn label_distribution<'c>(
        &'c self,
        baseline: &'c Baseline,
        layout: &Layout,
    ) -> Option<Distribution<'c>> {
        match &baseline.classes {
            _ if self.window.policy.is_regression() => self.number_labels_of(baseline, layout),
            Some(_) => self.class_distribution(baseline, Target::Label, layout.labels?),
            None => self.labels_of(baseline, layout),
        }
    }

    /// Classes in the window beside those in its reference.
    pub(super) fn class_distribution<'c>(
        &'c self,
        baseline: &'c Baseline,
        target: Target,
        block: CellBlock,
    ) -> Option<Distribution<'c>> {
        let known = baseline.classes.as_ref()?;
        let Cells { cells, missing, invalid } = self.cells(Some(block));
        let found = self.classes_in_reference(baseline, target);
        let (reference, reference_missing, reference_invalid) = match found {
            Some(found) => found,
            // Of a reference without counts nothing is known; a snapshot without the column gives no reference.
            None if self.against.is_some() => (Vec::new(), 0, 0),
            None => return None,
        };
        Some(Distribution {
            cells,
            n: cells.iter().sum(),
            missing,
            invalid,
            reference_n: reference.iter().sum(),
            reference_missing,
            reference_invalid,
            reference: TargetReference::Categorical(&known.names),
        })
    }

    /// Counts of the classes in the snapshot, or in the reference in its place, with none of an unseen one; then how many values were missing
    /// and invalid.
    pub(super) fn classes_in_reference(&self, baseline: &Baseline, target: Target) -> Option<(Vec<u64>, u64, u64)> {
        if self.against.is_none() {
            let known = baseline.classes.as_ref()?;
            let column = if target == Target::Label { &known.labels } else { &known.predictions };
            let column = column.as_ref()?;
            return Some((column.counts.iter().copied().chain([0]).collect(), column.missing, 0));
        }
        let counts = self.counts_in_reference()?;
        let block = match target {
            Target::Label => counts.layout.labels?,
            _ => *counts.layout.predictions.get(self.target_at(target)?)?,
        };
        let found = counts.counted(block);
        Some((found.cells.to_vec(), found.missing, found.invalid))
    }

    /// The confusion matrices of the window and of its reference.
    pub(super) fn class_counts(&self) -> ClassCounts<'_> {
        let now = self.cells(self.layout().and_then(|layout| layout.classes)).cells;
        let reference = if self.against.is_none() {
            self.baseline().and_then(|baseline| baseline.classes.as_ref()?.confusion.as_deref())
        } else {
            self.counts_in_reference().and_then(|counts| Some(counts.cells(counts.layout.classes?)))
        };
        ClassCounts { classes: &self.window.policy.classes, now, reference }
    }
}
