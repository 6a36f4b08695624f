//! What came of a change.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::PromotionRecord;
use driftgate_core::gate::Answer;
use driftgate_core::promotion::types::{ActiveBlock, Approval, Evidence, Override};
use driftgate_core::rollout::State;

/// All evidence of a version, the latest of each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceKept {
    pub model: String,
    pub version: String,
    pub evidence: Vec<Evidence>,
}

/// The approval, and the gate's answer with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approved {
    pub approval: Approval,
    pub gate: Answer,
}

/// The gate's answer, and what it led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Promoted {
    #[serde(flatten)]
    pub answer: Answer,
    /// Null where the gate does not pass.
    #[schema(value_type = Option<PromotionRecord>)]
    pub record: Option<Value>,
    /// The rollout that began.
    pub rollout: Option<State>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolledBack {
    pub model: String,
    pub from: String,
    /// Null: there is no stable version to return to.
    pub to: Option<String>,
    pub drill: bool,
    pub moved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overridden {
    pub r#override: Override,
    /// RFC 3339.
    pub until: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unblocked {
    pub model: String,
    pub version: String,
    /// The blocks that ended.
    pub ended: Vec<ActiveBlock>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Frozen {
    pub model: String,
    /// Since when and why; null: automatic actions go on.
    pub frozen: Option<String>,
    pub changed: bool,
}
