//! Rows of rollouts, what is recorded and sent of them, and their end.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::change::Change;
use super::error::RegistryError;
use super::pointers;
use super::promotion_records::finish;
use driftgate_core::audit::event::{Event, RolloutEvent};
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::codec::time::utc;
use driftgate_core::fact::{Fact, RolloutStep};
use driftgate_core::rollout::{Phase, State};

/// The stage pointer of a candidate that has a share of the traffic.
const CANARY: &str = "canary";

/// Whether a rollout of a model is under way.
pub(super) fn is_active(tx: &Connection, model: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM rollouts WHERE model = ?1 AND active")?.exists([model])
}

pub(super) fn active(tx: &Connection, model: &str) -> Result<Option<State>, RegistryError> {
    let text: Option<String> = tx
        .prepare_cached("SELECT state FROM rollouts WHERE model = ?1 AND active")?
        .query_row([model], |row| row.get(0))
        .optional()?;
    let read = |text: String| {
        serde_json::from_str(&text)
            .map_err(|e| RegistryError::Conflict(format!("the rollout of {model:?} cannot be read ({e}): abort it")))
    };
    text.map(read).transpose()
}

/// The last rollout of a model, under way or ended; one that cannot be read is none.
pub(super) fn last(tx: &Connection, model: &str) -> rusqlite::Result<Option<State>> {
    let text: Option<String> = tx
        .prepare_cached("SELECT state FROM rollouts WHERE model = ?1 ORDER BY rowid DESC LIMIT 1")?
        .query_row([model], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Tells the traffic router what the rollout has come to.
pub(super) fn publish(change: &Change<'_>, state: &State, weight: Option<f64>) -> Result<(), RegistryError> {
    let step = match weight {
        Some(weight) => {
            record(change, DRIFTGATE, state, RolloutEvent::Weight { weight, ts: utc(state.now_ms) })?;
            RolloutStep::Weight(weight)
        }
        None => RolloutStep::Phase,
    };
    change.happened(&Fact::Rollout { state, step })
}

/// Adds what happened to a rollout to the audit log.
pub(super) fn record(
    change: &Change<'_>,
    actor: &str,
    state: &State,
    event: RolloutEvent,
) -> Result<(), RegistryError> {
    change.audit(actor, (&state.model, Some(&state.candidate)), &Event::Rollout(event))
}

pub(super) fn save(change: &Change<'_>, state: &State) -> Result<(), RegistryError> {
    let active = !state.phase.is_over();
    change.prepare_cached("UPDATE rollouts SET state = ?2, active = ?3 WHERE id = ?1")?.execute(params![
        state.id,
        json!(state).to_string(),
        active
    ])?;
    Ok(())
}

/// What is left to do when a rollout has ended.
pub(super) fn end(change: &Change<'_>, state: &mut State, phase: Phase, why: &str) -> Result<(), RegistryError> {
    state.phase = phase;
    why.clone_into(&mut state.why);
    let status = if phase == Phase::Succeeded { "promoted" } else { "failed" };
    finish(change, &state.id, status)?;
    if !state.dry_run
        && !state.external
        && pointers::standing(change, &state.model, CANARY)?.as_deref() == Some(&state.candidate)
    {
        pointers::clear(change, &state.model, CANARY, DRIFTGATE, &format!("rollout {} ended: {why}", state.id))?;
    }
    save(change, state)
}

/// A candidate that is not there any more ends its rollout; nothing is left of it to move.
pub(super) fn end_by_drift(change: &Change<'_>, model: &str, version: &str, why: &str) -> Result<(), RegistryError> {
    end_by_rollback(change, model, version, why)
}

/// A rollback ends the rollout of the version it takes away.
pub(super) fn end_by_rollback(change: &Change<'_>, model: &str, version: &str, why: &str) -> Result<(), RegistryError> {
    let Some(mut state) = active(change, model)?.filter(|s| s.candidate == version) else { return Ok(()) };
    state.weight = 0.0;
    end(change, &mut state, Phase::Failed, why)?;
    publish(change, &state, Some(0.0))
}
