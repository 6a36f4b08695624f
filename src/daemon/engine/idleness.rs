//! Which partitions hold the watermark back, and which must wait: idleness, and pausing what runs ahead in event time.
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
use super::partition::Seat;
use super::{Engine, World};
use crate::source::kafka::{Found, Start};
use driftgate_core::event::EventKind;
use driftgate_core::intake::SourceId;
use driftgate_core::pipeline::lock;
use driftgate_core::policy::Policy;
use driftgate_core::window::watermark::Progress;

/// The least time between two questions, and the most.
const SOONEST: Duration = Duration::from_millis(25);
const LATEST: Duration = Duration::from_secs(1);
/// The longest pause between two answers that counts as silence of a partition: as long as one question without an answer.
const PAUSE: Duration = Duration::from_secs(6);
/// How long reading waits for the beginning of a partition that a topic got.
const BEGINNING: Duration = Duration::from_secs(2);

/// The questions of an engine.
pub struct Quest {
    asker: Option<Asker>,
    /// What is being asked.
    open: Option<Standing>,
    /// When it was asked last.
    asked: Option<Instant>,
    /// The last answer.
    answered: Option<Answered>,
    heard: BTreeMap<(String, i32), Heard>,
    /// The last answer left open which partitions there are: another one at once would not say more.
    is_vain: bool,
}

impl Quest {
    pub fn new(asker: Option<Asker>) -> Self {
        Self { asker, open: None, asked: None, answered: None, heard: BTreeMap::new(), is_vain: false }
    }
}

/// How everything stood when a question was asked.
struct Standing {
    asked: Instant,
    /// The partitions that there were.
    generation: u64,
    /// By seat and model.
    seats: Vec<BTreeMap<usize, Stood>>,
}

/// How a partition stood for one model.
struct Stood {
    source: SourceId,
    progress: Progress,
    last_event: Option<Instant>,
}

/// An answer, with how everything had stood.
struct Answered {
    standing: Standing,
    seats: Vec<Said>,
    /// A partition that was silent was not read yet to the end that the answer names.
    waits: bool,
}

/// What an answer says of a partition.
struct Said {
    /// Its end.
    end: Option<i64>,
    /// Since when brokers have answered for it.
    heard: Option<Heard>,
    /// Whether it is read with all other partitions of its topic.
    known: bool,
}

impl Engine {
    /// Closes windows as far as the brokers' last answer allows, and asks them again where a window is due.
    pub(super) fn idle(&self) {
        let mut quest = lock(&self.quest);
        if quest.asker.is_none() {
            return;
        }
        if quest.open.is_some() {
            let Some(answer) = quest.asker.as_ref().and_then(Asker::answer) else { return };
            if let Some(standing) = quest.open.take() {
                self.heed(&mut quest, standing, &answer);
            }
        } else if let Some(answered) = quest.answered.as_mut().filter(|answered| answered.waits) {
            self.close_by(answered);
        }
        let waits = quest.is_vain || quest.answered.as_ref().is_some_and(|answered| answered.waits);
        let every = (self.pace.idle_after / 4).clamp(SOONEST, LATEST);
        let since = quest.asked.map_or(Duration::MAX, |asked| asked.elapsed());
        if since < every && (since < SOONEST || waits || !self.is_due()) {
            return;
        }
        let standing = self.standing();
        if let Some(asker) = &quest.asker {
            asker.ask(self.partitions());
        }
        quest.asked = Some(standing.asked);
        quest.open = Some(standing);
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
                for seat in world.seats.iter().filter(|seat| seat.sources.contains_key(&m)) {
                    let mut place = lock(&seat.place);
                    if world.topics.get(place.topic).is_some_and(|t| t.kind == kind) {
                        place.last_event.insert(m, now);
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
        for seat in &world.seats {
            let place = lock(&seat.place);
            partitions.entry(place.partition.topic.clone()).or_default().push(place.partition.partition);
        }
        partitions
    }

    /// Writes down how far each partition has come. What woke a stream is in it only once all partitions of the stream count as
    /// active again.
    fn standing(&self) -> Standing {
        loop {
            self.start_afresh();
            let standing = self.stands();
            if !self.world().models.iter().any(|model| model.intake().has_woken()) {
                return standing;
            }
        }
    }

    fn stands(&self) -> Standing {
        let world = self.world();
        let asked = Instant::now();
        let stood = |seat: &Seat| {
            let place = lock(&seat.place);
            let models = seat.sources.iter().filter_map(|(&m, &(source, _))| {
                let progress = Progress { idle: false, ..world.models.get(m)?.intake().progress(source) };
                Some((m, Stood { source, progress, last_event: place.last_event.get(&m).copied() }))
            });
            models.collect()
        };
        Standing { asked, generation: world.generation, seats: world.seats.iter().map(stood).collect() }
    }

    /// Heeds an answer: partitions that are new are read, and windows close as far as it allows.
    fn heed(&self, quest: &mut Quest, standing: Standing, answer: &Answer) {
        let pause = (self.pace.idle_after / 2).clamp(LATEST, PAUSE);
        let kafka = self.kafka.handle();
        let mut view = self.common.view.write();
        for (key, end) in &answer.ends {
            let heard = Heard::again(quest.heard.get(key).copied(), standing.asked, pause);
            quest.heard.insert(key.clone(), heard);
            let source = view.sources.entry(key.clone()).or_default();
            source.high_watermark = Some(*end);
            source.held_by_transaction = kafka.held_by_transaction(&key.0, key.1);
        }
        drop(view);
        (quest.is_vain, quest.answered) = (true, None);
        let Some(topics) = &answer.topics else { return };
        self.read_new(topics);
        let world = self.world();
        // Of partitions that changed meanwhile the answer says nothing.
        if world.generation != standing.generation {
            return;
        }
        let said = world.seats.iter().zip(known_whole(&world, topics)).map(|(seat, known)| {
            let key = {
                let place = lock(&seat.place);
                (place.partition.topic.clone(), place.partition.partition)
            };
            let end = answer.ends.get(&key).copied();
            Said { end, heard: end.and_then(|_| quest.heard.get(&key).copied()), known }
        });
        let mut answered = Answered { seats: said.collect(), standing, waits: false };
        drop(world);
        quest.is_vain = answered.seats.iter().any(|said| !said.known);
        self.close_by(&mut answered);
        quest.answered = Some(answered);
    }

    /// Says which partitions are idle, and closes windows as far as the streams had come when an answer was asked for.
    fn close_by(&self, answered: &mut Answered) {
        let world = self.world();
        answered.waits = false;
        if world.generation != answered.standing.generation {
            return;
        }
        for (m, model) in world.models.iter().enumerate() {
            let mut stood = Vec::new();
            let mut known = true;
            for ((seat, stands), said) in world.seats.iter().zip(&answered.standing.seats).zip(&answered.seats) {
                let Some(stands) = stands.get(&m) else { continue };
                known &= said.known;
                let place = lock(&seat.place);
                let silent = place.last_event.get(&m).copied() == stands.last_event
                    && said.heard.zip(stands.last_event).is_some_and(|(heard, last)| {
                        heard.is_silent(last, answered.standing.asked, self.pace.idle_after)
                    });
                let idle = silent && said.end.is_some_and(|end| place.is_read_to(end));
                answered.waits |= silent && !idle;
                model.intake().set_idle(stands.source, idle);
                stood.push((stands.source, Progress { idle, ..stands.progress }));
            }
            if known {
                model.intake().confirm(&stood);
                model.close_alone(false);
                self.common.judge(model);
            }
        }
    }

    /// Reads partitions that topics got, from their beginning. Their streams wait for them as for any other.
    fn read_new(&self, topics: &BTreeMap<String, Found>) {
        let mut starts = {
            let replaced: Vec<String> = self.common.view.read().replaced.keys().cloned().collect();
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
                    tracing::info!(topic, partition, "the topic got a partition: it is read from its beginning");
                }
                self.attach_to(partitions, &[], &[]);
            }
            Err(e) => {
                tracing::error!(error = %e, "partitions that a topic got cannot be read; its windows wait, trying again");
            }
        }
    }

    /// Pauses partitions that are ahead in event time of one that lags: what they bring could only wait.
    pub(super) fn pause_what_runs_ahead(&self) {
        let world = self.world();
        // One that a worker is at has not reached its end, as far as anybody knows.
        let lagging: Vec<bool> = world
            .seats
            .iter()
            .map(|seat| {
                seat.place
                    .try_lock()
                    .map_or(true, |place| place.partition.end_reached.is_none() && place.partition.halted.is_none())
            })
            .collect();
        let mut paused = vec![false; world.seats.len()];
        for (m, model) in world.models.iter().enumerate() {
            let bound = ahead_bound(&model.policy);
            let reached: Vec<Option<i64>> = {
                let intake = model.intake();
                world.seats.iter().map(|seat| intake.progress(seat.sources.get(&m)?.0).max_ts).collect()
            };
            let (held, base) = {
                let intake = model.intake();
                (intake.waiting_features(), intake.bases().predictions)
            };
            if held > MOST_HELD {
                for ((paused, seat), ts) in paused.iter_mut().zip(&world.seats).zip(&reached) {
                    let topic = lock(&seat.place).topic;
                    let is_features = world.topics.get(topic).is_some_and(|t| t.kind == EventKind::Features);
                    *paused |= is_features && ts.is_some() && *ts > base;
                }
            }
            let slowest = reached.iter().zip(&lagging).filter(|(_, lags)| **lags).filter_map(|(ts, _)| *ts).min();
            let Some(slowest) = slowest else { continue };
            for (paused, ts) in paused.iter_mut().zip(&reached) {
                *paused |= ts.is_some_and(|ts| ts > slowest.saturating_add(bound));
            }
        }
        world.seats.iter().zip(paused).for_each(|(seat, paused)| seat.paused.store(paused, Ordering::Relaxed));
    }
}

/// Events of the features stream may wait for predictions in so many bytes; then that stream is not read beyond those.
const MOST_HELD: usize = 64 << 20;

/// How far a partition may run ahead of one that lags, in ms of event time: its disorder and a part of the horizon.
fn ahead_bound(policy: &Policy) -> i64 {
    let lateness =
        policy.groups.iter().map(|g| g.lateness).chain(policy.labels.as_ref().map(|l| l.lateness)).max().unwrap_or(0);
    let slide = policy.groups.iter().map(|g| g.window.slide).min().unwrap_or(0);
    lateness.saturating_mul(2).saturating_add(slide)
}

/// Which partitions of a topic are read, and the topic's id.
fn read_of(world: &World, topic: &str) -> (Vec<i32>, Option<String>) {
    let mut partitions = Vec::new();
    let mut id = None;
    for seat in &world.seats {
        let place = lock(&seat.place);
        if place.partition.topic == topic {
            partitions.push(place.partition.partition);
            id = id.or_else(|| place.partition.topic_id.clone());
        }
    }
    (partitions, id)
}

fn is_another(read: Option<&String>, now: Option<&String>) -> bool {
    matches!((read, now), (Some(read), Some(now)) if read != now)
}

/// By seat: whether its topic is the one that is read, with all of its partitions.
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
    world.seats.iter().map(|seat| of_topic.get(lock(&seat.place).topic).copied().unwrap_or(false)).collect()
}
