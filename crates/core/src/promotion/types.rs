//! What is known of a version beside its verdicts, as the registry hands it to the gate: evidence, approvals, overrides
//! and where it stands. Values only; `evidence`, `approvals` and their siblings judge them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::value::{differs, show};

/// The stage that serves, for which lineage and a way back must be known.
pub const PROD: &str = "prod";

/// A piece of evidence attached to a version. The latest of each kind counts; the audit log keeps all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evidence {
    /// `tests`, `offline`, `schema` and the like.
    pub kind: String,
    /// As attached.
    pub value: Value,
    pub actor: String,
    /// Wall clock, ms.
    pub at_ms: i64,
}

/// An approval of a promotion, bound to what was there when it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    /// The stage the version is approved for.
    pub to: String,
    /// Who gave it, by their token; never taken from a tag.
    pub actor: String,
    /// As whom: `owner`, `reviewer`, …
    pub role: String,
    /// Wall clock, ms.
    pub at_ms: i64,
    /// The artifact's digest, the policy's and the evidence's when it was given; it is void once one of them changes.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub artifact_sha256: Option<String>,
    pub policy_sha256: String,
    pub evidence_sha256: String,
    /// What else it is bound to. An approval of a release that did not write it down has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub comment: Option<String>,
}

/// What a version was made of and compared with when it was approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Basis {
    /// The training snapshot's, as registered.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub snapshot_sha256: Option<String>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub baseline_version: Option<String>,
    /// The versions that its offline metrics and schema are compared with, by role: `baseline`, `champion`.
    pub peers: BTreeMap<String, PeerSeen>,
}

/// Another version as it was when an approval was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PeerSeen {
    pub version: String,
    /// Of its offline metrics and its schema.
    pub sha256: String,
}

/// A rule (and subject) that does not stop promotions for a while. Verdicts stay what they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Override {
    /// `group/id`.
    pub rule: String,
    /// As verdicts name it; without one, every subject of the rule.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub subject: Option<String>,
    /// Wall clock, ms.
    pub until_ms: i64,
    pub reason: String,
    pub actor: String,
    pub at_ms: i64,
}

/// A block that was signalled and not cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActiveBlock {
    pub group: String,
    pub since: String,
    pub reasons: Vec<String>,
    pub signal_id: String,
    pub verdict_id: String,
}

/// Another version that offline metrics and schema are compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub version: String,
    /// Its offline metrics.
    pub offline: BTreeMap<String, Value>,
    /// Its `schema` evidence.
    pub schema: Option<Value>,
}

/// Where a rollback of the version would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RollbackTarget {
    pub version: String,
    /// What speaks against it without excluding it, e.g. an active block.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub caution: Option<String>,
}

/// Somebody whose wish a promotion is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    pub actor: String,
    /// The stage they asked to promote the version to; `None`: they registered it.
    pub to: Option<String>,
}

/// Everything the registry knows of a version that a gate asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dossier {
    /// By kind.
    pub evidence: BTreeMap<String, Evidence>,
    /// What the external registry says of it, by kind: anybody who may edit a model there can write it, so it is shown and decides nothing.
    pub reported: BTreeMap<String, Value>,
    /// The digest the version was registered with, lower-case hex.
    pub artifact_sha256: Option<String>,
    /// The digest of the artifact's files as they are now; `None`: no place of them is registered.
    pub recomputed_sha256: Option<Recomputed>,
    /// Whether they are the files that the attached signature lists, where it lists any; what was found is a sentence.
    pub listed: Option<Recomputed>,
    /// Where its training snapshot is and what it is compared with, as registered.
    pub snapshot: Option<String>,
    pub snapshot_sha256: Option<String>,
    pub baseline_version: Option<String>,
    /// Every approval ever given, the oldest first.
    pub approvals: Vec<Approval>,
    /// Who registered the version, and who asked for its promotion.
    pub requesters: Vec<Requester>,
    /// Those that have not run out.
    pub overrides: Vec<Override>,
    /// Stages whose pointer stands on the version.
    pub stages: Vec<String>,
    /// Stages whose pointer ever stood on it; `None`: not known, as in a recorded run.
    pub stood: Option<Vec<String>>,
    /// By role: `baseline`, `champion`.
    pub peers: BTreeMap<String, Peer>,
    /// `None`: no version to go back to.
    pub rollback_target: Option<RollbackTarget>,
    /// When (RFC 3339) the version, or another with the same artifact, was rolled back, and which.
    pub rolled_back: Option<String>,
    /// Why the version cannot be promoted whatever speaks for it: the registry that we keep in step with lost it.
    pub lost: Option<String>,
    /// When it was made under the number of a deleted version, ms: windows that ended by then are left out.
    pub anew_ms: Option<i64>,
}

impl Dossier {
    /// What the external registry says otherwise than somebody who may, a sentence each.
    #[must_use]
    pub fn differing(&self) -> Vec<String> {
        let registered = |digest: &Option<String>| digest.as_deref().map(Value::from);
        let attached = |kind: &str| self.evidence.get(kind).map(|e| e.value.clone());
        [
            ("snapshot", registered(&self.snapshot)),
            ("snapshot_sha256", registered(&self.snapshot_sha256).or_else(|| attached("data_snapshot"))),
            ("artifact_sha256", registered(&self.artifact_sha256).or_else(|| attached("artifact_digest"))),
            ("baseline_version", attached("baseline_version").or_else(|| registered(&self.baseline_version))),
            ("code_commit", attached("code_commit")),
            ("offline", attached("offline")),
        ]
        .into_iter()
        .filter_map(|(kind, said)| differs(kind, &said?, self.reported.get(kind)))
        .collect()
    }

    /// Whether the artifact's files, or those that a signature lists, are being read just now.
    #[must_use]
    pub fn is_being_read(&self) -> bool {
        [&self.recomputed_sha256, &self.listed].into_iter().any(|found| matches!(found, Some(Recomputed::Computing(_))))
    }

    /// What the external registry says of some of these kinds, for a sentence; empty where it says nothing.
    #[must_use]
    pub fn reported_only<'k>(&self, kinds: impl IntoIterator<Item = &'k str>) -> String {
        let of = |kind: &str| match kind {
            "data_snapshot" => "snapshot_sha256".to_owned(),
            "artifact_digest" => "artifact_sha256".to_owned(),
            other => other.to_owned(),
        };
        let found: Vec<String> = kinds
            .into_iter()
            .filter_map(|kind| Some(format!("{kind} {}", show(self.reported.get(&of(kind))?))))
            .collect();
        if found.is_empty() {
            String::new()
        } else {
            format!("; reported by the external registry, not confirmed: {}", found.join(", "))
        }
    }
}

/// What is found of an artifact's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recomputed {
    /// A digest in lower-case hex, or another answer.
    Known(String),
    /// They are being read: how far that is.
    Computing(String),
    /// Why they cannot be read, or are others.
    Unreachable(String),
    /// They lie where artifacts may not lie.
    Refused(String),
}

/// How one gate came out, for reasons, the promotion record and the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum GateOutcome {
    Pass,
    Warn,
    /// Waits for somebody's approval, or for files that are being read.
    Pending,
    /// Too little, too old or no data.
    Inconclusive,
    Block,
}

/// One gate and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = GateFinding))]
pub struct Finding {
    /// `evidence/tests`, `offline/auc`, `schema`, `approvals`, `lineage`, `rollback`, or a rule as `slo/p95`.
    pub gate: String,
    pub outcome: GateOutcome,
    /// A sentence: the value read, the limit, and what to do where it does not pass.
    pub detail: String,
}

impl Finding {
    pub fn new(gate: impl Into<String>, outcome: GateOutcome, detail: impl Into<String>) -> Self {
        Self { gate: gate.into(), outcome, detail: detail.into() }
    }
}
