//! The promotion record: what was promoted, by whom, on what grounds, and where it would go back to; and the same as a
//! note in Markdown. Rates are fractions, times milliseconds; `units` says so.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::model_signing::{self, Manifest};
use super::types::{Dossier, Finding, GateOutcome};
use crate::policy::Policy;
use crate::yaml::units::show_duration;

/// What a record says beside the dossier and the policy.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub id: &'a str,
    pub version: &'a str,
    pub from: Option<&'a str>,
    pub to: &'a str,
    pub dossier: &'a Dossier,
    /// Whose approvals count, in the order they were given.
    pub approvers: Vec<&'a str>,
    /// The version's latest verdicts, as they are kept.
    pub verdicts: &'a [Value],
    /// The champion's latest verdicts.
    pub champion_verdicts: &'a [Value],
    pub gates: &'a [Finding],
    /// RFC 3339, UTC.
    pub at: &'a str,
    pub actor: &'a str,
    pub comment: Option<&'a str>,
    /// Why an artifact that was rolled back is tried again.
    pub retry: Option<&'a str>,
    /// The plan in a line.
    pub rollout: Option<String>,
}

/// The record as JSON: the keys of the common shape first, additions after them.
#[must_use]
pub fn record(policy: &Policy, facts: &Facts<'_>) -> Value {
    let dossier = facts.dossier;
    let evidence = |kind: &str| dossier.evidence.get(kind).map(|e| e.value.clone());
    let digest = dossier.artifact_sha256.clone().map(|d| json!(format!("sha256:{d}"))).or(evidence("artifact_digest"));
    let snapshot = evidence("data_snapshot").or(dossier.snapshot_sha256.clone().map(|d| json!(format!("sha256:{d}"))));
    let mut artifacts = Map::new();
    artifacts.insert("model_digest".into(), digest.unwrap_or(Value::Null));
    artifacts.insert("data_snapshot".into(), snapshot.unwrap_or(Value::Null));
    artifacts.insert("code_commit".into(), evidence("code_commit").unwrap_or(Value::Null));
    for kind in ["env_lock", "signature"] {
        if let Some(value) = evidence(kind) {
            // A bundle lists every file; its statement's digest names it.
            let listed = model_signing::listed(&value);
            let shorter = |listed: Arc<Manifest>| json!({"format": "model_signing", "statement_sha256": listed.sha256});
            artifacts.insert(kind.into(), listed.map_or(value, shorter));
        }
    }
    let champion = dossier.peers.get("champion");
    json!({
        "model": policy.model,
        "version": number_or_text(facts.version),
        "from_stage": facts.from,
        "to_stage": facts.to,
        "approvers": facts.approvers,
        "checks": checks(dossier, facts.verdicts),
        "status": "approved",
        "rollback_to": dossier.rollback_target.as_ref().map(|t| number_or_text(&t.version)),
        "artifacts": artifacts,
        "units": {"latency": "milliseconds", "rates": "fraction"},
        "champion": champion.map(|c| json!({
            "version": number_or_text(&c.version),
            "checks": champion_checks(&c.offline, facts.champion_verdicts),
        })),
        "gates": facts.gates,
        "rollout": facts.rollout,
        "rollback_triggers": triggers(policy),
        "promotion_id": facts.id,
        "at": facts.at,
        "actor": facts.actor,
        "comment": facts.comment,
        "retry": facts.retry,
        "policy_sha256": policy.sha256,
    })
}

/// Versions are strings that mostly are whole numbers: those are written as numbers.
fn number_or_text(version: &str) -> Value {
    match version.parse::<u64>() {
        Ok(number) if number.to_string() == version => number.into(),
        _ => version.into(),
    }
}

/// The version that a record is of.
#[must_use]
pub fn version_of(record: &Value) -> Option<Cow<'_, str>> {
    Some(match record.get("version")? {
        Value::String(version) => Cow::Borrowed(version),
        number => Cow::Owned(number.to_string()),
    })
}

/// Offline metrics by name, and the worst value of each live one.
fn checks(dossier: &Dossier, verdicts: &[Value]) -> Map<String, Value> {
    let offline = dossier.evidence.get("offline").and_then(|e| e.value.as_object()).cloned().unwrap_or_default();
    champion_checks(&offline.into_iter().collect(), verdicts)
}

fn champion_checks(offline: &BTreeMap<String, Value>, verdicts: &[Value]) -> Map<String, Value> {
    let mut out: Map<String, Value> = offline
        .iter()
        .filter(|(name, value)| value.is_number() && !name.starts_with("baseline_"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let results = verdicts.iter().filter_map(|v| v.get("results")?.as_array()).flatten();
    for result in results {
        let metric = result.get("metric").and_then(Value::as_str).unwrap_or_default();
        let Some(value) = result.get("value").and_then(Value::as_f64) else { continue };
        let Some((name, worst)) = recorded(metric) else { continue };
        let name = if metric == "measured" {
            result.get("subject").and_then(Value::as_str).unwrap_or(name).to_owned()
        } else if name.is_empty() {
            metric.to_owned()
        } else {
            name.to_owned()
        };
        let kept = out.get(&name).and_then(Value::as_f64);
        out.insert(name, json!(kept.map_or(value, |kept| worst(kept, value))));
    }
    out
}

type Worst = fn(f64, f64) -> f64;

/// A live metric's name in a record (empty: its own) and which of two values is worse.
fn recorded(metric: &str) -> Option<(&'static str, Worst)> {
    let (up, down): (Worst, Worst) = (f64::max, f64::min);
    Some(match metric {
        "psi" => ("drift_psi", up),
        "ks_p" => ("drift_ks_p", down),
        "tpr_gap" => ("fairness_tpr_gap", up),
        "disparate_impact" => ("fairness_disparate_impact", down),
        "auc" => ("live_auc", down),
        "error_rate" | "kpi_drop" | "measured" => ("", up),
        _ if metric.starts_with("latency_") => ("", up),
        _ => return None,
    })
}

/// What takes the version back, a sentence each.
fn triggers(policy: &Policy) -> Vec<String> {
    use crate::policy::Hysteresis;
    let plan = policy.rollback.iter().flat_map(|plan| &plan.triggers);
    plan.filter_map(|trigger| {
        let group = policy.groups.get(trigger.group)?;
        let rule = group.rules.get(trigger.rule)?;
        let hysteresis = match trigger.hysteresis.or(rule.hysteresis) {
            None => " in one window".to_owned(),
            Some(hysteresis @ Hysteresis::SomeOf { .. }) => format!(" in {hysteresis}"),
            Some(hysteresis) => format!(" for {hysteresis}"),
        };
        let window = show_duration(group.window.size);
        let breach = rule.kind.breach(policy.subjects(&rule.kind).first().map_or("", String::as_str));
        Some(format!("{}/{} blocks{hysteresis}: {breach}, in windows of {window}", group.name, rule.id))
    })
    .collect()
}

/// The record as a note for people: gates passed, rollout plan, rollback criteria.
#[must_use]
pub fn note(record: &Value) -> String {
    let text = |key: &str| record.get(key).map_or_else(String::new, plain);
    let mut out = format!(
        "# Promotion of {} version {}: {} → {}\n\nStatus: **{}**, {} by {}.\n",
        text("model"),
        text("version"),
        text("from_stage"),
        text("to_stage"),
        text("status"),
        text("at"),
        text("actor"),
    );
    if let Some(comment) = record.get("comment").and_then(Value::as_str) {
        let _ = write!(out, "\n{comment}\n");
    }
    let _ = write!(out, "\n## Gates\n\n");
    let gates: Vec<Finding> =
        record.get("gates").and_then(|g| serde_json::from_value(g.clone()).ok()).unwrap_or_default();
    for gate in &gates {
        let mark = match gate.outcome {
            GateOutcome::Pass => "passed",
            GateOutcome::Warn => "passed with a warning",
            GateOutcome::Pending => "waits for approval",
            GateOutcome::Inconclusive => "inconclusive",
            GateOutcome::Block => "blocks",
        };
        let _ = writeln!(out, "- `{}` {mark}: {}", gate.gate, gate.detail);
    }
    comparison(&mut out, record);
    let _ = write!(out, "\n## Rollout plan\n\n");
    let plan = record.get("rollout").and_then(Value::as_str);
    let _ = writeln!(out, "{}", plan.unwrap_or("All traffic at once: the policy has no rollout for this transition."));
    let _ = write!(out, "\n## Rollback criteria\n\n");
    match record.get("rollback_to").filter(|to| !to.is_null()) {
        Some(to) => {
            let _ = writeln!(
                out,
                "Back to version {}, by itself and without asking a gate, when one of these holds:\n",
                plain(to)
            );
        }
        None => out.push_str("There is no version to go back to.\n\n"),
    }
    for trigger in record.get("rollback_triggers").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(out, "- {}", plain(trigger));
    }
    let _ = write!(out, "\n## Lineage\n\n");
    for (name, value) in record.get("artifacts").and_then(Value::as_object).into_iter().flatten() {
        let _ = writeln!(out, "- {name}: {}", plain(value));
    }
    out
}

/// Metrics beside the champion's.
fn comparison(out: &mut String, record: &Value) {
    let of = |at: Option<&Value>| at.and_then(|r| r.get("checks")?.as_object()).cloned().unwrap_or_default();
    let (own, champion) = (of(Some(record)), of(record.get("champion")));
    if own.is_empty() {
        return;
    }
    let against = record.get("champion").and_then(|c| c.get("version")).map(plain);
    let _ = write!(
        out,
        "\n## Metrics\n\n| metric | this version |{}\n|---|---|{}\n",
        against.as_ref().map_or_else(String::new, |v| format!(" version {v} | change |")),
        if against.is_some() { "---|---|" } else { "" }
    );
    for (name, value) in &own {
        let _ = write!(out, "| {name} | {} |", plain(value));
        if against.is_some() {
            match (value.as_f64(), champion.get(name).and_then(Value::as_f64)) {
                (Some(new), Some(old)) => {
                    let _ = write!(out, " {} | {} |", crate::codec::number::short(old), signed(new - old));
                }
                _ => out.push_str(" – | – |"),
            }
        }
        out.push('\n');
    }
}

fn signed(change: f64) -> String {
    let text = crate::codec::number::short(change);
    if change > 0.0 { format!("+{text}") } else { text }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        Value::Number(n) => {
            n.as_f64().filter(|_| !n.is_u64()).map_or_else(|| n.to_string(), crate::codec::number::short)
        }
        other => other.to_string(),
    }
}
