//! What happened to a model, as the ledger says it in the transaction that did it: neutral facts, and what each system outside
//! gets of them. [`topic`] is the one writer of the signals topic (and of the topics of verdicts and signed heads), [`webhook`]
//! that of events to URLs, [`attestation`] that of statements beside artifacts, [`tags`] that of tags of a version in an external registry. All of it is text: who carries it is no business of this module.

pub mod attestation;
pub mod external;
pub mod tags;
pub mod topic;
pub mod webhook;

use serde_json::Value;

pub use external::External;

use crate::audit::SignedHead;
use crate::audit::event::{RegistryDrift, SignalOutcome};
use crate::gate::Answer;
use crate::judge::verdict::Signal;
use crate::promotion::types::{ActiveBlock, Approval};
use crate::rollout::State;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A signal was applied or ignored.
    Signal(SignalTaken<'a>),
    /// A signal that had been taken before was given again; `text` is what the topic got of it then.
    SignalAgain { model: &'a str, version: &'a str, text: &'a str },
    /// A person ended a block.
    Unblocked(Unblocked<'a>),
    /// A rollout set the share of the traffic, or entered a phase.
    Rollout { state: &'a State, step: RolloutStep },
    /// A stage pointer was put onto a version.
    StageMoved(StageMove<'a>),
    /// A promotion began.
    Promoted { model: &'a str, record: &'a Value },
    /// An approval was given; `all` are those of the version, the oldest first.
    Approved { model: &'a str, version: &'a str, approval: &'a Approval, all: &'a [Approval] },
    /// A promotion was asked for.
    GateAsked { model: &'a str, version: &'a str, to: &'a str, answer: &'a Answer },
    /// Prod was taken back from a version; `ts` is an event time, RFC 3339.
    RolledBack { model: &'a str, from: &'a str, to: &'a str, reason: &'a str, ts: &'a str },
    /// The external registry says something else than was written there; `version`: of one version, not of a pointer.
    Drift { model: &'a str, version: Option<&'a str>, drift: &'a RegistryDrift },
    /// A verdict, as JSON.
    Verdict { model: &'a str, version: &'a str, json: &'a str },
    /// The audit log has grown, and its head was signed.
    Sealed(&'a SignedHead),
}

/// What became of a signal.
#[derive(Clone, Copy, Debug)]
pub struct SignalTaken<'a> {
    pub signal: &'a Signal,
    pub outcome: SignalOutcome,
    /// Where a rollback went, or why the signal was ignored.
    pub detail: &'a str,
}

/// A block that a person ended.
#[derive(Clone, Copy, Debug)]
pub struct Unblocked<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub block: &'a ActiveBlock,
    /// What the topic got of the block; `None`: a release before kept no text.
    pub text: Option<&'a str>,
    pub actor: &'a str,
    pub reason: &'a str,
    /// Wall clock, ms.
    pub at_ms: i64,
}

impl Unblocked<'_> {
    /// Who ended it, and why.
    fn why(&self) -> String {
        format!("unblocked by {}: {}", self.actor, self.reason)
    }
}

/// A step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RolloutStep {
    /// The share of the traffic, percent.
    Weight(f64),
    Phase,
}

/// A move of a stage pointer.
#[derive(Clone, Copy, Debug)]
pub struct StageMove<'a> {
    pub model: &'a str,
    pub stage: &'a str,
    pub from: Option<&'a str>,
    pub to: &'a str,
    pub actor: &'a str,
    pub reason: &'a str,
    /// It takes the stage back.
    pub rollback: bool,
    /// Wall clock, ms.
    pub at_ms: i64,
}

/// A record for a topic, or an event for a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub key: String,
    /// JSON.
    pub body: String,
}

impl Message {
    fn new(key: impl Into<String>, body: &Value) -> Self {
        Self { key: key.into(), body: body.to_string() }
    }
}

#[cfg(test)]
mod tests;
