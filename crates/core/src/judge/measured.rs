//! Rules on what other systems measured: one aggregate of a window's measurements against a limit. They need neither a
//! baseline nor `min_samples`: one measurement is a measurement.

use std::cmp::Ordering;

use super::rules::{Judged, Window, limit};
use super::verdict::Status;
use crate::policy::{Aggregate, Bound, Side};
use crate::stats::limit::{Amount, Limit};
use crate::window::measured::Measured;

pub(super) fn judge(w: &Window<'_>, of: usize, aggregate: Aggregate, bound: Bound) -> Judged {
    let subject = w.policy.measured.get(of).cloned().unwrap_or_default();
    let at = w.reads.measured.binary_search(&of).ok();
    let cell = at.and_then(|at| w.tally.measured.get(at)).copied().unwrap_or_default();
    let value = value(&cell, aggregate);
    let (status, reason) = match value {
        None => (Status::Insufficient, Some("nothing was measured".to_owned())),
        Some(value) => status(bound, |limit| compare(&cell, aggregate, value, limit)),
    };
    let evidence = vec![
        ("limit", limit(bound.side.name(), bound.limit)),
        ("method", aggregate.name().into()),
        ("n", cell.n.into()),
    ];
    Judged { subject, status, value, evidence, reason, bins: None }
}

fn value(cell: &Measured, aggregate: Aggregate) -> Option<f64> {
    match aggregate {
        Aggregate::Mean => cell.mean(),
        Aggregate::Max => cell.max(),
        Aggregate::Min => cell.min(),
        Aggregate::Sum => cell.sum(),
    }
}

/// Means and sums are compared as the integers they are.
fn compare(cell: &Measured, aggregate: Aggregate, value: f64, limit: Limit) -> Ordering {
    let exact = match aggregate {
        Aggregate::Mean => cell.exact_mean(),
        Aggregate::Sum => cell.exact_sum(),
        Aggregate::Max | Aggregate::Min => None,
    };
    limit.order(exact.map_or(Amount::Float(value), Amount::Exact))
}

fn status(bound: Bound, compare: impl Fn(Limit) -> Ordering) -> (Status, Option<String>) {
    if !bound.side.passes(compare(bound.limit)) {
        return (Status::Block, None);
    }
    match bound.warn {
        Some(warn) if !bound.side.passes(compare(warn)) => {
            let lies = match bound.side {
                Side::Lt => "at or above",
                Side::Lte => "above",
                Side::Gt => "at or below",
                Side::Gte => "below",
            };
            (Status::Warn, Some(format!("{lies} warn {warn}")))
        }
        _ => (Status::Pass, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(measurements: &[(f64, u64)], aggregate: Aggregate, bound: Bound) -> (Status, Option<String>) {
        let mut cell = Measured::default();
        measurements.iter().for_each(|&(value, n)| cell.count(value, n));
        let value = value(&cell, aggregate).unwrap();
        status(bound, |limit| compare(&cell, aggregate, value, limit))
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
}
