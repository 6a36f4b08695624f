//! What the workers work on: the models' pipelines, the topics, and the partitions, which change only while all rest.

use super::partition::PartitionSlot;
use crate::daemon::topics::{Read, Topic};
use driftgate_core::pipeline::Pipeline;

/// What the workers work on.
pub struct World {
    /// One a policy.
    pub models: Vec<Pipeline>,
    pub topics: Vec<Topic>,
    pub slots: Vec<PartitionSlot>,
    /// By topic: what readers that are gone had read.
    pub past: Vec<Read>,
    /// Counts up whenever models' sources or partitions change.
    pub generation: u64,
}
