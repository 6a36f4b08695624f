//! A policy group's rules over a window's counts: results in the policy's order, subjects in the policy's order.

use super::counted::{CountedWindow, JudgedWindow};
use super::verdict::RuleResult;
use crate::codec::number::number;
use crate::policy::Rule;
use crate::rule::definition::Reference;
use crate::rule::result::Judged;
use crate::rule::types::Status;
use crate::rule::versus::Versus;

/// Judges a window by all rules of its group. Streaks, mutes and signals are the caller's.
#[must_use]
pub fn judge(window: &JudgedWindow<'_>) -> Vec<RuleResult> {
    let rules = &window.group.rules;
    let mut judged: Vec<Vec<Judged>> = rules.iter().map(|rule| judge_rule(window, rule)).collect();
    for (at, rule) in rules.iter().enumerate() {
        // The other one is on features, and judged by nobody else's results.
        let Some((_, id)) = rule.kind.of_rule() else { continue };
        let of = rules.iter().zip(&judged).find(|(other, _)| other.id == id);
        let found = by_results(window, rule, of.map(|(other, results)| (other, results.as_slice())));
        if let Some(own) = judged.get_mut(at) {
            *own = vec![found];
        }
    }
    rules.iter().zip(judged).flat_map(|(rule, own)| named(window, rule, own)).collect()
}

/// Judges a rule by another one's results, which within a budget is judged within that, too.
fn by_results(window: &JudgedWindow<'_>, rule: &Rule, of: Option<(&Rule, &[Judged])>) -> Judged {
    let results = of.map_or(&[][..], |(_, results)| results);
    let (Some(budget), Some((other, _))) = (rule.kind.budget(), of) else { return rule.kind.judge_results(results) };
    let held = judge_rule(window, &Rule { kind: other.kind.clone().within(budget), ..other.clone() });
    rule.kind.judge_results_within(budget, results, &held, window.group.window.slide)
}

fn judge_rule(window: &JudgedWindow<'_>, rule: &Rule) -> Vec<Judged> {
    match window.reference {
        Err(why) if !rule.kind.reads_measurements() => {
            let subjects = window.policy.subjects(&rule.kind).into_iter();
            subjects.map(|subject| Judged::uncounted(subject, why)).collect()
        }
        reference => {
            let counted = CountedWindow { window, reference: reference.ok(), against: None, within: None };
            match rule.kind.versus() {
                Versus::Training => rule.kind.judge(&counted, rule.hysteresis.is_some()),
                versus => judge_against(counted, rule, versus),
            }
        }
    }
}

/// Judges by a reference other than the training snapshot.
fn judge_against(mut counted: CountedWindow<'_, '_>, rule: &Rule, versus: Versus) -> Vec<Judged> {
    let found = counted.window.against.iter().find(|against| against.versus == versus);
    let counts =
        found.map_or(Err("nothing was counted to compare with"), |found| found.counts.as_ref().map_err(String::as_str));
    counted.against = Some((versus, counts.ok(), rule.kind.least()));
    let missing = counts.err();
    let of_reference = matches!(rule.kind.definition().baseline, Reference::Snapshot | Reference::Version);
    let is_compared = rule.kind.is_change() || of_reference;
    let mut judged = rule.kind.judge(&counted, rule.hysteresis.is_some());
    for result in &mut judged {
        if let Some(why) = missing.filter(|_| is_compared) {
            // Without a reference nothing passes.
            (result.status, result.reason) = (Status::Insufficient, Some(why.to_owned()));
        }
        result.evidence.push(("versus", versus.evidence()));
    }
    judged
}

fn named(window: &JudgedWindow<'_>, rule: &Rule, mut judged: Vec<Judged>) -> Vec<RuleResult> {
    if rule.kind.definition().subjects.are_features() {
        for result in &mut judged {
            // The score and the label cannot be among them: no feature may be called so.
            let weight = window.policy.importance.get(&result.subject);
            result.evidence.extend(weight.map(|weight| ("importance", number(Some(*weight)))));
        }
    }
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
        bins: j.bins,
    };
    judged.into_iter().map(named).collect()
}
