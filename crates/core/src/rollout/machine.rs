//! The phases and steps of a rollout, and the effects of commands, the gate and other controllers on them; those of windows are in
//! `windows`. Nothing here reads a clock or touches anything outside the state.

use std::collections::BTreeMap;

use super::plan;
use super::route;
use super::state::{Comparison, Effect, Identity, Input, Pause, Phase, State};
use super::traffic::Share;
use crate::policy::{Enforce, Group, Policy, Rollout};

/// The stage whose pointer the candidate takes for the steps before the last.
const CANARY: &str = "canary";
const GATE_WAITS: &str = "the gate cannot answer yet";

/// A new rollout at an event time (ms), and its first effects. Without an initial delay the first step starts at once.
#[must_use]
pub fn start(identity: Identity, policy: &Policy, rollout: &Rollout, started_ms: i64) -> (State, Vec<Effect>) {
    let Identity { id, model, candidate, champion, from, to } = identity;
    let mut state = State {
        id,
        model,
        candidate,
        champion,
        from,
        to,
        phase: Phase::Waiting,
        step: 0,
        weight: 0.0,
        paused: None,
        inconclusive: false,
        started_ms,
        step_started_ms: started_ms,
        now_ms: started_ms,
        pauses: Vec::new(),
        first_seen_ms: BTreeMap::new(),
        processed_ms: BTreeMap::new(),
        measured: BTreeMap::new(),
        breaches: BTreeMap::new(),
        comparison: Comparison::default(),
        looks: Vec::new(),
        gate_asked: false,
        confirmed: false,
        external: rollout.external,
        dry_run: rollout.dry_run,
        routes: Vec::new(),
        share: Share::default(),
        why: "started".to_owned(),
    };
    let mut machine = Machine { state: &mut state, policy, rollout, effects: Vec::new() };
    machine.note(plan::describe(policy, rollout));
    if machine.counting().next().is_none() {
        machine.note("no group of the rollout's checks enforces `block`: nothing measures it, and it will not advance");
    }
    if rollout.initial_delay > 0 {
        machine.effects.push(Effect::Phase(Phase::Waiting));
    } else {
        machine.begin();
    }
    let effects = machine.effects;
    (state, effects)
}

/// Takes an input and returns the effects. An input that does not fit the state (a window seen before, a rollout that is over)
/// changes nothing and asks for nothing.
pub fn step(state: &mut State, policy: &Policy, rollout: &Rollout, input: Input<'_>) -> Vec<Effect> {
    if state.phase.is_over() {
        return Vec::new();
    }
    let mut machine = Machine { state, policy, rollout, effects: Vec::new() };
    match input {
        Input::Verdict(verdict) => machine.verdict(verdict),
        Input::Pause(reason) => machine.pause(&reason),
        Input::Resume => machine.resume(),
        Input::Abort(reason) => machine.fail(&format!("aborted: {reason}")),
        Input::Promote => machine.promote(),
        Input::Gate { pass, why } => machine.gate(pass, &why),
        Input::GateWaits(why) => machine.gate_waits(&why),
        Input::AskAgain => machine.ask_again(),
        Input::External { succeeded, why } => machine.external(succeeded, &why),
    }
    machine.effects
}

pub(super) struct Machine<'a> {
    pub state: &'a mut State,
    pub policy: &'a Policy,
    pub rollout: &'a Rollout,
    effects: Vec<Effect>,
}

impl<'a> Machine<'a> {
    /// The groups that count, with their indexes.
    pub fn counting(&self) -> impl Iterator<Item = (usize, &'a Group)> + use<'a> {
        let policy = self.policy;
        let named = self.rollout.checks.iter().filter_map(|&at| Some((at, policy.groups.get(at)?)));
        named.filter(|(_, group)| group.enforce == Enforce::Block)
    }

    pub fn last_step(&self) -> usize {
        self.rollout.steps.len().saturating_sub(1)
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.effects.push(Effect::Note(text.into()));
    }

    pub fn enter(&mut self, phase: Phase) {
        if self.state.phase != phase {
            self.state.phase = phase;
            self.effects.push(Effect::Phase(phase));
        }
    }

    fn set_weight(&mut self, weight: f64) {
        self.state.weight = weight;
        self.state.share = Share::default();
        self.effects.push(Effect::SetWeight(weight));
    }

    fn point(&mut self, stage: String) {
        self.effects.push(Effect::MovePointer { stage, to: self.state.candidate.clone() });
    }

    /// Leaves Waiting.
    pub fn begin(&mut self) {
        if self.state.external {
            self.restart_step();
            self.enter(Phase::Progressing);
        } else if self.last_step() > 0 {
            self.enter(Phase::Progressing);
            self.point(CANARY.to_owned());
            self.start_step(0);
        } else {
            self.ask_or_wait("there are no steps before the last");
        }
    }

    /// Starts the measurements of a step anew.
    fn restart_step(&mut self) {
        self.state.step_started_ms = self.state.now_ms;
        self.state.measured.clear();
        self.state.pauses.clear();
    }

    pub fn start_step(&mut self, at: usize) {
        self.state.step = at;
        self.state.comparison = Comparison::default();
        self.restart_step();
        if let Some(step) = self.rollout.steps.get(at) {
            self.set_weight(step.weight);
            self.state.why = format!("step {} of {}: {}", at + 1, self.rollout.steps.len(), plan::step(step));
            self.note(self.state.why.clone());
        }
    }

    /// The steps before the last are done, or skipped.
    pub fn ask_or_wait(&mut self, why: &str) {
        self.enter(Phase::WaitingPromotion);
        if self.rollout.confirm && !self.state.confirmed {
            self.state.why = format!("{why}; waits for a person to promote");
            self.note(self.state.why.clone());
        } else {
            why.clone_into(&mut self.state.why);
            self.ask();
        }
    }

    fn ask(&mut self) {
        self.state.gate_asked = true;
        self.effects.push(Effect::AskGate);
    }

    pub fn fail(&mut self, reason: &str) {
        let reason = reason.to_owned();
        let moved = self.state.phase == Phase::Promoting;
        self.unpause();
        self.state.gate_asked = false;
        self.state.why.clone_from(&reason);
        if self.state.external {
            self.note(reason.clone());
        } else {
            if moved {
                self.effects.push(Effect::RollBack { reason: reason.clone() });
            }
            self.set_weight(0.0);
        }
        if !moved {
            self.effects.push(Effect::Failed { reason });
        }
        self.enter(Phase::Failed);
    }

    // Inputs of people and other systems.

    pub fn stand_still(&mut self, why: String, inconclusive: bool) {
        self.state.pauses.push(Pause { from_ms: self.state.now_ms, to_ms: None });
        self.note(format!("paused: {why}"));
        self.state.why.clone_from(&why);
        self.state.paused = Some(why);
        self.state.inconclusive = inconclusive;
    }

    /// Whether it was paused.
    fn unpause(&mut self) -> bool {
        let now = self.state.now_ms;
        for pause in self.state.pauses.iter_mut().filter(|pause| pause.to_ms.is_none()) {
            pause.to_ms = Some(now);
        }
        self.state.inconclusive = false;
        self.state.paused.take().is_some()
    }

    fn pause(&mut self, reason: &str) {
        if self.state.paused.is_none() {
            self.stand_still(reason.to_owned(), false);
        }
    }

    fn resume(&mut self) {
        let again = self.state.inconclusive;
        if !self.unpause() {
            return;
        }
        "resumed".clone_into(&mut self.state.why);
        route::take_back(self.state);
        self.state.share.begin_anew();
        self.note(if again { "resumed: the step runs once more" } else { "resumed" });
        match self.state.phase {
            // The counts compared so far stay: the interval holds however often it is looked at.
            Phase::Progressing | Phase::Promoting if again => self.restart_step(),
            Phase::WaitingPromotion if !self.state.gate_asked => self.ask_or_wait("resumed"),
            _ => {}
        }
    }

    fn promote(&mut self) {
        match self.state.phase {
            _ if self.state.external => {}
            Phase::Waiting | Phase::Progressing => {
                self.unpause();
                self.state.confirmed = true;
                self.ask_or_wait("promoted by a person, the waits left are skipped");
            }
            Phase::WaitingPromotion => {
                let paused = self.unpause();
                self.state.confirmed = true;
                if !self.state.gate_asked {
                    self.ask_or_wait("promoted by a person");
                } else if paused {
                    self.note("resumed");
                }
            }
            // A bake cannot be skipped.
            Phase::Promoting | Phase::Succeeded | Phase::Failed => {}
        }
    }

    fn gate(&mut self, pass: bool, why: &str) {
        if !self.state.gate_asked {
            return;
        }
        self.state.gate_asked = false;
        if self.state.paused.is_some() {
            self.note("the gate answered during a pause: it is asked again afterwards");
        } else if pass {
            self.enter(Phase::Promoting);
            self.point(self.state.to.clone());
            self.start_step(self.last_step());
        } else {
            self.stand_still(format!("the gate did not pass: {why}"), false);
        }
    }

    /// Nothing speaks against the version: the rollout stands where it is, and no person is needed.
    fn gate_waits(&mut self, why: &str) {
        if !self.state.gate_asked {
            return;
        }
        if self.state.paused.is_some() {
            self.state.gate_asked = false;
            return;
        }
        let before = std::mem::replace(&mut self.state.why, format!("{GATE_WAITS}: {why}"));
        if !before.starts_with(GATE_WAITS) {
            self.note(self.state.why.clone());
        }
    }

    fn ask_again(&mut self) {
        if self.state.gate_asked && self.state.paused.is_none() {
            self.ask();
        }
    }

    fn external(&mut self, succeeded: bool, why: &str) {
        if !self.state.external {
            return;
        }
        if succeeded {
            self.unpause();
            why.clone_into(&mut self.state.why);
            self.point(self.state.to.clone());
            self.enter(Phase::Succeeded);
        } else {
            self.fail(why);
        }
    }
}
