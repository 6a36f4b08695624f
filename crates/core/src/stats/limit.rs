//! Limits: exactly the decimals that were written, and how values compare with them.
//!
//! A value that is a ratio of integers is compared as one: 7/30 − 11/60 is 0.05 and does not exceed it, and 11/1000 is
//! 1.1 percent. A value that is a float by nature (PSI, a p-value, a bound, a quantile) is compared with the double
//! nearest to the limit.

use std::cmp::Ordering;
use std::fmt;

use rust_decimal::Decimal;

use super::ratio::Ratio;
use crate::codec::decimal;

/// A number that values are compared with. Ordered and equal by value: 0.20 is 0.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit(Decimal);

impl Limit {
    pub const ZERO: Self = Self::whole(0);
    pub const HALF: Self = Self(Decimal::from_parts(5, 0, 0, false, 1));
    pub const ONE: Self = Self::whole(1);
    pub const HUNDRED: Self = Self::whole(100);

    /// Decimals that a limit may have: two fewer than are kept, so that a percentage is a fraction exactly.
    pub const DECIMALS: u32 = 26;

    /// A whole number.
    #[must_use]
    pub const fn whole(number: u32) -> Self {
        Self(Decimal::from_parts(number, 0, 0, false, 0))
    }

    /// The limit that a text spells, like `0.2`, `-3` or `1e-4`; `None` for a text that is no number, and for more than
    /// [`Self::DECIMALS`] decimals or about 28 digits.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        decimal::read(text).filter(|number| number.scale() <= Self::DECIMALS).map(Self)
    }

    /// The limit that a float's shortest text says.
    #[must_use]
    pub fn of(number: f64) -> Option<Self> {
        Self::read(&format!("{number:e}"))
    }

    /// As a fraction of 1 where it was written in percent.
    #[must_use]
    pub fn of_percent(self) -> Self {
        // Within the 28 decimals that are kept.
        Decimal::try_from_i128_with_scale(self.0.mantissa(), self.0.scale() + 2)
            .map_or(self, |number| Self(number.normalize()))
    }

    /// As a percentage, for people.
    #[must_use]
    pub fn percent(self) -> String {
        let percent = self.0.checked_mul(Decimal::ONE_HUNDRED);
        percent.map_or_else(|| self.to_string(), |number| format!("{}%", number.normalize()))
    }

    #[must_use]
    pub fn decimal(self) -> Decimal {
        self.0
    }

    #[must_use]
    pub fn ratio(self) -> Ratio {
        ratio(self.0)
    }

    /// The nearest double, as JSON shows it and as floats are compared with it.
    #[must_use]
    pub fn value(self) -> f64 {
        // Only the standard library's parser rounds correctly; digits and a point always are a number.
        self.0.to_string().parse().unwrap_or(f64::NAN)
    }

    /// How a value lies to the limit.
    #[must_use]
    pub fn order(self, value: impl Into<Amount>) -> Ordering {
        match value.into() {
            Amount::Exact(value) => value.cmp(&self.ratio()),
            // -0.0 is 0.0.
            Amount::Float(value) => (value + 0.0).total_cmp(&self.value()),
        }
    }
}

/// As it was written, without needless zeros.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value on its way to a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A ratio of integers.
    Exact(Ratio),
    /// A float by nature.
    Float(f64),
}

impl Amount {
    /// The nearest real.
    #[must_use]
    pub fn value(self) -> f64 {
        match self {
            Self::Exact(ratio) => ratio.value(),
            Self::Float(value) => value,
        }
    }

    /// This less the other: exactly where both are exact and the difference is.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        if let (Self::Exact(one), Self::Exact(other)) = (self, other)
            && let Some(difference) = one.minus(other)
        {
            return Self::Exact(difference);
        }
        Self::Float(self.value() - other.value())
    }

    /// This over the other; `None` over 0.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Self> {
        if let (Self::Exact(one), Self::Exact(other)) = (self, other)
            && let Some(quotient) = one.over(other)
        {
            return Some(Self::Exact(quotient));
        }
        Some(self.value() / other.value()).filter(|quotient| quotient.is_finite()).map(Self::Float)
    }

    /// How it compares with another: exactly where both are exact.
    #[must_use]
    pub fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one.cmp(&other),
            _ => self.value().total_cmp(&other.value()),
        }
    }
}

impl From<Ratio> for Amount {
    fn from(value: Ratio) -> Self {
        Self::Exact(value)
    }
}

impl From<f64> for Amount {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// A decimal as the ratio that it is.
#[must_use]
pub fn ratio(number: Decimal) -> Ratio {
    // A mantissa below 2^96 over 10 to the power of at most 28.
    Ratio::new(number.mantissa(), 10_i128.pow(number.scale())).unwrap_or(Ratio::ZERO)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "the nearest double is one double")]

    use proptest::prelude::*;

    use super::*;

    fn limit(text: &str) -> Limit {
        Limit::read(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn a_limit_is_what_was_written() {
        for (text, shown, num, den) in [
            ("0.2", "0.2", 1, 5),
            ("0.20", "0.2", 1, 5),
            ("1e-4", "0.0001", 1, 10_000),
            ("1.5E+3", "1500", 1500, 1),
            ("80", "80", 80, 1),
            ("80.", "80", 80, 1),
            (".5", "0.5", 1, 2),
            ("+0.50", "0.5", 1, 2),
            ("-0.25", "-0.25", -1, 4),
            ("-0", "0", 0, 1),
            ("0.10000000000000000000000000000000000000000000", "0.1", 1, 10),
            ("0.00000000000000000000000001", "0.00000000000000000000000001", 1, 10_i128.pow(26)),
        ] {
            let read = limit(text);
            assert_eq!((read.to_string().as_str(), Some(read.ratio())), (shown, Ratio::new(num, den)), "{text}");
        }
        for text in ["", ".", "-", "e5", "1e", "1e5.0", "0x1", "nan", "inf", "1 ", "--1", "1_0", "1e-27", "1e29", "é"]
        {
            assert_eq!(Limit::read(text), None, "{text}");
        }
        assert_eq!(Limit::of(0.011), Some(limit("0.011")));
        assert_eq!(Limit::of(f64::NAN), None);
    }

    #[test]
    fn a_percentage_is_a_fraction_exactly() {
        // In floats it is 0.011000000000000001.
        let percent = limit("1.1").of_percent();
        assert_eq!((percent, percent.to_string(), percent.value()), (limit("0.011"), "0.011".to_owned(), 0.011));
        assert!(std::hint::black_box(1.1) / 100.0 > 0.011);
        assert_eq!(percent.percent(), "1.1%");
        assert_eq!(limit("0.01").percent(), "1%");
        assert_eq!(limit("0.00000000000000000000000001").of_percent().to_string(), "0.0000000000000000000000000001");
        assert_eq!(Limit::HUNDRED.of_percent(), Limit::ONE);
    }

    #[test]
    fn ratios_are_compared_as_ratios_and_floats_as_floats() {
        let of = |k, n| Ratio::of_counts(k, n).unwrap();
        let increase = of(7, 30).minus(of(11, 60)).unwrap();
        assert!(std::hint::black_box(7.0 / 30.0) - 11.0 / 60.0 > 0.05);
        assert_eq!(limit("0.05").order(increase), Ordering::Equal);
        assert_eq!(limit("0.011").order(of(11, 1000)), Ordering::Equal);
        assert_eq!(limit("0.3").order(0.1 + 0.2), Ordering::Greater, "a float is what it is");
        assert_eq!(limit("0.2").order(0.2), Ordering::Equal);
        assert_eq!(limit("0").order(-0.0), Ordering::Equal);
        assert_eq!(limit("0.1").order(f64::INFINITY), Ordering::Greater);
    }

    /// The sign of k/n − (a/b) − d/10^s by integers without bounds: in base 1e9, the smallest place first.
    fn by_long_arithmetic(k: u64, n: u64, digits: u64, scale: u32) -> Ordering {
        let times = |number: Vec<u64>, factor: u64| -> Vec<u64> {
            let mut out = Vec::new();
            let mut carry = 0_u128;
            for place in number {
                let product = u128::from(place) * u128::from(factor) + carry;
                out.push(u64::try_from(product % 1_000_000_000).unwrap());
                carry = product / 1_000_000_000;
            }
            while carry > 0 {
                out.push(u64::try_from(carry % 1_000_000_000).unwrap());
                carry /= 1_000_000_000;
            }
            out
        };
        let mut left = times(vec![1], k);
        for _ in 0..scale {
            left = times(left, 10);
        }
        let mut right = times(times(vec![1], n), digits);
        for number in [&mut left, &mut right] {
            while number.last() == Some(&0) {
                number.pop();
            }
        }
        left.len().cmp(&right.len()).then_with(|| left.iter().rev().cmp(right.iter().rev()))
    }

    proptest! {
        /// k/n lies to the limit as k·10^s to n·d, in integers of any size.
        #[test]
        fn a_rate_lies_to_its_limit_as_big_rationals_do(
            k in any::<u64>(),
            n in 1_u64..,
            digits in any::<u64>(),
            scale in 0_u32..=26,
        ) {
            let text = format!("{digits}e-{scale}");
            prop_assert_eq!(limit(&text).order(Ratio::of_counts(k, n).unwrap()), by_long_arithmetic(k, n, digits, scale));
        }

        /// At the limit is at the limit, and one count beside it is not.
        #[test]
        fn a_rate_at_its_limit_is_at_its_limit(k in 1_u64..1_000_000, scale in 0_u32..=12, factor in 1_u64..100_000) {
            let n = 10_u64.pow(scale);
            let at = limit(&format!("{k}e-{scale}"));
            let of = |k: u64| Ratio::of_counts(k, n * factor).unwrap();
            prop_assert_eq!(at.order(of(k * factor)), Ordering::Equal);
            prop_assert_eq!(at.order(of(k * factor + 1)), Ordering::Greater);
            prop_assert_eq!(at.order(of(k * factor - 1)), Ordering::Less);
            let percent = limit(&format!("{k}e{}", 2 - i64::from(scale)));
            prop_assert_eq!(percent.of_percent(), at);
        }

        /// A limit shows its exact value, and its double is the one that the text spells.
        #[test]
        fn it_shows_what_it_is(digits in any::<i64>(), exponent in -26_i32..9) {
            let text = format!("{digits}e{exponent}");
            let read = limit(&text);
            prop_assert_eq!(Limit::read(&read.to_string()), Some(read));
            prop_assert_eq!(read.value(), text.parse::<f64>().unwrap());
            prop_assert_eq!(ratio(read.decimal()), read.ratio());
        }
    }
}
