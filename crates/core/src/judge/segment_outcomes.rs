//! Labelled predictions by segment of models that do not decide between two classes: of several classes how often each was right and wrong, of
//! numbers their errors.

use crate::intake::names::EventNames;
use crate::stats::multiclass::{ByClass, OneClass};
use crate::stats::regression::Errors;
use crate::window::layout::Reads;
use crate::window::tally::{SegmentCounts, Tally};

/// Segments with what was counted of each, by name.
pub(super) type Named<'n, T> = Vec<(&'n str, T)>;

/// The counts of each class in the segments of the segmentation at a place of `Reads::segmentations`.
pub(super) fn class_segments<'n>(tally: &Tally, reads: &Reads, at: usize, names: &'n EventNames) -> Named<'n, ByClass> {
    let one = |counts: SegmentCounts| {
        let of = counts.confusion;
        OneClass { tp: of.tp, fn_: of.fn_, fp: of.fp }
    };
    let of = |lists: &mut dyn Iterator<Item = SegmentCounts>| ByClass(lists.map(one).collect());
    segments(tally, reads, at, names, of, |counts| counts.n() > 0)
}

/// The errors in the segments of the segmentation at a place of `Reads::segmentations`.
pub(super) fn error_segments<'n>(tally: &Tally, reads: &Reads, at: usize, names: &'n EventNames) -> Named<'n, Errors> {
    let of = |lists: &mut dyn Iterator<Item = SegmentCounts>| {
        Errors::of_counts(&lists.flat_map(SegmentCounts::values).collect::<Vec<u64>>())
    };
    segments(tally, reads, at, names, of, |errors| errors.n() > 0)
}

/// What `of` makes of the lists of each segment, where anything was counted.
fn segments<'n, T>(
    tally: &Tally,
    reads: &Reads,
    at: usize,
    names: &'n EventNames,
    of: impl Fn(&mut dyn Iterator<Item = SegmentCounts>) -> T,
    is_any: impl Fn(&T) -> bool,
) -> Named<'n, T> {
    let Some(by) = reads.segmentations.get(at) else { return Vec::new() };
    let first = at * reads.lists();
    let lists = tally.segments.get(first..first + reads.lists()).unwrap_or_default();
    let codes = lists.iter().map(Vec::len).max().unwrap_or(0);
    let counted = |code: usize| of(&mut lists.iter().map(|list| list.get(code).copied().unwrap_or_default()));
    let mut found: Named<'n, T> = (0..codes)
        .map(|code| (code, counted(code)))
        .filter(|(_, counts)| is_any(counts))
        .filter_map(|(code, counts)| Some((names.segment(*by, u32::try_from(code).ok()?)?, counts)))
        .collect();
    found.sort_unstable_by_key(|(name, _)| *name);
    found
}
