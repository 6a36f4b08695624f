//! Aggregates of measurements against limits.

use super::*;
use crate::rule::measured::judged;
use crate::rule::types::{Bound, Side, Status};
use crate::stats::limit::Limit;

fn of(measurements: &[(f64, u64)], aggregate: Aggregate, bound: Bound) -> (Status, Option<String>) {
    let mut cell = MeasuredCell::default();
    measurements.iter().for_each(|&(value, n)| cell.count(value, n));
    judged(&aggregated::aggregated("cost", &cell, aggregate), bound)
}

#[test]
fn a_limit_passes_on_its_side_and_warns_before_it() {
    use Status::{Block, Pass, Warn};
    for (side, limit, warn, statuses) in [
        (Side::Lt, 0.5, 0.4, [Pass, Warn, Warn, Block, Block]),
        (Side::Lte, 0.5, 0.4, [Pass, Pass, Warn, Warn, Block]),
        (Side::Gt, 0.4, 0.5, [Block, Block, Warn, Warn, Pass]),
        (Side::Gte, 0.4, 0.5, [Block, Warn, Warn, Pass, Pass]),
    ] {
        for (value, status) in [0.3, 0.4, 0.45, 0.5, 0.6].into_iter().zip(statuses) {
            for aggregate in Aggregate::ALL {
                let bound = Bound { side, limit: Limit::of(limit).unwrap(), warn: Limit::of(warn) };
                assert_eq!(of(&[(value, 1)], aggregate, bound).0, status, "{value} {bound:?} {aggregate:?}");
            }
        }
    }
    let warn = |side| Limit::of(if side == Side::Lt { -1.0 } else { 1.0 });
    let bound = |side| Bound { side, limit: Limit::ZERO, warn: warn(side) };
    assert_eq!(of(&[(-0.5, 1)], Aggregate::Mean, bound(Side::Lt)).1.as_deref(), Some("at or above warn -1"));
    assert_eq!(of(&[(0.5, 1)], Aggregate::Max, bound(Side::Gte)).1.as_deref(), Some("below warn 1"));
}

#[test]
fn each_aggregate_judges_its_own_value() {
    let below = Bound { side: Side::Lt, limit: Limit::whole(2), warn: None };
    let measurements = [(1.0, 3), (4.0, 1)];
    // The mean is 7 / 4, the sum 7.
    for (aggregate, status) in [
        (Aggregate::Mean, Status::Pass),
        (Aggregate::Min, Status::Pass),
        (Aggregate::Max, Status::Block),
        (Aggregate::Sum, Status::Block),
    ] {
        assert_eq!(of(&measurements, aggregate, below).0, status, "{aggregate:?}");
    }
    let exact = Bound { side: Side::Lte, limit: Limit::of(0.3).unwrap(), warn: None };
    assert_eq!(of(&[(0.1, 3)], Aggregate::Sum, exact).0, Status::Pass, "0.1 three times is 0.3, not above it");
}
