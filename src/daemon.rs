//! The daemon: configuration to running parts, and their orderly end. `engine` is the counting thread, `topics` its inputs,
//! `loader` brings baselines, `claim` keeps a second daemon away, `health` asks the brokers, `reload` takes over changed
//! policies, `ports` is what it listens on, `descriptors` how many files and sockets it may open, `dead` keeps what was rejected
//! and `rejections` tells of it, `outward` tells others, `sources` translates the configuration.

mod blocks;
pub mod claim;
pub mod descriptors;
pub mod engine;
pub mod health;
mod leave;
pub mod ledger;
pub mod loader;
mod ports;
pub mod rejections;
pub mod reload;
pub mod sink_threads;
pub mod sources;
pub mod topics;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use crate::checkpoint::{Checkpoint, SourceState, Store};
use crate::clock::now_ms;
use crate::config::{Config, DeadLetterTarget, PublishConfig};
use crate::http::{self, Access, App};
use crate::ledger::Sink;
use crate::registry::{Embedded, Registry};
use crate::sink::dead_letters::{DeadLetters, Target};
use crate::sink::lane::Lane;
use crate::sink::outbox::{Outbox, Outlets};
use crate::sink::standing::Standing;
use crate::sink::topic::TopicWriter;
use crate::source::kafka::{self, KafkaSource};
use crate::telemetry::otlp::{Export, LAST_EXPORT};
use crate::view::Shared;
use crate::view::failing::Part;
use claim::Claim;
use driftgate_core::intake::Setup;
use driftgate_core::intake::state::Lost;
use driftgate_core::intake::versions::Reference;
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::pipeline::{Anew, Pipeline};
use driftgate_core::policy::{self, Policy};
use driftgate_core::schema::Schema;
use engine::{Engine, Pace, Parts};
use health::{Before, Starts, Word};
use loader::{Loader, Origin};
use topics::Topic;

/// How long an orderly end may take before the process leaves anyway.
const GRACE: Duration = Duration::from_secs(30);

/// What other threads tell the counting thread.
#[derive(Debug, Default)]
pub struct Flags {
    pub stop: AtomicBool,
    pub reload: AtomicBool,
}

/// Reads the policies a configuration names; one model a policy.
///
/// # Errors
/// Every error of every file, and two policies for one model.
pub fn read_policies(config: &Config) -> anyhow::Result<Vec<Arc<Policy>>> {
    let mut found: BTreeMap<String, Arc<Policy>> = BTreeMap::new();
    let mut errors = Vec::new();
    for path in config.policy_files()? {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("the policy {} cannot be read", path.display()))?;
        match policy::parse(&text, &path) {
            Err(e) => errors.push(e.to_string()),
            Ok(policy) => {
                if let Some(other) = found.insert(policy.model.clone(), Arc::new(policy)) {
                    errors.push(format!(
                        "{}: the model {:?} has two policies; a model has one",
                        path.display(),
                        other.model
                    ));
                }
            }
        }
    }
    if errors.is_empty() { Ok(found.into_values().collect()) } else { Err(anyhow!(errors.join("\n"))) }
}

/// Runs the daemon until it is told to stop; its metrics are exported where there is an `export`.
///
/// # Errors
/// A configuration, registry or state that cannot be used.
pub fn run(config: &Config, workers: usize, word: &Word, export: Option<&Export>) -> anyhow::Result<()> {
    known_topics(config, word)?;
    let policies = read_policies(config)?;
    let kafka_config = config.kafka.clone().ok_or_else(|| {
        anyhow!("the configuration has no kafka section, so there is nothing to run; replay reads files")
    })?;
    let access = Arc::new(Access::load(config.http.rules())?);
    let properties = kafka_config.client_properties()?;
    let descriptors = descriptors::raise();
    let kafka = KafkaSource::new(&properties)?;
    let asked = health::ask(kafka.handle(), config)?;
    let registry: Arc<Embedded> = Arc::new(sink_threads::registry(config)?);
    let store = Store::open(&config.state.path)?;
    let me = kafka::mark(&config.state.path, now_ms())
        .with_context(|| format!("the state folder {} cannot be written", config.state.path.display()))?;
    let checkpoint = store.load()?;
    let view = Shared::default();
    view.write().doubts = ledger::settle(config, &registry, word.registry.as_deref())?;
    view.write().not_ready.insert("kafka".into(), "not asked yet".into());
    view.write().keep = sources::keep(&config.limits);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (ports, traffic) = ports::open(&config.http, descriptors, &runtime, &view)?;
    let flags = Arc::new(Flags::default());
    watch_access(&access, config, &view)?;
    let app = App {
        view: view.clone(),
        registry: Arc::clone(&registry),
        access: Arc::clone(&access),
        now_ms,
        traffic: traffic.clone(),
    };
    if let Some(export) = export {
        view.write().exports = Some(export.exports());
        let measured = app.clone();
        export.measure(move || measured.metrics().unwrap_or_default())?;
    }
    let (end_http, http_ends) = tokio::sync::oneshot::channel::<()>();
    let server = runtime.spawn(http::server::serve(ports, http::router(app), traffic.connections, async {
        let _ = http_ends.await;
    }));
    let to_reload = view.clone();
    runtime.spawn(signals(Arc::clone(&flags), move || reload::tokens(&access, &to_reload)));
    runtime.spawn(health::watch_checkpoint(view.clone()));

    let publish = &config.publish;
    let verdicts = publish.verdicts.as_ref().map(|topic| verdicts(topic, &properties, &view)).transpose()?;
    let mut outbox = Outbox::start(Outlets { registry: Arc::clone(&registry), verdicts, view: view.clone() });
    let keep_payload = publish.dead_letters.as_ref().is_some_and(|d| d.full_payload);
    let dead_letters = dead_letters(publish, &properties)?;
    let dead_letters = dead_letters.map(|target| DeadLetters::start(target, &view)).transpose()?;
    let setup = sources::setup(config);
    let stores = config.stores.clone();
    let origin = Origin::new(Arc::clone(&registry) as Arc<dyn Registry>, config.snapshots.clone(), stores, workers);
    let Restored { models, kept, unsent, fresh } =
        restore(&policies, checkpoint, setup, &origin, &registry, &view, &flags);
    // What could not be restored within that time must not be written down as lost.
    if flags.stop.load(Ordering::Relaxed) {
        return leave(&flags, Ok(()), export);
    }
    let schemas: Vec<Arc<Schema>> = models.iter().map(|m| Arc::clone(m.intake().schema())).collect();
    let limits = config.limits.events;
    let topics = config.sources.iter().map(|s| Topic::new(s, &schemas, limits, keep_payload)).collect();
    let names: Vec<String> = policies.iter().map(|p| p.model.clone()).collect();
    sink_threads::start(config, &names, &properties, &registry, &view, &flags)?;
    let loader = Loader::new(origin);
    unsent.into_iter().for_each(|item| outbox.put(item));
    let engine = Engine::new(Parts {
        models,
        topics,
        kafka,
        loader,
        outbox,
        store,
        registry,
        view: view.clone(),
        dead_letters,
        pace: Pace {
            idle_after: config.idle_after,
            checkpoint_every: config.state.every,
            new_versions: config.limits.new_versions,
        },
        workers,
    });

    let before = Before { kept: &kept, word };
    let Some(starts) = health::wait_for_topics(&engine.kafka.handle(), asked, config, &before, &view, &flags) else {
        return leave(&flags, Ok(()), export);
    };
    settle_first_start(config, &engine, &starts, &view)?;
    let claim = Claim::start(engine.kafka.handle(), me, &starts, view.clone(), Arc::clone(&flags))?;
    engine.attach(engine.kafka.assign(&starts)?, &kept, &fresh);
    health::watch(engine.kafka.handle(), config, &starts, view.clone(), Arc::clone(&flags));
    view.write().started = true;
    tracing::info!(partitions = starts.len(), models = policies.len(), workers, "running");
    let stop = || flags.stop.load(Ordering::Relaxed);
    let mut reload = |engine: &Engine| {
        if flags.reload.swap(false, Ordering::Relaxed) {
            reload::policies(engine, config, &view);
        }
    };
    let done = engine.run(&claim, &stop, &mut reload);
    claim.end(engine.kafka.handle(), &kafka_config.group);
    let _ = end_http.send(());
    runtime.block_on(async {
        let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    });
    leave(&flags, done, export)
}

/// The way of verdicts to their topic.
fn verdicts<N>(topic: &str, properties: &BTreeMap<String, String>, view: &Shared) -> anyhow::Result<Lane<N>> {
    let standing = Standing::new(Part::Sink(Sink::Verdicts.name()), view.clone());
    Ok(Lane::new(TopicWriter::new(properties)?, topic.to_owned(), standing))
}

/// Says where nobody is let in, and keeps the keys of the tokens' issuer.
fn watch_access(access: &Access, config: &Config, view: &Shared) -> anyhow::Result<()> {
    if let Some(warning) = access.warning(config.http.outermost()) {
        tracing::warn!("{warning}");
    }
    let Some(issuer) = access.issuer() else { return Ok(()) };
    let view = view.clone();
    let told = issuer.watch(move |found| match found {
        Ok(()) => view.works(&Part::Issuer),
        Err(why) => {
            tracing::warn!("the issuer of tokens does not give its keys, and those from before hold: {why}");
            view.fails(Part::Issuer, why);
        }
    });
    told.context("no thread for the issuer of tokens")
}

/// Where neither a state nor a registry was here before: whether the brokers know of a driftgate that was.
fn settle_first_start(config: &Config, engine: &Engine, starts: &Starts, view: &Shared) -> anyhow::Result<()> {
    let mut doubts = view.read().doubts.clone();
    if doubts.is_first {
        let has_committed = engine.kafka.handle().has_committed(starts.keys());
        ledger::first_start(config, &mut doubts, has_committed)?;
        view.write().doubts = doubts;
    }
    Ok(())
}

/// A topic that is to be accepted is one that is read.
fn known_topics(config: &Config, word: &Word) -> anyhow::Result<()> {
    let topics = word.topics.iter().map(|a| ("--accept-new-topic", &a.topic));
    let mut named = topics.chain(word.gaps.iter().map(|g| ("--accept-gap", &g.topic)));
    match named.find(|(_, topic)| config.sources.iter().all(|s| s.topic != **topic)) {
        None => Ok(()),
        Some((option, topic)) => {
            let topics: Vec<&str> = config.sources.iter().map(|s| s.topic.as_str()).collect();
            Err(anyhow!("{option} names {topic:?}, which is no source's topic; they are {}", topics.join(", ")))
        }
    }
}

/// Ends the process without waiting for librdkafka's threads, whose end has no bound; everything is saved by now.
fn leave(flags: &Flags, done: anyhow::Result<()>, export: Option<&Export>) -> anyhow::Result<()> {
    flags.stop.store(true, Ordering::Relaxed);
    if let Some(export) = export {
        export.end(LAST_EXPORT);
    }
    match done {
        Ok(()) => {
            tracing::info!("stopped");
            leave::leave(0)
        }
        Err(e) => Err(e),
    }
}

/// SIGTERM and SIGINT stop, a second one at once; SIGHUP reads tokens and policies again: `at_hangup` what does not wait
/// for the counting thread.
async fn signals(flags: Arc<Flags>, at_hangup: impl Fn()) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        tracing::error!("signals cannot be handled; only SIGKILL will stop this process");
        return;
    };
    let mut since: Option<Instant> = None;
    loop {
        let wait = since.map_or(Duration::from_secs(3600), |s: Instant| GRACE.saturating_sub(s.elapsed()));
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {
                at_hangup();
                flags.reload.store(true, Ordering::Relaxed);
                continue;
            }
            () = tokio::time::sleep(wait), if since.is_some() => {
                tracing::error!("not stopped within {} s; leaving. The last checkpoint holds", GRACE.as_secs());
                leave::leave(1);
            }
        }
        if since.is_some() {
            tracing::warn!("second signal: leaving at once. The last checkpoint holds");
            leave::leave(130);
        }
        tracing::info!("stopping; a second signal leaves at once");
        flags.stop.store(true, Ordering::Relaxed);
        since = Some(Instant::now());
    }
}

/// What a checkpoint comes to.
struct Restored {
    models: Vec<Pipeline>,
    kept: Vec<SourceState>,
    unsent: Vec<crate::sink::Item>,
    /// Models whose counts start anew.
    fresh: Vec<String>,
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

/// Pipelines as the checkpoint kept them; a model whose policy changed in what it counts starts anew, and says so.
fn restore(
    policies: &[Arc<Policy>],
    checkpoint: Option<Checkpoint>,
    setup: Setup,
    origin: &Origin,
    registry: &Arc<Embedded>,
    view: &Shared,
    flags: &Flags,
) -> Restored {
    let Checkpoint { sources, mut pipelines, outbox } =
        checkpoint.unwrap_or(Checkpoint { sources: vec![], pipelines: vec![], outbox: vec![] });
    let workers = origin.threads;
    let (mut models, mut fresh) = (Vec::new(), Vec::new());
    for policy in policies {
        let state = pipelines.iter().position(|p| p.model == policy.model).map(|at| pipelines.swap_remove(at));
        let pipeline = match state {
            None => Pipeline::new(Arc::clone(policy), setup, workers),
            Some(state) => match state.anew(policy) {
                None => {
                    let changed = state.policy_sha256 != policy.sha256;
                    let (mut pipeline, lost) = Pipeline::restore(Arc::clone(policy), setup, workers, state, |v| {
                        let waits = format!("version {v} of {}", policy.model);
                        let tell = |why: &str| {
                            let why = format!("the state does not hold its baseline, so that it is waited for: {why}");
                            if view.write().not_ready.insert(waits.clone(), why.clone()).as_ref() != Some(&why) {
                                tracing::warn!(model = policy.model, version = v, "{why}");
                            }
                        };
                        let found = origin.load_patiently(policy, v, &flags.stop, &tell);
                        view.write().not_ready.remove(&waits);
                        found
                    });
                    for Lost { version, why } in lost {
                        tracing::warn!(
                            model = policy.model,
                            version,
                            "the counts of this version start anew, and windows that reach back are incomplete: {why}"
                        );
                    }
                    if changed {
                        pipeline.forget_streaks();
                        tracing::info!(
                            model = policy.model,
                            "the policy's limits changed: counts are kept, hysteresis starts anew"
                        );
                    }
                    pipeline
                }
                Some(why) => {
                    warn_anew(&policy.model, &why);
                    fresh.push(policy.model.clone());
                    Pipeline::new(Arc::clone(policy), setup, workers)
                }
            },
        };
        blocks::take_over(&pipeline, registry, &outbox);
        show(&pipeline, registry.as_ref(), view);
        models.push(pipeline);
    }
    for left in pipelines {
        tracing::warn!(model = left.model, "the checkpoint holds a model without a policy: its counts are dropped");
    }
    Restored { models, kept: sources, unsent: outbox, fresh }
}

fn warn_anew(model: &str, why: &Anew) {
    match why {
        Anew::Policy => {
            tracing::warn!(model, "the policy changed in what it counts: this model's counts start anew");
        }
        Anew::Rule(rule) => tracing::warn!(
            model,
            rule,
            "the release before kept other counts for this rule: this model's counts start anew"
        ),
    }
}

/// Puts a model into the picture, with the verdicts and blocks that the registry keeps.
pub fn show(pipeline: &Pipeline, registry: &dyn Registry, view: &Shared) {
    let model = &pipeline.policy.model;
    let mut shown = engine::new_model_view(pipeline);
    let keep = view.read().keep;
    let records = registry.versions(Some(model)).unwrap_or_else(|e| {
        tracing::error!(error = %e, "the registry");
        Vec::new()
    });
    let intake = pipeline.intake();
    let known = intake.versions().map(|(_, name, _)| name.to_owned());
    let names: std::collections::BTreeSet<String> = records.iter().map(|r| r.version.clone()).chain(known).collect();
    for name in names {
        let version = shown.versions.entry(name.clone()).or_default();
        let stored = registry.verdicts(model, &name).unwrap_or_else(|e| {
            tracing::error!(error = %e, model, version = name, "the verdicts of a version are not read: it counts as not judged");
            Vec::new()
        });
        for json in stored {
            match verdict_from_json(&json) {
                Ok(verdict) => version.push(Arc::new(verdict), keep),
                Err(e) => {
                    tracing::error!(error = %e, model, version = name, "a group counts as not judged until its next window");
                }
            }
        }
        if let Some(record) = records.iter().find(|r| r.version == name) {
            version.blocks = record.blocks.iter().map(|b| (b.group.clone(), b.reasons.clone())).collect();
        }
    }
    for (_, name, version) in intake.versions() {
        let Some(v) = shown.versions.get_mut(name) else { continue };
        match version.reference() {
            Reference::Baseline { baseline, sha256 } => {
                v.baseline = Some(Ok(sha256.to_string()));
                v.reference_rows = Some(baseline.rows);
            }
            Reference::Failed(why) => v.baseline = Some(Err(why.clone())),
            Reference::Unknown => {}
        }
    }
    view.write().models.insert(model.clone(), shown);
}

/// Reads a configuration file.
///
/// # Errors
/// What is wrong with it.
pub fn read_config(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    Ok(crate::config::parse(&text, path)?)
}
