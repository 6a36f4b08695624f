//! Stage pointers and their history, inside a transaction: where they stand, how they move, where prod goes back to.

use rusqlite::{Connection, OptionalExtension, params};

use crate::registry::{PROD, RegistryError, StageMove};

/// A move to make. `rollback`: driftgate takes the stage back by itself.
pub(super) struct Move<'a> {
    pub model: &'a str,
    pub stage: &'a str,
    pub to: &'a str,
    pub at: i64,
    pub actor: &'a str,
    pub reason: &'a str,
    pub rollback: bool,
}

/// Where a pointer stands.
pub(super) fn standing(tx: &Connection, model: &str, stage: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached("SELECT version FROM stages WHERE model = ?1 AND stage = ?2")?
        .query_row([model, stage], |row| row.get(0))
        .optional()
}

/// Whether a pointer ever stood on a version.
pub(super) fn has_stood(tx: &Connection, model: &str, stage: &str, version: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM stage_moves WHERE model = ?1 AND stage = ?2 AND to_version = ?3 LIMIT 1")?
        .exists([model, stage, version])
}

/// Moves a pointer onto a version that is there and writes it down; `None` if it stands there already.
/// Promoting a version that is new to prod ends the model's freeze.
pub(super) fn make(tx: &Connection, new: &Move<'_>) -> Result<Option<StageMove>, RegistryError> {
    let &Move { model, stage, to, at, actor, reason, rollback } = new;
    let from = standing(tx, model, stage)?;
    if from.as_deref() == Some(to) {
        return Ok(None);
    }
    if stage == PROD && !rollback && !has_stood(tx, model, stage, to)? {
        super::thaw(tx, model, actor, at)?;
    }
    tx.prepare_cached(
        "INSERT INTO stages (model, stage, version) VALUES (?1, ?2, ?3)
         ON CONFLICT (model, stage) DO UPDATE SET version = excluded.version",
    )?
    .execute([model, stage, to])?;
    tx.prepare_cached(
        "INSERT INTO stage_moves (model, stage, from_version, to_version, at, actor, reason, rollback)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![model, stage, from, to, at, actor, reason, rollback])?;
    Ok(Some(StageMove {
        stage: stage.to_owned(),
        from,
        to: Some(to.to_owned()),
        at,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
    }))
}

/// All moves of a model, the oldest first.
pub(super) fn history(tx: &Connection, model: &str) -> rusqlite::Result<Vec<StageMove>> {
    tx.prepare_cached(
        "SELECT stage, from_version, to_version, at, actor, reason FROM stage_moves WHERE model = ?1 ORDER BY id",
    )?
    .query_map([model], |row| {
        Ok(StageMove {
            stage: row.get(0)?,
            from: row.get(1)?,
            to: row.get(2)?,
            at: row.get(3)?,
            actor: row.get(4)?,
            reason: row.get(5)?,
        })
    })?
    .collect()
}

/// The version that left prod last, not by a rollback, and that nothing is known against: it has no active block, and
/// no rollback of it was ever applied, not even one that found no version to go back to.
pub(super) fn last_stable(tx: &Connection, model: &str, failing: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached(
        "SELECT m.from_version FROM stage_moves AS m
         WHERE m.model = ?1 AND m.stage = ?2 AND NOT m.rollback
           AND m.from_version IS NOT NULL AND m.from_version <> ?3
           AND NOT EXISTS (SELECT 1 FROM blocks AS b WHERE b.model = ?1 AND b.version = m.from_version)
           AND NOT EXISTS (SELECT 1 FROM signals AS s
                           WHERE s.model = ?1 AND s.version = m.from_version AND s.action = 'rollback' AND s.done)
         ORDER BY m.id DESC LIMIT 1",
    )?
    .query_row([model, PROD, failing], |row| row.get(0))
    .optional()
}
