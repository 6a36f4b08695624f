//! Which partitions are idle and do not hold the watermark back.
//!
//! Windows close only as far as an answer of the brokers allows. How far each partition has come is written down, then the
//! brokers are asked where the partitions end and how many there are. A partition is idle if it was silent for `idle_after`
//! while brokers answered, and has been read to the end that they named, open transactions included, without an event of the
//! model; the streams have come as far as was written down, idle partitions left out. So nothing closes over what lay unread
//! when it was asked.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::ask::{Answer, Asker, Heard, Partitions};
use super::assembly::Engine;
use super::partition::PartitionSlot;
use super::questions::{AnsweredQuestion, PartitionAnswer, ProgressSnapshot, Questions, SourceProgress};
use super::share::Share;
use super::world::World;
use crate::source::kafka::{Found, Start};
use crate::telemetry::events::cluster::DividedAnew;
use crate::telemetry::events::kafka::{AddedUnreadable, PartitionAdded, Place};
use driftgate_core::event::EventKind;
use driftgate_core::pipeline::lock;
use driftgate_core::window::watermark::Progress;

/// The least time between two questions, and the most.
const SOONEST: Duration = Duration::from_millis(25);
const LATEST: Duration = Duration::from_secs(1);
/// The longest pause between two answers that counts as silence of a partition: as long as one question without an answer.
const PAUSE: Duration = Duration::from_secs(6);
/// How long reading waits for the beginning of a partition that a topic got.
const BEGINNING: Duration = Duration::from_secs(2);

impl Engine {
    /// Closes windows as far as the brokers' last answer allows, and asks them again where a window is due.
    pub(super) fn close_idle(&self) {
        let mut questions = lock(&self.questions);
        if questions.asker.is_none() {
            return;
        }
        if questions.open.is_some() {
            let Some(answer) = questions.asker.as_ref().and_then(Asker::answer) else { return };
            if let Some(standing) = questions.open.take() {
                self.apply_answer(&mut questions, standing, &answer);
            }
        } else if let Some(answered) = questions.answered.as_mut().filter(|answered| answered.waits) {
            self.close_by(answered);
        }
        let waits = questions.is_vain || questions.answered.as_ref().is_some_and(|answered| answered.waits);
        let every = (self.intervals.idle_after / 4).clamp(SOONEST, LATEST);
        let since = questions.asked.map_or(Duration::MAX, |asked| asked.elapsed());
        if since < every && (since < SOONEST || waits || !self.is_due()) {
            return;
        }
        let standing = self.progress_snapshot();
        if let Some(asker) = &questions.asker {
            asker.ask(self.partitions());
        }
        questions.asked = Some(standing.asked);
        questions.open = Some(standing);
    }

    /// When a stream that was all idle wakes up, its partitions get a fresh start, so that none is passed over unread.
    fn start_afresh(&self) {
        let world = self.world();
        let now = Instant::now();
        for (m, model) in world.models.iter().enumerate().filter(|(_, model)| model.intake().has_woken()) {
            for kind in EventKind::ALL {
                if !model.intake().take_woken(kind) {
                    continue;
                }
                for slot in world.slots.iter().filter(|slot| slot.sources.contains_key(&m)) {
                    let mut state = lock(&slot.state);
                    if world.topics.get(state.topic).is_some_and(|t| t.kind == kind) {
                        state.last_event.insert(m, now);
                    }
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        self.world().models.iter().any(|model| model.try_intake().is_some_and(|intake| intake.is_due()))
    }

    fn partitions(&self) -> Partitions {
        let mut partitions = Partitions::new();
        let world = self.world();
        for topic in &world.topics {
            partitions.entry(topic.name.clone()).or_default();
        }
        for slot in &world.slots {
            let state = lock(&slot.state);
            partitions.entry(state.partition.topic.clone()).or_default().push(state.partition.partition);
        }
        partitions
    }

    /// Writes down how far each partition has come. What woke a stream is in it only once all partitions of the stream count as
    /// active again.
    fn progress_snapshot(&self) -> ProgressSnapshot {
        loop {
            self.start_afresh();
            let standing = self.progress_now();
            if !self.world().models.iter().any(|model| model.intake().has_woken()) {
                return standing;
            }
        }
    }

    fn progress_now(&self) -> ProgressSnapshot {
        let world = self.world();
        let asked = Instant::now();
        let stood = |slot: &PartitionSlot| {
            let state = lock(&slot.state);
            let models = slot.sources.iter().filter_map(|(&m, &(source, _))| {
                let progress = Progress { idle: false, ..world.models.get(m)?.intake().progress(source) };
                Some((m, SourceProgress { source, progress, last_event: state.last_event.get(&m).copied() }))
            });
            models.collect()
        };
        ProgressSnapshot { asked, generation: world.generation, slots: world.slots.iter().map(stood).collect() }
    }

    /// Takes over an answer: new partitions are read, and windows close as far as it allows.
    fn apply_answer(&self, questions: &mut Questions, standing: ProgressSnapshot, answer: &Answer) {
        let pause = (self.intervals.idle_after / 2).clamp(LATEST, PAUSE);
        let kafka = self.kafka.handle();
        let mut view = self.shared.view.write();
        for (key, end) in &answer.ends {
            let heard = Heard::again(questions.heard.get(key).copied(), standing.asked, pause);
            questions.heard.insert(key.clone(), heard);
            let source = view.sources.entry(key.clone()).or_default();
            source.high_watermark = Some(*end);
            source.held_by_transaction = kafka.held_by_transaction(&key.0, key.1);
        }
        drop(view);
        (questions.is_vain, questions.answered) = (true, None);
        let Some(topics) = &answer.topics else { return };
        self.read_new(topics);
        let world = self.world();
        // Of partitions that changed meanwhile the answer says nothing.
        if world.generation != standing.generation {
            return;
        }
        let said = world.slots.iter().zip(known_whole(&world, topics)).map(|(slot, known)| {
            let key = {
                let state = lock(&slot.state);
                (state.partition.topic.clone(), state.partition.partition)
            };
            let end = answer.ends.get(&key).copied();
            PartitionAnswer { end, heard: end.and_then(|_| questions.heard.get(&key).copied()), known }
        });
        let mut answered = AnsweredQuestion { slots: said.collect(), standing, waits: false };
        drop(world);
        questions.is_vain = answered.slots.iter().any(|said| !said.known);
        self.close_by(&mut answered);
        questions.answered = Some(answered);
    }

    /// Says which partitions are idle, and closes windows as far as the streams had come when an answer was asked for.
    fn close_by(&self, answered: &mut AnsweredQuestion) {
        let world = self.world();
        answered.waits = false;
        if world.generation != answered.standing.generation {
            return;
        }
        for (m, model) in world.models.iter().enumerate() {
            let mut stood = Vec::new();
            let mut known = true;
            for ((slot, stands), said) in world.slots.iter().zip(&answered.standing.slots).zip(&answered.slots) {
                let Some(stands) = stands.get(&m) else { continue };
                known &= said.known;
                let state = lock(&slot.state);
                let silent = state.last_event.get(&m).copied() == stands.last_event
                    && said.heard.zip(stands.last_event).is_some_and(|(heard, last)| {
                        heard.is_silent(last, answered.standing.asked, self.intervals.idle_after)
                    });
                let idle = silent && said.end.is_some_and(|end| state.is_read_to(end));
                answered.waits |= silent && !idle;
                if let Share::Shard(shard) = &self.share {
                    drop(state);
                    let quiet = stands.last_event.zip(said.end).filter(|_| idle);
                    shard.is_quiet(m, slot, quiet);
                    continue;
                }
                model.intake().set_idle(stands.source, idle);
                stood.push((stands.source, Progress { idle, ..stands.progress }));
            }
            if known && self.share.judges() {
                model.intake().confirm(&stood);
                model.close_alone(false);
                self.shared.judge(model);
            }
        }
    }

    /// Ends what is counted here where a topic has more partitions than were divided when the process started.
    pub(super) fn ends_if_divided_anew(&self, topics: &BTreeMap<String, Found>, divided: u32) -> bool {
        let is_beyond = |found: &Found| u32::try_from(found.partitions).is_ok_and(|many| many > divided);
        let Some((topic, found)) = topics.iter().find(|(_, found)| is_beyond(found)) else { return false };
        DividedAnew { topic, partitions: found.partitions, divided }.emit();
        self.shared.stop.store(true, Ordering::Relaxed);
        true
    }

    /// Reads partitions that topics got, from their beginning. Their streams wait for them as for any other.
    fn read_new(&self, topics: &BTreeMap<String, Found>) {
        if let Share::Shard(shard) = &self.share {
            self.ends_if_divided_anew(topics, shard.of_how_many());
            return;
        }
        let mut starts = {
            let replaced: Vec<String> = self.shared.view.read().replaced.keys().cloned().collect();
            let world = self.world();
            let mut starts = BTreeMap::new();
            for topic in &world.topics {
                let Some(found) = topics.get(&topic.name) else { continue };
                let (read, id) = read_of(&world, &topic.name);
                if replaced.contains(&topic.name) || is_another(id.as_ref(), found.id.as_ref()) {
                    continue;
                }
                for partition in (0..found.partitions).filter(|p| !read.contains(p)) {
                    let start = Start { topic_id: id.clone().or_else(|| found.id.clone()), ..Start::default() };
                    starts.insert((topic.name.clone(), partition), start);
                }
            }
            starts
        };
        if starts.is_empty() {
            return;
        }
        // Where no broker says what such a partition has lost already, that is asked again: its topic's windows wait.
        let kafka = self.kafka.handle();
        starts.retain(|(topic, partition), start| {
            let low = kafka.low_watermark(topic, *partition, BEGINNING);
            start.cut = low.is_some_and(|low| low > 0);
            low.is_some()
        });
        if starts.is_empty() {
            return;
        }
        match self.kafka.assign_more(&starts) {
            Ok(partitions) => {
                for partition in &partitions {
                    let (topic, partition) = (&partition.topic, partition.partition);
                    PartitionAdded { at: Place { topic, partition } }.emit();
                }
                self.attach_to(partitions, &[], &[]);
            }
            Err(e) => AddedUnreadable { error: &e }.emit(),
        }
    }
}

/// Which partitions of a topic are read, and the topic's id.
fn read_of(world: &World, topic: &str) -> (Vec<i32>, Option<String>) {
    let mut partitions = Vec::new();
    let mut id = None;
    for slot in &world.slots {
        let state = lock(&slot.state);
        if state.partition.topic == topic {
            partitions.push(state.partition.partition);
            id = id.or_else(|| state.partition.topic_id.clone());
        }
    }
    (partitions, id)
}

fn is_another(read: Option<&String>, now: Option<&String>) -> bool {
    matches!((read, now), (Some(read), Some(now)) if read != now)
}

/// By slot: whether its topic is the one that is read, with all of its partitions.
fn known_whole(world: &World, topics: &BTreeMap<String, Found>) -> Vec<bool> {
    let of_topic: Vec<bool> = world
        .topics
        .iter()
        .map(|topic| {
            let (read, id) = read_of(world, &topic.name);
            topics.get(&topic.name).is_some_and(|found| {
                (0..found.partitions).all(|p| read.contains(&p)) && !is_another(id.as_ref(), found.id.as_ref())
            })
        })
        .collect();
    world.slots.iter().map(|slot| of_topic.get(lock(&slot.state).topic).copied().unwrap_or(false)).collect()
}
