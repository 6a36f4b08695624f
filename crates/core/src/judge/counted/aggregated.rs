//! Aggregates of measurements.

use crate::rule::counts::MeasuredValue;
use crate::rule::types::Aggregate;
use crate::window::measured::MeasuredCell;

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
