//! The far tail of the KS p-value. There the Kolmogorov law understates how fast p falls for large D: the true exponent
//! is the large-deviation rate I(D) = min over t of KL(t + D ‖ t) (Bahadur 1971, after Sanov), which exceeds 2D².

use std::f64::consts::LN_2;

use super::p_value::PValue;
use super::real::real;

/// Below this the corrected p-value is taken further by the rate; above it nothing changes.
pub const TAIL: f64 = 1e-6;

/// ln p of a corrected p-value in the far tail: ln p − en·(I(d) − 2d²), at least 1/C(n+m, n)'s.
///
/// Within 0.4% of the exact one-sample law at the effective size for n ≥ 100 (scipy's `kstwo`), 3% from n = 20 on.
#[must_use]
pub fn beyond(corrected: PValue, n: u64, m: u64, d: f64) -> PValue {
    if corrected.p >= TAIL || n == 0 || m == 0 {
        return corrected;
    }
    let (n, m) = (real(n), real(m));
    // No outcome is less likely than the two samples lying apart, in one of two orders.
    let least = LN_2 - ln_choose(n + m, n);
    if d >= 1.0 {
        return PValue::from_ln(least);
    }
    let effective = m / (m + n) * n;
    PValue::from_ln((corrected.ln_p - effective * (rate(d) - 2.0 * d * d).max(0.0)).max(least))
}

fn ln_choose(n: f64, k: f64) -> f64 {
    use statrs::function::gamma::ln_gamma;
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// I(d) for 0 < d < 1 by golden-section search: KL(t + d ‖ t) is convex in t.
fn rate(d: f64) -> f64 {
    let divergence = |t: f64| {
        let (up, rest) = (t + d, 1.0 - t - d);
        up * (up / t).ln() + if rest > 0.0 { rest * (rest / (1.0 - t)).ln() } else { 0.0 }
    };
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (1e-300_f64, 1.0 - d);
    for _ in 0..80 {
        let step = golden * (high - low);
        if divergence(high - step) < divergence(low + step) {
            high = low + step;
        } else {
            low = high - step;
        }
    }
    divergence(f64::midpoint(low, high))
}

#[cfg(test)]
mod tests {
    use super::super::ks::p_corrected;
    use super::*;

    #[test]
    fn the_tail_is_as_far_down_as_the_exact_law() {
        // ln of scipy 1.17's kstwo.sf(d, round(nm/(n+m))).
        for (n, m, d, ln_p, within) in [
            (100, 50_009, 0.6, -78.81, 0.005),
            (300, 50_009, 0.4, -98.59, 0.005),
            (300, 50_009, 0.8, -472.23, 0.005),
            (3000, 50_009, 0.2, -227.88, 0.001),
            (3000, 3000, 0.4, -498.22, 0.002),
            (20, 50_009, 0.95, -59.22, 0.03),
        ] {
            let p = beyond(p_corrected(n, m, d, u128::from(n) * u128::from(m)), n, m, d);
            assert!((p.ln_p / ln_p - 1.0).abs() < within, "{n} {m} {d}: {} against {ln_p}", p.ln_p);
            assert!((p.p.ln() - p.ln_p).abs() < 1e-9 || p.p < 1e-300);
        }
    }

    #[test]
    fn nothing_changes_where_decisions_are_made() {
        let p = p_corrected(1000, 50_009, 0.05, 50_009_000);
        assert_eq!(beyond(p, 1000, 50_009, 0.05), p);
        let apart = beyond(p_corrected(400, 50_009, 1.0, 20_003_600), 400, 50_009, 1.0);
        assert!(apart.ln_p.is_finite() && apart.ln_p < -2000.0, "{}", apart.ln_p);
    }
}
