//! Sums without a sign as digits that are added without carrying: each digit is a count of its own, so counts that are only added and
//! subtracted one by one hold a sum that no single one of them has room for.

/// Bits of a digit. Of 2³² numbers each digit's count stays below 2⁴⁸.
const BITS: u32 = 16;

/// Writes a number's digits, the lowest first; what does not fit is cut off, so a caller gives as many digits as its largest number has.
pub fn write(mut number: u128, digits: &mut [u64]) {
    for digit in digits {
        // The mask leaves 16 bits.
        *digit = u64::try_from(number & ((1 << BITS) - 1)).unwrap_or(0);
        number >>= BITS;
    }
}

/// The sum whose digits were added up one by one.
#[must_use]
pub fn read(digits: &[u64]) -> i128 {
    // From the highest on.
    digits.iter().rev().fold(0_i128, |sum, digit| (sum << BITS).wrapping_add(i128::from(*digit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_has_its_digits() {
        let mut digits = [0; 3];
        write(0x0003_0002_0001, &mut digits);
        assert_eq!(digits, [1, 2, 3]);
        assert_eq!(read(&[0x1_0000, 0, 1]), (1 << 32) + (1 << 16), "a digit may have grown beyond its bits");
    }

    proptest! {
        #[test]
        fn digits_add_up_and_are_taken_away_again(numbers in prop::collection::vec(0_u128..1 << 100, 1..50), cut in 0..50_usize) {
            let mut sums = [0_u64; 7];
            let each = |number: &u128| { let mut digits = [0; 7]; write(*number, &mut digits); digits };
            for number in &numbers {
                sums.iter_mut().zip(each(number)).for_each(|(sum, digit)| *sum += digit);
            }
            prop_assert_eq!(read(&sums), numbers.iter().map(|n| i128::try_from(*n).unwrap()).sum::<i128>());
            let (gone, left) = numbers.split_at(cut.min(numbers.len()));
            for number in gone {
                sums.iter_mut().zip(each(number)).for_each(|(sum, digit)| *sum -= digit);
            }
            prop_assert_eq!(read(&sums), left.iter().map(|n| i128::try_from(*n).unwrap()).sum::<i128>());
        }
    }
}
