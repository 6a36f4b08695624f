//! What the commands of a state folder answer. No route gives these: the folder is read where it lies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a state folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateShown {
    pub folder: String,
    /// A daemon holds it.
    pub in_use: bool,
    /// The registry that it belongs to.
    pub registry_id: Option<String>,
    /// All files, in bytes.
    pub bytes: u64,
    /// The last checkpoint; null where there is none.
    pub checkpoint: Option<CheckpointShown>,
    /// The one before it, which is used where the last one is damaged.
    pub before: Option<CheckpointShown>,
}

/// A checkpoint, or why its file is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CheckpointShown {
    Read(Box<CheckpointContent>),
    Failed { file: String, error: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointContent {
    pub file: String,
    pub format: u32,
    /// When it was written, RFC 3339.
    pub written: Option<String>,
    pub bytes: u64,
    pub chunks: ChunksShown,
    pub positions: Vec<Position>,
    pub models: Vec<ModelKept>,
    pub outbox: OutboxShown,
}

/// Files that the checkpoint names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunksShown {
    pub count: u64,
    pub bytes: u64,
    /// Named, and not there.
    pub missing: u64,
}

/// Where a partition is read on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub topic: String,
    pub partition: i32,
    /// Null: nothing was read yet.
    pub next_offset: Option<i64>,
    pub topic_id: Option<String>,
    /// Models that do not count the events before it.
    pub behind: Vec<String>,
}

/// What is kept of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelKept {
    pub model: String,
    pub policy_sha256: String,
    /// Windows of every group are closed up to here, RFC 3339.
    pub closed_to: Option<String>,
    pub predictions_waiting: u64,
    pub labels_waiting: u64,
    /// Predictions that were counted, by version.
    pub versions: BTreeMap<String, u64>,
}

/// What no registry has acknowledged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxShown {
    pub verdicts: u64,
    pub signals: u64,
    pub bytes: u64,
}

/// What `state verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateVerified {
    pub folder: String,
    pub intact: bool,
    /// The last checkpoint is whole, or the one before it is used: a daemon starts.
    pub usable: bool,
    /// Chunks that were read, and their bytes.
    pub chunks: u64,
    pub bytes: u64,
    pub defects: Vec<DefectShown>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefectShown {
    pub file: String,
    pub problem: String,
}

/// What `state backup` wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateBackup {
    pub folder: String,
    pub driftgate: String,
    /// When it was made, RFC 3339.
    pub made: String,
    /// When its checkpoint was written, RFC 3339; null where the state had none.
    pub checkpoint_written: Option<String>,
    pub positions: Vec<Position>,
    /// The registry's file in the folder.
    pub registry: String,
    pub audit_key: bool,
    /// Of all files.
    pub bytes: u64,
    /// How it is put back.
    pub restore: Vec<String>,
}
