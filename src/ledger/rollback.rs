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
use driftgate_core::judge::read::verdict_from_json;
use driftgate_core::judge::verdict::{Signal, Verdict};
use driftgate_core::policy::Policy;
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::{Applied, PendingRollback};

/// So many times as many predictions as the version that it left has the one that prod went back to, when its share is back.
const NEARLY_ALL: u64 = 100;

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

/// Takes a complete window of a version: a rollback that is pending is done once its share of the traffic is back.
pub(super) fn confirm(change: &Change<'_>, policy: &Policy, verdict: &Verdict) -> Result<(), RegistryError> {
    let model = verdict.model.as_str();
    let pending: Option<(String, String, i64)> = change
        .prepare_cached("SELECT from_version, to_version, since_ms FROM pending_rollbacks WHERE model = ?1")?
        .query_row([model], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((from, to, since_ms)) = pending else { return Ok(()) };
    let is_of_back = verdict.version == to;
    if !is_of_back && verdict.version != from {
        return Ok(());
    }
    let other = if is_of_back { &from } else { &to };
    let text: Option<String> = change
        .prepare_cached("SELECT json FROM verdicts WHERE model = ?1 AND version = ?2 AND group_name = ?3")?
        .query_row([model, other, &verdict.group], |row| row.get(0))
        .optional()?;
    let other = text.and_then(|text| verdict_from_json(&text).ok());
    let (back, left) = if is_of_back { (Some(verdict), other.as_ref()) } else { (other.as_ref(), Some(verdict)) };
    let Some(back) = back else { return Ok(()) };
    let slide = policy.groups.iter().find(|group| group.name == verdict.group).map_or(0, |group| group.window.slide);
    if is_back(back, left, (since_ms, slide)) {
        let window_end = utc(back.window.end);
        change.audit(DRIFTGATE, (model, Some(&to)), &Event::RollbackConfirmed { window_end })?;
        change.prepare_cached("DELETE FROM pending_rollbacks WHERE model = ?1")?.execute([model])?;
    }
    Ok(())
}

/// Whether a window that began after the rollback shows the version that prod went back to with the traffic, beside the one that it left in the same
/// window: that has none of its own any more, or events say of it that it serves another stage.
fn is_back(back: &Verdict, left: Option<&Verdict>, (since_ms, slide_ms): (i64, i64)) -> bool {
    let is_prod = |verdict: &Verdict| verdict.stage.as_deref().is_none_or(|stage| stage == PROD);
    let served = back.counted.predictions;
    // Before, the old version may have served beside the new one.
    if !back.window.complete || served == 0 || !is_prod(back) || back.window.start < since_ms {
        return false;
    }
    match left {
        None => true,
        Some(left) if left.window.end == back.window.end => {
            let astray = if is_prod(left) { left.counted.predictions } else { 0 };
            served >= NEARLY_ALL.saturating_mul(astray)
        }
        // Events that name the stage say who serves. Otherwise: windows of one end come one after the other, and what was in the last but one has no events.
        Some(left) => back.stage.is_some() || left.window.end < back.window.end.saturating_sub(slide_ms),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn window(version: &str, stage: Option<&str>, (start, end): (i64, i64), predictions: u64) -> Verdict {
        let of = json!({
            "verdict_id": "v", "model": "m", "version": version, "stage": stage, "group": "slo", "status": "pass", "results": [],
            "window": {"start": utc(start), "end": utc(end), "complete": true},
            "counted": {"predictions": predictions, "labels": 0}, "policy_sha256": "", "baseline_sha256": null,
        });
        verdict_from_json(&of.to_string()).unwrap()
    }

    #[test]
    fn a_share_is_back_when_the_version_that_prod_left_has_no_traffic_in_the_same_window() {
        let old = |stage, n| window("6", stage, (60_000, 120_000), n);
        let new = |stage, end: i64, n| window("7", stage, (end - 60_000, end), n);
        let back = |old: Verdict, new: Option<Verdict>| is_back(&old, new.as_ref(), (60_000, 60_000));
        assert!(back(old(Some(PROD), 30), None) && back(old(None, 1), None));
        assert!(!back(old(None, 0), None), "nothing serves");
        assert!(!back(old(Some("shadow"), 30), None), "another stage");
        assert!(!is_back(&old(None, 30), None, (60_001, 60_000)), "the window began before it");
        // Both in one window: whoever has the traffic.
        assert!(
            back(old(None, 300), Some(new(None, 120_000, 3))) && !back(old(None, 299), Some(new(None, 120_000, 3)))
        );
        assert!(!back(old(Some(PROD), 30), Some(new(Some(PROD), 120_000, 30))), "half of it");
        assert!(back(old(Some(PROD), 30), Some(new(Some("staging"), 120_000, 30))), "staging has traffic of its own");
        // The other's window of the same end may still come.
        assert!(!back(old(None, 30), Some(new(None, 60_000, 30))));
        assert!(back(old(None, 30), Some(new(None, 59_999, 30))), "it was left out twice");
        assert!(back(old(Some(PROD), 30), Some(new(Some(PROD), 60_000, 30))), "events say who serves");
    }
}
