//! The status view that HTTP and metrics read is brought up to date beside the workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::assembly::Engine;
use super::partition::{PartitionSlot, PartitionState};
use super::share::Share;
use super::shared::MOST_CLOSINGS;
use super::world::World;
use crate::daemon::topics::{Read, Topic};
use crate::source::kafka::Partition;
use crate::telemetry::events::input::{JoinGivenUp, LabelsApart, LabelsResumed, LabelsSilent, VersionsRefused};
use crate::telemetry::events::kafka::{PartitionHalted, PartitionWaits, Place};
use crate::view::failing::Part;
use crate::view::readiness::{Latch, NotReady};
use crate::view::{ModelView, View};
use driftgate_core::codec::time::utc;
use driftgate_core::intake::Counters;
use driftgate_core::intake::newcomers::Refused;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::window::front::Front;

/// A partition that waits for a baseline longer than this is reported.
const TOLD: Duration = Duration::from_secs(3);
/// Of fewer labels it says nothing that they find no predictions.
const ENOUGH_LABELS: u64 = 200;
/// So many of the versions that it waits for are named.
const MOST_NAMED: usize = 3;

impl Engine {
    /// Brings the status view up to date.
    pub(super) fn refresh(&self) {
        let world = self.world();
        for (at, model) in world.models.iter().enumerate() {
            if self.share.judges() {
                self.refresh_model(at, model);
            } else {
                // The view of it is that of who judges.
                model.retire();
            }
        }
        // Events are counted by topic; the first partition carries them.
        let mut topics: Vec<OfTopic> = world.past.iter().map(|past| (past.clone(), None)).collect();
        let judges = world.models.iter().any(|model| model.unjudged().0 >= MOST_CLOSINGS);
        for slot in &world.slots {
            let state = lock(&slot.state);
            if let Some((read, first)) = topics.get_mut(state.topic) {
                read.add(&state.reader.log.read);
                first.get_or_insert_with(|| (state.partition.topic.clone(), state.partition.partition));
            }
            self.refresh_partition(&world, slot, &state, judges);
        }
        let mut view = self.shared.view.write();
        for (read, first) in &topics {
            if let Some(source) = first.as_ref().and_then(|key| view.sources.get_mut(key)) {
                source.events = read.events;
            }
        }
        // What is shown by topic is what all shards of this process have read.
        let total = |(topic, (read, _)): (&Topic, OfTopic)| match &self.share {
            Share::Shard(shard) => shard.total(&topic.name, &read),
            Share::Whole | Share::Evaluator(_) => read,
        };
        let topics = world.topics.iter().zip(topics).map(total).collect();
        refresh_topics(&mut view, &world, topics);
    }

    fn refresh_model(&self, at: usize, model: &Pipeline) {
        let retired = model.retire();
        let counters = self.share.counters(at, model);
        let intake = model.intake();
        let mut view = self.shared.view.write();
        let shown = view.models.entry(model.policy.model.clone()).or_insert_with(|| model_view(model, counters));
        shown.policy = Arc::clone(&model.policy);
        shown.waiting = intake.waiting();
        shown.join_bytes = intake.join_bytes();
        let now_refused = intake.refused();
        let refused = std::mem::replace(&mut shown.refused, now_refused);
        let given_up = std::mem::replace(&mut shown.counters, counters).given_up;
        let closed = model.policy.groups.iter().zip(intake.closed()).filter(|(_, c)| **c > i64::MIN);
        shown.closed = closed.map(|(g, c)| (g.name.clone(), *c)).collect();
        for (_, name, version) in intake.versions() {
            shown.versions.entry(name.to_owned()).or_default().predictions = version.predictions;
        }
        let mut gone = Vec::new();
        // Their series disappear; the registry still knows them.
        for name in retired {
            shown.versions.remove(&name);
            gone.push((model.policy.model.clone(), name));
        }
        drop(view);
        let silent = intake.silent_labels();
        drop(intake);
        let name = &model.policy.model;
        VersionsRefused { model: name, before: refused.names, names: now_refused.names }.emit();
        let apart = self.share.is_divided().then(|| apart(counters)).flatten();
        self.report_labels(name, silent, apart);
        JoinGivenUp { model: name, before: given_up, events: counters.given_up }.emit();
        gone.iter().for_each(|key| self.forget_snapshot(key));
    }

    fn refresh_partition(&self, world: &World, slot: &PartitionSlot, state: &PartitionState, judges: bool) {
        let partition = &state.partition;
        let key = (partition.topic.clone(), partition.partition);
        let of_models = slot.sources.iter().filter_map(|(m, (source, _))| {
            let intake = world.models.get(*m)?.intake();
            Some((intake.progress(*source), intake.front(*source).map_or(0, Front::waiting)))
        });
        let progress: Vec<_> = of_models.collect();
        let waited_for = waited_for(world, state);
        let mut view = self.shared.view.write();
        report_waiting(&mut view, &key, waited_for);
        let source = view.sources.entry(key.clone()).or_default();
        // What waits is not counted.
        source.next_offset = state.next_uncounted();
        source.paused = slot.is_paused();
        source.max_ts = progress.iter().filter_map(|(p, _)| p.max_ts).max();
        source.idle = progress.iter().all(|(p, _)| p.idle);
        if let Some((topic, halves)) = world.topics.get(state.topic).and_then(|t| Some((t, t.halves.as_ref()?))) {
            halves.set_idle(topic.place(partition.partition), source.idle && !progress.is_empty());
        }
        source.ahead = progress.iter().map(|(_, ahead)| *ahead).max().unwrap_or(0);
        if let (Some(lag), next) = (source.lag(), source.next_offset) {
            view.behind.entry(key).or_default().update(Instant::now(), next, lag);
        }
        let waits = judges || !state.parked.is_empty() || self.shared.hold.load(Ordering::Relaxed);
        self.show_halted(&mut view, partition, waits);
    }
}

/// What was read of a topic, and its first partition.
type OfTopic = (Read, Option<(String, i32)>);

fn refresh_topics(view: &mut View, world: &World, topics: Vec<Read>) {
    let now = Instant::now();
    for (topic, read) in world.topics.iter().zip(topics) {
        for (reason, n) in &read.rejected {
            view.rejected.insert((topic.name.clone(), *reason), *n);
        }
        view.unknown_model.insert(topic.name.clone(), read.unknown_model);
        if let Some(halves) = topic.own_halves() {
            view.halves.insert(topic.name.clone(), halves.counts());
        }
        let input = view.inputs.entry(topic.name.clone()).or_default();
        input.update(now, read.events, &read.rejected, read.unknown_model);
        let (unreadable, topic) = (input.unreadable(&topic.name), topic.name.clone());
        match unreadable {
            Some(summary) => view.readiness.hold(NotReady::InputUnreadable { topic, summary }),
            None => view.readiness.release(&Latch::Input { topic }),
        };
    }
}

/// The baseline that a partition has been waiting for so long that it is reported.
fn waited_for(world: &World, state: &PartitionState) -> Option<NotReady> {
    let (_, since) = state.parked_since.filter(|(since, _)| !state.parked.is_empty() && since.elapsed() > TOLD)?;
    let mut unknown = BTreeSet::new();
    for (m, _, batch) in &state.parked {
        if let Some(model) = world.models.get(*m) {
            let versions = batch.unknown_versions(&model.intake());
            unknown.extend(versions.into_iter().map(|(_, version)| (version, model.policy.model.clone())));
        }
    }
    let (topic, partition) = (state.partition.topic.clone(), state.partition.partition);
    let more = unknown.len() > MOST_NAMED;
    let versions = unknown.into_iter().take(MOST_NAMED).map(|(version, model)| (model, version)).collect();
    Some(NotReady::WaitsForBaseline { topic, partition, versions, more, since_ms: since })
}

/// Says, or does not say any more, that a partition waits for a baseline.
fn report_waiting(view: &mut View, (topic, partition): &(String, i32), waited_for: Option<NotReady>) {
    match waited_for {
        Some(why) => {
            let sentence = why.to_string();
            if !view.readiness.hold(why) {
                PartitionWaits { at: Place { topic, partition: *partition }, why: &sentence }.emit();
            }
        }
        None => {
            view.readiness.release(&Latch::Counting { topic: topic.clone(), partition: *partition });
        }
    }
}

/// How a partition stands still of which records are there and none is read, where nothing here holds it back and no transaction
/// does.
fn stands_still(view: &View, key: &(String, i32)) -> Option<(i64, Duration)> {
    let source = view.sources.get(key)?;
    let stood = view.behind.get(key)?.stuck()?;
    let lag = source.lag()? - source.held_by_transaction;
    let held = source.paused || lag <= 0;
    (!held).then_some((lag, stood))
}

impl Engine {
    /// Reports that a partition is halted, or makes no progress though nothing here `waits`.
    fn show_halted(&self, view: &mut View, partition: &Partition, waits: bool) {
        let key = (partition.topic.clone(), partition.partition);
        let still = if waits || partition.halted.is_some() { None } else { stands_still(view, &key) };
        if let Some(source) = view.sources.get_mut(&key) {
            source.halted = partition.halted.is_some() || still.is_some();
        }
        // A topic that was made anew is reported already, with one sentence for all of its partitions.
        let of_topic = view.replaced.contains_key(&partition.topic);
        let (topic, partition_of) = key;
        let halted = partition.halted.clone().filter(|_| !of_topic);
        let reason = match (halted, still) {
            (Some(why), _) => Some(NotReady::Halted { topic, partition: partition_of, why }),
            (None, Some((lag, stood))) => Some(NotReady::Still {
                topic,
                partition: partition_of,
                lag,
                seconds: stood.as_secs(),
                client: self.kafka.handle().complaint(),
            }),
            (None, None) => {
                view.readiness.release(&Latch::Reading { topic, partition: partition_of });
                None
            }
        };
        let Some(reason) = reason else { return };
        let sentence = reason.to_string();
        let known = view.readiness.hold(reason);
        if !known && partition.halted.is_none() {
            let at = Place { topic: &partition.topic, partition: partition.partition };
            PartitionHalted { at, offset: None, why: &sentence }.emit();
        }
    }

    /// Says whose labels are silent, or find no predictions, once when that begins and once when it ends.
    fn report_labels(&self, name: &str, silent: Option<(Option<i64>, i64)>, apart: Option<String>) {
        let view = &self.shared.view;
        if let Some(why) = apart {
            let part = Part::LabelsApart(name.to_owned());
            if !view.read().failing.contains_key(&part) {
                LabelsApart { model: name, why: &why }.emit();
            }
            view.fails(part, why);
        }
        let part = Part::Labels(name.to_owned());
        let was = view.read().failing.contains_key(&part);
        match silent {
            Some((last, to)) => {
                let last = last
                    .map_or_else(|| "no label has come".to_owned(), |ts| format!("the last label is of {}", utc(ts)));
                let why = format!("{last}, and labels up to {} are not waited for any more", utc(to));
                if !was {
                    LabelsSilent { model: name, why: &why }.emit();
                }
                view.fails(part, why);
            }
            None if was => {
                LabelsResumed { model: name }.emit();
                view.works(&part);
            }
            None => {}
        }
    }
}

/// Why labels that find no predictions are in other partitions, where most of enough do.
fn apart(counters: Counters) -> Option<String> {
    let all = counters.joined + counters.unmatched;
    (all >= ENOUGH_LABELS && counters.unmatched * 10 >= all * 9).then(|| {
        format!(
            "{} of {all} labels found no prediction: where partitions are divided, an id has to be in the same partition of both topics, written with the same key",
            counters.unmatched
        )
    })
}

/// A model in the status view that has no counts yet.
#[must_use]
pub fn new_model_view(model: &Pipeline) -> ModelView {
    model_view(model, model.counters())
}

fn model_view(model: &Pipeline, counters: Counters) -> ModelView {
    ModelView {
        policy: Arc::clone(&model.policy),
        counters,
        versions: BTreeMap::new(),
        waiting: (0, 0),
        join_bytes: 0,
        closed: BTreeMap::new(),
        incomplete: 0,
        left_out: 0,
        refused: Refused::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_find_no_predictions_are_told_once_they_are_many() {
        let of = |joined, unmatched| apart(Counters { joined, unmatched, ..Counters::default() });
        assert_eq!([of(0, 199), of(21, 179), of(1000, 1000)], [None, None, None]);
        assert!(of(20, 180).is_some_and(|why| why.starts_with("180 of 200 labels found no prediction")));
    }
}
