//! What of a unit a daemon counts, out of its configuration, its state, and the partitions that there are.

use std::collections::BTreeMap;

use anyhow::bail;

use super::base::OfShare;
use super::engine::{Evaluator, EvaluatorOf, ShardOf, ShardPart, Share};
use super::starts::Starts;
use crate::checkpoint::PartState;
use crate::config::Config;
use driftgate_core::pipeline::Pipeline;
use driftgate_core::shard::{Evaluation, EvaluationState, Place, PlaceOf, Shard};

/// The part, as its state kept it.
///
/// # Errors
/// A state of something else; more partitions than are divided.
pub fn of(
    of: OfShare,
    state: PartState,
    (models, config): (&[Pipeline], &Config),
    starts: &Starts,
) -> anyhow::Result<Share> {
    match of {
        OfShare::Whole => Ok(Share::Whole),
        OfShare::Shard(of) => {
            fit(starts, of.shards)?;
            shard(of, state, models)
        }
        OfShare::Evaluator(of) => {
            fit(starts, u32::try_from(of.shards.len()).unwrap_or(u32::MAX))?;
            evaluator(of, state, (models, config), starts)
        }
    }
}

/// Processes that were started before a topic got more partitions divide otherwise.
fn fit(starts: &Starts, shards: u32) -> anyhow::Result<()> {
    let beyond = starts.keys().find(|(_, partition)| u32::try_from(*partition).is_ok_and(|at| at >= shards));
    match beyond {
        None => Ok(()),
        Some((topic, partition)) => bail!(
            "the topic {topic:?} has the partition {partition}, and this process divides {shards}: it divides anew once it is started again"
        ),
    }
}

fn shard(of: ShardOf, state: PartState, models: &[Pipeline]) -> anyhow::Result<Share> {
    let kept = match state {
        PartState::Shard(kept) => kept,
        PartState::Whole | PartState::Joining(_) => Vec::new(),
        PartState::Evaluator { .. } => bail!("the state of the shard {:?} is that of what judges", of.key),
    };
    let seq = |model: &str| kept.iter().find(|(of, _)| of == model).map_or(0, |(_, seq)| *seq);
    let shards = models.iter().map(|m| Shard::new(&m.policy, of.number, seq(&m.policy.model))).collect();
    Ok(Share::Shard(Box::new(ShardPart::new(of, shards))))
}

fn evaluator(
    of: EvaluatorOf,
    state: PartState,
    (models, config): (&[Pipeline], &Config),
    starts: &Starts,
) -> anyhow::Result<Share> {
    let (read, kept) = match state {
        PartState::Evaluator { read, evaluations } => (read, evaluations),
        PartState::Whole | PartState::Joining(_) => Default::default(),
        PartState::Shard(_) => bail!("the state of {:?}, which judges, is that of a shard", of.unit),
    };
    let mut kept: BTreeMap<String, EvaluationState> = kept.into_iter().collect();
    let evaluations = models
        .iter()
        .map(|model| {
            let state = kept.remove(&model.policy.model).unwrap_or_default();
            Evaluation::new(model, &places(model, config, starts), state)
        })
        .collect();
    Ok(Share::Evaluator(Box::new(Evaluator::new(of, evaluations, read))))
}

/// The partitions whose events a model counts.
fn places(model: &Pipeline, config: &Config, starts: &Starts) -> Vec<PlaceOf> {
    let name = &model.policy.model;
    let of_model = config.sources.iter().filter(|source| {
        let is_named = source.models.iter().chain(&source.model).any(|of| of == name);
        (is_named || (source.models.is_empty() && source.model.is_none())) && model.reads(source.kind)
    });
    of_model
        .flat_map(|source| {
            starts.keys().filter(|(topic, _)| *topic == source.topic).map(|(topic, partition)| PlaceOf {
                place: Place { topic: topic.clone(), partition: *partition },
                kind: source.kind,
                future: source.time.future,
            })
        })
        .collect()
}
