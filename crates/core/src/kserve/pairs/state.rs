//! What a checkpoint keeps of requests and responses that wait for each other.

use serde::{Deserialize, Serialize};

use super::{Counts, Half, Pairs, Partition, Side};
use crate::window::front::Front;

/// Halves that wait, in the order of their times and ids, and how far each partition had come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairsState {
    waiting: Vec<(String, Side, Half)>,
    /// By number: the front, and whether it was idle.
    partitions: Vec<(i32, Front, bool)>,
    counts: Counts,
}

impl Pairs {
    /// What to keep.
    #[must_use]
    pub fn state(&self) -> PairsState {
        let halves = self.by_time.iter().filter_map(|(_, id)| {
            let (side, half) = self.waiting.get(id)?;
            Some((id.to_string(), *side, half.clone()))
        });
        PairsState {
            waiting: halves.collect(),
            partitions: self.partitions.iter().map(|(at, of)| (*at, of.front.clone(), of.idle)).collect(),
            counts: self.counts,
        }
    }

    /// Pairs as a checkpoint kept them, under bounds that may be others.
    #[must_use]
    pub fn restore(wait: i64, most_bytes: usize, state: PairsState) -> Self {
        let mut pairs = Self::new(wait, most_bytes);
        for (id, side, half) in state.waiting {
            pairs.put(&id, side, half);
        }
        let fronts = state.partitions.into_iter().filter(|(_, front, _)| front.is_sound());
        pairs.partitions = fronts.map(|(at, front, idle)| (at, Partition { front, idle })).collect();
        pairs.counts = state.counts;
        pairs
    }
}
