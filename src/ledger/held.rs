//! What the tables of a registry say, as facts that can be held against its audit log. Read from any connection, of this
//! format or of one before.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row};
use serde_json::json;

use super::error::RegistryError;
use super::versions::value;
use super::{dossier_rows, schema};
use crate::artifact::kept;
use driftgate_core::audit::chain::rfc3339;
use driftgate_core::audit::event::{FIELDS, SignalOutcome};
use driftgate_core::audit::signed_head::PublicKeys;
use driftgate_core::audit::state::{Given, State};
use driftgate_core::codec::time::utc;

/// The format from which on what is registered is kept apart from what MLflow reports.
const APART: i64 = 5;

/// Reads the facts of a registry.
///
/// # Errors
/// Tables that cannot be read.
pub fn read(tx: &Connection) -> rusqlite::Result<State> {
    let format: i64 = tx.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))?;
    let mut state = State::default();
    pointers(tx, format, &mut state)?;
    versions(tx, &mut state)?;
    rollbacks(tx, &mut state)?;
    // Before format 3 nothing was lost.
    if format > 2 {
        let anew = "SELECT model, version, coalesce(anew_ms, 0), coalesce(anew_noticed, 0) FROM versions
                    WHERE anew_ms IS NOT NULL OR anew_noticed IS NOT NULL";
        each(&mut tx.prepare(anew)?, |row| {
            let (model, version): (String, String) = (row.get(0)?, row.get(1)?);
            state.anew(&model, &version, row.get(2)?, &rfc3339(row.get(3)?), 0);
            Ok(())
        })?;
        each(&mut tx.prepare("SELECT model, version FROM versions WHERE lost_at IS NOT NULL")?, |row| {
            state.lost(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?, 0);
            Ok(())
        })?;
    }
    dossiers(tx, &mut state)?;
    let mut frozen = tx.prepare("SELECT model FROM models WHERE frozen_since IS NOT NULL")?;
    each(&mut frozen, |row| {
        state.frozen(&row.get::<_, String>(0)?, 0);
        Ok(())
    })?;
    if format < APART {
        state.of_older_file();
    }
    Ok(state)
}

/// Whether anything was ever kept in it.
///
/// # Errors
/// Tables that cannot be read.
pub fn is_used(tx: &Connection) -> rusqlite::Result<bool> {
    tx.query_row("SELECT EXISTS (SELECT 1 FROM versions) OR EXISTS (SELECT 1 FROM stage_moves)", [], |row| row.get(0))
}

fn each(
    statement: &mut rusqlite::Statement<'_>,
    mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

fn pointers(tx: &Connection, format: i64, facts: &mut State) -> rusqlite::Result<()> {
    // Before, a pointer that MLflow took away had no row in `stages`.
    let void = if format < APART {
        "0"
    } else {
        "EXISTS (SELECT 1 FROM lost_stages AS l WHERE l.model = s.model AND l.stage = s.stage)"
    };
    each(&mut tx.prepare(&format!("SELECT model, stage, version, {void} FROM stages AS s"))?, |row| {
        let (model, stage, version): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        facts.pointer(&model, &stage, &version, row.get(3)?, 0);
        Ok(())
    })?;
    // Before, MLflow was followed, and the actor of a move shows that.
    let elsewhere = if format < APART { "actor = 'mlflow'" } else { "elsewhere" };
    let moves = format!(
        "SELECT model, stage, from_version, to_version, actor, {elsewhere}, at, rollback, reason FROM stage_moves ORDER BY id"
    );
    each(&mut tx.prepare(&moves)?, |row| {
        let (model, stage): (String, String) = (row.get(0)?, row.get(1)?);
        let (from, to): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let places = (from.as_deref(), to.as_deref());
        facts.moved((&model, &stage), places, &row.get::<_, String>(4)?, row.get(5)?, 0);
        let reason: String = row.get(8)?;
        facts.move_made((&model, &stage), &rfc3339(row.get(6)?), row.get(7)?, &reason, 0);
        Ok(())
    })
}

fn versions(tx: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let columns = FIELDS.join(", ");
    each(
        &mut tx.prepare(&format!("SELECT model, version, rolled_back, registered_by, {columns} FROM versions"))?,
        |row| {
            let (model, version): (String, String) = (row.get(0)?, row.get(1)?);
            if let Some(at) = row.get::<_, Option<String>>(2)? {
                state.rolled_back(&model, &version, &at, 0);
            }
            state.version(&model, &version, &row.get::<_, String>(3)?, 0);
            for (at, field) in (4..).zip(FIELDS) {
                if let Some(value) = row.get::<_, Option<String>>(at)? {
                    state.registered((&model, &version), field, &value, 0);
                }
            }
            Ok(())
        },
    )?;
    each(&mut tx.prepare("SELECT model, version, id, record, stage, at FROM promotions")?, |row| {
        let (model, version, id): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (pointer, at): (String, i64) = (row.get(4)?, row.get(5)?);
        state.promotion((&model, &version), &id, (&pointer, &utc(at)), &value(row.get(3)?), 0);
        Ok(())
    })
}

/// Signals; what a rollback names that was applied is never gone back to.
fn rollbacks(tx: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let applied = "SELECT model, version, signal_id FROM signals WHERE action = 'rollback' AND done";
    each(&mut tx.prepare(applied)?, |row| {
        let (model, version): (String, String) = (row.get(0)?, row.get(1)?);
        state.signalled(&model, &version, &row.get::<_, String>(2)?, 0);
        Ok(())
    })?;
    let all = "SELECT model, version, signal_id, action, group_name, ts, ts_ms, done FROM signals";
    each(&mut tx.prepare(all)?, |row| {
        let text = |at: usize| row.get::<_, String>(at);
        let (model, version, id, action, group, mut ts) = (text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?);
        let (ms, applied): (i64, bool) = (row.get(6)?, row.get(7)?);
        // What has no name or no time is kept at 0, and ignored.
        let is_kept_so = ts.parse::<jiff::Timestamp>().is_ok_and(|ts| ts.as_millisecond() == ms);
        if !is_kept_so && (applied || ms != 0) {
            ts = format!("{ts} (ordered as of {})", rfc3339(ms));
        }
        let outcome = if applied { SignalOutcome::Applied } else { SignalOutcome::Ignored };
        state.given((&model, &version), &id, Given { action: &action, group: &group, ts: &ts, outcome }, 0);
        Ok(())
    })
}

fn dossiers(tx: &Connection, state: &mut State) -> rusqlite::Result<()> {
    each(&mut tx.prepare("SELECT model, version, kind, value, actor FROM evidence")?, |row| {
        let (model, version, kind): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        state.evidence((&model, &version), &kind, &value(row.get(3)?), &row.get::<_, String>(4)?, 0);
        Ok(())
    })?;
    each(&mut tx.prepare("SELECT model, version, group_name, signal_id, since FROM blocks")?, |row| {
        let (model, version, group): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        state.block((&model, &version), &group, &row.get::<_, String>(3)?, &row.get::<_, String>(4)?, 0);
        Ok(())
    })?;
    each(&mut tx.prepare("SELECT * FROM approvals ORDER BY id")?, |row| {
        let (model, version): (String, String) = (row.get("model")?, row.get("version")?);
        state.approval(&model, &version, &json!(dossier_rows::approval(row)?), 0);
        Ok(())
    })?;
    each(&mut tx.prepare("SELECT * FROM overrides ORDER BY id")?, |row| {
        let (model, version): (String, String) = (row.get("model")?, row.get("version")?);
        state.exception(&model, &version, &json!(dossier_rows::exception(row)?), 0);
        Ok(())
    })
}

/// Triggers, indexes and views that are not as this release makes them, a sentence each: they change what a statement does.
///
/// # Errors
/// A file that cannot be read.
pub fn objects(tx: &Connection) -> Result<Vec<String>, RegistryError> {
    let format: i64 = tx.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))?;
    if format != schema::FORMAT {
        return Ok(Vec::new());
    }
    let mut made = Connection::open_in_memory()?;
    schema::prepare(&mut made)?;
    let (made, there) = (objects_of(&made)?, objects_of(tx)?);
    let names: BTreeSet<_> = made.keys().chain(there.keys()).collect();
    let said = |name: &&(String, String)| {
        let (kind, called) = (&name.0, &name.1);
        match (made.get(*name), there.get(*name)) {
            (Some(made), Some(there)) if made == there => None,
            (Some(_), Some(_)) => Some(format!("the {kind} {called} of the database was changed")),
            (Some(_), None) => Some(format!("the {kind} {called} of the database is missing: it was dropped")),
            (None, _) => Some(format!("the {kind} {called} of the database was added: no release makes it")),
        }
    };
    Ok(names.iter().filter_map(said).collect())
}

/// What makes them, by kind and name, however it is spaced.
fn objects_of(tx: &Connection) -> rusqlite::Result<BTreeMap<(String, String), String>> {
    let query =
        "SELECT type, name, tbl_name || ': ' || sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL";
    tx.prepare(query)?
        .query_map([], |row| {
            let sql: String = row.get(2)?;
            Ok(((row.get(0)?, row.get(1)?), sql.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
        })?
        .collect()
}

/// What was found of artifacts and is kept under a signature of one of these keys that does not hold, or under none.
///
/// # Errors
/// A table that cannot be read.
pub fn unsigned_artifacts(tx: &Connection, keys: &PublicKeys) -> rusqlite::Result<Vec<String>> {
    if !tx.table_exists(None, "artifacts")? {
        return Ok(Vec::new());
    }
    kept::unsigned(tx, keys)
}
