//! The state folder: the checkpoint's file, replaced as a whole, and its chunks, each written once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use super::error::{CheckpointError, KIND, PREVIOUS};
use super::state::Checkpoint;
use crate::private;
use crate::telemetry::events::state::{CheckpointTakenOver, ChunkStays};
use driftgate_core::codec::chunk::{Chunk, Digest};
use driftgate_core::codec::{envelope, hash};
use driftgate_core::pipeline::lock;
use driftgate_core::state_v4;

/// The checkpoint's file.
pub const FILE: &str = "checkpoint.bin";
const LOCK: &str = "lock";
const CHUNKS: &str = "chunks";
/// Files that are kept beside it.
const FILES: [&str; 4] = [FILE, "checkpoint.bin.new", "instance", "registry-id"];

/// A chunk that was written or read, as long as it is held, and its digest.
type Written = (Weak<Vec<u8>>, Digest);

/// The state folder, held by this process alone.
pub struct Store {
    folder: PathBuf,
    /// Digests of chunks that this process has written or read, by where they lie in memory.
    known: Mutex<BTreeMap<usize, Written>>,
    // Held for as long as the store lives.
    _lock: File,
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
                Ok(Self { folder: folder.to_owned(), known: Mutex::default(), _lock: lock })
            }
            Err(fs::TryLockError::WouldBlock) => Err(CheckpointError::Locked { path: folder.to_owned() }),
            Err(fs::TryLockError::Error(e)) => Err(failed(e)),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// The last checkpoint; `None` where there is none.
    ///
    /// # Errors
    /// A file that is damaged or of another format.
    pub fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Folder { path, source }),
        };
        let mut checkpoint = self.decode(&bytes)?;
        let mut failed = None;
        checkpoint.chunks(&mut |chunk| {
            if failed.is_none() {
                failed = self.read_chunk(chunk).err();
            }
        });
        failed.map_or(Ok(Some(checkpoint)), Err)
    }

    /// The checkpoint in bytes of this format, or of the release before.
    fn decode(&self, bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let damaged = |cause| CheckpointError::Damaged { path: self.path(), cause };
        let found = envelope::version(KIND, bytes).map_err(damaged)?;
        if found == KIND.version {
            return envelope::decode(KIND, bytes).map_err(damaged);
        }
        if found != PREVIOUS.version {
            let path = self.path();
            return Err(if found > KIND.version {
                CheckpointError::Newer { path, found }
            } else {
                CheckpointError::Older { path, found }
            });
        }
        let old: state_v4::Checkpoint = envelope::decode(PREVIOUS, bytes).map_err(damaged)?;
        let mut checkpoint = Checkpoint::from(old);
        let kept = self.keep_previous(&mut checkpoint)?;
        CheckpointTakenOver { kept: &kept }.emit();
        Ok(checkpoint)
    }

    /// Keeps what the release before would need to go on from: its checkpoint and chunks, in a folder of their own, which
    /// take no more room than they have as long as they are here as well. Returns the folder.
    fn keep_previous(&self, checkpoint: &mut Checkpoint) -> Result<PathBuf, CheckpointError> {
        let folder = self.folder.join(format!("format-{}", PREVIOUS.version));
        let failed = |source| CheckpointError::Write { path: folder.clone(), source };
        private::make_folder(&folder.join(CHUNKS)).map_err(failed)?;
        let mut files = vec![(self.path(), folder.join(FILE))];
        checkpoint.chunks(&mut |chunk| {
            if let Chunk::Kept(digest) = chunk {
                files.push((self.chunk_path(digest), folder.join(CHUNKS).join(digest)));
            }
        });
        for (from, to) in files {
            // A chunk that is gone is reported when it is read.
            if !to.exists() && from.exists() {
                fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).map_err(failed)?;
            }
        }
        Ok(folder)
    }

    fn chunk_path(&self, digest: &str) -> PathBuf {
        self.folder.join(CHUNKS).join(digest)
    }

    /// Brings a chunk back from its file.
    fn read_chunk(&self, chunk: &mut Chunk) -> Result<(), CheckpointError> {
        let Chunk::Kept(digest) = chunk else { return Ok(()) };
        let path = self.chunk_path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) => {
                return Err(CheckpointError::Chunk {
                    path,
                    checkpoint: self.path(),
                    cause: format!("cannot be read: {e}"),
                });
            }
        };
        if hash::sha256_hex(&bytes) != *digest {
            let cause = "is damaged: its checksum does not match".to_owned();
            return Err(CheckpointError::Chunk { path, checkpoint: self.path(), cause });
        }
        let bytes = Arc::new(bytes);
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
            let path = self.chunk_path(&digest);
            // One that a checkpoint before left may be damaged by now.
            let is_there = fs::read(&path).is_ok_and(|there| there == **bytes);
            let written = if is_there { 0 } else { replace(&path, bytes)? };
            self.remember(bytes, &digest);
            (digest, written)
        };
        *chunk = Chunk::Kept(digest);
        Ok(written)
    }

    /// Replaces the checkpoint; when this returns it is on the disk. Returns how many bytes were written. Chunks are left in
    /// the checkpoint as their digests.
    ///
    /// # Errors
    /// A disk that is full or broken; the old checkpoint stays.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<u64, CheckpointError> {
        let path = self.path();
        let failed = |source| CheckpointError::Write { path: path.clone(), source };
        private::make_folder(&self.folder.join(CHUNKS)).map_err(failed)?;
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
        written += replace(&path, &bytes).map_err(failed)?;
        self.remove_unused(&live);
        Ok(written)
    }

    /// Removes the chunks that the checkpoint does not name any more. One that stays behind only takes room until the next.
    fn remove_unused(&self, live: &BTreeSet<Digest>) {
        let entries = fs::read_dir(self.folder.join(CHUNKS)).into_iter().flatten().flatten();
        for entry in entries.filter(|e| !e.file_name().to_str().is_some_and(|name| live.contains(name))) {
            if let Err(e) = fs::remove_file(entry.path()) {
                ChunkStays { path: &entry.path(), error: &e }.emit();
            }
        }
    }
}

/// Writes a file as a whole: beside its place, synced, then moved there. Returns its size.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<u64> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = private::create(Path::new(&fresh))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests;
