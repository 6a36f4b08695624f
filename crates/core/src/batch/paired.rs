//! What a joined bucket of ids came to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::BatchError;
use super::partial::Partial;
use super::plan::{decode, encode};
use crate::codec::envelope::{self, Kind};
use crate::intake::repeats::Repeats;

const KIND: Kind = Kind { tag: *b"PAIR", version: 1 };

/// What a bucket came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    pub bucket: u32,
    /// By place of the predictions' part.
    pub repeats: BTreeMap<u32, Repeats>,
    pub partial: Partial,
}

impl Paired {
    /// # Errors
    /// Bytes that are none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BatchError> {
        let paired: Self = decode(KIND, name, bytes)?;
        let sound = paired.partial.is_sound() && paired.partial.buckets == BTreeSet::from([paired.bucket]);
        if sound { Ok(paired) } else { Err(BatchError::Unsound(name.to_owned())) }
    }

    /// # Errors
    /// Where it cannot be written down.
    pub fn write(&self) -> Result<Vec<u8>, BatchError> {
        encode(KIND, "a joined bucket", self)
    }
}

/// What was counted of parts or of a bucket: both add alike.
///
/// # Errors
/// Bytes that are neither.
pub fn read_partial(name: &str, bytes: &[u8]) -> Result<Partial, BatchError> {
    if envelope::is(KIND, bytes) {
        Paired::read(name, bytes).map(|paired| paired.partial)
    } else {
        Partial::read(name, bytes)
    }
}
