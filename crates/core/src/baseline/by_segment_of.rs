//! Counts a snapshot's values by segment.

use std::cmp::Reverse;

use super::by_segment::{MOST_SEGMENTS, SegmentReference, Segmented, SegmentedTarget};
use super::columns::{Coded, SnapshotColumns};
use super::references::{CategoricalReference, NumericReference};
use crate::policy::{Policy, Target};
use crate::rule::compared_by_segment;
use crate::stats::grid;
use crate::stats::wasserstein;

/// What the references of segments are counted over.
pub(super) struct Whole<'b> {
    pub numeric: &'b [NumericReference],
    pub categorical: &'b [CategoricalReference],
    pub score: Option<&'b NumericReference>,
}

/// The segmentations and the targets that a policy's rules compare by segment, in order.
pub(super) fn segmented(policy: &Policy, columns: &SnapshotColumns, whole: &Whole<'_>) -> Vec<Segmented> {
    let asked = compared_by_segment(policy.rules().map(|rule| &rule.kind));
    let pairs = asked.chunk_by(|one, other| one.0 == other.0);
    let of = |pairs: &[(usize, Target)]| {
        let by = pairs.first().map_or(usize::MAX, |pair| pair.0);
        let none = Coded::default();
        let column = columns.segments.get(by).and_then(Option::as_deref).unwrap_or(&none);
        let (names, places, left_out) = largest(column);
        let segment_of = |row: usize| {
            let code = column.codes.get(row).copied().flatten()?;
            places.get(code as usize).copied().flatten()
        };
        let target = |(_, target): &(usize, Target)| SegmentedTarget {
            target: *target,
            segments: references(*target, columns, whole, (names.len(), &segment_of)),
        };
        Segmented { by, targets: pairs.iter().map(target).collect(), names, left_out }
    };
    pairs.map(of).collect()
}

/// The names of the largest segments, sorted; by code the place among them; and how many others there are.
fn largest(column: &Coded) -> (Vec<String>, Vec<Option<usize>>, u64) {
    let mut rows = vec![0_u64; column.names.len()];
    for code in column.codes.iter().flatten() {
        if let Some(n) = rows.get_mut(*code as usize) {
            *n += 1;
        }
    }
    let mut found: Vec<(u64, &String)> = rows.iter().copied().zip(&column.names).filter(|(n, _)| *n > 0).collect();
    found.sort_unstable_by_key(|(n, name)| (Reverse(*n), *name));
    let left_out = found.len().saturating_sub(MOST_SEGMENTS) as u64;
    found.truncate(MOST_SEGMENTS);
    let mut names: Vec<String> = found.into_iter().map(|(_, name)| name.clone()).collect();
    names.sort_unstable();
    let places = column.names.iter().map(|name| names.binary_search(name).ok()).collect();
    (names, places, left_out)
}

fn references(
    target: Target,
    columns: &SnapshotColumns,
    whole: &Whole<'_>,
    (segments, segment_of): (usize, &dyn Fn(usize) -> Option<usize>),
) -> Vec<SegmentReference> {
    let (values, reference) = match target {
        Target::Categorical(i) => {
            let known = columns.categorical.get(i).zip(whole.categorical.get(i));
            return known.map_or_else(Vec::new, |(column, known)| by_category(column, known, (segments, segment_of)));
        }
        Target::Numeric(i) => (columns.numeric.get(i), whole.numeric.get(i)),
        Target::Score => (columns.score.as_ref(), whole.score),
        Target::Label | Target::Prediction => (None, None),
    };
    let (Some(values), Some(reference)) = (values, reference) else { return Vec::new() };
    let mut by_segment: Vec<Vec<f64>> = vec![Vec::new(); segments];
    for (row, value) in values.iter().enumerate() {
        if let Some(own) = segment_of(row).and_then(|at| by_segment.get_mut(at)) {
            own.push(*value);
        }
    }
    let of = |values: Vec<f64>| {
        let sorted = grid::sorted(&values);
        SegmentReference {
            cells: reference.grid.count_sorted(&sorted),
            missing: (values.len() - sorted.len()) as u64,
            deviation: wasserstein::deviation(&sorted),
        }
    };
    by_segment.into_iter().map(of).collect()
}

fn by_category(
    column: &Coded,
    known: &CategoricalReference,
    (segments, segment_of): (usize, &dyn Fn(usize) -> Option<usize>),
) -> Vec<SegmentReference> {
    let empty = || SegmentReference { cells: vec![0; known.names.len() + 1], ..SegmentReference::default() };
    let mut found: Vec<SegmentReference> = (0..segments).map(|_| empty()).collect();
    let places: Vec<Option<usize>> = column.names.iter().map(|name| known.names.binary_search(name).ok()).collect();
    for (row, code) in column.codes.iter().enumerate() {
        let Some(own) = segment_of(row).and_then(|at| found.get_mut(at)) else { continue };
        match code.and_then(|code| places.get(code as usize).copied().flatten()) {
            Some(at) => own.cells.get_mut(at).into_iter().for_each(|n| *n += 1),
            None => own.missing += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coded(values: &[&str]) -> Coded {
        let mut names: Vec<String> = values.iter().map(|&v| v.to_owned()).filter(|v| !v.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        let code = |v: &&str| names.iter().position(|name| name == v).and_then(|at| u32::try_from(at).ok());
        Coded { codes: values.iter().map(code).collect(), names }
    }

    #[test]
    fn the_largest_segments_are_kept_by_name() {
        let (names, places, left_out) = largest(&coded(&["b", "a", "b", "", "c"]));
        assert_eq!(
            (names, places, left_out),
            (vec!["a".into(), "b".into(), "c".into()], vec![Some(0), Some(1), Some(2)], 0)
        );
        let many: Vec<String> = (0..MOST_SEGMENTS + 7).map(|i| format!("s{i:03}")).collect();
        let mut rows: Vec<&str> = many.iter().map(String::as_str).collect();
        rows.push("s106");
        let (names, places, left_out) = largest(&coded(&rows));
        assert_eq!((names.len(), left_out, names.contains(&"s106".to_owned())), (MOST_SEGMENTS, 7, true));
        assert_eq!((places[99], places[98], places[106]), (None, Some(98), Some(99)), "of equals the first by name");
    }

    #[test]
    fn categories_are_counted_by_segment() {
        let (column, segments) = (coded(&["x", "y", "x", "", "y"]), ["b", "a", "b", "b", ""]);
        let known = super::super::references::categorical_reference(&column);
        let segment_of = |row: usize| ["a", "b"].iter().position(|name| *name == segments[row]);
        let found = by_category(&column, &known, (2, &segment_of));
        let counts: Vec<_> = found.into_iter().map(|r| (r.cells, r.missing)).collect();
        assert_eq!(counts, [(vec![0, 1, 0], 0), (vec![2, 0, 0], 1)]);
    }
}
