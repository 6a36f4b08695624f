//! What a record of the audit log says, in a short sentence. What an event's payload holds is the registry's; what is
//! not known here is shown as it is.

use std::fmt::Write as _;

use serde_json::Value;

use driftgate_core::judge::verdict::utc;

/// Longer texts are cut.
const LONGEST: usize = 160;

/// The sentence of an event.
pub fn sentence(event: &str, payload: &Value) -> String {
    let p = Payload(payload);
    let said = match event {
        "register" => Some(registered(p)),
        "evidence" => p.text("kind").map(|kind| format!("{kind}: {}", short(p.get("value")))),
        "approval" => {
            p.text("to").map(|to| format!("approved for {to} as {}{}", p.or("role", "?"), p.after("comment")))
        }
        "gate" => {
            p.text("verdict").map(|verdict| format!("asked for {}: {verdict}{}", p.or("to", "?"), p.reasons("reasons")))
        }
        "promotion" => p.text("to_stage").map(|to| promoted(p, &to)),
        "stage" => p.text("stage").map(|stage| moved(p, &stage)),
        "rollout" => rollout(p),
        "signal" => signal(p),
        "rollback" | "rollback_drill" => p.text("from").map(|from| rolled_back(p, &from, event == "rollback_drill")),
        "rollback_confirmed" => {
            p.text("window_end").map(|end| format!("it was seen serving in the window ending {end}"))
        }
        "override" => overridden(p),
        "unblock" => {
            p.text("group").map(|group| format!("the block of {group} was ended by hand{}", p.after("reason")))
        }
        "freeze" => Some(format!("automatic actions stop{}", p.after("reason"))),
        "resume" => Some("automatic actions go on".to_owned()),
        "registry_drift" => Some(drifted(p)),
        "reported" => p.text("kind").map(|kind| format!("MLflow reports {kind}: {}", short(p.get("value")))),
        "upgrade" => Some("the file of a release before was taken over".to_owned()),
        _ => None,
    };
    cut(&said.unwrap_or_else(|| payload.to_string()))
}

#[derive(Clone, Copy)]
struct Payload<'a>(&'a Value);

impl<'a> Payload<'a> {
    fn get(self, key: &str) -> &'a Value {
        self.0.get(key).unwrap_or(&Value::Null)
    }

    /// A value that is there, as text.
    fn text(self, key: &str) -> Option<String> {
        match self.get(key) {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        }
    }

    fn or(self, key: &str, otherwise: &str) -> String {
        self.text(key).unwrap_or_else(|| otherwise.to_owned())
    }

    /// A text that follows a colon, if there is one.
    fn after(self, key: &str) -> String {
        self.text(key).map_or_else(String::new, |text| format!(": {text}"))
    }

    fn is(self, key: &str) -> bool {
        self.get(key).as_bool() == Some(true)
    }

    /// The first of several reasons, and how many more there are.
    fn reasons(self, key: &str) -> String {
        let list = self.get(key).as_array().map_or(&[][..], Vec::as_slice);
        let Some(first) = list.first().and_then(Value::as_str) else { return String::new() };
        match list.len() - 1 {
            0 => format!(": {first}"),
            more => format!(": {first} (and {more} more)"),
        }
    }
}

fn registered(p: Payload<'_>) -> String {
    let mut said = "registered".to_owned();
    for (key, name) in [
        ("snapshot", "snapshot"),
        ("artifact", "artifact"),
        ("baseline_version", "compared with"),
        ("source", "found at"),
    ] {
        if let Some(text) = p.text(key) {
            let _ = write!(said, ", {name} {text}");
        }
    }
    if let Some(digest) = p.text("artifact_sha256") {
        let _ = write!(said, ", digest {}…", digest.chars().take(12).collect::<String>());
    }
    said
}

fn promoted(p: Payload<'_>, to: &str) -> String {
    let back = p.text("rollback_to").map_or_else(String::new, |to| format!(", goes back to {to} if it fails"));
    format!("promoted {} → {to}{back}{}", p.or("from_stage", "–"), p.after("comment"))
}

fn moved(p: Payload<'_>, stage: &str) -> String {
    let why = p.text("reason").map_or_else(String::new, |reason| format!(" ({reason})"));
    let who = if p.is("foreign") { " in the other registry" } else { "" };
    let back = if p.is("rollback") { " back" } else { "" };
    format!("{stage}: {} → {}{back}{who}{why}", p.or("from", "–"), p.or("to", "–"))
}

fn rollout(p: Payload<'_>) -> Option<String> {
    if let Some(told) = p.text("told") {
        return Some(match (told.as_str(), p.is("succeeded")) {
            ("external", true) => "the other controller says it succeeded".to_owned(),
            ("external", false) => "the other controller says it failed".to_owned(),
            _ => format!("told to {told}{}", p.after("reason")),
        });
    }
    if let Some(phase) = p.text("phase") {
        return Some(format!("{phase}{}", p.after("why")));
    }
    let weight = p.get("weight").as_f64().map(|weight| format!("{weight}% of the traffic"));
    weight.or_else(|| p.text("note"))
}

fn signal(p: Payload<'_>) -> Option<String> {
    let signal = Payload(p.0.get("signal")?);
    let (action, group) = (signal.text("action")?, signal.text("group")?);
    // Of an applied rollback the detail is where it went, which its own record says.
    let why =
        if p.text("outcome").as_deref() == Some("ignored") { p.after("detail") } else { signal.reasons("reasons") };
    Some(format!("{action} of {group} {}{why}", p.or("outcome", "?")))
}

fn rolled_back(p: Payload<'_>, from: &str, drill: bool) -> String {
    let by = if p.is("automatic") { ", by itself" } else { "" };
    let why = p.after("reason");
    match (p.text("to"), drill) {
        (Some(to), true) => format!("practised: prod would go back from {from} to {to}{why}"),
        (None, true) => format!("practised: nothing stable to go back to from {from}{why}"),
        (Some(to), false) => format!("prod goes back from {from} to {to}{by}{why}"),
        (None, false) => format!("prod stays on {from}: nothing stable to go back to{why}"),
    }
}

fn overridden(p: Payload<'_>) -> Option<String> {
    let rule = p.text("rule")?;
    let until = p.get("until_ms").as_i64().map_or_else(|| "?".to_owned(), utc);
    let subject = p.text("subject").map_or_else(String::new, |subject| format!(" {subject}"));
    Some(format!("{rule}{subject} does not hold it up until {until}{}", p.after("reason")))
}

fn drifted(p: Payload<'_>) -> String {
    if p.is("recreated") {
        return "deleted and made again in the other registry: what was known of it is void".to_owned();
    }
    if p.is("deleted") {
        return "deleted in the other registry: nothing promotes it until it is back".to_owned();
    }
    if p.is("returned") {
        return "it is back in the other registry".to_owned();
    }
    let stage = p.or("stage", "a stage");
    let (expected, found) = (p.or("expected", "nothing"), p.or("found", "nothing"));
    format!("somebody else moved {stage} in the other registry: expected {expected}, found {found}")
}

/// A value in a few characters: texts as they are, everything else as JSON.
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

    #[test]
    fn every_event_has_a_sentence() {
        let cases = [
            (
                "register",
                json!({"snapshot": "s3://b/t.parquet", "artifact_sha256": "0123456789abcdef", "stage": null}),
                "registered, snapshot s3://b/t.parquet, digest 0123456789ab…",
            ),
            ("evidence", json!({"kind": "offline", "value": {"auc": 0.9}}), "offline: {\"auc\":0.9}"),
            ("approval", json!({"to": "prod", "role": "owner", "comment": null}), "approved for prod as owner"),
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
            (
                "signal",
                json!({"outcome": "applied", "detail": "", "signal": {"action": "block", "group": "drift", "reasons": ["r"]}}),
                "block of drift applied: r",
            ),
            (
                "signal",
                json!({"outcome": "ignored", "detail": "the model is frozen", "signal": {"action": "rollback", "group": "slo", "reasons": ["r"]}}),
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
                json!({"rule": "drift/psi", "subject": "temp", "until_ms": 0, "reason": "sensor"}),
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
            // A payload that is not what it was: shown, not dropped.
            ("stage", json!({"b": 2}), "{\"b\":2}"),
        ];
        for (event, payload, said) in cases {
            assert_eq!(sentence(event, &payload), said, "{event}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        let said = sentence("evidence", &json!({"kind": "model_card", "value": "x".repeat(1000)}));
        assert!(said.starts_with("model_card: xxx") && said.chars().count() == LONGEST + 1, "{said}");
    }
}
