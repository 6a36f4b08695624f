//! For which of its values an event is refused: the one home of these checks, which JSON and files of columns pass alike. The readers ask
//! for all that `Checks` names for their kind of events, so that a new check is an entry of a table here, and a new reason a line in
//! `reject` beside it.
//!
//! | table | what is looked at |
//! |---|---|
//! | `NEEDED` | whether a text is there that such events must have |
//! | `TEXTS` | ids, versions, models, metrics and stages, as texts |
//! | `NUMBERS` | scores, latencies, and the value and `n` of a measurement; a number that is missing is a cell like any other |
//! | `TIMES` | the event's time |
//!
//! Features, segments and classes (labels, decisions, errors, KPIs) refuse no event: what is wrong with them is
//! counted. What cannot be read in a format at all is refused by its reader.
//!
//! Nearly every value passes, and the readers are fast because they know that without a look at each: a check of texts says how many bytes
//! are always fine, `times` which times are, and a number without a check is not asked for.

use std::ops::RangeInclusive;

use super::reject::{Reason, Reject};
use crate::event::{EventKind, Field, Limits, numeric};
use crate::policy::{MOST_VALUE, MOST_WEIGHT};
use crate::schema::Schema;
use crate::yaml::units::show_duration;

/// A text that events must have.
#[derive(Debug)]
struct Needed {
    field: Field,
    reason: Reason,
    /// By which events.
    by: fn(EventKind, &Schema) -> bool,
    /// What an event without it is told, in a sentence.
    detail: &'static str,
}

const NEEDED: &[Needed] = &[
    Needed {
        field: Field::Version,
        reason: Reason::NoVersion,
        by: |kind, _| kind.has(Field::Version),
        detail: "the event has no version",
    },
    Needed {
        field: Field::PredictionId,
        reason: Reason::NoId,
        by: |kind, _| kind == EventKind::Labels,
        detail: "the label has no prediction id",
    },
    Needed {
        field: Field::PredictionId,
        reason: Reason::NoId,
        by: |kind, schema| kind == EventKind::Predictions && schema.needs_id,
        detail: "the event has no prediction id, and the policy joins labels by it",
    },
    Needed {
        field: Field::Metric,
        reason: Reason::NoMetric,
        by: |kind, _| kind.has(Field::Metric),
        detail: "the measurement has no metric",
    },
];

/// A check of a text that is there. The first of a field that refuses it gives the reason.
#[derive(Debug)]
struct TextCheck {
    fields: &'static [Field],
    reason: Reason,
    /// Texts of up to so many bytes pass, and are not looked at; with 0 every text is.
    passes: fn(&Limits) -> usize,
    /// Why a text is refused, behind the words "the prediction id".
    refuses: fn(&str, &Limits) -> Option<String>,
}

const TEXTS: &[TextCheck] = &[TextCheck {
    fields: &[Field::Model, Field::Version, Field::PredictionId, Field::Metric],
    reason: Reason::BadText,
    passes: |limits| limits.string_bytes,
    refuses: |text, limits| {
        (text.len() > limits.string_bytes).then(|| format!("is longer than {} bytes", limits.string_bytes))
    },
}];

/// A check of a number, a numeric cell.
#[derive(Debug)]
struct NumberCheck {
    field: Field,
    reason: Reason,
    /// Why it is refused, in a sentence. A cell without a number is NaN (`numeric::MISSING`, `numeric::INVALID`); -0 and infinities come here, too.
    refuses: fn(f64) -> Option<String>,
}

const NUMBERS: &[NumberCheck] = &[
    NumberCheck { field: Field::Value, reason: Reason::BadValue, refuses: bad_value },
    NumberCheck { field: Field::Weight, reason: Reason::BadWeight, refuses: bad_weight },
];

/// A check of an event's time. The first that refuses it gives the reason.
#[derive(Debug)]
struct TimeCheck {
    reason: Reason,
    /// Why a time is refused, in a sentence: of the event and of its record, and how far ahead of that it may be, all in ms.
    refuses: fn(i64, i64, i64) -> Option<String>,
}

const TIMES: &[TimeCheck] = &[
    TimeCheck { reason: Reason::BadTime, refuses: before_1970 },
    TimeCheck { reason: Reason::Future, refuses: ahead },
];

/// The fields that are texts, as checks know them, in the order in which they are looked at.
const TEXT_FIELDS: [Field; 5] = [Field::Model, Field::Version, Field::PredictionId, Field::Metric, Field::Stage];
/// The same of numbers.
const NUMBER_FIELDS: [Field; 4] = [Field::Score, Field::LatencyMs, Field::Value, Field::Weight];

/// What is looked at in events of one kind of one model.
#[derive(Clone, Debug)]
pub struct Checks {
    limits: Limits,
    needed: Vec<&'static Needed>,
    texts: &'static [TextCheck],
    numbers: &'static [NumberCheck],
    /// Fields of the kind that are looked at.
    text_fields: Vec<Field>,
    number_fields: Vec<Field>,
}

impl Checks {
    #[must_use]
    pub fn new(kind: EventKind, schema: &Schema, limits: Limits) -> Self {
        Self::of(kind, schema, limits, TEXTS, NUMBERS)
    }

    fn of(
        kind: EventKind,
        schema: &Schema,
        limits: Limits,
        texts: &'static [TextCheck],
        numbers: &'static [NumberCheck],
    ) -> Self {
        let needed: Vec<_> = NEEDED.iter().filter(|needed| (needed.by)(kind, schema)).collect();
        let reads_text = |field: &Field| {
            let checked = texts.iter().any(|check| check.fields.contains(field));
            kind.has(*field) && (checked || needed.iter().any(|needed| needed.field == *field))
        };
        let reads_number = |field: &Field| kind.has(*field) && numbers.iter().any(|check| check.field == *field);
        Self {
            limits,
            text_fields: TEXT_FIELDS.into_iter().filter(reads_text).collect(),
            number_fields: NUMBER_FIELDS.into_iter().filter(reads_number).collect(),
            needed,
            texts,
            numbers,
        }
    }

    /// The texts to look at, those of the model among them.
    #[must_use]
    pub fn texts(&self) -> &[Field] {
        &self.text_fields
    }

    /// The numbers to look at.
    #[must_use]
    pub fn numbers(&self) -> &[Field] {
        &self.number_fields
    }

    /// The texts without which such an event is refused, and why it is then.
    pub fn needed(&self) -> impl Iterator<Item = (Field, Reason, &'static str)> {
        self.needed.iter().map(|needed| (needed.field, needed.reason, needed.detail))
    }

    /// A text of 1 to so many bytes passes in this field.
    #[must_use]
    pub fn passes_within(&self, field: Field) -> usize {
        let of_field = self.texts.iter().filter(|check| check.fields.contains(&field));
        of_field.map(|check| (check.passes)(&self.limits)).min().unwrap_or(usize::MAX)
    }

    /// Checks a text that is not empty.
    ///
    /// # Errors
    /// The rejection, with what was read.
    pub fn text(&self, field: Field, text: &str) -> Result<(), Reject> {
        for check in self.texts.iter().filter(|check| check.fields.contains(&field)) {
            if let Some(why) = (check.refuses)(text, &self.limits) {
                return Err(Reject::new(check.reason, format!("the {} {why}", name(field))));
            }
        }
        Ok(())
    }

    /// Checks a number, a numeric cell.
    ///
    /// # Errors
    /// The rejection, with what was read.
    pub fn number(&self, field: Field, cell: f64) -> Result<(), Reject> {
        for check in self.numbers.iter().filter(|check| check.field == field) {
            if let Some(detail) = (check.refuses)(cell) {
                return Err(Reject::new(check.reason, detail));
            }
        }
        Ok(())
    }

    /// The reasons for which values are refused.
    #[must_use]
    pub fn reasons() -> Vec<Reason> {
        let needed = NEEDED.iter().map(|needed| needed.reason);
        let (texts, numbers) = (TEXTS.iter().map(|check| check.reason), NUMBERS.iter().map(|check| check.reason));
        let times = TIMES.iter().map(|check| check.reason);
        let mut all: Vec<Reason> = needed.chain(texts).chain(numbers).chain(times).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// How sentences call a field.
#[must_use]
pub fn name(field: Field) -> &'static str {
    match field {
        Field::PredictionId => "prediction id",
        other => other.name(),
    }
}

/// No clock shows such a time: it was counted in smaller units.
const YEAR_10000_MS: i64 = 253_402_300_800_000;

/// Times that pass, and are not looked at: not before 1970, and at most `future` ms ahead of `record_ts`. What `TIMES` refuses lies outside.
#[must_use]
pub fn times(record_ts: i64, future: i64) -> RangeInclusive<i64> {
    0..=record_ts.saturating_add(future)
}

/// Checks an event time (ms).
///
/// # Errors
/// The rejection, with what was read.
pub fn time(ts: i64, record_ts: i64, future: i64) -> Result<i64, Reject> {
    if times(record_ts, future).contains(&ts) {
        return Ok(ts);
    }
    let refused = |check: &TimeCheck| Some(Reject::new(check.reason, (check.refuses)(ts, record_ts, future)?));
    TIMES.iter().find_map(refused).map_or(Ok(ts), Err)
}

fn before_1970(ts: i64, _: i64, _: i64) -> Option<String> {
    (ts < 0).then(|| format!("time {ts} ms is before 1970"))
}

fn ahead(ts: i64, record_ts: i64, future: i64) -> Option<String> {
    if ts <= record_ts.saturating_add(future) {
        return None;
    }
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string());
    let most = show_duration(future);
    let mut detail = format!("time {} is more than {most} ahead of its record's {}", at(ts), at(record_ts));
    if ts > YEAR_10000_MS {
        detail.push_str("; if its source counts microseconds or nanoseconds, write `timestamp: us` or `ns` under it");
    }
    Some(detail)
}

/// A measured value is finite, and within plus and minus `MOST_VALUE`.
fn bad_value(cell: f64) -> Option<String> {
    if numeric::is_invalid(cell) {
        Some("the value is no number".to_owned())
    } else if cell.is_nan() {
        Some("the measurement has no value".to_owned())
    } else if cell.abs() > MOST_VALUE {
        Some(format!("the value {cell:e} is out of range: values lie between -1e12 and 1e12"))
    } else {
        None
    }
}

/// The `n` of a measurement is a whole number from 1 to `MOST_WEIGHT`, or missing.
fn bad_weight(cell: f64) -> Option<String> {
    let missing = cell.is_nan() && !numeric::is_invalid(cell);
    #[allow(clippy::cast_precision_loss, reason = "a billion")]
    let whole = cell.fract() == 0.0 && (1.0..=MOST_WEIGHT as f64).contains(&cell);
    if missing || whole {
        return None;
    }
    let read = if cell.is_nan() { "no number".to_owned() } else { cell.to_string() };
    Some(format!("n is {read}: expected a whole number from 1 to 1e9"))
}

/// The `n` of a measurement that passed: 1 where it is missing.
#[must_use]
pub fn weight(cell: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, from 1 to a billion")]
    if cell.is_nan() { 1 } else { cell as u64 }
}

#[cfg(test)]
mod example;
#[cfg(test)]
mod tests;
