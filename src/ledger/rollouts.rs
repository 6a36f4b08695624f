//! Rollouts as they are kept: the state machine's state in a row, its effects carried out in the transaction that took
//! the verdict. A process that dies in between did nothing, or all of it.

use rusqlite::{Connection, params};
use serde_json::json;

use super::change::Change;
use super::embedded::Embedded;
use super::error::RegistryError;
use super::freezing::frozen;
use super::gate::{RequestContext, ask, ask_for};
use super::pointers::{self, Move};
use super::rollback::{self, Request};
use super::rollout_rows::{active, end, last, publish, record, save};
use driftgate_core::audit::event::{Event, RolloutEvent, RolloutTold};
use driftgate_core::audit::names::DRIFTGATE;
use driftgate_core::gate::{self, GateVerdict};
use driftgate_core::policy::Transition;
use driftgate_core::promotion::PROD;
use driftgate_core::rollout::{self, Effect, Input, Phase, State, plan_of};

/// Why a rollout is paused while its model is frozen.
pub const FROZEN: &str = "the model is frozen";

/// What a person, or another controller, tells a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutCommand<'a> {
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
        self.read(|tx| last(tx, model))
    }
}

/// Asks the gates again that could not answer, each rollout in a change of its own.
pub(super) fn ask_again(change: &Change<'_>, context: &RequestContext<'_>) -> Result<(), RegistryError> {
    advance(change, context, Input::AskAgain).map(drop)
}

/// The rollouts whose gate could not answer when it was asked.
pub(super) fn waiting_for_the_gate(tx: &Connection) -> Result<Vec<State>, RegistryError> {
    let texts: Vec<String> = tx
        .prepare_cached("SELECT state FROM rollouts WHERE active ORDER BY model")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let states = texts.iter().filter_map(|text| serde_json::from_str::<State>(text).ok());
    Ok(states.filter(|state| state.gate_asked && state.paused.is_none()).collect())
}

/// Begins the rollout of a promotion.
pub(super) fn start(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    id: &str,
    version: &str,
    transition: &Transition,
    champion: Option<String>,
) -> Result<State, RegistryError> {
    let model = context.policy.model.as_str();
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
    let (mut state, effects) = rollout::start(identity, context.policy, plan, reached.unwrap_or(context.now_ms));
    change
        .prepare_cached("INSERT INTO rollouts (id, model, version, active, at, state) VALUES (?1, ?2, ?3, 1, ?4, ?5)")?
        .execute(params![id, model, version, change.now_ms, json!(state).to_string()])?;
    carry_out(change, context, &mut state, effects, true)?;
    save(change, &state)?;
    Ok(state)
}

/// Gives the rollout under way an input; it may go on, wait or end.
pub(super) fn advance(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    input: Input<'_>,
) -> Result<Option<State>, RegistryError> {
    let Some(mut state) = active(change, &context.policy.model)? else { return Ok(None) };
    let Some(plan) = plan_of(context.policy, &state) else {
        // The policy was changed under way: nothing says how to go on, so it waits until a person ends it.
        if !matches!(input, Input::Abort(_)) {
            return Ok(Some(state));
        }
        end(change, &mut state, Phase::Failed, "aborted; the policy has no such rollout any more")?;
        return Ok(Some(state));
    };
    let before = state.clone();
    // While a model is frozen nothing goes on by itself; what breaches ends all the same.
    if matches!(input, Input::Verdict(_)) && state.paused.is_none() && frozen(change, &state.model)?.is_some() {
        let effects = rollout::step(&mut state, context.policy, plan, Input::Pause(FROZEN.to_owned()));
        carry_out(change, context, &mut state, effects, false)?;
    }
    let by_person = matches!(input, Input::Abort(_));
    let effects = rollout::step(&mut state, context.policy, plan, input);
    carry_out(change, context, &mut state, effects, by_person)?;
    if state != before {
        save(change, &state)?;
    }
    Ok(Some(state))
}

/// Pauses the rollout that a verdict of a version is about, where it cannot be read: what it says is not known, and that
/// must not pass for nothing.
pub(super) fn pause_unread(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    version: &str,
    why: &str,
) -> Result<(), RegistryError> {
    let about = |state: &State| state.candidate == version || state.champion.as_deref() == Some(version);
    if active(change, &context.policy.model)?.is_some_and(|state| about(&state)) {
        tell(change, context, &RolloutCommand::Pause(why))?;
    }
    Ok(())
}

pub(super) fn tell(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    command: &RolloutCommand<'_>,
) -> Result<Option<State>, RegistryError> {
    let found = active(change, &context.policy.model);
    if let (Err(RegistryError::Conflict(_)), RolloutCommand::Abort(reason)) = (&found, command) {
        // What cannot be read can still be ended.
        let told = RolloutTold::Abort { reason: (*reason).to_owned() };
        change.audit(context.actor, (&context.policy.model, None), &Event::Rollout(RolloutEvent::Told(told)))?;
        change.execute("UPDATE rollouts SET active = 0 WHERE model = ?1 AND active", [&context.policy.model])?;
        return Ok(None);
    }
    let Some(state) = found? else { return Ok(None) };
    let (what, input) = match *command {
        RolloutCommand::Pause(reason) => {
            (RolloutTold::Pause { reason: reason.to_owned() }, Input::Pause(reason.to_owned()))
        }
        RolloutCommand::Resume => (RolloutTold::Resume, Input::Resume),
        RolloutCommand::Abort(reason) => {
            (RolloutTold::Abort { reason: reason.to_owned() }, Input::Abort(reason.to_owned()))
        }
        RolloutCommand::Promote => (RolloutTold::Promote, Input::Promote),
        RolloutCommand::External { succeeded } => (
            RolloutTold::External { succeeded, refused: None },
            Input::External { succeeded, why: "said by the controller".to_owned() },
        ),
    };
    record(change, context.actor, &state, RolloutEvent::Told(what))?;
    advance(change, context, input)
}

/// Why prod does not move at the end of another controller's rollout: the gate passed when it began, and what speaks
/// against the version by now is written down. Live checks that want data refuse nothing, as during the rollout.
pub(super) fn refused(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    command: &RolloutCommand<'_>,
) -> Result<Option<String>, RegistryError> {
    if !matches!(command, RolloutCommand::External { succeeded: true }) {
        return Ok(None);
    }
    let Some(mut state) = active(change, &context.policy.model)?.filter(|state| state.external) else {
        return Ok(None);
    };
    let asked = (state.candidate.as_str(), state.to.as_str(), None);
    let (against, _) = ask_for(change, change.artifacts, context, asked, None, None, gate::objections)?;
    if against.is_empty() {
        return Ok(None);
    }
    let why = format!("the gate does not pass any more: {}", against.join("; "));
    let told = RolloutTold::External { succeeded: true, refused: Some(why.clone()) };
    record(change, context.actor, &state, RolloutEvent::Told(told))?;
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
    context: &RequestContext<'_>,
    state: &mut State,
    effects: Vec<Effect>,
    by_person: bool,
) -> Result<(), RegistryError> {
    let (model, candidate) = (state.model.clone(), state.candidate.clone());
    let note = |change: &Change<'_>, what: RolloutEvent| {
        change.audit(context.actor, (&model, Some(&candidate)), &Event::Rollout(what))
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
            Effect::MovePointer { stage: of_stage, to } => {
                if !state.dry_run {
                    let reason = &format!("rollout {}: {}", state.id, state.why);
                    let actor = context.actor;
                    let to_version = Move { model: &model, stage: &of_stage, to: &to, actor, reason, rollback: false };
                    pointers::make(change, &to_version)?;
                }
            }
            Effect::AskGate => {
                let answered = asked(change, context, &candidate, &state.to)?;
                if let Some(plan) = plan_of(context.policy, state) {
                    let next = rollout::step(state, context.policy, plan, answered);
                    carry_out(change, context, state, next, by_person)?;
                }
            }
            // The phase says so, too.
            Effect::Failed { .. } => {}
            Effect::RollBack { reason } => {
                if let Some(moved) = roll_back(change, context, state, &reason, by_person)? {
                    back = Some(moved);
                }
            }
        }
    }
    Ok(())
}

/// What the gate says of a rollout's candidate.
fn asked(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    candidate: &str,
    to: &str,
) -> Result<Input<'static>, RegistryError> {
    let (answer, dossier) = ask(change, change.artifacts, context, candidate, to, None)?;
    let why = answer.reasons.join("; ");
    Ok(if answer.verdict == GateVerdict::Pending && dossier.is_being_read() {
        Input::GateWaits(why)
    } else {
        Input::Gate { pass: answer.verdict == GateVerdict::Pass, why }
    })
}

/// Takes prod back from the candidate of a rollout; `None`: it does not stand there. `Some(None)`: nothing could be moved.
fn roll_back(
    change: &Change<'_>,
    context: &RequestContext<'_>,
    state: &State,
    reason: &str,
    by_person: bool,
) -> Result<Option<Option<String>>, RegistryError> {
    let State { model, candidate, .. } = state;
    if !by_person && frozen(change, model)?.is_some() {
        let note = format!("not rolled back, since the model is frozen: {reason}");
        record(change, context.actor, state, RolloutEvent::Note { note })?;
        return Ok(Some(None));
    }
    let stands = || Ok::<_, RegistryError>(pointers::standing(change, model, PROD)?.as_ref() == Some(candidate));
    if state.to != PROD || state.dry_run || !stands()? {
        return Ok(None);
    }
    let request = Request {
        model,
        from: candidate,
        to: None,
        actor: if by_person { context.actor } else { DRIFTGATE },
        reason,
        ts_ms: state.now_ms,
        automatic: !by_person,
    };
    Ok(Some(rollback::make(change, &request)?))
}
