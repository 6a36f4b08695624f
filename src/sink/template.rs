//! Webhook events as chats, pagers and lineage servers take them: a sentence for Slack and Teams, an alert that opens and closes for `PagerDuty`, a
//! run for `OpenLineage` (`lineage`). Pure functions.

mod lineage;

use serde_json::{Value, json};

/// How a webhook's body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// The event's own JSON.
    #[default]
    Event,
    /// An incoming webhook of Slack: `{"text": …}`.
    Slack,
    /// A workflow of Microsoft Teams that posts an adaptive card.
    Teams,
    /// Version 2 of `PagerDuty`'s Events API: a block or rollback triggers, a clear resolves; other events are none.
    PagerDuty,
    /// A run event of `OpenLineage`, of a promotion; other events are none.
    OpenLineage,
}

/// So many reasons are named, and a summary has so many characters (`PagerDuty` takes 1024).
const REASONS: usize = 5;
const SUMMARY: usize = 1000;

impl Template {
    /// The body of an event; `None` where this receiver gets none of it. `key` is what `PagerDuty` routes by.
    #[must_use]
    pub fn body(self, event: &str, key: Option<&str>) -> Option<String> {
        if self == Self::Event {
            return Some(event.to_owned());
        }
        // What the ledger queued is its own JSON.
        let event: Value = serde_json::from_str(event).ok()?;
        if self == Self::OpenLineage {
            return lineage::run_event(&event).map(|run| run.to_string());
        }
        let said: String = sentence(&event).chars().take(SUMMARY).collect();
        match self {
            Self::Event | Self::OpenLineage => None,
            Self::Slack => Some(json!({"text": for_slack(&said)}).to_string()),
            Self::Teams => Some(card(&event, &said).to_string()),
            Self::PagerDuty => alert(&event, &said, key.unwrap_or_default()).map(|alert| alert.to_string()),
        }
    }
}

fn text<'v>(of: &'v Value, key: &str) -> &'v str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A text or a number, as people read it.
fn shown(of: &Value, key: &str) -> String {
    match of.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "none".to_owned(),
    }
}

/// What happened, in a sentence.
fn sentence(event: &Value) -> String {
    let none = Value::Null;
    let part = |key: &str| event.get(key).unwrap_or(&none);
    let kind = text(event, "event");
    match kind {
        "block" | "clear" | "rollback" => of_signal(kind, part("signal")),
        "weight" | "phase" => of_rollout(part("rollout")),
        "stage" => format!(
            "{}: {} moves from {} to {} by {}: {}",
            text(event, "model"),
            text(event, "stage"),
            shown(event, "from"),
            shown(event, "to"),
            text(event, "actor"),
            text(event, "reason")
        ),
        "promotion" => {
            let record = part("record");
            format!(
                "{} {} is promoted to {} by {}",
                text(record, "model"),
                shown(record, "version"),
                text(record, "to_stage"),
                text(record, "actor")
            )
        }
        "approval" => {
            let approval = part("approval");
            format!(
                "{} {} is approved for {} by {} as {}",
                text(event, "model"),
                text(event, "version"),
                text(approval, "to"),
                text(approval, "actor"),
                text(approval, "role")
            )
        }
        "registry_drift" => {
            format!("{}: the external registry says something else than was written there", text(event, "model"))
        }
        other => format!("driftgate: {other}"),
    }
}

/// A block, what ended it, or a rollback.
fn of_signal(kind: &str, signal: &Value) -> String {
    let reasons: Vec<&str> =
        signal.get("reasons").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let more = reasons.len().saturating_sub(REASONS);
    let mut why = reasons.iter().take(REASONS).copied().collect::<Vec<_>>().join("; ");
    if more > 0 {
        why = format!("{why} and {more} more");
    }
    let what = match kind {
        "block" => format!("is blocked by {}", text(signal, "group")),
        "clear" => format!("is no longer blocked by {}", text(signal, "group")),
        _ => format!("is rolled back to {}", shown(signal, "rollback_to")),
    };
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{} {} {what}{why}", text(signal, "model"), text(signal, "version"))
}

/// The share of the traffic, or a phase.
fn of_rollout(rollout: &Value) -> String {
    let why = rollout.get("reasons").and_then(|all| all.get(0)).and_then(Value::as_str).unwrap_or_default();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!(
        "{}: the rollout of {} is {} at {}%{why}",
        text(rollout, "model"),
        shown(rollout, "version"),
        text(rollout, "phase"),
        shown(rollout, "weight")
    )
}

/// Slack reads these three characters as markup.
fn for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn card(event: &Value, said: &str) -> Value {
    let colour = match text(event, "event") {
        "block" | "rollback" => "Attention",
        "clear" | "promotion" => "Good",
        _ => "Default",
    };
    let title = format!("driftgate: {}", text(event, "event"));
    let line = |text: &str, weight: &str, colour: &str| json!({"type": "TextBlock", "text": text, "wrap": true, "weight": weight, "color": colour});
    json!({"type": "message", "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "content": {"type": "AdaptiveCard", "version": "1.4", "body": [line(&title, "Bolder", colour), line(said, "Default", "Default")]},
    }]})
}

fn alert(event: &Value, said: &str, key: &str) -> Option<Value> {
    let signal = event.get("signal")?;
    let [model, version, group] = ["model", "version", "group"].map(|key| text(signal, key));
    let kind = text(event, "event");
    let dedup_key = format!("driftgate/{model}/{version}/{group}");
    let dedup_key: String = dedup_key.chars().take(255).collect();
    if kind == "clear" {
        return Some(json!({"routing_key": key, "event_action": "resolve", "dedup_key": dedup_key}));
    }
    let severity = if kind == "rollback" || text(signal, "stage") == "prod" { "critical" } else { "error" };
    Some(json!({
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "payload": {
            "summary": said, "source": "driftgate", "severity": severity, "timestamp": text(signal, "ts"), "component": model, "group": group,
            "class": kind, "custom_details": {"version": version, "reasons": signal.get("reasons")},
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(kind: &str, stage: &str, reasons: usize) -> String {
        let reasons: Vec<String> = (0..reasons).map(|at| format!("drift/psi f{at} 0.3 breaks lt 0.2 <&>")).collect();
        json!({"event": kind, "signal": {"model": "m", "version": "7", "group": "drift", "stage": stage, "ts": "2026-11-28T00:00:00Z", "rollback_to": "6", "reasons": reasons}})
            .to_string()
    }

    fn body(template: Template, event: &str) -> Value {
        serde_json::from_str(&template.body(event, Some("R0")).unwrap()).unwrap()
    }

    #[test]
    fn the_event_itself_stays_as_it_is() {
        let event = signal("block", "prod", 2);
        assert_eq!(Template::Event.body(&event, None), Some(event));
        assert_eq!(Template::default(), Template::Event);
    }

    #[test]
    fn a_chat_gets_a_sentence_without_markup_of_ours() {
        let said = body(Template::Slack, &signal("block", "prod", 7))["text"].as_str().unwrap().to_owned();
        assert!(
            said.starts_with("m 7 is blocked by drift: drift/psi f0 0.3 breaks lt 0.2 &lt;&amp;&gt;; ")
                && said.ends_with(" and 2 more"),
            "{said}"
        );
        assert_eq!(body(Template::Slack, &signal("clear", "prod", 0))["text"], "m 7 is no longer blocked by drift");
        let stage = json!({"event": "stage", "model": "m", "stage": "prod", "from": null, "to": "2", "actor": "a", "reason": "r"}).to_string();
        assert_eq!(body(Template::Slack, &stage)["text"], "m: prod moves from none to 2 by a: r");
        let record =
            json!({"event": "promotion", "record": {"model": "m", "version": 2, "to_stage": "prod", "actor": "a"}})
                .to_string();
        assert_eq!(body(Template::Slack, &record)["text"], "m 2 is promoted to prod by a");
        let card = body(Template::Teams, &signal("rollback", "prod", 1));
        let lines = &card["attachments"][0]["content"]["body"];
        assert_eq!((&lines[0]["text"], &lines[0]["color"]), (&json!("driftgate: rollback"), &json!("Attention")));
        assert!(lines[1]["text"].as_str().unwrap().starts_with("m 7 is rolled back to 6: "), "{card}");
    }

    #[test]
    fn a_pager_is_called_by_a_block_and_left_alone_by_the_rest() {
        let trigger = body(Template::PagerDuty, &signal("block", "prod", 100));
        assert_eq!(
            (&trigger["event_action"], &trigger["routing_key"], &trigger["payload"]["severity"]),
            (&json!("trigger"), &json!("R0"), &json!("critical"))
        );
        assert!(trigger["payload"]["summary"].as_str().unwrap().chars().count() <= 1024);
        assert_eq!(body(Template::PagerDuty, &signal("block", "staging", 1))["payload"]["severity"], "error");
        let resolve = body(Template::PagerDuty, &signal("clear", "prod", 0));
        assert_eq!((&resolve["event_action"], &resolve["dedup_key"]), (&json!("resolve"), &trigger["dedup_key"]));
        for other in ["{\"event\": \"stage\"}", "{\"event\": \"approval\"}", "no JSON"] {
            assert_eq!(Template::PagerDuty.body(other, Some("R0")), None, "{other}");
        }
    }
}
