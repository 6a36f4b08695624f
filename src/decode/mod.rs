//! Bytes and columns to events: what every format shares. `coder` turns texts into codes, `scan` reads JSON,
//! `plan` and `json` decode JSON events by a schema. No input or output here.

pub mod coder;
pub mod json;
pub mod plan;
pub mod scan;

use serde::{Deserialize, Serialize};

/// Why an event was rejected whole. Everything else that is wrong with an event is counted and the event still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not a JSON object, or not JSON at all.
    NotJson,
    /// A field of the envelope stands twice.
    DuplicateKey,
    /// Nested deeper than the bound.
    TooDeep,
    /// Longer than the bound on messages.
    TooLarge,
    /// An id, version or model longer than the bound on strings, or with a control character.
    BadText,
    NoModel,
    NoVersion,
    NoTime,
    /// A time that is neither integer milliseconds nor RFC 3339, or before 1970.
    BadTime,
    /// More than an hour ahead of the record's own time.
    Future,
    NoId,
}

impl Reason {
    /// The reason as metrics and dead letters name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::BadText => "bad_text",
            Self::NoModel => "no_model",
            Self::NoVersion => "no_version",
            Self::NoTime => "no_time",
            Self::BadTime => "bad_time",
            Self::Future => "future",
            Self::NoId => "no_id",
        }
    }

    pub const ALL: [Self; 11] = [
        Self::NotJson,
        Self::DuplicateKey,
        Self::TooDeep,
        Self::TooLarge,
        Self::BadText,
        Self::NoModel,
        Self::NoVersion,
        Self::NoTime,
        Self::BadTime,
        Self::Future,
        Self::NoId,
    ];
}

/// A rejected event: the reason and what was read, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.name())]
pub struct Reject {
    pub reason: Reason,
    pub detail: String,
}

impl Reject {
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Bounds on what one event and one model may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Nesting of arrays and objects.
    pub depth: usize,
    /// Bytes of one id, version, category or segment value.
    pub string_bytes: usize,
    /// Distinct values of one categorical feature.
    pub categories: usize,
    /// Distinct values of one segmentation.
    pub segments: usize,
    /// Distinct versions of one model.
    pub versions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            depth: 64,
            string_bytes: 1024,
            categories: 10_000,
            segments: 10_000,
            versions: 10_000,
        }
    }
}

/// How far ahead of its record's time an event's time may lie.
pub const FUTURE_TOLERANCE_MS: i64 = 3_600_000;

/// Checks an event time (ms): not before 1970, and at most an hour ahead of `record_ts`.
///
/// # Errors
/// The rejection, with what was read.
pub fn check_time(ts: i64, record_ts: i64) -> Result<i64, Reject> {
    if ts < 0 {
        return Err(Reject::new(Reason::BadTime, format!("time {ts} ms is before 1970")));
    }
    if ts > record_ts.saturating_add(FUTURE_TOLERANCE_MS) {
        let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string());
        return Err(Reject::new(
            Reason::Future,
            format!("time {} is more than an hour ahead of its record's {}", at(ts), at(record_ts)),
        ));
    }
    Ok(ts)
}

/// Reads RFC 3339 (an offset is needed) as milliseconds.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
