//! The state of a unit in a compacted topic, so that any process can go on with it: chunks, each written once under its digest, and manifests,
//! which name them. A manifest is in one transaction with the unit's claim; chunks may come in transactions before it, since nothing names
//! them yet. The last two manifests are kept with their chunks.
//!
//! | module | holds |
//! |---|---|
//! | `keys`, `parts`, `manifest` | what a record is |
//! | `held` | what is in the log |
//! | `gather`, `staged` | a state out of records; its files, before they are in place |
//! | `restore` | the topic, read to its end |

mod gather;
mod held;
mod keys;
mod manifest;
mod parts;
mod restore;
mod staged;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::error::ClusterError;
use super::producer::Record;
use crate::checkpoint::{CheckpointError, Publish, ReadChunk};
use crate::transaction::Outcome;
use driftgate_core::codec::chunk::Digest;
use driftgate_core::pipeline::lock;
pub use held::Held;
use held::Slot;
use keys::Keys;
use manifest::Manifest;
pub use restore::{Restored, restore};

/// Chunks of about so many bytes are one transaction, so that only so much of them is in memory.
const AT_ONCE: usize = 16 << 20;

/// How the state is committed, by whoever owns the unit.
pub trait Commits: Send + Sync {
    /// The number of the next commit, and the transactional id that makes it.
    fn next(&self) -> (u64, String);
    /// Commits records with the claim to that number.
    fn commit(&self, records: &[Record]) -> Outcome;
    /// Commits records without a claim: chunks that no manifest names yet.
    fn add(&self, records: &[Record]) -> Outcome;
}

/// The log of a unit's states, as its owner writes it.
pub struct StateLog {
    topic: String,
    keys: Keys,
    commits: Arc<dyn Commits>,
    inner: Mutex<Inner>,
    at_once: usize,
}

struct Inner {
    held: Held,
    /// Why nothing must be committed any more.
    ended: Option<String>,
}

impl StateLog {
    /// With what `restore` found in the log.
    #[must_use]
    pub fn new(topic: String, unit: &str, commits: Arc<dyn Commits>, held: Held) -> Self {
        Self { topic, keys: Keys::new(unit), commits, inner: Mutex::new(Inner { held, ended: None }), at_once: AT_ONCE }
    }

    /// Commits a checkpoint and its chunks, as far as the log does not hold them; returns how many bytes were written.
    ///
    /// # Errors
    /// A chunk that cannot be read; a commit that was refused, or whose outcome is unknown: then nothing is committed any more.
    pub fn publish(
        &self,
        named: &BTreeSet<Digest>,
        read: ReadChunk<'_>,
        checkpoint: &[u8],
    ) -> Result<u64, ClusterError> {
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        let (seq, writer) = self.commits.next();
        if let Some(why) = &inner.ended {
            return Err(ClusterError::Unknown { seq, why: why.clone() });
        }
        let mut batch = Batch::default();
        for digest in named {
            if !inner.held.chunks.contains_key(digest) {
                self.add(inner, &mut batch, (digest, &read(digest)?), seq)?;
            }
        }
        let manifest = Manifest { unit: self.keys.unit().to_owned(), seq, writer, chunks: named.clone() };
        let document = manifest.document(checkpoint)?;
        let slot = inner.held.next_slot();
        let mut parts = 0;
        for payload in parts::split(&document, &parts::digest(&document)) {
            batch.push(self.record(self.keys.manifest(slot, parts), Some(payload)));
            parts += 1;
        }
        let before = inner.held.slots.get(slot).map_or(0, |slot| slot.parts);
        let unneeded = inner.held.unneeded(named);
        let surplus = (parts..before).map(|part| self.keys.manifest(slot, part));
        let chunks = unneeded.iter().flat_map(|(digest, parts)| (0..*parts).map(|part| self.keys.chunk(digest, part)));
        surplus.chain(chunks).for_each(|key| batch.push(self.record(key, None)));
        ended(inner, seq, self.commits.commit(&batch.records))?;
        inner.held.added(batch.begun, &batch.whole);
        inner.held.committed(slot, Slot { parts, chunks: manifest.chunks }, &unneeded);
        Ok(batch.bytes)
    }

    /// Adds a chunk's parts to the batch, which is committed whenever it is full.
    fn add(
        &self,
        inner: &mut Inner,
        batch: &mut Batch,
        (digest, bytes): (&Digest, &[u8]),
        seq: u64,
    ) -> Result<(), ClusterError> {
        let of = parts::count(bytes.len() as u64);
        for (payload, part) in parts::split(bytes, digest).zip(0..) {
            batch.push(self.record(self.keys.chunk(digest, part), Some(payload)));
            batch.begun.insert(digest.clone(), of);
            if part + 1 == of {
                batch.whole.insert(digest.clone());
            }
            if batch.waiting >= self.at_once {
                ended(inner, seq, self.commits.add(&batch.records))?;
                inner.held.added(std::mem::take(&mut batch.begun), &std::mem::take(&mut batch.whole));
                batch.records.clear();
                batch.waiting = 0;
            }
        }
        Ok(())
    }

    fn record(&self, key: Vec<u8>, payload: Option<Vec<u8>>) -> Record {
        Record { topic: self.topic.clone(), partition: 0, key, payload }
    }
}

/// What a commit came to.
fn ended(inner: &mut Inner, seq: u64, outcome: Outcome) -> Result<(), ClusterError> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Refused(why) => Err(ClusterError::Refused { seq, why }),
        Outcome::Ended(why) | Outcome::Unknown(why) => {
            inner.ended = Some(why.clone());
            Err(ClusterError::Unknown { seq, why })
        }
    }
}

/// Records that are committed together.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    /// Bytes of them, and of all before.
    waiting: usize,
    bytes: u64,
    /// Chunks of which they hold parts, with their numbers of parts, and those that are whole with them.
    begun: BTreeMap<Digest, u32>,
    whole: BTreeSet<Digest>,
}

impl Batch {
    fn push(&mut self, record: Record) {
        self.waiting += record.bytes();
        self.bytes += record.bytes() as u64;
        self.records.push(record);
    }
}

impl Publish for StateLog {
    fn publish(
        &self,
        named: &BTreeSet<Digest>,
        read: ReadChunk<'_>,
        checkpoint: &[u8],
    ) -> Result<u64, CheckpointError> {
        Self::publish(self, named, read, checkpoint).map_err(|e| match e {
            ClusterError::Checkpoint(e) => e,
            e => CheckpointError::Publish(Box::new(e)),
        })
    }
}

#[cfg(test)]
mod tests;
