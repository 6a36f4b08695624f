//! A policy group's rules over a window's counts: results in the policy's order, subjects in the policy's order.

use serde_json::{Value, json};

use super::distribution;
use super::kpi::Compared;
use super::measured;
use super::segments;
use super::service;
use super::verdict::{RuleResult, Status};
use crate::baseline::Baseline;
use crate::intake::names::Names;
use crate::policy::{Group, Policy, Rule, RuleKind, Upper};
use crate::stats::limit::{Amount, Limit};
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

/// A result before its rule's name is put on it.
pub(super) struct Judged {
    pub subject: String,
    pub status: Status,
    pub value: Option<f64>,
    pub evidence: Vec<(&'static str, Value)>,
    pub reason: Option<String>,
    pub bins: Option<Value>,
}

impl Judged {
    pub fn insufficient(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            status: Status::Insufficient,
            value: None,
            evidence: Vec::new(),
            reason: Some(reason.into()),
            bins: None,
        }
    }
}

/// Judges a window by all rules of its group. Streaks, mutes and signals are the caller's.
#[must_use]
pub fn judge(window: &Window<'_>) -> Vec<RuleResult> {
    window.group.rules.iter().flat_map(|rule| judge_rule(window, rule)).collect()
}

fn judge_rule(window: &Window<'_>, rule: &Rule) -> Vec<RuleResult> {
    let judged = match (&rule.kind, window.reference) {
        (RuleKind::Measured { of, aggregate, bound }, Err(_)) => {
            vec![measured::judge(window, *of, *aggregate, *bound)]
        }
        (_, Ok((baseline, layout))) => by_kind(window, rule, baseline, layout),
        (_, Err(why)) => window
            .policy
            .subjects(&rule.kind)
            .into_iter()
            .map(|subject| Judged { evidence: vec![("n", 0.into())], ..Judged::insufficient(subject, why) })
            .collect(),
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

fn by_kind(w: &Window<'_>, rule: &Rule, baseline: &Baseline, layout: &Layout) -> Vec<Judged> {
    let kind = &rule.kind;
    let d = distribution::Reader { window: w, baseline, layout };
    match kind {
        RuleKind::Psi { of, bins, zero } => of.iter().map(|s| d.psi(s, *bins, *zero)).collect(),
        RuleKind::KsP { of, correction, min_effect } => d.ks_p(of, *correction, *min_effect),
        RuleKind::KsLcb { of, budget, design_effect } => {
            let effect = baseline.design_effect(*design_effect);
            of.iter().map(|s| d.ks_lcb(s, of.len(), *budget, effect)).collect()
        }
        RuleKind::MissingRate { of } => of.iter().map(|s| d.missing_rate(s)).collect(),
        RuleKind::InvalidRate { of } => of.iter().map(|s| d.invalid_rate(s)).collect(),
        RuleKind::Auc { gte } => vec![d.auc(*gte)],
        RuleKind::Gap { by, .. }
        | RuleKind::DisparateImpact { by, .. }
        | RuleKind::TprGapLcb { by, .. }
        | RuleKind::TprDrop { by, .. } => {
            vec![segments::Reader::new(w, baseline, kind, *by).judge(kind)]
        }
        RuleKind::Latency { quantile, limit, .. } => vec![service::latency(w, layout, *quantile, *limit)],
        RuleKind::ErrorRate { limit } => vec![service::error_rate(w, layout, *limit)],
        RuleKind::KpiDrop { .. } => service::kpi_drop(w, layout, rule).into_iter().collect(),
        RuleKind::Measured { of, aggregate, bound } => vec![measured::judge(w, *of, *aggregate, *bound)],
    }
}

/// Block at or above `lt`, warn at or above `warn`.
pub(super) fn upper(value: impl Into<Amount>, limit: Upper) -> Status {
    let value = value.into();
    if limit.lt.order(value).is_ge() {
        Status::Block
    } else if limit.warn.is_some_and(|warn| warn.order(value).is_ge()) {
        Status::Warn
    } else {
        Status::Pass
    }
}

/// Block above the limit.
pub(super) fn at_most(value: impl Into<Amount>, limit: Limit) -> Status {
    if limit.order(value).is_gt() { Status::Block } else { Status::Pass }
}

/// Block below the limit.
pub(super) fn at_least(value: impl Into<Amount>, limit: Limit) -> Status {
    if limit.order(value).is_lt() { Status::Block } else { Status::Pass }
}

/// Why a result warns, where a limit says so.
pub(super) fn warned(status: Status, limit: Upper) -> Option<String> {
    limit.warn.filter(|_| status == Status::Warn).map(|warn| format!("at or above warn {warn}"))
}

/// Turns a status into `insufficient` where fewer than `least` were measured.
pub(super) fn enough<V>(
    n: u64,
    least: u64,
    value: Option<V>,
    status: impl FnOnce(V) -> Status,
) -> (Status, Option<String>) {
    match value {
        None if n == 0 => (Status::Insufficient, Some("nothing was measured".to_owned())),
        None => (Status::Insufficient, Some("it cannot be computed".to_owned())),
        Some(_) if n < least => (Status::Insufficient, Some(format!("n {n} is below min_samples {least}"))),
        Some(value) => (status(value), None),
    }
}

/// The same for shares of all events of a window.
pub(super) fn enough_events<V>(
    events: u64,
    least: u64,
    value: Option<V>,
    status: impl FnOnce(V) -> Status,
) -> (Status, Option<String>) {
    match value {
        Some(_) if events < least => {
            (Status::Insufficient, Some(format!("{events} events are fewer than min_samples {least}")))
        }
        Some(value) => (status(value), None),
        None => (Status::Insufficient, Some("the window has no events, or the snapshot has none".to_owned())),
    }
}

/// `{"lt": x}` and the like.
pub(super) fn limit(name: &str, limit: Limit) -> Value {
    json!({ name: limit.value() })
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn real(n: u64) -> f64 {
    n as f64
}
