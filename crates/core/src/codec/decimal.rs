//! The one exact decimal: what the digits of a written number say, without a detour over floats. Limits, offline metrics and
//! metrics of recorded runs are compared as such; how fast the decoder reads floats is `decode`'s.

use rust_decimal::Decimal;

/// The digits of a written number without needless zeros, and how many of them are decimals: `digits` / 10^`scale`. A number
/// that ends in zeros has a scale below 0. `None` for what is no number, and beyond 38 digits.
#[must_use]
pub fn digits(text: &str) -> Option<(i128, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let kept = all.trim_end_matches('0');
    if kept.is_empty() {
        return Some((0, 0));
    }
    let dropped = i64::try_from(all.len() - kept.len()).ok()?;
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(dropped)?.checked_sub(exponent)?;
    Some((sign * kept.parse::<i128>().ok()?, scale))
}

/// The decimal that a text says, exactly and without needless zeros; `None` for what is no number, and beyond 28 decimals
/// or 7.9e28.
#[must_use]
pub fn read(text: &str) -> Option<Decimal> {
    let (number, scale) = digits(text)?;
    if scale >= 0 {
        return Decimal::try_from_i128_with_scale(number, u32::try_from(scale).ok()?).ok();
    }
    let power = 10_i128.checked_pow(u32::try_from(scale.unsigned_abs()).ok()?)?;
    Decimal::try_from_i128_with_scale(number.checked_mul(power)?, 0).ok()
}

/// The decimal that a float's shortest text says.
#[must_use]
pub fn of(number: f64) -> Option<Decimal> {
    read(&format!("{number:e}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_what_its_digits_say() {
        for (text, number, scale) in [
            ("0.20", 2, 1),
            ("-1.5E+3", -15, -2),
            ("80.", 8, -1),
            ("+.5", 5, 1),
            ("-0.0", 0, 0),
            ("0e999", 0, 0),
            ("12345678901234567890123456789012345678", 12_345_678_901_234_567_890_123_456_789_012_345_678, 0),
        ] {
            assert_eq!(digits(text), Some((number, scale)), "{text}");
        }
        for text in ["", ".", "-", "e5", "1e", "1e5.0", "0x1", "NaN", "inf", "1 ", "--1", "1_0", "é"] {
            assert_eq!((digits(text), read(text)), (None, None), "{text}");
        }
        assert_eq!([read("1e-29"), read("1e29"), of(f64::NAN), of(f64::INFINITY)], [None; 4]);
    }

    proptest! {
        #[test]
        fn it_reads_what_it_shows(mantissa in any::<i64>(), exponent in -28_i32..9) {
            let read_back = read(&format!("{mantissa}e{exponent}")).map(|number| read(&number.to_string()));
            prop_assert_eq!(read_back, Some(read(&format!("{mantissa}e{exponent}"))));
        }

        #[test]
        fn a_float_is_the_decimal_of_its_shortest_text(x in -1e9_f64..1e9) {
            prop_assert_eq!(of(x), read(&x.to_string()));
        }
    }
}
