//! Single values of a column: texts that are numbers, ticks that are times, and how messages quote a value.

use super::clock::Clock;
use driftgate_core::decode::time::TimeFormat;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::event::numeric;
use driftgate_core::schema::boolean;

/// Longer values are cut in messages.
const SHOWN_CHARS: usize = 64;

/// A text of a CSV file as a number: an empty one and NaN are missing, other texts that are no number are invalid.
#[must_use]
pub fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    if let Ok(x) = fast_float2::parse::<f64, _>(text) {
        return numeric::cell(x);
    }
    match boolean(text) {
        Some(yes) => f64::from(u8::from(yes == "true")),
        None if is_missing(text) => numeric::MISSING,
        None => numeric::INVALID,
    }
}

/// How programs that write CSV spell a missing value.
#[must_use]
pub fn is_missing(text: &str) -> bool {
    matches!(text, "" | "NaN" | "nan" | "null" | "NULL" | "NA" | "None")
}

/// A value as messages quote it.
#[must_use]
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// The mark of a value that is no number.
#[must_use]
pub fn not_a_number(there: bool) -> f64 {
    if there { numeric::INVALID } else { numeric::MISSING }
}

/// A tick in milliseconds: of a column that names no zone, by the source's.
pub fn time_of_tick(clock: Clock, tick: i64, format: &TimeFormat) -> Result<i64, Reject> {
    if clock.is_zoned() || format.is_utc() {
        // Beyond any time there is.
        return Ok(i64::try_from(clock.ms(tick)).unwrap_or(i64::MAX));
    }
    let text = clock.iso(tick);
    match clock.local(tick) {
        Some(local) => format.local(local, &text),
        None => Err(Reject::new(Reason::BadTime, format!("the time {} is out of range", cut(&text)))),
    }
}
