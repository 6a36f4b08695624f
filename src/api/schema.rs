//! Schemas of types that belong to the core, the registry and the view, which do not know of OpenAPI. Nothing makes a value of these: a
//! test holds what they describe against the answers themselves.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What a check or a window came to, from good to bad.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictStatus {
    Pass,
    Warn,
    Insufficient,
    Block,
}

/// The span that a verdict is about: [start, end), RFC 3339 in UTC.
#[derive(ToSchema)]
pub struct Window {
    pub start: String,
    pub end: String,
    /// Whether the streams had passed its end; only files have windows that are not complete.
    pub complete: bool,
}

#[derive(ToSchema)]
pub struct Counted {
    pub predictions: u64,
    pub labels: u64,
}

/// A window of one (model, version, group), judged.
#[derive(ToSchema)]
pub struct Verdict {
    pub verdict_id: String,
    pub model: String,
    pub version: String,
    #[schema(required = true)]
    pub stage: Option<String>,
    pub group: String,
    pub window: Window,
    pub status: VerdictStatus,
    pub results: Vec<RuleResult>,
    pub counted: Counted,
    pub policy_sha256: String,
    #[schema(required = true)]
    pub baseline_sha256: Option<String>,
    /// An older verdict, whose results have no evidence.
    pub brief: Option<bool>,
}

/// One rule on one subject: [`RuleFields`] and the evidence of its metric.
pub struct RuleResult;

impl PartialSchema for RuleResult {
    fn schema() -> RefOr<Schema> {
        match RuleFields::schema() {
            RefOr::T(Schema::Object(mut fields)) => {
                fields.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
                RefOr::T(Schema::Object(fields))
            }
            other => other,
        }
    }
}

impl ToSchema for RuleResult {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RuleFields::schemas(schemas);
    }
}

/// One rule on one subject. Which evidence stands beside these fields depends on the metric.
#[derive(ToSchema)]
pub struct RuleFields {
    /// group/id.
    pub rule: String,
    pub metric: String,
    pub subject: String,
    pub status: VerdictStatus,
    #[schema(required = true)]
    pub value: Option<f64>,
    /// The limit as the policy has it.
    pub limit: Option<BTreeMap<String, Value>>,
    pub n: Option<u64>,
    pub reference_n: Option<u64>,
    /// Why it is insufficient, or a warning beyond the warning limit.
    pub reason: Option<String>,
    /// End of the first window of this run of windows with this status.
    pub since: Option<String>,
    /// Breached, but not for as long as `for` asks.
    pub pending: Option<bool>,
    pub muted: Option<bool>,
    pub segments: Option<Vec<BTreeMap<String, Value>>>,
    pub bins: Option<Vec<BTreeMap<String, Value>>>,
}

/// A block that was signalled and not cleared.
#[derive(ToSchema)]
pub struct ActiveBlock {
    pub group: String,
    pub since: String,
    pub reasons: Vec<String>,
    pub signal_id: String,
    pub verdict_id: String,
}

/// A version as the registry has it.
#[derive(ToSchema)]
pub struct VersionRecord {
    pub model: String,
    pub version: String,
    #[schema(required = true)]
    pub snapshot: Option<String>,
    #[schema(required = true)]
    pub snapshot_sha256: Option<String>,
    #[schema(required = true)]
    pub artifact_sha256: Option<String>,
    #[schema(required = true)]
    pub artifact: Option<String>,
    #[schema(required = true)]
    pub baseline_version: Option<String>,
    pub stages: Vec<String>,
    pub blocks: Vec<ActiveBlock>,
    /// Wall clock, ms.
    pub registered_at: i64,
    #[schema(required = true)]
    pub rolled_back: Option<String>,
    /// When MLflow was seen not to have it any more, ms.
    pub lost_at: Option<i64>,
    /// When it was made in MLflow under the number of a deleted version, ms.
    pub anew_ms: Option<i64>,
    /// What MLflow says of it, by kind.
    pub reported: Option<BTreeMap<String, Value>>,
}

#[derive(ToSchema)]
pub struct PendingRollback {
    pub model: String,
    pub from: String,
    pub to: String,
    /// Event time, RFC 3339.
    pub since: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateVerdict {
    Pass,
    Block,
    /// Too little, too old or no data.
    Inconclusive,
    /// Waiting for approval.
    Pending,
}

/// May a version be promoted to a stage? Only `pass` means yes.
#[derive(ToSchema)]
pub struct GateAnswer {
    pub verdict: GateVerdict,
    /// `verdict` is pass.
    pub ok: bool,
    /// Everything that speaks against it; empty on a pass.
    pub reasons: Vec<String>,
    pub policy_sha256: String,
    /// RFC 3339, UTC.
    pub evaluated_at: String,
    /// Seconds since the end of the oldest window that counted.
    #[schema(required = true)]
    pub age_s: Option<i64>,
    pub model: String,
    pub version: String,
    pub to: String,
    /// What was seen but did not count.
    pub notes: Vec<String>,
    pub gates: Vec<GateFinding>,
}

/// One gate and how it came out.
#[derive(ToSchema)]
pub struct GateFinding {
    pub gate: String,
    pub outcome: GateOutcome,
    pub detail: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateOutcome {
    Pass,
    Warn,
    Pending,
    Inconclusive,
    Block,
}

/// The latest evidence of a kind.
#[derive(ToSchema)]
pub struct Evidence {
    pub kind: String,
    pub value: Value,
    pub actor: String,
    /// Wall clock, ms.
    pub at_ms: i64,
}

/// An approval, bound to what was there when it was given.
#[derive(ToSchema)]
pub struct Approval {
    pub to: String,
    pub actor: String,
    pub role: String,
    /// Wall clock, ms.
    pub at_ms: i64,
    #[schema(required = true)]
    pub artifact_sha256: Option<String>,
    pub policy_sha256: String,
    pub evidence_sha256: String,
    #[schema(required = true)]
    pub comment: Option<String>,
}

/// A rule that does not stop promotions for a while.
#[derive(ToSchema)]
pub struct Override {
    /// group/id.
    pub rule: String,
    #[schema(required = true)]
    pub subject: Option<String>,
    /// Wall clock, ms.
    pub until_ms: i64,
    pub reason: String,
    pub actor: String,
    pub at_ms: i64,
}

#[derive(ToSchema)]
pub struct RollbackTarget {
    pub version: String,
    /// What speaks against it without excluding it.
    #[schema(required = true)]
    pub caution: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub enum RolloutPhase {
    Waiting,
    Progressing,
    WaitingPromotion,
    Promoting,
    Succeeded,
    Failed,
}

/// A rollout, under way or ended. Times are event time in ms.
#[derive(ToSchema)]
pub struct Rollout {
    pub id: String,
    pub model: String,
    pub candidate: String,
    #[schema(required = true)]
    pub champion: Option<String>,
    pub from: String,
    pub to: String,
    pub phase: RolloutPhase,
    /// Index into the rollout's steps.
    pub step: u64,
    /// Percent of the traffic that the candidate should receive.
    pub weight: f64,
    /// Why it is paused.
    #[schema(required = true)]
    pub paused: Option<String>,
    pub inconclusive: bool,
    pub started_ms: i64,
    pub step_started_ms: i64,
    pub now_ms: i64,
    pub pauses: Vec<BTreeMap<String, Value>>,
    pub first_seen_ms: BTreeMap<String, i64>,
    pub processed_ms: BTreeMap<String, BTreeMap<String, i64>>,
    pub measured: BTreeMap<String, Value>,
    pub breaches: BTreeMap<String, Value>,
    pub comparison: BTreeMap<String, Value>,
    pub gate_asked: bool,
    pub confirmed: bool,
    /// Another controller moves the traffic.
    pub external: bool,
    pub dry_run: bool,
    /// Of the last change.
    pub why: String,
}
