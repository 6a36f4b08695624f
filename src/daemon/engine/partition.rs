//! One partition as a worker takes its turn with it: messages are decoded into batches, admitted and counted. A version
//! that nobody knows yet makes the partition wait for its baseline.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::World;
use super::workers::Desk;
use crate::clock::now_ms;
use crate::daemon::topics::{Batches, Reader};
use crate::source::files::StreamBatch;
use crate::source::kafka::Partition;
use crate::telemetry::spans::{self, Offsets};
use driftgate_core::event::PredictionBatch;
use driftgate_core::intake::{DecoderId, Intake, SourceId};
use driftgate_core::pipeline::Batch;

/// Messages read from a partition in one turn.
const ROUND: usize = 2048;
/// So many turns' batches may wait for a baseline; then the partition is not read until it is there.
const PARKED: usize = 16;

/// A partition.
pub struct Place {
    pub topic: usize,
    pub partition: Partition,
    pub reader: Reader,
    /// By model index: when its last event was read.
    pub last_event: BTreeMap<usize, Instant>,
    /// Everything before this offset is counted.
    pub counted: Option<i64>,
    /// The offset of the first message that was read.
    pub first: Option<i64>,
    /// Batches that wait for a baseline, by model index, with their decoder.
    pub parked: Vec<(usize, DecoderId, PredictionBatch)>,
    /// Since when they wait, and when that began by the clock in ms.
    pub parked_since: Option<(Instant, i64)>,
}

/// By model index: the source, and the decoder whose codes the batches carry.
pub type Sources = BTreeMap<usize, (SourceId, DecoderId)>;

/// A partition that one worker at a time takes turns with.
pub struct Seat {
    pub place: Mutex<Place>,
    pub sources: Sources,
    /// It is ahead of others in event time, and waits for them.
    pub paused: AtomicBool,
}

impl Seat {
    pub fn new(place: Place, sources: Sources) -> Self {
        Self { place: Mutex::new(place), sources, paused: AtomicBool::new(false) }
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Whether everything before an offset was read and admitted.
    pub fn is_read_to(&self, end: i64) -> bool {
        let Partition { next, halted, doubted, .. } = &self.partition;
        self.parked.is_empty() && halted.is_none() && doubted.is_none() && next.is_some_and(|next| next >= end)
    }

    /// The offset of the first message that is not counted. Where the first messages of all wait, nothing was counted before.
    pub fn next_uncounted(&self) -> Option<i64> {
        if self.parked.is_empty() { self.partition.next } else { self.counted.or(self.first) }
    }

    /// Takes a turn: counts what waited, and reads on; decoding does not need the baseline. Returns how many messages there were.
    pub fn turn(&mut self, sources: &Sources, world: &World, desk: &mut Desk<'_>) -> usize {
        if !self.parked.is_empty() && !self.count_parked(sources, world, desk) && self.parked.len() >= PARKED {
            return 0;
        }
        let now = now_ms();
        let Self { partition, reader, first, .. } = self;
        let before = partition.next;
        let messages = partition.drain(ROUND, |message| {
            first.get_or_insert(message.offset());
            reader.take(message, now);
        });
        if messages > 0 {
            self.reader.look();
            self.count(before.or(self.first), sources, world, desk);
            desk.common.bury(&mut self.reader.dead);
        }
        if self.parked.is_empty() {
            self.parked_since = None;
        } else {
            self.parked_since.get_or_insert((Instant::now(), now));
        }
        // Also without messages: the end of a partition may lie beyond its last one.
        if self.parked.is_empty() {
            self.counted = self.partition.next;
        }
        messages
    }

    /// Counts the batches that the turn filled; those of predictions all wait if one must or others wait already, so that an
    /// offset stands for all and they are counted in order.
    fn count(&mut self, first: Option<i64>, sources: &Sources, world: &World, desk: &mut Desk<'_>) {
        let Self { partition, reader, last_event, parked, .. } = self;
        let Partition { topic, partition, next, .. } = partition;
        let offsets = Offsets { topic, partition: *partition, first, next: *next };
        let filled = Filled { world, sources, last_event, offsets };
        match &mut reader.batches {
            Batches::Predictions(batches) => {
                if filled.must_wait(batches, desk) || !parked.is_empty() {
                    for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| !b.is_empty()) {
                        if let (Some(model), Some(&(_, decoder))) = (world.models.get(m), sources.get(&m)) {
                            let empty = PredictionBatch::empty(model.intake().schema());
                            parked.push((m, decoder, std::mem::replace(batch, empty)));
                        }
                    }
                    return;
                }
                filled.count(batches, desk, Intake::translate);
            }
            Batches::Labels(batches) => filled.count(batches, desk, |_, _, _| ()),
            Batches::Features(batches) => {
                filled.count(batches, desk, Intake::translate_features);
            }
            Batches::Measurements(batches) => {
                filled.count(batches, desk, Intake::translate_measurements);
            }
        }
    }

    /// Counts the waiting batches once every version in them is known; returns whether they were.
    fn count_parked(&mut self, sources: &Sources, world: &World, desk: &mut Desk<'_>) -> bool {
        let mut wait = false;
        for (m, _, batch) in &self.parked {
            wait |= world.models.get(*m).is_some_and(|model| desk.common.wait_for(model, &mut model.intake(), batch));
        }
        if wait {
            return false;
        }
        let Partition { topic, partition, next, .. } = &self.partition;
        let offsets = Offsets { topic, partition: *partition, first: self.counted.or(self.first), next: *next };
        for (m, decoder, mut batch) in std::mem::take(&mut self.parked) {
            let (Some(model), Some(&(source, _))) = (world.models.get(m), sources.get(&m)) else { continue };
            let _batch = spans::batch(offsets, &model.policy.model, batch.rows()).entered();
            let mut intake = model.intake();
            intake.translate(decoder, &mut batch);
            desk.count(model, intake, source, &batch);
        }
        self.counted = self.partition.next;
        true
    }
}

/// The batches of a turn, and whose they are.
struct Filled<'p> {
    world: &'p World,
    sources: &'p Sources,
    last_event: &'p mut BTreeMap<usize, Instant>,
    offsets: Offsets<'p>,
}

impl Filled<'_> {
    /// Learns what the batches' codes mean; returns whether a version in them has no baseline yet.
    fn must_wait(&self, batches: &mut [PredictionBatch], desk: &Desk<'_>) -> bool {
        let mut wait = false;
        for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| b.rows() > 0 || b.has_news()) {
            let (Some(model), Some(&(_, decoder))) = (self.world.models.get(m), self.sources.get(&m)) else { continue };
            let mut intake = model.intake();
            intake.learn(decoder, batch);
            wait |= desk.common.wait_for(model, &mut intake, batch);
        }
        wait
    }

    fn count<B: StreamBatch + Batch>(
        self,
        batches: &mut [B],
        desk: &mut Desk<'_>,
        translate: impl Fn(&mut Intake, DecoderId, &mut B),
    ) {
        let now = Instant::now();
        for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| b.rows() > 0 || b.has_news()) {
            if let (Some(model), Some(&(source, decoder))) = (self.world.models.get(m), self.sources.get(&m)) {
                let _batch = spans::batch(self.offsets, &model.policy.model, batch.rows()).entered();
                let mut intake = model.intake();
                translate(&mut intake, decoder, batch);
                if batch.rows() > 0 {
                    self.last_event.insert(m, now);
                    desk.count(model, intake, source, batch);
                }
            }
            batch.reset();
        }
    }
}
