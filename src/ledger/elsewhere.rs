//! A registry elsewhere, as the ledger hears of it and what it wants changed there. Who asks it and who writes to it is a sink.

use std::collections::BTreeMap;

use driftgate_core::fact::External;
use serde::{Deserialize, Serialize};

/// Tags of a version that driftgate writes start so.
const OURS: &str = "gate.";
/// Tags of a version that hold an offline metric start so.
const METRIC: &str = "metric.";

/// A registered model as an external registry has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Which registry that is.
    pub of: External,
    /// `false`: it has no such model, and the rest is empty.
    pub exists: bool,
    /// Alias to version.
    pub aliases: BTreeMap<String, String>,
    /// By number.
    pub versions: Vec<FoundVersion>,
    /// Versions that were asked for by number, and that it does not have.
    pub gone: Vec<String>,
}

/// A version as an external registry describes it. What comes from a tag is read from `driftgate.<name>`, else from `<name>`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundVersion {
    pub version: String,
    /// When it was made, ms: tells it from another of the same number.
    pub created_ms: Option<i64>,
    /// Its own word: `READY`, `PENDING_REGISTRATION` or `FAILED_REGISTRATION` of MLflow.
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

impl FoundVersion {
    /// A version by its tags. `offline` are metrics that are known of it otherwise, which tags replace.
    #[must_use]
    pub fn of_tags(tags: BTreeMap<String, String>, mut offline: BTreeMap<String, f64>) -> Self {
        let tag = |name: &str| {
            let named = tags.get(&format!("driftgate.{name}")).or_else(|| tags.get(name));
            named.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let mut problems = Vec::new();
        for (key, value) in &tags {
            let Some(name) = key.strip_prefix(METRIC).filter(|name| !name.is_empty()) else { continue };
            if let Some(value) = value.trim().parse::<f64>().ok().filter(|value| value.is_finite()) {
                offline.insert(name.to_owned(), value);
            } else {
                // Not what was measured either: the tag was meant to replace it.
                offline.remove(name);
                problems.push(format!("its tag {key:?} is not a number: {value:?}"));
            }
        }
        Self {
            snapshot: tag("snapshot"),
            snapshot_sha256: tag("snapshot_sha256"),
            artifact_sha256: tag("artifact_sha256"),
            code_commit: tag("code_commit"),
            baseline_version: tag("baseline_version"),
            offline,
            problems,
            tags: tags.into_iter().filter(|(key, _)| key.starts_with(OURS)).collect(),
            ..Self::default()
        }
    }
}

/// A change of an external registry.
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
        /// Key and value; both are cut to what the registry takes.
        tags: Vec<(String, String)>,
        /// As above.
        #[serde(default)]
        created_ms: Option<i64>,
    },
}
