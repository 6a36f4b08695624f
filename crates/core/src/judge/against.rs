//! What rules compare with in place of the training snapshot (`versus`): counts of earlier windows, or of another version.

use std::collections::BTreeMap;

use crate::baseline::Baseline;
use crate::intake::names::EventNames;
use crate::rule::types::Target;
use crate::rule::versus::Versus;
use crate::stats::fairness::Confusion;
use crate::window::layout::{CellBlock, Layout, Reads};
use crate::window::tally::{SegmentCounts, Tally};

/// The reference of a window, or why there is none.
pub struct Against<'a> {
    pub versus: Versus,
    pub counts: Result<ReferenceCounts<'a>, String>,
}

/// The counts of a reference, by the baseline that they were located in.
pub struct ReferenceCounts<'a> {
    pub tally: &'a Tally,
    pub baseline: &'a Baseline,
    pub layout: &'a Layout,
    /// By segmentation of `Reads`, where they are decided: joined pairs of its segments, and decisions, each by name.
    segments: Vec<[BTreeMap<String, Confusion>; 2]>,
}

/// A target's counts in a reference.
pub(super) struct ReferenceCells<'c> {
    pub cells: &'c [u64],
    pub n: u64,
    pub missing: u64,
    pub invalid: u64,
}

impl<'a> ReferenceCounts<'a> {
    #[must_use]
    pub fn new(
        tally: &'a Tally,
        (baseline, layout): (&'a Baseline, &'a Layout),
        reads: &Reads,
        names: &EventNames,
    ) -> Self {
        let of_segments = |by: usize, s: usize, read: fn(&SegmentCounts) -> Confusion| {
            let list = tally.segments.get(s);
            let counted = (0_u32..).zip(list.into_iter().flatten());
            let each = counted.filter(|(_, counts)| read(counts).total() > 0);
            each.filter_map(|(code, counts)| Some((names.segment(by, code)?.to_owned(), read(counts)))).collect()
        };
        let of = |(s, by): (usize, &usize)| {
            [of_segments(*by, s, |counts| counts.confusion), of_segments(*by, s, SegmentCounts::decisions)]
        };
        let decided = reads.segmentations.iter().enumerate().filter(|_| reads.has_decided_segments());
        let segments = decided.map(of).collect();
        Self { tally, baseline, layout, segments }
    }

    /// The counts of a segmentation of `Reads`, by name.
    #[must_use]
    pub fn segments(&self, at: usize, selection: bool) -> Option<&BTreeMap<String, Confusion>> {
        let [pairs, decisions] = self.segments.get(at)?;
        Some(if selection { decisions } else { pairs })
    }

    /// The counts of a block.
    pub(super) fn cells(&self, block: CellBlock) -> &[u64] {
        block.slice(&self.tally.counts)
    }

    /// The counts of a block, with what is missing.
    pub(super) fn counted(&self, block: CellBlock) -> ReferenceCells<'_> {
        let (missing, invalid) = block.absent(&self.tally.counts);
        let cells = self.cells(block);
        ReferenceCells { cells, n: cells.iter().sum(), missing, invalid }
    }

    /// Whether its cells of a numeric target are those of this baseline.
    pub(super) fn shares_grid(&self, baseline: &Baseline, target: Target) -> bool {
        let [own, other] = [self.baseline, baseline].map(|of| of.numeric(target).map(|known| known.grid.points()));
        std::ptr::eq(self.baseline, baseline) || own == other
    }

    /// The counts of the target at a place of `Reads::targets`: of the predictions, or of the features stream where those have none.
    pub(super) fn distribution(&self, at: usize, target: Target) -> Option<ReferenceCells<'_>> {
        let found = self.counted(*self.layout.predictions.get(at)?);
        let streamed = self
            .layout
            .features
            .get(at)
            .filter(|_| !matches!(target, Target::Score | Target::Prediction) && self.tally.features > 0);
        Some(streamed.filter(|_| found.n + found.invalid == 0).map_or(found, |block| self.counted(*block)))
    }

    /// Counts of a categorical target by the categories of this baseline, the others last.
    pub(super) fn by_category(&self, baseline: &Baseline, feature: usize, cells: &[u64]) -> Option<Vec<u64>> {
        let (own, wanted) = (self.baseline.categorical.get(feature)?, baseline.categorical.get(feature)?);
        if own.names == wanted.names {
            return Some(cells.to_vec());
        }
        let count_of = |name: &String| own.names.binary_search(name).ok().and_then(|at| cells.get(at)).copied();
        let mut counts: Vec<u64> = wanted.names.iter().map(|name| count_of(name).unwrap_or(0)).collect();
        counts.push(cells.iter().sum::<u64>().saturating_sub(counts.iter().sum()));
        Some(counts)
    }
}

/// The first two of a block's counts, if it has them.
pub(super) fn two(cells: &[u64]) -> Option<[u64; 2]> {
    if let [no, yes, ..] = cells { Some([*no, *yes]) } else { None }
}

/// A block of decisions by label.
pub(super) fn confusion_of(cells: &[u64]) -> Confusion {
    match cells {
        [tn, fp, fn_, tp] => Confusion { tp: *tp, fn_: *fn_, fp: *fp, tn: *tn },
        _ => Confusion::default(),
    }
}
