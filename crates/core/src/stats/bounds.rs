//! Bounds of what a sample was drawn from that hold at any sample size: of shares, of means within [0, 1] or of a known spread, of numbers of
//! events, of distribution functions, and of distances over bins. None is asymptotic, so levels far below those of usual intervals mean what they say.
//!
//! Each takes α, the probability with which the interval misses; several that have to hold together share α (the union bound). A sample whose
//! rows depend on each other counts as n/φ rows (φ the design effect), which the caller divides by.

use super::real::{length, real};

/// Steps of a bisection: each halves an interval of at most 1.
const STEPS: usize = 60;

/// p·ln(p/q), 0 where p is 0.
fn part(p: f64, q: f64) -> f64 {
    if p <= 0.0 { 0.0 } else { p * (p / q).ln() }
}

/// The Kullback–Leibler divergence of two shares.
pub(super) fn divergence(p: f64, q: f64) -> f64 {
    part(p, q) + part(1.0 - p, 1.0 - q)
}

/// Where a divergence that grows from `inside` to `outside` no longer holds: the end that is kept lies outside of it.
pub(super) fn crossing(mut inside: f64, mut outside: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..STEPS {
        let middle = f64::midpoint(inside, outside);
        if holds(middle) { inside = middle } else { outside = middle }
    }
    outside
}

/// How many independent rows so many rows come to, each counting as 1/φ; φ is at least 1.
#[must_use]
pub fn size(n: u64, design_effect: f64) -> f64 {
    real(n) / design_effect.max(1.0)
}

/// The ends of all q with n·kl(mean, q) ≤ ln(2/α): where the mean of what n independent values in [0, 1] with this mean were drawn from
/// lies, but for a probability of at most α (Hoeffding 1963, Probability inequalities for sums of bounded random variables, theorem 1, on
/// both sides; of shares it is Chernoff's bound). `None` without a sample, or with an α outside of (0, 1).
#[must_use]
pub fn mean(mean: f64, n: f64, alpha: f64) -> Option<(f64, f64)> {
    if !(n > 0.0 && n.is_finite() && (0.0..=1.0).contains(&mean) && alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let most = (2.0 / alpha).ln() / n;
    let holds = |q: f64| divergence(mean, q) <= most;
    Some((crossing(mean, 0.0, holds), crossing(mean, 1.0, holds)))
}

/// [`mean`] of a share k/n, each row counting as 1/φ.
#[must_use]
pub fn share((k, n): (u64, u64), design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
    if n == 0 || k > n {
        return None;
    }
    mean(real(k) / real(n), size(n, design_effect), alpha)
}

/// How far the mean of n independent values that lie within `most` of each other is above what they were drawn from, at most, but for a
/// probability of `miss`; and as far below, but for another such one: √(2·V·ln(2/miss)/n) + 7·most·ln(2/miss)/(3·(n − 1)), where V is the variance of
/// the sample, by n − 1 (Maurer & Pontil 2009, Empirical Bernstein bounds and sample-variance penalization, theorem 4). `variance` is the
/// sample's by n, or more. `None` with one value, or a probability outside of (0, 1).
#[must_use]
pub fn spread(variance: f64, most: f64, n: f64, miss: f64) -> Option<f64> {
    if !(n > 1.0 && n.is_finite() && variance >= 0.0 && miss > 0.0 && miss < 1.0) {
        return None;
    }
    let log = (2.0 / miss).ln();
    Some((2.0 * variance * log / (n - 1.0)).sqrt() + 7.0 * most * log / (3.0 * (n - 1.0)))
}

/// The ends of all λ with λ − n + n·ln(n/λ) ≤ φ·ln(2/α): how many events a window has on average of which n came, each φ of them as one,
/// independently of the others (Chernoff's bound of a Poisson number, on both sides). `None` with an α outside of (0, 1).
#[must_use]
pub fn count(n: u64, design_effect: f64, alpha: f64) -> Option<(f64, f64)> {
    if !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let (n, most) = (real(n), design_effect.max(1.0) * (2.0 / alpha).ln());
    let divergence = |mean: f64| mean - n + part(n, mean);
    // Above n the divergence is at least (λ − n)²/(2λ).
    let beyond = n + most + (most * most + 2.0 * n * most).sqrt();
    let lower = if n > 0.0 { crossing(n, 0.0, |mean| divergence(mean) <= most) } else { 0.0 };
    Some((lower, crossing(n, beyond, |mean| divergence(mean) <= most)))
}

/// The shares of n independent values that may lie at or below the q-quantile of what they were drawn from, but for a probability of at most
/// α: all p with n·kl(p, q) ≤ ln(2/α), by the theorem of [`mean`]. `None` as of that, and with q outside of (0, 1).
#[must_use]
pub fn below(q: f64, n: f64, alpha: f64) -> Option<(f64, f64)> {
    if !(n > 0.0 && n.is_finite() && q > 0.0 && q < 1.0 && alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let most = (2.0 / alpha).ln() / n;
    let holds = |p: f64| divergence(p, q) <= most;
    Some((crossing(q, 0.0, holds), crossing(q, 1.0, holds)))
}

/// How far the distribution function of n independent values lies from what they were drawn from, at most, anywhere, but for a probability
/// of at most α: √(ln(2/α)/(2n)) (Dvoretzky, Kiefer & Wolfowitz 1956, with the constant of Massart 1990). `None` as of [`mean`].
#[must_use]
pub fn band(n: f64, alpha: f64) -> Option<f64> {
    (n > 0.0 && n.is_finite() && alpha > 0.0 && alpha < 1.0).then(|| ((2.0 / alpha).ln() / (2.0 * n)).sqrt())
}

/// A distance over bins that is a sum of parts, each of which is 0 where both shares are the same and grows as they part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Σ (p − q)·ln(p/q).
    Psi,
    /// √ of Σ ½·p·log2(p/m) + ½·q·log2(q/m).
    JensenShannon,
    /// √(½·Σ (√p − √q)²).
    Hellinger,
    /// max |p − q|.
    LInf,
}

/// The least that a distance over bins can be, and the most for the largest difference (∞ for the others), where every share of both sides
/// lies within its [`share`] at α/2 over the number of bins: the parts of the nearest shares. `None` as of [`share`].
#[must_use]
pub fn distance(
    parts: Parts,
    (reference, window): (&[u64], &[u64]),
    (reference_effect, effect): (f64, f64),
    alpha: f64,
) -> Option<(f64, f64)> {
    let (m, n) = (reference.iter().sum::<u64>(), window.iter().sum::<u64>());
    let each = alpha / (2.0 * length(reference.len().max(1)));
    let (mut sum, mut least, mut most) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (r, w) in reference.iter().zip(window) {
        let (from, to) = share((*r, m), reference_effect, each)?;
        let (low, high) = share((*w, n), effect, each)?;
        most = most.max(to - low).max(high - from);
        // The nearest shares: none apart where the intervals meet.
        let (p, q) = if low > to {
            (to, low)
        } else if high < from {
            (from, high)
        } else {
            continue;
        };
        least = least.max((p - q).abs());
        sum += match parts {
            Parts::Psi => (p - q) * (p / q).ln(),
            Parts::JensenShannon => {
                let middle = f64::midpoint(p, q);
                (part(p, middle) + part(q, middle)) / (2.0 * std::f64::consts::LN_2)
            }
            Parts::Hellinger => (p.sqrt() - q.sqrt()).powi(2) / 2.0,
            Parts::LInf => 0.0,
        };
    }
    let lower = match parts {
        Parts::Psi => sum,
        Parts::JensenShannon | Parts::Hellinger => sum.max(0.0).sqrt().min(1.0),
        Parts::LInf => least,
    };
    let upper = if parts == Parts::LInf { most.min(1.0) } else { f64::INFINITY };
    lower.is_finite().then_some((lower, upper))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss, reason = "small counts")]

    use proptest::prelude::*;

    use super::*;
    use crate::stats::distance::{hellinger, jensen_shannon};
    use crate::stats::psi::{Zero, psi};

    #[test]
    fn a_share_has_the_bound_of_chernoff() {
        // scipy 1.17: brentq of n·kl(p, q) − ln(2/α) on either side of p.
        for (k, n, alpha, lower, upper) in [
            (100, 1000, 0.05, 0.076_203_672_868_979_14, 0.127_720_147_113_071_11),
            (100, 1000, 1e-6, 0.056_626_362_044_834_87, 0.158_680_432_303_129_42),
            (3, 200, 1e-3, 0.000_454_670_319_857_389_1, 0.075_278_365_114_865_99),
        ] {
            let (low, high) = share((k, n), 1.0, alpha).unwrap();
            assert!((low - lower).abs() < 1e-9 && (high - upper).abs() < 1e-9, "{k}/{n} {alpha}: {low} {high}");
        }
        // With no success the upper end is 1 − (α/2)^(1/n).
        let (low, high) = share((0, 100), 1.0, 0.01).unwrap();
        assert!(low == 0.0 && (high - (1.0 - 0.005_f64.powf(0.01))).abs() < 1e-12, "{low} {high}");
        assert_eq!((share((0, 0), 1.0, 0.1), share((2, 1), 1.0, 0.1), share((1, 2), 1.0, 0.0)), (None, None, None));
        let (narrow, wide) = (share((50, 100), 1.0, 0.05).unwrap(), share((50, 100), 4.0, 0.05).unwrap());
        assert!(wide.0 < narrow.0 && narrow.1 < wide.1, "rows that depend on each other say less");
    }

    #[test]
    fn a_number_of_events_has_the_bound_of_chernoff() {
        // scipy 1.17: brentq of λ − n + n·ln(n/λ) − ln(2/α) on either side of n.
        for (n, alpha, lower, upper) in [
            (100, 0.05, 75.239_509_856_781_37, 129.674_968_882_580_94),
            (7, 1e-4, 0.690_583_029_014_346_3, 26.121_401_122_067_223),
        ] {
            let (low, high) = count(n, 1.0, alpha).unwrap();
            assert!((low - lower).abs() < 1e-6 && (high - upper).abs() < 1e-6, "{n} {alpha}: {low} {high}");
        }
        assert_eq!(count(0, 1.0, 0.01).unwrap().0.to_string(), "0");
        assert!((count(0, 1.0, 0.01).unwrap().1 - 200.0_f64.ln()).abs() < 1e-9, "of none the mean is at most ln(2/α)");
        let (narrow, wide) = (count(1000, 1.0, 0.01).unwrap(), count(1000, 5.0, 0.01).unwrap());
        assert!(wide.0 < narrow.0 && narrow.1 < wide.1, "events that come together say less");
    }

    #[test]
    fn a_spread_has_the_bound_of_maurer_and_pontil() {
        // By hand: √(2·0.25·ln(200)/999) + 7·ln(200)/(3·999).
        let log = 200.0_f64.ln();
        let expected = (0.5 * log / 999.0).sqrt() + 7.0 * log / 2997.0;
        assert!((spread(0.25, 1.0, 1000.0, 0.01).unwrap() - expected).abs() < 1e-12);
        assert!(spread(0.0, 2.0, 1000.0, 0.01).unwrap() > 0.0, "values that are all alike may be few");
        assert_eq!((spread(0.25, 1.0, 1.0, 0.01), spread(0.25, 1.0, 9.0, 0.0)), (None, None));
    }

    /// The probability that Binomial(n, p) is k, for k = 0..=n.
    fn binomial(n: u64, p: f64) -> Vec<f64> {
        let mut masses = vec![0.0; usize::try_from(n).unwrap() + 1];
        let (mut log, odds) = (f64::from(u32::try_from(n).unwrap()) * (1.0 - p).ln(), (p / (1.0 - p)).ln());
        for k in 0..=n {
            masses[usize::try_from(k).unwrap()] = log.exp();
            let [k, n] = [k, n].map(|x| f64::from(u32::try_from(x).unwrap()));
            log += ((n - k) / (k + 1.0)).ln() + odds;
        }
        masses
    }

    #[test]
    fn a_bound_misses_no_more_often_than_it_says() {
        for (n, p) in [(20, 0.5), (200, 0.02), (1000, 0.3), (50, 0.9)] {
            for alpha in [0.1, 0.01, 1e-4] {
                let missed: f64 = (0..=n)
                    .zip(binomial(n, p))
                    .filter(|(k, _)| share((*k, n), 1.0, alpha).is_some_and(|(low, high)| p < low || p > high))
                    .map(|(_, mass)| mass)
                    .sum();
                assert!(missed <= alpha, "{n} {p} {alpha}: {missed}");
            }
        }
    }

    proptest! {
        /// The value lies within its bounds, which widen as α falls.
        #[test]
        fn bounds_hold_the_value_and_nest(
            counts in prop::collection::vec((1_u64..3000, 1_u64..3000), 2..12),
            alpha in 1e-9..0.5_f64,
        ) {
            let (reference, window): (Vec<u64>, Vec<u64>) = counts.into_iter().unzip();
            let largest = || {
                let (m, n) = (reference.iter().sum::<u64>() as f64, window.iter().sum::<u64>() as f64);
                reference.iter().zip(&window).map(|(r, w)| (*r as f64 / m - *w as f64 / n).abs()).fold(0.0, f64::max)
            };
            for parts in [Parts::Psi, Parts::JensenShannon, Parts::Hellinger, Parts::LInf] {
                let value = match parts {
                    Parts::Psi => psi(&reference, &window, Zero::Half).unwrap(),
                    Parts::JensenShannon => jensen_shannon(&reference, &window).unwrap(),
                    Parts::Hellinger => hellinger(&reference, &window).unwrap(),
                    Parts::LInf => largest(),
                };
                let of = |alpha| distance(parts, (&reference, &window), (1.0, 1.0), alpha).unwrap();
                let ((low, high), (lower, higher)) = (of(alpha), of(alpha / 10.0));
                prop_assert!(low <= value + 1e-9 && value <= high + 1e-9, "{:?} {} {} {}", parts, low, value, high);
                prop_assert!(lower <= low && high <= higher);
            }
        }
    }
}
