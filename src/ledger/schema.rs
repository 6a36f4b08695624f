//! The file of the embedded registry: its tables, its format number, and what a connection needs before it is used.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, ffi};

pub(super) use later::FORMAT;
use later::{BASIS, REPLICA, REPORTS};

use super::error::{RegistryError, is_busy};
use super::results::RESULTS;
use super::{audit, from_format_2};
use crate::private;

pub(super) mod later;

/// How long a call waits for another process that writes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Reasons are JSON lists, `at` and `*_at` wall clocks in ms, `since`, `ts` and `rolled_back` event times as signals
/// write them. Moves and signals are only ever added.
pub(super) const FIRST: &str = "
CREATE TABLE models (
    model         TEXT NOT NULL PRIMARY KEY,
    frozen_since  TEXT,
    frozen_reason TEXT,
    resumed_at    INTEGER,
    resumed_by    TEXT
) STRICT;
CREATE TABLE versions (
    id              INTEGER PRIMARY KEY,
    model           TEXT NOT NULL,
    version         TEXT NOT NULL,
    snapshot        TEXT,
    snapshot_sha256 TEXT,
    artifact_sha256 TEXT,
    registered_at   INTEGER NOT NULL,
    registered_by   TEXT NOT NULL,
    rolled_back     TEXT,
    UNIQUE (model, version)
) STRICT;
CREATE TABLE stages (
    model   TEXT NOT NULL,
    stage   TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (model, stage),
    FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT;
CREATE TABLE stage_moves (
    id           INTEGER PRIMARY KEY,
    model        TEXT NOT NULL,
    stage        TEXT NOT NULL,
    from_version TEXT,
    to_version   TEXT,
    at           INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    rollback     INTEGER NOT NULL,
    FOREIGN KEY (model, from_version) REFERENCES versions (model, version),
    FOREIGN KEY (model, to_version) REFERENCES versions (model, version)
) STRICT;
CREATE INDEX stage_moves_of ON stage_moves (model, stage);
CREATE TRIGGER stage_moves_never_change BEFORE UPDATE ON stage_moves
    BEGIN SELECT RAISE(ABORT, 'moves are only added'); END;
CREATE TRIGGER stage_moves_never_go BEFORE DELETE ON stage_moves
    BEGIN SELECT RAISE(ABORT, 'moves are only added'); END;
CREATE TABLE blocks (
    model      TEXT NOT NULL,
    version    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    since      TEXT NOT NULL,
    reasons    TEXT NOT NULL,
    signal_id  TEXT NOT NULL,
    verdict_id TEXT NOT NULL,
    PRIMARY KEY (model, version, group_name),
    FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT;
CREATE TABLE signals (
    signal_id  TEXT NOT NULL PRIMARY KEY,
    model      TEXT NOT NULL,
    version    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    action     TEXT NOT NULL,
    ts         TEXT NOT NULL,
    ts_ms      INTEGER NOT NULL,
    done       INTEGER NOT NULL,
    detail     TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;
CREATE INDEX signals_of ON signals (model, version, group_name);
CREATE TABLE verdicts (
    model      TEXT NOT NULL,
    version    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    end_ms     INTEGER NOT NULL,
    json       TEXT NOT NULL,
    PRIMARY KEY (model, version, group_name)
) STRICT;
";

/// What format 2 added: promotions, their evidence, and the audit log. `value`, `record`, `state` and `body` are JSON;
/// `until` is a wall clock in ms. Audit records are only ever added, in the order of `seq`.
pub(super) const PROMOTION_TABLES: &str = "
ALTER TABLE versions ADD COLUMN artifact TEXT;
ALTER TABLE versions ADD COLUMN baseline_version TEXT;
ALTER TABLE versions ADD COLUMN created_elsewhere_ms INTEGER;
CREATE TABLE evidence (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    actor   TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (model, version, kind),
    FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT;
CREATE TABLE approvals (
    id              INTEGER PRIMARY KEY,
    model           TEXT NOT NULL,
    version         TEXT NOT NULL,
    stage           TEXT NOT NULL,
    actor           TEXT NOT NULL,
    role            TEXT NOT NULL,
    at              INTEGER NOT NULL,
    artifact_sha256 TEXT,
    policy_sha256   TEXT NOT NULL,
    evidence_sha256 TEXT NOT NULL,
    comment         TEXT,
    FOREIGN KEY (model, version) REFERENCES versions (model, version)
) STRICT;
CREATE INDEX approvals_of ON approvals (model, version);
CREATE TABLE overrides (
    id      INTEGER PRIMARY KEY,
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    rule    TEXT NOT NULL,
    subject TEXT,
    until   INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    actor   TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX overrides_of ON overrides (model, version);
CREATE TABLE promotions (
    id      TEXT NOT NULL PRIMARY KEY,
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    stage   TEXT NOT NULL,
    at      INTEGER NOT NULL,
    record  TEXT NOT NULL
) STRICT;
CREATE INDEX promotions_of ON promotions (model, version);
CREATE TABLE rollouts (
    id      TEXT NOT NULL PRIMARY KEY,
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    active  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    state   TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_active_rollout ON rollouts (model) WHERE active;
CREATE TABLE pending_rollbacks (
    model        TEXT NOT NULL PRIMARY KEY,
    from_version TEXT NOT NULL,
    to_version   TEXT NOT NULL,
    since_ms     INTEGER NOT NULL
) STRICT;
CREATE TABLE mirrored (
    model   TEXT NOT NULL,
    alias   TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (model, alias)
) STRICT;
CREATE TABLE outgoing (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    key  TEXT NOT NULL,
    body TEXT NOT NULL,
    at   INTEGER NOT NULL
) STRICT;
CREATE TABLE audit (
    seq   INTEGER PRIMARY KEY,
    bytes TEXT NOT NULL,
    hash  TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'audit records are only added'); END;
CREATE TRIGGER audit_never_goes BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'audit records are only added'); END;
CREATE TABLE audit_checkpoints (
    seq  INTEGER PRIMARY KEY,
    json TEXT NOT NULL
) STRICT;
";

/// What format 3 added. What MLflow shall say is state, no queue: tags by version, and by model the number of the last change
/// and of the last one that is there. A version that took a deleted one's number has when it was made there (`anew_ms`) and
/// when that was noticed here, one that is not there any more when that was noticed; `lost_stages` are pointers that were
/// taken away there, `mirror_writes` aliases that we are about to move: a process that dies meanwhile knows its own move again.
pub(super) const MIRROR_TABLES: &str = "
ALTER TABLE versions ADD COLUMN anew_ms INTEGER;
ALTER TABLE versions ADD COLUMN anew_noticed INTEGER;
ALTER TABLE versions ADD COLUMN count_anew INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN lost_at INTEGER;
CREATE TABLE lost_stages (
    model   TEXT NOT NULL,
    stage   TEXT NOT NULL,
    version TEXT NOT NULL,
    at      INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    PRIMARY KEY (model, stage)
) STRICT;
CREATE TABLE mirror (
    model   TEXT NOT NULL PRIMARY KEY,
    changed INTEGER NOT NULL,
    settled INTEGER NOT NULL
) STRICT;
CREATE TABLE mirror_writes (
    model   TEXT NOT NULL,
    alias   TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (model, alias)
) STRICT;
CREATE TABLE mirror_tags (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (model, version, key)
) STRICT;
";

/// What format 4 added: the JSON of a signal as it is sent, with its outcome; blocks that a person ended, until the pipeline
/// knows; what tells this file from another.
pub(super) const OUTCOMES: &str = "
ALTER TABLE signals ADD COLUMN body TEXT;
CREATE TABLE unblocked (
    model      TEXT NOT NULL,
    version    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    since_ms   INTEGER NOT NULL,
    PRIMARY KEY (model, version, group_name)
) STRICT;
CREATE TABLE likeness (
    id      TEXT NOT NULL,
    made_ms INTEGER,
    key_id  TEXT
) STRICT;
INSERT INTO likeness (id) VALUES (lower(hex(randomblob(8))));
";

/// Opens a registry file, making it and its folder where they are missing; waits so long for others.
pub(super) fn open(path: &Path, patience: Duration) -> Result<Connection, RegistryError> {
    let failed = |source| RegistryError::Open { path: path.display().to_string(), source };
    let cannot = |error: std::io::Error| failed(failure(ffi::SQLITE_CANTOPEN, error.to_string()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private::make_folder(folder).map_err(cannot)?;
    }
    // SQLite gives the files that it makes beside it the same rights.
    private::make_file(path).map_err(cannot)?;
    let mut connection = Connection::open(path).map_err(failed)?;
    let until = Instant::now() + patience;
    connection.busy_timeout(patience).map_err(failed)?;
    loop {
        match prepare(&mut connection) {
            Ok(()) => {
                for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
                    private::tighten(&file);
                }
                return Ok(connection);
            }
            // Switching to the write-ahead log does not wait for others by itself.
            Err(RegistryError::Sql(source)) if is_busy(&source) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(RegistryError::Sql(source)) => return Err(failed(source)),
            Err(other) => return Err(other),
        }
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Another connection of the file, which only reads: it does not wait for a writer.
pub(super) fn reader(path: &Path, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(patience)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Sets a connection up, checks what is there, and makes the tables of an empty file.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), RegistryError> {
    // Read before anything is written: a file of another program stays as it is.
    let found = format(connection)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let health: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if health != "ok" {
        return Err(
            failure(ffi::SQLITE_CORRUPT, format!("the file is damaged ({health}); restore it from a backup")).into()
        );
    }
    // A process that only reads need not wait for a writer.
    if found == FORMAT && has_basis(connection)? && has_results(connection)? {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = format(&tx)?;
    if found == 0 {
        tx.execute_batch(FIRST)?;
    }
    if found < 2 {
        tx.execute_batch(PROMOTION_TABLES)?;
    }
    if found < 3 {
        tx.execute_batch(MIRROR_TABLES)?;
    }
    if found < 4 {
        tx.execute_batch(OUTCOMES)?;
        if found == 0 {
            tx.execute("UPDATE likeness SET made_ms = ?1", [crate::clock::now_ms()])?;
        }
    }
    if !has_basis(&tx)? {
        tx.execute_batch(BASIS)?;
    }
    tx.execute_batch(RESULTS)?;
    if found < 5 {
        tx.execute_batch(REPORTS)?;
        tx.execute_batch(audit::INDEXES)?;
        if found < 3 {
            from_format_2::fill(&tx)?;
        }
        if found > 0 {
            tx.execute("UPDATE likeness SET upgraded_from = ?1", [found])?;
        }
    }
    if found < FORMAT {
        tx.execute_batch(REPLICA)?;
        tx.pragma_update(None, "user_version", FORMAT)?;
    }
    Ok(tx.commit()?)
}

fn has_basis(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('approvals') WHERE name = 'basis')";
    connection.query_row(query, [], |row| row.get(0))
}

fn has_results(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'results')";
    connection.query_row(query, [], |row| row.get(0))
}

/// The format of the file: 0 while it is empty, else one we know.
fn format(connection: &Connection) -> Result<i64, RegistryError> {
    // One statement, so that both are of one moment: another process may be making the tables just now.
    let both = "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)";
    let (found, tables): (i64, i64) = connection.query_row(both, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if (1..=FORMAT).contains(&found) {
        return Ok(found);
    }
    match (found, tables) {
        (0, 0) => Ok(0),
        // Tables without a format number are not ours.
        (0, _) => Err(failure(ffi::SQLITE_NOTADB, "it is a database of something else".to_owned()).into()),
        _ => Err(RegistryError::Format { found, known: FORMAT }),
    }
}

fn failure(code: i32, message: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(message))
}
