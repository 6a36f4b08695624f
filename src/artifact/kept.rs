//! What was found of artifacts, in the registry's file: a restart reads none of them again. It follows from the files and is
//! no decision, so it stands in a table that is made when the first result comes, and in no audit log.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

/// How long a write waits for others.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS artifacts (
    location TEXT NOT NULL,
    task     TEXT NOT NULL,
    stamp    TEXT NOT NULL,
    found    TEXT NOT NULL,
    PRIMARY KEY (location, task)
) STRICT";

/// What was found of files in this state.
pub(super) fn read(file: &Path, location: &str, task: &str, stamp: &str) -> Option<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let look = || -> rusqlite::Result<Option<String>> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        if !connection.table_exists(None, "artifacts")? {
            return Ok(None);
        }
        connection
            .query_row(
                "SELECT found FROM artifacts WHERE location = ?1 AND task = ?2 AND stamp = ?3",
                params![location, task, stamp],
                |row| row.get(0),
            )
            .optional()
    };
    look().unwrap_or_else(|e| {
        tracing::warn!(error = %e, "what was found of artifacts cannot be read; they are read again");
        None
    })
}

/// Keeps it, in place of what was found of another state.
pub(super) fn write(file: &Path, location: &str, task: &str, stamp: &str, found: &str) {
    let keep = || -> rusqlite::Result<()> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.execute_batch(TABLE)?;
        connection.execute(
            "INSERT OR REPLACE INTO artifacts (location, task, stamp, found) VALUES (?1, ?2, ?3, ?4)",
            params![location, task, stamp, found],
        )?;
        Ok(())
    };
    if let Err(e) = keep() {
        tracing::warn!(error = %e, location, "what was found of an artifact cannot be kept; a restart reads it again");
    }
}
