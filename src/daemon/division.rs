//! What the processes of a cluster divide, as the configuration and the brokers have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::topics::Needed;
use crate::config::{Config, Division, Split, UnequalPartitions};
use crate::source::kafka::{Handle, KafkaSourceError};
use driftgate_core::policy::Policy;

/// Why nothing can be divided.
#[derive(Debug, thiserror::Error)]
pub enum DivisionError {
    #[error(transparent)]
    Kafka(#[from] KafkaSourceError),
    #[error(transparent)]
    Unequal(#[from] UnequalPartitions),
}

/// How many partitions the topics of the sources have, where the configuration divides them.
///
/// # Errors
/// Brokers that do not answer in time; topics that are missing.
pub fn partitions(handle: &Handle, config: &Config, wait: Duration) -> Result<BTreeMap<String, i32>, KafkaSourceError> {
    if config.cluster.as_ref().is_none_or(|cluster| cluster.split == Split::Models) {
        return Ok(BTreeMap::new());
    }
    let names: BTreeSet<String> = config.sources.iter().map(|source| source.topic.clone()).collect();
    handle.partitions(&names.into_iter().collect::<Vec<_>>(), wait)
}

/// How the models are divided: where partitions are, the brokers say how many there are.
///
/// # Errors
/// Brokers that do not answer in time; topics that are missing, or cannot be divided.
pub fn ask(
    handle: &Handle,
    config: &Config,
    policies: &[Arc<Policy>],
    wait: Duration,
) -> Result<Division, DivisionError> {
    Ok(config.division(policies, &partitions(handle, config, wait)?)?)
}

/// What the internal topics have to hold.
#[must_use]
pub fn needed(division: &Division) -> Needed {
    Needed { units: division.units.len(), evaluators: division.evaluators() }
}
