//! Sums of values in billionths: integers, which merge in any order to the same bytes.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::ratio::Ratio;

/// Fixed-point units of 1.
pub const SCALE: u64 = 1_000_000_000;
/// Values beyond plus and minus this count as it.
pub const MOST: f64 = 1e12;

/// So many values and their sum, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedSum {
    pub n: u64,
    pub sum: i128,
}

impl FixedSum {
    /// Of values without NaN.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let sum = values.iter().fold(0_i128, |sum, value| sum.wrapping_add(fixed(value.clamp(-MOST, MOST))));
        Self { n: values.len() as u64, sum }
    }

    /// The mean, exactly; `None` of no values.
    #[must_use]
    pub fn exact_mean(&self) -> Option<Ratio> {
        Ratio::new(self.sum, i128::from(SCALE).checked_mul(i128::from(self.n))?)
    }
}

/// A value in billionths, half to even, exactly. Finite values only.
#[must_use]
#[inline]
pub fn fixed(x: f64) -> i128 {
    if x.abs() < SMALL { i128::from(of_small(x)) } else { of_digits(x) }
}

/// Values below this have less than 2^51 billionths.
const SMALL: f64 = 2_251_799.0;

/// The same of a value below `SMALL`, without integers of more than 64 bits. A product of two parts of the value is exact: 32 digits by the 21 of 5^9,
/// and the 21 digits that are left by them. What adding them loses is known, too (Dekker, A floating-point technique for extending the available
/// precision, 1971).
#[inline]
fn of_small(x: f64) -> i64 {
    const LOW: u64 = (1 << 21) - 1;
    #[expect(clippy::cast_precision_loss, reason = "10^9 is a double")]
    const TIMES: f64 = SCALE as f64;
    // Adding it leaves no digit behind the point, and rounds half to even.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let high = f64::from_bits(x.to_bits() & !LOW);
    let (high, low) = (high * TIMES, (x - high) * TIMES);
    let product = high + low;
    let lost = low - (product - high);
    let rounded = (product + WHOLE) - WHOLE;
    let rest = product - rounded;
    // Exactly between two whole numbers is only what lost nothing.
    let up = f64::from(u8::from(rest >= 0.5 && lost > 0.0));
    let down = f64::from(u8::from(rest <= -0.5 && lost < 0.0));
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^52")]
    let whole = (rounded + up - down) as i64;
    whole
}

/// The same of any value, by integer arithmetic on the double's own digits.
fn of_digits(x: f64) -> i128 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let digits = if exponent == 0 { bits & FRACTION } else { bits & FRACTION | (1 << 52) };
    // |x| = digits * 2^shift.
    let shift = exponent.max(1) - 1075;
    let scaled = i128::from(digits) * i128::from(SCALE);
    let magnitude = match u32::try_from(-shift) {
        // At most 2^53 * 1e9 * 2^43: a value within `MOST_VALUE` is below 2^40.
        Err(_) => scaled.wrapping_shl(shift.unsigned_abs()),
        Ok(down @ 0..=126) => {
            let (floor, rest) = (scaled >> down, scaled & ((1 << down) - 1));
            match (rest * 2).cmp(&(1 << down)) {
                Ordering::Less => floor,
                Ordering::Equal => floor + (floor & 1),
                Ordering::Greater => floor + 1,
            }
        }
        Ok(_) => 0,
    };
    if x.is_sign_negative() { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Random values, and those whose product lies at or beside the middle of two whole numbers.
        #[test]
        fn small_values_are_those_of_the_digits(
            x in -SMALL..SMALL, half in -1_i64 << 50..1 << 50, beside in -3_i64..=3, bits in any::<u64>(), eighths in -18_000_000_i64..18_000_000
        ) {
            #[allow(clippy::cast_precision_loss)]
            let middle = (half as f64 + 0.5) / SCALE as f64;
            let near = f64::from_bits(middle.to_bits().wrapping_add_signed(beside));
            // 2^-10 is 976562.5 billionths.
            #[allow(clippy::cast_precision_loss)]
            let exact = eighths as f64 / 1024.0;
            for x in [x, near, -near, f64::from_bits(bits), exact, 0.0, -0.0, f64::MIN_POSITIVE, 5e-10, 1.5e-9] {
                if x.abs() < SMALL {
                    prop_assert_eq!(i128::from(of_small(x)), of_digits(x), "{}", x);
                }
            }
        }
    }
}
