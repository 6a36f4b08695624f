//! The Wasserstein-1 distance of two samples that are counted over the cells of a grid.

use std::ops::{Add, Sub};

use super::grid::Grid;
use super::real::{length, real, total, wide};
use super::scores::Interval;

/// ∫ |F − G| of the distribution functions of reference and window over the range of `points`, with values outside of it moved to its ends; in the feature's unit
/// (Vallender 1974; `scipy.stats.wasserstein_distance` of the samples so clipped).
///
/// `points` is a grid, strictly increasing, `reference` and `window` are counts over its 2K+1 cells. Between two points each
/// distribution function rises from one known value to another, anywhere: `lower` and `upper` are the least and the most that the
/// integral can be, and they meet where no value lies strictly between two points. `None` when either side has no counts, the
/// lengths do not fit, or the range is not finite.
#[must_use]
pub fn wasserstein(points: &[f64], reference: &[u64], window: &[u64]) -> Option<Interval> {
    let (m, n) = (total(reference)?, total(window)?);
    let cells = 2 * points.len() + 1;
    if m == 0 || n == 0 || reference.len() != cells || window.len() != cells {
        return None;
    }
    let all = wide(u128::from(n) * u128::from(m));
    // Both in 64 bits where these hold n·m: the same numbers, many times as fast.
    let (lower, upper) = if n.checked_mul(m).is_some() {
        areas(points, reference.iter().zip(window).map(|(r, w)| (r * n, w * m)), real)
    } else {
        let scaled = |(r, w): (&u64, &u64)| (u128::from(*r) * u128::from(n), u128::from(*w) * u128::from(m));
        areas(points, reference.iter().zip(window).map(scaled), wide)
    };
    let found = Interval { lower: lower / all, upper: upper / all };
    (found.lower.is_finite() && found.upper.is_finite()).then_some(found)
}

/// The least and the most of the area between both functions, of counts that are scaled to the common denominator n·m: (reference, window).
fn areas<N>(points: &[f64], mut counts: impl Iterator<Item = (N, N)>, real: impl Fn(N) -> f64) -> (f64, f64)
where
    N: Copy + Default + Ord + Add<Output = N> + Sub<Output = N>,
{
    // How far one lies above another, or 0.
    let beyond = |one: N, other: N| one.max(other) - other;
    let between = |one: N, other: N| one.max(other) - one.min(other);
    let sum = |a: (N, N), b: (N, N)| (a.0 + b.0, a.1 + b.1);
    // Both functions at a point: everything below the first one counts as it.
    let mut at = counts.by_ref().take(2).fold((N::default(), N::default()), sum);
    let (mut lower, mut upper) = (0.0, 0.0);
    for ends in points.windows(2) {
        let [from, to] = ends else { continue };
        let (open, atom) = (counts.next().unwrap_or_default(), counts.next().unwrap_or_default());
        let before_next = sum(at, open);
        let width = to - from;
        // The ranges of both functions lie apart by so much, or meet; and they are never further apart than the other ends.
        let apart = beyond(at.1, before_next.0).max(beyond(at.0, before_next.1));
        let furthest = between(before_next.0, at.1).max(between(before_next.1, at.0));
        lower += width * real(apart);
        upper += width * real(furthest);
        at = sum(before_next, atom);
    }
    (lower, upper)
}

/// The same where the grid has points (edges of bins) beyond a range: counts outside of it are moved to its ends, which are the cells
/// `first` and `last`, both points. `None` also where they are none.
#[must_use]
pub fn within_range(
    points: &[f64],
    (first, last): (usize, usize),
    reference: &[u64],
    window: &[u64],
) -> Option<Interval> {
    if !Grid::is_atom(first) || !Grid::is_atom(last) {
        return None;
    }
    let moved = |cells: &[u64]| {
        let mut moved = cells.get(first - 1..=last + 1)?.to_vec();
        *moved.first_mut()? = cells.get(..first)?.iter().sum();
        *moved.last_mut()? = cells.get(last + 1..)?.iter().sum();
        Some(moved)
    };
    wasserstein(points.get(first / 2..=last / 2)?, &moved(reference)?, &moved(window)?)
}

/// The standard deviation of a sample, with the divisor n (ddof 0): two passes over the ascending values, which are finite and
/// no NaN. `None` of an empty sample and where it is not finite.
#[must_use]
#[allow(clippy::float_cmp, reason = "a sample whose ends are one value has no other")]
pub fn deviation(sorted: &[f64]) -> Option<f64> {
    if sorted.first()? == sorted.last()? {
        return sorted.first()?.is_finite().then_some(0.0);
    }
    let n = length(sorted.len());
    let mean = sorted.iter().sum::<f64>() / n;
    // The second term removes what rounding leaves of the first moment (Chan, Golub & LeVeque 1983).
    let (squares, rest) = sorted.iter().fold((0.0, 0.0), |(squares, rest), x| {
        let d = x - mean;
        (squares + d * d, rest + d)
    });
    let variance = (squares - rest * rest / n) / n;
    variance.is_finite().then(|| variance.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::grid::{self, Grid};

    /// By the definition, on the raw values: F changes at values only.
    fn brute_force(reference: &[f64], window: &[f64]) -> f64 {
        let ends = (reference[0], reference[reference.len() - 1]);
        let window = grid::sorted(&window.iter().map(|x| x.clamp(ends.0, ends.1)).collect::<Vec<_>>());
        let mut all = [reference, &window].concat();
        all.sort_by(f64::total_cmp);
        let share = |values: &[f64], x: f64| {
            let count = u32::try_from(values.iter().filter(|v| **v <= x).count()).unwrap();
            f64::from(count) / f64::from(u32::try_from(values.len()).unwrap())
        };
        all.windows(2).map(|p| (p[1] - p[0]) * (share(reference, p[0]) - share(&window, p[0])).abs()).sum()
    }

    proptest! {
        #[test]
        fn the_interval_contains_it_and_meets_on_grid_points(
            reference in prop::collection::vec(-20_i32..20, 1..60),
            window in prop::collection::vec(-30_i32..30, 1..60),
            points in 2_usize..12,
        ) {
            let sorted = |values: &[i32]| grid::sorted(&values.iter().map(|x| f64::from(*x) / 4.0).collect::<Vec<_>>());
            let (reference, window) = (sorted(&reference), sorted(&window));
            let expected = brute_force(&reference, &window);
            let every: Vec<f64> = (-80..=80).map(|x| f64::from(x) / 4.0).collect();
            let within: Vec<f64> =
                every.into_iter().filter(|x| *x >= reference[0] && *x <= reference[reference.len() - 1]).collect();
            for (points, edges, exact) in [(Some(points), &[][..], false), (None, &[], false), (None, &within, true)] {
                let grid = Grid::from_sorted(&reference, points, edges);
                let (r, w) = (grid.count_sorted(&reference), grid.count_sorted(&window));
                let found = wasserstein(grid.points(), &r, &w).unwrap();
                prop_assert!(found.lower <= expected + 1e-9 && expected <= found.upper + 1e-9, "{:?} {}", found, expected);
                prop_assert!(!exact || (found.upper - found.lower).abs() < 1e-12);
                let same = wasserstein(grid.points(), &r, &r).unwrap();
                prop_assert!(same.lower.abs() < 1e-15);
            }
        }
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        assert_eq!(wasserstein(&[1.0, 2.0], &[0; 5], &[1; 5]), None);
        assert_eq!(wasserstein(&[1.0, 2.0], &[1; 5], &[1; 3]), None);
        let endless = [f64::NEG_INFINITY, 0.0, 1.0];
        assert_eq!(wasserstein(&endless, &[0, 1, 0, 1, 0, 1, 0], &[0, 0, 0, 1, 0, 1, 0]), None);
        assert_eq!((deviation(&[]), deviation(&[0.0, f64::INFINITY]), deviation(&[1e308, -1e308])), (None, None, None));
        assert_eq!((deviation(&[3.0; 7]), deviation(&[1.0, 3.0])), (Some(0.0), Some(1.0)));
    }
}
