//! The registry's log in a topic: its owner adds each change in a transaction with the claim to the log, everybody reads them.
//!
//! `record` is what is in the topic, `follower` what a process does with it, `tail` the thread that reads, `opening` what comes before a
//! process becomes the owner, `trim` takes away what a snapshot stands for.

mod follower;
mod opening;
mod record;
mod tail;
mod trim;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rdkafka::consumer::ConsumerGroupMetadata;

pub use follower::Seen;
pub use opening::{Opening, opening};
pub use tail::{Place, Tail, TailError};
pub use trim::trim;

use crate::ledger::{ChangeLog, Embedded, ReplicaError};
use crate::transaction::{ClaimAt, Outcome, Producer, Record};
use record::{Key, PART};

/// A transaction of a snapshot has so many bytes; more are several.
const TRANSACTION: usize = 4 << 20;
/// A log that grew by so many bytes of changes since its last snapshot is given another one.
const SNAPSHOT_EVERY: u64 = 64 << 20;

/// Carries transactions out.
pub trait Commit: Send + Sync {
    /// Makes the records durable, and the claim with them.
    fn commit(&self, records: &[Record], claim: Option<&ClaimAt>) -> Outcome;
}

/// A producer with the membership that its claims are committed under.
pub struct WithGroup<M> {
    pub producer: Arc<Producer>,
    pub metadata: M,
}

impl<M: Fn() -> Option<ConsumerGroupMetadata> + Send + Sync> Commit for WithGroup<M> {
    fn commit(&self, records: &[Record], claim: Option<&ClaimAt>) -> Outcome {
        self.producer.commit(records, claim.map(|claim| (claim, &self.metadata as &dyn Fn() -> _)))
    }
}

/// Why a snapshot was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Nothing reads what there is of it.
    #[error("a snapshot of the registry was not published: {0}")]
    Refused(String),
    #[error("the ledger's topic cannot be cut behind its last snapshot, and grows: {0}")]
    Cut(String),
    /// The producer must not be used any more.
    #[error(
        "whether a snapshot of the registry is in the log is not known, and this process has to be started again: {0}"
    )]
    Unknown(String),
}

/// What was done to keep the log short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    AsItWas,
    /// A snapshot of so many bytes was published; the log is cut behind it once it was read.
    Published(u64),
    /// Nothing is before this offset any more.
    Cut(i64),
}

/// The log, as its owner writes it.
pub struct LedgerLog {
    commit: Box<dyn Commit>,
    topic: String,
    owner_topic: String,
    /// The metadata of its claims.
    claim: String,
    registry: String,
    snapshots: AtomicU64,
    /// The offset before which nothing is any more.
    cut: AtomicI64,
}

impl fmt::Debug for LedgerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerLog").field("topic", &self.topic).field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl LedgerLog {
    /// The log of the registry with this id in `topic`; claims are committed to partition 0 of `owner_topic` with the metadata `claim`.
    #[must_use]
    pub fn new(commit: Box<dyn Commit>, topic: &str, owner_topic: &str, claim: &str, registry: &str) -> Self {
        Self {
            commit,
            topic: topic.to_owned(),
            owner_topic: owner_topic.to_owned(),
            claim: claim.to_owned(),
            registry: registry.to_owned(),
            snapshots: AtomicU64::new(0),
            cut: AtomicI64::new(0),
        }
    }

    /// Publishes the registry, whole, as what the log begins with, and has the registry follow the log from there on.
    ///
    /// # Errors
    /// As `publish`.
    pub fn begin(&self, registry: &Embedded, seq: u64) -> Result<u64, PublishError> {
        let mut publishing = self.publishing(seq);
        let begun = registry.begin_log(seq, &mut |_, bytes, is_last| publishing.take(bytes, is_last, true));
        publishing.ended(begun)
    }

    /// Publishes the registry, whole, as it is with its last change: its bytes. Changes go on meanwhile.
    ///
    /// # Errors
    /// A registry that cannot be read, or a transaction that did not come through.
    pub fn publish(&self, registry: &Embedded) -> Result<u64, PublishError> {
        // What changes from here on stands behind this record: whoever takes the snapshot reads on from it.
        let mut publishing = self.publishing(registry.replica_seq().map_err(ReplicaError::from)?.unwrap_or(0));
        if let Err(error) = publishing.open() {
            return publishing.ended(Err(ReplicaError::Snapshot(error.to_string())));
        }
        let given = registry.export(&mut |seq, bytes, is_last| {
            publishing.seq = seq;
            publishing.take(bytes, is_last, false)
        });
        publishing.ended(given.map(|_| ()))
    }

    /// Publishes a snapshot where the log has grown by enough since the last one, and cuts the log behind a snapshot that is there: what it did.
    ///
    /// # Errors
    /// As `publish`, and a log that cannot be cut.
    pub fn keep_short(
        &self,
        registry: &Embedded,
        seen: &Seen,
        cut: impl FnOnce(i64) -> Result<(), String>,
    ) -> Result<Kept, PublishError> {
        if seen.since_snapshot >= SNAPSHOT_EVERY {
            return Ok(Kept::Published(self.publish(registry)?));
        }
        match seen.snapshot {
            // The log begins with a snapshot, and changes stand between it and the last one.
            Some((_, first))
                if seen.first.is_some_and(|begin| begin < first) && self.cut.load(Ordering::Relaxed) < first =>
            {
                cut(first).map_err(PublishError::Cut)?;
                self.cut.store(first, Ordering::Relaxed);
                Ok(Kept::Cut(first))
            }
            _ => Ok(Kept::AsItWas),
        }
    }

    fn publishing(&self, seq: u64) -> Publishing<'_> {
        // Its own among those of all processes.
        let id = format!("{:x}-{}", crate::clock::now_ms(), self.snapshots.fetch_add(1, Ordering::Relaxed));
        Publishing {
            log: self,
            id,
            seq,
            parts: 0,
            bytes: 0,
            hasher: blake3::Hasher::new(),
            rest: Vec::new(),
            records: Vec::new(),
            failed: None,
        }
    }

    fn claim(&self, seq: u64) -> ClaimAt {
        ClaimAt { topic: self.owner_topic.clone(), partition: 0, seq, metadata: self.claim.clone() }
    }

    fn record(&self, key: &Key, payload: &[u8]) -> Record {
        Record { topic: self.topic.clone(), partition: 0, key: key.bytes(), payload: Some(payload.to_vec()) }
    }
}

impl ChangeLog for LedgerLog {
    fn append(&self, seq: u64, change: &[u8]) -> Outcome {
        let parts = change.len().div_ceil(PART).max(1);
        let Ok(parts) = u32::try_from(parts) else { return Outcome::Refused("a change of too many bytes".to_owned()) };
        let records: Vec<Record> = (0..parts)
            .zip(change.chunks(PART))
            .map(|(part, bytes)| self.record(&Key::Change { registry: self.registry.clone(), seq, part, parts }, bytes))
            .collect();
        self.commit.commit(&records, Some(&self.claim(seq)))
    }
}

/// A snapshot on its way out.
struct Publishing<'a> {
    log: &'a LedgerLog,
    id: String,
    seq: u64,
    parts: u32,
    bytes: u64,
    hasher: blake3::Hasher,
    /// What is no whole part yet.
    rest: Vec<u8>,
    records: Vec<Record>,
    failed: Option<Outcome>,
}

impl Publishing<'_> {
    /// The first record is there before the registry is read.
    fn open(&mut self) -> io::Result<()> {
        self.part(&[]);
        self.commit(false)
    }

    fn part(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        let (registry, id) = (self.log.registry.clone(), self.id.clone());
        let key = Key::Snapshot { registry, seq: self.seq, id, part: self.parts };
        self.records.push(self.log.record(&key, bytes));
        self.parts += 1;
    }

    /// Takes bytes; the last of them end the snapshot, with a claim if the log begins with it.
    fn take(&mut self, bytes: &[u8], is_last: bool, claims: bool) -> io::Result<()> {
        self.rest.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
        while self.rest.len() >= PART || (is_last && !self.rest.is_empty()) {
            let left = self.rest.split_off(self.rest.len().min(PART));
            let part = std::mem::replace(&mut self.rest, left);
            self.part(&part);
            if self.records.len() * PART >= TRANSACTION {
                self.commit(false)?;
            }
        }
        if is_last {
            let key = Key::SnapshotEnd {
                registry: self.log.registry.clone(),
                seq: self.seq,
                id: self.id.clone(),
                parts: self.parts,
                digest: self.hasher.finalize().to_hex().to_string(),
            };
            self.records.push(self.log.record(&key, &[]));
            self.commit(claims)?;
        }
        Ok(())
    }

    fn commit(&mut self, claims: bool) -> io::Result<()> {
        let claim = claims.then(|| self.log.claim(self.seq));
        let outcome = self.log.commit.commit(&std::mem::take(&mut self.records), claim.as_ref());
        match &outcome {
            Outcome::Done => return Ok(()),
            Outcome::Refused(_) | Outcome::Ended(_) | Outcome::Unknown(_) => self.failed = Some(outcome),
        }
        Err(io::Error::other("its transaction did not come through"))
    }

    fn ended(self, given: Result<(), ReplicaError>) -> Result<u64, PublishError> {
        match (given, self.failed) {
            (Ok(()), _) => Ok(self.bytes),
            (Err(_), Some(Outcome::Refused(why))) => Err(PublishError::Refused(why)),
            (Err(_), Some(Outcome::Ended(why) | Outcome::Unknown(why))) => Err(PublishError::Unknown(why)),
            (Err(error), _) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;
