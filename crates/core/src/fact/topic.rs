//! Facts as records of Kafka topics. What belongs to one version has one key, so that it stays in order.

use serde_json::{Value, json};

use super::{Fact, Message, RolloutStep, SignalTaken, Unblocked};
use crate::audit::event::SignalOutcome;
use crate::codec::hash::digest;
use crate::codec::time::utc;
use crate::judge::verdict::Action;
use crate::rollout::State;

/// The record of the signals topic: signals with what became of them, weights and phases of rollouts.
#[must_use]
pub fn signals(fact: &Fact<'_>) -> Option<Message> {
    match fact {
        Fact::Signal(taken) => Some(Message::new(key(&taken.signal.model, &taken.signal.version), &signal(taken))),
        Fact::SignalAgain { model, version, text } => {
            Some(Message { key: key(model, version), body: (*text).to_owned() })
        }
        Fact::Unblocked(unblocked) => Some(Message::new(key(unblocked.model, unblocked.version), &cleared(unblocked))),
        Fact::Rollout { state, step } => {
            Some(Message::new(key(&state.model, &state.candidate), &rollout(state, *step)))
        }
        _ => None,
    }
}

/// The record of the verdicts topic.
#[must_use]
pub fn verdicts(fact: &Fact<'_>) -> Option<Message> {
    match fact {
        Fact::Verdict { model, version, json } => Some(Message { key: key(model, version), body: (*json).to_owned() }),
        _ => None,
    }
}

/// The record of the topic that signed heads of the audit log are anchored in.
#[must_use]
pub fn anchors(fact: &Fact<'_>) -> Option<Message> {
    match fact {
        Fact::Sealed(head) => Some(Message::new("audit", &json!(head))),
        _ => None,
    }
}

fn key(model: &str, version: &str) -> String {
    format!("{model}/{version}")
}

/// A signal with where a rollback went, and why the registry ignored it.
#[must_use]
pub fn signal(taken: &SignalTaken<'_>) -> Value {
    let SignalTaken { signal, outcome, detail } = *taken;
    let mut told = json!(signal);
    let Some(fields) = told.as_object_mut() else { return told };
    let is_applied = outcome == SignalOutcome::Applied;
    let to = (is_applied && signal.action == Action::Rollback && !detail.is_empty()).then_some(detail);
    fields.insert("rollback_to".into(), json!(to));
    fields.insert("outcome".into(), outcome.name().into());
    if !is_applied {
        fields.insert("detail".into(), detail.into());
    }
    told
}

/// The clear that others hear of: as the block was told, with another id, and who ended it and why.
pub(super) fn cleared(unblocked: &Unblocked<'_>) -> Value {
    let Unblocked { model, version, block, text, at_ms, .. } = *unblocked;
    let kept: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let mut told = kept.filter(Value::is_object).unwrap_or_else(|| {
        json!({
            "signal_id": "", "ts": "", "model": model, "version": version, "group": block.group, "action": "",
            "stage": null, "rollback_to": null, "reasons": [], "verdict_id": block.verdict_id, "outcome": "applied",
        })
    });
    if let Some(fields) = told.as_object_mut() {
        let id = digest(&[b"unblock", block.signal_id.as_bytes(), &at_ms.to_le_bytes()]);
        fields.insert("signal_id".into(), id.into());
        fields.insert("ts".into(), utc(at_ms).into());
        fields.insert("action".into(), "clear".into());
        fields.insert("reasons".into(), json!([unblocked.why()]));
    }
    told
}

/// The traffic router reads from it what share the candidate gets; the time is the stream's.
pub(super) fn rollout(state: &State, step: RolloutStep) -> Value {
    let ts = utc(state.now_ms);
    let (action, weight) = match step {
        RolloutStep::Weight(weight) => ("weight", weight),
        RolloutStep::Phase => ("phase", state.weight),
    };
    let share = weight.to_string();
    let parts = [state.id.as_str(), &ts, action, &share, state.phase.name()].map(str::as_bytes);
    json!({
        "signal_id": digest(&parts),
        "ts": ts,
        "model": state.model,
        "version": state.candidate,
        "group": null,
        "action": action,
        "stage": state.to,
        "champion": state.champion,
        "weight": weight,
        "phase": state.phase.name(),
        "dry_run": state.dry_run,
        "reasons": [state.why],
        "promotion_id": state.id,
    })
}
