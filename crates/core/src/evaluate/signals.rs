//! What follows from a verdict: whether its window was counted in part, and the signals it sends.

use super::rolling::{Close, Memory, PROD};
use crate::codec::hash::digest;
use crate::codec::time::utc;
use crate::intake::starts::{Cause, Starts};
use crate::intake::versions::Known;
use crate::judge::verdict::{Action, RuleResult, Signal, Status, Verdict, WindowSpan};
use crate::policy::{Enforce, Group, Policy, Rule, Traffic};

/// What a window that was counted in part lacks.
pub(super) enum Cut {
    Begun(i64, Cause),
    Ended(i64),
}

impl Cut {
    pub(super) fn at(&self) -> i64 {
        match self {
            Self::Begun(at, _) | Self::Ended(at) => *at,
        }
    }

    pub(super) fn why(&self) -> String {
        match self {
            Self::Begun(from, cause) => {
                format!("the window is incomplete: its counts begin at {}: {}", utc(*from), cause.name())
            }
            Self::Ended(until) => {
                format!("the window is incomplete: its counts end at {}: the version was not active after", utc(*until))
            }
        }
    }
}

/// Whether a window was counted in part: where its counts begin, or end.
pub(super) fn cut(policy: &Policy, close: &Close<'_>, known: &Known, span: &WindowSpan) -> Option<Cut> {
    let whole_from = |starts: &Starts| starts.whole_from(policy, close.reads);
    let traffic = Some(known.traffic).filter(|_| close.group.traffic == Traffic::Model);
    let active_from = traffic.and_then(|t| Some((t.from?, Cause::Inactive)));
    // The latest, and of equals the version's own.
    let begun = [whole_from(&close.starts), whole_from(&known.starts), active_from].into_iter().flatten();
    let begun = begun.filter(|(from, _)| span.start < *from).max_by_key(|(from, _)| *from);
    let ended = || traffic.and_then(|t| t.until).filter(|until| *until < span.end);
    begun.map(|(from, cause)| Cut::Begun(from, cause)).or_else(|| ended().map(Cut::Ended))
}

/// Whether a result is of a rule of this group.
pub(super) fn is_of(result: &RuleResult, group: &Group, rule: &Rule) -> bool {
    result.rule.strip_prefix(&group.name).and_then(|rest| rest.strip_prefix('/')) == Some(&rule.id)
}

/// The signals of a complete verdict: on edges only.
pub(super) fn signals(
    policy: &Policy,
    close: &Close<'_>,
    verdict: &Verdict,
    memory: &mut Memory,
    out: &mut Vec<Signal>,
) {
    out.extend(block(close, verdict, memory));
    let in_prod = verdict.stage.as_deref().is_none_or(|s| s == PROD);
    let triggers = policy.rollback.iter().flat_map(|r| &r.triggers).enumerate().filter(|(_, t)| t.group == close.at);
    for (at, trigger) in triggers {
        let Some(rule) = close.group.rules.get(trigger.rule) else { continue };
        let results: Vec<&RuleResult> =
            verdict.results.iter().filter(|r| is_of(r, close.group, rule) && !r.muted).collect();
        let measured = results.iter().any(|r| r.status != Status::Insufficient);
        let reasons = broken(results);
        let state = memory.triggers.entry(at).or_default();
        let breached = measured.then_some(!reasons.is_empty());
        let window = close.group.window;
        let lasting = state.breach.note(window.nominal_end(close.end), window.slide, breached, trigger.hysteresis);
        if breached == Some(false) && state.breach.is_over(trigger.hysteresis) {
            state.fired = false;
        }
        if lasting && in_prod && !state.fired {
            state.fired = true;
            out.push(signal(verdict, Action::Rollback, reasons));
        }
    }
}

/// The signal that begins or ends a block.
fn block(close: &Close<'_>, verdict: &Verdict, memory: &mut Memory) -> Option<Signal> {
    if close.group.enforce != Enforce::Block {
        // The policy blocked by this group once.
        return memory.blocked.take().map(|_| signal(verdict, Action::Clear, Vec::new()));
    }
    let reasons = broken(&verdict.results);
    // A pending breach neither blocks nor clears.
    let settled = verdict.results.iter().filter(|r| !r.muted).all(|r| matches!(r.status, Status::Pass | Status::Warn));
    if !reasons.is_empty() && memory.blocked.is_none() {
        memory.blocked = Some(close.end);
        Some(signal(verdict, Action::Block, reasons))
    } else if settled && memory.blocked.take().is_some() {
        Some(signal(verdict, Action::Clear, Vec::new()))
    } else {
        None
    }
}

/// A sentence for each result that blocks.
fn broken<'r>(results: impl IntoIterator<Item = &'r RuleResult>) -> Vec<String> {
    results.into_iter().filter(|r| r.decides() == Status::Block).map(RuleResult::sentence).collect()
}

fn signal(verdict: &Verdict, action: Action, reasons: Vec<String>) -> Signal {
    Signal {
        signal_id: digest(&[
            verdict.model.as_bytes(),
            verdict.version.as_bytes(),
            verdict.group.as_bytes(),
            action.name().as_bytes(),
            verdict.verdict_id.as_bytes(),
        ]),
        ts: utc(verdict.window.end),
        model: verdict.model.clone(),
        version: verdict.version.clone(),
        group: verdict.group.clone(),
        action,
        stage: verdict.stage.clone(),
        rollback_to: None,
        reasons,
        verdict_id: verdict.verdict_id.clone(),
        policy_sha256: verdict.policy_sha256.clone(),
    }
}
