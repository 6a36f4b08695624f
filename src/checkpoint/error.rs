//! Why a checkpoint cannot be read or written, and what to do about it.

use std::io;
use std::path::PathBuf;

use driftgate_core::codec::envelope::{EnvelopeError, Kind};

/// The format that is written.
pub const KIND: Kind = Kind { tag: *b"CKPT", version: 6 };
/// The same without parts of units, which is read too.
pub const UNPARTED: Kind = Kind { version: 5, ..KIND };
/// The format of the release before, which is read too.
pub const PREVIOUS: Kind = Kind { version: 4, ..KIND };

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("the state folder {path} cannot be used: {source}; check that it exists and is writable")]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "the state folder {path} is in use by another driftgate process: stop that one, or give this one a state folder of its own"
    )]
    Locked { path: PathBuf },
    #[error("the checkpoint {path} is {cause}; move this file away to start anew from the beginning of the topics")]
    Damaged { path: PathBuf, cause: EnvelopeError },
    #[error(
        "the checkpoint {path} is of format {found}, from a newer driftgate; this one reads formats {} to {}, and left it as it is: run the newer \
         driftgate, or move this file and the folder chunks beside it away to start anew from the beginning of the topics", PREVIOUS.version, KIND.version
    )]
    Newer { path: PathBuf, found: u32 },
    #[error(
        "the checkpoint {path} is of format {found}; this driftgate reads formats {} to {}, and left it as it is: run a release in between first, \
         or move this file and the folder chunks beside it away to start anew from the beginning of the topics", PREVIOUS.version, KIND.version
    )]
    Older { path: PathBuf, found: u32 },
    #[error(
        "a part of the checkpoint, {path}, {cause}; move the checkpoint {checkpoint} away to start anew from the beginning of the topics"
    )]
    Chunk { path: PathBuf, checkpoint: PathBuf, cause: String },
    #[error(
        "the disk does not give back the checkpoint {path}: {source}; move this file away to start anew from the beginning of the topics"
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the checkpoint {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("the checkpoint was not published: {0}")]
    Publish(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Encode(#[from] EnvelopeError),
}

impl CheckpointError {
    /// The file is no checkpoint that can be used, and one from before may be. One of a newer release is left to that release.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Chunk { .. } | Self::Older { .. } | Self::Unreadable { .. })
    }
}
