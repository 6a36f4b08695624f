//! Sums of numbers of very different sizes, such as fourth powers: each number is summed with those of its size, in billionths of that size's unit, so
//! that a sum of 128 bits has room for the largest and digits for the smallest.

use super::fixed::SCALE;
use super::real::real;

/// Sizes: below 1, below 1e20, and beyond.
pub const SIZES: usize = 3;
const LARGE: f64 = 1e20;
/// What a sum of each size is multiplied by.
const UNITS: [f64; SIZES] = [1e-18, 1.0, LARGE];

/// The size of a number, and the number in that size's unit: below 1e20 for numbers below 1e40.
#[must_use]
pub fn sized(x: f64) -> (usize, f64) {
    let size = if x.abs() < 1.0 { 0 } else { 1 + usize::from(x.abs() >= LARGE) };
    let [small, middle, large] = UNITS;
    (
        size,
        x / if size == 0 {
            small
        } else if size == 1 {
            middle
        } else {
            large
        },
    )
}

/// The sum of so many numbers by the sums of each size, and the most that it may have lost by rounding.
#[must_use]
pub fn sum(sums: &[i128], n: u64) -> (f64, f64) {
    sums.iter().zip(UNITS).fold((0.0, 0.0), |(total, lost), (sum, unit)| {
        #[expect(clippy::cast_precision_loss, reason = "bounds are floats")]
        let of_size = *sum as f64 / real(SCALE) * unit;
        let rounded = if *sum == 0 { 0.0 } else { real(n) * unit / real(SCALE) };
        (total + of_size, lost + rounded)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixed::fixed;
    use super::*;

    proptest! {
        /// The sum in floats, within what may have been lost.
        #[test]
        fn numbers_add_up(numbers in prop::collection::vec((-1.0..1.0_f64, -30..40_i32), 1..30)) {
            let numbers: Vec<f64> = numbers.into_iter().map(|(x, power)| x * 10.0_f64.powi(power)).collect();
            let mut sums = [0; SIZES];
            for (size, term) in numbers.iter().map(|x| sized(*x)) {
                sums[size] += fixed(term);
            }
            let (total, lost) = sum(&sums, numbers.len() as u64);
            let largest: f64 = numbers.iter().map(|x| x.abs()).sum();
            prop_assert!((total - numbers.iter().sum::<f64>()).abs() <= lost + 1e-27 * 30.0 + largest * 1e-14);
        }
    }
}
