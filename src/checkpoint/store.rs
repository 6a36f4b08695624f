//! The state folder: the checkpoint's file, replaced as a whole, the one before it, and their chunks, each written once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::error::{CheckpointError, KIND, PREVIOUS};
use super::fallback::Fallback;
use super::files::{BEFORE, CHUNKS, FILE, Files, LOCK, REGISTRY_ID, Read, UNUSABLE};
use super::publish::Publish;
use super::state::Checkpoint;
use super::write::{link, link_over, move_to, replace, write_beside};
use crate::private;
use crate::telemetry::events::state::{BeforeUnusable, CheckpointTakenOver, ChunkStays};
use driftgate_core::codec::chunk::{Chunk, Digest};
use driftgate_core::codec::{envelope, hash};
use driftgate_core::pipeline::lock;

/// Files that are kept beside it.
const FILES: [&str; 6] = [FILE, BEFORE, UNUSABLE, "checkpoint.bin.new", "instance", REGISTRY_ID];

/// A chunk that was written or read, as long as it is held, and its digest.
type Written = (Weak<Vec<u8>>, Digest);

/// The state folder, held by this process alone.
pub struct Store {
    files: Files,
    /// Digests of chunks that this process has written or read, by where they lie in memory.
    known: Mutex<BTreeMap<usize, Written>>,
    named: Mutex<Named>,
    /// Where each checkpoint goes before it is moved into its place.
    log: Option<Arc<dyn Publish>>,
    // Held for as long as the store lives.
    _lock: File,
}

/// The chunks that the checkpoints on the disk name; of one that is not there or cannot be used, `None`.
#[derive(Debug, Default)]
struct Named {
    last: Option<BTreeSet<Digest>>,
    before: Option<BTreeSet<Digest>>,
    /// Why the one before was used.
    fallback: Option<Fallback>,
}

impl Store {
    /// Opens the folder and locks it.
    ///
    /// # Errors
    /// A folder that cannot be made or written, or that another process holds.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let failed = |source| CheckpointError::Folder { path: folder.to_owned(), source };
        private::make_folder(folder).map_err(failed)?;
        let lock = private::create(&folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                for name in FILES {
                    private::tighten(&folder.join(name));
                }
                for name in [CHUNKS.to_owned(), format!("format-{}", PREVIOUS.version)] {
                    private::tighten_all(&folder.join(name));
                }
                let files = Files::new(folder);
                Ok(Self { files, known: Mutex::default(), named: Mutex::default(), log: None, _lock: lock })
            }
            Err(fs::TryLockError::WouldBlock) => Err(CheckpointError::Locked { path: folder.to_owned() }),
            Err(fs::TryLockError::Error(e)) => Err(failed(e)),
        }
    }

    /// Publishes each checkpoint before it counts: what the folder holds beyond is no state that anybody goes on with.
    #[must_use]
    pub fn publishing(self, log: Arc<dyn Publish>) -> Self {
        Self { log: Some(log), ..self }
    }

    fn path(&self) -> PathBuf {
        self.files.path(FILE)
    }

    /// Why the checkpoint before the last one was loaded, if it was.
    #[must_use]
    pub fn fallback(&self) -> Option<Fallback> {
        lock(&self.named).fallback.clone()
    }

    /// The last checkpoint, or the one before it where the last one is damaged; `None` where there is none.
    ///
    /// # Errors
    /// Both are damaged, or the last one is of a newer format.
    pub fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let why = match self.load_from(FILE) {
            Ok(found) => {
                let (checkpoint, digests) = found.unzip();
                *lock(&self.named) = Named { last: digests, ..Named::default() };
                return Ok(checkpoint);
            }
            Err(e) if e.is_damage() => e,
            Err(e) => return Err(e),
        };
        match self.load_from(BEFORE) {
            Ok(Some((checkpoint, digests))) => {
                let fallback = Fallback::new(why.to_string(), self.files.written_ms(BEFORE), &checkpoint.sources);
                *lock(&self.named) = Named { last: None, before: Some(digests), fallback: Some(fallback) };
                Ok(Some(checkpoint))
            }
            Ok(None) => Err(why),
            Err(e) => {
                BeforeUnusable { error: &e }.emit();
                Err(why)
            }
        }
    }

    /// The checkpoint of a file, whole, and the digests of its chunks.
    fn load_from(&self, name: &str) -> Result<Option<(Checkpoint, BTreeSet<Digest>)>, CheckpointError> {
        let Some(mut read) = self.files.read(name)? else { return Ok(None) };
        if read.format == PREVIOUS.version {
            let kept = self.keep_previous(&mut read, name)?;
            CheckpointTakenOver { kept: &kept }.emit();
        }
        let digests = read.digests();
        let mut checkpoint = read.checkpoint;
        let mut failed = None;
        checkpoint.chunks(&mut |chunk| {
            if failed.is_none() {
                failed = self.read_chunk(chunk, name).err();
            }
        });
        failed.map_or(Ok(Some((checkpoint, digests))), Err)
    }

    /// Keeps what the release before would need to go on from: its checkpoint and chunks, in a folder of their own, which
    /// take no more room than they have as long as they are here as well. Returns the folder.
    fn keep_previous(&self, read: &mut Read, name: &str) -> Result<PathBuf, CheckpointError> {
        let folder = self.files.path(&format!("format-{}", PREVIOUS.version));
        let failed = |source| CheckpointError::Write { path: folder.clone(), source };
        private::make_folder(&folder.join(CHUNKS)).map_err(failed)?;
        let mut files = vec![(self.files.path(name), folder.join(FILE))];
        files.extend(read.digests().iter().map(|d| (self.files.chunk(d), folder.join(CHUNKS).join(d))));
        for (from, to) in files {
            // A chunk that is gone is reported when it is read.
            if !to.exists() && from.exists() {
                link(&from, &to).map_err(failed)?;
            }
        }
        Ok(folder)
    }

    /// Brings a chunk back from its file.
    fn read_chunk(&self, chunk: &mut Chunk, name: &str) -> Result<(), CheckpointError> {
        let Chunk::Kept(digest) = chunk else { return Ok(()) };
        let bytes = Arc::new(self.files.read_chunk(digest, name)?);
        self.remember(&bytes, digest);
        *chunk = Chunk::Here(bytes);
        Ok(())
    }

    fn remember(&self, bytes: &Arc<Vec<u8>>, digest: &str) {
        let mut known = lock(&self.known);
        known.retain(|_, (held, _)| held.strong_count() > 0);
        known.insert(Arc::as_ptr(bytes).addr(), (Arc::downgrade(bytes), digest.to_owned()));
    }

    /// Puts a chunk into its file, unless it is there, and its digest in its place; returns how many bytes were written.
    fn write_chunk(&self, chunk: &mut Chunk) -> io::Result<u64> {
        let Chunk::Here(bytes) = chunk else { return Ok(0) };
        let known = lock(&self.known).get(&Arc::as_ptr(bytes).addr()).cloned();
        // Memory is used again: only a chunk that is still held is the one that stood there.
        let same = known.filter(|(held, _)| held.upgrade().is_some_and(|held| Arc::ptr_eq(&held, bytes)));
        let (digest, written) = if let Some((_, digest)) = same {
            (digest, 0)
        } else {
            let digest = hash::sha256_hex(bytes);
            let path = self.files.chunk(&digest);
            // One that a checkpoint before left may be damaged by now.
            let is_there = fs::read(&path).is_ok_and(|there| there == **bytes);
            let written = if is_there { 0 } else { replace(&path, bytes)? };
            self.remember(bytes, &digest);
            (digest, written)
        };
        *chunk = Chunk::Kept(digest);
        Ok(written)
    }

    /// Replaces the checkpoint; when this returns it is on the disk, and the one before it is kept. Returns how many bytes were
    /// written. Chunks are left in the checkpoint as their digests.
    ///
    /// # Errors
    /// A disk that is full or broken, or a log that does not take it; the old checkpoint stays.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<u64, CheckpointError> {
        let path = self.path();
        let failed = |source| CheckpointError::Write { path: path.clone(), source };
        private::make_folder(&self.files.path(CHUNKS)).map_err(failed)?;
        let (mut written, mut live, mut broken) = (0, BTreeSet::new(), None);
        checkpoint.chunks(&mut |chunk| match self.write_chunk(chunk) {
            Ok(bytes) => {
                written += bytes;
                if let Chunk::Kept(digest) = chunk {
                    live.insert(digest.clone());
                }
            }
            Err(e) => broken = Some(e),
        });
        if let Some(e) = broken {
            return Err(failed(e));
        }
        let bytes = envelope::encode(KIND, checkpoint)?;
        let fresh = write_beside(&path, &bytes).map_err(failed)?;
        if let Some(log) = &self.log {
            written += log.publish(&live, &|digest| self.files.read_chunk(digest, FILE), &bytes)?;
        }
        let mut named = lock(&self.named);
        let before = self.keep_before(&named).map_err(failed)?;
        move_to(&fresh, &path).map_err(failed)?;
        written += bytes.len() as u64;
        named.last = Some(live);
        named.before = before;
        self.remove_unused(&named);
        Ok(written)
    }

    /// Keeps the last checkpoint as the one before the next. One that could not be used does not take the place of the one that
    /// was used instead. Returns the chunks of the one before.
    fn keep_before(&self, named: &Named) -> io::Result<Option<BTreeSet<Digest>>> {
        let (last, before) = (self.path(), self.files.path(BEFORE));
        if let Some(chunks) = named.last.clone() {
            link_over(&last, &before)?;
            return Ok(Some(chunks));
        }
        if named.before.is_some() && last.exists() {
            link_over(&last, &self.files.path(UNUSABLE))?;
        }
        if named.before.is_none() && before.exists() {
            // An operator moved the last one away, to begin anew: what came before it is no way back.
            fs::remove_file(&before)?;
        }
        Ok(named.before.clone())
    }

    /// Removes the chunks that no checkpoint names any more. One that stays behind only takes room until the next.
    fn remove_unused(&self, named: &Named) {
        let is_named = |name: &str| [&named.last, &named.before].into_iter().flatten().any(|all| all.contains(name));
        let entries = fs::read_dir(self.files.path(CHUNKS)).into_iter().flatten().flatten();
        for entry in entries.filter(|e| !e.file_name().to_str().is_some_and(is_named)) {
            if let Err(e) = fs::remove_file(entry.path()) {
                ChunkStays { path: &entry.path(), error: &e }.emit();
            }
        }
    }
}

#[cfg(test)]
mod tests;
