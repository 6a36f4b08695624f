//! Everything that a checkpoint names, read from the disk, also while a daemon replaces it. Chunks never change: where one went
//! because the checkpoint was replaced, the new one is taken, and only its own chunks are read.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::error::CheckpointError;
use super::files::{Files, Read};
use driftgate_core::codec::chunk::Digest;

/// A checkpoint is replaced so often at most while it is read.
const ROUNDS: usize = 50;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    pub path: PathBuf,
    pub what: String,
}

/// A checkpoint whose chunks were read.
#[derive(Debug)]
pub struct Walked {
    pub read: Read,
    /// The chunks that are whole.
    pub chunks: BTreeSet<Digest>,
    pub bytes: u64,
    pub defects: Vec<Defect>,
}

/// Called with the digest and the bytes of a chunk that is whole.
pub type EachWhole<'a> = &'a mut dyn FnMut(&str, &[u8]) -> anyhow::Result<()>;

/// Reads the checkpoint in a file and all of its chunks; `None` where there is no such file. The checkpoint is the one whose chunks
/// were read.
///
/// # Errors
/// A checkpoint that cannot be read; what `each` fails with.
pub fn walk(files: &Files, name: &str, each: EachWhole<'_>) -> anyhow::Result<Option<Walked>> {
    let mut whole = BTreeSet::new();
    let mut again = 1..ROUNDS;
    loop {
        let Some(mut read) = files.read(name)? else { return Ok(None) };
        let mut defects = Vec::new();
        let named = read.digests();
        for digest in &named {
            if whole.contains(digest) {
                continue;
            }
            match files.read_chunk(digest, name) {
                Ok(bytes) => {
                    each(digest, &bytes)?;
                    whole.insert(digest.clone());
                }
                Err(CheckpointError::Chunk { path, cause, .. }) => defects.push(Defect { path, what: cause }),
                Err(e) => return Err(e.into()),
            }
        }
        let is_replaced = || fs::read(files.path(name)).is_ok_and(|now| now != read.bytes);
        if !defects.is_empty() && is_replaced() && again.next().is_some() {
            continue;
        }
        let size = |digest: &Digest| fs::metadata(files.chunk(digest)).map_or(0, |m| m.len());
        let bytes = named.iter().map(size).sum();
        whole.retain(|digest| named.contains(digest));
        return Ok(Some(Walked { read, chunks: whole, bytes, defects }));
    }
}
