//! Taking prod back: by a signal, by a rollout that fails in its bake, or by a person. It never waits for gates. The
//! registry that we keep in step with hears of the pointer first and of the tags afterwards.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::pointers::{self, Move};
use super::promotion_records::finish;
use super::{freezing, rollout_rows, versions};
use driftgate_core::audit::Event;
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::codec::time::utc;
use driftgate_core::fact::Fact;
use driftgate_core::judge::verdict::Signal;
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::{Applied, PendingRollback};

/// A rollback that is asked for.
pub(super) struct Request<'a> {
    pub model: &'a str,
    /// What is taken out of prod.
    pub from: &'a str,
    /// Where to; `None`: the last stable version.
    pub to: Option<&'a str>,
    pub actor: &'a str,
    pub reason: &'a str,
    /// Event time, ms.
    pub ts_ms: i64,
    /// It was automatic: one per incident, then the model is frozen.
    pub automatic: bool,
}

impl Embedded {
    /// Takes prod back by hand: to `to`, or to the last stable version. With `drill` nothing moves. The answer is where
    /// prod goes; `None`: there is no stable version.
    ///
    /// # Errors
    /// A model without a version in prod, a version that never was in prod or has something against it, or a registry that
    /// fails.
    pub fn roll_back(
        &self,
        model: &str,
        to: Option<&str>,
        actor: &str,
        reason: &str,
        drill: bool,
        now_ms: i64,
    ) -> Result<(String, Option<String>), RegistryError> {
        self.write(now_ms, |change| {
            let Some(from) = pointers::standing(change, model, PROD)? else {
                return Err(RegistryError::Conflict(format!(
                    "{PROD} of {model:?} stands on no version: nothing to roll back"
                )));
            };
            if to == Some(from.as_str()) {
                return Err(RegistryError::Conflict(format!("{PROD} of {model:?} stands on version {from:?} already")));
            }
            if let Some(to) = to {
                versions::known(change, model, to)?;
                if !pointers::has_stood(change, model, PROD, to)? {
                    return Err(RegistryError::Conflict(format!(
                        "version {to:?} of {model:?} never was in {PROD}: a rollback returns, a promotion goes on"
                    )));
                }
                if let Some(why) = pointers::against(change, model, to)? {
                    return Err(RegistryError::Conflict(format!(
                        "{PROD} of {model:?} does not go back to version {to:?}: {why}; name another one with --to, or \
                         leave it out for the last stable one"
                    )));
                }
            }
            if drill {
                let target = match to {
                    Some(to) => Some(to.to_owned()),
                    None => pointers::last_stable(change, model, &from)?,
                };
                let reason = reason.to_owned();
                let drill = Event::RollbackDrill { from: from.clone(), to: target.clone(), reason };
                change.audit(actor, (model, Some(&from)), &drill)?;
                return Ok((from, target));
            }
            let request = Request { model, from: &from, to, actor, reason, ts_ms: now_ms, automatic: false };
            let target = make(change, &request)?;
            Ok((from.clone(), target))
        })
    }

    /// Rollbacks that the stream has not confirmed: the old version was not seen serving yet.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn pending_rollbacks(&self) -> Result<Vec<PendingRollback>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT model, from_version, to_version, since_ms FROM pending_rollbacks ORDER BY model")?
                .query_map([], |row| {
                    Ok(PendingRollback {
                        model: row.get(0)?,
                        from: row.get(1)?,
                        to: row.get(2)?,
                        since: utc(row.get(3)?),
                    })
                })?
                .collect()
        })
    }
}

/// Takes prod back from a failing version, if it is on it and the model is not frozen.
pub(super) fn by_signal(change: &Change<'_>, signal: &Signal, ts_ms: i64) -> Result<Applied, RegistryError> {
    let (model, version) = (signal.model.as_str(), signal.version.as_str());
    match pointers::standing(change, model, PROD)? {
        Some(standing) if standing == version => {}
        Some(standing) => {
            return Ok(Applied::Ignored(format!("{PROD} stands on version {standing:?}, not on {version:?}")));
        }
        None => return Ok(Applied::Ignored(format!("{PROD} of {model:?} stands on no version"))),
    }
    if let Some(frozen) = freezing::frozen(change, model)? {
        return Ok(Applied::Ignored(format!("the model is frozen {frozen}")));
    }
    let reason = signal.reasons.join("; ");
    let request = Request { model, from: version, to: None, actor: DRIFTGATE, reason: &reason, ts_ms, automatic: true };
    Ok(Applied::Done { rollback_to: make(change, &request)? })
}

/// Moves prod from the version that it is on, and does what follows from that: a rollout ends, an automatic
/// rollback freezes the model, and the move is pending until the stream shows the old version serving.
pub(super) fn make(change: &Change<'_>, request: &Request<'_>) -> Result<Option<String>, RegistryError> {
    let &Request { model, from, to, actor, reason, ts_ms, automatic } = request;
    let target = match to {
        Some(to) => Some(to.to_owned()),
        None => pointers::last_stable(change, model, from)?,
    };
    let ts = utc(ts_ms);
    let rollback = Event::Rollback {
        from: from.to_owned(),
        to: target.clone(),
        reason: reason.to_owned(),
        ts: ts.clone(),
        automatic,
    };
    change.audit(actor, (model, Some(from)), &rollback)?;
    let told = match &target {
        Some(to) => format!("version {from:?} was rolled back to {to:?}: {reason}"),
        None => format!("version {from:?} should be rolled back, but no former {PROD} version is stable: {reason}"),
    };
    if let Some(to) = &target {
        let back = Move { model, stage: PROD, to, actor, reason: &told, rollback: true };
        pointers::make(change, &back)?;
        change
            .prepare_cached("UPDATE versions SET rolled_back = ?3 WHERE model = ?1 AND version = ?2")?
            .execute([model, from, &ts])?;
        change
            .prepare_cached(
                "INSERT OR REPLACE INTO pending_rollbacks (model, from_version, to_version, since_ms)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![model, from, to, ts_ms])?;
        change.happened(&Fact::RolledBack { model, from, to, reason, ts: &ts })?;
    }
    if target.is_some() {
        let promoted: Option<String> = change
            .prepare_cached(
                "SELECT id FROM promotions WHERE model = ?1 AND version = ?2 AND stage = ?3 ORDER BY rowid DESC LIMIT 1",
            )?
            .query_row([model, from, PROD], |row| row.get(0))
            .optional()?;
        if let Some(id) = promoted {
            finish(change, &id, "rolled_back")?;
        }
    }
    if automatic {
        freezing::freeze(change, model, &ts, &told)?;
    }
    if target.is_some() {
        rollout_rows::end_by_rollback(change, model, from, &told)?;
    }
    Ok(target)
}

/// The stream shows a version serving in prod: a rollback to it that was pending is done.
pub(super) fn confirm(
    change: &Change<'_>,
    model: &str,
    version: &str,
    window: (i64, i64),
) -> Result<(), RegistryError> {
    let pending: Option<i64> = change
        .prepare_cached("SELECT since_ms FROM pending_rollbacks WHERE model = ?1 AND to_version = ?2")?
        .query_row([model, version], |row| row.get(0))
        .optional()?;
    // Only a window that began after it: the old version may have served beside the new one before.
    if pending.is_some_and(|since| window.0 >= since) {
        change.audit(DRIFTGATE, (model, Some(version)), &Event::RollbackConfirmed { window_end: utc(window.1) })?;
        change.prepare_cached("DELETE FROM pending_rollbacks WHERE model = ?1")?.execute([model])?;
    }
    Ok(())
}
