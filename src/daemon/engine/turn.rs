//! A worker's turn with a partition: messages are decoded into batches, admitted and counted. A version that is not known yet
//! makes the partition wait for its baseline.

use std::collections::BTreeMap;
use std::time::Instant;

use super::partition::{PartitionState, Sources};
use super::worker_context::WorkerContext;
use super::world::World;
use crate::clock::now_ms;
use crate::daemon::topics::{Batches, Turn};
use crate::source::kafka::Partition;
use crate::telemetry::spans::{self, Offsets};

/// Messages read from a partition in one turn.
const ROUND: usize = 2048;
/// So many turns' batches may wait for a baseline; then the partition is not read until it is there.
const PARKED: usize = 16;

impl PartitionState {
    /// Takes a turn: counts what waited, and reads on; decoding does not need the baseline. Returns how many messages there were.
    pub fn turn(&mut self, sources: &Sources, world: &World, context: &mut WorkerContext<'_>) -> usize {
        // What waits of requests and responses is kept as rows: one turn of it.
        let most_parked = if self.reader.halves.is_some() { 1 } else { PARKED };
        if !self.parked.is_empty() && !self.count_parked(sources, world, context) && self.parked.len() >= most_parked {
            return 0;
        }
        let now = now_ms();
        let Self { partition, reader, first, .. } = self;
        let before = partition.next;
        let messages = reader.drain(Turn { partition, first, most: ROUND, now_ms: now });
        if messages > 0 || std::mem::take(&mut self.reader.restored) {
            self.reader.look();
            self.count(before.or(self.first), sources, world, context);
            context.shared.reject(&mut self.reader.log.dead);
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
        self.settle_halves(sources, world);
        messages
    }

    /// Halves without a row say how far the partition has come, once every row before them is counted.
    fn settle_halves(&mut self, sources: &Sources, world: &World) {
        let Some(halves) = &mut self.reader.halves else { return };
        // Its rows are kept beside the offset behind them.
        self.counted = self.partition.next;
        let now = Instant::now();
        self.last_event.extend(halves.models().filter(|m| sources.contains_key(m)).map(|m| (m, now)));
        if !self.parked.is_empty() {
            return;
        }
        for (m, times) in halves.counted() {
            if let (Some(model), Some(&(source, _))) = (world.models.get(m), sources.get(&m)) {
                model.intake().pass(source, &times);
            }
        }
    }

    /// Counts the batches that the turn filled; they all wait if one must or others wait already, so that an offset stands for
    /// all and they are counted in order.
    fn count(&mut self, first: Option<i64>, sources: &Sources, world: &World, context: &mut WorkerContext<'_>) {
        let Self { partition, reader, last_event, parked, .. } = self;
        let Partition { topic, partition, next, .. } = partition;
        let offsets = Offsets { topic, partition: *partition, first, next: *next };
        let filled = Filled { world, sources, last_event, offsets };
        let batches = &mut *reader.batches;
        if filled.must_wait(batches, context) || !parked.is_empty() {
            let with_rows: Vec<usize> =
                batches.each().into_iter().filter(|(_, batch)| batch.rows() > 0).map(|(m, _)| m).collect();
            for m in with_rows {
                if let (Some(model), Some(&(_, decoder))) = (world.models.get(m), sources.get(&m)) {
                    let batch = batches.take(m, model.intake().schema());
                    parked.extend(batch.map(|batch| (m, decoder, batch)));
                }
            }
            return;
        }
        filled.count(batches, context);
    }

    /// Counts the waiting batches once every version in them is known; returns whether they were.
    fn count_parked(&mut self, sources: &Sources, world: &World, context: &mut WorkerContext<'_>) -> bool {
        let mut wait = false;
        for (m, _, batch) in &self.parked {
            wait |=
                world.models.get(*m).is_some_and(|model| context.shared.wait_for(model, &mut model.intake(), &**batch));
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
            let rows = 0..batch.rows();
            batch.translate(&mut intake, decoder, rows);
            context.count(model, intake, source, &*batch);
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
    fn must_wait(&self, batches: &mut dyn Batches, context: &WorkerContext<'_>) -> bool {
        let mut wait = false;
        for (m, batch) in batches.each().into_iter().filter(|(_, b)| b.rows() > 0 || b.has_news()) {
            let (Some(model), Some(&(_, decoder))) = (self.world.models.get(m), self.sources.get(&m)) else { continue };
            let mut intake = model.intake();
            batch.learn(&mut intake, decoder);
            wait |= context.shared.wait_for(model, &mut intake, batch);
        }
        wait
    }

    fn count(self, batches: &mut dyn Batches, context: &mut WorkerContext<'_>) {
        let now = Instant::now();
        for (m, batch) in batches.each().into_iter().filter(|(_, b)| b.rows() > 0 || b.has_news()) {
            let of_model = self.world.models.get(m).zip(self.sources.get(&m)).filter(|_| batch.rows() > 0);
            if let Some((model, &(source, decoder))) = of_model {
                let _batch = spans::batch(self.offsets, &model.policy.model, batch.rows()).entered();
                let mut intake = model.intake();
                let rows = 0..batch.rows();
                batch.translate(&mut intake, decoder, rows);
                self.last_event.insert(m, now);
                context.count(model, intake, source, batch);
            }
            batch.reset();
        }
    }
}
