//! What of a unit an engine counts: all of it, the partitions of one number (`shard`), or nothing, as it judges what others count (`evaluator`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::evaluator::Evaluator;
use super::shard::ShardPart;
use super::world::World;
use crate::checkpoint::PartState;
use crate::cluster::results::Results;
use crate::daemon::loader::Key;
use driftgate_core::intake::Counters;
use driftgate_core::pipeline::Pipeline;

/// What an engine counts of its models.
pub enum Share {
    Whole,
    Shard(Box<ShardPart>),
    Evaluator(Box<Evaluator>),
}

impl Share {
    /// Whether the models' windows are judged here.
    #[must_use]
    pub fn judges(&self) -> bool {
        !matches!(self, Self::Shard(_))
    }

    /// Whether the baseline of a version is decided once for all shards.
    #[must_use]
    pub fn is_divided(&self) -> bool {
        !matches!(self, Self::Whole)
    }

    /// Whether a partition is read here.
    #[must_use]
    pub fn reads(&self, partition: i32) -> bool {
        match self {
            Self::Whole => true,
            Self::Shard(shard) => u32::try_from(partition) == Ok(shard.number),
            Self::Evaluator(_) => false,
        }
    }

    /// Whether any is.
    #[must_use]
    pub fn reads_any(&self) -> bool {
        !matches!(self, Self::Evaluator(_))
    }

    /// What was counted of a model, here and in shards.
    #[must_use]
    pub fn counters(&self, at: usize, model: &Pipeline) -> Counters {
        match self {
            Self::Whole | Self::Shard(_) => model.counters(),
            Self::Evaluator(evaluator) => evaluator.counters(at, model),
        }
    }

    /// What a checkpoint keeps beside the pipelines, taken while the workers rest; with it goes what `stage` gives the commit.
    ///
    /// # Errors
    /// Counts that cannot be given away: nothing may be committed any more.
    pub fn state(&self, asked: BTreeSet<Key>, world: &World) -> anyhow::Result<PartState> {
        match self {
            Self::Whole => Ok(PartState::Whole),
            Self::Shard(shard) => shard.give(asked, world),
            Self::Evaluator(evaluator) => evaluator.state(world),
        }
    }

    /// Has the next commit carry what belongs to it in other topics.
    pub fn stage(&self, results: Option<&Arc<Results>>) {
        let Some(results) = results else { return };
        match self {
            Self::Whole => {}
            Self::Shard(shard) => results.stage_beside(shard.pending()),
            Self::Evaluator(evaluator) => results.stage_beside(evaluator.pending()),
        }
    }

    /// How the commit ended.
    pub fn ended(&self, is_done: bool) {
        match self {
            Self::Whole => {}
            Self::Shard(shard) => shard.ended(is_done),
            Self::Evaluator(evaluator) => evaluator.ended(is_done),
        }
    }

    /// Whether others wait for the next commit; `asked` are versions that rows wait for here.
    #[must_use]
    pub fn is_waited_for(&self, asked: &BTreeSet<Key>) -> bool {
        match self {
            Self::Whole => false,
            Self::Shard(shard) => shard.is_waited_for(asked),
            Self::Evaluator(evaluator) => evaluator.is_waited_for(),
        }
    }
}
