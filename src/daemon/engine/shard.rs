//! An engine that counts the partitions of one number, and gives away what it counted with each commit: it judges nothing, and counts each version
//! against the baseline that is decided for all shards. Partitions whose versions are not decided wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::anyhow;

use super::partition::PartitionSlot;
use super::world::World;
use crate::checkpoint::PartState;
use crate::cluster::decisions::{Decision, Decisions, Of};
use crate::cluster::sets;
use crate::daemon::loader::Key;
use crate::daemon::topics::Read;
use crate::transaction::Record;
use driftgate_core::pipeline::lock;
use driftgate_core::shard::{Place, Shard};

/// What a shard is made of.
pub struct ShardOf {
    /// Of its partitions.
    pub number: u32,
    /// Of how many.
    pub shards: u32,
    /// Its unit's key, and that of the unit that judges.
    pub key: String,
    pub evaluator: String,
    /// Where it gives its counts away: topic and partition.
    pub partials: (String, i32),
    pub decisions: Decisions,
    /// What all shards of this process have read, by topic.
    pub totals: Totals,
}

/// What all shards of a process have read, by topic.
pub type Totals = std::sync::Arc<Mutex<BTreeMap<String, Read>>>;

/// The shard of an engine.
pub struct ShardPart {
    pub number: u32,
    of: ShardOf,
    inner: Mutex<Inner>,
    /// Versions that were found with another baseline than the decided one, and when.
    pub other: Mutex<BTreeMap<Key, Instant>>,
}

#[derive(Default)]
struct Inner {
    /// By model.
    shards: Vec<Shard>,
    /// What was given away and is not committed.
    pending: Vec<Record>,
    /// Of `pending`, what the commit under way has.
    staged: usize,
    /// Partitions that were silent and read to this end when the brokers were asked: with their last event then, by model.
    quiet: BTreeMap<(usize, Place), (Instant, i64)>,
    /// Versions that the last commit asked for.
    told: BTreeSet<Key>,
    /// What the totals have of this shard, by topic.
    added: BTreeMap<String, Read>,
    /// Counts were lost here: nothing may be committed.
    broken: Option<String>,
}

impl ShardPart {
    #[must_use]
    pub fn new(of: ShardOf, shards: Vec<Shard>) -> Self {
        Self { number: of.number, of, inner: Mutex::new(Inner { shards, ..Inner::default() }), other: Mutex::default() }
    }

    /// How many shards the models' partitions are divided into.
    pub fn of_how_many(&self) -> u32 {
        self.of.shards
    }

    /// A partition is read now.
    pub fn reads(&self, slot: &PartitionSlot) {
        let place = place(slot);
        let mut inner = lock(&self.inner);
        for (model, (source, _)) in &slot.sources {
            if let Some(shard) = inner.shards.get_mut(*model) {
                shard.reads(place.clone(), *source);
            }
        }
    }

    /// A partition is silent and read to this end, or not, for a model.
    pub fn is_quiet(&self, model: usize, slot: &PartitionSlot, quiet: Option<(Instant, i64)>) {
        let key = (model, place(slot));
        let mut inner = lock(&self.inner);
        match quiet {
            Some(quiet) => drop(inner.quiet.insert(key, quiet)),
            None => drop(inner.quiet.remove(&key)),
        }
    }

    /// Gives away what was counted since the last time, to be committed with the state that it belongs to.
    ///
    /// # Errors
    /// Counts that cannot be written down: nothing may be committed any more.
    pub fn give(&self, asked: BTreeSet<Key>, world: &World) -> anyhow::Result<PartState> {
        let mut inner = lock(&self.inner);
        let Inner { shards, pending, quiet, told, broken, .. } = &mut *inner;
        if let Some(why) = broken {
            return Err(anyhow!(why.clone()));
        }
        let mut seqs = Vec::new();
        for (m, (model, shard)) in world.models.iter().zip(shards).enumerate() {
            let name = &model.policy.model;
            let at = |place: &Place| {
                let slot = world.slots.iter().find(|slot| self::place(slot) == *place);
                let Some(slot) = slot else { return (0, false) };
                let state = lock(&slot.state);
                let next = state.next_uncounted().unwrap_or(0);
                let is_quiet = quiet.get(&(m, place.clone())).is_some_and(|(last, end)| {
                    state.last_event.get(&m) == Some(last) && state.is_read_to(*end) && next >= *end
                });
                (u64::try_from(next).unwrap_or(0), is_quiet)
            };
            let asks = asked.iter().filter(|(of, _)| of == name).map(|(_, version)| version.clone()).collect();
            let document = shard.take_delta(model, at, asks).map(|delta| delta.write());
            let Some(Ok(document)) = document else {
                let why = format!(
                    "what was counted of {name:?} cannot be given away: the process ends, and counts again from the last commit"
                );
                *broken = Some(why.clone());
                return Err(anyhow!(why));
            };
            let (topic, partition) = &self.of.partials;
            pending.extend(sets::records((topic, *partition), &self.of.key, &document));
            seqs.push((name.clone(), shard.seq()));
        }
        *told = asked;
        Ok(PartState::Shard(seqs))
    }

    pub fn pending(&self) -> Vec<Record> {
        let mut inner = lock(&self.inner);
        inner.staged = inner.pending.len();
        inner.pending.clone()
    }

    pub fn ended(&self, is_done: bool) {
        let mut inner = lock(&self.inner);
        let staged = std::mem::take(&mut inner.staged);
        if is_done {
            inner.pending.drain(..staged);
        } else {
            inner.told.clear();
        }
    }

    /// Whether rows wait for a decision that was not asked for yet.
    pub fn is_waited_for(&self, asks: &BTreeSet<Key>) -> bool {
        !asks.is_empty() && !asks.is_subset(&lock(&self.inner).told)
    }

    /// Adds what was read since the last time to what all shards of this process have read of a topic.
    pub fn total(&self, topic: &str, read: &Read) -> Read {
        let before = lock(&self.inner).added.insert(topic.to_owned(), read.clone()).unwrap_or_default();
        let mut totals = lock(&self.of.totals);
        let total = totals.entry(topic.to_owned()).or_default();
        total.add_since(read, &before);
        total.clone()
    }

    /// What is decided over a version.
    pub fn decision(&self, (model, version): &Key) -> Option<Decision> {
        let of = Of { unit: self.of.evaluator.clone(), model: model.clone(), version: version.clone() };
        self.of.decisions.of(&of)
    }
}

fn place(slot: &PartitionSlot) -> Place {
    let state = lock(&slot.state);
    Place { topic: state.partition.topic.clone(), partition: state.partition.partition }
}
