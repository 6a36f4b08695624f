//! Numbers, durations, sizes and times as they are written in files. The errors are whole messages: what was expected,
//! what was read, what to write.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::stats::limit::Limit;

const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// A hundred years: longer durations are slips of the finger.
const LONGEST: i64 = 36_525 * 86_400_000;
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// The text in double quotes, cut to what fits a line.
#[must_use]
pub fn quote(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// A finite number with a decimal point.
///
/// # Errors
/// Says what to write instead.
pub fn number(text: &str) -> Result<f64, String> {
    let read = quote(text);
    let digits = text.trim_start_matches(['+', '-', '.']);
    // f64::from_str also takes `inf`, `nan` and `infinity`; those and YAML's `.inf` are named below.
    if digits.starts_with(|first: char| first.is_ascii_digit()) {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => return Ok(number),
            Ok(_) => {
                return Err(format!("expected a number, read {read}, which is too large: write a finite number"));
            }
            Err(_) => {}
        }
    }
    if matches!(digits.to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan") {
        return Err(format!("expected a finite number, read {read}: write the number itself"));
    }
    let point = text.replacen(',', ".", 1);
    if point != text && is_number(&point) {
        return Err(format!("expected a number, read {read}, write {point}"));
    }
    if let Some(percent) = text.strip_suffix('%').map(str::trim_end)
        && is_number(percent)
        && let Ok(value) = format!("{percent}e-2").parse::<f64>()
    {
        return Err(format!("expected a number, read {read}, write {value}"));
    }
    Err(format!("expected a number, read {read}: write it like 0.2, without units"))
}

/// A number that values are compared with, as it is written.
///
/// # Errors
/// Says what to write instead.
pub fn limit(text: &str) -> Result<Limit, String> {
    number(text)?;
    Limit::read(text).ok_or_else(|| {
        format!(
            "expected a number of at most {} decimals and 28 digits, read {}: write fewer",
            Limit::DECIMALS,
            quote(text)
        )
    })
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// A whole number with its unit, in milliseconds: `7d`, `1h`, `30m`, `10s`, `500ms`.
///
/// # Errors
/// Says what to write instead.
pub fn duration(text: &str) -> Result<i64, String> {
    let read = quote(text);
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    if let Some(&(_, millis)) = UNITS.iter().find(|&&(name, _)| name == unit)
        && digits > 0
    {
        let total = count.parse::<i64>().ok().and_then(|count| count.checked_mul(millis));
        return total
            .filter(|&total| total <= LONGEST)
            .ok_or_else(|| format!("expected a duration, read {read}: write at most 36525d"));
    }
    if digits > 0 && unit.is_empty() {
        return Err(format!(
            "expected a duration, read {read}: the unit is missing, write {count}s, or another of d, h, m, s, ms"
        ));
    }
    match loose_duration(text) {
        Some(plain) => Err(format!("expected a duration, read {read}, write {plain}")),
        None => Err(format!(
            "expected a duration, read {read}: write a whole number with one unit of d, h, m, s, ms, like 90m"
        )),
    }
}

/// `1.5h`, `1h30m`, `90 min` written as one whole number with a unit, if that can be done exactly.
fn loose_duration(text: &str) -> Option<String> {
    let mut rest = text.trim();
    let mut total = 0.0;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (count, tail) = rest.split_at(split);
        let tail = tail.trim_start();
        let split = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(split);
        let millis = match unit.to_ascii_lowercase().as_str() {
            "w" | "week" | "weeks" => 604_800_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            "h" | "hr" | "hour" | "hours" => 3_600_000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
            "ms" | "millis" => 1.0,
            _ => return None,
        };
        total += count.parse::<f64>().ok()? * millis;
        rest = tail.trim_start();
    }
    #[expect(clippy::cast_precision_loss, reason = "a hundred years of milliseconds is below 2^53")]
    let whole = total >= 1.0 && total.fract() == 0.0 && total <= LONGEST as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole and bounded")]
    whole.then(|| show_duration(total as i64))
}

/// The shortest exact spelling: 5,400,000 is `90m`.
#[must_use]
pub fn show_duration(millis: i64) -> String {
    let (unit, size) = UNITS.into_iter().find(|&(_, size)| millis % size == 0 && millis != 0).unwrap_or(("s", 1000));
    format!("{}{unit}", millis / size)
}

/// Bytes: `1MiB`, `512KiB`, `4096`.
///
/// # Errors
/// Says what to write instead.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (count, unit) = text.split_at(digits);
    let unit = if unit.is_empty() { "B" } else { unit };
    let found = SIZES.iter().find(|(name, _)| *name == unit);
    found.and_then(|(_, bytes)| count.parse::<u64>().ok()?.checked_mul(*bytes)).ok_or_else(|| {
        format!("expected a size, read {}: write a whole number with KiB, MiB or GiB, like 1MiB", quote(text))
    })
}

/// A date (its midnight in UTC) or RFC 3339 with a zone, in milliseconds since the epoch; the seconds may be left out.
///
/// # Errors
/// Says what to write instead.
pub fn time(text: &str) -> Result<i64, String> {
    let read = quote(text);
    if text.len() == 10
        && let Ok(date) = text.parse::<Date>()
        && let Ok(midnight) = date.to_zoned(TimeZone::UTC)
    {
        return Ok(midnight.timestamp().as_millisecond());
    }
    if text.as_bytes().get(10) == Some(&b'T') {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(time.as_millisecond());
        }
        if text.parse::<jiff::civil::DateTime>().is_ok() {
            return Err(format!("expected a time, read {read}: the zone is missing, write {text}Z for UTC"));
        }
    }
    Err(format!("expected a time, read {read}: write a date like 2013-05-01 or a time like 2013-05-01T00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("0.2"), Ok(0.2));
        assert_eq!(number("1e-4"), Ok(1e-4));
        assert_eq!(number("-3"), Ok(-3.0));
        assert_eq!(number("0,2").unwrap_err(), r#"expected a number, read "0,2", write 0.2"#);
        assert_eq!(number("5%").unwrap_err(), r#"expected a number, read "5%", write 0.05"#);
        for text in ["", "x", "inf", ".inf", "-.nan", "NaN", "1e999", "0x10", "1_000", "true", "--1", "é"] {
            assert!(number(text).is_err(), "{text}");
        }
        assert_eq!(number(".nan").unwrap_err(), r#"expected a finite number, read ".nan": write the number itself"#);
    }

    #[test]
    fn durations() {
        assert_eq!(duration("7d"), Ok(604_800_000));
        assert_eq!(duration("500ms"), Ok(500));
        assert_eq!(duration("0s"), Ok(0));
        assert_eq!(duration("1.5h").unwrap_err(), r#"expected a duration, read "1.5h", write 90m"#);
        assert_eq!(duration("1h30m").unwrap_err(), r#"expected a duration, read "1h30m", write 90m"#);
        assert_eq!(duration("2 weeks").unwrap_err(), r#"expected a duration, read "2 weeks", write 14d"#);
        assert_eq!(
            duration("3600").unwrap_err(),
            r#"expected a duration, read "3600": the unit is missing, write 3600s, or another of d, h, m, s, ms"#
        );
        for text in ["", "d", "-1d", "1y", "99999999999999999999d", "40000d", "1..5h", "…", "1é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("4096"), Ok(4096));
        assert!(size("1MB").unwrap_err().contains("like 1MiB"));
        assert!(size("99999999999999GiB").is_err());
        assert!(size("").is_err());
    }

    #[test]
    fn times() {
        assert_eq!(time("1970-01-02"), Ok(86_400_000));
        assert_eq!(time("2013-05-01T00:00Z"), Ok(1_367_366_400_000));
        assert_eq!(time("2013-05-01T02:00:00.5+02:00"), Ok(1_367_366_400_500));
        assert!(time("2013-05-01T00:00").unwrap_err().contains("write 2013-05-01T00:00Z for UTC"));
        for text in ["", "2013", "2013-02-30", "01.05.2013", "2013-05-01T25:00Z", "yesterday"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
