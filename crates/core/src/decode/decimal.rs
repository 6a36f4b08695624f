//! Plain decimals to `f64`, in one pass over the bytes: what events are full of. Correctly rounded by the algorithm of
//! Lemire, "Number Parsing at a Gigabyte per Second" (2021), for up to 19 digits and no exponent; anything else is left to
//! `fast_float2`, which is also the oracle of the tests, together with the standard library.

use std::hint::select_unpredictable;

/// A number's value and how many bytes it takes: more than there are for what is no number.
pub(super) type Decimal = (f64, usize);
const NONE: Decimal = (0.0, usize::MAX);

/// More digits than this may not fit into 64 bits.
const MOST_DIGITS: usize = 19;
/// Powers of five up to here fit into 64 bits, so that their reciprocals are exact to the last bit that matters.
const MOST_PLACES: usize = 27;
/// How far a number of the usual length is looked at: its sign, seven digits and a point, seventeen places, and what stops
/// them, read eight bytes at a time.
const WINDOW: usize = 32;

/// Reads the decimal that `text` begins with; `None` where it is not plain (an exponent, more digits), not JSON, or may go on
/// behind the end of the text.
pub(super) fn read(text: &[u8]) -> Option<Decimal> {
    let (number, end) = digits(text);
    let goes_on = matches!(text.get(end)?, b'e' | b'E');
    (!goes_on).then_some((number, end))
}

/// The same up to an exponent, which is for the caller to see: the text goes on behind the digits.
///
/// How many digits a value has is as good as random, so nothing here branches on it but for the rare cases.
#[inline(always)]
#[allow(clippy::inline_always, reason = "measured: inlined wholly it takes an eighth less")]
#[allow(clippy::needless_bitwise_bool, reason = "whether a seventeenth digit is there cannot be guessed")]
#[allow(clippy::indexing_slicing, reason = "a sign, seven digits, a point and 18 more bytes are within the window")]
pub(super) fn digits(text: &[u8]) -> Decimal {
    let Some(window) = text.first_chunk::<WINDOW>() else { return long(text) };
    let minus = usize::from(window[0] == b'-');
    // Most values begin with one digit.
    let digit = u64::from(window[minus].wrapping_sub(b'0'));
    let (mut whole, mut at) = (digit, minus + 1);
    if digit >= 10 || window[at] != b'.' {
        let run = Digits::at(window, minus);
        // JSON wants a digit, and no zero before others.
        if run.count == 0 || run.count == 8 || (run.count > 1 && digit == 0) {
            return long(text);
        }
        (whole, at) = (run.value(), minus + run.count);
        if window[at] != b'.' {
            #[allow(clippy::cast_precision_loss, reason = "at most seven digits")]
            return (signed(minus, whole as f64), at);
        }
    }
    at += 1;
    // Up to 17 places, as the shortest forms of doubles have them.
    let run = Digits::at(window, at);
    if run.count < 8 {
        if run.count == 0 {
            return long(text);
        }
        return (signed(minus, value(run.behind(whole), run.count)), at + run.count);
    }
    let next = Digits::at(window, at + 8);
    let sixteen = next.behind(whole.wrapping_mul(100_000_000).wrapping_add(eight(run.digits)));
    let last = u64::from(window[at + 16].wrapping_sub(b'0'));
    let is_digit = (next.count == 8) & (last < 10);
    let mantissa = select_unpredictable(is_digit, sixteen.wrapping_mul(10).wrapping_add(last), sixteen);
    let places = 8 + next.count + usize::from(is_digit);
    let end = at + places;
    if (is_digit & window[at + 17].is_ascii_digit()) | (end - minus > MOST_DIGITS + 1) {
        return long(text);
    }
    (signed(minus, value(mantissa, places)), end)
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "as of `digits`")]
#[allow(clippy::indexing_slicing, reason = "two entries, and the index is masked to one bit")]
fn signed(minus: usize, value: f64) -> f64 {
    const SIGNS: [u64; 2] = [0, 1 << 63];
    f64::from_bits(value.to_bits() | SIGNS[minus & 1])
}

/// Reads a whole number of at most 15 digits, such as a time; `None` where it is none, not plain, or too close to the end.
#[inline]
pub(super) fn whole(text: &[u8]) -> Option<(i64, usize)> {
    let window = text.first_chunk::<16>()?;
    let one = Digits::at(window, 0);
    let (mut value, mut end) = (one.value(), one.count);
    if one.count == 8 {
        let two = Digits::at(window, 8);
        value = two.behind(value);
        end += two.count;
    }
    let zeros_before = one.count > 1 && text.first() == Some(&b'0');
    let plain = !matches!(text.get(end)?, b'.' | b'e' | b'E' | b'0'..=b'9');
    (plain && one.count > 0 && end < 16 && !zeros_before).then_some((value.cast_signed(), end))
}

/// The same as `digits`, one by one, for numbers of unusual length or near the end of the text.
#[cold]
fn long(bytes: &[u8]) -> Decimal {
    let first = usize::from(bytes.first() == Some(&b'-'));
    let mut at = first;
    let mut mantissa = 0_u64;
    let mut significant = 0;
    let mut digits = |at: &mut usize| {
        let from = *at;
        while let Some(digit) = bytes.get(*at).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            significant += usize::from(significant > 0 || digit > 0);
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            *at += 1;
        }
        *at - from
    };
    let whole = digits(&mut at);
    if whole == 0 || (whole > 1 && bytes.get(first) == Some(&b'0')) {
        return NONE;
    }
    let mut places = 0;
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        places = digits(&mut at);
        if places == 0 {
            return NONE;
        }
    }
    if significant > MOST_DIGITS || places > MOST_PLACES {
        return NONE;
    }
    // It may go on behind the end.
    if at == bytes.len() { NONE } else { (signed(first, value(mantissa, places)), at) }
}

/// A run of digits, of the eight bytes that were looked at.
#[derive(Clone, Copy)]
struct Digits {
    /// 0 to 9 each, the first in the lowest byte. Those behind the run are anything.
    digits: u64,
    /// At most 8.
    count: usize,
}

impl Digits {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "measured: a call costs as much as the work")]
    fn at<const N: usize>(window: &[u8; N], at: usize) -> Self {
        let mut chunk = [0; 8];
        chunk.copy_from_slice(&window[at..at + 8]);
        let digits = u64::from_le_bytes(chunk) ^ 0x3030_3030_3030_3030;
        // A byte that is no digit may spoil those above it, which do not matter any more.
        let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
        Self { digits, count: others.trailing_zeros() as usize / 8 }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "at most 8")]
    fn value(self) -> u64 {
        // As if zeros stood before them.
        eight(self.digits.checked_shl(64 - 8 * self.count as u32).unwrap_or(0))
    }

    /// A number with these digits behind its own.
    #[inline]
    fn behind(self, before: u64) -> u64 {
        const SHIFTS: [u64; 16] =
            [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 0, 0, 0, 0, 0, 0, 0];
        // At most 8; the mask spares a comparison.
        #[allow(clippy::indexing_slicing, reason = "sixteen entries, and the index is masked to four bits")]
        before.wrapping_mul(SHIFTS[self.count & 15]).wrapping_add(self.value())
    }
}

/// Eight digits of 0 to 9, the first in the lowest byte: pairs, then fours, then all ("Quickly parsing eight digits", Lemire).
#[inline]
fn eight(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// `mantissa` / 10^`places`, correctly rounded.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as of `digits`")]
fn value(mantissa: u64, places: usize) -> f64 {
    // Both are exact, so one division rounds once. Which features have few places does not change from event to event.
    if let (Some(power), true) = (POWERS_OF_TEN.get(places), mantissa <= 1 << 53) {
        #[allow(clippy::cast_precision_loss, reason = "exact up to here")]
        return mantissa.cast_signed() as f64 / power;
    }
    if mantissa == 0 {
        return 0.0;
    }
    RECIPROCALS.get(places).map_or(f64::NAN, |reciprocal| scaled(mantissa, places, *reciprocal))
}

/// The product with a truncated power of five, and the bits of it that matter. `mantissa` is not 0.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as of `digits`")]
#[allow(clippy::cast_possible_truncation, reason = "the halves of a 128-bit product")]
fn scaled(mantissa: u64, places: usize, reciprocal: u128) -> f64 {
    let shift = mantissa.leading_zeros();
    let w = mantissa << shift;
    let mut product = u128::from(w) * (reciprocal >> 64);
    // The lower half of the reciprocal matters only where the bits below those kept are all ones.
    if (product >> 64) as u64 & 0x1FF == 0x1FF {
        product += (u128::from(w) * (reciprocal & u128::from(u64::MAX))) >> 64;
    }
    let (low, high) = (product as u64, (product >> 64) as u64);
    let upper = (high >> 63) as u32;
    let kept = upper + 64 - 52 - 3;
    let mut bits = high >> kept;
    // Halfway between two values: to the even one. Only with few places, where the product is exact.
    if low <= 1 && places <= 4 && bits & 3 == 1 && bits << kept == high {
        bits &= !1;
    }
    bits = (bits + (bits & 1)) >> 1;
    #[allow(clippy::cast_possible_wrap, reason = "at most 27 and 63")]
    let power = {
        let q = -(places as i64);
        ((q * (152_170 + 65_536)) >> 16) + 63 + i64::from(upper) - i64::from(shift) + 1023
    };
    // Rounding up may carry into the exponent: adding does just that.
    f64::from_bits(bits.wrapping_add((power.cast_unsigned() << 52).wrapping_sub(1 << 52)))
}

const POWERS_OF_TEN: [f64; 4] = [1.0, 10.0, 100.0, 1000.0];

/// 5^-k as 128-bit integers with the highest bit set, rounded up, k = 0..=27.
const RECIPROCALS: [u128; MOST_PLACES + 1] = reciprocals();

#[allow(clippy::indexing_slicing, reason = "k is below the length; an overrun would not compile")]
const fn reciprocals() -> [u128; MOST_PLACES + 1] {
    let mut table = [1 << 127; MOST_PLACES + 1];
    let mut power = 1_u128;
    let mut k = 1;
    while k <= MOST_PLACES {
        power *= 5;
        // floor(2^(z+127) / power) + 1 with 2^z the next power of two: long division, bit by bit.
        let z = 128 - (power - 1).leading_zeros();
        let (mut quotient, mut rest, mut bit) = (0_u128, 1_u128, 0);
        while bit < z + 127 {
            rest <<= 1;
            quotient <<= 1;
            if rest >= power {
                rest -= power;
                quotient |= 1;
            }
            bit += 1;
        }
        table[k] = quotient + 1;
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is read of a number inside a longer text.
    fn whole(text: &str) -> Option<f64> {
        let padded = format!("{text},                                ");
        read(padded.as_bytes()).map(|(value, end)| {
            assert_eq!(end, text.len(), "{text}");
            value
        })
    }

    fn agrees(text: &str) {
        let expected: f64 = text.parse().unwrap();
        let fast: f64 = fast_float2::parse(text).unwrap();
        assert_eq!(expected.to_bits(), fast.to_bits());
        if let Some(read) = whole(text) {
            assert_eq!(read.to_bits(), expected.to_bits(), "{text}: read {read:e}, it is {expected:e}");
        }
    }

    #[test]
    fn what_is_plain_is_read_and_the_rest_is_left() {
        for text in ["0", "-0", "7", "0.5", "-12.25", "1767225600000", "0.35128306136377719", "9007199254740993.5"] {
            assert!(whole(text).is_some(), "{text}");
            agrees(text);
        }
        for text in
            ["1e5", "1.5E3", "12345678901234567890", "0.0000000000000000000000000001", "01", "1.", ".5", "-", "-.5"]
        {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(read(b"1"), None, "it may go on behind the end");
    }

    #[test]
    fn whole_numbers_are_read_as_they_stand() {
        let read = |text: &str| whole_number(&format!("{text},                "));
        for n in [0, 7, 12_345_678, 1_767_225_600_000, 999_999_999_999_999_i64] {
            assert_eq!(read(&n.to_string()), Some((n, n.to_string().len())));
        }
        for text in ["", "-1", "00", "01", "1.5", "1e5", "1E5", "1234567890123456", "x"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(whole_number("1"), None, "it may go on behind the end");
    }

    fn whole_number(text: &str) -> Option<(i64, usize)> {
        super::whole(text.as_bytes())
    }

    #[test]
    fn halfway_cases_go_to_the_even_neighbour() {
        for text in [
            "9007199254740992.5",
            "9007199254740993.5",
            "4503599627370497.5",
            "4503599627370496.5",
            "2251799813685248.25",
            "1125899906842624.125",
            "1125899906842624.375",
            "562949953421312.0625",
        ] {
            agrees(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn shortest_forms_are_read_back(bits in any::<u64>()) {
            let x = f64::from_bits(bits);
            prop_assume!(x.is_finite());
            agrees(&format!("{x:?}"));
            // The same digits near one, where events' values lie.
            let near = f64::from_bits((bits & 0x800F_FFFF_FFFF_FFFF) | (0x3E0 + (bits >> 52 & 0x3F)) << 52);
            agrees(&format!("{near:?}"));
        }

        #[test]
        fn any_digits_are_rounded_as_the_standard_library_does(whole in 0..10_000_000_u64, places in 0..27_usize, digits in any::<u64>(), negative in any::<bool>()) {
            let fraction: String = digits.to_string().chars().cycle().take(places).collect();
            let sign = if negative { "-" } else { "" };
            let point = if places > 0 { "." } else { "" };
            agrees(&format!("{sign}{whole}{point}{fraction}"));
        }

        #[test]
        fn whole_numbers_are_rounded_as_the_standard_library_does(n in any::<u64>(), odd in (1_u64 << 53)..(1 << 54), up in 0..9_u32) {
            agrees(&n.to_string());
            // Half of these lie halfway between two values.
            agrees(&(odd << up).to_string());
        }

        #[test]
        fn numbers_are_read_near_the_end_as_they_are_far_from_it(x in any::<f64>(), bits in any::<u64>(), more in "[,} ]{0,40}") {
            for x in [x, f64::from_bits((bits & 0x800F_FFFF_FFFF_FFFF) | (0x3E0 + (bits >> 52 & 0x3F)) << 52)] {
                let text = format!("{x}");
                let near = read(format!("{text}{more}").as_bytes());
                prop_assert_eq!(near, if more.is_empty() { None } else { whole(&text).map(|value| (value, text.len())) });
            }
        }

        #[test]
        fn decimals_beside_a_halfway_point_are_told_apart(mantissa in (1_u64 << 52)..(1 << 53), last in 0..10_u32) {
            // Between two neighbours below 2^53 halves are the midpoints of quarters' scale.
            agrees(&format!("{mantissa}.5"));
            agrees(&format!("{}.{last}", mantissa >> 3));
            agrees(&format!("{}.{}5", mantissa >> 5, last));
        }
    }
}
