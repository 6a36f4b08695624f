//! Labelled predictions of several classes, and errors of predicted numbers, by segment: in the window and in its reference.

use super::super::segment_outcomes::{Named, class_segments, error_segments};
use super::{CountedWindow, JudgedWindow};
use crate::baseline::SegmentOutcomes;
use crate::intake::names::EventNames;
use crate::rule::counts::SegmentsOf;
use crate::stats::multiclass::ByClass;
use crate::stats::regression::Errors;
use crate::window::layout::Reads;
use crate::window::tally::Tally;

/// What a tally has of the segments of a segmentation.
type Counted<T> = for<'n> fn(&Tally, &Reads, usize, &'n EventNames) -> Named<'n, T>;
/// What the snapshot has of them.
type InSnapshot<T> = for<'b> fn(&'b SegmentOutcomes, usize) -> Option<Named<'b, T>>;

impl CountedWindow<'_, '_> {
    /// The segments of a segmentation with the counts of each class.
    pub(super) fn segments_of_classes(&self, by: usize) -> SegmentsOf<'_, ByClass> {
        self.outcomes(by, class_segments, SegmentOutcomes::classes)
    }

    /// The segments of a segmentation with the errors of their labelled predictions.
    pub(super) fn segments_of_errors(&self, by: usize) -> SegmentsOf<'_, Errors> {
        self.outcomes(by, error_segments, SegmentOutcomes::errors)
    }

    fn outcomes<T>(&self, by: usize, counted: Counted<T>, in_snapshot: InSnapshot<T>) -> SegmentsOf<'_, T> {
        let JudgedWindow { reads, tally, names, .. } = self.window;
        let Ok(at) = reads.segmentations.binary_search(&by) else {
            return SegmentsOf::default();
        };
        let reference = if self.against.is_none() {
            self.baseline().and_then(|baseline| in_snapshot(baseline.outcomes.as_ref()?, by))
        } else {
            self.counts_in_reference().map(|counts| counted(counts.tally, reads, at, names))
        };
        let unsegmented = tally.unsegmented.get(at * reads.lists()).copied().unwrap_or(0);
        SegmentsOf { each: counted(tally, reads, at, names), reference, unsegmented }
    }
}
