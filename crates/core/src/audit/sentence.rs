//! Events of the audit log as short sentences, which `driftgate history` prints.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::event::{
    Event, PromotionRecord, Register, Registered, RegistryDrift, RolloutEvent, RolloutTold, SignalOutcome, StageMoved,
};
use crate::codec::time::utc;
use crate::judge::verdict::Signal;
use crate::promotion::types::Override;

/// Longer texts are cut.
const LONGEST: usize = 160;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cut(&sentence(self)))
    }
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Register(Register::Found { source, .. }) => {
            match source.as_deref().filter(|source| !source.is_empty()) {
                Some(source) => format!("registered, found at {source}"),
                None => "registered".to_owned(),
            }
        }
        Event::Register(Register::Given(given)) => registered(given),
        Event::Evidence { kind, value, .. } => format!("{kind}: {}", short(value)),
        Event::Approval(given) => {
            let comment = given.comment.as_deref().unwrap_or_default();
            format!("approved for {} as {}{}", given.to, given.role, after(comment))
        }
        Event::Override(given) => overridden(given),
        Event::Gate { to, verdict, reasons, .. } => {
            format!("asked for {to}: {}{}", verdict.name(), first_of(reasons))
        }
        Event::Promotion(record) => promoted(record),
        Event::Stage(moved) => stage(moved),
        Event::Rollout(rollout) => rolled_out(rollout),
        Event::Signal { outcome, detail, signal } => signalled(*outcome, detail, signal),
        Event::Rollback { from, to, reason, automatic, .. } => {
            let by = if *automatic { ", by itself" } else { "" };
            match to {
                Some(to) => format!("prod goes back from {from} to {to}{by}{}", after(reason)),
                None => format!("prod stays on {from}: nothing stable to go back to{}", after(reason)),
            }
        }
        Event::RollbackDrill { from, to, reason } => match to {
            Some(to) => format!("practised: prod would go back from {from} to {to}{}", after(reason)),
            None => format!("practised: nothing stable to go back to from {from}{}", after(reason)),
        },
        Event::RollbackConfirmed { window_end } => format!("it was seen serving in the window ending {window_end}"),
        Event::Unblock { group, reason, .. } => format!("the block of {group} was ended by hand{}", after(reason)),
        Event::Freeze { reason } => format!("automatic actions stop{}", after(reason)),
        Event::Resume {} => "automatic actions go on".to_owned(),
        Event::RegistryDrift(drift) => drifted(drift),
        Event::Reported { kind, value } => format!("the external registry reports {kind}: {}", short(value)),
        Event::Upgrade(_) => "the file of a release before was taken over".to_owned(),
        Event::Other { payload, .. } => payload.to_string(),
    }
}

/// A text that follows a colon, if there is one.
fn after(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// The first of several reasons, and how many more there are.
fn first_of(reasons: &[String]) -> String {
    match reasons {
        [] => String::new(),
        [first] => format!(": {first}"),
        [first, more @ ..] => format!(": {first} (and {} more)", more.len()),
    }
}

fn registered(given: &Registered) -> String {
    let mut said = "registered".to_owned();
    for (name, value) in
        [("snapshot", &given.snapshot), ("artifact", &given.artifact), ("compared with", &given.baseline_version)]
    {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            let _ = write!(said, ", {name} {value}");
        }
    }
    if let Some(digest) = given.artifact_sha256.as_deref().filter(|digest| !digest.is_empty()) {
        let _ = write!(said, ", digest {}…", digest.chars().take(12).collect::<String>());
    }
    said
}

fn promoted(record: &PromotionRecord) -> String {
    let back = record.text("rollback_to").map_or_else(String::new, |to| format!(", goes back to {to} if it fails"));
    let stage = |key, otherwise: &str| record.text(key).unwrap_or_else(|| otherwise.to_owned());
    let comment = record.text("comment").unwrap_or_default();
    format!("promoted {} → {}{back}{}", stage("from_stage", "–"), stage("to_stage", "?"), after(&comment))
}

fn stage(moved: &StageMoved) -> String {
    let StageMoved { stage, from, to, reason, rollback, foreign, .. } = moved;
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let who = if *foreign == Some(true) { " in the other registry" } else { "" };
    let back = if *rollback == Some(true) { " back" } else { "" };
    let (from, to) = (from.as_deref().unwrap_or("–"), to.as_deref().unwrap_or("–"));
    format!("{stage}: {from} → {to}{back}{who}{why}")
}

fn rolled_out(event: &RolloutEvent) -> String {
    match event {
        RolloutEvent::Told(RolloutTold::Pause { reason }) => format!("told to pause{}", after(reason)),
        RolloutEvent::Told(RolloutTold::Resume) => "told to resume".to_owned(),
        RolloutEvent::Told(RolloutTold::Abort { reason }) => format!("told to abort{}", after(reason)),
        RolloutEvent::Told(RolloutTold::Promote) => "told to promote".to_owned(),
        RolloutEvent::Told(RolloutTold::External { succeeded: true, .. }) => {
            "the other controller says it succeeded".to_owned()
        }
        RolloutEvent::Told(RolloutTold::External { succeeded: false, .. }) => {
            "the other controller says it failed".to_owned()
        }
        RolloutEvent::Phase { phase, why } => format!("{phase}{}", after(why)),
        RolloutEvent::Weight { weight, .. } => format!("{weight}% of the traffic"),
        RolloutEvent::Note { note } => note.clone(),
    }
}

fn signalled(outcome: SignalOutcome, detail: &str, signal: &Signal) -> String {
    // The detail of an applied rollback is the version that it went to, which has a record of its own.
    let why = match outcome {
        SignalOutcome::Ignored => after(detail),
        SignalOutcome::Applied => first_of(&signal.reasons),
    };
    format!("{} of {} {}{why}", signal.action.name(), signal.group, outcome.name())
}

fn overridden(given: &Override) -> String {
    let subject = given.subject.as_deref().map_or_else(String::new, |subject| format!(" {subject}"));
    let until = utc(given.until_ms);
    format!("{}{subject} does not hold it up until {until}{}", given.rule, after(&given.reason))
}

fn drifted(drift: &RegistryDrift) -> String {
    match drift {
        RegistryDrift::Recreated { .. } => {
            "deleted and made again in the other registry: what was known of it is void".to_owned()
        }
        RegistryDrift::Deleted { .. } => {
            "deleted in the other registry: nothing promotes it until it is back".to_owned()
        }
        RegistryDrift::Returned { .. } => "it is back in the other registry".to_owned(),
        RegistryDrift::Moved { stage, expected, found, .. } => {
            let or_nothing = |version: &Option<String>| version.clone().unwrap_or_else(|| "nothing".to_owned());
            format!(
                "somebody else moved {stage} in the other registry: expected {}, found {}",
                or_nothing(expected),
                or_nothing(found)
            )
        }
    }
}

/// A value in a few characters: texts as they are, everything else as JSON.
#[must_use]
pub fn short(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signal(outcome: &str, detail: &str, action: &str, group: &str) -> Value {
        json!({"outcome": outcome, "detail": detail, "signal": {
            "signal_id": "s", "ts": "T", "model": "m", "version": "7", "group": group, "action": action, "stage": null,
            "rollback_to": null, "reasons": ["r"], "verdict_id": "v", "policy_sha256": "p",
        }})
    }

    #[test]
    fn every_event_has_a_sentence() {
        let cases = [
            (
                "register",
                json!({"snapshot": "s3://b/t.parquet", "artifact_sha256": "0123456789abcdef", "stage": null}),
                "registered, snapshot s3://b/t.parquet, digest 0123456789ab…",
            ),
            ("evidence", json!({"kind": "offline", "value": {"auc": 0.9}}), "offline: {\"auc\":0.9}"),
            (
                "approval",
                json!({"to": "prod", "actor": "ana", "role": "owner", "at_ms": 0, "artifact_sha256": null, "policy_sha256": "p", "evidence_sha256": "e", "comment": null}),
                "approved for prod as owner",
            ),
            (
                "gate",
                json!({"to": "prod", "verdict": "block", "reasons": ["a breaks", "b", "c"]}),
                "asked for prod: block: a breaks (and 2 more)",
            ),
            ("gate", json!({"to": "prod", "verdict": "pass", "reasons": []}), "asked for prod: pass"),
            (
                "promotion",
                json!({"from_stage": "staging", "to_stage": "prod", "rollback_to": 6, "comment": "+3% AUC"}),
                "promoted staging → prod, goes back to 6 if it fails: +3% AUC",
            ),
            (
                "stage",
                json!({"stage": "prod", "from": "6", "to": "7", "reason": "r", "rollback": false, "foreign": false}),
                "prod: 6 → 7 (r)",
            ),
            (
                "stage",
                json!({"stage": "prod", "from": "7", "to": "6", "rollback": true, "foreign": false}),
                "prod: 7 → 6 back",
            ),
            ("stage", json!({"stage": "canary", "from": "7", "to": null, "reason": "ended"}), "canary: 7 → – (ended)"),
            ("rollout", json!({"told": "pause", "reason": "incident 42"}), "told to pause: incident 42"),
            ("rollout", json!({"told": "external", "succeeded": false}), "the other controller says it failed"),
            ("rollout", json!({"phase": "Progressing", "why": "step 1 begins"}), "Progressing: step 1 begins"),
            ("rollout", json!({"weight": 10.0, "ts": "T"}), "10% of the traffic"),
            ("rollout", json!({"note": "step 1 is done"}), "step 1 is done"),
            ("signal", signal("applied", "", "block", "drift"), "block of drift applied: r"),
            (
                "signal",
                signal("ignored", "the model is frozen", "rollback", "slo"),
                "rollback of slo ignored: the model is frozen",
            ),
            (
                "rollback",
                json!({"from": "7", "to": null, "reason": "r", "automatic": true}),
                "prod stays on 7: nothing stable to go back to: r",
            ),
            (
                "rollback",
                json!({"from": "7", "to": "6", "reason": "r", "automatic": false}),
                "prod goes back from 7 to 6: r",
            ),
            (
                "rollback_drill",
                json!({"from": "7", "to": "6", "reason": "drill"}),
                "practised: prod would go back from 7 to 6: drill",
            ),
            ("rollback_confirmed", json!({"window_end": "T"}), "it was seen serving in the window ending T"),
            (
                "override",
                json!({"rule": "drift/psi", "subject": "temp", "until_ms": 0, "reason": "sensor", "actor": "ana", "at_ms": 0}),
                "drift/psi temp does not hold it up until 1970-01-01T00:00:00Z: sensor",
            ),
            ("freeze", json!({"reason": "incident 42"}), "automatic actions stop: incident 42"),
            ("resume", json!({}), "automatic actions go on"),
            (
                "registry_drift",
                json!({"stage": "prod", "expected": "6", "found": null}),
                "somebody else moved prod in the other registry: expected 6, found nothing",
            ),
            (
                "registry_drift",
                json!({"recreated": true}),
                "deleted and made again in the other registry: what was known of it is void",
            ),
            ("new_event", json!({"a": 1}), "{\"a\":1}"),
            // A payload of another form is shown, not dropped.
            ("stage", json!({"b": 2}), "{\"b\":2}"),
        ];
        for (event, payload, said) in cases {
            assert_eq!(Event::read(event, &payload).to_string(), said, "{event}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        let said = Event::read("evidence", &json!({"kind": "model_card", "value": "x".repeat(1000)})).to_string();
        assert!(said.starts_with("model_card: xxx") && said.chars().count() == LONGEST + 1, "{said}");
    }
}
