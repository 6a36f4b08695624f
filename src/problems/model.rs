//! Problems of a model: where prod points to, what waits for a person, and events that its counts lack.

use super::found::Found;
use super::types::{ModelFacts, Problem, Severity, quoted};
use crate::ledger::{self, UNCONFIRMED};
use crate::view::ModelView;
use driftgate_core::codec::time::utc;
use driftgate_core::intake::Counters;
use driftgate_core::promotion::PROD;
use driftgate_core::promotion::version::{PendingRollback, StageMove, VersionRecord};
use driftgate_core::rollout::Phase;

/// What is wrong with a model; `now_ms` is the clock that freshness is measured by.
#[must_use]
pub fn of_model(model: &str, seen: &ModelView, facts: &ModelFacts, now_ms: i64) -> Vec<Problem> {
    let found = Found { model, seen, facts, now_ms };
    let mut all = found.pointers();
    all.extend(found.waiting());
    let mut names: Vec<&str> = facts.records.iter().map(|r| r.version.as_str()).collect();
    names.extend(seen.versions.keys().map(String::as_str).filter(|v| !names.contains(v)).collect::<Vec<_>>());
    for name in &names {
        all.extend(found.version(name));
    }
    if names.is_empty() {
        let next = format!("driftgate register {} VERSION, or check that events name the model", quoted(model));
        all.push(found.problem(
            Severity::Unknown,
            None,
            "no versions: none is registered, and no event names one",
            next,
        ));
    }
    all.extend(found.left_out());
    all.sort_by_key(|p| p.severity);
    all
}

impl Found<'_> {
    /// Prod's pointer and who serves.
    fn pointers(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        if let Some(PendingRollback { from, to, since, .. }) = &self.facts.pending {
            let what = format!("rolled back from {from} to {to} at {since}, and {to} was not seen serving since");
            let next = format!("make sure that {to} serves instead of {from}: the traffic does not show it yet");
            all.push(self.problem(Severity::Production, Some(to), what, next));
        }
        all.extend(self.facts.lost.iter().filter(|lost| self.concerns(lost)).map(|lost| self.lost(lost)));
        let prod_is_lost = self.facts.lost.iter().any(|lost| lost.stage.as_deref() == Some(PROD));
        let in_prod = |v: &VersionRecord| v.stages.iter().any(|s| s == PROD);
        if prod_is_lost || self.facts.records.iter().any(in_prod) {
            return all;
        }
        let register =
            |version: &str| format!("driftgate register {} {} --stage {PROD}", quoted(self.model), quoted(version));
        if let Some(StageMove { from: Some(from), to: None, at, actor, reason, .. }) = &self.facts.last_prod_move {
            let what = format!("{PROD} points to no version since {}: {actor} took it from {from}: {reason}", utc(*at));
            all.push(self.problem(Severity::Production, Some(from), what, register(from)));
        } else if let Some(version) = self.serving() {
            let what =
                format!("events say that version {version} serves {PROD}, and the registry has no version there");
            all.push(self.problem(Severity::Production, Some(version), what, register(version)));
        }
        all
    }

    /// The external registry has aliases for other ends, too: those that nobody named here are a problem where the policy names them.
    fn concerns(&self, lost: &ledger::Problem) -> bool {
        let stage = lost.stage.as_deref().unwrap_or(PROD);
        let transitions = &self.seen.policy.transitions;
        lost.kind != UNCONFIRMED || stage == PROD || transitions.iter().any(|t| t.from == stage || t.to == stage)
    }

    fn lost(&self, lost: &ledger::Problem) -> Problem {
        let ledger::Problem { kind, version, stage, since, detail, .. } = lost;
        let stands_in_prod = |version: &String| {
            self.facts.records.iter().any(|r| r.version == *version && r.stages.iter().any(|s| s == PROD))
        };
        let is_prod =
            stage.as_deref() == Some(PROD) || (stage.is_none() && version.as_ref().is_some_and(stands_in_prod));
        let severity = if is_prod { Severity::Production } else { Severity::Candidate };
        let next = match (stage, version) {
            (Some(_), Some(_)) if *kind != UNCONFIRMED => {
                "put the alias back in the external registry, or promote a version by its gate".to_owned()
            }
            (Some(stage), Some(version)) => {
                format!("driftgate register {} {} --stage {}", quoted(self.model), quoted(version), quoted(stage))
            }
            _ => "register the version there again, or promote another".to_owned(),
        };
        self.problem(severity, version.as_deref(), format!("{kind} since {since}: {detail}"), next)
    }

    /// The version that the latest windows show in prod.
    fn serving(&self) -> Option<&str> {
        let latest = self.seen.versions.iter().flat_map(|(name, v)| v.latest().map(move |verdict| (name, verdict)));
        let in_prod = latest.filter(|(_, verdict)| verdict.stage.as_deref() == Some(PROD));
        in_prod.max_by_key(|(_, verdict)| verdict.window.end).map(|(name, _)| name.as_str())
    }

    /// What stands still until a person does something.
    fn waiting(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        if let Some(frozen) = &self.facts.frozen {
            let next = format!(
                "driftgate resume {}   # once the cause is known: nothing moves by itself until then",
                quoted(self.model)
            );
            all.push(self.problem(Severity::Waiting, None, format!("frozen {frozen}"), next));
        }
        let Some(state) = self.facts.rollout.as_ref().filter(|state| !state.phase.is_over()) else { return all };
        let act = |action: &str, why: &str| format!("driftgate rollout {action} {}   # {why}", quoted(self.model));
        let version = Some(state.candidate.as_str());
        if let Some(why) = &state.paused {
            let what = format!("the rollout of {} is paused: {why}", state.candidate);
            let next = act("resume", "or abort, once it is clear why it stands still");
            all.push(self.problem(Severity::Waiting, version, what, next));
        } else if state.phase == Phase::WaitingPromotion && !state.confirmed {
            let what = format!("the rollout of {} waits: {}", state.candidate, state.why);
            all.push(self.problem(
                Severity::Waiting,
                version,
                what,
                act("promote", "it waits for a person, or for the gate"),
            ));
        }
        all
    }

    /// Events that the model's counts lack.
    fn left_out(&self) -> Vec<Problem> {
        let c = &self.seen.counters;
        let labels = c.joined.saturating_add(c.unmatched);
        let share_of = |part: u64, percent: u64, all: u64| {
            if part.saturating_mul(100) > all.saturating_mul(percent) { part } else { 0 }
        };
        let others = [
            (
                c.given_up,
                format!(
                    "{} predictions or labels were given up waiting for each other, since they took too much memory",
                    c.given_up
                ),
                "find out why labels are late, shorten the horizon, or raise limits.join_bytes".to_owned(),
            ),
            (
                self.seen.refused.names,
                format!(
                    "events name {} new versions beyond limits.new_versions an hour, and {} events of them count for no version",
                    self.seen.refused.names, self.seen.refused.events
                ),
                "register the versions that are; does something else than a version stand where events name it?"
                    .to_owned(),
            ),
            (
                share_of(c.unmatched, 5, labels),
                format!("{} of {labels} labels found no prediction", c.unmatched),
                "compare the ids and times of labels and predictions".to_owned(),
            ),
            (
                share_of(c.unclassed, 1, labels),
                format!(
                    "{} labels met a prediction without a class, with neither a decision nor a score that a threshold divides, and count in no rate",
                    c.unclassed
                ),
                "let predictions carry a decision or a score; for scores the policy needs a threshold".to_owned(),
            ),
            (
                share_of(c.unsegmented, 1, c.predictions),
                format!("{} times a prediction had no value of a segment and was left out of it", c.unsegmented),
                "compare the events with the policy's segments".to_owned(),
            ),
            (
                c.invalid_values,
                format!("{} values were invalid: of a wrong type or out of range", c.invalid_values),
                "compare the events with the policy's features; missing_rate and invalid_rate name them".to_owned(),
            ),
        ];
        untimely(c)
            .into_iter()
            .chain(others)
            .filter(|(count, ..)| *count > 0)
            .map(|(_, what, next)| self.problem(Severity::Partial, None, what, next))
            .collect()
    }
}

/// Events that came at the wrong time: how many, and what to do.
fn untimely(c: &Counters) -> [(u64, String, String); 3] {
    let lateness = "raise lateness in the policy, or find out why they come late".to_owned();
    [
        (c.after_close, format!("{} events came after their window was judged", c.after_close), lateness.clone()),
        (
            c.ahead,
            format!(
                "{} events were ahead of their partition's pace, and the events after them contradict their times",
                c.ahead
            ),
            "see the clocks of those who write them; the daemon's log has examples".to_owned(),
        ),
        (c.late, format!("{} times an event was later than lateness allows", c.late), lateness),
    ]
}
