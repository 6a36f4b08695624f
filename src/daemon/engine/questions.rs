//! The questions that idleness rests on: what was asked, how far everything had come by then, and what was answered.

use std::collections::BTreeMap;
use std::time::Instant;

use super::ask::{Asker, Heard};
use driftgate_core::intake::SourceId;
use driftgate_core::window::watermark::Progress;

/// The questions of an engine.
pub struct Questions {
    pub asker: Option<Asker>,
    /// What is being asked.
    pub open: Option<ProgressSnapshot>,
    /// When it was asked last.
    pub asked: Option<Instant>,
    /// The last answer.
    pub answered: Option<AnsweredQuestion>,
    pub heard: BTreeMap<(String, i32), Heard>,
    /// The last answer left open which partitions there are: another one at once would not say more.
    pub is_vain: bool,
}

impl Questions {
    pub fn new(asker: Option<Asker>) -> Self {
        Self { asker, open: None, asked: None, answered: None, heard: BTreeMap::new(), is_vain: false }
    }
}

/// How everything stood when a question was asked.
pub struct ProgressSnapshot {
    pub asked: Instant,
    /// The partitions that there were.
    pub generation: u64,
    /// By partition and model.
    pub slots: Vec<BTreeMap<usize, SourceProgress>>,
}

/// How a partition stood for one model.
pub struct SourceProgress {
    pub source: SourceId,
    pub progress: Progress,
    pub last_event: Option<Instant>,
}

/// An answer, with how everything had stood.
pub struct AnsweredQuestion {
    pub standing: ProgressSnapshot,
    pub slots: Vec<PartitionAnswer>,
    /// A partition that was silent was not read yet to the end that the answer names.
    pub waits: bool,
}

/// What an answer says of a partition.
pub struct PartitionAnswer {
    /// Its end.
    pub end: Option<i64>,
    /// Since when brokers have answered for it.
    pub heard: Option<Heard>,
    /// Whether it is read with all other partitions of its topic.
    pub known: bool,
}
