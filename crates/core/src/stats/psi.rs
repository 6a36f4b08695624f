//! Population stability index over bin counts, with the rule for empty bins as a named part of the method.
//!
//! The zero rule decides verdicts (the same counts give 0.1 or 35 by rule), so [`method_name`] carries it everywhere.

use super::chi2::{chi2_isf, chi2_sf};
use super::real::{length, real, total};

/// How unlikely a PSI has to be without drift for a limit to be above chance.
pub const CHANCE: f64 = 0.001;

/// The contribution of a bin without counts.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zero {
    /// Drop bins that are empty on both sides (K left), then (c + 0.5)/(N + K/2) on both sides.
    Half,
    /// max(c/N, floor) over all bins, not renormalised. A floor outside (0, 1] is taken as the nearest such number.
    Floor(f64),
}

/// PSI: Σ (p − q)·ln(p/q) over bins, natural logarithm, in index order. Symmetric in its two samples, never negative.
///
/// `None` when either side has no counts or the slices differ in length.
#[must_use]
pub fn psi(reference: &[u64], window: &[u64], zero: Zero) -> Option<f64> {
    Some(per_bin(reference, window, zero)?.iter().sum())
}

/// The terms of [`psi`], one per bin (0 for a dropped bin); empty when [`psi`] is `None`.
#[must_use]
pub fn contributions(reference: &[u64], window: &[u64], zero: Zero) -> Vec<f64> {
    per_bin(reference, window, zero).unwrap_or_default()
}

fn per_bin(reference: &[u64], window: &[u64], zero: Zero) -> Option<Vec<f64>> {
    let (m, n) = (total(reference)?, total(window)?);
    if m == 0 || n == 0 || reference.len() != window.len() {
        return None;
    }
    let (m, n) = (real(m), real(n));
    let pairs = reference.iter().zip(window);
    let kept = length(pairs.clone().filter(|(r, w)| **r > 0 || **w > 0).count());
    let term = |r: u64, w: u64| {
        let (p, q) = match zero {
            Zero::Half if r == 0 && w == 0 => return 0.0,
            Zero::Half => ((real(r) + 0.5) / (m + kept / 2.0), (real(w) + 0.5) / (n + kept / 2.0)),
            Zero::Floor(floor) => {
                let floor = share(floor);
                ((real(r) / m).max(floor), (real(w) / n).max(floor))
            }
        };
        // Both factors have one sign; `max` removes a -0.0 and whatever rounding may leave.
        ((p - q) * (p / q).ln()).max(0.0)
    };
    Some(pairs.map(|(r, w)| term(*r, *w)).collect())
}

/// A floor that keeps ln(p/q) finite; NaN becomes the smallest one.
fn share(floor: f64) -> f64 {
    if floor >= f64::MIN_POSITIVE { floor.min(1.0) } else { f64::MIN_POSITIVE }
}

/// 1/n + 1/m of two sample sizes: PSI without drift is that times a χ²(bins − 1). `None` when one is 0.
#[must_use]
pub fn null_scale(n: u64, m: u64) -> Option<f64> {
    (n > 0 && m > 0).then(|| 1.0 / real(n) + 1.0 / real(m))
}

/// Mean of PSI when nothing has drifted: (1/n + 1/m)·(bins − 1), from its limit (1/n + 1/m)·χ²(bins − 1).
/// `n` and `m` are the sample sizes; `None` when one is 0.
#[must_use]
pub fn expected_null(n: u64, m: u64, bins: usize) -> Option<f64> {
    Some(null_scale(n, m)? * length(bins.saturating_sub(1)))
}

/// The value that PSI exceeds with probability `alpha` without drift: `(1/n + 1/m)·χ²_isf(α, bins − 1)`, from the same limit
/// as [`expected_null`]. A limit below it at [`CHANCE`] lies within chance. `None` when a size is 0 or α is not positive.
#[must_use]
pub fn null_quantile(n: u64, m: u64, bins: usize, alpha: f64) -> Option<f64> {
    Some(null_scale(n, m)? * chi2_isf(alpha, bins.saturating_sub(1) as u64)?)
}

/// Whether a value lies below [`null_quantile`], without computing that, which takes fifty times as long. `false` where there is none.
#[must_use]
pub fn is_within_chance(value: f64, n: u64, m: u64, bins: usize, alpha: f64) -> bool {
    let is_likely = |scale: f64| bins > 1 && chi2_sf(value / scale, bins as u64 - 1).ln_p > alpha.ln();
    null_scale(n, m).is_some_and(is_likely)
}

/// The method's name in every output: `quantile-10/half`, `quantile-20/floor:1e-4`, `categories/half`.
/// `quantiles` is the number of quantile bins asked for, `None` for categories.
#[must_use]
pub fn method_name(quantiles: Option<usize>, zero: Zero) -> String {
    method_of(&quantiles.map_or_else(|| "categories".to_owned(), |count| format!("quantile-{count}")), zero)
}

/// The same of bins by their name.
#[must_use]
pub fn method_of(bins: &str, zero: Zero) -> String {
    match zero {
        Zero::Half => format!("{bins}/half"),
        Zero::Floor(floor) => {
            let (plain, exponent) = (format!("{floor}"), format!("{floor:e}"));
            let shortest = if exponent.len() < plain.len() { exponent } else { plain };
            format!("{bins}/floor:{shortest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: [u64; 5] = [100, 200, 300, 400, 0];
    const WINDOW: [u64; 5] = [150, 150, 300, 350, 50];

    #[test]
    fn the_zero_rule_decides_the_value() {
        let at = |zero| psi(&REFERENCE, &WINDOW, zero).unwrap_or(f64::NAN);
        assert!((at(Zero::Floor(1e-4)) - 0.351).abs() < 5e-4);
        assert!((at(Zero::Floor(0.01)) - 0.106).abs() < 5e-4);
        assert!((at(Zero::Floor(f64::MIN_POSITIVE)) - 35.3).abs() < 0.1);
        assert!(at(Zero::Floor(0.0)).is_finite() && at(Zero::Floor(f64::NAN)).is_finite());
    }

    #[test]
    fn contributions_sum_to_the_value_and_name_the_bin() {
        for zero in [Zero::Half, Zero::Floor(1e-4)] {
            let terms = contributions(&REFERENCE, &WINDOW, zero);
            assert_eq!(Some(terms.iter().sum()), psi(&REFERENCE, &WINDOW, zero));
            assert!(terms.iter().all(|term| *term <= terms[4]));
        }
        assert_eq!(contributions(&[5, 0, 5], &[6, 0, 4], Zero::Half)[1].to_bits(), 0);
    }

    #[test]
    fn no_counts_are_no_value() {
        assert_eq!(psi(&[0, 0], &[1, 2], Zero::Half), None);
        assert_eq!(psi(&[1, 2], &[0, 0], Zero::Floor(1e-4)), None);
        assert_eq!(psi(&[1, 2], &[1], Zero::Half), None);
        assert_eq!(expected_null(0, 5, 10), None);
        assert!((expected_null(200, 1000, 10).unwrap_or(0.0) - 0.054).abs() < 1e-12);
    }

    #[test]
    fn the_null_quantile_uses_both_sizes() {
        // By scipy 1.17: (1/n + 1/m)*scipy.stats.chi2.isf(alpha, bins - 1).
        #[allow(clippy::unreadable_literal, reason = "copied as printed")]
        let rows = [
            (1000, 2000, 452, 0.001, 0.8243030024980527),
            (200, 50009, 10, 0.001, 0.13994326731397563),
            (200, 30, 10, 0.001, 1.0686246533981687),
            (300, 300, 791, 0.01, 5.902671778605116),
        ];
        for (n, m, bins, alpha, expected) in rows {
            let found = null_quantile(n, m, bins, alpha).unwrap_or(f64::NAN);
            assert!((found - expected).abs() <= 1e-9 * expected, "{n} {m} {bins} {alpha}: {found} {expected}");
            let within = |factor: f64| is_within_chance(expected * factor, n, m, bins, alpha);
            assert!(within(0.0) && within(0.999_999) && !within(1.000_001) && !within(1e9), "{n} {m} {bins} {alpha}");
        }
        assert_eq!(null_quantile(0, 5, 10, CHANCE), None);
        assert_eq!(null_quantile(5, 0, 10, CHANCE), None);
        assert_eq!(null_quantile(5, 5, 1, CHANCE), Some(0.0));
        assert!(
            [(0, 5, 10), (5, 0, 10), (5, 5, 1), (5, 5, 0)]
                .iter()
                .all(|(n, m, bins)| !is_within_chance(0.0, *n, *m, *bins, CHANCE))
        );
    }

    #[test]
    fn names_are_written_as_a_user_writes_them() {
        assert_eq!(method_name(Some(10), Zero::Half), "quantile-10/half");
        assert_eq!(method_name(Some(10), Zero::Floor(0.0001)), "quantile-10/floor:1e-4");
        assert_eq!(method_name(Some(20), Zero::Floor(0.01)), "quantile-20/floor:0.01");
        assert_eq!(method_name(None, Zero::Half), "categories/half");
    }
}
