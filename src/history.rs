//! Results over time, on disk: per (version, group, rule, subject) the status, value, bounds, limit and n of each window, and the counts of the
//! window's distribution. A day of windows of a model is a file; the days that are over are Parquet files, which pandas, `DuckDB` and polars read
//! as they are, the others are appended to. Who judges windows hands their records on with the verdicts (`record`); who writes the registry
//! writes them down (`writer`), on threads that nothing but the acknowledgement of a verdict waits for, and that for a moment only.
//!
//! | module | holds |
//! |---|---|
//! | `record` | what is kept of a window |
//! | `place` | folders and files by model and day |
//! | `open_day` | the file of a day that is appended to |
//! | `positions` | where results are in it |
//! | `row`, `columns` | a window of one series; rows as a table, the table as Parquet and CSV |
//! | `days` | days that are over, as Parquet; days that are no longer kept |
//! | `remote` | the days in an object store |
//! | `writer`, `keeper` | the thread that appends, and what it is handed; the thread that puts days in order |
//! | `query`, `wanted` | the windows of a range of time; which of them |
//! | `recent` | what the windows of the last days came to, by hour |
//! | `export` | windows of many days in one file |

pub mod columns;
mod days;
pub mod export;
mod keeper;
mod open_day;
mod place;
mod positions;
pub mod query;
pub mod recent;
pub mod record;
mod remote;
mod row;
pub mod wanted;
mod writer;

#[cfg(test)]
mod speed;

use std::path::PathBuf;
use std::time::Duration;

pub use query::{Found, Reader};
pub use record::Window;
pub use wanted::Wanted;
pub use writer::{Given, History};

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// The ms of a time: RFC 3339, or the beginning of a date in UTC.
#[must_use]
pub fn time_of(text: &str) -> Option<i64> {
    let date = (text.len() == 10).then(|| format!("{text}T00:00:00Z"));
    let read: Result<jiff::Timestamp, _> = date.as_deref().unwrap_or(text).parse();
    read.ok().map(jiff::Timestamp::as_millisecond)
}

/// Where the history lies, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub path: PathBuf,
    /// Days that ended longer ago than this before the newest window of their model are deleted.
    pub keep: Duration,
    /// The URL of an object store that full days are copied to.
    pub store: Option<String>,
}

/// Why the history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} is no file of the history: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("the object store: {0}")]
    Store(String),
    #[error(
        "{rows} windows and subjects are more than {most}: ask for a shorter time, one rule or one subject, or for a file with format=parquet"
    )]
    TooMany { rows: usize, most: usize },
}

impl HistoryError {
    fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    fn unreadable(path: &std::path::Path, why: impl std::fmt::Display) -> Self {
        Self::Unreadable { path: path.to_owned(), why: why.to_string() }
    }
}
