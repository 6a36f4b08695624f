//! The picture that HTTP and metrics read, brought up to date beside the workers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::partition::Place;
use super::workers::MOST_CLOSINGS;
use super::{Engine, World};
use crate::daemon::topics::Read;
use crate::source::kafka::Partition;
use crate::telemetry::events::input::{JoinGivenUp, LabelsResumed, LabelsSilent, VersionsRefused};
use crate::telemetry::events::kafka::{PartitionHalted, PartitionWaits, Place as At};
use crate::view::failing::Part;
use crate::view::{ModelView, View};
use driftgate_core::intake::newcomers::Refused;
use driftgate_core::judge::verdict::utc;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::window::front::Front;

/// A partition that waits for a baseline longer than this is told.
const TOLD: Duration = Duration::from_secs(3);
/// So many of the versions that it waits for are named.
const MOST_NAMED: usize = 3;

impl Engine {
    /// Brings the picture up to date.
    pub(super) fn show(&self) {
        let world = self.world();
        for model in &world.models {
            let retired = model.retire();
            let counters = model.counters();
            let intake = model.intake();
            let mut view = self.common.view.write();
            let shown = view.models.entry(model.policy.model.clone()).or_insert_with(|| model_view(model, counters));
            shown.policy = Arc::clone(&model.policy);
            shown.waiting = intake.waiting();
            shown.join_bytes = intake.join_bytes();
            let now_refused = intake.refused();
            let refused = std::mem::replace(&mut shown.refused, now_refused);
            let given_up = std::mem::replace(&mut shown.counters, counters).given_up;
            shown.closed = model
                .policy
                .groups
                .iter()
                .zip(intake.closed())
                .filter(|(_, c)| **c > i64::MIN)
                .map(|(g, c)| (g.name.clone(), *c))
                .collect();
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
            self.tell_silence(model, silent);
            JoinGivenUp { model: name, before: given_up, events: counters.given_up }.emit();
            gone.iter().for_each(|key| self.forget_snapshot(key));
        }
        // Events are counted by topic; the first partition carries them.
        let mut topics: Vec<(Read, Option<(String, i32)>)> =
            world.past.iter().map(|past| (past.clone(), None)).collect();
        let judges = world.models.iter().any(|model| model.unjudged().0 >= MOST_CLOSINGS);
        for seat in &world.seats {
            let place = lock(&seat.place);
            let partition = &place.partition;
            let key = (partition.topic.clone(), partition.partition);
            let progress: Vec<_> = seat
                .sources
                .iter()
                .filter_map(|(m, (source, _))| {
                    let intake = world.models.get(*m)?.intake();
                    Some((intake.progress(*source), intake.front(*source).map_or(0, Front::waiting)))
                })
                .collect();
            if let Some((read, first)) = topics.get_mut(place.topic) {
                read.add(&place.reader.read);
                first.get_or_insert_with(|| key.clone());
            }
            let waited_for = waited_for(&world, &place);
            let mut view = self.common.view.write();
            tell_waiting(&mut view, &key, waited_for);
            let source = view.sources.entry(key.clone()).or_default();
            // What waits is not counted.
            source.next_offset = place.next_uncounted();
            source.paused = seat.is_paused();
            source.max_ts = progress.iter().filter_map(|(p, _)| p.max_ts).max();
            source.idle = progress.iter().all(|(p, _)| p.idle);
            source.ahead = progress.iter().map(|(_, ahead)| *ahead).max().unwrap_or(0);
            if let (Some(lag), next) = (source.lag(), source.next_offset) {
                view.behind.entry(key.clone()).or_default().update(Instant::now(), next, lag);
            }
            let waits = judges || !place.parked.is_empty() || self.common.hold.load(Ordering::Relaxed);
            self.show_halted(&mut view, partition, waits);
        }
        let now = Instant::now();
        let mut view = self.common.view.write();
        for (topic, (read, first)) in world.topics.iter().zip(topics) {
            if let Some(source) = first.and_then(|key| view.sources.get_mut(&key)) {
                source.events = read.events;
            }
            for (reason, n) in &read.rejected {
                view.rejected.insert((topic.name.clone(), *reason), *n);
            }
            view.unknown_model.insert(topic.name.clone(), read.unknown_model);
            let input = view.inputs.entry(topic.name.clone()).or_default();
            input.update(now, read.events, &read.rejected, read.unknown_model);
            let unreadable = input.unreadable(&topic.name);
            let name = format!("{} is unreadable", topic.name);
            match unreadable {
                Some(why) => drop(view.not_ready.insert(name, why)),
                None => drop(view.not_ready.remove(&name)),
            }
        }
    }
}

/// What a partition has been waiting for so long that it is told.
fn waited_for(world: &World, place: &Place) -> Option<String> {
    let (_, since) = place.parked_since.filter(|(since, _)| !place.parked.is_empty() && since.elapsed() > TOLD)?;
    let mut of = BTreeSet::new();
    for (m, _, batch) in &place.parked {
        if let Some(model) = world.models.get(*m) {
            let unknown = model.intake().unknown_versions(batch);
            of.extend(unknown.into_iter().map(|(_, version)| format!("version {version:?} of {}", model.policy.model)));
        }
    }
    let named: Vec<String> = of.iter().take(MOST_NAMED).cloned().collect();
    let more = if of.len() > MOST_NAMED { " and others" } else { "" };
    let named = if named.is_empty() { "a version".to_owned() } else { named.join(", ") };
    Some(format!(
        "it waits for the baseline of {named}{more} since {}, and nothing is counted of it: look whether the snapshot's store answers",
        utc(since)
    ))
}

/// Says, or does not say any more, that a partition waits for a baseline.
fn tell_waiting(view: &mut View, (topic, partition): &(String, i32), waited_for: Option<String>) {
    let name = format!("counting of {topic}/{partition}");
    match waited_for {
        Some(why) => {
            if view.not_ready.insert(name, why.clone()).is_none() {
                PartitionWaits { at: At { topic, partition: *partition }, why: &why }.emit();
            }
        }
        None => drop(view.not_ready.remove(&name)),
    }
}

/// How a partition stands still of which records are there and none is read, where nothing here holds it back and no transaction
/// does.
fn stands_still(view: &View, key: &(String, i32)) -> Option<String> {
    let source = view.sources.get(key)?;
    let stood = view.behind.get(key)?.stuck()?;
    let lag = source.lag()? - source.held_by_transaction;
    let held = source.paused || lag <= 0;
    (!held).then(|| format!("{lag} messages wait, and none was read for {} s", stood.as_secs()))
}

impl Engine {
    /// Says that a partition is halted, or stands still though nothing here `waits`.
    fn show_halted(&self, view: &mut View, partition: &Partition, waits: bool) {
        let key = (partition.topic.clone(), partition.partition);
        let halted = format!("{}/{}", partition.topic, partition.partition);
        let still = if waits || partition.halted.is_some() { None } else { stands_still(view, &key) };
        if let Some(source) = view.sources.get_mut(&key) {
            source.halted = partition.halted.is_some() || still.is_some();
        }
        // Of a topic that was made anew one sentence for all of its partitions stands there already.
        let of_topic = view.replaced.contains_key(&partition.topic);
        match partition.halted.clone().filter(|_| !of_topic).or(still.map(|why| self.why_still(&halted, &why))) {
            Some(why) => {
                let known = view.not_ready.insert(halted, why.clone()).is_some();
                if !known && partition.halted.is_none() {
                    let at = At { topic: &partition.topic, partition: partition.partition };
                    PartitionHalted { at, offset: None, why: &why }.emit();
                }
            }
            None => drop(view.not_ready.remove(&halted)),
        }
    }

    /// The same, with what the client complained of last.
    fn why_still(&self, partition: &str, how: &str) -> String {
        let said =
            self.kafka.handle().complaint().map_or_else(String::new, |said| format!(" (the Kafka client: {said})"));
        format!(
            "{partition}: {how}{said}: look whether its broker answers, and whether a batch of records is damaged or larger than receive.message.max.bytes"
        )
    }

    /// Says whose labels are silent, once when that begins and once when it ends.
    fn tell_silence(&self, model: &Pipeline, silent: Option<(Option<i64>, i64)>) {
        let (name, view) = (&model.policy.model, &self.common.view);
        let part = Part::Labels(name.clone());
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

/// An empty picture of a model.
#[must_use]
pub fn new_model_view(model: &Pipeline) -> ModelView {
    model_view(model, model.counters())
}

fn model_view(model: &Pipeline, counters: driftgate_core::intake::Counters) -> ModelView {
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
