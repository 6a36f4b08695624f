//! Bodies and queries of requests. A key that is not known is an error, so that a misspelled one does not go unnoticed. What is not given
//! is not sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use driftgate_core::promotion::PROD;

fn prod() -> String {
    PROD.to_owned()
}

fn is_empty(map: &Map<String, Value>) -> bool {
    map.is_empty()
}

/// What registering a version says beside the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegisterRequest {
    /// Where its training snapshot or built baseline is, if not where the policy says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_sha256: Option<String>,
    /// Where its artifact's files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// The version that its offline metrics are compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_version: Option<String>,
    /// A stage pointer to put on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Evidence by kind.
    #[serde(skip_serializing_if = "is_empty")]
    #[schema(value_type = Object)]
    pub evidence: Map<String, Value>,
}

/// Evidence by kind: `{"tests": "pass", "offline": {"auc": 0.88}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct EvidenceRequest(pub Map<String, Value>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// The stage that the version is approved for.
    #[serde(default = "prod")]
    pub to: String,
    /// The role to approve in, if the token may approve in several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// The stage to promote to.
    #[serde(default = "prod")]
    pub to: String,
    /// Why an artifact that was rolled back is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    pub reason: String,
    /// The version to return to; without it the last stable one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Nothing moves; the audit log records the drill.
    #[serde(default)]
    pub drill: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideRequest {
    /// The rule, as group/id.
    pub rule: String,
    /// Without it every subject of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A time such as 24h; one of `for` and `until` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#for: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnblockRequest {
    pub reason: String,
    /// The group whose block ends; without it all blocks of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutRequest {
    /// pause, resume, abort or promote; for a rollout of another controller succeeded or failed.
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VerdictsQuery {
    /// Only verdicts of this group.
    pub group: Option<String>,
    /// How many verdicts, 1 to 1000; by default 50.
    pub limit: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// How many records, 1 to 10000; by default 100.
    pub limit: Option<usize>,
    /// Only records before the one with this `seq`.
    pub before: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct GateQuery {
    /// The stage to promote to.
    #[param(required = true)]
    pub to: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PromotionsQuery {
    /// `json` (the default), or `markdown` for the newest record as a note.
    pub format: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_given_is_sent() {
        let register = RegisterRequest { stage: Some("prod".into()), ..RegisterRequest::default() };
        assert_eq!(json!(register), json!({"stage": "prod"}));
        let rollback = RollbackRequest { reason: "why".into(), to: None, drill: false };
        assert_eq!(json!(rollback), json!({"reason": "why", "drill": false}));
        assert_eq!(serde_json::from_str::<ApprovalRequest>("{}").unwrap().to, "prod");
    }
}
