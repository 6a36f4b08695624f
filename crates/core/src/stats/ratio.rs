//! Exact rationals for comparing a point value with a limit.
//!
//! In binary floating point 0.80 − 0.77 exceeds 0.03. Here 4/5 − 77/100 equals 3/100.

use std::cmp::Ordering;

use super::real::{gcd, signed};
use crate::codec::decimal;

/// A rational in lowest terms with a positive denominator. Ordered and compared by value, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Ratio {
    num: i128,
    den: i128,
}

impl Ratio {
    /// 0.
    pub const ZERO: Self = Self { num: 0, den: 1 };
    /// 1.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `num`/`den` in lowest terms; `None` when `den` is 0 or a sign change does not fit.
    #[must_use]
    pub fn new(num: i128, den: i128) -> Option<Self> {
        let divisor = i128::try_from(gcd(num.unsigned_abs(), den.unsigned_abs())).ok()?;
        if den == 0 {
            return None;
        }
        let (num, den) = (num / divisor, den / divisor);
        if den < 0 { Some(Self { num: num.checked_neg()?, den: den.checked_neg()? }) } else { Some(Self { num, den }) }
    }

    /// `k`/`n` of two counts; `None` when n is 0.
    #[must_use]
    pub fn of_counts(k: u64, n: u64) -> Option<Self> {
        Self::new(i128::from(k), i128::from(n))
    }

    /// The number a user wrote: the shortest decimal that reads back as `value` (0.03 is 3/100).
    ///
    /// `None` for NaN, ±inf, and magnitudes whose decimal does not fit 38 digits (at least everything between 1e-21
    /// and 1e38 does).
    #[must_use]
    pub fn from_decimal(value: f64) -> Option<Self> {
        let (number, scale) = decimal::digits(&format!("{value:e}"))?;
        let power = 10_i128.checked_pow(u32::try_from(scale.unsigned_abs()).ok()?)?;
        if scale > 0 { Self::new(number, power) } else { Self::new(number.checked_mul(power)?, 1) }
    }

    /// self − other; `None` when it does not fit (counts below 2^62 always do).
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        let shared = i128::try_from(gcd(self.den.unsigned_abs(), other.den.unsigned_abs())).ok()?;
        let (own, others) = (self.den / shared, other.den / shared);
        let num = self.num.checked_mul(others)?.checked_sub(other.num.checked_mul(own)?)?;
        Self::new(num, self.den.checked_mul(others)?)
    }

    /// self · other; `None` when it does not fit.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        // Reduced crosswise first, so that only the reduced factors are multiplied.
        let (a, b) = (Self::new(self.num, other.den)?, Self::new(other.num, self.den)?);
        Self::new(a.num.checked_mul(b.num)?, a.den.checked_mul(b.den)?)
    }

    /// self / other; `None` when other is 0 or the result does not fit.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Self> {
        self.times(Self::new(other.den, other.num)?)
    }

    /// ceil(self·n), at least 0; `None` when it does not fit.
    #[must_use]
    pub fn ceil_of(self, n: u64) -> Option<u64> {
        let den = self.den.unsigned_abs();
        let num = u128::try_from(self.num.max(0)).ok()?;
        // Whole and fractional part apart, so that only the fraction is multiplied.
        let whole = (num / den).checked_mul(u128::from(n))?;
        u64::try_from(whole.checked_add((num % den).checked_mul(u128::from(n))?.div_ceil(den))?).ok()
    }

    /// The nearest real, up to rounding of both terms.
    #[must_use]
    pub fn value(self) -> f64 {
        signed(self.num) / signed(self.den)
    }
}

impl Ord for Ratio {
    /// Compares integer parts, then the reciprocals of the remainders: exact, and nothing is multiplied.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = ((self.num, self.den), (other.num, other.den));
        let mut flipped = false;
        loop {
            // Denominators stay positive; i128::MIN / 1 is the largest quotient, so nothing overflows.
            let by_floor = a.0.div_euclid(a.1).cmp(&b.0.div_euclid(b.1));
            let (rest_a, rest_b) = (a.0.rem_euclid(a.1), b.0.rem_euclid(b.1));
            let order = match (by_floor, rest_a, rest_b) {
                (Ordering::Equal, 0, 0) => Ordering::Equal,
                (Ordering::Equal, 0, _) => Ordering::Less,
                (Ordering::Equal, _, 0) => Ordering::Greater,
                (Ordering::Equal, _, _) => {
                    (a, b) = ((a.1, rest_a), (b.1, rest_b));
                    flipped = !flipped;
                    continue;
                }
                (order, _, _) => order,
            };
            return if flipped { order.reverse() } else { order };
        }
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_as_written() {
        let pairs = [(0.03, 3, 100), (0.2, 1, 5), (1e-4, 1, 10_000), (-1.25, -5, 4), (12.0, 12, 1), (3e20, 3, 1)];
        for (value, num, den) in pairs {
            let scale = if value > 1e19 { 100_000_000_000_000_000_000 } else { 1 };
            assert_eq!(Ratio::from_decimal(value), Ratio::new(num * scale, den), "{value}");
        }
        assert_eq!(Ratio::from_decimal(-0.0), Some(Ratio::ZERO));
        for value in [f64::NAN, f64::INFINITY, 1e-300, 1e300] {
            assert_eq!(Ratio::from_decimal(value), None);
        }
    }

    #[test]
    fn a_difference_equals_its_limit_where_floats_do_not() {
        let gap = Ratio::of_counts(80, 100).zip(Ratio::of_counts(77, 100)).and_then(|(a, b)| a.minus(b));
        let (best, worst) = (std::hint::black_box(0.80), 0.77);
        assert!(best - worst > 0.03);
        assert_eq!(gap, Ratio::from_decimal(0.03));
    }

    #[test]
    fn order_is_exact_without_multiplying() {
        let big = i128::from(u64::MAX) << 60;
        let (a, b) = (Ratio::new(big, big - 1), Ratio::new(big - 1, big - 2));
        // 1 + 1/(n−1) is below 1 + 1/(n−2).
        assert_eq!(a.cmp(&b), Ordering::Less);
        assert_eq!(b.cmp(&a), Ordering::Greater);
        let sorted = [(-3, 2), (-1, 1), (-1, 3), (0, 5), (1, 3), (2, 5), (1, 2), (7, 5), (3, 2), (2, 1)];
        let sorted: Vec<Ratio> = sorted.iter().filter_map(|(num, den)| Ratio::new(*num, *den)).collect();
        for (i, left) in sorted.iter().enumerate() {
            for (j, right) in sorted.iter().enumerate() {
                assert_eq!(left.cmp(right), i.cmp(&j));
            }
        }
    }

    #[test]
    fn impossible_ratios_are_none() {
        assert_eq!((Ratio::new(1, 0), Ratio::new(i128::MIN, -1)), (None, None));
        assert_eq!(Ratio::ZERO.over(Ratio::ZERO), None);
        assert_eq!(Ratio::new(3, -6), Ratio::new(-1, 2));
    }

    #[test]
    fn what_is_alike_is_reduced_before_it_is_multiplied() {
        let of = |num, den| Ratio::new(num, den).unwrap();
        let tiny = 10_i128.pow(30);
        assert_eq!(of(7, tiny).minus(of(3, tiny)), Some(of(4, tiny)));
        assert_eq!(of(7, tiny).times(of(tiny, 3)), Some(of(7, 3)));
        assert_eq!(of(7, tiny).over(of(3, tiny)), Some(of(7, 3)));
        assert_eq!(of(1, tiny).times(of(1, tiny)), None);
        assert_eq!((of(-2, 3).times(of(3, 4)), of(2, 3).over(of(-4, 3))), (Some(of(-1, 2)), Some(of(-1, 2))));
    }
}
