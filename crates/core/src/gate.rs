//! The gate: may a version be promoted to a stage? A pure decision over the latest verdicts, the active blocks and what the
//! registry knows of the version; who collects them, and the only clock, are elsewhere.
//!
//! A group of checks counts if the transitions to the stage name it (without transitions: every group) and it enforces
//! `block`. An active block or a blocking verdict in such a group blocks; no verdict, or one that is incomplete,
//! insufficient or stale, is inconclusive. The transition's other gates are `promotion`'s: evidence, schema, offline metrics,
//! lineage, the way back, approvals. Nothing promotes without a check. `recorded` asks the same of a run in a file.

mod display;
mod live_checks;
pub mod recorded;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::codec::time::utc;
use crate::policy::{Enforce, Group, Policy, Transition};
use crate::promotion::types::{ActiveBlock, Dossier, Finding, GateOutcome};
use crate::promotion::{self, PROD};

pub use live_checks::{Decided, GroupVerdict};

/// What is asked, and everything the answer depends on.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub policy: &'a Policy,
    /// The stage to promote to.
    pub to: &'a str,
    pub version: &'a str,
    /// Wall clock, or stream time where events are read from files.
    pub now_ms: i64,
    /// The latest verdict of each group that has one.
    pub latest: Vec<GroupVerdict>,
    /// The version's active blocks, of any group.
    pub blocks: &'a [ActiveBlock],
    pub standing: Standing<'a>,
    /// What the registry knows of the version.
    pub dossier: &'a Dossier,
    /// Why a version that was rolled back is tried again.
    pub retry: Option<&'a str>,
}

/// What is known of the version itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    Registered,
    /// Events name it, the registry does not.
    OnlySeen,
    /// Neither; these versions of the model are known.
    Unknown {
        others: &'a [String],
    },
}

/// The decision. Nothing but `Pass` means go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateVerdict {
    Pass,
    Block,
    /// Too little, too old or no data.
    Inconclusive,
    /// Waiting for approval.
    Pending,
}

impl GateVerdict {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Block => "block",
            Self::Inconclusive => "inconclusive",
            Self::Pending => "pending",
        }
    }

    /// What a command that asks exits with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Block => 1,
            Self::Inconclusive => 3,
            Self::Pending => 4,
        }
    }
}

/// The decision and why, as JSON with keys in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub verdict: GateVerdict,
    /// `verdict` is pass.
    pub ok: bool,
    /// Everything that speaks against it, what blocks first, then what is inconclusive, then what waits; empty on a pass.
    pub reasons: Vec<String>,
    pub policy_sha256: String,
    /// RFC 3339, UTC.
    pub evaluated_at: String,
    /// Seconds since the end of the oldest window that counted.
    pub age_s: Option<i64>,
    pub model: String,
    pub version: String,
    pub to: String,
    /// What was seen but did not count.
    pub notes: Vec<String>,
    /// Every gate and how it came out.
    #[serde(default)]
    pub gates: Vec<Finding>,
}

/// A question that has no answer: the asker is mistaken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    #[error("the policy of {model:?} has no transition to {to:?}; it has transitions to {}", known.join(", "))]
    UnknownStage { model: String, to: String, known: Vec<String> },
}

/// Answers from what the question holds alone.
///
/// # Errors
/// A stage that none of the policy's transitions leads to. A policy without transitions takes every stage.
pub fn decide(question: &Question<'_>) -> Result<Answer, GateError> {
    let (found, _) = look(question)?;
    Ok(found.answer(question.policy, question.to, question.version, question.now_ms))
}

/// What speaks against a version whose promotion is under way elsewhere, a sentence each: as [`decide`], but live checks that want
/// data refuse nothing.
///
/// # Errors
/// As `decide`.
pub fn objections(question: &Question<'_>) -> Result<Vec<String>, GateError> {
    let (found, live) = look(question)?;
    let holds = |(at, finding): &(usize, &Finding)| match finding.outcome {
        GateOutcome::Pass | GateOutcome::Warn => false,
        GateOutcome::Block | GateOutcome::Pending => true,
        GateOutcome::Inconclusive => !live.contains(at),
    };
    Ok(found.gates.iter().enumerate().filter(holds).map(|(_, finding)| finding.detail.clone()).collect())
}

/// Asks every gate; which of them are live checks.
fn look(question: &Question<'_>) -> Result<(Found, Range<usize>), GateError> {
    let &Question { policy, to, version, now_ms, dossier, .. } = question;
    let mut found = Found::default();
    let groups = counting(policy, to, &mut found.notes)?;
    let transition = promotion::transition(policy, to, dossier);
    found.add_registration(question, transition);
    found.needs_a_check(policy, to, &groups, transition);
    let overrides = live_checks::Overrides::at(&dossier.overrides, now_ms);
    let first = found.gates.len();
    for group in &groups {
        found.judge(group, question, &overrides);
    }
    let live = first..found.gates.len();
    found.notes.extend(overrides.notes());
    for block in question.blocks.iter().filter(|b| !groups.iter().any(|g| g.name == b.group)) {
        found
            .notes
            .push(format!("{}: blocked since {}, but the group does not count for {to:?}", block.group, block.since));
    }
    found.notes.extend(dossier.differing());
    if let Some(anew) = dossier.anew_ms {
        let anew = utc(anew);
        found.notes.push(format!(
            "version {version:?} was made anew in MLflow {anew}: windows that ended by then are a deleted one's"
        ));
    }
    // Of a version that nobody knows there is nothing to say but that.
    if !matches!(question.standing, Standing::Unknown { .. }) {
        found.promotion(policy, transition, dossier, question.retry, now_ms);
    }
    Ok((found, live))
}

/// The answer while the registry gives none: inconclusive, and why.
#[must_use]
pub fn unanswered(policy: &Policy, to: &str, version: &str, why: &str, now_ms: i64) -> Answer {
    let mut found = Found::default();
    found.add(Finding::new("registry", GateOutcome::Inconclusive, why));
    found.answer(policy, to, version, now_ms)
}

/// The groups that count, in the policy's order; notes say which are named and do not.
///
/// # Errors
/// A stage that none of the policy's transitions leads to.
fn counting<'a>(policy: &'a Policy, to: &str, notes: &mut Vec<String>) -> Result<Vec<&'a Group>, GateError> {
    let enforced = |group: &Group| group.enforce == Enforce::Block;
    if policy.transitions.is_empty() {
        return Ok(policy.groups.iter().filter(|g| enforced(g)).collect());
    }
    let leading: Vec<_> = policy.transitions.iter().filter(|t| t.to == to).collect();
    if leading.is_empty() {
        let mut known: Vec<String> = policy.transitions.iter().map(|t| t.to.clone()).collect();
        known.sort_unstable();
        known.dedup();
        return Err(GateError::UnknownStage { model: policy.model.clone(), to: to.to_owned(), known });
    }
    let named = |at: usize| leading.iter().any(|t| t.checks.contains(&at));
    let (count, ignored): (Vec<_>, Vec<_>) =
        policy.groups.iter().enumerate().filter(|(at, _)| named(*at)).map(|(_, g)| g).partition(|g| enforced(g));
    for group in ignored {
        let level = if group.enforce == Enforce::Warn { "warn" } else { "observe" };
        notes.push(format!(
            "{}: named by the transition to {to:?}, but `enforce: {level}` neither blocks nor promotes",
            group.name
        ));
    }
    Ok(count)
}

/// What speaks for and against a promotion.
#[derive(Default)]
struct Found {
    blocking: Vec<String>,
    /// What is inconclusive.
    open: Vec<String>,
    /// What waits for somebody.
    pending: Vec<String>,
    pub notes: Vec<String>,
    oldest_end: Option<i64>,
    gates: Vec<Finding>,
}

impl Found {
    /// Takes a gate; where it does not pass, its sentence is a reason, and where it warns, a note.
    pub fn add(&mut self, gate: Finding) {
        let detail = gate.detail.clone();
        match gate.outcome {
            GateOutcome::Pass => {}
            GateOutcome::Warn if detail.starts_with(&gate.gate) => self.notes.push(detail),
            GateOutcome::Warn => self.notes.push(format!("{}: {detail}", gate.gate)),
            GateOutcome::Pending => self.pending.push(detail),
            GateOutcome::Inconclusive => self.open.push(detail),
            GateOutcome::Block => self.blocking.push(detail),
        }
        self.gates.push(gate);
    }

    /// Says that the version is not registered, where that is so and matters.
    fn add_registration(&mut self, question: &Question<'_>, transition: Option<&Transition>) {
        let Question { policy, version, to, .. } = question;
        let model = &policy.model;
        match question.standing {
            Standing::OnlySeen if *to == PROD && transition.is_some() => {
                let detail = format!(
                    "version {version:?} of {model:?} is not registered: events name it, but nobody registered it; \
                     run driftgate register {model} {version}"
                );
                self.add(Finding::new("registered", GateOutcome::Block, detail));
            }
            Standing::Registered | Standing::OnlySeen => {}
            Standing::Unknown { others } => {
                let others = match others {
                    [] => "no version of it is known".to_owned(),
                    _ => format!("known are {}", listed(others)),
                };
                let detail =
                    format!("version {version:?} of {model:?} was neither registered nor seen in events; {others}");
                self.add(Finding::new("registered", GateOutcome::Inconclusive, detail));
            }
        }
    }

    /// Takes the gates that ask for no live data.
    pub fn promotion(
        &mut self,
        policy: &Policy,
        transition: Option<&Transition>,
        dossier: &Dossier,
        retry: Option<&str>,
        now_ms: i64,
    ) {
        let gates = match transition {
            Some(transition) => promotion::gates(policy, transition, dossier, retry, now_ms),
            None => promotion::always(dossier, retry),
        };
        gates.into_iter().for_each(|gate| self.add(gate));
    }

    /// Nothing promotes without a check: to prod a live one, before it evidence, a schema or an offline metric will do.
    pub fn needs_a_check(&mut self, policy: &Policy, to: &str, groups: &[&Group], transition: Option<&Transition>) {
        let asks = |t: &Transition| !(t.evidence.is_empty() && t.offline.is_empty() && t.schema_allow.is_empty());
        if !groups.is_empty() || (to != PROD && transition.is_some_and(asks)) {
            return;
        }
        let model = &policy.model;
        let detail = format!(
            "nothing promotes to {to:?} without a check: \
             the policy of {model:?} has no group with `enforce: block` for it"
        );
        self.add(Finding::new("checks", GateOutcome::Inconclusive, detail));
    }

    /// The answer: what blocks outweighs what is inconclusive, and that what waits.
    pub fn answer(self, policy: &Policy, to: &str, version: &str, now_ms: i64) -> Answer {
        let verdict = if !self.blocking.is_empty() {
            GateVerdict::Block
        } else if !self.open.is_empty() {
            GateVerdict::Inconclusive
        } else if !self.pending.is_empty() {
            GateVerdict::Pending
        } else {
            GateVerdict::Pass
        };
        Answer {
            verdict,
            ok: verdict == GateVerdict::Pass,
            reasons: self.blocking.into_iter().chain(self.open).chain(self.pending).collect(),
            policy_sha256: policy.sha256.clone(),
            evaluated_at: utc(now_ms),
            age_s: self.oldest_end.map(|end| now_ms.saturating_sub(end).max(0) / 1000),
            model: policy.model.clone(),
            version: version.to_owned(),
            to: to.to_owned(),
            notes: self.notes,
            gates: self.gates,
        }
    }
}

/// A name as it stands in a sentence, whatever characters an event gave it.
#[must_use]
pub fn in_line(name: &str) -> std::borrow::Cow<'_, str> {
    if name.chars().any(char::is_control) { name.escape_debug().to_string().into() } else { name.into() }
}

/// The newest of many names, so that an answer stays short.
fn listed(names: &[String]) -> String {
    const MOST: usize = 10;
    let left_out = names.len().saturating_sub(MOST);
    let newest: Vec<_> = names.iter().skip(left_out).map(|name| in_line(name)).collect();
    if left_out == 0 { newest.join(", ") } else { format!("{} and {left_out} older ones", newest.join(", ")) }
}

#[cfg(test)]
mod tests;
