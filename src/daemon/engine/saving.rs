//! Checkpoints: what a restart needs, taken while the workers rest, and written beside them.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::assembly::Engine;
use super::partition::PartitionSlot;
use crate::checkpoint::{Checkpoint, HalvesState, PartState, SourceState};
use crate::clock::now_ms;
use crate::daemon::topics::Topic;
use crate::sink::Item;
use crate::telemetry::events::state::{CheckpointFailed, CheckpointResumed};
use crate::view::readiness::{Latch, NotReady};
use driftgate_core::pipeline::{Pipeline, lock};

impl Engine {
    /// Writes a checkpoint; whether it was written. A restart would fall behind the last one further and further.
    pub(super) fn save(&self) -> bool {
        let view = &self.shared.view;
        match self.write_checkpoint() {
            Ok(_) => {
                if view.read().readiness.holds(&Latch::Checkpoint) {
                    view.write().readiness.release(&Latch::Checkpoint);
                    CheckpointResumed.emit();
                }
                true
            }
            Err(e) => {
                let why = NotReady::CheckpointFailed { error: e.to_string() };
                let is_first = !view.write().readiness.hold(why);
                let failed = view.read().checkpoint.failed + 1;
                CheckpointFailed { error: &e.to_string(), is_first, failed }.emit(view);
                false
            }
        }
    }

    pub(super) fn write_checkpoint(&self) -> anyhow::Result<u64> {
        let started = Instant::now();
        let (mut checkpoint, mark, held) = self.checkpoint()?;
        if let Some(results) = &self.results {
            results.stage(&held)?;
        }
        self.share.stage(self.results.as_ref());
        self.shared.view.write().checkpoint.since = Some(Instant::now());
        let saved = self.store.save(&mut checkpoint);
        self.shared.view.write().checkpoint.since = None;
        if let Some(results) = &self.results {
            results.ended(saved.is_ok());
        }
        self.share.ended(saved.is_ok());
        let bytes = saved?;
        lock(&self.shared.outbox).released(mark);
        let replaced: Vec<String> = self.shared.view.read().replaced.keys().cloned().collect();
        let of_topic = checkpoint.sources.iter().filter(|s| !replaced.contains(&s.topic));
        let offsets: Vec<_> = of_topic.filter_map(|s| Some((s.topic.clone(), s.partition, s.next_offset?))).collect();
        self.kafka.commit(&offsets);
        let view = &mut self.shared.view.write().checkpoint;
        view.written += 1;
        view.last_ms = Some(now_ms());
        view.last_bytes = bytes;
        view.last_seconds = started.elapsed().as_secs_f64();
        Ok(bytes)
    }

    /// What a restart needs, taken while the workers rest; the mark of the outbox that it has, and the items that it has first.
    fn checkpoint(&self) -> anyhow::Result<(Checkpoint, u64, Vec<Arc<Item>>)> {
        let mut world = self.resting();
        let world = &mut *world;
        let mut outbox = lock(&self.shared.outbox);
        outbox.settle();
        let mut sources = Vec::new();
        let halves = |topic: &Topic| Some(topic.own_halves()?.state());
        let mut halves: Vec<HalvesState> = world.topics.iter().filter_map(halves).collect();
        for PartitionSlot { state, sources: of, .. } in &mut world.slots {
            let state = state.get_mut().unwrap_or_else(PoisonError::into_inner);
            if let (Some(reader), Some(topic)) = (&state.reader.halves, world.topics.get(state.topic))
                && let Some(of_topic) = halves.iter_mut().find(|of| of.topic == reader.topic())
                && !reader.rows().is_empty()
            {
                of_topic.rows.push((topic.place(state.partition.partition), reader.rows().to_vec()));
            }
            let fronts = of.iter().filter_map(|(m, (source, _))| {
                let model = world.models.get(*m)?;
                Some((model.policy.model.clone(), model.intake().front(*source)?.clone()))
            });
            let behind = of.iter().filter_map(|(m, (source, _))| {
                let model = world.models.get(*m)?;
                model.intake().is_behind(*source).then(|| model.policy.model.clone())
            });
            let holes = of.iter().filter_map(|(m, (source, _))| {
                let model = world.models.get(*m)?;
                Some((model.policy.model.clone(), model.intake().hole(*source)?))
            });
            sources.push(SourceState {
                topic: state.partition.topic.clone(),
                partition: state.partition.partition,
                next_offset: state.counted,
                topic_id: state.partition.topic_id.clone(),
                leader_epoch: state.partition.leader_epoch(),
                fronts: fronts.collect(),
                behind: behind.collect(),
                holes: holes.collect(),
            });
        }
        // What is given away is no part of the pipelines' states any more.
        let part = self.share.state(self.shared.asked(), world)?;
        let part = if part == PartState::Whole && !halves.is_empty() { PartState::Joining(halves) } else { part };
        let pipelines = world.models.iter_mut().map(Pipeline::state).collect();
        Ok((Checkpoint { pipelines, outbox: outbox.pending(), sources, part }, outbox.mark(), outbox.held()))
    }
}
