//! Two-sample Kolmogorov-Smirnov on counts over grid cells: the distance, its p-value, and a lower confidence bound.
//!
//! The distance is an integer over lcm(n, m), so no rounding enters before the last division. With a grid that holds
//! every reference value it is exact; with a compressed one it is an interval, and p(lower end) is conservative.

use super::ks_tail::beyond;
use super::p_value::PValue;
use super::ratio::Ratio;
use super::real::{gcd, real, wide};
use std::f64::consts::{LN_2, PI};

/// Largest n·m for which [`p_value`] takes the exact path (a fraction of a millisecond).
pub const EXACT_LIMIT: u128 = 100_000;

/// Largest n·m that [`p_exact`] will walk at all; beyond it the correction is as good as exact.
const LATTICE_LIMIT: u128 = 1 << 40;

/// The distance between two empirical distributions, as far as the cells tell.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Distance {
    /// Largest difference of the distribution functions at a cell boundary: exact for an exact grid, else a lower bound.
    pub d_lo: f64,
    /// Upper bound of the distance over every arrangement inside the open cells.
    pub d_hi: f64,
    /// `d_lo`·`lcm`, an integer.
    pub h: u128,
    /// lcm(n, m).
    pub lcm: u128,
    /// Window sample size.
    pub n: u64,
    /// Reference sample size.
    pub m: u64,
}

impl Distance {
    /// `d_lo` as the ratio that it is; `None` where it does not fit (n·m below 2^127 always does).
    #[must_use]
    pub fn exact(&self) -> Option<Ratio> {
        Ratio::new(i128::try_from(self.h).ok()?, i128::try_from(self.lcm).ok()?)
    }
}

/// Below this product of the sample sizes, sums and differences of two scaled counts fit 64 bits.
const NARROW: i64 = 1 << 62;

/// The largest difference of the prefix sums after a cell, and the largest that an open cell may hide, both scaled by the sample sizes.
fn wide_gaps((reference, m): (&[u64], u128), (window, n): (&[u64], u128)) -> (u128, u128) {
    // Prefix sums, already scaled to the common denominator n·m.
    let (mut r, mut w) = (0_u128, 0_u128);
    let (mut lo, mut hi) = (0_u128, 0_u128);
    for (cell, (in_reference, in_window)) in reference.iter().zip(window).enumerate() {
        let (r_before, w_before) = (r, w);
        r += u128::from(*in_reference) * n;
        w += u128::from(*in_window) * m;
        lo = lo.max(r.abs_diff(w));
        if cell % 2 == 0 && *in_reference > 0 && *in_window > 0 {
            hi = hi.max(r.abs_diff(w_before)).max(w.abs_diff(r_before));
        }
    }
    (lo, hi)
}

/// The same by the difference alone, in 64 bits: half of the additions, and none of two words.
#[allow(clippy::cast_possible_wrap, reason = "no count of a sample is more than its size")]
fn narrow_gaps((reference, m): (&[u64], i64), (window, n): (&[u64], i64)) -> (u128, u128) {
    let mut difference = 0_i64;
    let (mut lo, mut hi) = (0_u64, 0_u64);
    for (cell, (in_reference, in_window)) in reference.iter().zip(window).enumerate() {
        let (scaled_reference, scaled_window) = (*in_reference as i64 * n, *in_window as i64 * m);
        difference += scaled_reference - scaled_window;
        lo = lo.max(difference.unsigned_abs());
        if cell % 2 == 0 && *in_reference > 0 && *in_window > 0 {
            let (after, before) = (difference + scaled_window, difference - scaled_reference);
            hi = hi.max(after.unsigned_abs()).max(before.unsigned_abs());
        }
    }
    (u128::from(lo), u128::from(hi))
}

/// KS distance of cell counts (even cells are open buckets, odd ones single values).
///
/// `d_lo` is max |n·R − m·W|/(n·m) over prefix sums after every cell; `d_hi` also takes
/// `max(|R_after·n − W_before·m|, |W_after·m − R_before·n|)` for each open cell with both reference and window mass.
/// `None` when either side is empty or the slices differ in length. Integers throughout: totals below 2^63 are safe.
#[must_use]
pub fn distance(reference: &[u64], window: &[u64]) -> Option<Distance> {
    let (m, n) = (super::real::total(reference)?, super::real::total(window)?);
    if m == 0 || n == 0 || reference.len() != window.len() {
        return None;
    }
    let (wide_m, wide_n) = (u128::from(m), u128::from(n));
    let sizes = i64::try_from(m).ok().zip(i64::try_from(n).ok());
    let (lo, hi) = match sizes.filter(|(m, n)| m.checked_mul(*n).is_some_and(|product| product < NARROW)) {
        Some((m, n)) => narrow_gaps((reference, m), (window, n)),
        None => wide_gaps((reference, wide_m), (window, wide_n)),
    };
    let g = gcd(wide_m, wide_n);
    let (h, lcm) = (lo / g, wide_n * wide_m / g);
    let d_hi = wide(lo.max(hi) / g) / wide(lcm);
    Some(Distance { d_lo: wide(h) / wide(lcm), d_hi, h, lcm, n, m })
}

/// Exact unconditional P(D ≥ h/lcm) without ties (Hodges 1958), in time O(n·m) at most and memory O(min(n, m)).
///
/// `h` is [`Distance::h`]. The recursion A(x, y) = 1 where |x·n − y·m| ≥ h·gcd, else
/// (x·A(x−1, y) + y·A(x, y−1))/(x + y), runs along anti-diagonals: all terms are positive and a diagonal has no inner
/// dependency. Above 2^40 lattice points the corrected value is returned instead; when p underflows its logarithm is
/// that of the corrected value.
#[must_use]
#[allow(
    clippy::indexing_slicing,
    reason = "lo..=hi lies in 0..=small on every diagonal, and the buffers hold small + 2 cells, shifted by one"
)]
pub fn p_exact(n: u64, m: u64, h: u128) -> PValue {
    if h == 0 || n == 0 || m == 0 {
        return PValue::ONE;
    }
    let (small, large) = (n.min(m), n.max(m));
    let g = gcd(u128::from(small), u128::from(large));
    let lcm = u128::from(small) * u128::from(large) / g;
    let h = h.min(lcm);
    let d = wide(h) / wide(lcm);
    let corrected = || beyond(p_corrected(n, m, d, lcm), n, m, d);
    let lattice = || -> Option<(i64, i64, i64, i64)> {
        if u128::from(small) * u128::from(large) > LATTICE_LIMIT {
            return None;
        }
        let step = i64::try_from(u128::from(small) / g).ok()?;
        let span = i64::try_from((u128::from(small) + u128::from(large)) / g).ok()?;
        Some((i64::try_from(small).ok()?, i64::try_from(large).ok()?, step, span))
    };
    let (Some((small, large, step, span)), Ok(height)) = (lattice(), i64::try_from(h)) else {
        return corrected();
    };
    let Ok(cells) = usize::try_from(small + 2) else {
        return corrected();
    };
    let weights: Vec<f64> = (0..cells).map(super::real::length).collect();
    // Cell x sits at index x + 1; cells outside the band are 1 and are never written otherwise.
    let (mut prev, mut next) = (vec![1.0_f64; cells], vec![1.0_f64; cells]);
    prev[1] = 0.0;
    for diagonal in 1..=small + large {
        // On the diagonal x + y = d the deviation is x·span − d·step, in units of 1/lcm.
        let centre = diagonal * step;
        let lo = ((centre - height).div_euclid(span) + 1).max(diagonal - large).max(0);
        let hi = ((centre + height - 1) / span).min(diagonal).min(small);
        let (Ok(lo), Ok(hi)) = (usize::try_from(lo), usize::try_from(hi)) else {
            return PValue::ONE;
        };
        if lo > hi {
            return PValue::ONE; // every path crosses this diagonal outside the band
        }
        next[lo] = 1.0;
        next[lo.saturating_sub(1)] = 1.0;
        let d = real(diagonal.unsigned_abs());
        // A division for each cell would take half of the time.
        let inverse = 1.0 / d;
        let cells = next[lo + 1..=hi + 1].iter_mut().zip(&weights[lo..=hi]);
        for ((cell, x), from) in cells.zip(prev[lo..=hi + 1].windows(2)) {
            *cell = (x * from[0] + (d - x) * from[1]) * inverse;
        }
        std::mem::swap(&mut prev, &mut next);
    }
    let p = prev.last().copied().unwrap_or(1.0).clamp(0.0, 1.0);
    let ln_p = if p < f64::MIN_POSITIVE { corrected().ln_p } else { p.ln() };
    PValue { p, ln_p }
}

/// Asymptotic P(D ≥ d) with the discreteness and small-sample corrections (Marsaglia, Tsang & Wang 2003; Vrbik 2018):
/// K(z + (M+2N)/(6√(MN(M+N))) + (z−1)/(4·en)), en = MN/(M+N), z = √en·(d − 1/(2·lcm)), M ≥ N.
///
/// Within +1.1%/−0.24% of the exact value near p = 0.01. p = 1 when d is 0 or a sample is empty.
#[must_use]
pub fn p_corrected(n: u64, m: u64, d: f64, lcm: u128) -> PValue {
    if n == 0 || m == 0 || lcm == 0 || d.is_nan() || d <= 0.0 {
        return PValue::ONE;
    }
    let (small, large) = (real(n.min(m)), real(n.max(m)));
    let en = large / (large + small) * small;
    let z = en.sqrt() * (d - 0.5 / wide(lcm));
    let shift = (large + 2.0 * small) / (6.0 * (large * small * (large + small)).sqrt());
    kolmogorov_sf(z + shift + (z - 1.0) / (4.0 * en))
}

/// Survival function of the Kolmogorov distribution (Kolmogorov 1933; Smirnov 1948): the theta series of the CDF below
/// 1.18, four terms of the alternating series above. 1 for x ≤ 0 and NaN.
#[must_use]
pub fn kolmogorov_sf(x: f64) -> PValue {
    if x.is_nan() || x <= 0.0 {
        return PValue::ONE;
    }
    if x < 1.18 {
        let unit = -PI * PI / (8.0 * x * x);
        let series: f64 = [1.0, 9.0, 25.0, 49.0].iter().map(|odd_squared| (odd_squared * unit).exp()).sum();
        return PValue::from_complement((2.0 * PI).sqrt() / x * series);
    }
    let exponent = -2.0 * x.min(1e150).powi(2);
    let q = exponent.exp();
    PValue::from_ln(LN_2 + exponent + (-q.powi(3) + q.powi(8) - q.powi(15)).ln_1p())
}

/// A sample below this makes the correction drift from the exact value by over 4% at p = 1e-5 (8-fold at 6 rows),
const SMALL_SAMPLE: u64 = 300;
/// so it is computed exactly there too, up to this n·m (1 to 4 ms),
const SMALL_SAMPLE_LIMIT: u128 = 20_000_000;
/// where the corrected p is below this; above it both agree within 1%.
const SMALL_SAMPLE_P: f64 = 0.05;

/// The p-value of a distance's lower end, and how it was computed: `"exact"` up to [`EXACT_LIMIT`] (and for small
/// samples with a small p), else
/// `"corrected"` (and below 1e-6 taken on by the large-deviation rate, see [`super::ks_tail`]).
#[must_use]
pub fn p_value(distance: &Distance) -> (PValue, &'static str) {
    let Distance { d_lo, h, lcm, n, m, .. } = *distance;
    let product = u128::from(n) * u128::from(m);
    if product <= EXACT_LIMIT {
        return (p_exact(n, m, h), "exact");
    }
    let corrected = p_corrected(n, m, d_lo, lcm);
    if n.min(m) < SMALL_SAMPLE && product <= SMALL_SAMPLE_LIMIT && corrected.p < SMALL_SAMPLE_P {
        return (p_exact(n, m, h), "exact");
    }
    (beyond(corrected, n, m, d_lo), "corrected")
}

/// A lower confidence bound of the true distance, and the amount subtracted on each side.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Lcb {
    /// `√(φ·ln(2/α_test)/(2n))`.
    pub window: f64,
    /// `√(ln(2/α_ref)/(2m))`.
    pub reference: f64,
    /// `d_lo` less both; may be negative.
    pub lcb: f64,
}

/// Lower confidence bound of the true distance by the DKW inequality on both samples (Massart 1990).
///
/// `n`, `m` are the window's and the reference's sizes, `design_effect` φ the declared inflation for dependent rows (1:
/// independent). Always finite: an empty sample counts as one row, α is taken into (0, 1], a φ that is negative or not
/// finite as 1.
#[must_use]
pub fn lcb(d_lo: f64, n: u64, m: u64, alpha_test: f64, alpha_ref: f64, design_effect: f64) -> Lcb {
    let effect = if design_effect.is_finite() && design_effect >= 0.0 { design_effect } else { 1.0 };
    let log = |alpha: f64| {
        let alpha = if alpha >= f64::MIN_POSITIVE { alpha.min(1.0) } else { f64::MIN_POSITIVE };
        (2.0 / alpha).ln()
    };
    let window = (effect * (log(alpha_test) / (2.0 * real(n.max(1))))).sqrt().min(f64::MAX);
    let reference = (log(alpha_ref) / (2.0 * real(m.max(1)))).sqrt();
    Lcb { window, reference, lcb: d_lo - window - reference }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "these values are exact by construction")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn differences_in_64_bits_are_those_of_128(
            cells in prop::collection::vec((0_u64..1 << 24, 0_u64..1 << 24, 0_u8..4), 1..60)
        ) {
            // Many cells are empty on a side, as in a window that has drifted.
            let of = |side: u8| move |(r, w, empty): &(u64, u64, u8)| if *empty == side { 0 } else if side == 1 { *r } else { *w };
            let (reference, window): (Vec<u64>, Vec<u64>) = (cells.iter().map(of(1)).collect(), cells.iter().map(of(2)).collect());
            let (m, n) = (reference.iter().sum::<u64>(), window.iter().sum::<u64>());
            let narrow = narrow_gaps((&reference, i64::try_from(m).unwrap()), (&window, i64::try_from(n).unwrap()));
            prop_assert_eq!(narrow, wide_gaps((&reference, m.into()), (&window, n.into())));
        }
    }

    /// The recursion as it is written, for small samples.
    fn naive(n: i64, m: i64, h: i64) -> f64 {
        let g = i64::try_from(gcd(n.unsigned_abs().into(), m.unsigned_abs().into())).unwrap_or(1);
        let mut a = vec![vec![0.0_f64; usize::try_from(n).unwrap_or(0) + 1]; usize::try_from(m).unwrap_or(0) + 1];
        for x in 0..a.len() {
            for y in 0..a[0].len() {
                let (i, j) = (i64::try_from(x).unwrap_or(0), i64::try_from(y).unwrap_or(0));
                let (fx, fy) = (super::super::real::length(x), super::super::real::length(y));
                a[x][y] = if (i * n / g - j * m / g).abs() >= h {
                    1.0
                } else if x + y == 0 {
                    0.0
                } else {
                    let left = if x > 0 { fx * a[x - 1][y] } else { 0.0 };
                    let down = if y > 0 { fy * a[x][y - 1] } else { 0.0 };
                    (left + down) / (fx + fy)
                };
            }
        }
        a[a.len() - 1][a[0].len() - 1]
    }

    #[test]
    fn diagonals_equal_the_recursion_for_every_lattice_value() {
        for (n, m) in [(1_i64, 1_i64), (1, 7), (2, 3), (5, 5), (6, 4), (12, 18), (7, 11), (30, 1)] {
            let lcm = n * m / i64::try_from(gcd(n.unsigned_abs().into(), m.unsigned_abs().into())).unwrap_or(1);
            for h in 0..=lcm {
                let expected = naive(n, m, h);
                for (a, b) in [(n, m), (m, n)] {
                    let got = p_exact(a.unsigned_abs(), b.unsigned_abs(), h.unsigned_abs().into()).p;
                    assert!((got - expected).abs() <= 1e-12 * expected, "{n} {m} {h}: {got} {expected}");
                }
            }
        }
    }

    #[test]
    fn huge_counts_do_not_overflow() {
        let big = 1_u64 << 40;
        let found = distance(&[big, big, 0, 0, big], &[0, big, big, big, big - 1]);
        let found = found.map(|d| (d.d_lo, d.d_hi <= 1.0, p_value(&d).0.ln_p.is_finite()));
        assert!(found.is_some_and(|(d, below, finite)| (d - 5.0 / 12.0).abs() < 1e-9 && below && finite));
        assert_eq!(p_exact(big, big, 1 << 39).p, p_corrected(big, big, 0.5, big.into()).p);
    }

    #[test]
    fn logarithms_stay_finite_where_p_underflows() {
        for x in [0.01, 0.3, 40.0, 1e9, f64::INFINITY] {
            let value = kolmogorov_sf(x);
            assert!(value.ln_p.is_finite() && value.ln_p <= 0.0 && (0.0..=1.0).contains(&value.p));
        }
        assert!((kolmogorov_sf(1.18 - 1e-12).p - kolmogorov_sf(1.18).p).abs() < 1e-11);
        assert_eq!((kolmogorov_sf(-1.0), kolmogorov_sf(f64::NAN)), (PValue::ONE, PValue::ONE));
        let separated = p_exact(600, 600, 600);
        assert!(separated.p < f64::MIN_POSITIVE && separated.ln_p.is_finite());
    }

    #[test]
    fn open_cells_widen_the_interval_and_atoms_do_not() {
        let open = distance(&[10], &[10]).map(|d| (d.d_lo, d.d_hi));
        assert_eq!(open, Some((0.0, 1.0)));
        let atom = distance(&[0, 10, 0], &[0, 10, 0]).map(|d| (d.d_lo, d.d_hi));
        assert_eq!(atom, Some((0.0, 0.0)));
        assert_eq!((distance(&[0], &[1]), distance(&[1], &[0]), distance(&[1], &[1, 0])), (None, None, None));
    }

    #[test]
    fn bounds_are_finite_for_any_input() {
        let bound = lcb(0.3, 0, 0, 0.0, f64::NAN, f64::NEG_INFINITY);
        assert!(bound.lcb.is_finite() && bound.window > 0.0);
    }
}
