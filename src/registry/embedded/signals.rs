//! Signals, applied inside a transaction: each id once, and none after a newer one of its group.

use rusqlite::{Connection, OptionalExtension, params};

use super::pointers::{self, Move};
use crate::judge::verdict::{Action, Signal};
use crate::registry::{Applied, PROD, RegistryError};

/// Who moves a pointer when a signal does.
pub(super) const ACTOR: &str = "driftgate";

pub(super) fn apply(tx: &Connection, signal: &Signal, now_ms: i64) -> Result<Applied, RegistryError> {
    if tx.prepare_cached("SELECT 1 FROM signals WHERE signal_id = ?1")?.exists([&signal.signal_id])? {
        return Ok(Applied::Already);
    }
    let Ok(ts) = signal.ts.parse::<jiff::Timestamp>() else {
        return Ok(Applied::Ignored(format!("its time {:?} is not RFC 3339", signal.ts)));
    };
    let ts_ms = ts.as_millisecond();
    super::add_version(tx, &signal.model, &signal.version, ACTOR, now_ms)?;
    let applied = match signal.action {
        Action::Block | Action::Clear => block_or_clear(tx, signal, ts_ms)?,
        Action::Rollback => rollback(tx, signal, now_ms)?,
    };
    let (done, detail) = match &applied {
        Applied::Ignored(why) => (false, why.as_str()),
        Applied::Done { rollback_to: Some(to) } => (true, to.as_str()),
        Applied::Done { rollback_to: None } | Applied::Already => (true, ""),
    };
    tx.prepare_cached(
        "INSERT INTO signals (signal_id, model, version, group_name, action, ts, ts_ms, done, detail, applied_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        signal.signal_id,
        signal.model,
        signal.version,
        signal.group,
        signal.action.name(),
        signal.ts,
        ts_ms,
        done,
        detail,
        now_ms
    ])?;
    Ok(applied)
}

fn block_or_clear(tx: &Connection, signal: &Signal, ts_ms: i64) -> Result<Applied, RegistryError> {
    let group = [&signal.model, &signal.version, &signal.group];
    let newer: Option<String> = tx
        .prepare_cached(
            "SELECT action || ' of ' || ts FROM signals
             WHERE model = ?1 AND version = ?2 AND group_name = ?3 AND action IN ('block', 'clear') AND ts_ms > ?4
             ORDER BY ts_ms DESC LIMIT 1",
        )?
        .query_row(params![signal.model, signal.version, signal.group, ts_ms], |row| row.get(0))
        .optional()?;
    if let Some(newer) = newer {
        return Ok(Applied::Ignored(format!("the newer {newer} was applied before")));
    }
    tx.prepare_cached("DELETE FROM blocks WHERE model = ?1 AND version = ?2 AND group_name = ?3")?.execute(group)?;
    if signal.action == Action::Block {
        tx.prepare_cached(
            "INSERT INTO blocks (model, version, group_name, since, reasons, signal_id, verdict_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            signal.model,
            signal.version,
            signal.group,
            signal.ts,
            serde_json::Value::from(signal.reasons.clone()).to_string(),
            signal.signal_id,
            signal.verdict_id
        ])?;
    }
    Ok(Applied::Done { rollback_to: None })
}

/// Takes prod back from a failing version, if it stands on it and the model is not frozen, and freezes the model.
fn rollback(tx: &Connection, signal: &Signal, now_ms: i64) -> Result<Applied, RegistryError> {
    let (model, version) = (signal.model.as_str(), signal.version.as_str());
    match pointers::standing(tx, model, PROD)? {
        Some(standing) if standing == version => {}
        Some(standing) => {
            return Ok(Applied::Ignored(format!("{PROD} stands on version {standing:?}, not on {version:?}")));
        }
        None => return Ok(Applied::Ignored(format!("{PROD} of {model:?} stands on no version"))),
    }
    if let Some(frozen) = super::frozen(tx, model)? {
        return Ok(Applied::Ignored(format!("the model is frozen {frozen}")));
    }
    let target = pointers::last_stable(tx, model, version)?;
    let reasons = signal.reasons.join("; ");
    let reason = match &target {
        Some(to) => format!("version {version:?} was rolled back to {to:?}: {reasons}"),
        None => format!("version {version:?} should be rolled back, but no former {PROD} version is stable: {reasons}"),
    };
    if let Some(to) = &target {
        pointers::make(
            tx,
            &Move { model, stage: PROD, to, at: now_ms, actor: ACTOR, reason: &reason, rollback: true },
        )?;
        tx.prepare_cached("UPDATE versions SET rolled_back = ?3 WHERE model = ?1 AND version = ?2")?
            .execute([model, version, &signal.ts])?;
    }
    super::freeze(tx, model, &signal.ts, &reason)?;
    Ok(Applied::Done { rollback_to: target })
}
