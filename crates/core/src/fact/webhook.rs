//! Facts as events to a URL: `event` says what happened.

use serde_json::{Value, json};

use super::topic::{cleared, rollout, signal};
use super::{Fact, Message, RolloutStep, StageMove};
use crate::audit::event::{RegistryDrift, SignalOutcome};

/// The event that webhooks get of a fact.
#[must_use]
pub fn event(fact: &Fact<'_>) -> Option<Message> {
    Some(match fact {
        Fact::Signal(taken) if !matches!(taken.outcome, SignalOutcome::Ignored) => {
            let body = json!({"event": taken.signal.action.name(), "signal": signal(taken)});
            Message::new(taken.signal.model.as_str(), &body)
        }
        Fact::Unblocked(unblocked) => {
            Message::new(unblocked.model, &json!({"event": "clear", "signal": cleared(unblocked)}))
        }
        Fact::Rollout { state, step } => {
            let event = match step {
                RolloutStep::Weight(_) => "weight",
                RolloutStep::Phase => "phase",
            };
            Message::new(state.model.as_str(), &json!({"event": event, "rollout": rollout(state, *step)}))
        }
        Fact::StageMoved(moved) => Message::new(moved.model, &stage(moved)),
        Fact::Promoted { model, record } => Message::new(*model, &json!({"event": "promotion", "record": record})),
        Fact::Approved { model, version, approval, .. } => {
            let body = json!({"event": "approval", "model": model, "version": version, "approval": approval});
            Message::new(*model, &body)
        }
        Fact::Drift { model, version, drift } => {
            let body = json!({"event": "registry_drift", "model": model, "drift": drifted(*version, drift)});
            Message::new(*model, &body)
        }
        // A signal that was ignored.
        Fact::Signal(_)
        | Fact::SignalAgain { .. }
        | Fact::GateAsked { .. }
        | Fact::RolledBack { .. }
        | Fact::Verdict { .. }
        | Fact::Sealed(_) => return None,
    })
}

fn stage(moved: &StageMove<'_>) -> Value {
    let StageMove { model, stage, from, to, actor, reason, rollback, at_ms } = moved;
    json!({
        "event": "stage", "model": model, "stage": stage, "from": from, "to": to, "actor": actor, "reason": reason,
        "rollback": rollback, "at_ms": at_ms,
    })
}

/// Which version it is about comes first.
fn drifted(version: Option<&str>, drift: &RegistryDrift) -> Value {
    let drift = json!(drift);
    let Some(version) = version else { return drift };
    let mut told = json!({"version": version});
    if let (Some(told), Value::Object(drift)) = (told.as_object_mut(), drift) {
        told.extend(drift);
    }
    told
}
