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

/// A value in billionths, half to even; exact integer arithmetic on the double's own digits. Finite values only.
#[must_use]
pub fn fixed(x: f64) -> i128 {
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
