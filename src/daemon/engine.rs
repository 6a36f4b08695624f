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
//! | `refresh`, `remarks`, `saving`, `housekeeping` | the status view; remarks on the events; checkpoints; what is due |

mod ask;
mod assembly;
mod attach;
mod baselines;
mod blocks;
mod housekeeping;
mod idleness;
mod partition;
mod pausing;
mod questions;
mod refresh;
mod registered;
mod remarks;
mod saving;
mod shared;
mod snapshots;
mod start_anew;
mod turn;
mod worker_context;
mod workers;
mod world;

pub use assembly::{Engine, Intervals, Parts};
pub use refresh::new_model_view;
