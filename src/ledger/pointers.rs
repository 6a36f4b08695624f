//! Stage pointers and their history, inside a transaction: where they stand, how they move, where prod goes back to.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::change::Change;
use super::error::RegistryError;
use super::{freezing, identity, mirror};
use driftgate_core::audit::event::{Event, StageMoved};
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::fact::{self, Fact};
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::types::RollbackTarget;
use driftgate_core::promotion::version::StageMove;

/// A move to make.
pub(super) struct Move<'a> {
    pub model: &'a str,
    pub stage: &'a str,
    pub to: &'a str,
    pub actor: &'a str,
    pub reason: &'a str,
    /// driftgate, or a caller through it, takes the stage back.
    pub rollback: bool,
}

/// Which version a pointer is on, also where it is void (`is_void`).
pub(super) fn standing(tx: &Connection, model: &str, stage: &str) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached("SELECT version FROM stages WHERE model = ?1 AND stage = ?2")?
        .query_row([model, stage], |row| row.get(0))
        .optional()
}

/// Whether a pointer is void: on a number that the external registry gave to another version, or where no caller with the right put it. It
/// still keeps its place from being taken without a gate.
pub(super) fn is_void(tx: &Connection, model: &str, stage: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM lost_stages WHERE model = ?1 AND stage = ?2")?.exists([model, stage])
}

/// Whether a caller ever decided on a stage here: from then on it is reached by its gate.
pub(super) fn ever_stood(tx: &Connection, model: &str, stage: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT 1 FROM stage_moves
         WHERE model = ?1 AND stage = ?2 AND to_version IS NOT NULL AND NOT elsewhere LIMIT 1",
    )?
    .exists([model, stage])
}

/// Whether a pointer ever was on a version, put there by a caller with the right. What was on a deleted one of the same number
/// does not count.
pub(super) fn has_stood(tx: &Connection, model: &str, stage: &str, version: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT 1 FROM stage_moves WHERE model = ?1 AND stage = ?2 AND to_version = ?3 AND NOT elsewhere AND at >= coalesce(
             (SELECT anew_noticed FROM versions WHERE model = ?1 AND version = ?3), at) LIMIT 1",
    )?
    .exists([model, stage, version])
}

/// The stages whose pointer ever stood on a version.
pub(super) fn stood(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Vec<String>> {
    tx.prepare_cached(
        "SELECT DISTINCT stage FROM stage_moves WHERE model = ?1 AND to_version = ?2 AND NOT elsewhere AND at >= coalesce(
             (SELECT anew_noticed FROM versions WHERE model = ?1 AND version = ?2), at) ORDER BY stage",
    )?
    .query_map([model, version], |row| row.get(0))?
    .collect()
}

/// Moves a pointer onto a version that is there and writes it down; `None` if it is there already. None of ours goes onto
/// a version that the external registry lost.
/// Promoting a version that is new to prod ends the model's freeze.
pub(super) fn make(change: &Change<'_>, new: &Move<'_>) -> Result<Option<StageMove>, RegistryError> {
    let &Move { model, stage, to, actor, reason, rollback } = new;
    let from = standing(change, model, stage)?;
    if from.as_deref() == Some(to) && !is_void(change, model, stage)? {
        return Ok(None);
    }
    if let Some(lost) = identity::lost(change, model, to)? {
        return Err(RegistryError::Conflict(format!("{stage} cannot move there: {lost}")));
    }
    identity::stands_again(change, model, stage)?;
    let moved = StageMoved {
        stage: stage.to_owned(),
        from: from.clone(),
        to: Some(to.to_owned()),
        reason: reason.to_owned(),
        rollback: Some(rollback),
        ..StageMoved::default()
    };
    change.audit(actor, (model, Some(to)), &Event::Stage(moved))?;
    if stage == PROD && !rollback && !has_stood(change, model, stage, to)? {
        freezing::thaw(change, model, actor)?;
    }
    change
        .prepare_cached(
            "INSERT INTO stages (model, stage, version) VALUES (?1, ?2, ?3)
             ON CONFLICT (model, stage) DO UPDATE SET version = excluded.version",
        )?
        .execute([model, stage, to])?;
    let at = change.now_ms;
    write_down(change, new, from.as_deref(), Some(to))?;
    mirror::changed(change, model)?;
    let moved = fact::StageMove { model, stage, from: from.as_deref(), to, actor, reason, rollback, at_ms: at };
    change.happened(&Fact::StageMoved(moved))?;
    Ok(Some(StageMove {
        stage: stage.to_owned(),
        from,
        to: Some(to.to_owned()),
        at,
        actor: actor.to_owned(),
        reason: reason.to_owned(),
    }))
}

/// Removes a pointer. Elsewhere it stays: registries may not let us delete it.
pub(super) fn clear(
    change: &Change<'_>,
    model: &str,
    stage: &str,
    actor: &str,
    reason: &str,
) -> Result<(), RegistryError> {
    let Some(from) = standing(change, model, stage)? else { return Ok(()) };
    let moved = StageMoved {
        stage: stage.to_owned(),
        from: Some(from.clone()),
        reason: reason.to_owned(),
        ..StageMoved::default()
    };
    change.audit(actor, (model, Some(&from)), &Event::Stage(moved))?;
    change.prepare_cached("DELETE FROM stages WHERE model = ?1 AND stage = ?2")?.execute([model, stage])?;
    let gone = Move { model, stage, to: "", actor, reason, rollback: false };
    identity::stands_again(change, model, stage)?;
    write_down(change, &gone, Some(&from), None)
}

/// Puts a pointer back that a release before let MLflow take away; `is_ours`: a caller with the right had put it there.
pub(super) fn restore(
    change: &Change<'_>,
    model: &str,
    stage: &str,
    version: &str,
    is_ours: bool,
) -> Result<(), RegistryError> {
    let (actor, reason) = (DRIFTGATE, "MLflow takes no pointer away");
    let moved = StageMoved {
        stage: stage.to_owned(),
        to: Some(version.to_owned()),
        reason: reason.to_owned(),
        rollback: Some(false),
        elsewhere: Some(!is_ours),
        ..StageMoved::default()
    };
    change.audit(actor, (model, Some(version)), &Event::Stage(moved))?;
    change
        .prepare_cached("INSERT OR REPLACE INTO stages (model, stage, version) VALUES (?1, ?2, ?3)")?
        .execute([model, stage, version])?;
    change
        .prepare_cached(
            "INSERT INTO stage_moves (model, stage, from_version, to_version, at, actor, reason, rollback, elsewhere)
             VALUES (?1, ?2, NULL, ?3, ?4, ?5, ?6, 0, ?7)",
        )?
        .execute(params![model, stage, version, change.now_ms, actor, reason, !is_ours])?;
    Ok(())
}

fn write_down(change: &Change<'_>, new: &Move<'_>, from: Option<&str>, to: Option<&str>) -> Result<(), RegistryError> {
    let &Move { model, stage, actor, reason, rollback, .. } = new;
    change
        .prepare_cached(
            "INSERT INTO stage_moves (model, stage, from_version, to_version, at, actor, reason, rollback)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![model, stage, from, to, change.now_ms, actor, reason, rollback])?;
    Ok(())
}

/// All moves of a model, the oldest first.
pub(super) fn history(tx: &Connection, model: &str) -> rusqlite::Result<Vec<StageMove>> {
    tx.prepare_cached(
        "SELECT stage, from_version, to_version, at, actor, reason FROM stage_moves WHERE model = ?1 ORDER BY id",
    )?
    .query_map([model], stage_move)?
    .collect()
}

/// The last move of a pointer.
pub(super) fn last_move(tx: &Connection, model: &str, stage: &str) -> rusqlite::Result<Option<StageMove>> {
    tx.prepare_cached(
        "SELECT stage, from_version, to_version, at, actor, reason FROM stage_moves
         WHERE model = ?1 AND stage = ?2 ORDER BY id DESC LIMIT 1",
    )?
    .query_row([model, stage], stage_move)
    .optional()
}

fn stage_move(row: &Row<'_>) -> rusqlite::Result<StageMove> {
    Ok(StageMove {
        stage: row.get(0)?,
        from: row.get(1)?,
        to: row.get(2)?,
        at: row.get(3)?,
        actor: row.get(4)?,
        reason: row.get(5)?,
    })
}

/// The version that left prod last, not by a rollback, and that nothing is known against: it has no active block, and
/// no rollback of it was ever applied, not even one that found no version to go back to. The external registry still has it. It came to
/// prod by its gate, or by a caller who may put it there; a move that was made in the external registry makes nothing stable.
pub(super) fn last_stable(tx: &Connection, model: &str, failing: &str) -> rusqlite::Result<Option<String>> {
    last_stable_but(tx, model, &[failing, failing])
}

fn last_stable_but(tx: &Connection, model: &str, not: &[&str; 2]) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached(
        "SELECT m.from_version FROM stage_moves AS m
         WHERE m.model = ?1 AND m.stage = ?2 AND NOT m.rollback
           AND m.from_version IS NOT NULL AND m.from_version NOT IN (?3, ?4)
           AND EXISTS (SELECT 1 FROM stage_moves AS e
                       WHERE e.model = ?1 AND e.stage = ?2 AND e.to_version = m.from_version AND e.id < m.id AND NOT e.elsewhere
                         AND e.at >= coalesce((SELECT anew_noticed FROM versions AS v
                                               WHERE v.model = ?1 AND v.version = e.to_version), e.at))
           AND NOT EXISTS (SELECT 1 FROM blocks AS b WHERE b.model = ?1 AND b.version = m.from_version)
           AND NOT EXISTS (SELECT 1 FROM versions AS v
                           WHERE v.model = ?1 AND v.version = m.from_version
                             AND (v.rolled_back IS NOT NULL OR v.lost_at IS NOT NULL OR v.anew_noticed >= m.at))
           AND NOT EXISTS (SELECT 1 FROM signals AS s
                           WHERE s.model = ?1 AND s.version = m.from_version AND s.action = 'rollback' AND s.done
                             AND NOT EXISTS (SELECT 1 FROM versions AS v
                                             WHERE v.model = ?1 AND v.version = s.version AND v.anew_ms >= s.ts_ms))
         ORDER BY m.id DESC LIMIT 1",
    )?
    .query_row([model, PROD, not[0], not[1]], |row| row.get(0))
    .optional()
}

/// What is known against a return of prod to a version that stood there, as a clause with what to do: it is lost or blocked,
/// or was taken out of prod, or should have been, since it last came there by its gate.
pub(super) fn against(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<String>> {
    if let Some(lost) = identity::lost(tx, model, version)? {
        return Ok(Some(lost));
    }
    let blocks: Option<String> = tx
        .prepare_cached(
            "SELECT group_concat(group_name || ' since ' || since, ', ') FROM blocks WHERE model = ?1 AND version = ?2",
        )?
        .query_row([model, version], |row| row.get(0))?;
    if let Some(blocks) = blocks {
        return Ok(Some(format!("it is blocked by {blocks} (driftgate unblock ends a block, with a reason)")));
    }
    let came: Option<(i64, i64)> = tx
        .prepare_cached(
            "SELECT id, at FROM stage_moves
             WHERE model = ?1 AND stage = ?2 AND to_version = ?3 AND NOT rollback AND NOT elsewhere ORDER BY id DESC LIMIT 1",
        )?
        .query_row([model, PROD, version], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (id, at) = came.unwrap_or((0, 0));
    let failed = tx
        .prepare_cached(
            "SELECT 1 FROM stage_moves WHERE model = ?1 AND stage = ?2 AND from_version = ?3 AND rollback AND id > ?4
             UNION ALL
             SELECT 1 FROM signals WHERE model = ?1 AND version = ?3 AND action = 'rollback' AND done AND applied_at >= ?5",
        )?
        .exists(params![model, PROD, version, id, at])?;
    let why = "it was rolled back itself, or should have been (driftgate promote --retry brings it back by its gate)";
    Ok(failed.then(|| why.to_owned()))
}

/// Where a rollback of a version that is promoted now would go: the version in prod, else the last stable one. A block
/// on that one is reported, not held against its successor.
pub(super) fn rollback_target(tx: &Connection, model: &str, version: &str) -> rusqlite::Result<Option<RollbackTarget>> {
    let target = |version: String, caution| Some(RollbackTarget { version, caution });
    let current = standing(tx, model, PROD)?.filter(|current| current != version);
    let Some(current) = current else {
        return Ok(last_stable(tx, model, version)?.and_then(|v| target(v, None)));
    };
    let mut against: Vec<String> = tx
        .prepare_cached("SELECT group_name FROM blocks WHERE model = ?1 AND version = ?2 ORDER BY group_name")?
        .query_map([model, &current], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut caution = format!("it is blocked itself by {}", against.join(", "));
    if identity::lost(tx, model, &current)?.is_some() {
        "the external registry does not have it any more".clone_into(&mut caution);
        against.push(caution.clone());
    } else if is_void(tx, model, PROD)? {
        "nobody who may has put it there, or its number is another version's since".clone_into(&mut caution);
        against.push(caution.clone());
    }
    if against.is_empty() {
        return Ok(target(current, None));
    }
    let stable = last_stable_but(tx, model, &[version, &current])?;
    Ok(stable.map_or_else(|| target(current, Some(caution)), |stable| target(stable, None)))
}
