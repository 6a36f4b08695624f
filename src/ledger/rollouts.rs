//! Rollouts as they are kept: the state machine's state in a row, its effects carried out in the transaction that took
//! the verdict. A process that dies in between did nothing, or all of it.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::json;

use super::change::Change;
use super::pointers::{self, Move};
use super::promotions::{self, Desk, finish};
use super::rollback::{self, Request};
use super::{Embedded, signals::ACTOR};
use crate::registry::{PROD, RegistryError};
use driftgate_core::audit::event::{Event, RolloutEvent, RolloutTold};
use driftgate_core::codec::time::utc;
use driftgate_core::fact::{Fact, RolloutStep};
use driftgate_core::gate::GateVerdict;
use driftgate_core::policy::{Policy, Rollout, Transition};
use driftgate_core::promotion::types::{Finding, Outcome};
use driftgate_core::rollout::{self, Effect, Input, Phase, State};

/// The stage pointer of a candidate that has a share of the traffic.
const CANARY: &str = "canary";

/// Why a rollout stands still while its model is frozen.
pub const FROZEN: &str = "the model is frozen";

/// What a person, or another controller, tells a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'a> {
    Pause(&'a str),
    Resume,
    Abort(&'a str),
    /// Skips what is left of the steps; the gate is asked all the same.
    Promote,
    /// The controller elsewhere came to an end.
    External {
        succeeded: bool,
    },
}

impl Embedded {
    /// The rollout of a model that is under way.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn rollout(&self, model: &str) -> Result<Option<State>, RegistryError> {
        self.read_checked(|tx| active(tx, model))
    }

    /// The last rollout of each model, under way or ended.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn rollouts(&self) -> Result<Vec<State>, RegistryError> {
        let texts: Vec<String> = self.read(|tx| {
            tx.prepare_cached(
                "SELECT state FROM rollouts AS r
                 WHERE rowid = (SELECT max(rowid) FROM rollouts WHERE model = r.model) ORDER BY model",
            )?
            .query_map([], |row| row.get(0))?
            .collect()
        })?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// The last rollout of a model, under way or ended.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn last_rollout(&self, model: &str) -> Result<Option<State>, RegistryError> {
        let text: Option<String> = self.read(|tx| {
            tx.prepare_cached("SELECT state FROM rollouts WHERE model = ?1 ORDER BY rowid DESC LIMIT 1")?
                .query_row([model], |row| row.get(0))
                .optional()
        })?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

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

/// Begins the rollout of a promotion.
pub(super) fn start(
    change: &Change<'_>,
    desk: &Desk<'_>,
    id: &str,
    version: &str,
    transition: &Transition,
    champion: Option<String>,
) -> Result<State, RegistryError> {
    let model = desk.policy.model.as_str();
    let Some(plan) = &transition.rollout else {
        return Err(RegistryError::Conflict(format!("the transition to {:?} has no rollout", transition.to)));
    };
    // Event time begins where the model's verdicts stand.
    let reached: Option<i64> = change
        .prepare_cached("SELECT max(end_ms) FROM verdicts WHERE model = ?1")?
        .query_row([model], |row| row.get(0))?;
    let identity = rollout::Identity {
        id: id.to_owned(),
        model: model.to_owned(),
        candidate: version.to_owned(),
        champion,
        from: transition.from.clone(),
        to: transition.to.clone(),
    };
    let (mut state, effects) = rollout::start(identity, desk.policy, plan, reached.unwrap_or(desk.now_ms));
    change
        .prepare_cached("INSERT INTO rollouts (id, model, version, active, at, state) VALUES (?1, ?2, ?3, 1, ?4, ?5)")?
        .execute(params![id, model, version, change.now_ms, json!(state).to_string()])?;
    carry_out(change, desk, &mut state, effects, true)?;
    save(change, &state)?;
    Ok(state)
}

/// What the policy, as it is now, says of a rollout.
fn plan_of<'p>(policy: &'p Policy, state: &State) -> Option<&'p Rollout> {
    policy.transitions.iter().find(|t| t.from == state.from && t.to == state.to)?.rollout.as_ref()
}

/// Gives the rollout under way an input; it may go on, wait or end.
pub(super) fn advance(change: &Change<'_>, desk: &Desk<'_>, input: Input<'_>) -> Result<Option<State>, RegistryError> {
    let Some(mut state) = active(change, &desk.policy.model)? else { return Ok(None) };
    let Some(plan) = plan_of(desk.policy, &state) else {
        // The policy was changed under way: nothing says how to go on, so it stands until somebody ends it.
        if !matches!(input, Input::Abort(_)) {
            return Ok(Some(state));
        }
        end(change, &mut state, Phase::Failed, "aborted; the policy has no such rollout any more")?;
        return Ok(Some(state));
    };
    let before = state.clone();
    // While a model is frozen nothing goes on by itself; what breaches ends all the same.
    if matches!(input, Input::Verdict(_)) && state.paused.is_none() && super::frozen(change, &state.model)?.is_some() {
        let effects = rollout::step(&mut state, desk.policy, plan, Input::Pause(FROZEN.to_owned()));
        carry_out(change, desk, &mut state, effects, false)?;
    }
    let by_person = matches!(input, Input::Abort(_));
    let effects = rollout::step(&mut state, desk.policy, plan, input);
    carry_out(change, desk, &mut state, effects, by_person)?;
    if state != before {
        save(change, &state)?;
    }
    Ok(Some(state))
}

/// Pauses the rollout that a verdict of a version is about, where it cannot be read: what it says is not known, and that
/// must not pass for nothing.
pub(super) fn pause_unread(
    change: &Change<'_>,
    desk: &Desk<'_>,
    version: &str,
    why: &str,
) -> Result<(), RegistryError> {
    let about = |state: &State| state.candidate == version || state.champion.as_deref() == Some(version);
    if active(change, &desk.policy.model)?.is_some_and(|state| about(&state)) {
        tell(change, desk, &Told::Pause(why))?;
    }
    Ok(())
}

pub(super) fn tell(change: &Change<'_>, desk: &Desk<'_>, told: &Told<'_>) -> Result<Option<State>, RegistryError> {
    let found = active(change, &desk.policy.model);
    if let (Err(RegistryError::Conflict(_)), Told::Abort(reason)) = (&found, told) {
        // What cannot be read can still be ended.
        let told = RolloutTold::Abort { reason: (*reason).to_owned() };
        change.audit(desk.actor, (&desk.policy.model, None), &Event::Rollout(RolloutEvent::Told(told)))?;
        change.execute("UPDATE rollouts SET active = 0 WHERE model = ?1 AND active", [&desk.policy.model])?;
        return Ok(None);
    }
    let Some(state) = found? else { return Ok(None) };
    let (what, input) = match *told {
        Told::Pause(reason) => (RolloutTold::Pause { reason: reason.to_owned() }, Input::Pause(reason.to_owned())),
        Told::Resume => (RolloutTold::Resume, Input::Resume),
        Told::Abort(reason) => (RolloutTold::Abort { reason: reason.to_owned() }, Input::Abort(reason.to_owned())),
        Told::Promote => (RolloutTold::Promote, Input::Promote),
        Told::External { succeeded } => (
            RolloutTold::External { succeeded, refused: None },
            Input::External { succeeded, why: "said by the controller".to_owned() },
        ),
    };
    record(change, desk.actor, &state, RolloutEvent::Told(what))?;
    advance(change, desk, input)
}

/// Gates that ask for no live data: whatever they leave open is no want of events.
const RECORDED: [&str; 11] = [
    "evidence",
    "offline",
    "schema",
    "lineage",
    "from",
    "rollback",
    "retry",
    "approvals",
    "registry_drift",
    "registered",
    "checks",
];

/// Why prod does not move at the end of another controller's rollout: the gate passed when it began, and what speaks
/// against the version by now is written down. Live checks that want data refuse nothing, as during the rollout.
pub(super) fn refused(change: &Change<'_>, desk: &Desk<'_>, told: &Told<'_>) -> Result<Option<String>, RegistryError> {
    if !matches!(told, Told::External { succeeded: true }) {
        return Ok(None);
    }
    let Some(mut state) = active(change, &desk.policy.model)?.filter(|state| state.external) else { return Ok(None) };
    let (answer, _) = promotions::ask(change, change.artifacts, desk, &state.candidate, &state.to, None)?;
    let is_live = |gate: &str| {
        let group = gate.split('/').next().unwrap_or(gate);
        !RECORDED.contains(&group) && desk.policy.groups.iter().any(|g| g.name == group)
    };
    let holds = |finding: &&Finding| match finding.outcome {
        Outcome::Pass | Outcome::Warn => false,
        Outcome::Block | Outcome::Pending => true,
        Outcome::Inconclusive => !is_live(&finding.gate),
    };
    let against: Vec<&str> = answer.gates.iter().filter(holds).map(|finding| finding.detail.as_str()).collect();
    if against.is_empty() {
        return Ok(None);
    }
    let why = format!("the gate does not pass any more: {}", against.join("; "));
    let told = RolloutTold::External { succeeded: true, refused: Some(why.clone()) };
    record(change, desk.actor, &state, RolloutEvent::Told(told))?;
    state.why.clone_from(&why);
    save(change, &state)?;
    Ok(Some(format!(
        "{} of {:?} did not move to version {:?}: {why}; mend that and say again that the rollout succeeded, or abort it",
        state.to, state.model, state.candidate
    )))
}

/// Does what the state machine asks for. Asking the gate gives it the next input. What a person asked for happens in a
/// freeze, too, and begins none.
fn carry_out(
    change: &Change<'_>,
    desk: &Desk<'_>,
    state: &mut State,
    effects: Vec<Effect>,
    by_person: bool,
) -> Result<(), RegistryError> {
    let (model, candidate) = (state.model.clone(), state.candidate.clone());
    let note = |change: &Change<'_>, what: RolloutEvent| {
        change.audit(desk.actor, (&model, Some(&candidate)), &Event::Rollout(what))
    };
    // A rollback says itself what becomes of the weight; where nothing could be moved, the traffic stays, too.
    let mut back: Option<Option<String>> = None;
    for effect in effects {
        match effect {
            Effect::SetWeight(_) if back.is_some() => {
                if back == Some(None) {
                    state.weight = 100.0;
                }
            }
            Effect::SetWeight(weight) => publish(change, state, Some(weight))?,
            Effect::Phase(phase) => {
                note(change, RolloutEvent::Phase { phase: phase.name().to_owned(), why: state.why.clone() })?;
                publish(change, state, None)?;
                if phase.is_over() {
                    end(change, state, phase, &state.why.clone())?;
                }
            }
            Effect::Note(text) => note(change, RolloutEvent::Note { note: text })?,
            Effect::MovePointer { stage, to } => {
                if !state.dry_run {
                    let reason = format!("rollout {}: {}", state.id, state.why);
                    pointers::make(
                        change,
                        &Move {
                            model: &model,
                            stage: &stage,
                            to: &to,
                            actor: desk.actor,
                            reason: &reason,
                            rollback: false,
                        },
                    )?;
                }
            }
            Effect::AskGate => {
                let (answer, _) = promotions::ask(change, change.artifacts, desk, &candidate, &state.to, None)?;
                let pass = answer.verdict == GateVerdict::Pass;
                let why = answer.reasons.join("; ");
                if let Some(plan) = plan_of(desk.policy, state) {
                    let next = rollout::step(state, desk.policy, plan, Input::Gate { pass, why });
                    carry_out(change, desk, state, next, by_person)?;
                }
            }
            // The phase says so, too.
            Effect::Failed { .. } => {}
            Effect::RollBack { reason } => {
                if !by_person && super::frozen(change, &model)?.is_some() {
                    let note_text = format!("not rolled back, since the model is frozen: {reason}");
                    note(change, RolloutEvent::Note { note: note_text })?;
                    back = Some(None);
                } else if state.to == PROD
                    && !state.dry_run
                    && pointers::standing(change, &model, PROD)?.as_deref() == Some(&candidate)
                {
                    let request = Request {
                        model: &model,
                        from: &candidate,
                        to: None,
                        actor: if by_person { desk.actor } else { ACTOR },
                        reason: &reason,
                        ts_ms: state.now_ms,
                        automatic: !by_person,
                    };
                    back = Some(rollback::make(change, &request)?);
                }
            }
        }
    }
    Ok(())
}

/// Tells the traffic router what the rollout has come to.
fn publish(change: &Change<'_>, state: &State, weight: Option<f64>) -> Result<(), RegistryError> {
    let step = match weight {
        Some(weight) => {
            record(change, ACTOR, state, RolloutEvent::Weight { weight, ts: utc(state.now_ms) })?;
            RolloutStep::Weight(weight)
        }
        None => RolloutStep::Phase,
    };
    change.happened(&Fact::Rollout { state, step })
}

/// Adds what happened to a rollout to the audit log.
fn record(change: &Change<'_>, actor: &str, state: &State, event: RolloutEvent) -> Result<(), RegistryError> {
    change.audit(actor, (&state.model, Some(&state.candidate)), &Event::Rollout(event))
}

fn save(change: &Change<'_>, state: &State) -> Result<(), RegistryError> {
    let active = !state.phase.is_over();
    change.prepare_cached("UPDATE rollouts SET state = ?2, active = ?3 WHERE id = ?1")?.execute(params![
        state.id,
        json!(state).to_string(),
        active
    ])?;
    Ok(())
}

/// What is left to do when a rollout has ended.
fn end(change: &Change<'_>, state: &mut State, phase: Phase, why: &str) -> Result<(), RegistryError> {
    state.phase = phase;
    why.clone_into(&mut state.why);
    let status = if phase == Phase::Succeeded { "promoted" } else { "failed" };
    finish(change, &state.id, status)?;
    if !state.dry_run
        && !state.external
        && pointers::standing(change, &state.model, CANARY)?.as_deref() == Some(&state.candidate)
    {
        pointers::clear(change, &state.model, CANARY, ACTOR, &format!("rollout {} ended: {why}", state.id))?;
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
