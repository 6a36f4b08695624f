//! Verdicts and signals outward: to the registry first, by a thread that waits for nothing else, and from there to topics and
//! webhooks, each by a thread of its own, until they are acknowledged. What is not acknowledged yet is part of the checkpoint or
//! of the registry, so nothing is lost; ids make a second delivery harmless. What each system outside gets of a fact is written
//! by `driftgate_core::fact`, in the transaction that the fact belongs to.
//!
//! `outbox` is the way to the registry, `delivery` carries what the ledger queued, and `attestations` what of it goes to registries of artifacts, `lane` is the way to a topic, `mirror` keeps
//! an external registry in step, `external` is what it asks of one, and `mlflow` and `sagemaker` are those, `dead_letters` are messages that could not be read, `webhook` is the client of one receiver, `template` how its
//! bodies are written and `signing` what it signs with, `standing` says how a sink does.

pub mod attestations;
pub mod dead_letters;
pub mod delivery;
pub mod external;
pub mod ingest;
pub mod lane;
pub mod mirror;
pub mod mlflow;
pub mod outbox;
pub mod sagemaker;
mod shorten;
pub mod signing;
pub mod standing;
pub mod template;
pub mod topic;
pub mod webhook;

use serde::{Deserialize, Serialize};

use crate::history;
use crate::ledger::{Given, GivenVerdict};
use driftgate_core::judge::verdict::Signal;
use driftgate_core::state_v4;

/// Something to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// A verdict as JSON.
    Verdict {
        model: String,
        version: String,
        group: String,
        end_ms: i64,
        json: String,
    },
    Signal(Signal),
    /// A window for the history, as its `record` is written.
    Window {
        model: String,
        version: String,
        group: String,
        end_ms: i64,
        record: Vec<u8>,
    },
}

impl From<state_v4::Item> for Item {
    fn from(old: state_v4::Item) -> Self {
        match old {
            state_v4::Item::Verdict { model, version, group, end_ms, json } => {
                Self::Verdict { model, version, group, end_ms, json }
            }
            state_v4::Item::Signal(signal) => Self::Signal(signal.into()),
        }
    }
}

impl Item {
    /// The key of its Kafka record: what belongs to one version stays in order.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Verdict { model, version, .. } | Self::Window { model, version, .. } => format!("{model}/{version}"),
            Self::Signal(s) => format!("{}/{}", s.model, s.version),
        }
    }

    /// About the memory it takes while it waits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Verdict { json, .. } => json.len(),
                Self::Signal(signal) => signal.reasons.iter().map(String::len).sum(),
                Self::Window { record, .. } => record.len(),
            }
    }

    /// A verdict's JSON. A signal is sent by the registry, with its outcome.
    #[must_use]
    pub fn json(&self) -> &str {
        match self {
            Self::Verdict { json, .. } => json,
            Self::Signal(_) | Self::Window { .. } => "",
        }
    }

    /// As the registry takes it; `None` of what is not the registry's.
    #[must_use]
    pub fn as_given(&self) -> Option<Given<'_>> {
        match self {
            Self::Verdict { model, version, group, end_ms, json } => {
                Some(Given::Verdict(GivenVerdict { model, version, group, end_ms: *end_ms, json }))
            }
            Self::Signal(signal) => Some(Given::Signal(signal)),
            Self::Window { .. } => None,
        }
    }

    /// As the history takes it.
    #[must_use]
    pub fn as_window(&self) -> Option<history::Given> {
        let Self::Window { model, end_ms, record, .. } = self else { return None };
        Some(history::Given { model: model.clone(), end_ms: *end_ms, record: record.clone() })
    }
}
