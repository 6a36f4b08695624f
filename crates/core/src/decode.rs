//! Bytes and columns to events: what every format shares. `coder` turns texts into codes, `scan` reads JSON and
//! `decimal` and `short` its numbers and short texts, `time` says which instants times of every format mean,
//! `reject` has the reasons for which events are rejected, `checks` the values for which events of every format are rejected, `notes`
//! and `seen` keep what is worth telling of events that count. `wire` says how messages are written and `framing` which schema names
//! them, `cloudevents` opens what is around data; `decoder` reads them by a `plan`, `json` or `avro` into the slots of their model; `columns` reads those of files of columns, and `largest` says which class scores predict.
//! No input or output here.

pub mod avro;
pub mod checks;
pub mod cloudevents;
pub mod coder;
pub mod columns;
mod decimal;
pub mod decoder;
#[cfg(test)]
mod fixture;
pub mod framing;
pub mod json;
pub(crate) mod largest;
pub mod narrow;
pub mod notes;
pub mod plan;
pub mod protobuf;
mod put;
mod reject;
pub mod scan;
pub mod seen;
mod short;
pub mod time;
pub mod wire;

pub use reject::{Reason, Reject};

/// Reads RFC 3339 (an offset is needed) as milliseconds.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
