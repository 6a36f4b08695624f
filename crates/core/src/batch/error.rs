//! Why a pass has no answer.

use crate::codec::envelope::EnvelopeError;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatchError {
    /// A number that would not be the replay's.
    #[error("this needs the order of events: {0}. Use `driftgate replay`")]
    Order(String),
    #[error("{name}: {cause}")]
    Damaged { name: String, cause: EnvelopeError },
    /// Of another policy, configuration or plan.
    #[error("{name} was made {found}: all parts need the same")]
    Foreign { name: String, found: String },
    #[error("{0} is no such thing as this driftgate writes: its content contradicts itself")]
    Unsound(String),
    /// What is missing, or there twice.
    #[error("{0}")]
    Incomplete(String),
    /// A part that cannot be read any more as it was scanned.
    #[error("{0}")]
    Changed(String),
    #[error("{0}")]
    Input(String),
}

impl BatchError {
    pub(super) fn foreign(name: &str, found: impl Into<String>) -> Self {
        Self::Foreign { name: name.to_owned(), found: found.into() }
    }
}
