//! The audit log in a registry's file, and the registry's content beside it, read in one transaction and without writing
//! to it: no missing file or key is made, no format is converted.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rusqlite::{Connection, OpenFlags};

use crate::ledger::held;
use driftgate_core::audit::chain::LogRow;
use driftgate_core::audit::signed_head::{PublicKeys, SignedHead};
use driftgate_core::audit::state::State;

/// Records and checkpoints of one moment.
#[derive(Debug, Default)]
pub struct Log {
    pub rows: Vec<LogRow>,
    pub checkpoints: Vec<SignedHead>,
    /// The numbers of checkpoints that are none.
    pub unreadable: Vec<u64>,
    /// What the registry has.
    pub state: State,
    /// Whether anything was ever kept in it.
    pub is_used: bool,
    /// What of the database's triggers, indexes and views no release makes so.
    pub objects: Vec<String>,
}

/// Reads the log of the registry at `path`.
///
/// # Errors
/// A file that is not there, is damaged, or holds no audit log.
pub fn read(path: &Path) -> anyhow::Result<Log> {
    if !path.is_file() {
        return Err(anyhow!("there is no registry {}: correct the path", path.display()));
    }
    let damaged = || format!("the audit log in {} cannot be read; is it a registry of this release?", path.display());
    let mut connection = open(path).with_context(damaged)?;
    log(&mut connection).with_context(damaged)
}

fn open(path: &Path) -> anyhow::Result<Connection> {
    let mut url = reqwest::Url::from_file_path(std::path::absolute(path)?)
        .map_err(|()| anyhow!("the path cannot be written as a URL"))?;
    // Without a write-ahead log no process has it open, and then SQLite need not make the files that readers share.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut beside = path.as_os_str().to_owned();
    beside.push("-wal");
    if !PathBuf::from(beside).exists() {
        url.set_query(Some("immutable=1"));
    }
    Ok(Connection::open_with_flags(url.as_str(), flags)?)
}

/// What was found of artifacts and is not signed as it says, by location.
///
/// # Errors
/// A file that cannot be read.
pub fn unsigned_artifacts(path: &Path, keys: &PublicKeys) -> anyhow::Result<Vec<String>> {
    Ok(held::unsigned_artifacts(&open(path)?, keys)?)
}

fn log(connection: &mut Connection) -> anyhow::Result<Log> {
    let tx = connection.transaction()?;
    let objects = held::objects(&tx)?;
    let (state, is_used) = (held::read(&tx)?, held::is_used(&tx)?);
    let has =
        |table: &str| tx.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?.exists([table]);
    if !has("audit")? || !has("audit_checkpoints")? {
        // The table of the log was removed: it counts as an empty one.
        return Ok(Log { state, is_used, objects, ..Log::default() });
    }
    let rows = tx
        .prepare("SELECT seq, CAST(bytes AS BLOB), CAST(hash AS BLOB) FROM audit ORDER BY seq")?
        .query_map([], |row| {
            let hash: Vec<u8> = row.get(2)?;
            Ok(LogRow {
                seq: row.get::<_, i64>(0)?.cast_unsigned(),
                bytes: row.get(1)?,
                hash: String::from_utf8_lossy(&hash).into_owned(),
            })
        })?
        .collect::<Result<Vec<LogRow>, _>>()?;
    let mut log = Log { rows, state, is_used, objects, ..Log::default() };
    let mut statement = tx.prepare("SELECT seq, CAST(json AS BLOB) FROM audit_checkpoints ORDER BY seq")?;
    let found =
        statement.query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Vec<u8>>(1)?)))?;
    for found in found {
        let (seq, json) = found?;
        match serde_json::from_slice::<SignedHead>(&json) {
            Ok(checkpoint) if checkpoint.seq == seq => log.checkpoints.push(checkpoint),
            Ok(_) | Err(_) => log.unreadable.push(seq),
        }
    }
    Ok(log)
}
