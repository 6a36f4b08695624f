//! Rates: Wilson and Newcombe intervals and the pooled two-proportion test.

use super::hypotenuse::hypotenuse;
use super::real::real;
use statrs::function::erf::{erfc, erfc_inv};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

/// Upper α/2 point of the standard normal: 1.96 for α = 0.05. `None` unless 0 < α < 1.
#[must_use]
pub fn normal_quantile(alpha_two_sided: f64) -> Option<f64> {
    // Through the tail, so that a tiny α does not round 1 − α/2 to 1.
    let z = SQRT_2 * erfc_inv(alpha_two_sided);
    (alpha_two_sided > 0.0 && alpha_two_sided < 1.0 && z.is_finite()).then_some(z)
}

/// The interval of the mean of n values with this standard deviation by normal quantiles of its standard error: asymptotic. `None` where an end is
/// not finite, or α is outside (0, 1).
#[must_use]
pub fn normal_interval(mean: f64, deviation: f64, n: f64, alpha_two_sided: f64) -> Option<(f64, f64)> {
    let half = normal_quantile(alpha_two_sided)? * deviation / n.sqrt();
    Some((mean - half, mean + half)).filter(|(lower, upper)| lower.is_finite() && upper.is_finite())
}

/// Score interval of k successes in n (Wilson 1927), within [0, 1].
///
/// `None` when n is 0, k exceeds n, or α is outside (0, 1).
#[must_use]
pub fn wilson(k: u64, n: u64, alpha_two_sided: f64) -> Option<(f64, f64)> {
    wilson_of_dependent(k, n, alpha_two_sided, 1.0)
}

/// The same where rows depend on each other: the sample counts as n/φ, φ being the design effect (Kish, Survey Sampling,
/// 1965, section 8.2). A φ that is not above 1 is 1.
fn wilson_of_dependent(k: u64, n: u64, alpha_two_sided: f64, design_effect: f64) -> Option<(f64, f64)> {
    let z = normal_quantile(alpha_two_sided)?;
    if n == 0 || k > n {
        return None;
    }
    let (size, rate, square) = (real(n) / design_effect.max(1.0), real(k) / real(n), z * z);
    let centre = rate + square / (2.0 * size);
    let half = z * (rate * (real(n - k) / real(n)) / size + square / (4.0 * size * size)).sqrt();
    let scale = 1.0 + square / size;
    // At the ends the closed form is exactly 0 or 1 and only rounding would differ.
    let lo = if k == 0 { 0.0 } else { ((centre - half) / scale).clamp(0.0, 1.0) };
    let hi = if k == n { 1.0 } else { ((centre + half) / scale).clamp(0.0, 1.0) };
    Some((lo, hi))
}

/// Hybrid-score interval of k1/n1 − k2/n2 from two Wilson intervals (Newcombe 1998, method 10), within [−1, 1].
///
/// `None` when [`wilson`] is for either side.
#[must_use]
pub fn newcombe(k1: u64, n1: u64, k2: u64, n2: u64, alpha_two_sided: f64) -> Option<(f64, f64)> {
    newcombe_of_dependent((k1, n1), (k2, n2), alpha_two_sided, 1.0)
}

/// The same where rows depend on each other: both samples count as n/φ, φ being the design effect. A φ that is not above 1
/// is 1.
#[must_use]
pub fn newcombe_of_dependent(
    (k1, n1): (u64, u64),
    (k2, n2): (u64, u64),
    alpha_two_sided: f64,
    design_effect: f64,
) -> Option<(f64, f64)> {
    let (lo1, hi1) = wilson_of_dependent(k1, n1, alpha_two_sided, design_effect)?;
    let (lo2, hi2) = wilson_of_dependent(k2, n2, alpha_two_sided, design_effect)?;
    let (rate1, rate2) = (real(k1) / real(n1), real(k2) / real(n2));
    let difference = rate1 - rate2;
    let lo = difference - hypotenuse(rate1 - lo1, hi2 - rate2);
    let hi = difference + hypotenuse(hi1 - rate1, rate2 - lo2);
    Some((lo.clamp(-1.0, 1.0), hi.clamp(-1.0, 1.0)))
}

/// Adjusted Wald interval of k1/n1 − k2/n2, one success and one failure added to each side (Agresti & Caffo 2000).
/// Not clamped: an end may pass ±1. `None` as for [`newcombe`].
#[must_use]
pub fn agresti_caffo(k1: u64, n1: u64, k2: u64, n2: u64, alpha_two_sided: f64) -> Option<(f64, f64)> {
    let z = normal_quantile(alpha_two_sided)?;
    if n1 == 0 || n2 == 0 || k1 > n1 || k2 > n2 {
        return None;
    }
    let (size1, size2) = (real(n1) + 2.0, real(n2) + 2.0);
    let (rate1, rate2) = ((real(k1) + 1.0) / size1, (real(k2) + 1.0) / size2);
    let half = z * (rate1 * (1.0 - rate1) / size1 + rate2 * (1.0 - rate2) / size2).sqrt();
    Some((rate1 - rate2 - half, rate1 - rate2 + half))
}

/// The pooled z test of two proportions.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct TwoProportions {
    /// k1/n1 − k2/n2.
    pub difference: f64,
    /// The difference over its pooled standard error; 0 when both sides are all or nothing alike.
    pub z: f64,
    /// P(|Z| ≥ |z|).
    pub p_two_sided: f64,
    /// P(Z ≤ z): small when the first rate has dropped below the second.
    pub p_drop: f64,
}

/// The pooled z test that k1/n1 and k2/n2 are equal. `None` when a side is empty or k exceeds n.
#[must_use]
pub fn two_proportions(k1: u64, n1: u64, k2: u64, n2: u64) -> Option<TwoProportions> {
    if n1 == 0 || n2 == 0 || k1 > n1 || k2 > n2 {
        return None;
    }
    let (size1, size2) = (real(n1), real(n2));
    let difference = real(k1) / size1 - real(k2) / size2;
    let pooled = (real(k1) + real(k2)) / (size1 + size2);
    let variance = pooled * (1.0 - pooled) * (1.0 / size1 + 1.0 / size2);
    let z = if variance > 0.0 { difference / variance.sqrt() } else { 0.0 };
    let tail = |x: f64| (erfc(x * FRAC_1_SQRT_2) / 2.0).clamp(0.0, 1.0);
    Some(TwoProportions { difference, z, p_two_sided: (2.0 * tail(z.abs())).min(1.0), p_drop: tail(-z) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "these values are exact by construction")]

    use super::*;

    #[test]
    fn quantiles_hold_into_the_tail() {
        // Reference values by mpmath with 40 digits.
        #[allow(clippy::excessive_precision, reason = "copied as printed")]
        let points = [
            (0.05, 1.959_963_984_540_054_2),
            (0.01, 2.575_829_303_548_900_8),
            (1e-8, 5.730_728_868_236_29),
            (1e-30, 11.523_883_577_380_25),
        ];
        for (alpha, z) in points {
            assert!(normal_quantile(alpha).is_some_and(|found| (found - z).abs() < 1e-9 * z), "{alpha}");
        }
        for alpha in [0.0, 1.0, -0.1, 2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(normal_quantile(alpha), None);
        }
    }

    #[test]
    fn ends_are_exact() {
        assert!(wilson(0, 20, 0.05).is_some_and(|(lo, hi)| lo == 0.0 && hi < 0.2));
        assert!(wilson(20, 20, 0.05).is_some_and(|(lo, hi)| hi == 1.0 && lo > 0.8));
        assert_eq!((wilson(1, 0, 0.05), wilson(2, 1, 0.05)), (None, None));
    }

    #[test]
    fn dependent_rows_count_as_fewer() {
        // Newcombe's interval of 40 of 50 less 30 of 50, from the Wilson intervals of scipy 1.17 (`binomtest(…).proportion_ci`).
        let (lo, hi) = newcombe_of_dependent((160, 200), (120, 200), 0.05, 4.0).unwrap();
        assert!(
            (lo - 0.020_133_900_869_208_08).abs() < 1e-9 && (hi - 0.363_592_352_055_335_7).abs() < 1e-9,
            "{lo} {hi}"
        );
        for effect in [1.0, 0.5, f64::NAN] {
            assert_eq!(newcombe_of_dependent((3, 7), (2, 9), 0.05, effect), newcombe(3, 7, 2, 9, 0.05));
        }
    }

    #[test]
    fn newcombe_is_antisymmetric() {
        let (forward, backward) = (newcombe(56, 70, 48, 80, 0.05), newcombe(48, 80, 56, 70, 0.05));
        let swapped = backward.map(|(lo, hi)| (-hi, -lo));
        let close = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() < 1e-15 && (a.1 - b.1).abs() < 1e-15;
        assert!(forward.zip(swapped).is_some_and(|(a, b)| close(a, b)));
    }

    #[test]
    fn equal_extremes_have_no_z() {
        assert!(two_proportions(5, 5, 9, 9).is_some_and(|t| t.z == 0.0 && t.p_two_sided == 1.0 && t.p_drop == 0.5));
        assert_eq!(two_proportions(0, 0, 1, 2), None);
    }
}
