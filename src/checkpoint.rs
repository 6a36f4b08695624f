//! Durable state of the daemon: one file, replaced as a whole, so that a crash leaves either the old or the new one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::frame::{self, FrameError, Kind};
use crate::pipeline::PipelineState;

const KIND: Kind = Kind { tag: *b"CKPT", version: 3 };
const FILE: &str = "checkpoint.bin";
const LOCK: &str = "lock";

/// Everything a restart needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub sources: Vec<SourceState>,
    pub pipelines: Vec<PipelineState>,
    /// Verdicts and signals that no outlet has acknowledged yet.
    pub outbox: Vec<crate::publish::Item>,
}

/// A source partition's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub topic: String,
    pub partition: i32,
    /// The offset to read next; `None` where nothing was read yet.
    pub next_offset: Option<i64>,
    /// The largest event time by model.
    pub max_ts: Vec<(String, Option<i64>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the state folder {path} cannot be used: {source}; check that it exists and is writable")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the state folder {path} is in use by another driftgate: two daemons on one state would count twice")]
    Locked { path: PathBuf },
    #[error(
        "the checkpoint {path} is {cause}; move the state folder away to start anew from the beginning of the topics"
    )]
    Damaged { path: PathBuf, cause: FrameError },
    #[error("the checkpoint {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Encode(#[from] FrameError),
}

/// The state folder, held by this process alone.
pub struct Store {
    folder: PathBuf,
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
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(folder.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
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
        frame::decode(KIND, &bytes).map(Some).map_err(|cause| CheckpointError::Damaged { path, cause })
    }

    /// Replaces the checkpoint; when this returns it is on the disk. Returns its size in bytes.
    ///
    /// # Errors
    /// A disk that is full or broken; the old checkpoint stays.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<u64, CheckpointError> {
        let bytes = frame::encode(KIND, checkpoint)?;
        let path = self.path();
        let fresh = self.folder.join(format!("{FILE}.new"));
        let write = || -> io::Result<()> {
            let mut file = File::create(&fresh)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| CheckpointError::Write { path: path.clone(), source })?;
        Ok(bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(next_offset: i64) -> Checkpoint {
        let source = SourceState {
            topic: "t".into(),
            partition: 0,
            next_offset: Some(next_offset),
            max_ts: vec![("m".into(), Some(5))],
        };
        Checkpoint { sources: vec![source], pipelines: vec![], outbox: vec![] }
    }

    #[test]
    fn a_checkpoint_is_replaced_as_a_whole_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert!(store.load().unwrap().is_none());
        for next in [7, 8] {
            store.save(&checkpoint(next)).unwrap();
            assert_eq!(store.load().unwrap().unwrap().sources[0].next_offset, Some(next));
        }
        // A crash while the next one was written leaves the last one.
        fs::write(folder.path().join("checkpoint.bin.new"), b"half").unwrap();
        assert_eq!(store.load().unwrap().unwrap().sources[0].next_offset, Some(8));
    }

    #[test]
    fn a_folder_serves_one_process_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let second = Store::open(folder.path()).err().unwrap();
        assert!(second.to_string().contains("is in use by another driftgate"), "{second}");
        store.save(&checkpoint(7)).unwrap();
        let path = folder.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        let damaged = store.load().err().unwrap().to_string();
        assert!(
            damaged.contains("damaged: its checksum does not match") && damaged.contains("move the state folder away"),
            "{damaged}"
        );
    }
}
