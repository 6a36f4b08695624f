//! Everything that speaks for and against a version, the audit log's records, promotion records, and rollouts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Ordered;
use super::verdict::AnyVerdict;
use driftgate_core::gate::Answer;
use driftgate_core::judge::verdict::Verdict;
use driftgate_core::promotion::types::{ActiveBlock, Approval, Evidence, Finding, Override, RollbackTarget};
use driftgate_core::rollout::State;

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub model: String,
    pub version: String,
    pub stages: Vec<String>,
    pub blocks: Vec<ActiveBlock>,
    /// When it was rolled back from prod.
    pub rolled_back: Option<String>,
    /// Since when and why automatic actions on the model stand still.
    pub frozen: Option<String>,
    /// Where a rollback would go; null: nowhere.
    pub rollback_target: Option<RollbackTarget>,
    pub lineage: Lineage,
    pub approvals: Vec<Approval>,
    pub overrides: Vec<Override>,
    /// The gate's answer by stage, in the policy's order.
    #[schema(value_type = BTreeMap<String, Answer>)]
    pub gates: Ordered<Answer>,
    /// The newest first.
    #[schema(value_type = Vec<PromotionRecord>)]
    pub promotions: Vec<Value>,
    /// The latest of each group.
    #[schema(value_type = Vec<AnyVerdict>)]
    pub verdicts: Vec<Verdict>,
}

/// What made a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lineage {
    pub snapshot: Option<String>,
    pub snapshot_sha256: Option<String>,
    pub artifact: Option<String>,
    pub artifact_sha256: Option<String>,
    pub baseline_sha256: Option<String>,
    pub policy_sha256: Option<String>,
    /// What the external registry says otherwise than what was registered or attached.
    #[serde(default)]
    pub differing: Vec<String>,
    /// What the external registry says, by kind; nothing is decided by it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub reported: BTreeMap<String, Value>,
    pub evidence: Vec<Evidence>,
}

/// The audit log's records of a model, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// As the log has them: their bytes are what the chain is made of.
    #[schema(value_type = Vec<AuditRecord>)]
    pub history: Vec<Value>,
    /// Older records were asked for, too, and the answer would be too long: ask again with `before` the first one's `seq`.
    #[serde(default)]
    pub left_out: bool,
}

/// A record of the audit log.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
pub struct AuditRecord {
    pub seq: Option<u64>,
    /// Wall clock, RFC 3339.
    pub ts: String,
    pub actor: String,
    pub event: String,
    pub model: Option<String>,
    pub version: Option<String>,
    /// What the event says; its fields are the event's.
    pub payload: Value,
    /// The SHA-256 of the record before.
    pub prev: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Promotions {
    /// The newest first.
    #[schema(value_type = Vec<PromotionRecord>)]
    pub promotions: Vec<Value>,
}

/// What was promoted, by whom, on what grounds. Rates are fractions, times milliseconds. Records of releases before may lack fields.
#[derive(Clone, Debug, PartialEq, Deserialize, ToSchema)]
pub struct PromotionRecord {
    pub model: Option<String>,
    /// A whole number where the version is one, else a text.
    #[schema(value_type = Value)]
    pub version: Option<Value>,
    pub from_stage: Option<String>,
    pub to_stage: Option<String>,
    #[serde(default)]
    pub approvers: Vec<String>,
    /// Offline metrics, and the worst value of each live one.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub checks: Value,
    pub status: Option<String>,
    #[schema(value_type = Value)]
    pub rollback_to: Option<Value>,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub artifacts: Value,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub units: Value,
    #[serde(default)]
    pub champion: Value,
    #[serde(default)]
    #[schema(value_type = Vec<Finding>)]
    pub gates: Value,
    /// The rollout's plan in a line.
    pub rollout: Option<String>,
    #[serde(default)]
    pub rollback_triggers: Vec<String>,
    pub promotion_id: Option<String>,
    /// RFC 3339, UTC.
    pub at: Option<String>,
    pub actor: Option<String>,
    pub comment: Option<String>,
    /// Why an artifact that was rolled back was tried again.
    pub retry: Option<String>,
    pub policy_sha256: Option<String>,
    /// When its rollout ended, or it was done at once.
    pub ended_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LastRollout {
    /// The last one, under way or ended.
    pub rollout: Option<State>,
}
