//! Values of predictions by segment, for rules with `by`: each segment that a baseline knows has counts of its own.

use super::job::Share;
use super::segment_lookup::SegmentLookup;
use super::split::Which;
use crate::event::PredictionBatch;
use crate::window::layout::{Layout, Reads};
use crate::window::tally::OpenTally;

/// Adds one to the count of each row's cell in the row's segment.
#[allow(
    clippy::indexing_slicing,
    reason = "which lists located rows, rows are rows of the batch, and a policy's segmentations are columns"
)]
pub(super) fn count(
    tally: &mut OpenTally,
    (reads, layout): (&Reads, &Layout),
    (share, group, cells): (&Share, usize, &[Vec<u32>]),
    (lookup, batch): (&SegmentLookup, &PredictionBatch),
    (rows, which): (&[(u32, u32)], Which<'_>),
) {
    for ((by, target), blocks) in reads.by_segment.iter().zip(&layout.by_segment) {
        let place =
            reads.targets.binary_search(target).ok().and_then(|at| share.places[group].get(at).copied().flatten());
        let (Some(cells), Some(places)) = (place.and_then(|at| cells.get(at)), lookup.of(*by)) else { continue };
        let codes = &batch.segments[*by];
        which.each(|k| {
            let code = codes[rows[k].0 as usize];
            let block = places.get(code as usize).and_then(|place| blocks.get(*place as usize));
            if let (Some(block), Some(cell)) = (block, cells.get(k)) {
                tally.add(block.offset + *cell as usize);
            }
        });
    }
}
