//! Why the ledger did not do something.

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
    /// This process follows the log of the one that writes.
    #[error(
        "this process stands by and writes nothing; {}",
        owner.as_ref().map_or_else(|| "no process writes just now: try again".to_owned(), |url| format!("send it to {url}"))
    )]
    Standby { owner: Option<String> },
    /// A process of a cluster keeps this file in step with the others.
    #[error(
        "the registry's file is the copy of a process of a cluster, and a change of it alone would be lost: send the change to a server \
         of the cluster (--server); to use the registry without the cluster, take a backup of it and use that"
    )]
    Copy,
    /// The log of changes has it not, or it is not known whether it has.
    #[error("{logged}: {why}")]
    Log { why: String, logged: Logged },
}

/// What became of a change that the log of changes did not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logged {
    /// It was not made, and may be tried again here.
    Refused,
    /// It was not made, and this process writes nothing more.
    Ended,
    /// It may or may not have been made; this process writes nothing more.
    Unknown,
}

impl std::fmt::Display for Logged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused => "the change was not made",
            Self::Ended => "the change was not made, and this process makes none any more: send it again, to whoever takes over",
            Self::Unknown => {
                "the change may or may not have been made, which this process cannot find out: look before you send it again"
            }
        })
    }
}

impl RegistryError {
    /// Whether another process holds the registry; asked again, it may answer.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Open { source, .. } | Self::Sql(source) if is_busy(source))
    }
}

/// Whether another connection holds the file.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}
