//! Decimals of up to 256 bits as the numbers that they are: whole ones as integers, others as the nearest doubles.

use std::io::Write as _;

use polars_core::prelude::{
    BinaryChunked, Float64Chunked, Int64Chunked, Int128Chunked, IntoSeries as _, Series, StringChunked,
};

use driftgate_core::decode::narrow::POWERS;
use driftgate_core::schema::canonical_number;

/// A digit above 128 bits is worth 2^128, which is ten times this and 6.
const PART: u128 = u128::MAX / 10;
/// Digits of the longest decimal that polars has a type for, and the least number with more.
const LONGEST_DECIMAL: usize = 38;
const MOST_DECIMAL: i128 = 10_i128.pow(38);
/// Whole numbers below this are doubles.
const EXACT_INTEGER: u128 = 1 << 53;

/// A column of decimals.
pub enum Decimals {
    /// All are whole and 64 bits hold them.
    Whole(Int64Chunked),
    /// Numbers that doubles distinguish.
    Doubles(Float64Chunked),
    /// Some are whole and longer than that, as keys are: as doubles, and as texts.
    Long(Float64Chunked, StringChunked),
}

/// A column of decimals: as whole numbers where all are, which keeps long ones apart, else as doubles.
#[must_use]
pub fn numbers(values: &[Option<Decimal>]) -> Decimals {
    let whole = |value: &Option<Decimal>| value.map(|d| d.whole().ok_or(())).transpose();
    if let Ok(whole) = values.iter().map(whole).collect::<Result<Int64Chunked, ()>>() {
        return Decimals::Whole(whole);
    }
    let doubles = values.iter().map(|v| v.map(Decimal::double)).collect();
    if !values.iter().flatten().any(|d| d.long().is_some()) {
        return Decimals::Doubles(doubles);
    }
    let text = |d: Decimal| {
        d.long().unwrap_or_else(|| {
            let mut text = String::new();
            canonical_number(d.double(), &mut text);
            text
        })
    };
    Decimals::Long(doubles, values.iter().map(|v| v.map(text)).collect())
}

/// A column of decimals, each in bytes, the highest first, and with so many digits behind the point.
///
/// # Errors
/// A number of more than 256 bits.
pub fn of_bytes(column: &BinaryChunked, scale: usize) -> Result<Series, String> {
    let long = || "it holds a decimal of more than 256 bits".to_owned();
    let value = |bytes: Option<&[u8]>| bytes.map(|b| Decimal::of_bytes(b, scale).ok_or_else(long)).transpose();
    let values: Vec<Option<Decimal>> = column.iter().map(value).collect::<Result<_, _>>()?;
    Ok(match numbers(&values) {
        Decimals::Whole(whole) => whole.with_name(column.name().clone()).into_series(),
        Decimals::Doubles(doubles) => doubles.with_name(column.name().clone()).into_series(),
        Decimals::Long(doubles, texts) => {
            // Texts of numbers are no text: polars has a type for those of 38 digits.
            let narrow = |v: &Option<Decimal>| v.map(|d| d.unscaled().ok_or(())).transpose();
            match values.iter().map(narrow).collect::<Result<Int128Chunked, ()>>() {
                Ok(narrow) if scale <= LONGEST_DECIMAL => {
                    drop(texts);
                    narrow.with_name(column.name().clone()).into_decimal_unchecked(LONGEST_DECIMAL, scale).into_series()
                }
                _ => doubles.with_name(column.name().clone()).into_series(),
            }
        }
    })
}

/// A decimal: its digits as one number, the sign, and how many of them are behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Of 256 bits, the lower half first.
    digits: [u128; 2],
    scale: usize,
}

impl Decimal {
    #[must_use]
    pub fn new(unscaled: i128, scale: usize) -> Self {
        Self { negative: unscaled < 0, digits: [unscaled.unsigned_abs(), 0], scale }
    }

    /// A number in two's complement, the highest byte first; `None` if it has more than 256 bits.
    #[must_use]
    pub fn of_bytes(bytes: &[u8], scale: usize) -> Option<Self> {
        let negative = bytes.first().is_some_and(|b| b >> 7 == 1);
        let sign = if negative { 0xff } else { 0 };
        let skipped = bytes.len().saturating_sub(32);
        let (head, tail) = bytes.split_at_checked(skipped)?;
        if head.iter().any(|&b| b != sign) || (skipped > 0 && tail.first().is_some_and(|b| b >> 7 != sign >> 7)) {
            return None;
        }
        let mut wide = [sign; 32];
        wide.get_mut(32 - tail.len()..)?.copy_from_slice(tail);
        let (high, low) = wide.split_at_checked(16)?;
        let number = |half: &[u8]| Some(u128::from_be_bytes(half.try_into().ok()?));
        let (mut high, mut low) = (number(high)?, number(low)?);
        if negative {
            (low, high) = ((!low).wrapping_add(1), (!high).wrapping_add(u128::from(low == 0)));
        }
        Some(Self { negative, digits: [low, high], scale })
    }

    /// Divides the digits by ten; returns the last one.
    fn pop(&mut self) -> u8 {
        let [low, high] = self.digits;
        let (upper, left) = (high / 10, high % 10);
        let rest = left * 6 + low % 10;
        let lower = left * PART + low / 10 + rest / 10;
        self.digits = [lower, upper];
        u8::try_from(rest % 10).unwrap_or(0)
    }

    /// The number if it is a whole one that 64 bits hold.
    fn whole(mut self) -> Option<i64> {
        for _ in 0..self.scale {
            if self.digits == [0, 0] {
                break;
            }
            if self.pop() != 0 {
                return None;
            }
        }
        let [size, 0] = self.digits else { return None };
        let size = i128::try_from(size).ok()?;
        i64::try_from(if self.negative { -size } else { size }).ok()
    }

    /// The digits of a whole number that no double tells from its neighbours.
    fn long(mut self) -> Option<String> {
        for _ in 0..self.scale {
            if self.digits == [0, 0] {
                break;
            }
            if self.pop() != 0 {
                return None;
            }
        }
        if matches!(self.digits, [low, 0] if low < EXACT_INTEGER) {
            return None;
        }
        let mut digits = Vec::with_capacity(80);
        while self.digits != [0, 0] {
            digits.push(char::from(b'0' + self.pop()));
        }
        if self.negative {
            digits.push('-');
        }
        Some(digits.into_iter().rev().collect())
    }

    /// Its digits with the sign, if they are at most 38.
    fn unscaled(self) -> Option<i128> {
        let [size, 0] = self.digits else { return None };
        let size = i128::try_from(size).ok().filter(|&size| size < MOST_DECIMAL)?;
        Some(if self.negative { -size } else { size })
    }

    /// The double nearest to it.
    #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
    fn double(mut self) -> f64 {
        let size = match (self.digits, POWERS.get(self.scale)) {
            // Both are exact, so the quotient is rounded once.
            ([digits, 0], Some(power)) if digits < EXACT_INTEGER => digits as f64 / power,
            _ => {
                let scale = self.scale;
                let mut text = Vec::with_capacity(88);
                while self.digits != [0, 0] {
                    text.push(b'0' + self.pop());
                }
                text.push(b'0');
                text.reverse();
                // Writing to memory does not fail.
                let _ = write!(text, "e-{scale}");
                fast_float2::parse(&text).unwrap_or(f64::NAN)
            }
        };
        if self.negative { -size } else { size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_hex(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn decimals_are_the_doubles_nearest_to_them() {
        let written = |text: &str| {
            let (digits, scale) =
                text.split_once('.').map_or((text.to_owned(), 0), |(w, f)| (format!("{w}{f}"), f.len()));
            Decimal::new(digits.parse().unwrap(), scale)
        };
        for text in [
            "0.1",
            "-12.34",
            "0.30000000000000004",
            "9007199254740993.5",
            "-0.00000000000000000000000000000000001",
            "12345678901234567890123456789.012345678",
        ] {
            assert_eq!(written(text).double().to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
        assert_eq!(
            [written("5.00").whole(), written("-120").whole(), written("0.0").whole()],
            [Some(5), Some(-120), Some(0)]
        );
        assert_eq!([written("5.01").whole(), written("9223372036854775808").whole()], [None, None]);
        assert_eq!(written("-9223372036854775808").whole(), Some(i64::MIN));
        // By Python: (10**60 + 1).to_bytes(32, "big", signed=True).hex() and the like.
        for (hex, scale, double) in [
            ("000000000000009f4f2726179a224501d762422c946590d91000000000000001", 0, 1e60),
            ("ffffffffffffff60b0d8d9e865ddbafe289dbdd36b9a6f26efffffffffffffff", 59, -10.0),
            ("0000000000000100000000000000000000000000000000000000000000000000", 0, 1.606_938_044_258_990_3e60),
            ("8000000000000000000000000000000000000000000000000000000000000000", 76, -5.789_604_461_865_809),
            ("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", 1, -0.1),
            ("00ff", 1, 25.5),
            ("ff", 0, -1.0),
        ] {
            let bytes = of_hex(hex);
            assert_eq!(Decimal::of_bytes(&bytes, scale).unwrap().double().to_bits(), f64::to_bits(double), "{hex}");
            let (negative, mut longer) = (bytes[0] >> 7 == 1, bytes.clone());
            longer.splice(0..0, [if negative { 0xff } else { 0 }; 20]);
            assert_eq!(Decimal::of_bytes(&longer, scale), Decimal::of_bytes(&bytes, scale));
        }
        assert_eq!(Decimal::of_bytes(&[1; 33], 0), None);
        assert_eq!(Decimal::of_bytes(&[], 2).unwrap().whole(), Some(0));
    }

    #[test]
    fn whole_decimals_are_integers_and_others_doubles() {
        let column = |values: &[(i128, usize)]| {
            numbers(&values.iter().map(|&(v, s)| Some(Decimal::new(v, s))).chain([None]).collect::<Vec<_>>())
        };
        let Decimals::Whole(whole) = column(&[(500, 2), (9_007_199_254_740_993, 0)]) else { panic!("not whole") };
        assert_eq!(whole.iter().collect::<Vec<_>>(), [Some(5), Some(9_007_199_254_740_993), None]);
        let Decimals::Doubles(doubles) = column(&[(500, 2), (125, 2)]) else { panic!("not doubles") };
        assert_eq!(doubles.iter().collect::<Vec<_>>(), [Some(5.0), Some(1.25), None]);
    }

    #[test]
    fn long_decimals_are_told_apart() {
        let long = 10_i128.pow(30);
        let values = [Decimal::new(long, 0), Decimal::new((long + 1) * 100, 2), Decimal::new(-long - 2, 0)];
        let values: Vec<Option<Decimal>> =
            values.into_iter().chain([Decimal::new(150, 2), Decimal::new(7, 0)]).map(Some).chain([None]).collect();
        let Decimals::Long(numbers, texts) = numbers(&values) else { panic!("not long") };
        let expected = [
            "1000000000000000000000000000000",
            "1000000000000000000000000000001",
            "-1000000000000000000000000000002",
            "1.5",
            "7",
        ];
        assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), expected);
        assert_eq!(numbers.iter().flatten().collect::<Vec<_>>(), [1e30, 1e30, -1e30, 1.5, 7.0]);
        // In the bytes of a decimal256 too.
        let bytes: BinaryChunked = [long, long + 1].iter().map(|v| Some(v.to_be_bytes().to_vec())).collect();
        let cells = super::super::cells::Cells::of(&of_bytes(&bytes, 0).unwrap(), false).unwrap();
        assert_eq!([cells.show(0), cells.show(1)], [expected[0], expected[1]]);
    }
}
