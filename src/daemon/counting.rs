//! One run of a daemon: a checkpoint becomes models that count, and what they say goes outward.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::base::{Base, OfUnit};
use super::claim::Claim;
use super::control::{Control, End};
use super::engine::{Engine, Intervals, Parts, Share};
use super::loader::{Loader, Origin};
use super::options::Options;
use super::restore::{Restored, Restorer};
use super::serving::Serving;
use super::starts::{Before, Starts};
use super::threads::{Threads, drop_within};
use super::topics::{self, Topic};
use super::{health, ledger, reload, share, sink_threads, sources};
use crate::checkpoint::{Checkpoint, HalvesState};
use crate::config::{Config, DeadLetterTarget, PublishConfig, SourceConfig};
use crate::history::History;
use crate::ledger::{Embedded, Sink};
use crate::sink::dead_letters::{DeadLetters, Target};
use crate::sink::lane::Lane;
use crate::sink::outbox::{Outbox, Outlets};
use crate::sink::standing::Standing;
use crate::sink::topic::TopicWriter;
use crate::source::kafka::{Handle, Mark};
use crate::source::schemas::SchemaRegistry;
use crate::telemetry::events::lifecycle::Running;
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::pipeline::Pipeline;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

/// How long the Kafka client is waited for.
const LAST_CLIENT: Duration = Duration::from_secs(2);

/// One run of a daemon.
pub struct Daemon<'d> {
    pub config: &'d Config,
    pub options: &'d Options,
    pub control: &'d Control,
    pub policies: &'d [Arc<Policy>],
}

impl Daemon<'_> {
    /// Counts from a checkpoint until `control` stops it; a server that is given ends before the client.
    ///
    /// # Errors
    /// A state that cannot be used, or written at the end.
    pub fn run(
        &self,
        base: Base,
        checkpoint: Option<Checkpoint>,
        serving: Option<Serving>,
        threads: &mut Threads,
    ) -> anyhow::Result<End> {
        let Base { properties, group, kafka, asked, registry, store, me, view, history, unit } = base;
        let OfUnit { results, committed, share: of_share } = unit.unwrap_or_default();
        let mut outbox = self.outbox(&registry, &properties, (&view, history))?;
        let dead_letters = self.dead_letters(&properties, &view)?;
        let origin = self.origin(&registry);
        let shown = of_share.judges().then_some(&view);
        let restorer = self.restorer(&origin, (&registry, shown), results.is_some());
        let Restored { models, kept, unsent, fresh, part, halves } = restorer.restore(self.policies, checkpoint);
        // What could not be restored within that time must not be written down as lost.
        if self.control.is_stopping() {
            drop(store);
            return Ok(end_unread(kafka, serving));
        }
        if results.is_none() {
            *threads = self.sinks(&properties, &registry, &view)?;
        }
        unsent.into_iter().for_each(|item| outbox.put_released(item));
        let schema_registry = self.schema_registry(&view, threads)?;
        let before = Before { kept: &kept, accepted: &self.options.accepted };
        let starts = health::wait_for_topics(&kafka.handle(), asked, self.config, &before, &view, self.control);
        let Some(mut starts) = starts else { return Ok(end_unread(kafka, serving)) };
        let share = share::of(of_share, part, (&models, self.config), &starts)?;
        starts.retain(|(_, partition), _| share.reads(*partition));
        let topics = self.topics(&share, &models, (schema_registry.as_ref(), halves))?;
        let engine = Engine::new(Parts {
            models,
            topics,
            share,
            kafka,
            loader: Loader::new(origin),
            outbox,
            store,
            registry,
            results,
            view: view.clone(),
            dead_letters,
            keeps_history: self.config.history.is_some(),
            intervals: self.intervals(),
            workers: self.options.threads,
        });
        let kafka = engine.kafka.handle();
        self.settle_first_start(&engine, &starts, &view)?;
        let claim = self.claim(me, (&kafka, &starts), &view, threads)?;
        engine.attach(engine.kafka.assign(&starts)?, &kept, &fresh);
        self.watch(&kafka, &starts, &view, threads);
        let done = self.count(&engine, &claim, &view);
        committed();
        let end = claim.end(kafka, &group);
        serving.into_iter().for_each(Serving::end);
        drop_within(engine, LAST_CLIENT);
        // Who gives way has said why.
        if end == End::GaveWay { Ok(end) } else { done.map(|()| end) }
    }

    /// What delivers from the registry.
    fn sinks(
        &self,
        properties: &BTreeMap<String, String>,
        registry: &Arc<Embedded>,
        view: &Shared,
    ) -> anyhow::Result<Threads> {
        let names: Vec<String> = self.policies.iter().map(|p| p.model.clone()).collect();
        sink_threads::start(self.config, &names, properties, registry, view, self.control)
    }

    /// The brokers are asked from now on whether they answer, and what is read is counted.
    fn watch(&self, kafka: &Handle, starts: &Starts, view: &Shared, threads: &mut Threads) {
        let watching = health::watch(kafka.clone(), self.config, starts, view.clone(), self.control.clone());
        watching.into_iter().for_each(|thread| threads.add(thread));
        view.write().started = true;
        Running { partitions: starts.len(), models: self.policies.len(), workers: self.options.threads }.emit();
    }

    /// Where baselines come from.
    fn origin(&self, registry: &Arc<Embedded>) -> Origin {
        let (stores, places) = (self.config.stores.clone(), self.config.snapshots.clone());
        Origin::new(Arc::clone(registry), places, stores, self.options.threads)
    }

    /// What restores models; the registry of a cluster `is_behind` what was committed.
    fn restorer<'r>(
        &'r self,
        origin: &'r Origin,
        (registry, view): (&'r Arc<Embedded>, Option<&'r Shared>),
        is_behind: bool,
    ) -> Restorer<'r> {
        Restorer { setup: sources::setup(self.config), origin, registry, view, control: self.control, is_behind }
    }

    /// The claim to the consumer group: with a mark of this daemon's own, or as the coordinator of a cluster said.
    fn claim(
        &self,
        me: Option<Mark>,
        (kafka, starts): (&Handle, &Starts),
        view: &Shared,
        threads: &mut Threads,
    ) -> anyhow::Result<Arc<Claim>> {
        let Some(me) = me else { return Ok(Arc::new(Claim::of_cluster())) };
        let (claim, claiming) = Claim::start(kafka.clone(), me, starts, view.clone(), self.control.clone())?;
        threads.add(claiming);
        Ok(claim)
    }

    /// Reads and counts until `control` stops it.
    fn count(&self, engine: &Engine, claim: &Claim, view: &Shared) -> anyhow::Result<()> {
        let mut reload = |engine: &Engine| {
            if self.control.take_policies() {
                reload::policies(engine, self.config, view, self.config.cluster.is_some());
            }
        };
        engine.run(claim, &|| self.control.is_stopping(), &mut reload)
    }

    fn intervals(&self) -> Intervals {
        Intervals {
            idle_after: self.config.idle_after,
            checkpoint_every: self.config.cluster.as_ref().map_or(self.config.state.every, |cluster| cluster.commit),
            new_versions: self.config.limits.new_versions,
        }
    }

    /// The topics that are read here.
    fn topics(
        &self,
        share: &Share,
        models: &[Pipeline],
        (registry, halves): (Option<&Arc<SchemaRegistry>>, Vec<HalvesState>),
    ) -> anyhow::Result<Vec<Topic>> {
        if !share.reads_any() {
            return Ok(Vec::new());
        }
        let schemas: Vec<Arc<Schema>> = models.iter().map(|m| Arc::clone(m.intake().schema())).collect();
        let limits = self.config.limits.events;
        let keep_payload = self.config.publish.dead_letters.as_ref().is_some_and(|d| d.full_payload);
        let topic = |source: &SourceConfig| {
            Ok(Topic::new(source, sources::wire(source, registry)?, &schemas, limits, keep_payload))
        };
        let mut topics: Vec<Topic> = self.config.sources.iter().map(topic).collect::<anyhow::Result<_>>()?;
        topics::connect(&mut topics, &self.config.sources);
        topics::restore(&topics, halves);
        Ok(topics)
    }

    /// The registry of the messages' schemas, where the configuration names one.
    fn schema_registry(&self, view: &Shared, threads: &mut Threads) -> anyhow::Result<Option<Arc<SchemaRegistry>>> {
        let Some(named) = &self.config.schema_registry else { return Ok(None) };
        let client = sources::schema_client(named)?;
        let (view, control) = (view.clone(), self.control.clone());
        let said = move |why: Option<String>| match why {
            Some(why) => view.fails(Part::Schemas, why),
            None => view.works(&Part::Schemas),
        };
        let (registry, fetching) = SchemaRegistry::start(client, said, move || control.is_stopping())?;
        threads.add(fetching);
        Ok(Some(registry))
    }

    /// The way of results to the registry, and of verdicts to their topic.
    fn outbox(
        &self,
        registry: &Arc<Embedded>,
        properties: &BTreeMap<String, String>,
        (view, history): (&Shared, Option<History>),
    ) -> anyhow::Result<Outbox> {
        let verdicts = match &self.config.publish.verdicts {
            None => None,
            Some(topic) => {
                let standing = Standing::new(Part::Sink(Sink::Verdicts.name()), view.clone());
                Some(Lane::new(TopicWriter::new(properties)?, topic.clone(), standing))
            }
        };
        let is_alone = self.config.cluster.is_none();
        let registry = is_alone.then(|| Arc::clone(registry));
        let outbox = Outbox::start(Outlets { registry, verdicts, view: view.clone(), history });
        // Whoever takes over goes on from the last commit: what leaves before it is committed might be judged otherwise there.
        Ok(if is_alone { outbox } else { outbox.holding() })
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
fn end_unread<T: Send + 'static>(opened: T, serving: Option<Serving>) -> End {
    if let Some(serving) = serving {
        serving.end();
    }
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
