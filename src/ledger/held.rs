//! What the tables of a registry say, as facts that can be held against its audit log. Read from any connection, of this
//! format or of one before.

use rusqlite::{Connection, Row};
use serde_json::json;

use super::dossier::{self, value};
use driftgate_core::audit::state::{FIELDS, State};

/// The format from which on what is registered stands apart from what MLflow said.
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
        each(&mut tx.prepare("SELECT model, version, anew_ms FROM versions WHERE anew_ms IS NOT NULL")?, |row| {
            state.anew(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?, row.get(2)?, 0);
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
        state.forget_registrations();
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
    // Before, MLflow was followed, and what moved so is told by who did it.
    let elsewhere = if format < APART { "actor = 'mlflow'" } else { "elsewhere" };
    let moves =
        format!("SELECT model, stage, from_version, to_version, actor, {elsewhere} FROM stage_moves ORDER BY id");
    each(&mut tx.prepare(&moves)?, |row| {
        let (model, stage): (String, String) = (row.get(0)?, row.get(1)?);
        let (from, to): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let places = (from.as_deref(), to.as_deref());
        facts.moved((&model, &stage), places, &row.get::<_, String>(4)?, row.get(5)?, 0);
        Ok(())
    })
}

fn versions(tx: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let columns = FIELDS.join(", ");
    each(&mut tx.prepare(&format!("SELECT model, version, rolled_back, {columns} FROM versions"))?, |row| {
        let (model, version): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(at) = row.get::<_, Option<String>>(2)? {
            state.rolled_back(&model, &version, &at, 0);
        }
        for (at, field) in (3..).zip(FIELDS) {
            if let Some(value) = row.get::<_, Option<String>>(at)? {
                state.registered((&model, &version), field, &value, 0);
            }
        }
        Ok(())
    })?;
    each(&mut tx.prepare("SELECT model, version, id, record FROM promotions")?, |row| {
        let (model, version, id): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        state.promotion((&model, &version), &id, &value(row.get(3)?), 0);
        Ok(())
    })
}

/// Signals of rollbacks that were applied: what they name is never gone back to.
fn rollbacks(tx: &Connection, state: &mut State) -> rusqlite::Result<()> {
    let applied = "SELECT model, version, signal_id FROM signals WHERE action = 'rollback' AND done";
    each(&mut tx.prepare(applied)?, |row| {
        let (model, version): (String, String) = (row.get(0)?, row.get(1)?);
        state.signalled(&model, &version, &row.get::<_, String>(2)?, 0);
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
        state.approval(&model, &version, &json!(dossier::approval(row)?), 0);
        Ok(())
    })?;
    each(&mut tx.prepare("SELECT * FROM overrides ORDER BY id")?, |row| {
        let (model, version): (String, String) = (row.get("model")?, row.get("version")?);
        state.exception(&model, &version, &json!(dossier::exception(row)?), 0);
        Ok(())
    })
}
