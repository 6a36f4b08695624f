//! A webhook that is told the weights: it answers 2xx once the traffic is divided so, and is told again until it does.

use serde_json::{Value, json};

use super::division::number;
use super::error::RouterError;
use crate::sink::webhook::Webhook;
use driftgate_core::rollout::State;

/// A webhook of the configuration, by its name.
pub struct Receiver {
    pub name: String,
    pub webhook: Webhook,
}

impl Receiver {
    /// Tells it the candidate's percentage; when this returns, it has answered 2xx.
    ///
    /// # Errors
    /// A receiver that does not answer, or that refuses.
    pub fn tell(&self, state: &State, percent: f64, template: Option<&str>) -> Result<(), RouterError> {
        // One id for one content, so that a second delivery is known as one.
        let id = format!("{}-{percent}-{}", state.id, state.phase.name());
        Ok(self.webhook.post(&id, &body(state, percent, template))?)
    }
}

/// What is sent: all there is to say as a JSON object, or the template with its placeholders replaced. What stands in quotes is
/// escaped as JSON asks for.
pub(super) fn body(state: &State, percent: f64, template: Option<&str>) -> String {
    let values = [
        ("model", json!(state.model)),
        ("version", json!(state.candidate)),
        ("champion", json!(state.champion)),
        ("weight", number(percent)),
        ("champion_weight", number(100.0 - percent)),
        ("rollout_id", json!(state.id)),
    ];
    let Some(template) = template else {
        return Value::Object(values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()).to_string();
    };
    // Each placeholder is looked for in the template alone, never in what replaced another.
    let (mut written, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        written.push_str(before);
        let found = values
            .iter()
            .find_map(|(name, value)| Some((value, from.strip_prefix('{')?.strip_prefix(name)?.strip_prefix('}')?)));
        rest = if let Some((value, after)) = found {
            written.push_str(&plain(value));
            after
        } else {
            written.push('{');
            from.get(1..).unwrap_or_default()
        };
    }
    written.push_str(rest);
    written
}

/// A value as it stands within quotes, or for itself.
fn plain(value: &Value) -> String {
    let text = value.to_string();
    match value {
        Value::String(_) => text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned(),
        _ => text,
    }
}
