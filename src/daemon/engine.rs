//! The engine: workers read partitions, count and judge (`place`, `workers`), while this thread keeps house: it serves the
//! client, says who is idle and who must wait, takes over baselines, shows the picture and writes checkpoints. What changes
//! models or partitions waits until the workers are between two turns.

mod ask;
mod blocks;
mod idleness;
mod partition;
mod refresh;
mod remarks;
mod snapshots;
mod workers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::loader::{Claim as For, Key, Loader};
use super::topics::{Read, Topic};
use crate::checkpoint::{Checkpoint, SourceState, Store};
use crate::clock::now_ms;
use crate::registry::{Embedded, Registry as _};
use crate::sink::dead_letters::DeadLetters;
use crate::sink::outbox::{Outbox, Waiting};
use crate::source::kafka::{KafkaSource, Partition};
use crate::telemetry::events::input::DeadLettersUnwritten;
use crate::telemetry::events::state::{BaselineMissing, CheckpointFailed, CheckpointResumed};
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::intake::newcomers::{Newcomers, Registered};
use driftgate_core::intake::starts::Cause;
use driftgate_core::intake::versions::Reference;
use driftgate_core::intake::{Intake, Setup};
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::policy::Policy;
use driftgate_core::window::front::Front;

use ask::Asker;
use idleness::Quest;
use partition::{Place, Seat, Sources};
pub use refresh::new_model_view;
use workers::{Common, Desk, StopOnPanic};

/// How long this thread waits for the client's own events between two rounds.
const TICK: Duration = Duration::from_millis(10);
/// How often stage pointers are asked for.
const PINS_EVERY: Duration = Duration::from_secs(5);
/// How long reading waits for a first look at the snapshots of restored versions.
const CHECK: Duration = Duration::from_secs(3);
/// The pause between two looks for snapshots of versions that were not taken on.
const SEEK_EVERY: Duration = Duration::from_millis(250);
/// How long a stop waits for ends of partitions.
const LAST_ENDS: Duration = Duration::from_millis(250);
/// The name under which readiness lists checkpoints that cannot be written.
pub const CHECKPOINT: &str = "checkpoint";
/// Reading may pause for so long until somebody is told.
const HELD: Duration = Duration::from_secs(10);
/// How long a stop waits for the topics of verdicts, and of dead letters.
const LAST_DELIVERIES: Duration = Duration::from_secs(8);
const LAST_DEAD_LETTERS: Duration = Duration::from_secs(3);

/// What the workers work on.
pub struct World {
    /// One a policy.
    pub models: Vec<Pipeline>,
    pub topics: Vec<Topic>,
    pub seats: Vec<Seat>,
    /// By topic: what readers that are gone had read.
    past: Vec<Read>,
    /// Counts up whenever models' sources or partitions change.
    generation: u64,
}

/// The engine.
pub struct Engine {
    world: RwLock<World>,
    common: Common,
    pub kafka: KafkaSource,
    store: Store,
    registry: Arc<Embedded>,
    pace: Pace,
    workers: usize,
    quest: Mutex<Quest>,
    /// When a snapshot of a version that was not taken on was looked for last.
    sought: Mutex<Option<Instant>>,
}

/// How far a partition had come for a model whose counts start anew.
#[derive(Clone, Copy)]
enum Reached {
    /// No record of the model has come by.
    Nothing,
    /// Nothing later than this.
    To(i64),
    /// What waited, or came before, was not counted.
    Unknown,
}

impl Reached {
    fn of(seat: &Seat, model: usize, intake: &Intake) -> Option<Self> {
        let (source, _) = *seat.sources.get(&model)?;
        let waits = lock(&seat.place).parked.iter().any(|(m, ..)| *m == model);
        Some(match intake.front(source).and_then(Front::claimed) {
            _ if waits || intake.is_behind(source) => Self::Unknown,
            Some(ts) => Self::To(ts),
            None => Self::Nothing,
        })
    }
}

/// Whether events of other models come with those of a model.
fn shares(topics: &[Topic], model: usize) -> bool {
    topics.iter().any(|topic| topic.models.len() > 1 && topic.models.contains(&model))
}

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub idle_after: Duration,
    pub checkpoint_every: Duration,
    /// So many versions that nobody registered are taken on an hour.
    pub new_versions: usize,
}

/// The parts of an engine.
pub struct Parts {
    pub models: Vec<Pipeline>,
    pub topics: Vec<Topic>,
    pub kafka: KafkaSource,
    pub loader: Loader,
    pub outbox: Outbox,
    pub store: Store,
    pub registry: Arc<Embedded>,
    pub view: Shared,
    pub dead_letters: Option<DeadLetters>,
    pub pace: Pace,
    /// How many threads read and count.
    pub workers: usize,
}

impl Engine {
    /// An engine without partitions yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let past = vec![Read::default(); parts.topics.len()];
        let asker = Asker::start(parts.kafka.handle())
            .inspect_err(|e| tracing::error!(error = %e, "no thread to ask the brokers on: no window will close"))
            .ok();
        let engine = Self {
            world: RwLock::new(World {
                models: parts.models,
                topics: parts.topics,
                seats: Vec::new(),
                past,
                generation: 0,
            }),
            common: Common {
                outbox: Mutex::new(parts.outbox),
                loader: Mutex::new(parts.loader),
                dead_letters: Mutex::new(parts.dead_letters),
                rejections: Mutex::default(),
                view: parts.view,
                hold: AtomicBool::new(false),
                unchecked: Mutex::default(),
                stop: AtomicBool::new(false),
            },
            quest: Mutex::new(Quest::new(asker)),
            kafka: parts.kafka,
            store: parts.store,
            registry: parts.registry,
            pace: parts.pace,
            workers: parts.workers.max(1),
            sought: Mutex::default(),
        };
        {
            let world = engine.world();
            for (at, model) in world.models.iter().enumerate() {
                engine.guard(model, shares(&world.topics, at));
            }
        }
        engine
    }

    /// What the workers work on, beside them.
    fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the workers work on, while they rest.
    pub fn resting(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects the assigned partitions to the models, with the largest times a checkpoint kept. `fresh` are models that a
    /// checkpoint had other counts of.
    pub fn attach(&self, partitions: Vec<Partition>, kept: &[SourceState], fresh: &[String]) {
        self.resting().seats.clear();
        self.attach_to(partitions, kept, fresh);
    }

    /// The same beside those that are connected.
    fn attach_to(&self, partitions: Vec<Partition>, kept: &[SourceState], fresh: &[String]) {
        let mut world = self.resting();
        let world = &mut *world;
        let now = Instant::now();
        world.generation += 1;
        for partition in partitions {
            let Some(t) = world.topics.iter().position(|t| t.name == partition.topic) else { continue };
            let Some(topic) = world.topics.get(t) else { continue };
            let state = kept.iter().find(|s| s.topic == partition.topic && s.partition == partition.partition);
            let mut place = Place {
                topic: t,
                reader: topic.reader(),
                last_event: BTreeMap::new(),
                counted: partition.next,
                first: None,
                parked: Vec::new(),
                parked_since: None,
                partition,
            };
            let mut sources = Sources::new();
            for &m in &topic.models {
                let Some(model) = world.models.get(m).filter(|model| model.reads(topic.kind)) else { continue };
                let name = &model.policy.model;
                let known = state.and_then(|s| s.fronts.iter().find(|(n, _)| n == name));
                let front = known.map(|(_, front)| front.clone());
                let claimed = front.as_ref().and_then(Front::claimed);
                let mut intake = model.intake();
                // Whatever is gone was there before somebody went on behind it.
                let kept = state.and_then(|s| s.holes.iter().find(|(n, _)| n == name)).map(|(_, until)| *until);
                let until = || now_ms().saturating_add(topic.future());
                let hole = kept.or_else(|| place.partition.gap.then(until));
                // How far it had come says nothing of where it goes on.
                let source = intake.add_source(topic.kind, topic.future(), front.filter(|_| hole.is_none()));
                if let Some(until) = hole {
                    intake.begin_hole(source, until);
                }
                match (known, state) {
                    _ if hole.is_some() => {}
                    (None, _) if place.partition.behind => intake.begin_behind(source, None, Cause::Behind),
                    (Some(_), Some(s)) if s.behind.contains(name) => intake.begin_behind(source, None, Cause::Behind),
                    // Its topic was made anew: what was left of the one before is not read any more.
                    (Some(_), Some(s)) if s.next_offset > Some(0) && place.partition.next.is_none() => {
                        intake.begin_behind(source, None, Cause::Behind);
                    }
                    (Some(_), _) if fresh.contains(name) && claimed.is_some() => {
                        intake.begin_behind(source, claimed, Cause::Policy);
                    }
                    _ => {}
                }
                sources.insert(m, (source, intake.add_decoder()));
                place.last_event.insert(m, now);
            }
            world.seats.push(Seat::new(place, sources));
        }
        world.models.iter().for_each(|model| model.intake().begin_lost());
    }

    /// Starts a model's counts anew under another policy, from where its topics stand now.
    pub fn start_anew(&self, policy: &Arc<Policy>, setup: Setup, topics: Vec<Topic>) {
        let mut world = self.resting();
        let world = &mut *world;
        let Some(at) = world.models.iter().position(|m| m.policy.model == policy.model) else { return };
        let Some(model) = world.models.get_mut(at) else { return };
        let pinned: Vec<String> =
            model.intake().versions().filter(|(_, _, v)| v.pinned).map(|(_, n, _)| n.to_owned()).collect();
        let reached: Vec<Option<Reached>> =
            world.seats.iter().map(|seat| Reached::of(seat, at, &model.intake())).collect();
        // Under the policy that it was counted for.
        model.judge_all(&mut |judged, _| self.common.deliver(judged));
        let blocks = model.blocks();
        *model = Pipeline::new(Arc::clone(policy), setup, self.workers);
        self.guard(model, shares(&topics, at));
        model.inherit(blocks);
        for version in pinned {
            model.intake().pin(&version, true);
            lock(&self.common.loader).start(policy, &version, For::Known);
        }
        world.topics = topics;
        world.generation += 1;
        let now = Instant::now();
        for (Seat { place, sources, .. }, reached) in world.seats.iter_mut().zip(reached) {
            let place = place.get_mut().unwrap_or_else(PoisonError::into_inner);
            place.parked.retain(|(m, ..)| *m != at);
            if place.parked.is_empty() {
                place.counted = place.partition.next;
            }
            let Some(topic) = world.topics.get(place.topic) else { continue };
            // Slots changed, so every partition decodes anew; what was counted by topic goes on.
            if let Some(past) = world.past.get_mut(place.topic) {
                past.add(&place.reader.read);
            }
            place.reader = topic.reader();
            sources.remove(&at);
            for &m in &topic.models {
                let Some(model) = world.models.get(m).filter(|model| model.reads(topic.kind)) else { continue };
                let mut intake = model.intake();
                let decoder = intake.add_decoder();
                if m == at {
                    let source = intake.add_source(topic.kind, topic.future(), None);
                    match reached {
                        Some(Reached::To(ts)) => intake.begin_behind(source, Some(ts), Cause::Policy),
                        Some(Reached::Unknown) => intake.begin_behind(source, None, Cause::Policy),
                        None if place.partition.next > Some(0) => intake.begin_behind(source, None, Cause::Policy),
                        Some(Reached::Nothing) | None => {}
                    }
                    sources.insert(m, (source, decoder));
                    place.last_event.insert(m, now);
                } else if let Some(source) = sources.get_mut(&m) {
                    source.1 = decoder;
                }
            }
        }
        let mut view = self.common.view.write();
        if let Some(model) = world.models.get(at) {
            let mut shown = new_model_view(model);
            // What is blocked stays so until a window passes.
            let before = view.models.remove(&policy.model).map(|m| m.versions).unwrap_or_default();
            for (version, before) in before.into_iter().filter(|(_, v)| !v.blocks.is_empty()) {
                shown.versions.entry(version).or_default().blocks = before.blocks;
            }
            view.models.insert(policy.model.clone(), shown);
        }
    }

    /// Runs until `stop` says so; then everything read is counted, closed and saved.
    ///
    /// # Errors
    /// A checkpoint that cannot be written at the end.
    pub fn run(&self, claim: &Claim, stop: &dyn Fn() -> bool, reload: &mut dyn FnMut(&Self)) -> anyhow::Result<()> {
        self.pin_registered();
        self.heed_unblocked();
        self.look_at_snapshots();
        // Nothing is read before it is known that nobody else does.
        self.common.hold.store(true, Ordering::Relaxed);
        std::thread::scope(|threads| {
            for worker in 0..self.workers {
                let desk = Desk::new(&self.common, worker);
                let work = || desk.work(&self.world);
                if let Err(e) = std::thread::Builder::new().name(format!("worker-{worker}")).spawn_scoped(threads, work)
                {
                    tracing::error!(error = %e, "no thread to count on");
                }
            }
            let _stop = StopOnPanic(&self.common);
            self.keep_house(claim, stop, reload);
            self.common.stop.store(true, Ordering::Relaxed);
        });
        if claim.is_settled() {
            self.reach_ends();
        }
        tracing::info!("stopping: delivering and saving what was counted");
        if !lock(&self.common.outbox).flush(LAST_DELIVERIES) {
            tracing::warn!("some verdicts and signals are not delivered yet; they are kept and sent after the restart");
        }
        let unwritten = lock(&self.common.dead_letters).as_ref().map_or(0, |dead| dead.flush(LAST_DEAD_LETTERS));
        if unwritten > 0 {
            DeadLettersUnwritten { unwritten }.emit();
        }
        self.show();
        self.write_checkpoint().map(|_| ())
    }

    /// Waits a moment for the ends of partitions that were read up to there: librdkafka tells of an end a fetch after the
    /// last record. A checkpoint that does not know the end would take a transaction's marker for a record.
    fn reach_ends(&self) {
        let mut desk = Desk::new(&self.common, 0);
        let until = Instant::now() + LAST_ENDS;
        let world = self.world();
        let at_end = |seat: &Seat| {
            seat.is_paused() || {
                let place = lock(&seat.place);
                place.partition.end_reached.is_some() || place.partition.halted.is_some() || !place.parked.is_empty()
            }
        };
        while Instant::now() < until && !world.seats.iter().all(at_end) {
            for seat in world.seats.iter().filter(|seat| !at_end(seat)) {
                lock(&seat.place).turn(&seat.sources, &world, &mut desk);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops reading topics that were made anew, and goes on with those that were doubted and are the same.
    fn heed_topics(&self) {
        let world = self.world();
        let view = self.common.view.read();
        let (replaced, verified) = (&view.replaced, &view.verified);
        for seat in &world.seats {
            let Ok(mut place) = seat.place.try_lock() else { continue };
            let partition = &mut place.partition;
            if let Some(why) = replaced.get(&partition.topic)
                && partition.halted.as_ref() != Some(why)
            {
                partition.halted = Some(why.clone());
            }
            let same = verified.get(&partition.topic).copied();
            if partition.doubted.is_some_and(|since| same.is_some_and(|at| at > since)) {
                partition.doubted = None;
            }
        }
    }

    fn keep_house(&self, claim: &Claim, stop: &dyn Fn() -> bool, reload: &mut dyn FnMut(&Self)) {
        let mut saved = Instant::now();
        let mut displayed = Instant::now();
        let mut pinned = Instant::now();
        let mut held: Option<Instant> = None;
        while !stop() && !self.common.stop.load(Ordering::Relaxed) {
            reload(self);
            self.kafka.serve(TICK);
            self.heed_topics();
            let waiting = lock(&self.common.outbox).settle();
            let paused = waiting.is_full() || lock(&self.common.unchecked).holds() || !claim.is_settled();
            self.common.hold.store(paused, Ordering::Relaxed);
            if waiting.is_full() {
                if let Some(since) = held.filter(|since| since.elapsed() >= HELD) {
                    let Waiting { items, bytes } = waiting;
                    let why = format!(
                        "{items} verdicts and signals ({} MiB) are not delivered yet since {} s",
                        bytes >> 20,
                        since.elapsed().as_secs()
                    );
                    self.common.view.fails(Part::Reading, why);
                }
                held.get_or_insert_with(Instant::now);
            } else if held.take().is_some() {
                self.common.view.works(&Part::Reading);
            }
            self.pause_what_runs_ahead();
            self.baselines();
            self.idle();
            if saved.elapsed() >= self.pace.checkpoint_every {
                self.save();
                saved = Instant::now();
            }
            if displayed.elapsed() >= Duration::from_millis(500) {
                self.show();
                displayed = Instant::now();
            }
            if pinned.elapsed() >= PINS_EVERY {
                self.remark();
                self.pin_registered();
                self.count_anew();
                self.load_replaced();
                self.heed_unblocked();
                pinned = Instant::now();
            }
        }
    }

    /// Versions whose number was a deleted one's start anew. That is noted once a checkpoint has it.
    fn count_anew(&self) {
        let models: Vec<String> = self.world().models.iter().map(|m| m.policy.model.clone()).collect();
        for model in models {
            let versions = match self.registry.to_count_anew(&model) {
                Ok(versions) if versions.is_empty() => continue,
                Ok(versions) => versions,
                Err(e) => {
                    tracing::warn!(model, error = %e, "the registry does not say which versions were made anew");
                    continue;
                }
            };
            self.let_go(&model, &versions);
            if !self.save() {
                continue;
            }
            for version in versions {
                tracing::warn!(model, version, "a version of this number was deleted: this one is counted anew");
                if let Err(e) = self.registry.counted_anew(&model, &version) {
                    tracing::warn!(model, version, error = %e, "that cannot be written down; it is counted anew again");
                }
            }
        }
    }

    /// Versions that were registered with another snapshot than they are counted against: their baselines are loaded anew.
    fn load_replaced(&self) {
        for model in &self.world().models {
            let policy = &model.policy;
            let replaced = self.registry.snapshots_replaced(&policy.model).unwrap_or_else(|e| {
                tracing::warn!(model = policy.model, error = %e, "the registry does not say which snapshots were replaced");
                Vec::new()
            });
            for version in replaced {
                // Where one is being loaded, it may be the one before: it is asked for again.
                if lock(&self.common.loader).is_under_way(&policy.model, &version) {
                    continue;
                }
                tracing::warn!(
                    model = policy.model,
                    version,
                    "another snapshot was registered: its baseline is loaded anew"
                );
                if let Err(e) = self.registry.snapshot_taken(&policy.model, &version) {
                    tracing::warn!(model = policy.model, version, error = %e, "that cannot be written down; it is loaded again");
                }
                if model.intake().names().version_code(&version).is_some() {
                    lock(&self.common.loader).start(policy, &version, For::Known);
                }
            }
        }
    }

    fn let_go(&self, model: &str, versions: &[String]) {
        let world = self.resting();
        let Some(pipeline) = world.models.iter().find(|m| m.policy.model == *model) else { return };
        let mut view = self.common.view.write();
        for version in versions {
            pipeline.count_anew(version);
            lock(&self.common.loader).start(&pipeline.policy, version, For::Known);
            if let Some(shown) = view.version_mut(model, version) {
                shown.verdicts.clear();
                shown.blocks.clear();
            }
        }
    }

    /// Versions with a stage pointer stay active, and their baselines are loaded before their first event.
    fn pin_registered(&self) {
        for model in &self.world().models {
            let records = match self.registry.versions(Some(&model.policy.model)) {
                Ok(records) => records,
                Err(e) => {
                    let model = &model.policy.model;
                    tracing::warn!(model, error = %e, "the registry does not say which versions have a stage");
                    continue;
                }
            };
            let registered = self.registry.registered(&model.policy.model).unwrap_or_default();
            for record in records {
                let mut intake = model.intake();
                if registered.contains(&record.version) {
                    intake.note_registered(&record.version);
                }
                let staged = !record.stages.is_empty();
                if staged || intake.names().version_code(&record.version).is_some() {
                    intake.pin(&record.version, staged);
                }
                if staged && intake.is_unknown(&record.version) {
                    lock(&self.common.loader).start(&model.policy, &record.version, For::Known);
                }
            }
        }
    }

    /// Takes over baselines that were loaded; what waited for them is counted by the next worker that comes by.
    fn baselines(&self) {
        let world = self.world();
        // Workers ask the loader with an intake in hand, so this one does not hold it while asking for one.
        let (finished, due) = {
            let mut loader = lock(&self.common.loader);
            (loader.finished(), loader.due())
        };
        let slow = lock(&self.common.loader).slow(CHECK);
        for (key, elapsed) in slow {
            let why = || format!("its snapshot has been read for {} s without an end", elapsed.as_secs());
            if snapshots::kept_of(&world, &key).is_some() && !self.is_told(&key) {
                self.unreachable(&key, &why());
            }
        }
        // What replaces a baseline needs the workers to rest.
        let (others, fresh): (Vec<_>, Vec<_>) =
            finished.into_iter().partition(|(key, found)| snapshots::is_another(&world, key, found));
        for (key, reference) in fresh {
            self.take_over(&world, &key, reference);
            lock(&self.common.loader).settle(&key);
        }
        for ((name, version), claim) in due {
            if let Some(model) = world.models.iter().find(|m| m.policy.model == name) {
                lock(&self.common.loader).start(&model.policy, &version, claim);
            }
        }
        self.seek(&world);
        drop(world);
        for (key, reference) in others {
            self.replace(&key, reference);
            lock(&self.common.loader).settle(&key);
        }
    }

    /// Names of versions are taken on by the configuration's limit.
    fn guard(&self, model: &Pipeline, shares: bool) {
        let registry = Arc::clone(&self.registry) as Arc<dyn Registered>;
        model.intake().guard(Newcomers::new(self.pace.new_versions, registry).sharing(shares));
    }

    /// Looks whether a version that was not taken on has a snapshot: beside everything else, and a few a second.
    fn seek(&self, world: &World) {
        let mut sought = lock(&self.sought);
        if sought.is_some_and(|at| at.elapsed() < SEEK_EVERY) || lock(&self.common.loader).seeks() {
            return;
        }
        for model in &world.models {
            // Where all have the same snapshot, or none has, it says nothing of any.
            if model.policy.baseline.is_of_version()
                && let Some(name) = model.try_intake().and_then(|mut intake| intake.next_sought())
            {
                *sought = Some(Instant::now());
                lock(&self.common.loader).start(&model.policy, &name, For::Refused);
                return;
            }
        }
    }

    fn take_over(&self, world: &World, key: &Key, reference: Reference) {
        let (name, version) = key;
        if lock(&self.common.loader).claim(key) == Some(For::Refused) {
            if let Reference::Baseline { .. } = reference
                && let Some(model) = world.models.iter().find(|m| m.policy.model == *name)
            {
                tracing::info!(
                    model = name,
                    version,
                    "a version that was not taken on has a snapshot: it is counted from here on"
                );
                model.intake().take_on(version, false);
            } else {
                return;
            }
        }
        lock(&self.common.unchecked).versions.remove(key);
        let Some(model) = world.models.iter().find(|m| m.policy.model == *name) else { return };
        if snapshots::kept_of(world, key).is_some() {
            match reference {
                Reference::Failed(why) => self.unreachable(key, &why),
                Reference::Baseline { .. } | Reference::Unknown => self.reachable(key),
            }
            return;
        }
        self.common.view.write().not_ready.remove(&snapshots::name(name, version));
        if let Reference::Failed(why) = &reference {
            let known =
                self.common.view.read().models.get(name).and_then(|m| m.versions.get(version)?.baseline.clone());
            if known != Some(Err(why.clone())) {
                BaselineMissing { model: name, version, why }.emit();
            }
        }
        let shown = match &reference {
            Reference::Baseline { baseline, sha256 } => Some((Ok(sha256.to_string()), Some(baseline.rows))),
            Reference::Failed(why) => Some((Err(why.clone()), None)),
            Reference::Unknown => None,
        };
        if let (Some((baseline, rows)), Some(v)) = (shown, self.common.view.write().version_mut(name, version)) {
            v.baseline = Some(baseline);
            v.reference_rows = rows;
        }
        model.intake().set_reference(version, reference);
    }

    /// Writes a checkpoint; whether it was written. A restart would fall behind the last one further and further.
    fn save(&self) -> bool {
        let view = &self.common.view;
        match self.write_checkpoint() {
            Ok(_) => {
                if view.read().not_ready.contains_key(CHECKPOINT) {
                    view.write().not_ready.remove(CHECKPOINT);
                    CheckpointResumed.emit();
                }
                true
            }
            Err(e) => {
                let why = format!("{e}; the last one stays, and a restart would go on from there");
                let is_first = view.write().not_ready.insert(CHECKPOINT.to_owned(), why).is_none();
                let failed = view.read().checkpoint.failed + 1;
                CheckpointFailed { error: &e.to_string(), is_first, failed }.emit(view);
                false
            }
        }
    }

    /// What a restart needs, taken while the workers rest.
    fn checkpoint(&self) -> Checkpoint {
        let mut world = self.resting();
        let world = &mut *world;
        let mut outbox = lock(&self.common.outbox);
        outbox.settle();
        let mut sources = Vec::new();
        for Seat { place, sources: of, .. } in &mut world.seats {
            let place = place.get_mut().unwrap_or_else(PoisonError::into_inner);
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
                topic: place.partition.topic.clone(),
                partition: place.partition.partition,
                next_offset: place.counted,
                topic_id: place.partition.topic_id.clone(),
                leader_epoch: place.partition.leader_epoch(),
                fronts: fronts.collect(),
                behind: behind.collect(),
                holes: holes.collect(),
            });
        }
        Checkpoint {
            pipelines: world.models.iter_mut().map(Pipeline::state).collect(),
            outbox: outbox.pending(),
            sources,
        }
    }

    fn write_checkpoint(&self) -> anyhow::Result<u64> {
        let started = Instant::now();
        let mut checkpoint = self.checkpoint();
        self.common.view.write().checkpoint.since = Some(Instant::now());
        let saved = self.store.save(&mut checkpoint);
        self.common.view.write().checkpoint.since = None;
        let bytes = saved?;
        let replaced: Vec<String> = self.common.view.read().replaced.keys().cloned().collect();
        let of_topic = checkpoint.sources.iter().filter(|s| !replaced.contains(&s.topic));
        let offsets: Vec<_> = of_topic.filter_map(|s| Some((s.topic.clone(), s.partition, s.next_offset?))).collect();
        self.kafka.commit(&offsets);
        let view = &mut self.common.view.write().checkpoint;
        view.written += 1;
        view.last_ms = Some(now_ms());
        view.last_bytes = bytes;
        view.last_seconds = started.elapsed().as_secs_f64();
        Ok(bytes)
    }
}
