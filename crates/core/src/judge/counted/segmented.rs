//! One segment of a window as a window of its own: the counts that rules with `by` compare with the same segment of the reference.

use super::super::against::ReferenceCells;
use super::reference::beside;
use super::{CountedWindow, Within};
use crate::baseline::{Baseline, SegmentReference};
use crate::rule::counts::{Distribution, Segment, Segments, WindowCounts};
use crate::rule::types::Target;
use crate::stats::fairness::Confusion;
use crate::window::tally::SegmentCounts;

impl Within {
    /// The snapshot's values of a target in this segment.
    pub(super) fn reference(self, baseline: &Baseline, target: Target) -> Option<&SegmentReference> {
        baseline.segmented(self.by)?.target(target)?.get(self.at)
    }
}

impl CountedWindow<'_, '_> {
    /// The segments of a segmentation that have any pairs, or decisions for rules on selection, by name.
    pub(super) fn decided_segments(&self, by: usize, selection: bool) -> Segments<'_> {
        let window = self.window;
        let at = window.reads.segmentations.binary_search(&by).ok();
        let reference = match self.against {
            Some(_) => at.and_then(|at| self.counts_in_reference()?.segments(at, selection)),
            None => self.baseline().and_then(|baseline| {
                if selection { baseline.selection(by) } else { baseline.segments.get(by).and_then(Option::as_ref) }
            }),
        };
        let read = |c: &SegmentCounts| if selection { c.decisions() } else { c.confusion };
        let counted = at.and_then(|s| window.tally.segments.get(s));
        let named = (0_u32..).zip(counted.into_iter().flatten()).filter(|(_, c)| read(c).total() > 0);
        let mut each: Vec<Segment<'_>> = named
            .filter_map(|(code, counts)| {
                let name = window.names.segment(by, code)?;
                let reference: Option<Confusion> = reference.and_then(|r| r.get(name)).copied();
                Some(Segment { name, confusion: counts.confusion, predicted: counts.predicted, reference })
            })
            .collect();
        each.sort_unstable_by_key(|s| s.name);
        // Where both are counted, it is pairs that are counted without a segment.
        let unsegmented = at
            .filter(|s| window.reads.labelled.get(*s) != Some(&selection))
            .and_then(|s| window.tally.unsegmented.get(s))
            .copied()
            .unwrap_or(0);
        Segments { name: self.segmentation_name(by), each, unsegmented, reference }
    }

    /// Hands each segment that is compared to `each`, by name.
    pub(super) fn hand_segments(&self, by: usize, each: &mut dyn FnMut(&str, &dyn WindowCounts)) {
        let segmented = self.baseline().and_then(|baseline| baseline.segmented(by));
        for (at, name) in segmented.iter().flat_map(|known| &known.names).enumerate() {
            let within = Some(Within { by, at });
            each(name, &CountedWindow { within, ..*self });
        }
    }

    /// How many segments are compared beside this one, and itself.
    pub(super) fn segments_of(&self, within: Within) -> u64 {
        self.baseline().and_then(|baseline| baseline.segmented(within.by)).map_or(1, |known| known.names.len() as u64)
    }

    /// A target's counts in this segment beside those of the reference.
    pub(super) fn distribution_within(&self, within: Within, target: Target) -> Option<Distribution<'_>> {
        let (baseline, layout) = self.reference?;
        let entry = self.window.reads.by_segment.binary_search(&(within.by, target)).ok()?;
        let counted = self.cells(layout.by_segment.get(entry)?.get(within.at).copied());
        let n = counted.cells.iter().sum();
        beside(baseline, target, (n, counted), self.reference_within(within, target))
    }

    /// The counts of this segment in the snapshot or in what is in its place: of numbers over the grid of this baseline, of categories
    /// over those of the reference's own.
    fn reference_within(&self, within: Within, target: Target) -> Option<ReferenceCells<'_>> {
        let baseline = self.baseline()?;
        if self.against.is_none() {
            let known = within.reference(baseline, target)?;
            let n = known.cells.iter().sum();
            return Some(ReferenceCells { cells: &known.cells, n, missing: known.missing, invalid: 0 });
        }
        let counts = self.counts_in_reference()?;
        let is_same = matches!(target, Target::Categorical(_)) || counts.shares_grid(baseline, target);
        let name = baseline.segmented(within.by)?.names.get(within.at)?;
        let at = counts.baseline.segmented(within.by)?.names.binary_search(name).ok()?;
        let entry = self.window.reads.by_segment.binary_search(&(within.by, target)).ok()?;
        let block = counts.layout.by_segment.get(entry)?.get(at).filter(|_| is_same)?;
        Some(counts.counted(*block))
    }

    /// The counts of the reference in this segment, by the categories or the cells of this baseline.
    pub(super) fn reference_cells_within(&self, within: Within, target: Target) -> Option<Vec<u64>> {
        let found = self.reference_within(within, target)?;
        match (target, self.counts_in_reference()) {
            (Target::Categorical(feature), Some(counts)) => counts.by_category(self.baseline()?, feature, found.cells),
            _ => Some(found.cells.to_vec()),
        }
    }
}
