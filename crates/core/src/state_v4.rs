//! The state that driftgate 0.1 kept in its checkpoint (format 4), frozen: nothing here changes any more. Each module turns
//! its part into what it keeps today (`From`), beside the struct that has the fields.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::codec::chunk::Chunk;
use crate::rule::types::Status;

#[derive(Deserialize)]
pub struct Checkpoint {
    pub sources: Vec<SourceState>,
    pub pipelines: Vec<PipelineState>,
    pub outbox: Vec<Item>,
}

#[derive(Deserialize)]
pub struct SourceState {
    pub topic: String,
    pub partition: i32,
    pub next_offset: Option<i64>,
    pub max_ts: Vec<(String, Option<i64>)>,
}

#[derive(Deserialize)]
pub struct PipelineState {
    pub model: String,
    pub policy_sha256: String,
    /// A digest of what the policy counts, as format 4 named it.
    pub counts: String,
    pub intake: IntakeState,
    pub evaluator: EvaluatorState,
}

#[derive(Deserialize)]
pub struct IntakeState {
    pub names: Names,
    pub versions: Vec<VersionState>,
    pub join: Option<JoinState>,
    pub closed: Vec<i64>,
    pub counters: Counters,
}

#[derive(Deserialize)]
pub struct Names {
    pub versions: Dictionary,
    pub stages: Dictionary,
    pub categorical: Vec<Dictionary>,
    pub segmentations: Vec<Dictionary>,
}

#[derive(Deserialize)]
pub struct Dictionary {
    /// Says what `names` says.
    #[allow(dead_code, reason = "it stands in the bytes")]
    codes: HashMap<Box<str>, u32>,
    pub names: Vec<Box<str>>,
    pub bound: u32,
}

#[derive(Deserialize)]
pub struct VersionState {
    pub last_ts: Option<i64>,
    pub measured_ts: Option<i64>,
    pub predictions: u64,
    pub pinned: bool,
    pub baseline: Option<String>,
    pub panes: Vec<Vec<(i64, Sealed)>>,
}

#[derive(Deserialize)]
pub struct JoinState {
    pub pending: RowsState,
    pub early: RowsState,
    pub swept_at: i64,
}

#[derive(Deserialize)]
pub struct RowsState {
    pub own: usize,
    pub blocks: Vec<Option<Block>>,
    pub bytes: Vec<Chunk>,
    pub open: Option<usize>,
    pub begun: u64,
}

#[derive(Deserialize)]
pub struct Block {
    pub order: u64,
    pub layout: RowLayout,
    pub stride: usize,
    pub base: i64,
    pub shared: Vec<[u32; 4]>,
    pub labelled: Vec<u64>,
    pub gone: Vec<u64>,
    pub kpis: Vec<u32>,
    pub live: usize,
    pub times: (i64, i64),
}

#[derive(Deserialize)]
pub enum RowLayout {
    Narrow,
    Wide,
}

#[derive(Deserialize)]
pub struct Counters {
    pub predictions: u64,
    pub labels: u64,
    pub features: u64,
    pub measurements: u64,
    pub late: u64,
    pub after_close: u64,
    pub duplicate_predictions: u64,
    pub duplicate_labels: u64,
    pub ignored: u64,
    pub joined: u64,
    pub unmatched: u64,
    pub unlabelled: u64,
    pub null_labels: u64,
    pub invalid_values: u64,
    pub unsegmented: u64,
}

#[derive(Deserialize)]
pub struct Sealed {
    pub predictions: u64,
    pub features: u64,
    pub pairs: u64,
    pub unsegmented: Vec<u64>,
    pub counts: Packed,
    pub segments: Vec<(u32, u32, SegmentCounts)>,
    pub unseen: Vec<(u32, u32, u64)>,
    pub last: Option<Last>,
    pub measured: Vec<Measured>,
}

#[derive(Deserialize)]
pub struct Packed {
    pub len: u32,
    pub chunk: Chunk,
}

#[derive(Deserialize)]
pub struct SegmentCounts {
    pub tp: u64,
    pub fn_: u64,
    pub fp: u64,
    pub tn: u64,
    pub predicted: [u64; 2],
}

#[derive(Deserialize)]
pub struct Last {
    pub ts: i64,
    pub id: String,
    pub stage: u32,
}

#[derive(Deserialize)]
pub struct Measured {
    pub n: u64,
    pub sum: i128,
    pub low: i64,
    pub high: i64,
}

#[derive(Deserialize)]
pub struct EvaluatorState {
    pub versions: Vec<Vec<RollingState>>,
}

#[derive(Deserialize)]
pub struct RollingState {
    pub panes: Vec<(i64, Vec<Sealed>)>,
    pub memory: Memory,
}

#[derive(Deserialize)]
pub struct Memory {
    pub last_end: Option<i64>,
    pub streaks: BTreeMap<String, Streak>,
    pub blocked: bool,
    pub triggers: BTreeMap<usize, TriggerState>,
}

#[derive(Deserialize)]
pub struct Streak {
    pub status: Option<Status>,
    pub since: i64,
    pub breach: Breach,
}

#[derive(Deserialize)]
pub struct Breach {
    pub first_end: i64,
    pub windows: u32,
    pub last_end: i64,
}

#[derive(Deserialize)]
pub struct TriggerState {
    pub breach: Breach,
    pub fired: bool,
}

#[derive(Deserialize)]
pub enum Item {
    Verdict { model: String, version: String, group: String, end_ms: i64, json: String },
    Signal(Signal),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Block,
    Clear,
    Rollback,
}

#[derive(Deserialize)]
pub struct Signal {
    pub signal_id: String,
    pub ts: String,
    pub model: String,
    pub version: String,
    pub group: String,
    pub action: Action,
    pub stage: Option<String>,
    pub rollback_to: Option<String>,
    pub reasons: Vec<String>,
    pub verdict_id: String,
    pub policy_sha256: String,
}
