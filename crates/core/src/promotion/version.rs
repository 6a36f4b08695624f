//! A version as a registry knows it, what registering says of it, and how its stage pointers move. Values only: where they are
//! kept is the registry's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::types::ActiveBlock;
use super::value::differs;

/// A version as the registry has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionRecord {
    pub model: String,
    pub version: String,
    /// Where its training snapshot (or a built baseline) is, if not where the policy says.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub snapshot: Option<String>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub snapshot_sha256: Option<String>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub artifact_sha256: Option<String>,
    /// Where its artifact's files are, to recompute the digest.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub artifact: Option<String>,
    /// The version that its offline metrics are compared with.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub baseline_version: Option<String>,
    /// Stages whose pointer is on it.
    pub stages: Vec<String>,
    /// Groups with an active block, with the signal's reasons.
    pub blocks: Vec<ActiveBlock>,
    /// Wall clock, ms.
    pub registered_at: i64,
    /// Whether it was rolled back from prod, and when (event time, RFC 3339).
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub rolled_back: Option<String>,
    /// When it was noticed that the external registry does not have it any more: wall clock, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at: Option<i64>,
    /// When it was made in the external registry under the number of a deleted version, ms: windows that ended by then were that one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew_ms: Option<i64>,
    /// What the external registry says of it, by kind (`snapshot`, `code_commit`, `offline`, …): shown, and nothing is decided by it. The
    /// snapshot alone is read from there while no caller has registered one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<BTreeMap<String, Value>>))]
    pub reported: BTreeMap<String, Value>,
}

impl VersionRecord {
    /// Where its training snapshot is read: as registered, else as the external registry says.
    #[must_use]
    pub fn snapshot_in_use(&self) -> Option<&str> {
        self.snapshot.as_deref().or_else(|| self.reported.get("snapshot")?.as_str())
    }

    /// What was registered otherwise than the external registry says, a sentence each.
    #[must_use]
    pub fn differing(&self) -> Vec<String> {
        let said = [
            ("snapshot", &self.snapshot),
            ("snapshot_sha256", &self.snapshot_sha256),
            ("artifact_sha256", &self.artifact_sha256),
            ("baseline_version", &self.baseline_version),
        ];
        let said = said.into_iter().filter_map(|(kind, said)| Some((kind, Value::from(said.as_deref()?))));
        said.filter_map(|(kind, said)| differs(kind, &said, self.reported.get(kind))).collect()
    }
}

/// A move of a stage pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageMove {
    pub stage: String,
    pub from: Option<String>,
    pub to: Option<String>,
    /// Wall clock, ms.
    pub at: i64,
    pub actor: String,
    pub reason: String,
}

/// What registering says of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    pub model: String,
    pub version: String,
    #[serde(default)]
    pub snapshot: Option<String>,
    #[serde(default)]
    pub snapshot_sha256: Option<String>,
    #[serde(default)]
    pub artifact_sha256: Option<String>,
    #[serde(default)]
    pub artifact: Option<String>,
    #[serde(default)]
    pub baseline_version: Option<String>,
    /// A stage pointer to put on it.
    #[serde(default)]
    pub stage: Option<String>,
    /// The snapshot that the version has cannot be read: another one may take its place.
    #[serde(skip)]
    pub corrects_snapshot: bool,
}

/// A rollback whose old version was not seen serving yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PendingRollback {
    pub model: String,
    pub from: String,
    pub to: String,
    /// Event time, RFC 3339.
    pub since: String,
}

/// What applying a signal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It changed the registry; for a rollback, where prod stands now (`None`: no stable version to go back to).
    Done { rollback_to: Option<String> },
    /// It had been applied before.
    Already,
    /// It says nothing to this registry: a rollback of a version that is not in prod, or of a frozen model.
    Ignored(String),
}
