//! Bytes and columns to events: what every format shares. `coder` turns texts into codes, `scan` reads JSON and
//! `decimal` and `short` its numbers and short texts, `time` says which instants times of every format mean,
//! `reject` has the reasons for which events are rejected, `notes` and `seen` keep what is worth telling of events that count,
//! `plan` and `json` decode JSON events by a schema, `columns` those of files of columns. No input or output here.

pub mod coder;
pub mod columns;
mod decimal;
pub mod json;
pub mod notes;
pub mod plan;
mod reject;
pub mod scan;
pub mod seen;
mod short;
pub mod time;

pub use reject::{Reason, Reject};

use crate::event::numeric;
use crate::policy::{MOST_VALUE, MOST_WEIGHT};
use crate::yaml::units::show_duration;

/// No clock shows such a time: it was counted in smaller units.
const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// Checks an event time (ms): not before 1970, and at most `future` ms ahead of `record_ts`.
///
/// # Errors
/// The rejection, with what was read.
pub fn check_time(ts: i64, record_ts: i64, future: i64) -> Result<i64, Reject> {
    if ts < 0 {
        return Err(Reject::new(Reason::BadTime, format!("time {ts} ms is before 1970")));
    }
    if ts > record_ts.saturating_add(future) {
        let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string());
        let most = show_duration(future);
        let mut detail = format!("time {} is more than {most} ahead of its record's {}", at(ts), at(record_ts));
        if ts > YEAR_10000_MS {
            detail
                .push_str("; if its source counts microseconds or nanoseconds, write `timestamp: us` or `ns` under it");
        }
        return Err(Reject::new(Reason::Future, detail));
    }
    Ok(ts)
}

/// Checks a measured value, a numeric cell: finite, within plus and minus `MOST_VALUE`.
///
/// # Errors
/// The rejection, with what was read.
pub fn check_value(cell: f64) -> Result<f64, Reject> {
    let detail = if numeric::is_invalid(cell) {
        "the value is no number".to_owned()
    } else if cell.is_nan() {
        "the measurement has no value".to_owned()
    } else if cell.abs() > MOST_VALUE {
        format!("the value {cell:e} is out of range: values lie between -1e12 and 1e12")
    } else {
        // Minus zero is zero.
        return Ok(cell + 0.0);
    };
    Err(Reject::new(Reason::BadValue, detail))
}

/// Checks the `n` of a measurement, a numeric cell: a whole number from 1 to `MOST_WEIGHT`; 1 where it is missing.
///
/// # Errors
/// The rejection, with what was read.
pub fn check_weight(cell: f64) -> Result<u64, Reject> {
    if cell.is_nan() && !numeric::is_invalid(cell) {
        return Ok(1);
    }
    #[allow(clippy::cast_precision_loss, reason = "a billion")]
    let whole = cell.fract() == 0.0 && (1.0..=MOST_WEIGHT as f64).contains(&cell);
    if !whole {
        let read = if cell.is_nan() { "no number".to_owned() } else { cell.to_string() };
        return Err(Reject::new(Reason::BadWeight, format!("n is {read}: expected a whole number from 1 to 1e9")));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, from 1 to a billion")]
    Ok(cell as u64)
}

/// Reads RFC 3339 (an offset is needed) as milliseconds.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
