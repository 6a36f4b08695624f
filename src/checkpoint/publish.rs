//! Where a checkpoint goes before it counts as written, beside the folder.

use std::collections::BTreeSet;

use super::error::CheckpointError;
use driftgate_core::codec::chunk::Digest;

/// Reads a chunk by its digest.
pub type ReadChunk<'r> = &'r dyn Fn(&str) -> Result<Vec<u8>, CheckpointError>;

/// Takes a checkpoint over, so that another process can go on with it.
pub trait Publish: Send + Sync {
    /// Makes a checkpoint's bytes and the chunks that it names durable; returns how many bytes were written. Where it fails the checkpoint before
    /// stays the one that counts.
    ///
    /// # Errors
    /// A chunk that cannot be read, or whatever keeps it from being durable.
    fn publish(&self, named: &BTreeSet<Digest>, read: ReadChunk<'_>, checkpoint: &[u8])
    -> Result<u64, CheckpointError>;
}
