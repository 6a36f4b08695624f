//! What is wrong with a snapshot.

use std::fmt::Display;

use crate::source::columns::{FileError, quoted};
use driftgate_core::baseline::BaselineError;

/// What is wrong with a snapshot, all of it.
#[derive(Debug)]
pub struct SnapshotErrors(pub Vec<SnapshotError>);

impl Display for SnapshotErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SnapshotErrors {}

impl SnapshotErrors {
    /// What is wrong without anything that the snapshot holds, for readers who may know that it is wrong and not what is in it.
    #[must_use]
    pub fn without_content(&self) -> String {
        let texts: Vec<String> = self.0.iter().map(SnapshotError::without_content).collect();
        texts.join("\n")
    }
}

impl SnapshotError {
    /// The key of the policy that it is about.
    #[must_use]
    pub fn key(&self) -> &'static str {
        if matches!(self, Self::Reference(_)) { "baseline.reference" } else { "baseline.snapshot" }
    }

    fn without_content(&self) -> String {
        match self {
            Self::NoColumn { location, column, role, columns } => {
                format!(
                    "snapshot {location:?} has no column {column:?}, which the policy names under {role}; it has {} columns",
                    columns.len()
                )
            }
            Self::NotANumber { location, column, row, role, .. } => format!(
                "snapshot {location:?}: column {column:?}, row {row}: no number, and the policy lists it under {role}"
            ),
            Self::NotALabel { location, column, row, .. } => {
                format!("snapshot {location:?}: column {column:?}, row {row}: no label")
            }
            Self::NotAClass { location, column, row, .. } => {
                format!("snapshot {location:?}: column {column:?}, row {row}: no class of the policy")
            }
            Self::File(error) => format!("snapshot: {}", error.without_content()),
            Self::Reference(error) => format!("baseline.reference: {}", error.without_content()),
            Self::BadVersion { .. }
            | Self::TooLarge { .. }
            | Self::Fetch { .. }
            | Self::NotNumeric { .. }
            | Self::NotText { .. }
            | Self::Baseline { .. } => self.to_string(),
        }
    }
}

impl<E: Into<SnapshotError>> From<E> for SnapshotErrors {
    fn from(e: E) -> Self {
        Self(vec![e.into()])
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(
        "cannot name a snapshot by version {version:?}: it holds {found:?}, which could lead to another file; register the version under a plain name"
    )]
    BadVersion { version: String, found: String },
    #[error("snapshot {location:?} {what}, more than is held in memory: sample it")]
    TooLarge { location: String, what: String },
    #[error("cannot fetch the snapshot {location:?}: {cause}")]
    Fetch { location: String, cause: String },
    #[error("snapshot: {0}")]
    File(#[from] FileError),
    #[error("snapshot {location:?} has no column {column:?}, which the policy names under {role}; its columns are {}", quoted(.columns))]
    NoColumn { location: String, column: String, role: &'static str, columns: Vec<String> },
    #[error("snapshot {location:?}: column {column:?} holds {holds}, the policy lists it under {role}; {}", remedy(.role))]
    NotNumeric { location: String, column: String, holds: String, role: &'static str },
    #[error(
        "snapshot {location:?}: column {column:?} holds {holds}, the policy lists it under {role}; write texts, numbers or booleans"
    )]
    NotText { location: String, column: String, holds: String, role: &'static str },
    #[error("snapshot {location:?}: column {column:?}, row {row}: {value:?} is not a number, the policy lists it under {role}; {}", remedy(.role))]
    NotANumber { location: String, column: String, row: u64, value: String, role: &'static str },
    #[error(
        "snapshot {location:?}: column {column:?}, row {row}: {value:?} is not a label; write 0 or 1, or map it under labels.values"
    )]
    NotALabel { location: String, column: String, row: u64, value: String },
    #[error(
        "snapshot {location:?}: column {column:?}, row {row}: {value:?} is none of the policy's `classes`; name it there, or write the class as it is there"
    )]
    NotAClass { location: String, column: String, row: u64, value: String },
    #[error("snapshot {location:?}: {source}")]
    Baseline { location: String, source: BaselineError },
    /// Of the labelled rows that the score is calibrated by.
    #[error("baseline.reference: {0}")]
    Reference(Box<Self>),
}

fn remedy(role: &str) -> &'static str {
    if role == "features.numeric" { "write numbers, or list it under features.categorical" } else { "write numbers" }
}
