//! Where the values of a column lie: the cell of each row's value, of a version's grid or categories, then one cell for
//! missing and one for invalid values.

use std::ops::Range;

use super::rows::absent;
use super::versions::BinLookup;
use crate::baseline::Baseline;
use crate::event::{FeatureColumns, PredictionBatch, code, numeric};
use crate::policy::Target;

/// The columns that rows are counted from.
pub(super) struct Columns<'a> {
    pub ts: &'a [i64],
    pub features: &'a FeatureColumns,
    /// `None` for the features stream.
    pub predictions: Option<&'a PredictionBatch>,
}

/// Fills `out` with the cell of each row's value of one target; returns how many values were invalid. `buffer` is for
/// values of rows that do not follow each other.
#[allow(clippy::indexing_slicing, reason = "a schema's columns are there, with one entry a row")]
pub(super) fn locate(
    target: Target,
    (baseline, bins): (&Baseline, &BinLookup),
    columns: &Columns<'_>,
    rows: &[(u32, u32)],
    buffer: &mut Vec<f64>,
    out: &mut Vec<u32>,
) -> u64 {
    out.clear();
    let (values, reference) = match target {
        Target::Categorical(i) => {
            let (Some(reference), Some(bins)) = (baseline.categorical.get(i), bins.get(i)) else { return 0 };
            return categories(&columns.features.categorical[i], bins, reference.names.len(), rows, out);
        }
        Target::Numeric(i) => (Some(&columns.features.numeric[i]), baseline.numeric.get(i)),
        Target::Score => (columns.predictions.map(|p| &p.score), baseline.score.as_ref()),
        Target::Prediction => {
            let classes = baseline.classes.as_ref().map_or(0, |known| known.names.len());
            let scores = columns.predictions.map(|p| p.score.as_slice()).filter(|_| classes > 0);
            return if let Some(scores) = scores { places(scores, classes, rows, out) } else { none(rows, out) };
        }
        // Labels come with pairs.
        Target::Label => (None, None),
    };
    let (Some(values), Some(reference)) = (values, reference) else {
        return none(rows, out);
    };
    let values = if let Some(run) = run(rows) {
        &values[run]
    } else {
        buffer.clear();
        buffer.extend(rows.iter().map(|&(row, _)| values[row as usize]));
        buffer
    };
    reference.grid.locate_all(values, out);
    let mut invalid = 0;
    if values.iter().any(|x| x.is_nan()) {
        let cells = reference.grid.cells();
        for (&x, cell) in values.iter().zip(out).filter(|(x, _)| x.is_nan()) {
            *cell = narrow(absent(cells, x));
            invalid += u64::from(numeric::is_invalid(x));
        }
    }
    invalid
}

fn none(rows: &[(u32, u32)], out: &mut Vec<u32>) -> u64 {
    out.resize(rows.len(), 0);
    0
}

/// Classes as categories, none of which is unseen: a prediction that names no class of the policy is invalid.
#[allow(clippy::indexing_slicing, reason = "rows are rows of the column")]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among at most 100 classes")]
fn places(scores: &[f64], classes: usize, rows: &[(u32, u32)], out: &mut Vec<u32>) -> u64 {
    let unseen = narrow(classes);
    out.extend(rows.iter().map(|&(row, _)| match scores[row as usize] {
        place if !place.is_nan() => (place as u32).min(unseen),
        place => unseen + 1 + u32::from(numeric::is_invalid(place)),
    }));
    // Those that are invalid were counted when they were admitted, as decisions are.
    0
}

#[allow(clippy::indexing_slicing, reason = "rows are rows of the column")]
fn categories(codes: &[u32], bins: &[u32], names: usize, rows: &[(u32, u32)], out: &mut Vec<u32>) -> u64 {
    let unseen = narrow(names);
    let mut invalid = 0;
    let mut cell = |c: u32| match c {
        code::MISSING => unseen + 1,
        code::INVALID => {
            invalid += 1;
            unseen + 2
        }
        c => bins.get(c as usize).copied().unwrap_or(unseen),
    };
    match run(rows) {
        Some(run) => out.extend(codes[run].iter().map(|&c| cell(c))),
        None => out.extend(rows.iter().map(|&(row, _)| cell(codes[row as usize]))),
    }
    invalid
}

/// The rows as a range, where they follow each other; they are in the batch's order.
fn run(rows: &[(u32, u32)]) -> Option<Range<usize>> {
    let (first, last) = (rows.first()?.0 as usize, rows.last()?.0 as usize);
    (last - first + 1 == rows.len()).then_some(first..last + 1)
}

fn narrow(cell: usize) -> u32 {
    u32::try_from(cell).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_run_where_none_is_left_out() {
        let of = |rows: &[u32]| run(&rows.iter().map(|&row| (row, 1)).collect::<Vec<_>>());
        assert_eq!([of(&[]), of(&[7]), of(&[7, 8, 9])], [None, Some(7..8), Some(7..10)]);
        assert_eq!([of(&[7, 9]), of(&[0, 1, 3])], [None, None]);
    }

    #[test]
    fn categories_of_a_run_and_of_scattered_rows_are_those_of_their_rows() {
        let (codes, bins) = ([0, 1, code::MISSING, code::INVALID, 2, 0], [1, 0]);
        let located = |rows: &[u32]| {
            let (mut out, rows) = (Vec::new(), rows.iter().map(|&row| (row, 1)).collect::<Vec<_>>());
            let invalid = categories(&codes, &bins, 2, &rows, &mut out);
            (out, invalid)
        };
        assert_eq!(located(&[1, 2, 3, 4]), (vec![0, 3, 4, 2], 1));
        assert_eq!(located(&[0, 2, 5]), (vec![1, 3, 1], 0));
    }
}
