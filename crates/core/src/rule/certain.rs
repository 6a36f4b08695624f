//! Where a rule's value lies at a level, and whether all of that breaks the limit: what a `budget` decides by.

use super::limits::{Limits, tolerated};
use super::result::Certain;
use super::types::Tolerance;
use crate::stats::bounds;
use crate::stats::limit::Amount;

/// So many of so many.
pub(super) type Share = (u64, u64);

/// An interval against a rule's limits.
pub(super) fn of(limits: &Limits, (lower, upper): (f64, f64)) -> Certain {
    Certain { lower, upper, blocks: limits.is_broken_by([Amount::Float(lower), Amount::Float(upper)]) }
}

/// An interval of a drop against what is tolerated.
pub(super) fn of_drop(max: Tolerance, (lower, upper): (f64, f64)) -> Certain {
    Certain { lower, upper, blocks: tolerated(max).order(lower).is_gt() }
}

/// Bounds of `now` against the limits, or of its change, for which both sides share α. Each side is bounded at the level that it is asked for.
pub(super) fn compared(
    limits: &Limits,
    alpha: f64,
    now: impl Fn(f64) -> Option<(f64, f64)>,
    then: impl Fn(f64) -> Option<(f64, f64)>,
) -> Option<Certain> {
    let Some((change, tolerance)) = limits.change() else { return Some(of(limits, now(alpha)?)) };
    let ends = change.of_intervals(tolerance, now(alpha / 2.0)?, then(alpha / 2.0)?)?;
    Some(of(limits, ends))
}

/// The same of shares.
pub(super) fn shares(
    limits: &Limits,
    (now, then): (Share, Option<Share>),
    design_effect: f64,
    alpha: f64,
) -> Option<Certain> {
    let bound = |share: Option<Share>| move |alpha| bounds::share(share?, design_effect, alpha);
    compared(limits, alpha, bound(Some(now)), bound(then))
}
