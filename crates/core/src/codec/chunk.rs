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

/// Less is not worth a file of its own.
const WORTH_A_FILE: usize = 16 << 10;

impl Chunk {
    /// The bytes; none of a chunk that is in its file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Here(bytes) => bytes,
            Self::Kept(_) => &[],
        }
    }

    /// Whether it is in a file, or is large enough to.
    #[must_use]
    pub fn is_worth_a_file(&self) -> bool {
        match self {
            Self::Here(bytes) => bytes.len() >= WORTH_A_FILE,
            Self::Kept(_) => true,
        }
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Here(Arc::default())
    }
}

/// Called with each chunk of a state that will not change any more.
pub type EachChunk<'a> = &'a mut dyn FnMut(&mut Chunk);
