//! A run as it is read: its keys, texts and names, and what is wrong with it.

use serde_json::{Map, Value};

use crate::gate::types::GateError;
use crate::promotion::evidence::EvidenceError;
use crate::promotion::types::{Finding, GateOutcome};
use crate::promotion::value::show;

/// A run that cannot be decided.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the run is not JSON: {0}")]
    Json(serde_json::Error),
    #[error("the run: expected an object, read {read}")]
    NotAnObject { read: String },
    #[error("the run has no `{key}`: add it, like {example}")]
    Missing { key: &'static str, example: &'static str },
    /// A value of the wrong type or beyond its range.
    #[error("{at}: expected {expected}, read {read}")]
    Value { at: String, expected: String, read: String },
    #[error("{at}: {source}")]
    Evidence { at: String, source: EvidenceError },
    #[error("{at}: the run says {kind} twice, and differently: keep one")]
    Twice { at: String, kind: String },
    #[error("the run is of model {run:?}, the policy of {policy:?}: give the policy of the run's model")]
    Model { run: String, policy: String },
    #[error(transparent)]
    Gate(#[from] GateError),
}

impl RunError {
    pub(super) fn value(at: impl Into<String>, expected: impl Into<String>, read: &Value) -> Self {
        Self::Value { at: at.into(), expected: expected.into(), read: show(read) }
    }
}

/// Keys of a run that are no metrics and hold none.
pub const RESERVED: [&str; 23] = [
    "model",
    "version",
    "champion_version",
    "from_stage",
    "to_stage",
    "evidence",
    "artifacts",
    "units",
    "approvals",
    "approvers",
    "required_approvals",
    "rollback_to",
    "status",
    "champion",
    "gates",
    "rollout",
    "rollback_triggers",
    "promotion_id",
    "at",
    "actor",
    "comment",
    "policy_sha256",
    "id",
];

/// A text, if it is there.
pub fn text(run: &Map<String, Value>, key: &str) -> Result<Option<String>, RunError> {
    match run.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(other) => Err(RunError::value(key, "a text", other)),
    }
}

/// A version, if it is there: a text or a whole number.
pub fn name(run: &Map<String, Value>, key: &str) -> Result<Option<String>, RunError> {
    match run.get(key) {
        Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
        Some(Value::String(_) | Value::Null) | None => text(run, key),
        Some(other) => Err(RunError::value(key, "a version, like 12 or \"12\"", other)),
    }
}

/// An object, if it is there.
pub fn object<'r>(run: &'r Map<String, Value>, key: &str) -> Result<Option<&'r Map<String, Value>>, RunError> {
    match run.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(RunError::value(key, "an object", other)),
    }
}

/// A gate of the run itself.
pub fn gate(name: impl Into<String>, outcome: GateOutcome, detail: String) -> Finding {
    Finding::new(name, outcome, detail)
}
