//! Pairs of one of several classes by segment: of each segment what one class is against all others, or whether the class was right.

use std::collections::BTreeMap;

use crate::intake::names::EventNames;
use crate::stats::fairness::Confusion;
use crate::window::layout::Reads;
use crate::window::tally::Tally;

/// The segments of the segmentation at a place of `Reads::segmentations` that have any pair, by name. Of a class true positives, false negatives and
/// false positives are those against all others; without one a pair with the right class is a true positive, another a false negative.
pub(super) fn class_segments<'n>(
    tally: &Tally,
    reads: &Reads,
    (at, class): (usize, Option<usize>),
    names: &'n EventNames,
) -> Vec<(&'n str, Confusion)> {
    let Some(by) = reads.segmentations.get(at) else { return Vec::new() };
    let first = at * reads.lists();
    let lists = tally.segments.get(first..first + reads.lists()).unwrap_or_default();
    let codes = lists.iter().map(Vec::len).max().unwrap_or(0);
    let mut found: Vec<(&str, Confusion)> = (0..codes)
        .filter_map(|code| {
            let of_class =
                |list: &Vec<_>| list.get(code).map(|counts: &crate::window::tally::SegmentCounts| counts.confusion);
            let (right, wrong) =
                lists.iter().filter_map(of_class).fold((0, 0), |(tp, fn_), of| (tp + of.tp, fn_ + of.fn_));
            let all: u64 = right + wrong;
            let counts = match class {
                None => Confusion { tp: right, fn_: wrong, ..Confusion::default() },
                Some(class) => {
                    let own = lists.get(class).and_then(of_class).unwrap_or_default();
                    Confusion { tn: all.saturating_sub(own.tp + own.fn_ + own.fp), ..own }
                }
            };
            let name = names.segment(*by, u32::try_from(code).ok()?)?;
            (all > 0).then_some((name, counts))
        })
        .collect();
    found.sort_unstable_by_key(|(name, _)| *name);
    found
}

/// The same by name, of each class and then without one, for each segmentation; none where classes are not counted by segment.
pub(super) fn by_name(tally: &Tally, reads: &Reads, names: &EventNames) -> Vec<Vec<BTreeMap<String, Confusion>>> {
    let of = |at: usize, class: Option<usize>| {
        let found = class_segments(tally, reads, (at, class), names);
        found.into_iter().map(|(name, counts)| (name.to_owned(), counts)).collect()
    };
    let each = |at: usize| (0..reads.lists()).map(Some).chain([None]).map(|class| of(at, class)).collect();
    (0..if reads.by_class { reads.segmentations.len() } else { 0 }).map(each).collect()
}
