//! What a daemon opens before anything is counted: the client, the registry and the state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;

use super::engine::{EvaluatorOf, ShardOf};
use super::starts::Accepted;
use super::{health, ledger, sink_threads, sources};
use crate::checkpoint::{Checkpoint, Store};
use crate::clock::now_ms;
use crate::cluster::results::Results;
use crate::config::{Config, KafkaConfig};
use crate::history::History;
use crate::ledger::Embedded;
use crate::source::kafka::{self, KafkaSource, Mark};
use crate::telemetry::events::state::CheckpointFallback;
use crate::view::Shared;
use crate::view::doubts::Doubts;
use crate::view::readiness::NotReady;

/// The client, registry and state of a daemon, opened before anything is counted.
pub struct Base {
    pub properties: BTreeMap<String, String>,
    pub group: String,
    pub kafka: KafkaSource,
    /// The first question to the brokers.
    pub asked: JoinHandle<health::Answer>,
    pub registry: Arc<Embedded>,
    pub store: Store,
    /// This daemon's mark for its consumer group; of a cluster's process, none: the coordinator lets one count.
    pub me: Option<Mark>,
    pub view: Shared,
    /// Where windows are kept; `None` where the configuration says so, and of a unit, whose windows the ledger's owner writes.
    pub history: Option<History>,
    /// What is counted is a unit of a cluster.
    pub unit: Option<OfUnit>,
}

/// What a unit of a cluster is counted with.
pub struct OfUnit {
    /// The way of what it says to the registry; `None` of a daemon of its own, which writes it.
    pub results: Option<Arc<Results>>,
    /// Called once, after the last commit, before what is left is closed.
    pub committed: Box<dyn FnOnce() + Send>,
    /// What of its models is counted.
    pub share: OfShare,
}

impl OfShare {
    /// Whether the models' windows are judged.
    #[must_use]
    pub fn judges(&self) -> bool {
        !matches!(self, Self::Shard(_))
    }
}

impl Default for OfUnit {
    fn default() -> Self {
        Self { results: None, committed: Box::new(|| {}), share: OfShare::Whole }
    }
}

/// What of a unit is counted.
#[derive(Default)]
pub enum OfShare {
    #[default]
    Whole,
    Shard(ShardOf),
    Evaluator(EvaluatorOf),
}

impl Base {
    /// Opens them for a daemon of its own.
    ///
    /// # Errors
    /// A registry or state that cannot be used.
    pub fn open(
        config: &Config,
        named: &KafkaConfig,
        accepted: &Accepted,
    ) -> anyhow::Result<(Self, Option<Checkpoint>)> {
        let properties = named.client_properties()?;
        let kafka = KafkaSource::new(&properties)?;
        let asked = health::ask(kafka.handle(), config)?;
        let registry: Arc<Embedded> = Arc::new(sink_threads::registry(config)?);
        let store = Store::open(&config.state.path)?;
        let me = kafka::mark(&config.state.path, now_ms())
            .with_context(|| format!("the state folder {} cannot be written", config.state.path.display()))?;
        let checkpoint = store.load()?;
        let view = Shared::default();
        let history = history(config, &view)?;
        let doubts = ledger::settle(config, &registry, accepted.registry.as_deref())?;
        let group = named.group.clone();
        let base = Self { properties, group, kafka, asked, registry, store, me: Some(me), view, history, unit: None };
        base.show(config, doubts);
        Ok((base, checkpoint))
    }

    /// What is known before the brokers were asked.
    pub fn show(&self, config: &Config, doubts: Doubts) {
        let mut view = self.view.write();
        view.doubts = doubts;
        view.readiness.hold(NotReady::NotAsked);
        view.fallback = self.store.fallback().map(|fallback| fallback.to_string());
        if let Some(why) = &view.fallback {
            CheckpointFallback { why }.emit();
        }
        view.keep = sources::keep(&config.limits);
    }
}

/// The history of a configuration, if it keeps one.
///
/// # Errors
/// A folder that cannot be made, or a store that is none.
pub fn history(config: &Config, view: &Shared) -> anyhow::Result<Option<History>> {
    let Some(options) = config.history.clone() else { return Ok(None) };
    Ok(Some(History::start(options, &config.stores, view).context("the history cannot be kept")?))
}
