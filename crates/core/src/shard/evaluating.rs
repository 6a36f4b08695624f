//! The evaluator's side: deltas of all shards added in the order of their log, closing lines by the least of all partitions, verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counting::counts_of;
use super::delta::{Against, Delta, Known, Slots, VersionAt};
use super::place::Place;
use crate::evaluate::Judgement;
use crate::event::{EventKind, Limits};
use crate::intake::elsewhere::Waiting;
use crate::intake::versions::Reference;
use crate::intake::{Counters, SealedPane, Setup, SourceId};
use crate::pipeline::{Pipeline, PipelineState};
use crate::policy::Policy;
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
        Against::Nothing => "none".to_owned(),
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

/// What an evaluator keeps over a restart, with its position in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EvaluationState {
    pipeline: PipelineState,
    partitions: BTreeMap<Place, At>,
    shards: BTreeMap<u32, ShardAt>,
}

/// The judging of one model whose partitions other processes count.
pub struct Evaluation {
    pipeline: Pipeline,
    slots: Vec<Slots>,
    counts: String,
    sources: BTreeMap<Place, SourceId>,
    partitions: BTreeMap<Place, At>,
    shards: BTreeMap<u32, ShardAt>,
}

impl Evaluation {
    /// `places` are all partitions of the model's topics, with their kinds and how far ahead of its pace (ms) a time may lie there: one
    /// that no shard has told of holds its stream.
    #[must_use]
    pub fn new(policy: &Arc<Policy>, limits: Limits, places: &[(Place, EventKind, i64)]) -> Self {
        let pipeline = Pipeline::new(Arc::clone(policy), setup(limits), 1);
        Self::of(policy, pipeline, places, BTreeMap::new(), BTreeMap::new())
    }

    /// An evaluator as its last commit kept it. `reference` gives the reference of a version whose baseline the state does not hold.
    #[must_use]
    pub fn restore(
        policy: &Arc<Policy>,
        limits: Limits,
        places: &[(Place, EventKind, i64)],
        state: EvaluationState,
        reference: impl FnMut(&str) -> Reference,
    ) -> Self {
        let EvaluationState { pipeline, partitions, shards } = state;
        let (pipeline, _) = Pipeline::restore(Arc::clone(policy), setup(limits), 1, pipeline, reference);
        Self::of(policy, pipeline, places, partitions, shards)
    }

    fn of(
        policy: &Policy,
        pipeline: Pipeline,
        places: &[(Place, EventKind, i64)],
        partitions: BTreeMap<Place, At>,
        shards: BTreeMap<u32, ShardAt>,
    ) -> Self {
        let mut sources = BTreeMap::new();
        {
            let mut intake = pipeline.intake();
            intake.count_elsewhere();
            for (place, kind, tolerance) in places {
                let said = partitions.get(place).and_then(|at: &At| at.said.as_ref());
                let front = said.map(|(_, front, _)| front.clone());
                sources.insert(place.clone(), intake.add_source(*kind, *tolerance, front));
            }
            for (shard, at) in &shards {
                intake.wait_for(*shard, at.waiting);
            }
        }
        let (slots, counts) = (Slots::of(policy), counts_of(policy));
        Self { pipeline, slots, counts, sources, partitions, shards }
    }

    /// Whether a version has neither a baseline nor a failure to load one.
    #[must_use]
    pub fn is_undecided(&self, version: &str) -> bool {
        self.pipeline.intake().is_unknown(version)
    }

    /// The decision over a version's baseline.
    pub fn decide(&self, version: &str, reference: Reference) {
        self.pipeline.intake().set_reference(version, reference);
    }

    /// Versions whose rows wait in some shard for a decision.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<&str> {
        self.shards.values().flat_map(|shard| &shard.asks).map(String::as_str).collect()
    }

    /// Adds a delta; nothing is changed where it cannot be added.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn add(&mut self, delta: Delta) -> Result<(), DeltaError> {
        self.check(&delta)?;
        let Delta { shard, seq, names, versions, panes, partitions, starts, waiting, counters, asks, .. } = delta;
        let mut intake = self.pipeline.intake();
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
        let own = self.shards.entry(shard).or_default();
        for VersionAt { name, last_ts, measured_ts, predictions, starts, .. } in versions {
            let before = own.predictions.insert(name.clone(), predictions).unwrap_or(0);
            intake.see(&name, (last_ts, measured_ts), predictions.saturating_sub(before), &starts);
        }
        intake.raise_starts(&starts);
        intake.wait_for(shard, waiting);
        for at in partitions {
            if let Some(source) = self.sources.get(&at.place) {
                intake.stand(*source, at.front.clone());
            }
            self.partitions.insert(at.place, At { said: Some((at.next_offset, at.front, at.is_quiet)) });
        }
        drop(intake);
        *own = ShardAt { next: seq + 1, counters, waiting, asks, predictions: std::mem::take(&mut own.predictions) };
        self.pipeline.add_counted(added);
        Ok(())
    }

    fn check(&self, delta: &Delta) -> Result<(), DeltaError> {
        let shard = delta.shard;
        if delta.model != self.pipeline.policy.model {
            let expected = self.pipeline.policy.model.clone();
            return Err(DeltaError::Model { found: delta.model.clone(), expected });
        }
        if delta.counts != self.counts {
            return Err(DeltaError::Policy { shard });
        }
        let expected = self.shards.get(&shard).map_or(0, |at| at.next);
        if delta.seq != expected {
            return Err(DeltaError::Number { shard, found: delta.seq, expected });
        }
        if let Some(at) = delta.partitions.iter().find(|at| !self.sources.contains_key(&at.place)) {
            return Err(DeltaError::Place { place: at.place.clone() });
        }
        let unsound = || DeltaError::Unsound { shard, seq: delta.seq };
        let intake = self.pipeline.intake();
        for VersionAt { name, against, .. } in &delta.versions {
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

    /// Confirms how far the streams have come: `is_read` says whether a partition holds nothing at or behind an offset now. A quiet partition
    /// for which that holds is idle, any other holds its stream where it stands. Then windows close, and what is behind the lines is judged.
    pub fn judge(&self, is_read: impl Fn(&Place, u64) -> bool, deliver: &mut dyn FnMut(Judgement, i64)) {
        {
            let mut intake = self.pipeline.intake();
            let stood: Vec<(SourceId, Progress)> = self
                .sources
                .iter()
                .filter_map(|(place, source)| {
                    let (next, front, is_quiet) = self.partitions.get(place)?.said.as_ref()?;
                    let idle = *is_quiet && is_read(place, *next);
                    Some((*source, Progress { max_ts: front.reached(), idle }))
                })
                .collect();
            for (source, progress) in &stood {
                intake.set_idle(*source, progress.idle);
            }
            intake.confirm(&stood);
            self.pipeline.close(&mut intake);
        }
        self.pipeline.judge_all(deliver);
    }

    /// What was counted so far, by all shards.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut all = self.pipeline.counters();
        self.shards.values().for_each(|shard| all += shard.counters);
        all
    }

    /// What to keep; the position in the log belongs to it.
    #[must_use]
    pub fn state(&mut self) -> EvaluationState {
        EvaluationState {
            pipeline: self.pipeline.state(),
            partitions: self.partitions.clone(),
            shards: self.shards.clone(),
        }
    }
}

fn setup(limits: Limits) -> Setup {
    Setup { has_features: false, limits, confirmed_only: true }
}

#[cfg(test)]
impl Evaluation {
    /// Forgets that the last delta of a shard was added.
    pub(super) fn expect_again(&mut self, shard: u32) {
        if let Some(at) = self.shards.get_mut(&shard) {
            at.next -= 1;
        }
    }

    /// Takes partitions that no shard has told of for ones that are read.
    pub(super) fn forget_unread(&mut self, places: &[(Place, EventKind, i64)]) {
        for (place, ..) in places {
            let unread = self.partitions.get(place).is_none_or(|at| at.said.is_none());
            if unread {
                self.sources.remove(place);
            }
        }
    }
}
