//! A policy group's rules over a window's counts: results in the policy's order, subjects in the policy's order.

use super::counted::CountedWindow;
use super::verdict::RuleResult;
use crate::baseline::Baseline;
use crate::intake::names::Names;
use crate::policy::{Group, Policy, Rule};
use crate::rule::comparison::Compared;
use crate::rule::result::Judged;
use crate::window::layout::{Layout, Reads};
use crate::window::tally::Tally;

/// Everything a window is judged by.
pub struct Window<'a> {
    pub policy: &'a Policy,
    pub group: &'a Group,
    pub reads: &'a Reads,
    pub names: &'a Names,
    /// The baseline and the layout of the counts, or why there is none.
    pub reference: Result<(&'a Baseline, &'a Layout), &'a str>,
    pub tally: &'a Tally,
    /// By KPI of `reads`: what it is compared with.
    pub kpis: &'a [Compared],
}

/// Judges a window by all rules of its group. Streaks, mutes and signals are the caller's.
#[must_use]
pub fn judge(window: &Window<'_>) -> Vec<RuleResult> {
    window.group.rules.iter().flat_map(|rule| judge_rule(window, rule)).collect()
}

fn judge_rule(window: &Window<'_>, rule: &Rule) -> Vec<RuleResult> {
    let judged = match window.reference {
        Err(why) if !rule.kind.reads_measurements() => {
            let subjects = window.policy.subjects(&rule.kind).into_iter();
            subjects.map(|subject| Judged::uncounted(subject, why)).collect()
        }
        reference => rule.kind.judge(&CountedWindow { window, reference: reference.ok() }, rule.hysteresis.is_some()),
    };
    let named = |j: Judged| RuleResult {
        rule: format!("{}/{}", window.group.name, rule.id),
        metric: rule.kind.metric().into(),
        subject: j.subject,
        status: j.status,
        value: j.value,
        evidence: j.evidence.into(),
        reason: j.reason,
        since: None,
        pending: false,
        muted: false,
        bins: j.bins.map(Into::into),
    };
    judged.into_iter().map(named).collect()
}
