//! The records of the results' topic: a set is one document, in parts of its own transaction.

use serde::{Deserialize, Serialize};

use crate::sink::Item;
use crate::transaction::Record;
use driftgate_core::codec::envelope::{self, EnvelopeError, Kind};

const KIND: Kind = Kind { tag: *b"SAID", version: 1 };
/// So many bytes are one record: brokers take 1 MB unless told otherwise.
const PART: usize = 800_000;

/// What was done of what the registry asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Noted {
    /// The pipeline knows that a person ended the block that was raised at this time (ms).
    Unblocked { model: String, version: String, group: String, since_ms: i64 },
    /// A version whose number was a deleted one's is counted anew.
    CountedAnew { model: String, version: String },
    /// The snapshot that a version was registered with anew is being loaded.
    SnapshotTaken { model: String, version: String },
}

impl Noted {
    /// The model that it is of.
    #[must_use]
    pub fn model(&self) -> &str {
        let (Self::Unblocked { model, .. } | Self::CountedAnew { model, .. } | Self::SnapshotTaken { model, .. }) =
            self;
        model
    }
}

/// What a commit says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub notes: Vec<Noted>,
    pub items: Vec<Item>,
}

/// Which part of a set a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub unit: String,
    pub part: u32,
    pub parts: u32,
}

/// The records of a set.
///
/// # Errors
/// Items that cannot be serialized.
pub fn records(topic: &str, unit: &str, said: &Said) -> Result<Vec<Record>, EnvelopeError> {
    let document = envelope::encode(KIND, said)?;
    let parts = u32::try_from(document.len().div_ceil(PART)).unwrap_or(u32::MAX);
    let record = |(part, bytes): (u32, &[u8])| Record {
        topic: topic.to_owned(),
        partition: 0,
        key: serde_json::to_vec(&Key { unit: unit.to_owned(), part, parts }).unwrap_or_default(),
        payload: Some(bytes.to_vec()),
    };
    Ok((0..parts).zip(document.chunks(PART)).map(record).collect())
}

/// The set of a document.
///
/// # Errors
/// Bytes that `records` did not make, or of another release.
pub fn said(document: &[u8]) -> Result<Said, EnvelopeError> {
    envelope::decode(KIND, document)
}
