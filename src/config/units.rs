//! What of a configuration several processes divide between each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::types::{Config, Split};
use driftgate_core::cluster::units::{Part, Read, Unit, units};
use driftgate_core::codec::hash;
use driftgate_core::event::EventKind;
use driftgate_core::pipeline::counted;
use driftgate_core::policy::Policy;
use driftgate_core::shard;

/// The units of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Division {
    pub units: Vec<Unit>,
    /// Units that one process counts although partitions are divided, and why.
    pub whole: Vec<(String, &'static str)>,
}

/// Why one process counts a unit with requests and responses.
const HALVES: &str = "a request and its response lie in different partitions, and no process reads all of them";

/// Why the partitions of a model's topics cannot be divided.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the partitions of {unit:?} cannot be divided: {topic:?} has {partitions} and {other:?} has {others}, and an id has the same partition only \
     in topics with as many: write the events into topics with equal partitions, or set cluster.split to models"
)]
pub struct UnequalPartitions {
    pub unit: String,
    pub topic: String,
    pub partitions: i32,
    pub other: String,
    pub others: i32,
}

impl Config {
    /// The units of these models, as the sources have them.
    #[must_use]
    pub fn units(&self, models: &[String]) -> Vec<Unit> {
        let named = |source: &super::SourceConfig| -> Vec<String> {
            source.models.iter().chain(&source.model).cloned().collect()
        };
        let named: Vec<Vec<String>> = self.sources.iter().map(named).collect();
        let named: Vec<Vec<&str>> = named.iter().map(|models| models.iter().map(String::as_str).collect()).collect();
        let reads: Vec<Read<'_>> =
            self.sources.iter().zip(&named).map(|(source, models)| Read { topic: &source.topic, models }).collect();
        units(models, &reads)
    }

    /// The units of these policies: where the configuration divides partitions, those of each number are a unit of their own, and one more judges
    /// what they count. `partitions` says how many each topic has.
    ///
    /// # Errors
    /// Topics of a model that are joined, with unequal numbers of partitions.
    pub fn division(
        &self,
        policies: &[Arc<Policy>],
        partitions: &BTreeMap<String, i32>,
    ) -> Result<Division, UnequalPartitions> {
        let models: Vec<String> = policies.iter().map(|policy| policy.model.clone()).collect();
        let whole = self.units(&models);
        if self.cluster.as_ref().is_none_or(|cluster| cluster.split == Split::Models) {
            return Ok(Division { units: whole, whole: Vec::new() });
        }
        let has_features = self.sources.iter().any(|source| source.kind == EventKind::Features);
        let mut division = Division::default();
        for unit in whole {
            let of: Vec<&Policy> =
                policies.iter().filter(|p| unit.models.contains(&p.model)).map(AsRef::as_ref).collect();
            let why = of.iter().find_map(|policy| shard::unsupported(policy, has_features));
            let why = why.or_else(|| self.joins_halves(&unit).then_some(HALVES));
            // What is counted whole may be read from any partitions.
            let shards = if why.is_none() { self.shards(&unit, partitions)? } else { 0 };
            match why {
                Some(why) => {
                    division.whole.push((unit.name.clone(), why));
                    division.units.push(unit);
                }
                None if shards == 0 => division.units.push(unit),
                None => {
                    let counted: Vec<String> = of.iter().map(|policy| counted::describe(policy)).collect();
                    let mut counts = hash::sha256_hex(counted.join("\n").as_bytes());
                    counts.truncate(8);
                    division.units.extend(unit.divided(shards, &counts));
                }
            }
        }
        Ok(division)
    }

    /// Whether a topic of the unit has requests and responses.
    fn joins_halves(&self, unit: &Unit) -> bool {
        let is_of = |source: &super::SourceConfig| matches!(source.format, super::SourceFormat::Kserve(_));
        self.sources.iter().any(|source| unit.topics.contains(&source.topic) && is_of(source))
    }

    /// The most partitions that a topic of the unit has; those whose events are joined have as many as each other.
    fn shards(&self, unit: &Unit, partitions: &BTreeMap<String, i32>) -> Result<u32, UnequalPartitions> {
        let of_unit = || self.sources.iter().filter(|source| unit.topics.contains(&source.topic));
        let count = |topic: &str| partitions.get(topic).copied().unwrap_or(0);
        let joined = |kind| matches!(kind, EventKind::Predictions | EventKind::Labels);
        let mut first: Option<(&str, i32)> = None;
        for source in of_unit().filter(|source| joined(source.kind)) {
            let own = count(&source.topic);
            match first {
                Some((other, others)) if others != own => {
                    return Err(UnequalPartitions {
                        unit: unit.name.clone(),
                        topic: source.topic.clone(),
                        partitions: own,
                        other: other.to_owned(),
                        others,
                    });
                }
                _ => first = Some((&source.topic, own)),
            }
        }
        let most = of_unit().map(|source| count(&source.topic)).max().unwrap_or(0);
        Ok(u32::try_from(most).unwrap_or(0))
    }
}

impl Division {
    /// How many units judge what shards count.
    #[must_use]
    pub fn evaluators(&self) -> usize {
        self.units.iter().filter(|unit| matches!(unit.part, Part::Evaluator { .. })).count()
    }
}
