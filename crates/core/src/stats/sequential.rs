//! A difference of two rates that may be looked at after every record: a confidence sequence, which holds at all looks at
//! once, where the intervals of `proportion` hold at one look chosen beforehand.

use serde::{Deserialize, Serialize};

use super::real::real;

/// The sample size (harmonic, see [`difference`]) at which the interval is tightest for its level. It must not depend on
/// the data; far from it the interval is valid all the same, only wider (by a sixth at a hundred times the size).
const TIGHTEST_AT: f64 = 10_000.0;

/// Confidence sequence of `yes_a/n_a − yes_b/n_b` at level 1 − α, from the counts so far; two-sided, within [−1, 1].
///
/// The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (Time-uniform central limit theory
/// and asymptotic confidence sequences, Annals of Statistics 52, 2024, Theorem 2.2): with sample size t and a standard
/// deviation σ estimated from the data,
///
/// ```text
/// mean ± σ·√( 2(tρ² + 1)/(t²ρ²) · ln( √(tρ² + 1)/α ) )
/// ```
///
/// which is Robbins' normal mixture boundary, the two-sided one of Howard et al. (Time-uniform, nonparametric,
/// nonasymptotic confidence sequences, Annals of Statistics 49, 2021, equation 14). ρ² = (−2 ln α + ln(1 − 2 ln α))/t*
/// is their choice for an interval that is tight at t*.
///
/// Here the mean is the difference of the rates, t the harmonic size `1/(1/n_a + 1/n_b)`, and σ²/t the sum of the variances
/// of both rates. The difference at one look has the covariance with a later one that a mean has (the later variance), so
/// the boundary carries over to any split of the traffic. One success and one failure are added to each side for σ (Agresti
/// & Caffo 2000), so that a rate of 0 does not pass for certain.
///
/// It assumes: records independent of each other, and rates that do not move with time while the split does: start the
/// counts anew when the split changes. It does not promise exactness at a few dozen records, where it is wide anyway.
///
/// `None` when a side is empty, a count of successes exceeds its n, or α is outside (0, 1).
#[must_use]
pub fn difference(yes_a: u64, n_a: u64, yes_b: u64, n_b: u64, alpha: f64) -> Option<(f64, f64)> {
    difference_of_dependent((yes_a, n_a), (yes_b, n_b), alpha, 1.0)
}

/// [`difference`] where records depend on each other: each sample counts as n/φ, φ being the design effect. One that is not
/// above 1 is 1.
#[must_use]
pub fn difference_of_dependent(
    (yes_a, n_a): (u64, u64),
    (yes_b, n_b): (u64, u64),
    alpha: f64,
    design_effect: f64,
) -> Option<(f64, f64)> {
    if n_a == 0 || n_b == 0 || yes_a > n_a || yes_b > n_b || !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let mean = real(yes_a) / real(n_a) - real(yes_b) / real(n_b);
    let effect = design_effect.max(1.0);
    let (size_a, size_b) = (real(n_a) / effect, real(n_b) / effect);
    let variance = smoothed_variance(yes_a, n_a) / size_a + smoothed_variance(yes_b, n_b) / size_b;
    around(mean, variance, 1.0 / (1.0 / size_a + 1.0 / size_b), alpha)
}

/// The boundary of [`difference`] around a mean of this variance, at the sample size `t`.
fn around(mean: f64, variance: f64, t: f64, alpha: f64) -> Option<(f64, f64)> {
    let log = -2.0 * alpha.ln();
    let rho_squared = (log + log.ln_1p()) / TIGHTEST_AT;
    let scaled = t * rho_squared;
    // 2 ln(√(tρ² + 1)/α) = ln(tρ² + 1) − 2 ln α.
    let half = (variance * (scaled + 1.0) / scaled * (scaled.ln_1p() + log)).sqrt();
    half.is_finite().then_some(((mean - half).max(-1.0), (mean + half).min(1.0)))
}

/// Two rates over spans of time, compared span by span: an influence on both rates (the time of day) and a split of the
/// traffic that changes from span to span are no difference. The spans' differences are averaged by their harmonic sizes
/// (Mantel & Haenszel 1959); with one split throughout this is [`difference`] of the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    pub yes_a: u64,
    pub n_a: u64,
    pub yes_b: u64,
    pub n_b: u64,
    /// Σ t of the spans, Σ t·difference, and Σ t²/n of each side.
    size: f64,
    difference: f64,
    spread_a: f64,
    spread_b: f64,
}

impl Paired {
    /// Adds a span. One in which a side is empty compares nothing and is left out.
    pub fn add(&mut self, yes_a: u64, n_a: u64, yes_b: u64, n_b: u64) {
        if n_a == 0 || n_b == 0 || yes_a > n_a || yes_b > n_b {
            return;
        }
        let (size_a, size_b) = (real(n_a), real(n_b));
        let t = 1.0 / (1.0 / size_a + 1.0 / size_b);
        self.yes_a = self.yes_a.saturating_add(yes_a);
        self.n_a = self.n_a.saturating_add(n_a);
        self.yes_b = self.yes_b.saturating_add(yes_b);
        self.n_b = self.n_b.saturating_add(n_b);
        self.size += t;
        self.difference += t * (real(yes_a) / size_a - real(yes_b) / size_b);
        self.spread_a += t * t / size_a;
        self.spread_b += t * t / size_b;
    }

    /// The confidence sequence of the difference at level 1 − α; `None` before the first span, or with an α outside (0, 1).
    #[must_use]
    pub fn bounds(&self, alpha: f64) -> Option<(f64, f64)> {
        if self.size <= 0.0 || !(alpha > 0.0 && alpha < 1.0) {
            return None;
        }
        let variance = smoothed_variance(self.yes_a, self.n_a) * self.spread_a
            + smoothed_variance(self.yes_b, self.n_b) * self.spread_b;
        around(self.difference / self.size, variance / (self.size * self.size), self.size, alpha)
    }
}

/// p(1 − p) of a rate with one success and one failure added.
fn smoothed_variance(yes: u64, n: u64) -> f64 {
    let rate = (real(yes) + 1.0) / (real(n) + 2.0);
    rate * (1.0 - rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::proportion::newcombe;
    use proptest::prelude::*;

    const ALPHA: f64 = 0.05;

    /// Knuth's MMIX generator with the output mixed (as in `SplitMix64`): the same draws on every run.
    struct Draws(u64);

    impl Draws {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut x = self.0;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            real((x ^ (x >> 31)) >> 11) / real(1 << 53)
        }

        fn successes(&mut self, n: u64, rate: f64) -> u64 {
            (0..n).map(|_| u64::from(self.uniform() < rate)).sum()
        }
    }

    /// Looks 200 times at a growing experiment; `each` is the addition of every look to each side. Returns the first look at
    /// which `stop` holds of the counts.
    fn first_look(
        draws: &mut Draws,
        (rate_a, rate_b): (f64, f64),
        (each_a, each_b): (u64, u64),
        stop: impl Fn(u64, u64, u64, u64) -> bool,
    ) -> Option<u64> {
        let (mut yes_a, mut yes_b) = (0, 0);
        (1..=200).find(|look| {
            yes_a += draws.successes(each_a, rate_a);
            yes_b += draws.successes(each_b, rate_b);
            stop(yes_a, look * each_a, yes_b, look * each_b)
        })
    }

    fn excludes_zero(bounds: Option<(f64, f64)>) -> bool {
        bounds.is_some_and(|(lower, upper)| lower > 0.0 || upper < 0.0)
    }

    #[test]
    fn no_difference_stays_unfound_through_200_looks() {
        let mut draws = Draws(7);
        // Small, uneven and large samples; a common and a rare success.
        for (rate, each) in [(0.1, (20, 20)), (0.02, (10, 90)), (0.5, (5, 5)), (0.3, (100, 100))] {
            let count = |draws: &mut Draws, find: &dyn Fn(u64, u64, u64, u64) -> bool| {
                (0..400).filter(|_| first_look(draws, (rate, rate), each, find).is_some()).count()
            };
            let always = count(&mut draws, &|ya, na, yb, nb| excludes_zero(difference(ya, na, yb, nb, ALPHA)));
            assert!(always < 20, "{always} false alarms in 400 runs at rate {rate}, {each:?} a look");
        }
        // The same looks with intervals made for one look, which the sequence replaces.
        let fixed = (0..100)
            .filter(|_| {
                first_look(&mut draws, (0.1, 0.1), (20, 20), |ya, na, yb, nb| {
                    excludes_zero(newcombe(ya, na, yb, nb, ALPHA))
                })
                .is_some()
            })
            .count();
        assert!(fixed > 20, "{fixed} of 100 runs");
    }

    #[test]
    fn a_real_difference_is_found_and_on_its_side() {
        let mut draws = Draws(11);
        for _ in 0..50 {
            let up = first_look(&mut draws, (0.13, 0.1), (100, 100), |ya, na, yb, nb| {
                difference(ya, na, yb, nb, ALPHA).is_some_and(|(lower, _)| lower > 0.0)
            });
            assert!(up.is_some());
            let down = first_look(&mut draws, (0.07, 0.1), (50, 450), |ya, na, yb, nb| {
                difference(ya, na, yb, nb, ALPHA).is_some_and(|(_, upper)| upper < 0.0)
            });
            assert!(down.is_some());
        }
    }

    #[test]
    fn it_covers_the_difference_at_all_looks() {
        let mut draws = Draws(13);
        let missed = (0..400).filter(|_| {
            first_look(&mut draws, (0.25, 0.2), (25, 75), |ya, na, yb, nb| {
                difference(ya, na, yb, nb, ALPHA).is_some_and(|(lower, upper)| !(lower..=upper).contains(&0.05))
            })
            .is_some()
        });
        assert!(missed.count() < 20);
    }

    #[test]
    fn a_value_by_hand() {
        // t = 5000, σ²/t = 2·(1001/10002)(9001/10002)/10000, ρ² = (5.991465 + ln 6.991465)/10⁴, so tρ² = 3.968077:
        // half = √(1.801280e-5 · 4.968077/3.968077 · (ln 4.968077 + 5.991465)).
        let (lower, upper) = difference(1000, 10_000, 1000, 10_000, ALPHA).unwrap();
        assert!((upper - 0.013_087_12).abs() < 1e-7 && (lower + upper).abs() < 1e-15, "{lower} {upper}");
    }

    #[test]
    fn what_cannot_be_compared() {
        assert_eq!(difference(0, 0, 1, 2, ALPHA), None);
        assert_eq!(difference(1, 2, 0, 0, ALPHA), None);
        assert_eq!(difference(3, 2, 1, 2, ALPHA), None);
        for alpha in [0.0, 1.0, -1.0, f64::NAN] {
            assert_eq!(difference(1, 2, 1, 2, alpha), None);
        }
        assert_eq!(difference(0, 1, 1, 1, ALPHA), Some((-1.0, 1.0)), "one record says nothing");
        assert!(difference(u64::MAX, u64::MAX, 0, u64::MAX, ALPHA).is_some_and(|(lower, _)| lower > 0.99));
    }

    #[test]
    fn spans_of_one_split_are_their_sum_and_a_split_that_moves_is_no_difference() {
        let mut paired = Paired::default();
        for (yes_a, yes_b) in [(12, 80), (7, 95), (11, 91)] {
            paired.add(yes_a, 100, yes_b, 900);
        }
        let (lower, upper) = paired.bounds(ALPHA).unwrap();
        let (whole_lower, whole_upper) = difference(30, 300, 266, 2700, ALPHA).unwrap();
        assert!((lower - whole_lower).abs() < 1e-12 && (upper - whole_upper).abs() < 1e-12);
        // By day both are clicked at 20% and the candidate has a tenth of the traffic, by night at 2% and it has half.
        let mut paired = Paired::default();
        for _ in 0..50 {
            paired.add(200, 1000, 1800, 9000);
            paired.add(100, 5000, 100, 5000);
        }
        assert!(!excludes_zero(paired.bounds(ALPHA)));
        assert!(excludes_zero(difference(paired.yes_a, paired.n_a, paired.yes_b, paired.n_b, ALPHA)));
        // A span without one side says nothing.
        let before = paired;
        paired.add(0, 0, 5, 10);
        paired.add(5, 10, 0, 0);
        assert_eq!((paired, Paired::default().bounds(ALPHA), paired.bounds(1.0)), (before, None, None));
    }

    proptest! {
        #[test]
        fn it_contains_the_fixed_interval_and_changes_sign_with_the_sides(
            (n_a, n_b) in (50_u64..1_000_000, 50_u64..1_000_000),
            (a, b) in (0.05..0.95, 0.05..0.95),
            alpha in 0.001..0.5,
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below n")]
            let part = |share: f64, n: u64| (share * real(n)) as u64;
            let (yes_a, yes_b) = (part(a, n_a), part(b, n_b));
            let (lower, upper) = difference(yes_a, n_a, yes_b, n_b, alpha).unwrap();
            let (narrow_lower, narrow_upper) = newcombe(yes_a, n_a, yes_b, n_b, alpha).unwrap();
            prop_assert!(lower <= narrow_lower && narrow_upper <= upper);
            prop_assert!(upper - lower > narrow_upper - narrow_lower);
            let (back_lower, back_upper) = difference(yes_b, n_b, yes_a, n_a, alpha).unwrap();
            prop_assert!((lower + back_upper).abs() < 1e-12 && (upper + back_lower).abs() < 1e-12);
        }
    }
}
