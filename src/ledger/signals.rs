//! Signals, applied inside a transaction: each id once, and none after a newer one of its group.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::names::name;
use super::versions::add_version;
use super::{identity, rollback};
use driftgate_core::audit::event::{Event, SignalOutcome};
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::fact::{Fact, SignalTaken, topic};
use driftgate_core::judge::verdict::{Action, Signal};
use driftgate_core::promotion::version::Applied;

impl Embedded {
    /// Applies a signal once. Versions that it names are added where they are missing.
    ///
    /// # Errors
    /// A registry that fails; the signal was not applied then.
    pub fn apply(&self, signal: &Signal, now_ms: i64) -> Result<Applied, RegistryError> {
        self.write(now_ms, |change| apply(change, signal))
    }
}

/// A signal whose names no registry takes is ignored, not an error: trying it again would not help. One that is given again
/// is sent again as it was sent first, with its outcome then.
pub(super) fn apply(tx: &Change<'_>, signal: &Signal) -> Result<Applied, RegistryError> {
    if let Some(text) = stored(tx, signal)? {
        tx.happened(&Fact::SignalAgain { model: &signal.model, version: &signal.version, text: &text })?;
        return Ok(Applied::Already);
    }
    let (ts_ms, applied) = outcome(tx, signal)?;
    let (done, detail) = match &applied {
        Applied::Ignored(why) => (false, why.as_str()),
        Applied::Done { rollback_to: Some(to) } => (true, to.as_str()),
        Applied::Done { rollback_to: None } | Applied::Already => (true, ""),
    };
    let outcome = if done { SignalOutcome::Applied } else { SignalOutcome::Ignored };
    let taken = SignalTaken { signal, outcome, detail };
    tx.prepare_cached(
        "INSERT INTO signals (signal_id, model, version, group_name, action, ts, ts_ms, done, detail, applied_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
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
        tx.now_ms,
        topic::signal(&taken).to_string()
    ])?;
    let event = Event::Signal { outcome, detail: detail.to_owned(), signal: signal.clone() };
    tx.audit(DRIFTGATE, (&signal.model, Some(&signal.version)), &event)?;
    tx.happened(&Fact::Signal(taken))?;
    Ok(applied)
}

/// Does what a signal asks for; its time, ms, and what became of it.
fn outcome(tx: &Change<'_>, signal: &Signal) -> Result<(i64, Applied), RegistryError> {
    if let Err(error) = name("the model", &signal.model).and_then(|()| name("the version", &signal.version)) {
        return Ok((0, Applied::Ignored(error.to_string())));
    }
    let Ok(ts) = signal.ts.parse::<jiff::Timestamp>() else {
        return Ok((0, Applied::Ignored(format!("its time {:?} is not RFC 3339", signal.ts))));
    };
    let ts_ms = ts.as_millisecond();
    add_version(tx, &signal.model, &signal.version, DRIFTGATE)?;
    let applied = match signal.action {
        _ if identity::made_anew(tx, &signal.model, &signal.version)?.is_some_and(|anew| ts_ms <= anew) => {
            let version = &signal.version;
            Applied::Ignored(format!(
                "version {version:?} was made anew in the external registry since: its window was a deleted one's"
            ))
        }
        Action::Block | Action::Clear => block_or_clear(tx, signal, ts_ms)?,
        Action::Rollback => rollback::by_signal(tx, signal, ts_ms)?,
    };
    Ok((ts_ms, applied))
}

/// What is sent of a signal that was given before.
fn stored(tx: &Change<'_>, signal: &Signal) -> Result<Option<String>, RegistryError> {
    let found: Option<(Option<String>, bool, String)> = tx
        .prepare_cached("SELECT body, done, detail FROM signals WHERE signal_id = ?1")?
        .query_row([&signal.signal_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    // A release before kept no text.
    Ok(found.map(|(body, done, detail)| {
        let outcome = if done { SignalOutcome::Applied } else { SignalOutcome::Ignored };
        body.unwrap_or_else(|| topic::signal(&SignalTaken { signal, outcome, detail: &detail }).to_string())
    }))
}

fn block_or_clear(tx: &Change<'_>, signal: &Signal, ts_ms: i64) -> Result<Applied, RegistryError> {
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
