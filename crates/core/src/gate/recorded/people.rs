//! Who has signed, as a run says.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::run::{RunError, gate};
use crate::policy::{Approvals, Policy, Transition};
use crate::promotion::approvals::excluded;
use crate::promotion::artifact::artifact_sha256;
use crate::promotion::evidence::evidence_sha256;
use crate::promotion::types::{Approval, Dossier, Finding, GateOutcome};

const EXPECTED: &str = "an address like \"owner@org\", or {\"actor\": \"ann@org\", \"role\": \"owner\"}";

/// The approvals of a run, bound to what the run says: they were given for it. A run has one state of everything, so that nothing can
/// have changed since a signature: the digests are those of the run itself, and there is no `basis` to compare with.
pub fn approvals(
    run: &Map<String, Value>,
    policy: &Policy,
    transition: Option<&Transition>,
    to: &str,
    dossier: &Dossier,
    now_ms: i64,
) -> Result<Vec<Approval>, RunError> {
    let key = if run.contains_key("approvals") { "approvals" } else { "approvers" };
    let list = match run.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(RunError::value(key, "a list of who approved", other)),
    };
    let mut found = Vec::new();
    for (place, value) in list.iter().enumerate() {
        let at = format!("{key}[{place}]");
        let (actor, given, at_ms) = match value {
            Value::String(actor) => (Some(actor.as_str()), None, now_ms),
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str);
                let at_ms = match map.get("at") {
                    None | Some(Value::Null) => now_ms,
                    Some(time) => signed_at(&at, time)?,
                };
                (text("actor"), text("role"), at_ms)
            }
            _ => (None, None, now_ms),
        };
        let Some(actor) = actor.map(str::trim).filter(|actor| !actor.is_empty()) else {
            return Err(RunError::value(at, EXPECTED, value));
        };
        found.push(Approval {
            to: to.to_owned(),
            actor: actor.to_owned(),
            role: given.map_or_else(|| role_of(actor, transition), str::to_owned),
            at_ms,
            artifact_sha256: artifact_sha256(dossier),
            policy_sha256: policy.sha256.clone(),
            evidence_sha256: evidence_sha256(&dossier.evidence),
            basis: None,
            comment: None,
        });
    }
    Ok(found)
}

fn signed_at(at: &str, time: &Value) -> Result<i64, RunError> {
    let read = time.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    read.map(Timestamp::as_millisecond)
        .ok_or_else(|| RunError::value(format!("{at}.at"), "a time like 2030-01-02T03:04:05Z", time))
}

/// As whom an address signs: what stands before its `@`, where that is a role; else the role that names it.
fn role_of(actor: &str, transition: Option<&Transition>) -> String {
    let local = actor.split('@').next().unwrap_or(actor);
    if let Some(Approvals::Roles { roles, people, .. }) = transition.map(|t| &t.approvals) {
        if let Some(role) = roles.keys().find(|role| role.eq_ignore_ascii_case(local)) {
            return role.clone();
        }
        let names = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case(actor));
        if let Some((role, _)) = people.iter().find(|(_, list)| names(list)) {
            return role.clone();
        }
    }
    local.to_owned()
}

/// The run's own `required_approvals`, where it asks for more people than the policy does.
pub fn required(
    run: &Map<String, Value>,
    transition: Option<&Transition>,
    dossier: &Dossier,
    now_ms: i64,
) -> Result<Option<Finding>, RunError> {
    let required = match run.get("required_approvals") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value
            .as_u64()
            .filter(|count| *count <= 1000)
            .ok_or_else(|| RunError::value("required_approvals", "a whole number from 0 to 1000", value))?,
    };
    let by_policy = match transition.map(|t| &t.approvals) {
        Some(Approvals::Roles { roles, .. }) => roles.values().map(|count| u64::from(*count)).sum(),
        _ => 0,
    };
    if required <= by_policy {
        return Ok(None);
    }
    let mut people: Vec<&str> = Vec::new();
    let expires = match transition.map(|t| &t.approvals) {
        Some(Approvals::Roles { expires, .. }) => *expires,
        _ => None,
    };
    let is_kept_out = |a: &Approval| transition.is_some_and(|t| excluded(t, dossier, &a.actor).is_some());
    let counts =
        |a: &&Approval| expires.is_none_or(|expires| a.at_ms.saturating_add(expires) > now_ms) && !is_kept_out(a);
    for approval in dossier.approvals.iter().filter(counts) {
        if !people.iter().any(|known| known.eq_ignore_ascii_case(&approval.actor)) {
            people.push(&approval.actor);
        }
    }
    let enough = people.len() as u64 >= required;
    let by = if people.is_empty() { "nobody has approved".to_owned() } else { people.join(", ") };
    let detail = format!("{} of {required} approvals that the run requires: {by}", people.len());
    Ok(Some(gate("approvals", if enough { GateOutcome::Pass } else { GateOutcome::Pending }, detail)))
}
