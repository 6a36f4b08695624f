//! A run that was written down, decided like a live one: its metrics are judged by the policy's rules, what it says of
//! evidence, approvals and the way back by the same gates. No window, so nothing is stale, and a breach counts at once.
//!
//! A run is a JSON object: `model`, `version`, `offline` metrics, live metrics by their names in the policy wherever they
//! stand (at the top or one level down), evidence by its kinds (at the top, or under `evidence` or `artifacts`),
//! `approvals`, `required_approvals`, `rollback_to`, `from_stage`, `to_stage`, `units`. A promotion record is one too.

mod metrics;
mod people;
mod run;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::counting;
use super::found::Found;
use super::types::Answer;
use crate::policy::{Policy, Transition};
use crate::promotion::evidence::{self, KINDS};
use crate::promotion::types::{Dossier, Evidence, Peer, Requester, RollbackTarget};
use crate::promotion::value::show;
use crate::promotion::{PROD, transition};
use run::{name, object, text};

pub use run::RunError;

/// Decides a run to a stage: `to`, else the run's `to_stage`, else prod.
///
/// # Errors
/// A run that is no JSON object, of another model, or with a value that is not what its place asks for; a stage that no
/// transition leads to.
pub fn decide(policy: &Policy, run: &str, to: Option<&str>, now_ms: i64) -> Result<Answer, RunError> {
    let run: Value = serde_json::from_str(run).map_err(RunError::Json)?;
    let Value::Object(run) = &run else { return Err(RunError::NotAnObject { read: show(&run) }) };
    let model = text(run, "model")?.ok_or(RunError::Missing { key: "model", example: "\"model\": \"claims_risk\"" })?;
    let version = name(run, "version")?.ok_or(RunError::Missing { key: "version", example: "\"version\": 12" })?;
    if model != policy.model {
        return Err(RunError::Model { run: model, policy: policy.model.clone() });
    }
    let to = match to {
        Some(to) => to.to_owned(),
        None => text(run, "to_stage")?.unwrap_or_else(|| PROD.to_owned()),
    };
    let mut dossier = Dossier {
        evidence: attached(run, now_ms)?,
        stages: text(run, "from_stage")?.into_iter().collect(),
        rollback_target: name(run, "rollback_to")?.map(|version| RollbackTarget { version, caution: None }),
        ..Dossier::default()
    };
    let mut found = Found::default();
    let groups = counting(policy, &to, &mut found.notes)?;
    let transition = transition(policy, &to, &dossier);
    if let Some(transition) = transition {
        offline(run, transition, &mut dossier, now_ms)?;
    }
    let approvals = people::approvals(run, policy, transition, &to, &dossier, now_ms)?;
    dossier.approvals = approvals;
    // Whose wish the promotion is.
    let actor = run.get("actor").and_then(Value::as_str).filter(|actor| !actor.is_empty());
    dossier.requesters.extend(actor.map(|actor| Requester { actor: actor.to_owned(), to: Some(to.clone()) }));
    found.needs_a_check(policy, &to, &groups, transition);
    let metrics = metrics::read(run, policy)?;
    for group in groups {
        for rule in &group.rules {
            metrics.judge(policy, group, rule, now_ms).into_iter().for_each(|gate| found.add(gate));
        }
    }
    found.notes.extend(metrics.unread());
    found.promotion(policy, transition, &dossier, None, now_ms);
    if let Some(gate) = people::required(run, transition, &dossier, now_ms)? {
        found.add(gate);
    }
    Ok(found.answer(policy, &to, &version, now_ms))
}

/// Evidence wherever it stands.
fn attached(run: &Map<String, Value>, now_ms: i64) -> Result<BTreeMap<String, Evidence>, RunError> {
    // `schema_diff` and its kin are kinds; a model's digest has another name in promotion records.
    let kind_of = |key: &str| if key == "model_digest" { "artifact_digest".to_owned() } else { key.to_owned() };
    let is_kind = |key: &str| KINDS.contains(&kind_of(key).as_str());
    let mut given: Vec<(String, String, &Value)> = Vec::new();
    given.extend(run.iter().filter(|(key, _)| is_kind(key)).map(|(key, value)| (key.clone(), kind_of(key), value)));
    let places = [("evidence", object(run, "evidence")?), ("artifacts", object(run, "artifacts")?)];
    for (place, map) in places.into_iter().filter_map(|(place, map)| Some((place, map?))) {
        // Artifacts hold more than evidence: images, dashboards.
        let wanted = map.iter().filter(|(key, _)| place == "evidence" || is_kind(key));
        given.extend(wanted.map(|(key, value)| (format!("{place}.{key}"), kind_of(key), value)));
    }
    let mut found: BTreeMap<String, Evidence> = BTreeMap::new();
    for (at, kind, value) in given.into_iter().filter(|(_, _, value)| !value.is_null()) {
        let value =
            evidence::check_value(&kind, value).map_err(|source| RunError::Evidence { at: at.clone(), source })?;
        if found.get(&kind).is_some_and(|known| known.value != value) {
            return Err(RunError::Twice { at, kind });
        }
        found.insert(kind.clone(), Evidence { kind, value, actor: "run".to_owned(), at_ms: now_ms });
    }
    Ok(found)
}

/// Where a run has its offline metrics among its checks, as promotion records do, those that the transition asks for; and
/// a champion to ask for, which a run cannot show to be missing.
fn offline(
    run: &Map<String, Value>,
    transition: &Transition,
    dossier: &mut Dossier,
    now_ms: i64,
) -> Result<(), RunError> {
    if let (false, Some(checks)) = (dossier.evidence.contains_key("offline"), object(run, "checks")?) {
        let asked = transition.offline.iter().map(|gate| gate.metric.as_str());
        let keys =
            asked.flat_map(|metric| [metric.to_owned(), format!("baseline_{metric}"), format!("champion_{metric}")]);
        let metrics: Map<String, Value> = keys
            .filter_map(|key| checks.get(&key).filter(|value| value.is_number()).map(|value| (key, value.clone())))
            .collect();
        if !metrics.is_empty() {
            let (kind, value, actor) = ("offline".to_owned(), Value::Object(metrics), "run".to_owned());
            dossier.evidence.insert(kind.clone(), Evidence { kind, value, actor, at_ms: now_ms });
        }
    }
    if transition.offline.iter().any(|gate| gate.versus == "champion") {
        let version = match name(run, "champion_version")? {
            Some(version) => version,
            None => "in prod".to_owned(),
        };
        dossier.peers.insert("champion".to_owned(), Peer { version, ..Peer::default() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
