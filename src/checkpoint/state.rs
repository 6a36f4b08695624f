//! What a checkpoint holds, and how one of the release before is taken over.

use serde::{Deserialize, Serialize};

use crate::sink::Item;
use driftgate_core::codec::chunk::EachChunk;
use driftgate_core::kserve::pairs::PairsState;
use driftgate_core::pipeline::PipelineState;
use driftgate_core::shard::EvaluationState;
use driftgate_core::state_v4;
use driftgate_core::window::front::Front;

/// Everything a restart needs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    pub sources: Vec<SourceState>,
    pub pipelines: Vec<PipelineState>,
    /// Verdicts and signals that no outlet has acknowledged yet.
    pub outbox: Vec<Item>,
    /// What is counted is a part of a unit.
    pub part: PartState,
}

/// What a part of a unit of a cluster keeps beside its pipelines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartState {
    #[default]
    Whole,
    /// By model: how many deltas it has given.
    Shard(Vec<(String, u64)>),
    /// How far it has read what shards counted, and what they said last, by model.
    Evaluator { read: Position, evaluations: Vec<(String, EvaluationState)> },
    /// It is whole, and of these topics requests and responses wait for each other.
    Joining(Vec<HalvesState>),
}

impl PartState {
    /// The state of a part, and apart from it the topics of which requests and responses wait.
    #[must_use]
    pub fn split(self) -> (Self, Vec<HalvesState>) {
        match self {
            Self::Joining(halves) => (Self::Whole, halves),
            other => (other, Vec::new()),
        }
    }
}

/// What is kept of a topic of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalvesState {
    pub topic: String,
    pub pairs: PairsState,
    /// By partition: rows of pairs that its offset is behind and that are not counted, predictions in JSON, a line each.
    pub rows: Vec<(i32, Vec<u8>)>,
}

/// How far a reader of documents in a topic has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Reading goes on here.
    pub next: i64,
    /// Documents that end up to here were read; -1 where none was.
    pub end: i64,
}

impl Default for Position {
    fn default() -> Self {
        Self { next: 0, end: -1 }
    }
}

/// A checkpoint of format 5, which knows no parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unparted {
    sources: Vec<SourceState>,
    pipelines: Vec<PipelineState>,
    outbox: Vec<Item>,
}

impl From<Unparted> for Checkpoint {
    fn from(Unparted { sources, pipelines, outbox }: Unparted) -> Self {
        Self { sources, pipelines, outbox, part: PartState::Whole }
    }
}

impl Checkpoint {
    /// What does not change any more.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        for pipeline in &mut self.pipelines {
            pipeline.intake.chunks(each);
            pipeline.evaluator.chunks(each);
        }
    }
}

/// A source partition's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    pub topic: String,
    pub partition: i32,
    /// The offset to read next; `None` where nothing was read yet.
    pub next_offset: Option<i64>,
    /// The id of the topic that the offset belongs to, and the leader's epoch of the record before it, where they are known.
    pub topic_id: Option<String>,
    pub leader_epoch: Option<i32>,
    /// How far its events have come, by model.
    pub fronts: Vec<(String, Front)>,
    /// Models that did not count the records before it, and have had none since.
    pub behind: Vec<String>,
    /// Of them those that go on behind a hole, and until when its records may be, by event time in ms.
    pub holes: Vec<(String, i64)>,
}

impl From<state_v4::Checkpoint> for Checkpoint {
    fn from(old: state_v4::Checkpoint) -> Self {
        let source = |s: state_v4::SourceState| SourceState {
            topic: s.topic,
            partition: s.partition,
            next_offset: s.next_offset,
            // Taken as they are found.
            topic_id: None,
            leader_epoch: None,
            fronts: s.max_ts.into_iter().map(|(model, ts)| (model, Front::new(0, ts))).collect(),
            behind: Vec::new(),
            holes: Vec::new(),
        };
        Self {
            sources: old.sources.into_iter().map(source).collect(),
            pipelines: old.pipelines.into_iter().map(PipelineState::from).collect(),
            outbox: old.outbox.into_iter().map(Item::from).collect(),
            part: PartState::Whole,
        }
    }
}
