//! The engine: workers read partitions, count and judge, while the housekeeping thread serves the client, closes windows,
//! takes over baselines, brings the status view up to date and writes checkpoints. What changes models or partitions waits until
//! the workers are between two turns.
//!
//! | module | holds |
//! |---|---|
//! | `partition`, `world`, `shared` | one partition; what the workers work on; what the threads share beside it |
//! | `assembly`, `attach`, `start_anew` | the engine's parts; connecting partitions; a model's counts from the beginning |
//! | `worker_context`, `turn`, `workers` | a worker's context, its turn with a partition, its loop |
//! | `ask`, `questions`, `idleness`, `pausing` | questions to the brokers; which partitions are idle; which must wait |
//! | `baselines`, `snapshots`, `registered`, `blocks` | baselines and snapshots; what the registry says meanwhile |
//! | `share`, `shard`, `evaluator` | what of a unit is counted: all, partitions of one number, or nothing, as others' counts are judged |
//! | `decided`, `adding`, `confirming`, `sleeping` | versions by what is decided for all shards; what shards count is added, and windows close over it |
//! | `refresh`, `remarks`, `saving`, `housekeeping` | the status view; remarks on the events; checkpoints; what is due |

mod adding;
mod ask;
mod assembly;
mod attach;
mod baselines;
mod blocks;
mod confirming;
mod decided;
mod evaluator;
mod housekeeping;
mod idleness;
mod partition;
mod pausing;
mod questions;
mod refresh;
mod registered;
mod remarks;
mod saving;
mod shard;
mod share;
mod shared;
mod sleeping;
mod snapshots;
mod start_anew;
mod turn;
mod worker_context;
mod workers;
mod world;

pub use assembly::{Engine, Intervals, Parts};
pub use evaluator::{Evaluator, EvaluatorOf};
pub use refresh::new_model_view;
pub use shard::{ShardOf, ShardPart, Totals};
pub use share::Share;
