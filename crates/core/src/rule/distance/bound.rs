//! Where distances lie at a level: bounds of the shares of all bins, or of both distribution functions.

use super::super::binning::DECILES;
use super::super::certain;
use super::super::counts::{Binned, WindowCounts};
use super::super::limits::Limits;
use super::super::result::Certain;
use super::super::types::{Subject, Target};
use crate::stats::bounds::{self, Parts};

/// The least and the most that a distance over bins can be, but for a probability of α.
pub(super) fn over_bins(parts: Parts, window: &dyn WindowCounts, binned: &Binned, alpha: f64) -> Option<(f64, f64)> {
    let effect = window.design_effect(None);
    bounds::distance(parts, (&binned.reference, &binned.window), (effect, effect), alpha)
}

/// D as far as the cells tell, and the bands of both distribution functions, which share α.
pub(super) fn of_ks(window: &dyn WindowCounts, target: Target, effect: f64, alpha: f64) -> Option<(f64, f64, f64)> {
    let c = window.distribution(target)?;
    let distance = window.ks(target, &c)?;
    let band = |n: u64| bounds::band(bounds::size(n, effect), alpha / 2.0);
    Some((distance.d_lo, distance.d_hi, band(distance.n)? + band(distance.m)?))
}

/// D between the ends of [`of_ks`].
pub(super) fn within_bands((lower, upper, width): (f64, f64, f64)) -> (f64, f64) {
    ((lower - width).max(0.0), (upper + width).min(1.0))
}

/// A p-value is certain at or below α. It takes rows for independent: where the snapshot says that they are not, some distance at fewer rows has to be
/// above 0 as well.
pub(super) fn of_p(window: &dyn WindowCounts, subject: &Subject<Limits>, p: f64, alpha: f64) -> Certain {
    let (target, effect) = (subject.target, window.design_effect(None));
    let is_apart = || {
        let c = window.distribution(target)?;
        let of_bins = over_bins(Parts::LInf, window, &window.binned(target, &DECILES, c.cells), alpha)?;
        let of_functions = of_ks(window, target, effect, alpha).is_some_and(|(d, _, width)| d > width);
        Some(of_bins.0 > 0.0 || of_functions)
    };
    let is_certain = p <= alpha && (effect <= 1.0 || is_apart() == Some(true));
    certain::of(&subject.limit, (p, if is_certain { p } else { 1.0 }))
}
