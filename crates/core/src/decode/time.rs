//! How a source writes its times, and which millisecond since 1970 they mean: alike in every format.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{Reason, Reject};
use crate::event::TimeUnit;

/// How a source writes its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFormat {
    pub unit: TimeUnit,
    /// Where clocks stood that wrote times without a zone; without it such times are refused.
    pub zone: Option<TimeZone>,
    /// How far ahead of its record's time an event's time may lie, in ms.
    pub future: i64,
}

impl Default for TimeFormat {
    fn default() -> Self {
        Self { unit: TimeUnit::default(), zone: None, future: FUTURE_MS }
    }
}

/// How far ahead of its record's time an event's time may lie where the source does not say.
pub const FUTURE_MS: i64 = 60_000;

impl TimeUnit {
    /// A decimal as the millisecond it lies in, without a detour over floats: 1700006400.123 s is not a millisecond less.
    fn decimal(self, text: &str) -> Option<i64> {
        let (minus, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let ticks: i64 = whole.parse().ok()?;
        let (ms, rest) = match self {
            Self::Seconds => {
                let (first, rest) = fraction.split_at(fraction.len().min(3));
                let part = format!("{first:0<3}").parse::<i64>().ok()?;
                (ticks.checked_mul(1000)?.checked_add(part)?, rest)
            }
            unit => (unit.millis(ticks)?, fraction),
        };
        let goes_on = self.millis(1) == Some(0) && !self.is_whole(ticks) || rest.bytes().any(|b| b != b'0');
        Some(if minus { -ms - i64::from(goes_on) } else { ms })
    }
}

impl TimeFormat {
    /// A time that is written as a number, with its text.
    ///
    /// # Errors
    /// A number that is no time.
    pub fn number(&self, x: f64, text: &str) -> Result<i64, Reject> {
        let decimal = self.unit.decimal(text).or_else(|| self.of_float(x));
        decimal.ok_or_else(|| self.bad(text))
    }

    /// A time that is a float: by the shortest decimal that reads back as it.
    ///
    /// # Errors
    /// A number that is no time.
    pub fn float(&self, x: f64) -> Result<i64, Reject> {
        self.of_float(x).ok_or_else(|| self.bad(&x.to_string()))
    }

    fn of_float(&self, x: f64) -> Option<i64> {
        if !x.is_finite() || x.abs() >= 1e19 {
            return None;
        }
        let mut text = String::with_capacity(32);
        // Writing to memory does not fail.
        let _ = write!(text, "{x}");
        self.unit.decimal(&text)
    }

    /// A time that is an integer.
    ///
    /// # Errors
    /// One that is out of range.
    pub fn integer(&self, ticks: i64) -> Result<i64, Reject> {
        self.unit.millis(ticks).ok_or_else(|| self.bad(&ticks.to_string()))
    }

    /// A time that is a text: digits in the source's unit, RFC 3339 and what is as clear, or a time without a zone.
    ///
    /// # Errors
    /// A text that is none, and one without a zone where the source names none.
    pub fn text(&self, text: &str) -> Result<i64, Reject> {
        let text = text.trim();
        if let Some(ms) = self.unit.decimal(text) {
            return Ok(ms);
        }
        if let Some(ms) = instant(text) {
            return Ok(ms);
        }
        let cut = without_long_fraction(text);
        if let Ok(local) = cut.as_deref().unwrap_or(text).parse::<DateTime>() {
            return self.local(local, text);
        }
        let number = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
        let float = text.parse::<f64>().ok().filter(|_| text.bytes().all(number)).and_then(|x| self.of_float(x));
        float.ok_or_else(|| self.bad(text))
    }

    /// A time on the clock of the source's zone. One that the clock shows twice is the first of them; one that it skips is as
    /// much later as the clock was put forward.
    ///
    /// # Errors
    /// Where the source names no zone.
    pub fn local(&self, local: DateTime, text: &str) -> Result<i64, Reject> {
        let Some(zone) = &self.zone else {
            return Err(Reject::new(
                Reason::BadTime,
                format!(
                    "the time {:?} has no time zone: write `timezone: UTC`, or the zone of its clock, under the source in the \
                     configuration (--config)",
                    shown(text)
                ),
            ));
        };
        let instant = zone.to_ambiguous_timestamp(local).compatible();
        instant.map(Timestamp::as_millisecond).map_err(|_| self.bad(text))
    }

    /// Whether times without a zone are UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.zone.as_ref() == Some(&TimeZone::UTC)
    }

    fn bad(&self, text: &str) -> Reject {
        let unit = self.unit.name();
        Reject::new(Reason::BadTime, format!("the time {:?} is neither a number of {unit} nor RFC 3339", shown(text)))
    }
}

/// Reads RFC 3339, and what says as clearly which instant it means: a space for the T, lower-case letters, offsets without a
/// colon or behind a space, `UTC` or `GMT` in place of `Z`, a zone in brackets.
fn instant(text: &str) -> Option<i64> {
    if text.ends_with(']') {
        return text.parse::<Zoned>().ok().map(|at| at.timestamp().as_millisecond());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let cut = without_long_fraction(text);
    let text = cut.as_deref().unwrap_or(text);
    if cut.is_some()
        && let Ok(at) = text.parse::<Timestamp>()
    {
        return Some(at.as_millisecond());
    }
    let (text, utc) = match ["UTC", "GMT", "Z", "z"].iter().find_map(|zone| text.strip_suffix(zone)) {
        Some(before) => (before.trim_end(), true),
        None => (text, false),
    };
    // Go writes both: "+0000 UTC".
    let rewritten = match text.rsplit_once(' ') {
        Some((before, offset)) if offset.starts_with(['+', '-']) => format!("{before}{offset}"),
        _ if utc => format!("{text}Z"),
        _ => return None,
    };
    rewritten.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// A time without the digits behind its nanoseconds, of which RFC 3339 allows any number; `None` where there are none.
fn without_long_fraction(text: &str) -> Option<String> {
    const NANOSECONDS: usize = 9;
    let point = text.find(['.', ','])?;
    let (before, behind) = text.split_at_checked(point + 1)?;
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    let rest = behind.get(digits..)?;
    (digits > NANOSECONDS).then(|| format!("{before}{}{rest}", behind.get(..NANOSECONDS).unwrap_or_default()))
}

/// The zone of a name: UTC, one of the IANA database, or a fixed offset.
#[must_use]
pub fn zone(name: &str) -> Option<TimeZone> {
    if ["UTC", "Z", "GMT", "Etc/UTC", "Etc/GMT"].iter().any(|utc| utc.eq_ignore_ascii_case(name)) {
        return Some(TimeZone::UTC);
    }
    if name.starts_with(['+', '-']) {
        let stamp = format!("2000-01-01T00:00:00{name}");
        let shifted = stamp.parse::<Timestamp>().ok()?.as_second();
        let offset = 946_684_800_i64.checked_sub(shifted).and_then(|s| i32::try_from(s).ok())?;
        return jiff::tz::Offset::from_seconds(offset).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDNIGHT: i64 = 1_700_006_400_000;

    fn format(unit: TimeUnit, name: &str) -> TimeFormat {
        TimeFormat { unit, zone: (!name.is_empty()).then(|| zone(name).unwrap()), ..TimeFormat::default() }
    }

    #[test]
    fn numbers_are_floored_to_the_millisecond_in_the_sources_unit() {
        let ms = format(TimeUnit::Millis, "");
        for (text, expected) in [
            ("1700006400000", MIDNIGHT),
            ("1700006400000.25", MIDNIGHT),
            ("1700006400000.9", MIDNIGHT),
            ("1.7000064e12", MIDNIGHT),
            ("0", 0),
            ("-0.5", -1),
            ("-1.0", -1),
        ] {
            assert_eq!(ms.text(text), Ok(expected), "{text}");
            assert_eq!(ms.number(text.parse().unwrap(), text), Ok(expected), "{text}");
            assert_eq!(ms.float(text.parse().unwrap()), Ok(expected), "{text}");
        }
        for (unit, text, expected) in [
            (TimeUnit::Seconds, "1700006400", MIDNIGHT),
            (TimeUnit::Seconds, "1700006400.1234", MIDNIGHT + 123),
            (TimeUnit::Seconds, "1700006400.1", MIDNIGHT + 100),
            (TimeUnit::Micros, "1700006400000999", MIDNIGHT),
            (TimeUnit::Micros, "1700006400001000.5", MIDNIGHT + 1),
            (TimeUnit::Nanos, "1700006400001999999", MIDNIGHT + 1),
            (TimeUnit::Nanos, "-1", -1),
        ] {
            assert_eq!(format(unit, "").text(text), Ok(expected), "{text}");
            assert_eq!(format(unit, "").number(text.parse().unwrap(), text), Ok(expected), "{text}");
        }
        for i in 0..1000 {
            let seconds = 1_700_006_400.0 + f64::from(i) / 1000.0;
            assert_eq!(format(TimeUnit::Seconds, "").float(seconds), Ok(MIDNIGHT + i64::from(i)), "{seconds}");
        }
        for text in ["", "-", "1e400", "inf", "NaN", "9223372036854775808", "0x10", "1_000", "12 Nov", "1.5.5"] {
            assert_eq!(ms.text(text).unwrap_err().reason, Reason::BadTime, "{text}");
        }
        assert_eq!(format(TimeUnit::Seconds, "").integer(i64::MAX).unwrap_err().reason, Reason::BadTime);
        let says = ms.text("yesterday").unwrap_err().detail;
        assert_eq!(says, "the time \"yesterday\" is neither a number of milliseconds nor RFC 3339");
    }

    #[test]
    fn whatever_says_clearly_which_instant_it_means_is_read() {
        for text in [
            "2023-11-15T00:00:00Z",
            "2023-11-15t00:00:00z",
            "2023-11-15 00:00:00Z",
            "2023-11-15 00:00:00.000+00:00",
            "2023-11-15T01:00:00+01:00",
            "2023-11-15T01:00:00+0100",
            "2023-11-15T01:00:00+01",
            "2023-11-14 19:00:00 -0500",
            "2023-11-15 00:00:00 UTC",
            "2023-11-15 00:00:00 +0000 UTC",
            "2023-11-15T00:00Z",
            " 2023-11-15T01:00:00[Europe/Berlin] ",
            "2023-11-15T01:00:00+01:00[Europe/Berlin]",
        ] {
            assert_eq!(format(TimeUnit::Seconds, "").text(text), Ok(MIDNIGHT), "{text}");
        }
        assert_eq!(format(TimeUnit::Nanos, "").text("2023-11-15T00:00:00.1239Z"), Ok(MIDNIGHT + 123));
        for text in ["2023-11-15T00:00:00.123456789012345Z", "2023-11-15 01:00:00.1230000000000+01:00"] {
            assert_eq!(format(TimeUnit::Millis, "").text(text), Ok(MIDNIGHT + 123), "{text}");
        }
        assert_eq!(format(TimeUnit::Millis, "UTC").text("2023-11-15 00:00:00.1234567890123"), Ok(MIDNIGHT + 123));
    }

    #[test]
    fn a_time_without_a_zone_is_read_by_the_sources() {
        let texts = ["2023-11-15", "2023-11-15 00:00:00", "2023-11-15T00:00:00.000", "2023-11-15T00:00"];
        for text in texts {
            assert_eq!(format(TimeUnit::Millis, "UTC").text(text), Ok(MIDNIGHT), "{text}");
            assert_eq!(format(TimeUnit::Millis, "Europe/Berlin").text(text), Ok(MIDNIGHT - 3_600_000), "{text}");
            assert_eq!(format(TimeUnit::Millis, "+05:30").text(text), Ok(MIDNIGHT - 19_800_000), "{text}");
            let refused = format(TimeUnit::Millis, "").text(text).unwrap_err();
            assert_eq!(refused.reason, Reason::BadTime, "{text}");
            assert!(refused.detail.contains("has no time zone: write `timezone: UTC`"), "{refused}");
        }
        assert!(zone("Mars/Olympus").is_none() && zone("+99:00").is_none() && zone("").is_none());
    }

    #[test]
    fn a_clock_that_was_put_back_or_forward_is_read_in_one_way() {
        let berlin = format(TimeUnit::Millis, "Europe/Berlin");
        // Shown twice on 2023-10-29: the first, still in summer time. Never shown on 2023-03-26: an hour later.
        let utc = |text: &str| instant(text);
        assert_eq!(berlin.text("2023-10-29 02:30:00").ok(), utc("2023-10-29T00:30:00Z"));
        assert_eq!(berlin.text("2023-03-26 02:30:00").ok(), utc("2023-03-26T01:30:00Z"));
    }
}
