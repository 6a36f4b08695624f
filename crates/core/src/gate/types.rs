//! The question that the gate is asked, and its answer. Values only.

use serde::{Deserialize, Serialize};

use crate::judge::verdict::{RuleResult, Status, Verdict};
use crate::policy::Policy;
use crate::promotion::types::{ActiveBlock, Dossier, Finding};

/// What is asked, and everything the answer depends on.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub policy: &'a Policy,
    /// The stage to promote to.
    pub to: &'a str,
    pub version: &'a str,
    /// Wall clock, or stream time where events are read from files.
    pub now_ms: i64,
    /// The latest verdict of each group that has one.
    pub latest: Vec<GroupVerdict>,
    /// The version's active blocks, of any group.
    pub blocks: &'a [ActiveBlock],
    pub standing: Standing<'a>,
    /// What the registry knows of the version.
    pub dossier: &'a Dossier,
    /// Why a version that was rolled back is tried again.
    pub retry: Option<&'a str>,
}

/// What is known of the version itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    Registered,
    /// Events name it, the registry does not.
    OnlySeen,
    /// Neither; these versions of the model are known.
    Unknown {
        others: &'a [String],
    },
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum GateVerdict {
    Pass,
    Block,
    /// Too little, too old or no data.
    Inconclusive,
    /// Waiting for approval.
    Pending,
}

impl GateVerdict {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Block => "block",
            Self::Inconclusive => "inconclusive",
            Self::Pending => "pending",
        }
    }

    /// What a command that asks exits with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Block => 1,
            Self::Inconclusive => 3,
            Self::Pending => 4,
        }
    }
}

/// May a version be promoted to a stage, and why? Only `pass` means yes. Its JSON has the keys in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GateAnswer))]
pub struct Answer {
    pub verdict: GateVerdict,
    /// `verdict` is pass.
    pub ok: bool,
    /// Everything that speaks against it, what blocks first, then what is inconclusive, then what waits; empty on a pass.
    pub reasons: Vec<String>,
    pub policy_sha256: String,
    /// RFC 3339, UTC.
    pub evaluated_at: String,
    /// Seconds since the end of the oldest window that counted.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub age_s: Option<i64>,
    pub model: String,
    pub version: String,
    pub to: String,
    /// What was seen but did not count.
    pub notes: Vec<String>,
    /// Every gate and how it came out.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub gates: Vec<Finding>,
    /// Of a process of a cluster that does not own the ledger: what it answers from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy: Option<FromCopy>,
}

/// A copy of the registry that an answer is taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GateCopy))]
pub struct FromCopy {
    /// How long ago it was at the end of the ledger; without it it never was.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub age_ms: Option<i64>,
    /// The instance that owns the ledger, if one is known.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub owner: Option<String>,
}

/// A question that has no answer: the asker is mistaken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    #[error("the policy of {model:?} has no transition to {to:?}; it has transitions to {}", known.join(", "))]
    UnknownStage { model: String, to: String, known: Vec<String> },
}

/// What the gate needs of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVerdict {
    pub group: String,
    /// End of its window.
    pub end_ms: i64,
    pub complete: bool,
    /// In the verdict's order.
    pub results: Vec<Decided>,
}

/// What the gate needs of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// `group/id`.
    pub rule: String,
    pub subject: String,
    /// What decisions see of it: mutes and pending breaches are accounted for.
    pub decides: Status,
    pub sentence: String,
}

impl GroupVerdict {
    #[must_use]
    pub fn from_verdict(verdict: &Verdict) -> Self {
        let decided = |r: &RuleResult| Decided {
            rule: r.rule.clone(),
            subject: r.subject.clone(),
            decides: r.decides(),
            sentence: r.sentence(),
        };
        Self {
            group: verdict.group.clone(),
            end_ms: verdict.window.end,
            complete: verdict.window.complete,
            results: verdict.results.iter().map(decided).collect(),
        }
    }

    /// What decisions see of it. A verdict without results judged nothing, and no data never promotes.
    #[must_use]
    pub fn status_decides(&self) -> Status {
        self.results.iter().map(|r| r.decides).max().unwrap_or(Status::Insufficient)
    }
}

impl From<&Verdict> for GroupVerdict {
    fn from(verdict: &Verdict) -> Self {
        Self::from_verdict(verdict)
    }
}
