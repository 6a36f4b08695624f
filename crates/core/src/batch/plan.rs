//! What all processes that count parts of the same files have in common.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::BatchError;
use crate::codec::envelope::{self, Kind};
use crate::event::{ByKind, Domain, EventKind, Fresh};
use crate::policy::{Policy, Target};
use crate::window::front::Front;
use crate::window::layout::Reads;

/// Which part of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Whole,
    /// Row groups of Parquet from the first up to, but without the last.
    Groups {
        from: u32,
        to: u32,
    },
    /// JSON lines that begin within these bytes.
    Bytes {
        from: u64,
        to: u64,
    },
}

/// A part of a stream: the parts of a kind make up its stream in the order of their places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Split {
    pub kind: EventKind,
    pub place: u32,
    /// As it was given: the file and, if not all of it is read, which part.
    pub name: String,
}

/// By what a part was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Digest of the policy.
    pub policy: String,
    /// Digest of the configuration that says how files are read; empty without one.
    pub config: String,
}

impl Origin {
    /// Checks that what `name` holds was read by the same.
    ///
    /// # Errors
    /// What it was read by.
    pub fn same(&self, other: &Self, name: &str) -> Result<(), BatchError> {
        if self.policy != other.policy {
            return Err(BatchError::foreign(name, format!("by another policy ({})", short(&other.policy))));
        }
        if self.config != other.config {
            return Err(BatchError::foreign(name, "with another --config"));
        }
        Ok(())
    }
}

pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// What the codes of a group's panes are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slots {
    /// Segmentations of the policy.
    pub segmentations: Vec<u32>,
    /// Categorical features, by target.
    pub categorical: Vec<Option<u32>>,
}

/// What is the same for all parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of everything that follows, and of the parts.
    pub digest: String,
    pub origin: Origin,
    pub model: String,
    /// In the order of their codes, and whether they have predictions.
    pub versions: Vec<(String, bool)>,
    pub stages: Vec<String>,
    /// How far each stream that is there has come at its end.
    pub ends: ByKind<Option<Front>>,
    /// How many parts each has.
    pub splits: ByKind<u32>,
    /// Buckets of ids that are joined; none where the policy joins nothing.
    pub buckets: u32,
    pub(super) groups: Vec<Slots>,
    pub(super) segmentations: u32,
    pub(super) features: u32,
    /// Distinct values of a segmentation, and of a categorical feature.
    pub(super) most: [u64; 2],
}

impl Plan {
    pub(super) fn slots(policy: &Policy) -> Vec<Slots> {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let of = |reads: Reads| Slots {
            segmentations: reads.segment_lists().map(narrow).collect(),
            categorical: reads
                .targets
                .iter()
                .map(|t| if let Target::Categorical(at) = t { Some(narrow(*at)) } else { None })
                .collect(),
        };
        Reads::of(policy).into_iter().map(of).collect()
    }

    /// The names that have the same codes everywhere.
    pub(super) fn names(&self) -> Fresh {
        let versions = self.versions.iter().map(|(name, _)| (Domain::Version, name.as_str().into()));
        versions.chain(self.stages.iter().map(|name| (Domain::Stage, name.as_str().into()))).collect()
    }

    /// Checks that what `name` holds was made for this plan.
    ///
    /// # Errors
    /// What it was made for.
    pub fn same(&self, digest: &str, name: &str) -> Result<(), BatchError> {
        if self.digest == digest {
            return Ok(());
        }
        Err(BatchError::foreign(name, format!("for other files, or another plan of them ({})", short(digest))))
    }

    /// Whether its fronts are such.
    pub(super) fn is_sound(&self) -> bool {
        EventKind::ALL.into_iter().filter_map(|kind| self.ends.of(kind).as_ref()).all(Front::is_sound)
    }

    /// How many parts are counted, by kind: labels are counted where they meet predictions.
    #[must_use]
    pub fn counted(&self) -> [(EventKind, u32); 2] {
        [EventKind::Predictions, EventKind::Measurements].map(|kind| (kind, *self.splits.of(kind)))
    }
}

/// Decodes what `name` holds.
pub(super) fn decode<T: DeserializeOwned>(kind: Kind, name: &str, bytes: &[u8]) -> Result<T, BatchError> {
    envelope::decode(kind, bytes).map_err(|cause| BatchError::Damaged { name: name.to_owned(), cause })
}

pub(super) fn encode<T: Serialize>(kind: Kind, name: &str, value: &T) -> Result<Vec<u8>, BatchError> {
    envelope::encode(kind, value).map_err(|cause| BatchError::Damaged { name: name.to_owned(), cause })
}
