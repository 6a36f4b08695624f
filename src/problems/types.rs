//! One problem: how bad it is, of what, and what to do next; and what the registry knows of a model.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ledger;
use driftgate_core::promotion::version::{PendingRollback, StageMove, VersionRecord};
use driftgate_core::rollout::State;

/// How bad it is; the first is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is not read, counted or served at all.
    Halted,
    /// What serves production fails, or does not serve as the registry says.
    Production,
    /// Input is refused, or results do not leave.
    Refused,
    /// Something waits for a person.
    Waiting,
    /// Nothing can be said of what serves production.
    Unknown,
    /// A version that does not serve production is blocked, or nothing can be said of it.
    Candidate,
    /// A limit is nearly reached, or it is breached and nothing follows from that.
    Warning,
    /// Some events were left out of the counts.
    Partial,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    pub severity: Severity,
    pub model: Option<String>,
    pub version: Option<String>,
    pub problem: String,
    /// What an operator does next.
    pub next: Option<String>,
}

impl Problem {
    /// A problem of no single model.
    pub(super) fn of_daemon(severity: Severity, problem: impl Into<String>, next: &str) -> Self {
        Self { severity, model: None, version: None, problem: problem.into(), next: Some(next.to_owned()) }
    }
}

/// What the registry says of a model.
#[derive(Clone, Debug, Default)]
pub struct ModelFacts {
    pub records: Vec<VersionRecord>,
    /// Since when and why automatic actions stand still.
    pub frozen: Option<String>,
    /// The last rollout, under way or ended.
    pub rollout: Option<State>,
    pub pending: Option<PendingRollback>,
    /// What the external registry lost: versions, and pointers that were taken away.
    pub lost: Vec<ledger::Problem>,
    /// The last move of the pointer prod.
    pub last_prod_move: Option<StageMove>,
}

/// A name as a shell takes it.
#[must_use]
pub fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', r"'\''"))
}
