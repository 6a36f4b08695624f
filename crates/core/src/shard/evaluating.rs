//! The evaluator's side: deltas of all shards added in the order of their log, closing lines by the least of all partitions, verdicts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::counting::counts_of;
use super::delta::{Against, Delta, Known, Slots, VersionAt};
use super::place::Place;
use crate::event::EventKind;
use crate::intake::elsewhere::Waiting;
use crate::intake::versions::Reference;
use crate::intake::{Counters, SealedPane, SourceId};
use crate::pipeline::Pipeline;
use crate::window::front::Front;
use crate::window::watermark::Progress;

/// Why a delta cannot be added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    #[error(
        "shard {shard} has published delta {found} and not {expected}, which comes next: the log of partial counts was cut, or its position is wrong"
    )]
    Number { shard: u32, found: u64, expected: u64 },
    #[error(
        "shard {shard} counts by another policy than the evaluator: what rules read must be the same in all processes"
    )]
    Policy { shard: u32 },
    #[error("a delta of the model {found:?} where {expected:?} is judged")]
    Model { found: String, expected: String },
    #[error(
        "shard {shard} has counted version {version:?} against {}, and the evaluator judges it against {}",
        said(found),
        said(expected)
    )]
    Baseline { shard: u32, version: String, found: Against, expected: Against },
    /// To be loaded, or given up, first; then the delta is added again.
    #[error("there is no decision yet over the baseline of version {version:?}")]
    Undecided { version: String },
    #[error("the partition {} of {:?} is none of the model's", place.partition, place.topic)]
    Place { place: Place },
    #[error("the delta {seq} of shard {shard} contradicts itself")]
    Unsound { shard: u32, seq: u64 },
}

fn said(against: &Against) -> String {
    match against {
        Against::Baseline(sha256) => format!("the baseline {sha256}"),
        Against::Nothing | Against::Undecided => "none".to_owned(),
    }
}

/// What is known of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct At {
    /// As its shard said last; `None` before it said anything.
    said: Option<(u64, Front, bool)>,
}

/// What is known of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ShardAt {
    /// The delta that comes next.
    next: u64,
    counters: Counters,
    predictions: BTreeMap<String, u64>,
    waiting: Waiting,
    asks: BTreeSet<String>,
}

/// What an evaluator keeps over a restart beside its pipeline's state, with its position in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationState {
    partitions: BTreeMap<Place, At>,
    shards: BTreeMap<u32, ShardAt>,
}

/// A partition of a model's topics, for whoever evaluates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOf {
    pub place: Place,
    pub kind: EventKind,
    /// How far ahead of its pace a time may lie there, in ms.
    pub future: i64,
}

/// How a partition stands, as its shard said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub kind: EventKind,
    pub next_offset: u64,
    /// Caught up, and silent for the configured time, when that was said.
    pub is_quiet: bool,
}

/// The judging of one model whose partitions other processes count, into a pipeline that is set up by `setup`.
pub struct Evaluation {
    slots: Vec<Slots>,
    counts: String,
    sources: BTreeMap<Place, (SourceId, EventKind)>,
    state: EvaluationState,
}

impl Evaluation {
    /// `places` are all partitions of the model's topics: one that no shard has told of holds its stream. `state` is what the last commit kept.
    #[must_use]
    pub fn new(pipeline: &Pipeline, places: &[PlaceOf], state: EvaluationState) -> Self {
        let mut sources = BTreeMap::new();
        let mut intake = pipeline.intake();
        intake.count_elsewhere();
        for PlaceOf { place, kind, future } in places {
            let said = state.partitions.get(place).and_then(|at| at.said.as_ref());
            let front = said.map(|(_, front, _)| front.clone());
            sources.insert(place.clone(), (intake.add_source(*kind, *future, front), *kind));
        }
        for (shard, at) in &state.shards {
            intake.wait_for(*shard, at.waiting);
        }
        drop(intake);
        let policy = &pipeline.policy;
        Self { slots: Slots::of(policy), counts: counts_of(policy), sources, state }
    }

    /// Versions whose rows wait in some shard for a decision.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<&str> {
        self.state.shards.values().flat_map(|shard| &shard.asks).map(String::as_str).collect()
    }

    /// The number of the delta of a shard that comes next.
    #[must_use]
    pub fn next_of(&self, shard: u32) -> u64 {
        self.state.shards.get(&shard).map_or(0, |at| at.next)
    }

    /// Adds a delta; nothing is changed where it cannot be added.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn add(&mut self, pipeline: &Pipeline, delta: Delta) -> Result<(), DeltaError> {
        self.check(pipeline, &delta)?;
        let Delta { shard, seq, names, versions, panes, partitions, starts, waiting, counters, asks, .. } = delta;
        let mut intake = pipeline.intake();
        let known = Known::new(&names, |domain, name| intake.know(domain, name));
        let mut added = Vec::with_capacity(panes.len());
        for ((version, group, pane), sealed) in panes {
            let unsound = || DeltaError::Unsound { shard, seq };
            let group = group as usize;
            let VersionAt { name, .. } = versions.get(version as usize).ok_or_else(unsound)?;
            let version = intake.names().version_code(name).ok_or_else(unsound)?;
            let sealed = self.slots.get(group).and_then(|slots| known.pane(slots, sealed)).ok_or_else(unsound)?;
            added.push(SealedPane { version, group, pane, sealed });
        }
        let own = self.state.shards.entry(shard).or_default();
        for VersionAt { name, last_ts, measured_ts, predictions, starts, .. } in versions {
            let before = own.predictions.insert(name.clone(), predictions).unwrap_or(0);
            intake.see(&name, (last_ts, measured_ts), predictions.saturating_sub(before), &starts);
        }
        intake.raise_starts(&starts);
        intake.wait_for(shard, waiting);
        for at in partitions {
            if let Some((source, _)) = self.sources.get(&at.place) {
                intake.stand(*source, at.front.clone());
            }
            self.state.partitions.insert(at.place, At { said: Some((at.next_offset, at.front, at.is_quiet)) });
        }
        drop(intake);
        *own = ShardAt { next: seq + 1, counters, waiting, asks, predictions: std::mem::take(&mut own.predictions) };
        pipeline.add_counted(added);
        Ok(())
    }

    fn check(&self, pipeline: &Pipeline, delta: &Delta) -> Result<(), DeltaError> {
        let shard = delta.shard;
        if delta.model != pipeline.policy.model {
            let expected = pipeline.policy.model.clone();
            return Err(DeltaError::Model { found: delta.model.clone(), expected });
        }
        if delta.counts != self.counts {
            return Err(DeltaError::Policy { shard });
        }
        let expected = self.next_of(shard);
        if delta.seq != expected {
            return Err(DeltaError::Number { shard, found: delta.seq, expected });
        }
        if let Some(at) = delta.partitions.iter().find(|at| !self.sources.contains_key(&at.place)) {
            return Err(DeltaError::Place { place: at.place.clone() });
        }
        let unsound = || DeltaError::Unsound { shard, seq: delta.seq };
        let intake = pipeline.intake();
        for VersionAt { name, against, .. } in delta.versions.iter().filter(|at| at.against != Against::Undecided) {
            let known =
                intake.versions().find(|(_, version, _)| version == name).map(|(.., version)| version.reference());
            let expected = match known {
                Some(Reference::Baseline { sha256, .. }) => Against::Baseline(sha256.to_string()),
                Some(Reference::Failed(_)) => Against::Nothing,
                Some(Reference::Unknown) | None => return Err(DeltaError::Undecided { version: name.clone() }),
            };
            if *against != expected {
                return Err(DeltaError::Baseline { shard, version: name.clone(), found: against.clone(), expected });
            }
        }
        for ((version, group, _), sealed) in &delta.panes {
            let slots = self.slots.get(*group as usize).ok_or_else(unsound)?;
            let fits = delta.versions.len() > *version as usize && sealed.is_sound() && slots.fit(&delta.names, sealed);
            if !fits {
                return Err(unsound());
            }
        }
        Ok(())
    }

    /// How the partitions stand of which a shard has told.
    pub fn standing(&self) -> impl Iterator<Item = (&Place, Standing)> {
        self.sources.iter().filter_map(|(place, (_, kind))| {
            let (next_offset, _, is_quiet) = self.state.partitions.get(place)?.said.as_ref()?;
            Some((place, Standing { kind: *kind, next_offset: *next_offset, is_quiet: *is_quiet }))
        })
    }

    /// Confirms how far the streams have come, and closes windows. `is_idle` says of a partition that is quiet, and holds nothing at or behind
    /// its next offset now, that it is idle; any other holds its stream where it stands.
    pub fn confirm(&self, pipeline: &Pipeline, is_idle: impl Fn(&Place) -> bool) {
        let mut intake = pipeline.intake();
        let stood: Vec<(SourceId, Progress)> = self
            .sources
            .iter()
            .filter_map(|(place, (source, _))| {
                let (_, front, is_quiet) = self.state.partitions.get(place)?.said.as_ref()?;
                let idle = *is_quiet && is_idle(place);
                Some((*source, Progress { max_ts: front.reached(), idle }))
            })
            .collect();
        for (source, progress) in &stood {
            intake.set_idle(*source, progress.idle);
        }
        intake.confirm(&stood);
        pipeline.close(&mut intake);
    }

    /// What was counted so far, by all shards.
    #[must_use]
    pub fn counters(&self, pipeline: &Pipeline) -> Counters {
        let mut all = pipeline.counters();
        self.state.shards.values().for_each(|shard| all += shard.counters);
        all
    }

    /// What to keep beside the pipeline's state; the position in the log belongs to both.
    #[must_use]
    pub fn state(&self) -> EvaluationState {
        self.state.clone()
    }
}

#[cfg(test)]
impl Evaluation {
    /// Forgets that the last delta of a shard was added.
    pub(super) fn expect_again(&mut self, shard: u32) {
        if let Some(at) = self.state.shards.get_mut(&shard) {
            at.next -= 1;
        }
    }

    /// Takes partitions that no shard has told of for ones that are read.
    pub(super) fn forget_unread(&mut self, places: &[PlaceOf]) {
        for PlaceOf { place, .. } in places {
            let unread = self.state.partitions.get(place).is_none_or(|at| at.said.is_none());
            if unread {
                self.sources.remove(place);
            }
        }
    }
}
