//! The daemon: a configuration becomes running parts, and these end in order. `run` composes them; `control` stops it.
//!
//! | module | holds |
//! |---|---|
//! | `control`, `threads` | stop and reload; what the daemon waits for at its end |
//! | `policies`, `sources` | the files it is started with; the configuration as decoders take it |
//! | `topics`, `starts`, `health`, `claim` | its inputs; where they start; whether the brokers answer; one daemon per consumer group |
//! | `loader`, `restore`, `blocks` | baselines; what a checkpoint comes to; active blocks |
//! | `engine` | the threads that read, count and judge |
//! | `rejections`, `sink_threads` | what is said of rejected messages; facts to outside systems |
//! | `serving`, `ports`, `descriptors`, `reload`, `ledger` | HTTP; files that are read again; whether the registry is the one of before |

mod blocks;
pub mod claim;
mod control;
pub mod descriptors;
pub mod engine;
pub mod health;
pub mod ledger;
pub mod loader;
mod policies;
mod ports;
pub mod rejections;
pub mod reload;
mod restore;
mod serving;
pub mod sink_threads;
pub mod sources;
pub mod starts;
mod threads;
pub mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::checkpoint::{Checkpoint, Store};
use crate::clock::now_ms;
use crate::config::{Config, DeadLetterTarget, KafkaConfig, PublishConfig};
use crate::http::Access;
use crate::ledger::{Embedded, Sink};
use crate::sink::dead_letters::{DeadLetters, Target};
use crate::sink::lane::Lane;
use crate::sink::outbox::{Outbox, Outlets};
use crate::sink::standing::Standing;
use crate::sink::topic::TopicWriter;
use crate::source::kafka::{self, KafkaSource, Mark};
use crate::telemetry::events::lifecycle::{Running, Stopped};
use crate::telemetry::events::state::CheckpointFallback;
use crate::telemetry::otlp::{Export, LAST_EXPORT};
use crate::view::Shared;
use crate::view::failing::Part;
use crate::view::readiness::NotReady;
use claim::Claim;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;
use engine::{Engine, Intervals, Parts};
use loader::{Loader, Origin};
use restore::{Restored, Restorer};
use serving::Serving;
use starts::{Accepted, Before, Starts};
use threads::{Threads, drop_within};
use topics::Topic;

pub use control::{Control, End};
pub use policies::{read_config, read_policies};
pub use restore::show;

/// How long threads that end by themselves are waited for.
const LAST_THREADS: Duration = Duration::from_secs(2);
/// How long the Kafka client is waited for.
const LAST_CLIENT: Duration = Duration::from_secs(2);

/// What a daemon is started with beside its configuration.
#[derive(Clone, Default)]
pub struct Options {
    /// Threads that read and count; at least one.
    pub threads: usize,
    pub accepted: Accepted,
    /// Where metrics and traces are exported to, if they are.
    pub export: Option<Export>,
}

/// Runs a daemon until `control` stops it or it gives way to another one. When this returns, its threads have ended and its files
/// are closed, but for calls to other systems that take longer than `LAST_THREADS`.
///
/// # Errors
/// A configuration, registry or state that cannot be used.
pub fn run(config: &Config, options: &Options, control: &Control) -> anyhow::Result<End> {
    known_topics(config, &options.accepted)?;
    let policies = read_policies(config)?;
    let kafka = config.kafka.as_ref().ok_or_else(|| {
        anyhow!("the configuration has no kafka section, so there is nothing to run; replay reads files")
    })?;
    let access = Arc::new(Access::load(config.http.rules())?);
    let descriptors = descriptors::raise();
    let (base, checkpoint) = Base::open(config, kafka, &options.accepted)?;
    base.view.write().restoring = policies.iter().map(|policy| policy.model.clone()).collect();
    let serving = Serving::start(config, descriptors, access, (&base.registry, &base.view), control)?;
    if let Some(export) = &options.export {
        serving.export(export, &base.view)?;
    }
    let daemon = Daemon { config, options, control, policies: &policies };
    let mut threads = Threads::default();
    let done = daemon.run(base, checkpoint, serving, &mut threads);
    // Also after an error nothing goes on.
    control.stop();
    threads.join(LAST_THREADS);
    if let Some(export) = &options.export {
        export.end(LAST_EXPORT);
    }
    if matches!(done, Ok(End::Stopped)) {
        Stopped.emit();
    }
    done
}

/// A topic that is to be accepted is one that is read.
fn known_topics(config: &Config, accepted: &Accepted) -> anyhow::Result<()> {
    let topics = accepted.topics.iter().map(|a| ("--accept-new-topic", &a.topic));
    let mut named = topics.chain(accepted.gaps.iter().map(|g| ("--accept-gap", &g.topic)));
    match named.find(|(_, topic)| config.sources.iter().all(|s| s.topic != **topic)) {
        None => Ok(()),
        Some((option, topic)) => {
            let topics: Vec<&str> = config.sources.iter().map(|s| s.topic.as_str()).collect();
            Err(anyhow!("{option} names {topic:?}, which is no source's topic; they are {}", topics.join(", ")))
        }
    }
}

/// The client, registry and state of a daemon, opened before anything is counted.
struct Base {
    properties: BTreeMap<String, String>,
    group: String,
    kafka: KafkaSource,
    /// The first question to the brokers.
    asked: JoinHandle<health::Answer>,
    registry: Arc<Embedded>,
    store: Store,
    /// This daemon's mark for its consumer group.
    me: Mark,
    view: Shared,
}

impl Base {
    fn open(config: &Config, named: &KafkaConfig, accepted: &Accepted) -> anyhow::Result<(Self, Option<Checkpoint>)> {
        let properties = named.client_properties()?;
        let kafka = KafkaSource::new(&properties)?;
        let asked = health::ask(kafka.handle(), config)?;
        let registry: Arc<Embedded> = Arc::new(sink_threads::registry(config)?);
        let store = Store::open(&config.state.path)?;
        let me = kafka::mark(&config.state.path, now_ms())
            .with_context(|| format!("the state folder {} cannot be written", config.state.path.display()))?;
        let checkpoint = store.load()?;
        let view = Shared::default();
        let doubts = ledger::settle(config, &registry, accepted.registry.as_deref())?;
        {
            let mut view = view.write();
            view.doubts = doubts;
            view.readiness.hold(NotReady::NotAsked);
            view.fallback = store.fallback().map(|fallback| fallback.to_string());
            if let Some(why) = &view.fallback {
                CheckpointFallback { why }.emit();
            }
            view.keep = sources::keep(&config.limits);
        }
        let group = named.group.clone();
        Ok((Self { properties, group, kafka, asked, registry, store, me, view }, checkpoint))
    }
}

/// One run of a daemon.
struct Daemon<'d> {
    config: &'d Config,
    options: &'d Options,
    control: &'d Control,
    policies: &'d [Arc<Policy>],
}

impl Daemon<'_> {
    fn run(
        &self,
        base: Base,
        checkpoint: Option<Checkpoint>,
        serving: Serving,
        threads: &mut Threads,
    ) -> anyhow::Result<End> {
        let Base { properties, group, kafka, asked, registry, store, me, view } = base;
        let mut outbox = self.outbox(&registry, &properties, &view)?;
        let dead_letters = self.dead_letters(&properties, &view)?;
        let (stores, places) = (self.config.stores.clone(), self.config.snapshots.clone());
        let origin = Origin::new(Arc::clone(&registry), places, stores, self.options.threads);
        let setup = sources::setup(self.config);
        let restorer = Restorer { setup, origin: &origin, registry: &registry, view: &view, control: self.control };
        let Restored { models, kept, unsent, fresh } = restorer.restore(self.policies, checkpoint);
        // What could not be restored within that time must not be written down as lost.
        if self.control.is_stopping() {
            drop(store);
            return Ok(end_unread(kafka, serving));
        }
        let schemas: Vec<Arc<Schema>> = models.iter().map(|m| Arc::clone(m.intake().schema())).collect();
        let names: Vec<String> = self.policies.iter().map(|p| p.model.clone()).collect();
        *threads = sink_threads::start(self.config, &names, &properties, &registry, &view, self.control)?;
        unsent.into_iter().for_each(|item| outbox.put(item));
        let engine = Engine::new(Parts {
            models,
            topics: self.topics(&schemas),
            kafka,
            loader: Loader::new(origin),
            outbox,
            store,
            registry,
            view: view.clone(),
            dead_letters,
            intervals: self.intervals(),
            workers: self.options.threads,
        });
        let before = Before { kept: &kept, accepted: &self.options.accepted };
        let kafka = engine.kafka.handle();
        let starts = health::wait_for_topics(&kafka, asked, self.config, &before, &view, self.control);
        let Some(starts) = starts else { return Ok(end_unread(engine, serving)) };
        self.settle_first_start(&engine, &starts, &view)?;
        let (claim, claiming) = Claim::start(kafka.clone(), me, &starts, view.clone(), self.control.clone())?;
        threads.add(claiming);
        engine.attach(engine.kafka.assign(&starts)?, &kept, &fresh);
        let watching = health::watch(kafka.clone(), self.config, &starts, view.clone(), self.control.clone());
        watching.into_iter().for_each(|thread| threads.add(thread));
        view.write().started = true;
        let (models, workers) = (self.policies.len(), self.options.threads);
        Running { partitions: starts.len(), models, workers }.emit();
        let done = self.count(&engine, &claim, &view);
        let end = claim.end(kafka, &group);
        serving.end();
        drop_within(engine, LAST_CLIENT);
        // Who gives way has said why.
        if end == End::GaveWay { Ok(end) } else { done.map(|()| end) }
    }

    /// Reads and counts until `control` stops it.
    fn count(&self, engine: &Engine, claim: &Claim, view: &Shared) -> anyhow::Result<()> {
        let mut reload = |engine: &Engine| {
            if self.control.take_policies() {
                reload::policies(engine, self.config, view);
            }
        };
        engine.run(claim, &|| self.control.is_stopping(), &mut reload)
    }

    fn intervals(&self) -> Intervals {
        Intervals {
            idle_after: self.config.idle_after,
            checkpoint_every: self.config.state.every,
            new_versions: self.config.limits.new_versions,
        }
    }

    fn topics(&self, schemas: &[Arc<Schema>]) -> Vec<Topic> {
        let limits = self.config.limits.events;
        let keep_payload = self.config.publish.dead_letters.as_ref().is_some_and(|d| d.full_payload);
        self.config.sources.iter().map(|s| Topic::new(s, schemas, limits, keep_payload)).collect()
    }

    /// The way of results to the registry, and of verdicts to their topic.
    fn outbox(
        &self,
        registry: &Arc<Embedded>,
        properties: &BTreeMap<String, String>,
        view: &Shared,
    ) -> anyhow::Result<Outbox> {
        let verdicts = match &self.config.publish.verdicts {
            None => None,
            Some(topic) => {
                let standing = Standing::new(Part::Sink(Sink::Verdicts.name()), view.clone());
                Some(Lane::new(TopicWriter::new(properties)?, topic.clone(), standing))
            }
        };
        Ok(Outbox::start(Outlets { registry: Arc::clone(registry), verdicts, view: view.clone() }))
    }

    fn dead_letters(
        &self,
        properties: &BTreeMap<String, String>,
        view: &Shared,
    ) -> anyhow::Result<Option<DeadLetters>> {
        let target = dead_letters(&self.config.publish, properties)?;
        Ok(target.map(|target| DeadLetters::start(target, view)).transpose()?)
    }

    /// Where neither a state nor a registry was here before: whether the brokers know of a driftgate that was.
    fn settle_first_start(&self, engine: &Engine, starts: &Starts, view: &Shared) -> anyhow::Result<()> {
        let mut doubts = view.read().doubts.clone();
        if doubts.is_first {
            let has_committed = engine.kafka.handle().has_committed(starts.keys());
            ledger::first_start(self.config, &mut doubts, has_committed)?;
            view.write().doubts = doubts;
        }
        Ok(())
    }
}

/// Closes what was opened if the daemon is stopped before it read anything.
fn end_unread<T: Send + 'static>(opened: T, serving: Serving) -> End {
    serving.end();
    drop_within(opened, LAST_CLIENT);
    End::Stopped
}

/// Where dead letters go.
fn dead_letters(publish: &PublishConfig, properties: &BTreeMap<String, String>) -> anyhow::Result<Option<Target>> {
    Ok(match publish.dead_letters.as_ref().map(|d| (&d.to, d.most_bytes)) {
        None => None,
        Some((DeadLetterTarget::Path(path), most_bytes)) => Some(
            Target::file(path, most_bytes).with_context(|| format!("dead letters cannot go to {}", path.display()))?,
        ),
        Some((DeadLetterTarget::Topic(topic), _)) => {
            Some(Target::Topic { writer: TopicWriter::new(properties)?, topic: topic.clone() })
        }
    })
}
