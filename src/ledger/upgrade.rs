//! What follows from a file of a release before, once: what MLflow had said there is reported, and counts no longer; pointers
//! that it moved or took away are put right. The audit log says what came of it, and what was there without a record.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::change::Change;
use super::error::RegistryError;
use super::versions::value;
use super::{held, identity, mirror, pointers};
use driftgate_core::audit::chain::LogRow;
use driftgate_core::audit::event::{Event, FIELDS};
use driftgate_core::audit::fact::{Mismatch, Upgrade};
use driftgate_core::audit::names::{DRIFTGATE, MLFLOW};
use driftgate_core::audit::state::State;

/// Whether a file was brought to this format and nothing was written down of it yet.
pub(super) fn is_due(tx: &Connection) -> rusqlite::Result<bool> {
    tx.query_row("SELECT upgraded_from IS NOT NULL FROM likeness", [], |row| row.get(0))
}

/// Puts right what a release before took from MLflow.
pub(super) fn settle(change: &Change<'_>) -> Result<(), RegistryError> {
    let from: Option<i64> = change.query_row("SELECT upgraded_from FROM likeness", [], |row| row.get(0))?;
    let Some(from) = from else { return Ok(()) };
    let records = records(change)?;
    let before = held::read(change)?;
    report_fields(change, &records)?;
    report_evidence(change)?;
    let apart = held::read(change)?;
    let log = State::of_log(&records);
    // What was reported is changed by us; what else does not follow from the log was there before.
    let reported = before.against(&apart);
    let theirs = |m: &Mismatch| reported.iter().any(|r| r.fact == m.fact);
    let mut taken_over: Vec<Mismatch> = log.against(&apart).into_iter().filter(|m| !theirs(m)).collect();
    put_right(change)?;
    let after = held::read(change)?;
    let now = |mut mismatch: Mismatch| {
        mismatch.registry = after.get(&mismatch.fact).map(str::to_owned);
        mismatch
    };
    let mut changed: Vec<Mismatch> = log.against(&after);
    changed.retain(|m| !taken_over.iter().any(|t| t.fact == m.fact));
    taken_over = taken_over.into_iter().map(now).collect();
    if !taken_over.is_empty() || !changed.is_empty() {
        let upgrade = Upgrade { from, taken_over, changed };
        change.audit(DRIFTGATE, ("", None), &Event::Upgrade(upgrade))?;
    }
    change.execute("UPDATE likeness SET upgraded_from = NULL", [])?;
    Ok(())
}

fn records(tx: &Connection) -> rusqlite::Result<Vec<LogRow>> {
    tx.prepare("SELECT seq, bytes, hash FROM audit ORDER BY seq")?
        .query_map([], |row| {
            let bytes: String = row.get(1)?;
            Ok(LogRow { seq: row.get::<_, i64>(0)?.cast_unsigned(), bytes: bytes.into_bytes(), hash: row.get(2)? })
        })?
        .collect()
}

/// Of a version that MLflow has, what no caller registered here came from its tags.
fn report_fields(change: &Change<'_>, records: &[LogRow]) -> Result<(), RegistryError> {
    let log = State::of_log(records);
    let versions: Vec<(String, String)> = change
        .prepare("SELECT model, version FROM versions WHERE created_elsewhere_ms IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (model, version) in versions {
        for field in FIELDS {
            let kept: Option<String> = change
                .prepare_cached(&format!("SELECT {field} FROM versions WHERE model = ?1 AND version = ?2"))?
                .query_row([&model, &version], |row| row.get(0))?;
            let Some(kept) = kept.filter(|kept| log.registration(&model, &version, field) != Some(kept.as_str()))
            else {
                continue;
            };
            reported(change, (&model, &version), field, &Value::from(kept))?;
            change
                .prepare_cached(&format!("UPDATE versions SET {field} = NULL WHERE model = ?1 AND version = ?2"))?
                .execute([&model, &version])?;
        }
    }
    Ok(())
}

fn report_evidence(change: &Change<'_>) -> Result<(), RegistryError> {
    let attached: Vec<(String, String, String, String)> = change
        .prepare("SELECT model, version, kind, value FROM evidence WHERE actor = ?1")?
        .query_map([MLFLOW], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (model, version, kind, kept) in attached {
        reported(change, (&model, &version), &kind, &value(kept))?;
        change
            .prepare_cached("DELETE FROM evidence WHERE model = ?1 AND version = ?2 AND kind = ?3")?
            .execute([&model, &version, &kind])?;
    }
    Ok(())
}

fn reported(change: &Change<'_>, of: (&str, &str), kind: &str, value: &Value) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT OR REPLACE INTO reported (model, version, kind, value, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![of.0, of.1, kind, value.to_string(), change.now_ms])?;
    Ok(())
}

/// Pointers that MLflow took away are put back; those that only MLflow put somewhere are void.
fn put_right(change: &Change<'_>) -> Result<(), RegistryError> {
    let stages: Vec<(String, String)> = change
        .prepare("SELECT DISTINCT model, stage FROM stage_moves ORDER BY model, stage")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (model, stage) in stages {
        let last: Option<(Option<String>, Option<String>, bool)> = change
            .prepare_cached(
                "SELECT from_version, to_version, elsewhere FROM stage_moves WHERE model = ?1 AND stage = ?2 ORDER BY id DESC LIMIT 1",
            )?
            .query_row([&model, &stage], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let (version, taken) = match last {
            Some((_, Some(to), true)) => (to, false),
            Some((Some(from), None, true)) => (from, true),
            _ => continue,
        };
        let is_ours = pointers::has_stood(change, &model, &stage, &version)?;
        if taken {
            let there: Option<String> = mirror::last_seen(change, &model)?.remove(&stage);
            pointers::restore(change, &model, &stage, &version, is_ours)?;
            mirror::moved_there(change, &model, &stage, there.as_deref(), change.now_ms)?;
        }
        if is_ours {
            change.execute("DELETE FROM lost_stages WHERE model = ?1 AND stage = ?2", [&model, &stage])?;
        } else {
            let why = "a release before took it over from MLflow, or its number is another version's since";
            identity::void(change, &model, &stage, &version, change.now_ms, why)?;
            if !taken {
                mirror::moved_there(change, &model, &stage, Some(&version), change.now_ms)?;
            }
        }
    }
    // A stage that is lost has no other entry.
    change.execute(
        "DELETE FROM lost_stages WHERE NOT EXISTS (
             SELECT 1 FROM stages AS s WHERE s.model = lost_stages.model AND s.stage = lost_stages.stage)",
        [],
    )?;
    Ok(())
}
