//! The records of the results' topic: what a commit says is one document.

use serde::{Deserialize, Serialize};

use crate::cluster::sets;
use crate::sink::Item;
use crate::transaction::Record;
use driftgate_core::codec::envelope::{self, EnvelopeError, Kind};

const KIND: Kind = Kind { tag: *b"SAID", version: 1 };

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

/// The records of a set.
///
/// # Errors
/// Items that cannot be serialized.
pub fn records(topic: &str, unit: &str, said: &Said) -> Result<Vec<Record>, EnvelopeError> {
    Ok(sets::records((topic, 0), unit, &envelope::encode(KIND, said)?))
}

/// The set of a document.
///
/// # Errors
/// Bytes that `records` did not make, or of another release.
pub fn said(document: &[u8]) -> Result<Said, EnvelopeError> {
    envelope::decode(KIND, document)
}
