//! What a process does with each record of the registry's log: it applies the change that is next, passes over those that it has, and
//! takes a snapshot where it has nothing of this log, is too far behind, or is damaged. It is given the records in order, from the
//! beginning of the log, and says where to read on.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use super::record::Key;
use crate::ledger::{Embedded, RegistryError, ReplicaError};

/// Where to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// With the next record.
    Next,
    /// From this offset on.
    Seek(i64),
    /// From the beginning of the log.
    Start,
    /// From this offset on, in a moment: the registry's file could not be written.
    Later(i64),
}

/// What of the log was seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last change that the registry has; `None`: it follows no log yet.
    pub seq: Option<u64>,
    /// The last change of the log, as far as it was read.
    pub newest: Option<u64>,
    /// The last whole snapshot: its last change, and the offset of its first record.
    pub snapshot: Option<(u64, i64)>,
    /// The offset of the first record that was read of the log.
    pub first: Option<i64>,
    /// Bytes of changes after that snapshot began.
    pub since_snapshot: u64,
    /// Why the registry does not follow the log, if so.
    pub problem: Option<String>,
}

/// Takes the records of the log.
#[derive(Debug)]
pub struct Follower {
    registry: Arc<Embedded>,
    /// The id of the registry that follows.
    mine: String,
    seen: Seen,
    /// The parts of a change so far, and the offset of its first.
    change: Option<(i64, u32, Vec<u8>)>,
    /// A snapshot whose end was not seen yet: its id, the offset of its first record, and whether changes' bytes counted since.
    open: Option<(String, i64, u64)>,
    spool: Option<Spool>,
    /// The registry follows no log yet, as far as is known.
    is_new: bool,
    /// No change is applied before a snapshot of this change at least.
    wants: Option<u64>,
    /// The change that last did not go with the copy.
    damaged_at: Option<u64>,
    /// The id of another registry that the log has records of, and whether they are passed over.
    foreign: Option<(String, bool)>,
}

/// A snapshot on its way in.
#[derive(Debug)]
struct Spool {
    id: String,
    parts: u32,
    hasher: blake3::Hasher,
    file: File,
}

impl Follower {
    /// Follows with this registry.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn new(registry: Arc<Embedded>) -> Result<Self, RegistryError> {
        let (mine, seq) = (registry.likeness()?.id, registry.replica_seq()?);
        let seen = Seen { seq, ..Seen::default() };
        let is_new = seq.is_none();
        let wants = is_new.then_some(0);
        Ok(Self {
            registry,
            mine,
            seen,
            change: None,
            open: None,
            spool: None,
            is_new,
            wants,
            damaged_at: None,
            foreign: None,
        })
    }

    /// What was seen so far.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn seen(&mut self) -> Result<&Seen, RegistryError> {
        // The owner writes to it beside this.
        self.seen.seq = self.registry.replica_seq()?;
        Ok(&self.seen)
    }

    /// The reading goes on from elsewhere: what was begun is not.
    pub fn moved(&mut self) {
        (self.change, self.open, self.spool) = (None, None, None);
    }

    /// Takes a record.
    pub fn take(&mut self, offset: i64, key: &[u8], payload: &[u8]) -> Step {
        self.seen.first.get_or_insert(offset);
        let key = match Key::read(key) {
            Ok(key) => key,
            Err(why) => {
                self.seen.problem.get_or_insert(why);
                return Step::Next;
            }
        };
        if self.is_new && matches!(self.registry.replica_seq(), Ok(Some(_))) {
            // It began the log itself.
            (self.is_new, self.wants) = (false, None);
        }
        if self.foreign.as_ref().is_some_and(|(id, is_passed_over)| *is_passed_over && id == key.registry()) {
            return Step::Next;
        }
        if key.registry() != self.mine && self.wants.is_none() {
            let found = key.registry().to_owned();
            if self.foreign.as_ref().is_some_and(|(id, _)| *id == found) {
                self.seen.problem =
                    Some(format!("the ledger's topic has changes of two registries: {} and {found}", self.mine));
                self.foreign = Some((found, true));
                return Step::Next;
            }
            self.foreign = Some((found, false));
            // Its copy is of another log, whatever its numbers are.
            self.wants = Some(0);
            return self.start();
        }
        match key {
            Key::Change { seq, part, parts, .. } => self.change(offset, seq, (part, parts), payload),
            Key::Snapshot { seq, id, part, .. } => {
                self.part(offset, seq, &id, part, payload);
                Step::Next
            }
            Key::SnapshotEnd { seq, id, parts, digest, .. } => self.end(offset, seq, &id, parts, &digest),
        }
    }

    /// Everything is seen once more.
    fn start(&mut self) -> Step {
        (self.seen.first, self.seen.snapshot, self.seen.since_snapshot) = (None, None, 0);
        Step::Start
    }

    fn change(&mut self, offset: i64, seq: u64, (part, parts): (u32, u32), payload: &[u8]) -> Step {
        if part == 0 {
            self.change = Some((offset, 0, Vec::with_capacity(payload.len())));
        }
        let Some((first, next, bytes)) = &mut self.change else { return Step::Next };
        if *next != part {
            self.change = None;
            return Step::Next;
        }
        bytes.extend_from_slice(payload);
        *next += 1;
        if *next < parts {
            return Step::Next;
        }
        let first = *first;
        let Some((_, _, bytes)) = self.change.take() else { return Step::Next };
        self.seen.newest = self.seen.newest.max(Some(seq));
        self.seen.since_snapshot += bytes.len() as u64;
        if self.wants.is_some() {
            return Step::Next;
        }
        match self.registry.apply_change(seq, &bytes) {
            Ok(_) => {
                self.seen.problem = None;
                Step::Next
            }
            Err(error @ ReplicaError::Registry(_)) => {
                self.seen.problem = Some(error.to_string());
                self.seen.since_snapshot -= bytes.len() as u64;
                Step::Later(first)
            }
            Err(error @ ReplicaError::Damaged(_)) => {
                self.seen.problem = Some(error.to_string());
                let again = self.damaged_at.replace(seq) == Some(seq);
                // A copy that the log itself leads to is damaged in the log: only a later snapshot helps.
                self.wants = Some(if again { seq } else { 0 });
                if again { Step::Next } else { self.start() }
            }
            Err(error) => {
                self.seen.problem.get_or_insert(error.to_string());
                Step::Next
            }
        }
    }

    fn part(&mut self, offset: i64, seq: u64, id: &str, part: u32, payload: &[u8]) {
        if part == 0 {
            self.open = Some((id.to_owned(), offset, self.seen.since_snapshot));
            self.spool = None;
            if self.takes(seq) {
                match self.registry.folder().map_or_else(tempfile::tempfile, tempfile::tempfile_in) {
                    Ok(file) => {
                        self.spool = Some(Spool { id: id.to_owned(), parts: 0, hasher: blake3::Hasher::new(), file });
                    }
                    Err(e) => self.seen.problem = Some(format!("a snapshot of the registry cannot be kept: {e}")),
                }
            }
        }
        let Some(spool) = &mut self.spool else { return };
        if spool.id != id || spool.parts != part {
            self.spool = None;
            return;
        }
        spool.hasher.update(payload);
        spool.parts += 1;
        if let Err(e) = spool.file.write_all(payload) {
            self.seen.problem = Some(format!("a snapshot of the registry cannot be kept: {e}"));
            self.spool = None;
        }
    }

    /// Whether a snapshot of this change is to be taken.
    fn takes(&self, seq: u64) -> bool {
        match (self.wants, self.registry.replica_seq()) {
            (Some(least), _) => seq >= least,
            (None, Ok(at)) => at.is_none_or(|at| seq > at),
            (None, Err(_)) => false,
        }
    }

    fn end(&mut self, offset: i64, seq: u64, id: &str, parts: u32, digest: &str) -> Step {
        self.seen.newest = self.seen.newest.max(Some(seq));
        let first = match self.open.take() {
            Some((open, first, bytes)) if open == id => {
                self.seen.snapshot = Some((seq, first));
                self.seen.since_snapshot = self.seen.since_snapshot.saturating_sub(bytes);
                first
            }
            _ => offset,
        };
        let Some(mut spool) = self.spool.take().filter(|spool| spool.id == id) else { return Step::Next };
        if spool.parts != parts || spool.hasher.finalize().to_hex().as_str() != digest {
            self.seen.problem = Some("a snapshot of the registry in the log is damaged".to_owned());
            return Step::Next;
        }
        let taken = spool
            .file
            .seek(SeekFrom::Start(0))
            .map_err(|e| ReplicaError::Snapshot(e.to_string()))
            .and_then(|_| self.registry.import(&mut std::io::BufReader::new(&spool.file)));
        match taken.and_then(|_| Ok(self.registry.likeness()?.id)) {
            Ok(mine) => {
                (self.mine, self.is_new, self.wants, self.seen.problem) = (mine, false, None, None);
                self.seen.since_snapshot = 0;
                // Changes that were made while the snapshot was written stand between its parts.
                Step::Seek(first)
            }
            Err(error @ ReplicaError::Registry(_)) => {
                self.seen.problem = Some(error.to_string());
                Step::Later(first)
            }
            Err(error) => {
                self.seen.problem = Some(error.to_string());
                Step::Next
            }
        }
    }
}
