//! Bytes of a state that do not change any more: shared in memory, and kept in a file of their own that is written once. A
//! state names its chunks; who writes and reads the files is `checkpoint`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A chunk's SHA-256, lower-case hex.
pub type Digest = String;

/// A chunk: here, or in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chunk {
    Here(Arc<Vec<u8>>),
    Kept(Digest),
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Here(Arc::default())
    }
}

/// Called with each chunk of a state that will not change any more.
pub type EachChunk<'a> = &'a mut dyn FnMut(&mut Chunk);
