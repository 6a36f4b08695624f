//! The history: days that cannot be written, and what a crash left.

use std::path::Path;

/// Windows cannot be written to the history. Logged as it begins; `history_write_failures_total` counts every attempt.
pub struct NotWritten<'a> {
    pub error: &'a dyn std::fmt::Display,
}

impl NotWritten<'_> {
    pub fn emit(&self) {
        tracing::error!(error = %self.error, "the history is not written, and windows wait in memory for it");
    }
}

/// The history is written again.
pub struct WrittenAgain {
    /// Windows that were left out meanwhile.
    pub lost: u64,
}

impl WrittenAgain {
    pub fn emit(&self) {
        tracing::info!(lost = self.lost, "the history is written again");
    }
}

/// A record at the end of a file was not whole, as a crash leaves it, and is cut off.
pub struct RecordCut<'a> {
    pub file: &'a Path,
    pub bytes: u64,
}

impl RecordCut<'_> {
    pub fn emit(&self) {
        tracing::warn!(file = %self.file.display(), bytes = self.bytes, "the last record of the history was not whole and is cut off");
    }
}

/// A day that is over cannot be made a Parquet file, copied to the store or deleted. It is tried again; said as it begins.
pub struct DayFailed<'a> {
    pub error: &'a dyn std::fmt::Display,
}

impl DayFailed<'_> {
    pub fn emit(&self) {
        tracing::error!(error = %self.error, "days of the history are not put in order; they stay as they are and it is tried again");
    }
}

/// A day is over, and its windows are in a Parquet file.
pub struct DayWritten<'a> {
    pub file: &'a Path,
    pub rows: usize,
    pub bytes: u64,
}

impl DayWritten<'_> {
    pub fn emit(&self) {
        tracing::info!(file = %self.file.display(), rows = self.rows, bytes = self.bytes, "a day of the history is over");
    }
}

/// A day is older than the history is kept.
pub struct DayDeleted<'a> {
    pub file: &'a Path,
}

impl DayDeleted<'_> {
    pub fn emit(&self) {
        tracing::info!(file = %self.file.display(), "a day of the history is older than it is kept and is deleted");
    }
}
