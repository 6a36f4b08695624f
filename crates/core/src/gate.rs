//! The gate: may a version be promoted to a stage? A pure decision over the latest verdicts, the active blocks and what the
//! registry knows of the version; who collects them, and the only clock, are elsewhere.
//!
//! A group of checks counts if the transitions to the stage name it (without transitions: every group) and it enforces
//! `block`. An active block or a blocking verdict in such a group blocks; no verdict, or one that is incomplete,
//! insufficient or stale, is inconclusive. The transition's other gates are `promotion`'s: evidence, schema, offline metrics,
//! lineage, the way back, approvals. Nothing promotes without a check. `recorded` asks the same of a run in a file.

//!
//! | file | holds |
//! |---|---|
//! | `types` | the question and the answer |
//! | `display` | the answer for people |
//! | `found` | what speaks for and against, gathered gate by gate |
//! | `live_checks` | verdicts, active blocks and overrides |
//! | `recorded` | a run in a file |

mod display;
mod found;
mod live_checks;
pub mod recorded;
mod types;

use std::ops::Range;

use crate::codec::time::utc;
use crate::policy::{Enforce, Group, Policy};
use crate::promotion;
use crate::promotion::types::{Finding, GateOutcome};
use found::Found;

pub use types::{Answer, Decided, FromCopy, GateError, GateVerdict, GroupVerdict, Question, Standing};

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
            "version {version:?} was made anew in the external registry {anew}: windows that ended by then are a deleted one's"
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

#[cfg(test)]
mod tests;
