//! The files of a state folder and how they are read, with and without the daemon that writes them. Nothing here writes.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::error::{CheckpointError, KIND, PREVIOUS, UNPARTED};
use super::state::{Checkpoint, Unparted};
use driftgate_core::codec::chunk::{Chunk, Digest};
use driftgate_core::codec::{envelope, hash};
use driftgate_core::state_v4;

/// The last checkpoint.
pub const FILE: &str = "checkpoint.bin";
/// The one before it.
pub const BEFORE: &str = "checkpoint.before.bin";
/// One that could not be used, kept to be looked at.
pub const UNUSABLE: &str = "checkpoint.unusable.bin";
pub const LOCK: &str = "lock";
pub const CHUNKS: &str = "chunks";
/// The id of the registry that the state belongs to.
pub const REGISTRY_ID: &str = "registry-id";
/// A disk that gives back no bytes.
const EIO: i32 = 5;

/// The files of a state folder.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

/// A checkpoint as its file holds it: chunks are named, not read.
#[derive(Debug)]
pub struct Read {
    pub checkpoint: Checkpoint,
    pub format: u32,
    pub bytes: Vec<u8>,
}

impl Read {
    /// The digests of its chunks.
    #[must_use]
    pub fn digests(&mut self) -> BTreeSet<Digest> {
        let mut digests = BTreeSet::new();
        self.checkpoint.chunks(&mut |chunk| {
            if let Chunk::Kept(digest) = chunk {
                digests.insert(digest.clone());
            }
        });
        digests
    }
}

impl Files {
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    #[must_use]
    pub fn chunk(&self, digest: &str) -> PathBuf {
        self.folder.join(CHUNKS).join(digest)
    }

    /// When a file was written, by the wall clock, ms; `None` where there is none.
    #[must_use]
    pub fn written_ms(&self, name: &str) -> Option<i64> {
        let written = fs::metadata(self.path(name)).ok()?.modified().ok()?;
        i64::try_from(written.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// The checkpoint in one of the files; `None` where there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged or of another format.
    pub fn read(&self, name: &str) -> Result<Option<Read>, CheckpointError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => decode(&path, bytes).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.raw_os_error() == Some(EIO) => Err(CheckpointError::Unreadable { path, source: e }),
            Err(source) => Err(CheckpointError::Folder { path, source }),
        }
    }

    /// The bytes of a chunk that the checkpoint in the file `name` holds.
    ///
    /// # Errors
    /// A file that is gone, cannot be read or is damaged.
    pub fn read_chunk(&self, digest: &str, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let path = self.chunk(digest);
        let failed = |cause| CheckpointError::Chunk { path: path.clone(), checkpoint: self.path(name), cause };
        let bytes = fs::read(&path).map_err(|e| failed(format!("cannot be read: {e}")))?;
        if hash::sha256_hex(&bytes) != digest {
            return Err(failed("is damaged: its checksum does not match".to_owned()));
        }
        Ok(bytes)
    }
}

/// The checkpoint in bytes of this format, or of the release before.
fn decode(path: &Path, bytes: Vec<u8>) -> Result<Read, CheckpointError> {
    let damaged = |cause| CheckpointError::Damaged { path: path.to_owned(), cause };
    let format = envelope::version(KIND, &bytes).map_err(damaged)?;
    let checkpoint = if format == KIND.version {
        envelope::decode(KIND, &bytes).map_err(damaged)?
    } else if format == UNPARTED.version {
        Checkpoint::from(envelope::decode::<Unparted>(UNPARTED, &bytes).map_err(damaged)?)
    } else if format == PREVIOUS.version {
        Checkpoint::from(envelope::decode::<state_v4::Checkpoint>(PREVIOUS, &bytes).map_err(damaged)?)
    } else if format > KIND.version {
        return Err(CheckpointError::Newer { path: path.to_owned(), found: format });
    } else {
        return Err(CheckpointError::Older { path: path.to_owned(), found: format });
    };
    Ok(Read { checkpoint, format, bytes })
}
