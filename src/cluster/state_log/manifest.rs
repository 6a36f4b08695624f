//! A manifest: the bytes of a checkpoint, with what they are and the chunks that they name.
//!
//! ```text
//! length of the envelope (u64, little-endian)  envelope of the head  bytes of checkpoint.bin
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use driftgate_core::codec::chunk::Digest;
use driftgate_core::codec::envelope::{self, EnvelopeError, Kind};

const KIND: Kind = Kind { tag: *b"MANI", version: 1 };

/// What a state is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub unit: String,
    /// The number of the commit.
    pub seq: u64,
    /// The transactional id that made it.
    pub writer: String,
    pub chunks: BTreeSet<Digest>,
}

impl Manifest {
    /// With the checkpoint's bytes.
    ///
    /// # Errors
    /// When it cannot be serialized.
    pub fn document(&self, checkpoint: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let head = envelope::encode(KIND, self)?;
        Ok([&(head.len() as u64).to_le_bytes()[..], &head, checkpoint].concat())
    }

    /// The manifest and the checkpoint's bytes.
    ///
    /// # Errors
    /// Bytes that `document` did not make, or another format.
    pub fn read(document: &[u8]) -> Result<(Self, &[u8]), EnvelopeError> {
        let (length, rest) = document.split_first_chunk::<8>().ok_or(EnvelopeError::NotOurs)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (head, checkpoint) = rest.split_at_checked(length).ok_or(EnvelopeError::NotOurs)?;
        Ok((envelope::decode(KIND, head)?, checkpoint))
    }
}
