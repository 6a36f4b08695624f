//! One Kafka partition of the engine: how far it was read and counted, and what of it waits.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::daemon::topics::TopicReader;
use crate::source::kafka::Partition;
use driftgate_core::intake::{DecoderId, SourceId};
use driftgate_core::pipeline::batch::Batch;

/// The state of one partition.
pub struct PartitionState {
    pub topic: usize,
    pub partition: Partition,
    pub reader: TopicReader,
    /// By model index: when its last event was read.
    pub last_event: BTreeMap<usize, Instant>,
    /// Everything before this offset is counted.
    pub counted: Option<i64>,
    /// The offset of the first message that was read.
    pub first: Option<i64>,
    /// Batches that wait for a baseline, by model index, with their decoder.
    pub parked: Vec<(usize, DecoderId, Box<dyn Batch>)>,
    /// Since when they wait, and when that began by the clock in ms.
    pub parked_since: Option<(Instant, i64)>,
}

/// By model index: the source, and the decoder whose codes the batches carry.
pub type Sources = BTreeMap<usize, (SourceId, DecoderId)>;

/// A partition that one worker at a time takes turns with.
pub struct PartitionSlot {
    pub state: Mutex<PartitionState>,
    pub sources: Sources,
    /// It is ahead of others in event time, and waits for them.
    pub paused: AtomicBool,
}

impl PartitionSlot {
    pub fn new(state: PartitionState, sources: Sources) -> Self {
        Self { state: Mutex::new(state), sources, paused: AtomicBool::new(false) }
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }
}

impl PartitionState {
    /// Whether everything before an offset was read and admitted.
    pub fn is_read_to(&self, end: i64) -> bool {
        let Partition { next, halted, doubted, .. } = &self.partition;
        self.parked.is_empty() && halted.is_none() && doubted.is_none() && next.is_some_and(|next| next >= end)
    }

    /// The offset of the first message that is not counted. Where the first messages of all wait, nothing was counted before.
    pub fn next_uncounted(&self) -> Option<i64> {
        if self.parked.is_empty() { self.partition.next } else { self.counted.or(self.first) }
    }
}
