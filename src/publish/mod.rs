//! Verdicts and signals outward: to the registry and to Kafka topics, by a thread of its own, until they are acknowledged.
//! What is not acknowledged yet is part of the checkpoint, so nothing is lost; ids make a second delivery harmless.
//! `webhook` is the client of one receiver.

pub mod courier;
pub mod outbox;
pub mod topic;
pub mod webhook;

use serde::{Deserialize, Serialize};

use crate::judge::verdict::Signal;

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
}

impl Item {
    /// The key of its Kafka record: what belongs to one version stays in order.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Verdict { model, version, .. } => format!("{model}/{version}"),
            Self::Signal(s) => format!("{}/{}", s.model, s.version),
        }
    }
}
