//! How far measurements with weights spread: what bounds of their weighted mean and of their sum need, and no value does.
//!
//! With values x and weights w of k measurements, m = Σwx/Σw has the standard error √(k/(k − 1)·Σw²(x − m)²)/Σw of a quotient of two means (Cochran,
//! Sampling Techniques, 1977, section 6.4), and Σwx, of a number of measurements that is chance, too, √Σw²x². Both are asymptotic, and of few measurements
//! a standard error is itself not known well, so their quantiles are those of Student's distribution with k − 1 degrees of freedom.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::fixed::FixedSum;
use super::real::real;
use super::sized::{SIZES, sized, sum};

/// The powers: w², w²x, w²x².
const POWERS: usize = 3;
/// Sums that are kept.
pub const TERMS: usize = POWERS * SIZES;

/// The sums of so many measurements, by power and size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weighted {
    k: u64,
    sums: [i128; TERMS],
}

/// What a measurement adds: the place of each sum, and how much.
pub fn terms(value: f64, weight: u64) -> impl Iterator<Item = (usize, f64)> {
    let weight = real(weight);
    let part = weight * value;
    [weight * weight, weight * part, part * part].into_iter().enumerate().map(|(at, power)| {
        let (size, term) = sized(power);
        (at * SIZES + size, term)
    })
}

impl Weighted {
    /// The sums at each place, with how many terms each has.
    pub fn of_cells(cell: impl Fn(usize) -> FixedSum) -> Self {
        Self { k: (0..SIZES).map(|size| cell(size).n).sum(), sums: std::array::from_fn(|at| cell(at).sum) }
    }

    /// The interval of the weighted mean, which is `mean`, of measurements with a total weight of `weight`, that misses with a probability of α. `None` with
    /// fewer than two measurements, or an α outside of (0, 1).
    #[must_use]
    pub fn mean_bounds(&self, mean: f64, weight: u64, alpha: f64) -> Option<(f64, f64)> {
        /// What a few operations on doubles lose at most.
        const LOST: f64 = 1e-15;
        let [(weights, _), (values, values_lost), (squares, squares_lost)] = self.powers();
        let parts = [squares, -2.0 * mean * values, mean * mean * weights];
        let lost =
            LOST * parts.iter().map(|part| part.abs()).sum::<f64>() + squares_lost + 2.0 * mean.abs() * values_lost;
        let k = real(self.k);
        let spread = ((parts.iter().sum::<f64>() + lost).max(0.0) * k / (k - 1.0)).sqrt();
        let half = self.quantile(alpha)? * spread / real(weight);
        Some((mean - half, mean + half)).filter(|(lower, upper)| lower.is_finite() && upper.is_finite())
    }

    /// The same of the sum of weight times value, which is `total`.
    #[must_use]
    pub fn sum_bounds(&self, total: f64, alpha: f64) -> Option<(f64, f64)> {
        let [.., (squares, lost)] = self.powers();
        let half = self.quantile(alpha)? * (squares + lost).sqrt();
        Some((total - half, total + half)).filter(|(lower, upper)| lower.is_finite() && upper.is_finite())
    }

    fn powers(&self) -> [(f64, f64); POWERS] {
        std::array::from_fn(|power| sum(self.sums.get(power * SIZES..(power + 1) * SIZES).unwrap_or_default(), self.k))
    }

    /// The upper α/2 point of Student's distribution with k − 1 degrees of freedom.
    fn quantile(&self, alpha: f64) -> Option<f64> {
        if self.k < 2 || !(alpha > 0.0 && alpha < 1.0) {
            return None;
        }
        // By the lower tail, so that a tiny α does not round 1 − α/2 to 1.
        let t = -StudentsT::new(0.0, 1.0, real(self.k - 1)).ok()?.inverse_cdf(alpha / 2.0);
        Some(t).filter(|t| t.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::Draws;
    use super::*;
    use crate::window::measured::MeasuredCell;

    fn of(measurements: &[(f64, u64)]) -> Weighted {
        let mut cells = [MeasuredCell::default(); TERMS];
        for (value, weight) in measurements {
            terms(*value, *weight).for_each(|(at, term)| cells[at].count(term, 1));
        }
        Weighted::of_cells(|at| cells[at].fixed_sum())
    }

    #[test]
    fn quantiles_are_those_of_student() {
        // scipy 1.17: t.isf(alpha / 2, k - 1).
        for (k, alpha, expected) in [
            (2, 0.05, 12.706_204_736_174_705),
            (24, 1e-3, 3.767_626_804_311_78),
            (24, 1e-6, 6.592_650_561_601_506_5),
            (1000, 1e-4, 3.906_359_561_102_211_5),
            (1_000_000, 1e-3, 3.290_536_461_258_421),
        ] {
            let found = Weighted { k, ..Weighted::default() }.quantile(alpha).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-6, "{k} {alpha}: {found}");
        }
        assert_eq!(
            (Weighted { k: 1, ..Weighted::default() }.quantile(0.1), of(&[(1.0, 1), (2.0, 1)]).quantile(0.0)),
            (None, None)
        );
    }

    #[test]
    fn of_equal_weights_it_is_the_interval_of_a_mean() {
        let values = [12.5, 13.0, 11.25, 14.75, 12.0];
        let found = of(&values.map(|x| (x, 7)));
        // scipy 1.17: t.interval(0.99, 4, mean, sem).
        let (lower, upper) = found.mean_bounds(12.7, 35, 0.01).unwrap();
        assert!(
            (lower - 9.990_811_926_315_285).abs() < 1e-6 && (upper - 15.409_188_073_684_714).abs() < 1e-6,
            "{lower} {upper}"
        );
        // √(49·Σx²) = 7·28.56…, by hand.
        let squares: f64 = values.iter().map(|x| x * x).sum();
        let (lower, upper) = found.sum_bounds(7.0 * 63.5, 0.01).unwrap();
        let half = found.quantile(0.01).unwrap() * 7.0 * squares.sqrt();
        assert!((lower - (444.5 - half)).abs() < 1e-6 && (upper - (444.5 + half)).abs() < 1e-6);
        assert_eq!(of(&[(1.0, 5)]).mean_bounds(1.0, 5, 0.01), None, "of one nothing is known of the spread");
    }

    #[test]
    fn bounds_miss_about_as_often_as_they_say() {
        let mut draws = Draws::new(3);
        let mut missed = 0_u32;
        for _ in 0..400 {
            let measurements: Vec<(f64, u64)> =
                (0..48).map(|_| (1e5 + draws.uniform(), 1 + u64::try_from(draws.below(9)).unwrap_or(0))).collect();
            let weight: u64 = measurements.iter().map(|(_, w)| w).sum();
            let mean = measurements.iter().map(|(x, w)| x * real(*w)).sum::<f64>() / real(weight);
            let (lower, upper) = of(&measurements).mean_bounds(mean, weight, 0.05).unwrap();
            missed += u32::from(1e5 + 0.5 < lower || upper < 1e5 + 0.5);
            assert!(upper - lower < 0.6, "{lower} {upper}");
        }
        assert!((6..=34).contains(&missed), "of 400 at 5%: {missed}");
    }
}
