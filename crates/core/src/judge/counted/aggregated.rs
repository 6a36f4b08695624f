//! Aggregates of measurements.

use crate::rule::counts::MeasuredValue;
use crate::rule::types::Aggregate;
use crate::stats::weighted::Weighted;
use crate::window::layout::Reads;
use crate::window::measured::MeasuredCell;
use crate::window::tally::Tally;

/// The aggregate of a metric's measurements; means and sums also as the ratios of integers that they are.
pub(super) fn aggregated<'n>(name: &'n str, cell: &MeasuredCell, aggregate: Aggregate) -> MeasuredValue<'n> {
    let (value, exact) = match aggregate {
        Aggregate::Mean => (cell.mean(), cell.exact_mean()),
        Aggregate::Sum => (cell.sum(), cell.exact_sum()),
        Aggregate::Max => (cell.max(), None),
        Aggregate::Min => (cell.min(), None),
    };
    MeasuredValue { name, n: cell.n, value, exact }
}

/// The measurements of one of the policy's metrics in a tally, where any were counted.
pub(super) fn measured(tally: &Tally, reads: &Reads, of: usize) -> MeasuredCell {
    let at = reads.measured.binary_search(&of).ok();
    at.and_then(|at| tally.measured.get(at)).copied().unwrap_or_default()
}

/// How far they spread; `None` where that is not counted.
pub(super) fn spread(tally: &Tally, reads: &Reads, of: usize) -> Option<Weighted> {
    let first = reads.weighted_at(of)?;
    let cell = |at: usize| tally.measured.get(first + at).map(MeasuredCell::fixed_sum);
    Some(Weighted::of_cells(|at| cell(at).unwrap_or_default()))
}
