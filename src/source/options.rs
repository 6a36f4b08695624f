//! How an event file is read, and what a piece of one comes to, whatever its format.

use std::sync::Arc;

use super::columns::nulls::NullTexts;
use driftgate_core::decode::Reject;
use driftgate_core::decode::decoder::Format;
use driftgate_core::decode::notes::Notes;
use driftgate_core::event::Limits;
use driftgate_core::kserve::Settings;

/// How event files are read.
#[derive(Clone, Debug)]
pub struct FileOptions {
    pub format: Format,
    /// What texts of a CSV file mean null, in every column.
    pub null_values: Arc<NullTexts>,
    pub limits: Limits,
    /// The time that "in the future" is measured from, in ms.
    pub record_ts: i64,
    pub threads: usize,
    /// JSON lines are events of `KServe`'s logger, which are joined so.
    pub kserve: Option<Arc<Settings>>,
}

/// By the defaults, on one thread; no time is in the future.
impl Default for FileOptions {
    fn default() -> Self {
        Self {
            format: Format::default(),
            null_values: Arc::default(),
            limits: Limits::default(),
            record_ts: i64::MAX / 2,
            threads: 1,
            kserve: None,
        }
    }
}

/// Decoded events and what was not decoded.
pub struct Chunk<B> {
    pub batch: B,
    /// Line or row within the file or, for lines, within the piece; why; and the line's bytes where there are any.
    pub rejects: Vec<(u64, Reject, Vec<u8>)>,
    /// How many lines the piece holds.
    pub lines: u64,
    /// Events of models without a policy here.
    pub unknown_model: u64,
    /// What is worth telling of the others.
    pub notes: Notes,
}

impl<B> Chunk<B> {
    /// Nothing decoded yet, into a batch without rows.
    pub(super) fn of(batch: B) -> Self {
        Self { batch, rejects: Vec::new(), lines: 0, unknown_model: 0, notes: Notes::default() }
    }
}
