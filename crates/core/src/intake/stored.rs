//! A version's baseline in the state, so that a restart needs no snapshot: written once, into a chunk of its own.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::baseline::Baseline;
use crate::codec::chunk::{Chunk, Digest, EachChunk};

/// Where a baseline's bytes are, once they were written.
#[derive(Clone, Debug, Default)]
pub struct Stored(Arc<OnceLock<Digest>>);

/// A baseline as a checkpoint keeps it.
#[derive(Clone, Debug)]
pub enum StoredBaseline {
    /// Not encoded yet.
    Loaded(Arc<Baseline>, Stored),
    Encoded(Chunk),
}

impl StoredBaseline {
    pub fn new(baseline: &Arc<Baseline>, stored: &Stored) -> Self {
        Self::Loaded(Arc::clone(baseline), stored.clone())
    }

    fn chunk(&self) -> Chunk {
        match self {
            Self::Encoded(chunk) => chunk.clone(),
            Self::Loaded(baseline, Stored(at)) => match at.get() {
                Some(digest) => Chunk::Kept(digest.clone()),
                // A baseline that cannot be encoded is loaded again from its snapshot.
                None => Chunk::Here(Arc::new(baseline.encode().unwrap_or_default())),
            },
        }
    }

    /// The bytes; none of one that is in its file.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Encoded(chunk) => chunk.bytes(),
            Self::Loaded(..) => &[],
        }
    }

    /// What does not change any more.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        let mut chunk = self.chunk();
        if chunk.is_worth_a_file() {
            each(&mut chunk);
        }
        if let (Self::Loaded(_, Stored(at)), Chunk::Kept(digest)) = (&*self, &chunk) {
            at.get_or_init(|| digest.clone());
        }
        *self = Self::Encoded(chunk);
    }
}

impl Serialize for StoredBaseline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Without its place in the folder, so that it is whole wherever it goes.
        match self {
            Self::Encoded(chunk) => chunk.serialize(serializer),
            Self::Loaded(baseline, _) => Self::new(baseline, &Stored::default()).chunk().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoredBaseline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Chunk::deserialize(deserializer).map(Self::Encoded)
    }
}
