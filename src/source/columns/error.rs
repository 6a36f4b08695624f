//! What a file of columns is, what is wrong with one that cannot be read, and panics of its decoders as errors.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::source::packed::{packing, plain_extension};

/// Columns named in a message at most.
const NAMED_COLUMNS: usize = 30;
/// What a Parquet file begins with.
pub(super) const PARQUET_MAGIC: &[u8] = b"PAR1";

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot open {path:?}: {source}")]
    Open { path: String, source: std::io::Error },
    #[error(
        "cannot read {path:?}: it is neither Parquet (no PAR1 at its start) nor named .csv; give it its extension or convert it"
    )]
    Format { path: String },
    #[error("cannot read {path:?} as {format}: {cause}; write the file again or fetch it anew")]
    Broken { path: String, format: Format, cause: String },
    #[error("cannot read {path:?}: {why}")]
    Folder { path: String, why: String },
    #[error("{path:?} has no column {}; its columns are {}; {}", quoted(.missing), quoted(.columns), advice(.columns))]
    Columns { path: String, missing: Vec<String>, columns: Vec<String> },
}

impl FileError {
    /// What is wrong without anything that the file holds.
    #[must_use]
    pub fn without_content(&self) -> String {
        match self {
            Self::Open { .. } | Self::Format { .. } | Self::Folder { .. } => self.to_string(),
            Self::Broken { path, format, .. } => format!("cannot read {path:?} as {format}"),
            Self::Columns { path, missing, columns } => {
                format!("{path:?} has no column {}; it has {} columns", quoted(missing), columns.len())
            }
        }
    }
}

/// What helps where a column is not there.
fn advice(columns: &[String]) -> String {
    let parted = |only: &String| [';', '\t', '|'].into_iter().find(|&c| only.contains(c));
    match columns {
        [only] => parted(only).map(|by| format!("its fields are parted by {by:?}: write commas")),
        _ => None,
    }
    .unwrap_or_else(|| "name the columns in the configuration's `fields`".to_owned())
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    Avro,
}

impl Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parquet => "Parquet",
            Self::Avro => "Avro",
            Self::Csv => "CSV",
        })
    }
}

impl Format {
    /// The format of a file by its first bytes, else by its extension.
    #[must_use]
    pub fn of(name: &str, start: &[u8]) -> Option<Self> {
        let name = Path::new(name);
        let extension = plain_extension(name);
        let is_parquet = packing(name).is_none() && matches!(extension.as_deref(), Some("parquet" | "pq"));
        if start.starts_with(PARQUET_MAGIC) || is_parquet {
            return Some(Self::Parquet);
        }
        (extension.as_deref() == Some("csv")).then_some(Self::Csv)
    }
}

/// Runs what may panic on damaged files and turns the panic into its message.
///
/// # Errors
/// The error or the panic's message.
pub fn guard<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // Nothing that a panic leaves half done is used again: the caller gives the file up.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it is damaged ({})", text.unwrap_or("the decoder stopped")))
    })
}

/// Names for a message: quoted, the first few.
#[must_use]
pub fn quoted(names: &[String]) -> String {
    let first = names.iter().take(NAMED_COLUMNS).map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMED_COLUMNS) {
        None if names.is_empty() => "(none)".to_owned(),
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}
