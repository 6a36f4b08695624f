//! What was found of artifacts, in the registry's file: a restart reads none of them again. It follows from the files and is
//! no decision, so it is kept in a table that is made when the first result comes, and in no audit log; each row is signed with
//! the key of the log, and one that is not is not used.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use serde_json::json;

use crate::audit_key;
use crate::telemetry::events::registry::{ArtifactNotKept, ArtifactUnsigned};
use driftgate_core::audit::signed_head::{PublicKeys, Signer};

/// How long a write waits for others.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS artifacts (
    location  TEXT NOT NULL,
    task      TEXT NOT NULL,
    stamp     TEXT NOT NULL,
    found     TEXT NOT NULL,
    key_id    TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (location, task)
) STRICT";

/// What is signed of a row.
fn text(location: &str, task: &str, stamp: &str, found: &str) -> String {
    json!([location, task, stamp, found]).to_string()
}

fn signer(file: &Path) -> Option<Signer> {
    let opened = audit_key::open(&audit_key::beside(file));
    opened.inspect_err(|error| ArtifactNotKept::NoKey { error }.emit()).ok()
}

/// What was found of files in this state, where this registry's key vouches for it.
pub(super) fn read(file: &Path, location: &str, task: &str, stamp: &str) -> Option<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let look = || -> rusqlite::Result<Option<(String, String)>> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        if !connection.column_exists(None, "artifacts", "signature")? {
            return Ok(None);
        }
        connection
            .query_row(
                "SELECT found, signature FROM artifacts WHERE location = ?1 AND task = ?2 AND stamp = ?3",
                params![location, task, stamp],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
    };
    let (found, signature) = look().unwrap_or_else(|e| {
        ArtifactNotKept::Unreadable { error: &e }.emit();
        None
    })?;
    let key = signer(file)?.public_key();
    if key.vouches(&text(location, task, stamp, &found), &signature) {
        return Some(found);
    }
    ArtifactUnsigned { location }.emit();
    None
}

/// Keeps it, in place of what was found of another state.
pub(super) fn write(file: &Path, location: &str, task: &str, stamp: &str, found: &str) {
    let Some(signer) = signer(file) else { return };
    let signature = signer.vouch(&text(location, task, stamp, found));
    let keep = || -> rusqlite::Result<()> {
        let connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        if connection.table_exists(None, "artifacts")? && !connection.column_exists(None, "artifacts", "signature")? {
            connection.execute_batch("DROP TABLE artifacts")?;
        }
        connection.execute_batch(TABLE)?;
        connection.execute(
            "INSERT OR REPLACE INTO artifacts (location, task, stamp, found, key_id, signature)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![location, task, stamp, found, signer.public_key().id(), signature],
        )?;
        Ok(())
    };
    if let Err(e) = keep() {
        ArtifactNotKept::Unwritten { error: &e, location }.emit();
    }
}

/// The locations of rows that say to be signed by one of these keys and are not. One of another key is not used by a process that has
/// these.
pub(crate) fn unsigned(tx: &Connection, keys: &PublicKeys) -> rusqlite::Result<Vec<String>> {
    if !tx.column_exists(None, "artifacts", "signature")? {
        return Ok(Vec::new());
    }
    let mut statement = tx.prepare("SELECT location, task, stamp, found, key_id, signature FROM artifacts")?;
    let mut rows = statement.query([])?;
    let mut unsigned = Vec::new();
    while let Some(row) = rows.next()? {
        let column = |at: usize| row.get::<_, String>(at);
        let (location, text) = (column(0)?, text(&column(0)?, &column(1)?, &column(2)?, &column(3)?));
        let signature = column(5)?;
        if keys.get(&column(4)?).is_some_and(|key| !key.vouches(&text, &signature)) {
            unsigned.push(location);
        }
    }
    Ok(unsigned)
}
