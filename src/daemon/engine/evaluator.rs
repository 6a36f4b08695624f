//! An engine that counts nothing: it adds what shards have counted, in the order of their log, and judges. Versions' baselines are decided here,
//! once for all shards; a decision is published with the commit that has it in its state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::sleeping::Confirming;
use super::world::World;
use crate::checkpoint::{PartState, Position};
use crate::cluster::decisions::{self, Decision, Of};
use crate::cluster::ledger_log::trim;
use crate::cluster::sets::{Arrived, Tail};
use crate::daemon::loader::{Claim, Key};
use crate::telemetry::events::cluster::{DecisionStays, LedgerKept};
use crate::transaction::Record;
use driftgate_core::intake::Counters;
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::shard::{Delta, Evaluation};

/// The snapshot of a version that is registered may be away for so long before the version is counted without it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two times that the log is shortened.
const SHORTEN_EVERY: Duration = Duration::from_secs(30);
const SHORTEN_WITHIN: Duration = Duration::from_secs(10);

/// What an evaluator is made of.
pub struct EvaluatorOf {
    /// Its unit's key.
    pub unit: String,
    /// The shards' units by key.
    pub shards: BTreeMap<String, u32>,
    /// Of the client.
    pub properties: BTreeMap<String, String>,
    /// Where shards give their counts away: topic and partition.
    pub partials: (String, i32),
    /// The topic of decisions.
    pub control: String,
}

/// The evaluating of an engine's models.
pub struct Evaluator {
    pub(super) of: EvaluatorOf,
    pub(super) inner: Mutex<Inner>,
}

pub(super) struct Inner {
    /// By model.
    pub evaluations: Vec<Evaluation>,
    pub tail: Option<Tail>,
    /// How far what is added has come.
    pub read: Position,
    /// What was read and cannot be added yet.
    pub waiting: Option<(Arrived, Delta)>,
    /// How often the log could not be opened.
    pub tries: u32,
    pub decided: BTreeMap<Key, Decision>,
    /// Of them, those in the commit under way.
    staged: BTreeSet<Key>,
    /// Decisions that were published from here.
    pub published: BTreeSet<Key>,
    /// Since when the baseline of a version that has none fails to load.
    failing: BTreeMap<Key, Instant>,
    /// Versions of which it was said that their decision stays.
    told: BTreeSet<Key>,
    /// Nothing may be committed any more.
    pub broken: Option<String>,
    /// Where the last commits' reading goes on, the newest one last.
    committed: [i64; 2],
    shortened: (i64, Instant),
    /// The deltas that were added since windows were closed.
    pub added: bool,
    pub confirming: Confirming,
}

impl Evaluator {
    #[must_use]
    pub fn new(of: EvaluatorOf, evaluations: Vec<Evaluation>, read: Position) -> Self {
        let inner = Inner {
            evaluations,
            tail: None,
            read,
            waiting: None,
            tries: 0,
            decided: BTreeMap::new(),
            staged: BTreeSet::new(),
            published: BTreeSet::new(),
            failing: BTreeMap::new(),
            told: BTreeSet::new(),
            broken: None,
            committed: [read.next; 2],
            shortened: (0, Instant::now()),
            added: true,
            confirming: Confirming::default(),
        };
        Self { of, inner: Mutex::new(inner) }
    }

    pub fn counters(&self, at: usize, model: &Pipeline) -> Counters {
        let inner = lock(&self.inner);
        inner.evaluations.get(at).map_or_else(|| model.counters(), |evaluation| evaluation.counters(model))
    }

    pub fn state(&self, world: &World) -> anyhow::Result<PartState> {
        let inner = lock(&self.inner);
        if let Some(why) = &inner.broken {
            return Err(anyhow!(why.clone()));
        }
        let of = |(model, evaluation): (&Pipeline, &Evaluation)| (model.policy.model.clone(), evaluation.state());
        let evaluations = world.models.iter().zip(&inner.evaluations).map(of).collect();
        Ok(PartState::Evaluator { read: inner.read, evaluations })
    }

    pub fn pending(&self) -> Vec<Record> {
        let mut inner = lock(&self.inner);
        inner.staged = inner.decided.keys().cloned().collect();
        let record = |((model, version), decision): (&Key, &Decision)| {
            let of = Of { unit: self.of.unit.clone(), model: model.clone(), version: version.clone() };
            decisions::record(&self.of.control, &of, decision)
        };
        inner.decided.iter().map(record).collect()
    }

    pub fn ended(&self, is_done: bool) {
        let mut inner = lock(&self.inner);
        let staged = std::mem::take(&mut inner.staged);
        if is_done {
            inner.decided.retain(|key, _| !staged.contains(key));
            inner.published.extend(staged);
            inner.committed = [inner.committed[1], inner.read.next];
            self.shorten(&mut inner);
        }
    }

    /// Whether shards wait for a decision that is not committed.
    pub fn is_waited_for(&self) -> bool {
        !lock(&self.inner).decided.is_empty()
    }

    /// Deletes what of the log the commit before the last one does not need, beside everything else.
    fn shorten(&self, inner: &mut Inner) {
        let before = inner.committed[0];
        if before <= inner.shortened.0 || inner.shortened.1.elapsed() < SHORTEN_EVERY {
            return;
        }
        inner.shortened = (before, Instant::now());
        let (properties, (topic, partition)) = (self.of.properties.clone(), self.of.partials.clone());
        let work = move || {
            if let Err(e) = trim(&properties, (&topic, partition), before, SHORTEN_WITHIN) {
                LedgerKept { topic: &topic, error: &e }.emit();
            }
        };
        // Where there is no thread, it is tried again after the next commit.
        drop(std::thread::Builder::new().name("shorten".into()).spawn(work));
    }

    /// Takes note of what a version is counted against, to be published.
    pub fn decide(&self, key: &Key, reference: &Reference) {
        if let Some(decision) = decision(reference) {
            lock(&self.inner).decided.insert(key.clone(), decision);
        }
    }

    /// Whether a baseline that did not load is waited for: that of a registered version for a while.
    pub fn waits_for(&self, key: &Key, claim: Option<Claim>) -> bool {
        let mut inner = lock(&self.inner);
        let since = inner.failing.entry(key.clone()).or_insert_with(Instant::now);
        claim == Some(Claim::Known) && since.elapsed() < PATIENCE
    }

    /// Says once that a version's decision stays, whatever came after it.
    pub fn stays(&self, (model, version): &Key, what: &str) {
        if lock(&self.inner).told.insert((model.clone(), version.clone())) {
            DecisionStays { model, version, what }.emit();
        }
    }
}

/// What a reference is, as a decision.
pub(super) fn decision(reference: &Reference) -> Option<Decision> {
    match reference {
        Reference::Baseline { sha256, .. } => Some(Decision::Baseline { sha256: sha256.to_string() }),
        Reference::Failed(why) => Some(Decision::Without { why: why.clone() }),
        Reference::Unknown => None,
    }
}
