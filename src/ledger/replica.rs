//! A registry that follows the log of another process: the number of the last change that its file has, in the same transaction as
//! the change, and what applies the next one. A change that does not go with what is there is not applied, not even in part.

use std::sync::PoisonError;

use rusqlite::{Connection, TransactionBehavior};

use super::capture::{Changed, RowChange};
use super::embedded::Embedded;
use super::error::RegistryError;
use super::position::{position, set_position};
use super::role::Acting;
use super::rows::{self, Table};
use super::schema::later::FORMAT;

/// Why a registry does not follow the log.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the log has another registry: {found}, not {known}; a process takes the log's snapshot before it follows")]
    OtherRegistry { found: String, known: String },
    #[error(
        "the log is written by a driftgate whose registry has format {found}, this one has {known}: run the same release in all processes \
         of the cluster"
    )]
    OtherFormat { found: i64, known: i64 },
    #[error("change {found} does not follow on change {at}, the last one that this process has")]
    Gap { at: u64, found: u64 },
    /// Somebody else wrote to this file, or it was damaged.
    #[error("this process's copy of the registry is not what the log says it is: {0}")]
    Damaged(String),
    #[error("{what} in the log cannot be read: {why}")]
    Unreadable { what: &'static str, why: String },
    #[error("another process wrote change {found} while this one is the owner")]
    TwoOwners { found: u64 },
    #[error(
        "the records of the log are signed with the audit key {found}, this process has {known}: give all processes the same cluster.audit_key"
    )]
    OtherKey { found: String, known: String },
    #[error("{0}")]
    Snapshot(String),
}

impl From<rusqlite::Error> for ReplicaError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Registry(error.into())
    }
}

impl Embedded {
    /// The number of the last change of the log that this registry has; `None`: it follows no log.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn replica_seq(&self) -> Result<Option<u64>, RegistryError> {
        self.read(|tx| position(tx))
    }

    /// Applies the next change of the log; whether it was not there yet.
    ///
    /// # Errors
    /// A change that is not the next one, or that does not go with what is there; nothing of it was done then.
    pub fn apply_change(&self, seq: u64, change: &[u8]) -> Result<bool, ReplicaError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let at = position(&tx)?.ok_or(ReplicaError::Gap { at: 0, found: seq })?;
        if seq <= at {
            return Ok(false);
        }
        if matches!(&*acting, Acting::Owner(..)) {
            let error = ReplicaError::TwoOwners { found: seq };
            drop(tx);
            acting.stop(&connection, &error.to_string());
            return Err(error);
        }
        if seq != at + 1 {
            return Err(ReplicaError::Gap { at, found: seq });
        }
        let changed = Changed::decode(change).map_err(|why| ReplicaError::Unreadable { what: "a change", why })?;
        checked(&tx, changed.format, &changed.registry)?;
        apply(&tx, &changed)?;
        set_position(&tx, seq)?;
        // The keys between tables are looked at here.
        tx.commit().map_err(damaged)?;
        Ok(true)
    }
}

/// Fails where the log is of another release or registry.
fn checked(tx: &Connection, format: i64, registry: &str) -> Result<(), ReplicaError> {
    if format != FORMAT {
        return Err(ReplicaError::OtherFormat { found: format, known: FORMAT });
    }
    let known: String = tx.query_row("SELECT id FROM likeness", [], |row| row.get(0))?;
    if known != registry {
        return Err(ReplicaError::OtherRegistry { found: registry.to_owned(), known });
    }
    Ok(())
}

fn apply(tx: &Connection, changed: &Changed) -> Result<(), ReplicaError> {
    tx.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    let known = rows::tables(tx)?;
    for table in &changed.tables {
        if !known.contains(table) {
            return Err(ReplicaError::Damaged(format!("the table {} has other columns, or is missing", table.name)));
        }
    }
    let table = |row: &RowChange| -> Result<&Table, ReplicaError> {
        let why = || "a row of no table".to_owned();
        changed
            .tables
            .get(usize::from(row.table))
            .ok_or_else(|| ReplicaError::Unreadable { what: "a change", why: why() })
    };
    // First what goes, so that what comes meets none of it.
    for row in &changed.rows {
        let of = table(row)?;
        let there = of.row(tx, row.id)?;
        if there.as_deref().map(rows::digest) != row.before {
            return Err(ReplicaError::Damaged(format!("row {} of {} is another one", row.id, of.name)));
        }
        if there.is_some() {
            of.remove(tx, row.id).map_err(damaged)?;
        }
    }
    for row in &changed.rows {
        if let Some(after) = &row.after {
            table(row)?.put(tx, row.id, after).map_err(damaged)?;
        }
    }
    Ok(rows::set_sequences(tx, &changed.sequences)?)
}

/// What does not go in is no fault of the disk's: the copy is not what it should be.
fn damaged(error: rusqlite::Error) -> ReplicaError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => ReplicaError::Damaged(error.to_string()),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
