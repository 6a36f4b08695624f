//! What a checkpoint keeps of requests and responses that wait for each other.

use serde::{Deserialize, Serialize};

use super::half::{Half, Side};
use super::{Counts, Pairs, Partition};
use crate::window::front::Front;

/// Halves that wait, in the order of their times, and how far each partition had come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairsState {
    waiting: Vec<(String, Side, HalfState)>,
    /// By number: the front, and whether it was idle.
    partitions: Vec<(i32, Front, bool)>,
    counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HalfState {
    ts: i64,
    version: Option<String>,
    model: Option<String>,
    /// Its rows behind `ROWS`, or its whole body, as it was kept until rows were.
    body: Vec<u8>,
}

/// No JSON begins with it.
const ROWS: u8 = 0x1e;

impl Pairs {
    /// What to keep.
    #[must_use]
    pub fn state(&self) -> PairsState {
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let halves = self.waiting.iter().map(|(ts, kept)| {
            let body = [&[ROWS], kept.rows].concat();
            let half = HalfState { ts, version: named(kept.version), model: named(kept.model), body };
            (kept.id.to_owned(), kept.side, half)
        });
        PairsState {
            waiting: halves.collect(),
            partitions: self.partitions.iter().map(|(at, of)| (*at, of.front.clone(), of.idle)).collect(),
            counts: self.counts,
        }
    }

    /// Pairs as a checkpoint kept them, under bounds that may be others. `read` puts the rows of a body in its place, where a half has it whole.
    #[must_use]
    pub fn restore(
        wait: i64,
        most_bytes: usize,
        state: PairsState,
        mut read: impl FnMut(&str, Side, &[u8], &mut Half),
    ) -> Self {
        let mut pairs = Self::new(wait, most_bytes);
        for (id, side, HalfState { ts, version, model, body }) in state.waiting {
            let (version, model) = (version.unwrap_or_default(), model.unwrap_or_default());
            let mut half = Half { ts, version, model, rows: Vec::new() };
            match body.split_first() {
                Some((&ROWS, rows)) => half.rows.extend_from_slice(rows),
                _ => read(&id, side, &body, &mut half),
            }
            if pairs.waiting.find(&id).is_none() {
                pairs.waiting.put(&id, side, &half);
            }
        }
        let fronts = state.partitions.into_iter().filter(|(_, front, _)| front.is_sound());
        pairs.partitions = fronts.map(|(at, front, idle)| (at, Partition { front, idle })).collect();
        pairs.counts = state.counts;
        pairs
    }
}
