//! A registry elsewhere, as the ledger hears of it and what it wants changed there. Who asks it and who writes to it is a sink.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A registered model as MLflow has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// `false`: MLflow has no such model, and the rest is empty.
    pub exists: bool,
    /// Alias to version.
    pub aliases: BTreeMap<String, String>,
    /// By number.
    pub versions: Vec<FoundVersion>,
    /// Versions that were asked for by number, and that it does not have.
    pub gone: Vec<String>,
}

/// A version as MLflow describes it. What comes from a tag is read from `driftgate.<name>`, else from `<name>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundVersion {
    pub version: String,
    /// When it was made, ms: tells it from another of the same number.
    pub created_ms: Option<i64>,
    /// `READY`, `PENDING_REGISTRATION` or `FAILED_REGISTRATION`.
    pub status: String,
    /// Where the model's files are.
    pub source: Option<String>,
    pub run_id: Option<String>,
    /// Tag `snapshot`: where its training snapshot is.
    pub snapshot: Option<String>,
    /// Tags, as they stand there.
    pub snapshot_sha256: Option<String>,
    pub artifact_sha256: Option<String>,
    /// Tag `code_commit`, else the run's `mlflow.source.git.commit`.
    pub code_commit: Option<String>,
    /// The run's metrics, finite ones, overlaid by the version's tags `metric.<name>`.
    pub offline: BTreeMap<String, f64>,
    /// Tag `baseline_version`: the version its offline metrics are compared with.
    pub baseline_version: Option<String>,
    /// The tags that driftgate writes: those that start with `gate.`.
    pub tags: BTreeMap<String, String>,
    /// What could not be read of it, a sentence each.
    pub problems: Vec<String>,
}

/// A change of MLflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Puts an alias (a stage pointer) onto a version.
    SetAlias {
        model: String,
        alias: String,
        version: String,
        /// Where the alias stood when this was decided. On any other version than this and the new one it stays;
        /// where there is none it is made.
        #[serde(default)]
        expected: Option<String>,
        /// The version's creation timestamp, ms, when this was decided; `None`: not known.
        #[serde(default)]
        created_ms: Option<i64>,
    },
    /// Sets tags of a version.
    SetTags {
        model: String,
        version: String,
        /// Key and value; both are cut to what MLflow takes.
        tags: Vec<(String, String)>,
        /// As above.
        #[serde(default)]
        created_ms: Option<i64>,
    },
}
