//! The events of the audit log: one variant per kind, with its fields. The ledger writes events only through this type,
//! and the state that follows from the log (`state`) and the sentences of `driftgate history` (`sentence`) are made from it alone.
//!
//! The names of variants and the names and order of fields are the bytes of the log: a new field is optional and is left out
//! where it is empty, so that records of every release before are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::chain::Record;
use super::fact::Upgrade;
use crate::gate::GateVerdict;
use crate::judge::verdict::Signal;
use crate::promotion::types::{Approval, Override};
use crate::promotion::version::Registration;

/// An event of a model or a version; the record around it has the model, the version, the actor and the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "payload", rename_all = "snake_case")]
pub enum Event {
    /// A version was registered, or found.
    Register(Register),
    /// A piece of evidence was attached.
    Evidence {
        kind: String,
        value: Value,
        /// Other fields that the external registry reports.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reported: Option<Value>,
    },
    Approval(Approval),
    Override(Override),
    /// A promotion was asked for.
    Gate {
        #[serde(default)]
        to: String,
        verdict: GateVerdict,
        #[serde(default)]
        reasons: Vec<String>,
        #[serde(default)]
        policy_sha256: String,
        /// Why an artifact that was rolled back is promoted again.
        #[serde(default)]
        retry: Option<String>,
        #[serde(default)]
        comment: Option<String>,
    },
    /// A promotion began, with its record.
    Promotion(PromotionRecord),
    /// A stage pointer moved.
    Stage(StageMoved),
    Rollout(RolloutEvent),
    /// A signal was applied, or ignored.
    Signal {
        outcome: SignalOutcome,
        /// The version that a rollback went to, or why the signal was ignored.
        #[serde(default)]
        detail: String,
        signal: Signal,
    },
    /// Prod was rolled back, or could not be.
    Rollback {
        from: String,
        /// `None`: no version is stable.
        #[serde(default)]
        to: Option<String>,
        #[serde(default)]
        reason: String,
        /// Event time, RFC 3339.
        #[serde(default)]
        ts: String,
        #[serde(default)]
        automatic: bool,
    },
    /// The version that a rollback would go to; nothing moved.
    RollbackDrill {
        from: String,
        #[serde(default)]
        to: Option<String>,
        #[serde(default)]
        reason: String,
    },
    /// The stream confirms that the version serves that prod was rolled back to.
    RollbackConfirmed {
        window_end: String,
    },
    /// A person ended a block.
    Unblock {
        group: String,
        #[serde(default)]
        reason: String,
        /// When the block began, and why; event time, RFC 3339.
        #[serde(default)]
        since: String,
        #[serde(default)]
        reasons: Vec<String>,
        #[serde(default)]
        signal_id: String,
    },
    /// Automatic actions on a model stop.
    Freeze {
        #[serde(default)]
        reason: String,
    },
    Resume {},
    /// The external registry has another value than was written there.
    RegistryDrift(RegistryDrift),
    /// A report of the external registry about a version: it is shown and decides nothing.
    Reported {
        kind: String,
        value: Value,
    },
    /// A file of a release before was taken over.
    Upgrade(Upgrade),
    /// A record of another release.
    #[serde(skip)]
    Other {
        event: String,
        payload: Value,
    },
}

/// How a version became known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Register {
    /// It was found in the external registry.
    Found {
        #[serde(deserialize_with = "present")]
        source: Option<String>,
        #[serde(default)]
        run_id: Option<String>,
        #[serde(default)]
        created_ms: Option<i64>,
    },
    Given(Registered),
}

/// A registration as it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registered {
    pub model: String,
    pub version: String,
    pub snapshot: Option<String>,
    pub snapshot_sha256: Option<String>,
    pub artifact_sha256: Option<String>,
    pub artifact: Option<String>,
    pub baseline_version: Option<String>,
    pub stage: Option<String>,
    /// Differences to the external registry, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differing: Vec<String>,
}

impl Registered {
    #[must_use]
    pub fn new(given: &Registration, differing: Vec<String>) -> Self {
        let given = given.clone();
        Self {
            model: given.model,
            version: given.version,
            snapshot: given.snapshot,
            snapshot_sha256: given.snapshot_sha256,
            artifact_sha256: given.artifact_sha256,
            artifact: given.artifact,
            baseline_version: given.baseline_version,
            stage: given.stage,
            differing,
        }
    }

    /// The fields of the registration, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all =
            [&self.snapshot, &self.snapshot_sha256, &self.artifact_sha256, &self.artifact, &self.baseline_version];
        FIELDS.into_iter().zip(all).filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// The names of the fields of a registration.
pub const FIELDS: [&str; 5] = ["snapshot", "snapshot_sha256", "artifact_sha256", "artifact", "baseline_version"];

/// A promotion record as `promotion::record` makes it. Its end is added to the copy in the registry, not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromotionRecord(pub Value);

impl PromotionRecord {
    /// A field, if it is there, is a text or a number, and is not empty.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            other => Some(other.to_string()),
        }
    }
}

/// A move of a stage pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageMoved {
    pub stage: String,
    #[serde(default)]
    pub from: Option<String>,
    /// `None`: the pointer was removed.
    #[serde(default)]
    pub to: Option<String>,
    #[serde(default)]
    pub reason: String,
    /// It is a rollback of the stage. Left out where the pointer is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<bool>,
    /// A release before followed a move that was made in MLflow; set where such a pointer is put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<bool>,
    /// The same, by its name in a release before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<bool>,
}

/// The outcome of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalOutcome {
    Applied,
    Ignored,
}

impl SignalOutcome {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
        }
    }
}

/// A step of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RolloutEvent {
    Told(RolloutTold),
    Phase {
        phase: String,
        #[serde(default)]
        why: String,
    },
    /// The share of the traffic, percent, from an event time on (RFC 3339).
    Weight {
        weight: f64,
        #[serde(default)]
        ts: String,
    },
    Note {
        note: String,
    },
}

/// A command to a rollout, by a person or another controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum RolloutTold {
    Pause {
        #[serde(default)]
        reason: String,
    },
    Resume,
    Abort {
        #[serde(default)]
        reason: String,
    },
    Promote,
    External {
        #[serde(default)]
        succeeded: bool,
        /// Why prod does not move nevertheless.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
}

/// A finding in the external registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RegistryDrift {
    /// The version was deleted and made again: everything known of it is void.
    Recreated {
        recreated: True,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created_ms: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known_ms: Option<i64>,
    },
    Deleted {
        deleted: True,
    },
    Returned {
        returned: True,
    },
    /// Another system or person moved a pointer.
    Moved {
        stage: String,
        #[serde(default)]
        expected: Option<String>,
        #[serde(default)]
        found: Option<String>,
        /// The version that it points to here.
        #[serde(default)]
        ours: Option<String>,
    },
}

/// A key that is `true` where it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value { Ok(Self) } else { Err("it is false") }
    }
}

impl From<True> for bool {
    fn from(True: True) -> Self {
        true
    }
}

/// A required key, which may be null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

impl Event {
    /// Reads the event of a record. One of an unknown kind or form is kept as it is.
    #[must_use]
    pub fn read(event: &str, payload: &Value) -> Self {
        let known = serde_json::from_value(json!({"event": event, "payload": payload}));
        known.unwrap_or_else(|_| Self::Other { event: event.to_owned(), payload: payload.clone() })
    }

    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self::read(&record.event, &record.payload)
    }

    /// Its kind and its payload, as a record holds them.
    #[must_use]
    pub fn to_parts(&self) -> (String, Value) {
        if let Self::Other { event, payload } = self {
            return (event.clone(), payload.clone());
        }
        // All keys are texts, so there is nothing that cannot be written.
        let mut parts: BTreeMap<String, Value> =
            serde_json::to_value(self).and_then(serde_json::from_value).unwrap_or_default();
        let event = parts.remove("event").and_then(|event| event.as_str().map(str::to_owned)).unwrap_or_default();
        (event, parts.remove("payload").unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
