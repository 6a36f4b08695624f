//! Models, their versions, and verdicts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Ordered;
use super::verdict::AnyVerdict;
use crate::view::Past;
use driftgate_core::judge::verdict::{Counted, Status, Verdict, WindowSpan};
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::promotion::version::VersionRecord;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Models {
    pub models: Vec<ModelSummary>,
}

/// A model: one line per version and group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelSummary {
    pub model: String,
    pub policy_sha256: String,
    /// `metadata:` of the policy.
    pub metadata: BTreeMap<String, String>,
    pub versions: Vec<VersionSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionSummary {
    pub version: String,
    /// Stages whose pointer is on it.
    pub stages: Vec<String>,
    pub predictions: u64,
    /// The latest verdict of each group, in the policy's order.
    #[schema(value_type = BTreeMap<String, GroupSummary>)]
    pub groups: Ordered<GroupSummary>,
    pub blocks: Vec<ActiveBlock>,
}

/// The latest verdict of a group; a `status` of null alone where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GroupSummary {
    pub status: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

impl From<&Verdict> for GroupSummary {
    fn from(latest: &Verdict) -> Self {
        Self {
            status: Some(latest.status),
            verdict_id: Some(latest.verdict_id.clone()),
            window: Some(latest.window),
            counted: Some(latest.counted),
        }
    }
}

/// A version, as events and the registry have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionDetail {
    pub model: String,
    pub version: String,
    pub policy_sha256: String,
    pub stages: Vec<String>,
    pub predictions: u64,
    /// Null: it is not registered.
    pub registry: Option<VersionRecord>,
    /// Null: no snapshot was asked for yet.
    pub baseline: Option<Baseline>,
    pub blocks: Vec<ActiveBlock>,
    /// The latest verdict of each group.
    #[schema(value_type = BTreeMap<String, AnyVerdict>)]
    pub verdicts: BTreeMap<String, Arc<Verdict>>,
    /// By group: the end of the last window whose verdict the registry has. Decisions follow these.
    #[schema(value_type = BTreeMap<String, String>)]
    pub recorded: Ordered<String>,
}

/// What a version is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Baseline {
    Known {
        sha256: String,
        /// Rows of the training snapshot.
        rows: Option<u64>,
    },
    Failed {
        error: String,
    },
}

/// Verdicts, the newest first. Older ones have no evidence, and `"brief": true`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verdicts<'k> {
    #[schema(value_type = Vec<AnyVerdict>)]
    pub verdicts: Vec<Past<'k>>,
}
