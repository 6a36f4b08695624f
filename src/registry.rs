//! The model registry: which versions there are, which stage pointer stands on which, and what was signalled.
//! `embedded` keeps it in `SQLite`. Applying a signal twice changes nothing.

use driftgate_core::judge::verdict::Signal;

pub use crate::ledger::Embedded;
pub use driftgate_core::promotion::types::ActiveBlock;
pub use driftgate_core::promotion::version::{Applied, PendingRollback, Registration, StageMove, VersionRecord};

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "the registry at {path} cannot be opened: {source}; check that the path names a registry and that its folder is writable"
    )]
    Open { path: String, source: rusqlite::Error },
    #[error("the registry failed: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error(
        "the registry's format is {found}, this driftgate knows {known}: use the driftgate that wrote it, or a newer one"
    )]
    Format { found: i64, known: i64 },
    #[error("model {model:?} has no version {version:?} in the registry; register it first")]
    UnknownVersion { model: String, version: String },
    #[error(
        "version {version:?} of {model:?} is registered already, with another {field}: {old:?}, not {new:?}; versions are immutable"
    )]
    Immutable { model: String, version: String, field: &'static str, old: String, new: String },
    /// What is asked for does not go with what is there.
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Gate(#[from] driftgate_core::gate::GateError),
    #[error("{0}")]
    Evidence(String),
    #[error("the audit log: {0}")]
    Audit(String),
    #[error("{what} {value:?} is not allowed: {why}")]
    BadName { what: &'static str, value: String, why: &'static str },
    #[error("the policy of {model:?} knows no stage {stage:?}: write one of {}, exactly so", known.join(", "))]
    UnknownStage { model: String, stage: String, known: Vec<String> },
}

impl RegistryError {
    /// Whether another process holds the registry; asked again, it may answer.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Open { source, .. } | Self::Sql(source) if crate::ledger::is_busy(source))
    }
}

/// What every registry can do. Calls may block; the daemon makes them off its async threads.
pub trait Registry: Send + Sync {
    /// Adds a version; the same registration again changes nothing.
    ///
    /// # Errors
    /// A version that is there with other digests, a bad name, or a registry that fails.
    fn register(&self, registration: &Registration, actor: &str, now_ms: i64) -> Result<VersionRecord, RegistryError>;

    /// One version; `None` where there is none.
    ///
    /// # Errors
    /// A registry that fails.
    fn version(&self, model: &str, version: &str) -> Result<Option<VersionRecord>, RegistryError>;

    /// All versions of a model (of all models for `None`), in the order they were registered.
    ///
    /// # Errors
    /// A registry that fails.
    fn versions(&self, model: Option<&str>) -> Result<Vec<VersionRecord>, RegistryError>;

    /// The moves of a model's stage pointers, the oldest first.
    ///
    /// # Errors
    /// A registry that fails.
    fn history(&self, model: &str) -> Result<Vec<StageMove>, RegistryError>;

    /// Applies a signal once. Versions it names are added where they are missing.
    ///
    /// # Errors
    /// A registry that fails; the signal was not applied then.
    fn apply(&self, signal: &Signal, now_ms: i64) -> Result<Applied, RegistryError>;

    /// Keeps the latest verdict of a (version, group) as JSON.
    ///
    /// # Errors
    /// A registry that fails.
    fn record_verdict(
        &self,
        model: &str,
        version: &str,
        group: &str,
        end_ms: i64,
        json: &str,
    ) -> Result<(), RegistryError>;

    /// The latest verdict of each group of a version as JSON, by group.
    ///
    /// # Errors
    /// A registry that fails.
    fn verdicts(&self, model: &str, version: &str) -> Result<Vec<String>, RegistryError>;
}

pub use driftgate_core::promotion::PROD;
