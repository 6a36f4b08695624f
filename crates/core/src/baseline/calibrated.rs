//! The calibration of the score, where a rule estimates quality by it.

use serde::{Deserialize, Serialize};

use super::columns::SnapshotColumns;
use crate::event::Flag;
use crate::policy::Policy;
use crate::stats::calibration::Calibration;

/// What the score is calibrated by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// Where the labelled rows were read from, and the SHA-256 of the file; `None` for the snapshot itself.
    pub reference: Option<(String, String)>,
    /// `None` where no row had a score and a label.
    pub calibration: Option<Calibration>,
}

impl Calibrated {
    /// Whether a policy asks for it.
    #[must_use]
    pub fn is_asked_by(policy: &Policy) -> bool {
        policy.rules().any(|rule| rule.kind.reads_calibration())
    }

    /// By the rows of a file that have a score and a label.
    #[must_use]
    pub fn new(reference: Option<(String, String)>, columns: &SnapshotColumns) -> Self {
        let (scores, labels) = (columns.score.iter().flatten(), columns.label.iter().flatten());
        let labelled = scores.zip(labels).filter_map(|(score, label)| match label {
            Flag::No => Some((*score, false)),
            Flag::Yes => Some((*score, true)),
            Flag::Missing | Flag::Invalid => None,
        });
        Self { reference, calibration: Calibration::fit(labelled) }
    }

    /// Whether what is kept is what a policy asks for.
    pub(super) fn serves(kept: Option<&Self>, policy: &Policy) -> bool {
        match kept {
            None => !Self::is_asked_by(policy),
            Some(kept) => Self::is_asked_by(policy) && kept.reference.is_some() == policy.baseline.reference.is_some(),
        }
    }
}
