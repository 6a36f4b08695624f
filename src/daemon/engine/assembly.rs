//! The engine and the parts that it is made of.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::ask::Asker;
use super::questions::Questions;
use super::share::Share;
use super::shared::Shared;
use super::world::World;
use crate::checkpoint::Store;
use crate::cluster::results::Results;
use crate::daemon::loader::Loader;
use crate::daemon::topics::{Read, Topic};
use crate::ledger::Embedded;
use crate::sink::dead_letters::DeadLetters;
use crate::sink::outbox::Outbox;
use crate::source::kafka::KafkaSource;
use crate::telemetry::events::threads::{NoThread, Purpose};
use crate::view;
use driftgate_core::intake::newcomers::{Newcomers, Registered};
use driftgate_core::pipeline::Pipeline;

/// The engine.
pub struct Engine {
    pub(super) world: RwLock<World>,
    pub(super) shared: Shared,
    pub(super) store: Store,
    pub(super) registry: Arc<Embedded>,
    /// The way of what is said to the registry, where that is another process's to write.
    pub(super) results: Option<Arc<Results>>,
    pub(super) share: Share,
    pub(super) intervals: Intervals,
    pub(super) workers: usize,
    pub(super) questions: Mutex<Questions>,
    /// When a snapshot of a version that was not taken on was looked for last.
    pub(super) sought: Mutex<Option<Instant>>,
    /// The last to go: its end may take long.
    pub kafka: KafkaSource,
}

/// How often things are done.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub idle_after: Duration,
    pub checkpoint_every: Duration,
    /// Versions without a registration that are taken on per hour and model.
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
    /// Where the registry is written by way of a topic.
    pub results: Option<Arc<Results>>,
    /// What of its models it counts.
    pub share: Share,
    pub view: view::Shared,
    pub dead_letters: Option<DeadLetters>,
    /// Whether windows are kept.
    pub keeps_history: bool,
    pub intervals: Intervals,
    /// How many threads read and count.
    pub workers: usize,
}

impl Engine {
    /// An engine without partitions yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let past = vec![Read::default(); parts.topics.len()];
        let asker = Asker::start(parts.kafka.handle())
            .inspect_err(|e| NoThread { purpose: Purpose::AskBrokers, error: e }.emit())
            .ok();
        let engine = Self {
            world: RwLock::new(World {
                models: parts.models,
                topics: parts.topics,
                slots: Vec::new(),
                past,
                generation: 0,
            }),
            shared: Shared {
                outbox: Mutex::new(parts.outbox),
                loader: Mutex::new(parts.loader),
                dead_letters: Mutex::new(parts.dead_letters),
                rejections: Mutex::default(),
                view: parts.view,
                keeps_history: parts.keeps_history,
                hold: AtomicBool::new(false),
                unchecked: Mutex::default(),
                asks: matches!(parts.share, Share::Shard(_)).then(Mutex::default),
                stop: AtomicBool::new(false),
            },
            questions: Mutex::new(Questions::new(asker)),
            kafka: parts.kafka,
            store: parts.store,
            registry: parts.registry,
            results: parts.results,
            share: parts.share,
            intervals: parts.intervals,
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
    pub(super) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether several processes count its models.
    #[must_use]
    pub fn is_divided(&self) -> bool {
        self.share.is_divided()
    }

    /// What the workers work on, while they rest.
    pub fn resting(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of versions are taken on by the configuration's limit.
    pub(super) fn guard(&self, model: &Pipeline, shares: bool) {
        let registry = Arc::clone(&self.registry) as Arc<dyn Registered>;
        model.intake().guard(Newcomers::new(self.intervals.new_versions, registry, Instant::now).sharing(shares));
    }
}

/// Whether events of other models come with those of a model.
pub(super) fn shares(topics: &[Topic], model: usize) -> bool {
    topics.iter().any(|topic| topic.models.len() > 1 && topic.models.contains(&model))
}
