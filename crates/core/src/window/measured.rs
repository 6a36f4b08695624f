//! Measurements of one metric over some span: a count, an exact sum in billionths, the smallest and the largest value.
//! All of it integers, so that cells merge in any order to the same bytes.

use serde::{Deserialize, Serialize};

use crate::state_v4;
use crate::stats::fixed::{FixedSum, SCALE, fixed};
use crate::stats::ratio::Ratio;

/// Decimals that a sum has, and that its mean is continued by.
const DECIMALS: usize = 9;
const MORE_DECIMALS: usize = 18;
const MORE: i128 = 1_000_000_000_000_000_000;

/// The measurements of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredCell {
    /// Sum of the measurements' `n`.
    pub n: u64,
    /// Sum of value times `n`, in billionths.
    sum: i128,
    /// The smallest and the largest value as keys that compare like them; nothing while `n` is 0.
    low: i64,
    high: i64,
}

impl From<state_v4::Measured> for MeasuredCell {
    fn from(old: state_v4::Measured) -> Self {
        Self { n: old.n, sum: old.sum, low: old.low, high: old.high }
    }
}

impl MeasuredCell {
    /// Counts a measurement: a finite value within `MOST_VALUE`, kept to the nearest billionth, and its weight.
    pub fn count(&mut self, value: f64, n: u64) {
        let key = key(value);
        self.merge(&Self { n, sum: fixed(value).wrapping_mul(i128::from(n)), low: key, high: key });
    }

    /// Those of values, each once: finite ones within `MOST_VALUE`.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let none = Self { n: 0, sum: 0, low: i64::MAX, high: i64::MIN };
        let all = values.fold(none, |all, value| {
            let key = key(value);
            Self {
                n: all.n + 1,
                sum: all.sum.wrapping_add(fixed(value)),
                low: all.low.min(key),
                high: all.high.max(key),
            }
        });
        if all.n == 0 { Self::default() } else { all }
    }

    /// Adds another span's measurements.
    pub fn merge(&mut self, other: &Self) {
        if self.n == 0 || other.n == 0 {
            if self.n == 0 {
                *self = *other;
            }
            return;
        }
        // 2^64 observations, or 1.7e8 measurements at both bounds at once, are no window.
        self.n = self.n.saturating_add(other.n);
        self.sum = self.sum.wrapping_add(other.sum);
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    #[must_use]
    pub fn min(&self) -> Option<f64> {
        (self.n > 0).then(|| unkey(self.low))
    }

    #[must_use]
    pub fn max(&self) -> Option<f64> {
        (self.n > 0).then(|| unkey(self.high))
    }

    /// The sum of value times `n`: the double nearest to it.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        (self.n > 0).then(|| real(self.sum, 0))
    }

    /// The mean of the values weighted by `n`: the double nearest to its first 27 decimals.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| {
            let n = i128::from(self.n);
            let (whole, rest) = (self.sum.abs() / n, self.sum.abs() % n);
            let mean = real(whole, rest * MORE / n);
            if self.sum < 0 { -mean } else { mean }
        })
    }

    /// How many, and the sum of value times `n`.
    #[must_use]
    pub fn fixed_sum(&self) -> FixedSum {
        FixedSum { n: self.n, sum: self.sum }
    }

    /// The sum, exactly: compare it with a limit.
    #[must_use]
    pub fn exact_sum(&self) -> Option<Ratio> {
        if self.n == 0 { None } else { Ratio::new(self.sum, i128::from(SCALE)) }
    }

    /// The mean, exactly: by what was summed, not by a rounded mean.
    #[must_use]
    pub fn exact_mean(&self) -> Option<Ratio> {
        Ratio::new(self.sum, i128::from(SCALE).checked_mul(i128::from(self.n))?)
    }
}

/// The double nearest to a number of billionths and as many 1e-27ths.
fn real(billionths: i128, more: i128) -> f64 {
    let (scale, sign) = (i128::from(SCALE), if billionths < 0 { "-" } else { "" });
    let (whole, decimals) = (billionths.abs() / scale, billionths.abs() % scale);
    let text = format!("{sign}{whole}.{decimals:0DECIMALS$}{more:0MORE_DECIMALS$}");
    // Digits and a point always are a number.
    text.parse().unwrap_or(f64::NAN)
}

/// An integer that compares like a double's total order. Its own inverse on the bits.
fn key(x: f64) -> i64 {
    let bits = x.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

fn unkey(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "values are exact, or the nearest double of a decimal")]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::MOST_VALUE;
    use crate::stats::limit::Limit;

    fn of(measurements: &[(f64, u64)]) -> MeasuredCell {
        let mut cell = MeasuredCell::default();
        measurements.iter().for_each(|&(value, n)| cell.count(value, n));
        cell
    }

    #[test]
    fn values_are_kept_in_billionths_half_to_even() {
        for (x, billionths) in [
            (0.42, 420_000_000),
            (-0.1, -100_000_000),
            (0.0, 0),
            (1e12, 1_000_000_000_000_000_000_000),
            (1e-9, 1),
            (1e-10, 0),
            // 2^-10 and 3 * 2^-10 are 976562.5 and 2929687.5 billionths.
            (1.0 / 1024.0, 976_562),
            (3.0 / 1024.0, 2_929_688),
            (-3.0 / 1024.0, -2_929_688),
            (f64::MIN_POSITIVE, 0),
            (5e-324, 0),
        ] {
            assert_eq!(fixed(x), billionths, "{x}");
        }
    }

    #[test]
    fn a_mean_is_weighted_and_decimals_stay_what_they_are() {
        let cell = of(&[(0.42, 1200), (0.5, 800)]);
        // (0.42 * 1200 + 0.5 * 800) / 2000 = 904 / 2000
        assert_eq!((cell.mean(), cell.sum(), cell.n), (Some(0.452), Some(904.0), 2000));
        assert_eq!((cell.min(), cell.max()), (Some(0.42), Some(0.5)));
        assert_eq!(of(&[(0.1, 1), (0.2, 1)]).sum(), Some(0.3), "in floats it would be 0.30000000000000004");
        assert_eq!(of(&[(1.0, 1), (0.0, 2)]).mean(), Some(1.0 / 3.0));
        assert_eq!(of(&[(-1.0, 2), (0.0, 1)]).mean(), Some(-2.0 / 3.0));
        assert_eq!(of(&[(-0.25, 1)]).sum(), Some(-0.25));
        let none = MeasuredCell::default();
        assert_eq!((none.mean(), none.sum(), none.min(), none.max()), (None, None, None, None));
    }

    #[test]
    fn a_mean_at_its_limit_is_at_its_limit() {
        let mean = |measurements: &[(f64, u64)], limit: f64| {
            Limit::of(limit).unwrap().order(of(measurements).exact_mean().unwrap())
        };
        assert_eq!(mean(&[(0.3, 1), (0.6, 1), (0.6, 1)], 0.5), Ordering::Equal);
        assert_eq!(mean(&[(0.3, 1), (0.6, 1), (0.600_000_001, 1)], 0.5), Ordering::Greater);
        assert_eq!(mean(&[(0.3, 1), (0.6, 1), (0.599_999_999, 1)], 0.5), Ordering::Less);
        assert_eq!(mean(&[(-0.3, 1), (-0.6, 1), (-0.6, 1)], -0.5), Ordering::Equal);
        assert_eq!(mean(&[(-1.0, 1), (0.0, 2)], -0.333_333_333), Ordering::Less);
        // Neither is rounded to the other's digits.
        assert_eq!(mean(&[(1.0, 1), (0.0, 2)], 0.333_333_333_333), Ordering::Greater);
        assert_eq!(mean(&[(1.0, 1), (0.0, 2)], 0.333_333_333_334), Ordering::Less);
        let sum = of(&[(0.1, 3)]).exact_sum().unwrap();
        assert_eq!(Limit::of(0.3).unwrap().order(sum), Ordering::Equal);
        assert_eq!(Limit::read("0.300000000001").unwrap().order(sum), Ordering::Less);
        assert_eq!((MeasuredCell::default().exact_mean(), MeasuredCell::default().exact_sum()), (None, None));
    }

    proptest! {
        #[test]
        fn keys_compare_like_values_and_come_back(a in -MOST_VALUE..MOST_VALUE, b in -1.0..1.0_f64) {
            prop_assert_eq!(key(a).cmp(&key(b)), a.total_cmp(&b));
            prop_assert_eq!(unkey(key(a)).to_bits(), a.to_bits());
        }

        #[test]
        fn a_value_is_within_half_a_billionth(x in -1e6..1e6_f64) {
            let back = real(fixed(x), 0);
            prop_assert!((back - x).abs() <= 0.5e-9 + x.abs() * f64::EPSILON, "{} {}", x, back);
        }

        #[test]
        fn order_and_split_change_nothing(
            measurements in prop::collection::vec((prop_oneof![-MOST_VALUE..MOST_VALUE, -1.0..1.0_f64], 1..1_000_000_000_u64), 1..40),
            cut in 0..40_usize,
            turn in 0..40_usize,
        ) {
            let all = of(&measurements);
            let mut turned = measurements.clone();
            turned.rotate_left(turn % measurements.len());
            turned.reverse();
            prop_assert_eq!(of(&turned), all);
            let (a, b) = measurements.split_at(cut.min(measurements.len()));
            let (mut ab, mut ba) = (of(a), of(b));
            ab.merge(&of(b));
            ba.merge(&of(a));
            prop_assert_eq!((ab, ba), (all, all));
            prop_assert!(all.min() <= all.mean().map(|m| m + 1e-9) && all.mean() <= all.max().map(|m| m + 1e-9));
        }
    }
}
