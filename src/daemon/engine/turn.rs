//! A worker's turn with a partition: messages are decoded into batches, admitted and counted. A version that is not known yet
//! makes the partition wait for its baseline.

use std::collections::BTreeMap;
use std::time::Instant;

use super::partition::{PartitionState, Sources};
use super::worker_context::WorkerContext;
use super::world::World;
use crate::clock::now_ms;
use crate::daemon::topics::Batches;
use crate::source::files::StreamBatch;
use crate::source::kafka::Partition;
use crate::telemetry::spans::{self, Offsets};
use driftgate_core::event::PredictionBatch;
use driftgate_core::intake::{DecoderId, Intake};
use driftgate_core::pipeline::Batch;

/// Messages read from a partition in one turn.
const ROUND: usize = 2048;
/// So many turns' batches may wait for a baseline; then the partition is not read until it is there.
const PARKED: usize = 16;

impl PartitionState {
    /// Takes a turn: counts what waited, and reads on; decoding does not need the baseline. Returns how many messages there were.
    pub fn turn(&mut self, sources: &Sources, world: &World, context: &mut WorkerContext<'_>) -> usize {
        if !self.parked.is_empty() && !self.count_parked(sources, world, context) && self.parked.len() >= PARKED {
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
            self.count(before.or(self.first), sources, world, context);
            context.shared.reject(&mut self.reader.dead);
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
    fn count(&mut self, first: Option<i64>, sources: &Sources, world: &World, context: &mut WorkerContext<'_>) {
        let Self { partition, reader, last_event, parked, .. } = self;
        let Partition { topic, partition, next, .. } = partition;
        let offsets = Offsets { topic, partition: *partition, first, next: *next };
        let filled = Filled { world, sources, last_event, offsets };
        match &mut reader.batches {
            Batches::Predictions(batches) => {
                if filled.must_wait(batches, context) || !parked.is_empty() {
                    for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| !b.is_empty()) {
                        if let (Some(model), Some(&(_, decoder))) = (world.models.get(m), sources.get(&m)) {
                            let empty = PredictionBatch::empty(model.intake().schema());
                            parked.push((m, decoder, std::mem::replace(batch, empty)));
                        }
                    }
                    return;
                }
                filled.count(batches, context, Intake::translate);
            }
            Batches::Labels(batches) => filled.count(batches, context, |_, _, _| ()),
            Batches::Features(batches) => {
                filled.count(batches, context, Intake::translate_features);
            }
            Batches::Measurements(batches) => {
                filled.count(batches, context, Intake::translate_measurements);
            }
        }
    }

    /// Counts the waiting batches once every version in them is known; returns whether they were.
    fn count_parked(&mut self, sources: &Sources, world: &World, context: &mut WorkerContext<'_>) -> bool {
        let mut wait = false;
        for (m, _, batch) in &self.parked {
            wait |=
                world.models.get(*m).is_some_and(|model| context.shared.wait_for(model, &mut model.intake(), batch));
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
            context.count(model, intake, source, &batch);
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
    fn must_wait(&self, batches: &mut [PredictionBatch], context: &WorkerContext<'_>) -> bool {
        let mut wait = false;
        for (m, batch) in batches.iter_mut().enumerate().filter(|(_, b)| b.rows() > 0 || b.has_news()) {
            let (Some(model), Some(&(_, decoder))) = (self.world.models.get(m), self.sources.get(&m)) else { continue };
            let mut intake = model.intake();
            intake.learn(decoder, batch);
            wait |= context.shared.wait_for(model, &mut intake, batch);
        }
        wait
    }

    fn count<B: StreamBatch + Batch>(
        self,
        batches: &mut [B],
        context: &mut WorkerContext<'_>,
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
                    context.count(model, intake, source, batch);
                }
            }
            batch.reset();
        }
    }
}
