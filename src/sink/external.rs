//! What keeping an external registry in step asks of it: what it has of a model, and changes, each of which may be carried out any
//! number of times. driftgate's own ledger stays the truth for approvals, evidence and the audit log.

use crate::ledger::{Found, Op};
use driftgate_core::fact::External;

/// How a change ended. None of these is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The registry was changed.
    Done,
    /// It was so already.
    Already,
    /// Another client moved the alias to this version, or deleted it (`None`) right after it was set; it was left so.
    Drift { found: Option<String> },
    /// It can never be done, and why.
    Refused(String),
}

/// Why a registry was not asked or changed. Each is tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalError {
    /// Nothing else is asked of it for now.
    #[error("{0}")]
    Away(String),
    /// Another model or version may fare better.
    #[error("{0}")]
    Failed(String),
}

/// A registry of others. Calls block.
pub trait ExternalRegistry: Send {
    /// Which one it is.
    fn of(&self) -> External;

    /// What it has of a model. Of the `known` versions those that it does not have any more are `gone`.
    ///
    /// # Errors
    /// A registry that is out of reach, fails or refuses.
    fn pull(&mut self, model: &str, known: Vec<String>) -> Result<Found, ExternalError>;

    /// Carries out a change.
    ///
    /// # Errors
    /// It was not delivered and stays due: a registry that is out of reach or fails, credentials or rights that do not suffice.
    fn deliver(&mut self, op: &Op) -> Result<Delivered, ExternalError>;
}
