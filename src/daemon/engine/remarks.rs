//! What is worth telling of the events that count, looked at now and then: said once in the log, shown as long as it holds.

use std::collections::{BTreeMap, BTreeSet};

use super::assembly::Engine;
use super::world::World;
use crate::daemon::topics::{Read, Topic};
use crate::telemetry::events::input::{EventAhead, TopicRemarked};
use crate::view::remarks::TopicRemarks;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::EventKind;
use driftgate_core::pipeline::absent::{absent, sentence};
use driftgate_core::pipeline::lock;

/// Fewer events say nothing of a stream.
const TELLING: u64 = 100;

/// By topic and model: how many events count, and what any has had.
type Had = BTreeMap<(usize, usize), (u64, Seen)>;

impl Engine {
    /// Looks at what all topics have brought so far.
    pub(super) fn refresh_remarks(&self) {
        let world = self.world();
        let (read, had) = read_so_far(&world);
        let remarks: BTreeMap<String, TopicRemarks> = world
            .topics
            .iter()
            .zip(&read)
            .enumerate()
            .map(|(at, (topic, read))| (topic.name.clone(), of_topic(&world, (at, topic), read, &had)))
            .collect();
        let mut view = self.shared.view.write();
        for (topic, of_topic) in &remarks {
            for sentence in of_topic.new_since(view.remarks.get(topic)) {
                TopicRemarked { topic, sentence }.emit();
            }
        }
        // Other topics are others' to look at.
        view.remarks.extend(remarks);
        drop(view);
        report_ahead(&world);
    }
}

/// Reports events whose times the events after them contradicted: one of each topic and model.
fn report_ahead(world: &World) {
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |t| t.to_string());
    let mut told = BTreeSet::new();
    for slot in &world.slots {
        for (&m, &(source, _)) in &slot.sources {
            let Some(model) = world.models.get(m) else { continue };
            let Some((ts, reached)) = model.intake().take_ahead(source) else { continue };
            let state = lock(&slot.state);
            if told.insert((state.topic, m)) {
                let (topic, partition, model) =
                    (&state.partition.topic, state.partition.partition, &model.policy.model);
                EventAhead { topic, partition, model, time: &at(ts), reached: &at(reached) }.emit();
            }
        }
    }
}

fn read_so_far(world: &World) -> (Vec<Read>, Had) {
    let (mut read, mut had) = (world.past.clone(), Had::new());
    for slot in &world.slots {
        let state = lock(&slot.state);
        if let Some(total) = read.get_mut(state.topic) {
            total.add(&state.reader.log.read);
        }
        for (&model, &rows) in &state.reader.log.read.rows {
            let seen = state.reader.seen(model);
            let (all, merged) = had.entry((state.topic, model)).or_insert_with(|| (0, seen.clone()));
            *all += rows;
            merged.merge(&seen);
        }
    }
    (read, had)
}

fn of_topic(world: &World, (at, topic): (usize, &Topic), read: &Read, had: &Had) -> TopicRemarks {
    let (fields, unit) = topic.places();
    let mut remarks =
        TopicRemarks { notes: read.notes.clone(), tombstones: read.tombstones, ..TopicRemarks::default() };
    let mut told = read.notes.clone();
    if told.events < TELLING {
        told.early = 0;
    }
    remarks.sentences = told.sentences(&topic.name, unit);
    for (model, pipeline) in world.models.iter().enumerate() {
        let Some((rows, seen)) = had.get(&(at, model)).filter(|(rows, _)| *rows >= TELLING) else { continue };
        let mut seen = seen.clone();
        // A model's events may come by several topics, and its features in a stream of their own.
        for ((other, _), (_, had)) in had.iter().filter(|((_, m), _)| *m == model) {
            let kind = world.topics.get(*other).map(|t| t.kind);
            if kind == Some(topic.kind) || (topic.kind == EventKind::Predictions && kind == Some(EventKind::Features)) {
                seen.merge(had);
            }
        }
        let streamed = pipeline.policy.features.numeric.len() + pipeline.policy.features.categorical.len() > 0
            && topic.kind == EventKind::Features;
        // Predictions may carry what the features' stream does not.
        let names = if streamed {
            Vec::new()
        } else {
            absent(&seen, &pipeline.policy, pipeline.intake().schema(), fields, topic.kind)
        };
        if !names.is_empty() {
            remarks.sentences.push(sentence(&topic.name, *rows, &names, None));
            let model = &pipeline.policy.model;
            remarks.absent.extend(names.into_iter().map(|name| (model.clone(), name)));
        }
    }
    remarks
}
