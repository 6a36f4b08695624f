//! Readiness, what was read of each topic, and the status of models.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ledger;
use crate::problems::Problem;
use crate::view::cluster::Role;
use crate::view::inputs::{Example, InputView};
use driftgate_core::judge::verdict::Status as VerdictStatus;
use driftgate_core::promotion::types::ActiveBlock;
use driftgate_core::promotion::version::PendingRollback;
use driftgate_core::rollout::State;

/// Whether the daemon works, and if not what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    /// What the process of a cluster does; a standby is ready once its copy has reached the end of the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Role>,
    /// By name: why. Only where it is not ready, and for callers that may read every model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<String, String>,
}

/// The daemon and every model. Commands read only what they show, so that they understand a daemon of another release.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// What this process is among several, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<super::Cluster>,
    /// The worst first.
    pub problems: Vec<Problem>,
    #[serde(default)]
    pub ready: bool,
    /// By name: why.
    #[serde(default)]
    pub not_ready: BTreeMap<String, String>,
    /// By sink: how many messages wait.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub undelivered: super::Ordered<u64>,
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// What is worth knowing of events that count.
    #[serde(default)]
    pub remarks: Vec<String>,
    pub models: Vec<ModelStatus>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inputs {
    pub inputs: Vec<Input>,
    /// One sentence per topic that has a problem.
    pub problems: Vec<String>,
}

/// What was read of a topic since the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Input {
    pub topic: String,
    pub events: u64,
    /// By reason.
    pub rejected: BTreeMap<String, u64>,
    /// Events of models without a policy.
    pub unknown_model: u64,
    pub recent: RecentEvents,
    /// A rejected event per reason.
    pub examples: BTreeMap<String, RejectedEvent>,
    pub problem: Option<String>,
}

/// The last minutes, or the last events where they are few.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecentEvents {
    pub events: u64,
    pub rejected: u64,
    /// The rejected share, 0 to 1.
    pub share: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedEvent {
    pub partition: i32,
    pub offset: i64,
    /// What is wrong with it.
    pub detail: String,
    /// What it looks like, without its values.
    pub read: String,
}

impl Input {
    #[must_use]
    pub fn of(topic: &str, seen: &InputView) -> Self {
        let recent = seen.recent();
        let example = |e: &Example| RejectedEvent {
            partition: e.partition,
            offset: e.offset,
            detail: e.detail.clone(),
            read: e.read.clone(),
        };
        Self {
            topic: topic.to_owned(),
            events: seen.events,
            rejected: seen.rejected.iter().map(|(reason, n)| (reason.name().to_owned(), *n)).collect(),
            unknown_model: seen.unknown_model,
            recent: RecentEvents { events: recent.events, rejected: recent.rejected, share: recent.share() },
            examples: seen.examples.iter().map(|(reason, e)| (reason.name().to_owned(), example(e))).collect(),
            problem: seen.problem(topic),
        }
    }
}

/// A model in a few lines.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModelStatus {
    pub model: String,
    /// The worst first.
    pub problems: Vec<Problem>,
    #[serde(default)]
    pub policy_sha256: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Since when and why automatic actions stand still.
    pub frozen: Option<String>,
    /// The last one, under way or ended.
    pub rollout: Option<State>,
    /// A rollback whose old version was not seen serving yet.
    pub rollback_pending: Option<PendingRollback>,
    #[serde(default)]
    pub registry_drift: Vec<RegistryDrift>,
    pub versions: Vec<VersionStatus>,
}

/// Something that the external registry has otherwise, or does not have any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryDrift {
    pub kind: String,
    pub model: String,
    pub version: Option<String>,
    pub stage: Option<String>,
    /// RFC 3339.
    pub since: String,
    pub detail: String,
}

impl From<&ledger::Problem> for RegistryDrift {
    fn from(found: &ledger::Problem) -> Self {
        let ledger::Problem { kind, model, version, stage, since, detail } = found;
        Self {
            kind: (*kind).to_owned(),
            model: model.clone(),
            version: version.clone(),
            stage: stage.clone(),
            since: since.clone(),
            detail: detail.clone(),
        }
    }
}

/// A version in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionStatus {
    pub version: String,
    pub stages: Vec<String>,
    pub blocks: Vec<ActiveBlock>,
    /// When it was rolled back from prod.
    pub rolled_back: Option<String>,
    /// What was registered otherwise than the external registry says.
    #[serde(default)]
    pub differing: Vec<String>,
    pub predictions: u64,
    pub worst: Option<Worst>,
}

/// The worst of the latest verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Worst {
    pub group: String,
    pub status: VerdictStatus,
    pub window_end: String,
    pub reasons: Vec<String>,
}
