//! Tags of a version in an external registry: what they say. They mirror driftgate's ledger for people and pipelines that look
//! there; nothing is ever decided by reading them back. How each registry lets them be written is [`External`](super::External).

use serde_json::json;

use super::external::LONGEST_VALUE;
use super::{Fact, SignalTaken};
use crate::audit::event::SignalOutcome;
use crate::codec::time::utc;
use crate::gate::Answer;
use crate::judge::verdict::Action;
use crate::promotion::types::Approval;

/// What stands between reasons.
const PARTED_BY: &str = "; ";
/// A trigger is quoted up to here, in characters: the tag stays JSON.
const LONGEST_TRIGGER: usize = 500;

/// Tags of a version of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub tags: Vec<(String, String)>,
}

/// What tags of a version shall be in the external registry after a fact.
#[must_use]
pub fn tags<'a>(fact: &Fact<'a>) -> Option<Tags<'a>> {
    match *fact {
        Fact::Signal(SignalTaken { signal, outcome: SignalOutcome::Applied, .. }) => {
            let status = match signal.action {
                Action::Block => "block",
                Action::Clear => "clear",
                // Its own fact says where prod went.
                Action::Rollback => return None,
            };
            let tags = block_tags(&signal.group, status, &signal.reasons, &signal.ts);
            Some(Tags { model: &signal.model, version: &signal.version, tags })
        }
        Fact::Unblocked(unblocked) => {
            let at = utc(unblocked.at_ms);
            let tags = block_tags(&unblocked.block.group, "clear", &[unblocked.why()], &at);
            Some(Tags { model: unblocked.model, version: unblocked.version, tags })
        }
        Fact::GateAsked { model, version, to, answer } => {
            Some(Tags { model, version, tags: gate_tags(to, answer, None) })
        }
        Fact::Approved { model, version, approval, all } => {
            Some(Tags { model, version, tags: vec![approvals_tag(&approval.to, all)] })
        }
        Fact::RolledBack { model, from, to, reason, ts } => {
            Some(Tags { model, version: from, tags: vec![rollback_tag(from, Some(to), reason, ts)] })
        }
        _ => None,
    }
}

/// `gate.<stage>.verdict`, `.reasons`, `.policy_sha256`, `.decided_at` and, where there is one, `.evidence_url`.
#[must_use]
pub fn gate_tags(stage: &str, answer: &Answer, evidence_url: Option<&str>) -> Vec<(String, String)> {
    let reasons: Vec<&str> = answer.reasons.iter().map(String::as_str).collect();
    let mut tags = decided_tags(stage, answer.verdict.name(), &reasons, &answer.policy_sha256, &answer.evaluated_at);
    let url = evidence_url.map(|url| (format!("gate.{stage}.evidence_url"), url.to_owned()));
    tags.splice(3..3, url);
    tags
}

/// The same of an answer's parts, without an address.
#[must_use]
pub fn decided_tags(
    stage: &str,
    verdict: &str,
    reasons: &[&str],
    policy_sha256: &str,
    decided_at: &str,
) -> Vec<(String, String)> {
    let tag = |name: &str, value: String| (format!("gate.{stage}.{name}"), value);
    vec![
        // Also where empty: the reasons of an earlier answer must not stay.
        tag("reasons", reasons.join(PARTED_BY)),
        tag("policy_sha256", policy_sha256.to_owned()),
        tag("decided_at", decided_at.to_owned()),
        // Last, here and below: whoever sees it sees its reasons as well.
        tag("verdict", verdict.to_owned()),
    ]
}

/// `gate.rollback` of the version that prod was taken from: `{"from","to","trigger","at"}` (RFC 3339); `to` is null where
/// there was no stable version to go back to.
#[must_use]
pub fn rollback_tag(from: &str, to: Option<&str>, trigger: &str, at: &str) -> (String, String) {
    let trigger: String = trigger.chars().take(LONGEST_TRIGGER).collect();
    let value = json!({"from": from, "to": to, "trigger": trigger, "at": at}).to_string();
    ("gate.rollback".to_owned(), value)
}

/// `gate.check.<group>` = `block` or `clear`, with `.reasons` and `.at` (event time, RFC 3339).
#[must_use]
pub fn block_tags(group: &str, status: &str, reasons: &[String], ts: &str) -> Vec<(String, String)> {
    let key = format!("gate.check.{group}");
    vec![
        (format!("{key}.reasons"), reasons.join(PARTED_BY)),
        (format!("{key}.at"), ts.to_owned()),
        (key, status.to_owned()),
    ]
}

/// `gate.<stage>.approvals`: who approved the version for the stage, as JSON, the latest that fit. A mirror only:
/// anybody who may edit the model can write a tag.
#[must_use]
pub fn approvals_tag(stage: &str, approvals: &[Approval]) -> (String, String) {
    let mut shown = Vec::new();
    let mut bytes = "[]".len();
    for approval in approvals.iter().rev().filter(|a| a.to == stage) {
        let one = json!({"actor": approval.actor, "role": approval.role, "at": utc(approval.at_ms)}).to_string();
        bytes += one.len() + ",".len();
        if bytes > LONGEST_VALUE {
            break;
        }
        shown.push(one);
    }
    shown.reverse();
    (format!("gate.{stage}.approvals"), format!("[{}]", shown.join(",")))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::fact::External;
    use crate::gate::GateVerdict;

    fn answer(verdict: GateVerdict, reasons: &[&str]) -> Answer {
        let answer = json!({
            "verdict": verdict, "ok": verdict == GateVerdict::Pass, "reasons": reasons, "policy_sha256": "ab12",
            "evaluated_at": "2013-03-08T00:00:00Z", "age_s": null, "model": "m", "version": "1", "to": "prod",
            "gates": [], "notes": [],
        });
        serde_json::from_value(answer).unwrap()
    }

    fn pairs(tags: &[(String, String)]) -> Vec<(&str, &str)> {
        tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
    }

    #[test]
    fn a_gate_is_told_in_whole() {
        let block = answer(GateVerdict::Block, &["p95 95 ms >= 80 ms", "psi 0.3 >= 0.2"]);
        assert_eq!(
            pairs(&gate_tags("prod", &block, Some("http://gate/api"))),
            [
                ("gate.prod.reasons", "p95 95 ms >= 80 ms; psi 0.3 >= 0.2"),
                ("gate.prod.policy_sha256", "ab12"),
                ("gate.prod.decided_at", "2013-03-08T00:00:00Z"),
                ("gate.prod.evidence_url", "http://gate/api"),
                ("gate.prod.verdict", "block"),
            ]
        );
        let pass = gate_tags("prod", &answer(GateVerdict::Pass, &[]), None);
        assert_eq!(
            (pass.len(), pairs(&pass)[0], pairs(&pass)[3]),
            (4, ("gate.prod.reasons", ""), ("gate.prod.verdict", "pass"))
        );
    }

    #[test]
    fn a_block_and_a_rollback_are_told() {
        assert_eq!(
            pairs(&block_tags("drift", "block", &["psi".into()], "t")),
            [("gate.check.drift.reasons", "psi"), ("gate.check.drift.at", "t"), ("gate.check.drift", "block")]
        );
        let (key, value) = rollback_tag("7", None, &"x\"".repeat(1000), "t");
        assert_eq!(key, "gate.rollback");
        let value: Value = serde_json::from_str(&External::Mlflow.value(&value)).unwrap();
        assert_eq!((&value["from"], &value["to"], &value["at"]), (&json!("7"), &Value::Null, &json!("t")));
    }

    #[test]
    fn approvals_are_the_latest_of_the_stage() {
        let approval = |to: &str, actor: String| Approval {
            to: to.into(),
            actor,
            role: "owner".into(),
            at_ms: 0,
            artifact_sha256: None,
            policy_sha256: String::new(),
            evidence_sha256: String::new(),
            basis: None,
            comment: None,
        };
        let mut all: Vec<_> = (0..200).map(|i| approval("prod", format!("person {i}"))).collect();
        all.push(approval("staging", "nobody".into()));
        let (key, value) = approvals_tag("prod", &all);
        assert_eq!(key, "gate.prod.approvals");
        assert_eq!(External::Mlflow.value(&value), value);
        let shown: Vec<Value> = serde_json::from_str(&value).unwrap();
        assert!(shown.len() > 50 && shown.len() < 200, "{}", shown.len());
        assert_eq!(shown.last(), Some(&json!({"actor": "person 199", "role": "owner", "at": "1970-01-01T00:00:00Z"})));
        assert_eq!(approvals_tag("canary", &all).1, "[]");
    }
}
