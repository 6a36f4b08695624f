//! One model counted by several processes. Each counts the partitions of one number of every topic (a shard) into panes of its own and joins
//! the labels of its partitions: a prediction and its label have the same id, and so the same partition. With each commit it publishes a
//! delta: what it counted since the last one, in texts instead of codes, and how far its partitions are. One process, the model's evaluator,
//! adds the deltas in the order of their log, moves the closing lines by the least of all shards, and judges.
//!
//! What the processes say together is what one process says of the same events, since
//!
//! - lateness, fronts, duplicates and joins depend on one partition and the order within it alone;
//! - panes add in any order;
//! - windows close only as far as every partition has come, and a partition counts as idle only while the evaluator's caller confirms that
//!   it holds nothing beyond what its shard has counted: a partition whose process died with unread records is not idle;
//! - a shard's counts, its position and its delta are durable together, and the evaluator takes the deltas of a shard by their numbers, each
//!   once.
//!
//! `delta` is what travels, `counting` the shard's side, `evaluating` the evaluator's; `simulation` runs both against one pipeline, through
//! crashes, pauses and takeovers at every step.

mod counting;
mod delta;
mod evaluating;
mod place;
#[cfg(test)]
mod simulation;

pub use crate::intake::elsewhere::Waiting;
pub use counting::{Shard, setup, unsupported};
pub use delta::{Against, Delta, NameTable, PartitionAt, VersionAt};
pub use evaluating::{DeltaError, Evaluation, EvaluationState, PlaceOf, Standing};
pub use place::Place;
