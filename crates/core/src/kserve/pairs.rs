//! Requests and responses that wait for each other. A pair is joined if the times of its halves lie at most `wait` apart, whichever came
//! first and from whichever partition; what waits is dropped once the slowest partition is twice as far past it, and counted. Memory is
//! bounded: beyond `most_bytes` the oldest half is dropped. `state` is what a checkpoint keeps.

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode::time::FUTURE_MS;
use crate::seeded::Map;
use crate::window::front::Front;
pub use state::PairsState;

/// Which half an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    Request,
    Response,
}

/// Half of a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// Its event time, in ms.
    pub ts: i64,
    /// The version and the model that its attributes name.
    pub version: Option<String>,
    pub model: Option<String>,
    pub body: Vec<u8>,
}

/// What a message holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Half(Side, Half),
    /// A request and its response.
    Both(Half, Half),
    /// An event by itself, in JSON, with a line feed behind it.
    Event(Vec<u8>),
}

/// What became of halves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub joined: u64,
    /// Halves of the same side and id as one that waits; the first counts.
    pub repeated: u64,
    /// Requests and responses whose other half did not come in time.
    pub requests: u64,
    pub responses: u64,
    /// Halves that were dropped as too many waited.
    pub dropped: u64,
    /// Halves that wait now.
    pub waiting: u64,
}

/// Halves that wait.
#[derive(Debug)]
pub struct Pairs {
    wait: i64,
    most_bytes: usize,
    waiting: Map<Arc<str>, (Side, Half)>,
    by_time: BTreeSet<(i64, Arc<str>)>,
    /// Bytes of what waits.
    bytes: usize,
    partitions: BTreeMap<i32, Partition>,
    counts: Counts,
}

/// How far a partition has come.
#[derive(Clone, Debug)]
struct Partition {
    front: Front,
    /// It is read to its end and silent, and holds nothing back.
    idle: bool,
}

impl Default for Partition {
    fn default() -> Self {
        Self { front: Front::new(FUTURE_MS, None), idle: false }
    }
}

/// Memory of a half beside its body and id.
const OVERHEAD: usize = 200;

impl Pairs {
    /// `wait`: how far the times of two halves may lie apart, in ms.
    #[must_use]
    pub fn new(wait: i64, most_bytes: usize) -> Self {
        Self {
            wait,
            most_bytes,
            waiting: Map::default(),
            by_time: BTreeSet::new(),
            bytes: 0,
            partitions: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { waiting: self.waiting.len() as u64, ..self.counts }
    }

    /// A message held a request and its response.
    pub fn both(&mut self) {
        self.counts.joined += 1;
    }

    /// A partition that is read: what may meet its events waits for them.
    pub fn reads(&mut self, partition: i32) {
        self.partitions.entry(partition).or_default();
    }

    /// Says whether a partition is idle: read to its end, and silent.
    pub fn set_idle(&mut self, partition: i32, idle: bool) {
        let of = self.partitions.entry(partition).or_default();
        if std::mem::replace(&mut of.idle, idle) != idle && idle {
            self.sweep();
        }
    }

    /// Partitions that should not be read on while what waits takes more than half of the memory there is: they are ahead of another one.
    #[must_use]
    pub fn ahead(&self) -> Vec<i32> {
        if self.bytes <= self.most_bytes / 2 {
            return Vec::new();
        }
        let slowest = self.reached();
        let is_ahead = |of: &Partition| of.front.reached() > slowest;
        self.partitions.iter().filter(|(_, of)| is_ahead(of)).map(|(partition, _)| *partition).collect()
    }

    /// How far the slowest partition has come.
    fn reached(&self) -> Option<i64> {
        let active = || self.partitions.values().filter(|of| !of.idle);
        match active().map(|of| of.front.reached()).min() {
            Some(slowest) => slowest,
            None => self.partitions.values().filter_map(|of| of.front.reached()).max(),
        }
    }

    /// Takes a half of a partition; the request and the response, where it completes a pair.
    pub fn offer(&mut self, partition: i32, id: &str, side: Side, half: Half) -> Option<(Half, Half)> {
        let of = self.partitions.entry(partition).or_default();
        of.idle = false;
        // One event ahead of its partition's pace makes no other late.
        of.front.advance(half.ts, || None);
        let pair = match self.waiting.get(id) {
            Some((waits, _)) if *waits == side => {
                self.counts.repeated += 1;
                None
            }
            Some((_, other)) if other.ts.abs_diff(half.ts) <= self.wait.unsigned_abs() => {
                let other = self.take(id)?.1;
                self.counts.joined += 1;
                Some(match side {
                    Side::Request => (half, other),
                    Side::Response => (other, half),
                })
            }
            Some(_) => {
                let (side_of_other, _) = self.take(id)?;
                self.unmatched(side_of_other);
                self.put(id, side, half);
                None
            }
            None => {
                self.put(id, side, half);
                None
            }
        };
        self.sweep();
        pair
    }

    fn put(&mut self, id: &str, side: Side, half: Half) {
        let id: Arc<str> = id.into();
        self.bytes += size(&id, &half);
        self.by_time.insert((half.ts, Arc::clone(&id)));
        self.waiting.insert(id, (side, half));
    }

    fn take(&mut self, id: &str) -> Option<(Side, Half)> {
        let (id, (side, half)) = self.waiting.remove_entry(id)?;
        self.bytes = self.bytes.saturating_sub(size(&id, &half));
        self.by_time.remove(&(half.ts, id));
        Some((side, half))
    }

    fn unmatched(&mut self, side: Side) {
        match side {
            Side::Request => self.counts.requests += 1,
            Side::Response => self.counts.responses += 1,
        }
    }

    /// Drops what nothing can meet any more, and the oldest where too much waits.
    fn sweep(&mut self) {
        // Another half that may meet one before this is itself further behind the source than halves may lie apart.
        let line = self.reached().map_or(i64::MIN, |at| at.saturating_sub(self.wait.saturating_mul(2)));
        while let Some((ts, id)) = self.by_time.first() {
            let too_many = self.bytes > self.most_bytes;
            if *ts >= line && !too_many {
                break;
            }
            let (is_late, id) = (*ts < line, Arc::clone(id));
            let Some((side, _)) = self.take(&id) else { break };
            if is_late { self.unmatched(side) } else { self.counts.dropped += 1 }
        }
    }
}

fn size(id: &str, half: &Half) -> usize {
    OVERHEAD + id.len() + half.body.len() + half.version.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn half(ts: i64, bytes: usize) -> Half {
        Half { ts, version: None, model: None, body: vec![b'x'; bytes] }
    }

    #[test]
    fn halves_meet_in_either_order_and_within_their_bound() {
        let mut pairs = Pairs::new(10, 1 << 20);
        assert_eq!(pairs.offer(0, "a", Side::Request, half(100, 1)), None);
        assert_eq!(pairs.offer(0, "a", Side::Request, half(101, 2)), None, "the first counts");
        assert_eq!(pairs.offer(0, "a", Side::Response, half(110, 3)), Some((half(100, 1), half(110, 3))));
        assert_eq!(pairs.offer(0, "b", Side::Response, half(112, 1)), None);
        assert_eq!(pairs.offer(0, "b", Side::Request, half(105, 2)), Some((half(105, 2), half(112, 1))));
        assert_eq!(pairs.offer(0, "c", Side::Request, half(110, 1)), None);
        assert_eq!(pairs.offer(0, "c", Side::Response, half(121, 1)), None, "too far apart");
        let counts = pairs.counts();
        assert_eq!((counts.joined, counts.repeated, counts.requests, counts.waiting), (2, 1, 1, 1));
    }

    #[test]
    fn what_the_source_has_passed_is_dropped_and_one_event_ahead_passes_nothing() {
        let mut pairs = Pairs::new(10, 1 << 20);
        pairs.offer(0, "a", Side::Request, half(1_000, 1));
        pairs.offer(0, "b", Side::Response, half(900_000_000, 1));
        pairs.offer(0, "c", Side::Request, half(1_010, 1));
        assert_eq!(pairs.counts().waiting, 3);
        assert!(pairs.offer(0, "a", Side::Response, half(1_005, 1)).is_some());
        for ts in 1_011..1_060 {
            pairs.offer(0, &ts.to_string(), Side::Response, half(ts, 1));
        }
        let counts = pairs.counts();
        assert_eq!((counts.requests, counts.dropped), (1, 0), "c");
        assert!(counts.responses > 20 && counts.waiting < 30, "{counts:?}");
    }

    #[test]
    fn what_one_partition_has_passed_waits_for_the_slowest_and_not_for_one_that_is_idle() {
        let mut pairs = Pairs::new(10, 1_000);
        (0..3).for_each(|partition| pairs.reads(partition));
        for ts in 0..200 {
            pairs.offer(0, &format!("a{ts}"), Side::Request, half(ts, 0));
        }
        assert!(pairs.counts().requests == 0 && pairs.counts().dropped > 190, "memory alone bounds what waits");
        let mut pairs = Pairs::new(10, 1 << 20);
        (0..3).for_each(|partition| pairs.reads(partition));
        for ts in 0..200 {
            pairs.offer(0, &format!("a{ts}"), Side::Request, half(ts, 2_000));
        }
        assert_eq!((pairs.counts().waiting, pairs.ahead()), (200, vec![]));
        for ts in 0..100 {
            assert!(pairs.offer(1, &format!("a{ts}"), Side::Response, half(ts + 5, 0)).is_some());
        }
        assert_eq!((pairs.counts().waiting, pairs.counts().requests), (100, 0), "one partition has not begun");
        pairs.set_idle(2, true);
        for ts in 150..160 {
            pairs.offer(1, &format!("b{ts}"), Side::Request, half(ts, 0));
        }
        assert_eq!(pairs.counts().requests, 39, "a100 to a138, behind 159 by more than 20");
        pairs.set_idle(1, true);
        assert_eq!(pairs.counts().requests, 79 + 10);
    }

    #[test]
    fn a_partition_ahead_waits_where_memory_is_short() {
        let mut pairs = Pairs::new(1_000, 100_000);
        (0..2).for_each(|partition| pairs.reads(partition));
        for ts in 0..100 {
            pairs.offer(0, &format!("a{ts}"), Side::Request, half(ts, 500));
        }
        assert_eq!(pairs.ahead(), [0]);
        for ts in 0..60 {
            pairs.offer(1, &format!("a{ts}"), Side::Response, half(ts, 0));
        }
        assert_eq!(pairs.ahead(), Vec::<i32>::new());
    }

    #[test]
    fn what_was_kept_goes_on_as_before() {
        let mut pairs = Pairs::new(10, 1 << 20);
        (0..2).for_each(|partition| pairs.reads(partition));
        for ts in 0..30 {
            pairs.offer(ts % 2, &format!("a{ts}"), Side::Request, half(i64::from(ts), 3));
        }
        pairs.set_idle(1, true);
        let bytes = postcard::to_stdvec(&pairs.state()).unwrap();
        let mut again = Pairs::restore(10, 1 << 20, postcard::from_bytes(&bytes).unwrap());
        assert_eq!(again.counts(), pairs.counts());
        assert_eq!((again.bytes, again.by_time.len(), again.reached()), (pairs.bytes, pairs.by_time.len(), Some(28)));
        let (id, response) = ("a29", half(31, 1));
        let met = again.offer(0, id, Side::Response, response.clone());
        assert_eq!(met, pairs.offer(0, id, Side::Response, response));
        let bytes = |pairs: &Pairs| postcard::to_stdvec(&pairs.state()).unwrap();
        assert!(met.is_some() && bytes(&again) == bytes(&pairs));
    }

    #[test]
    fn beyond_its_memory_the_oldest_waits_no_longer() {
        let mut pairs = Pairs::new(1_000_000, 3_000);
        for at in 0..5 {
            pairs.offer(0, &at.to_string(), Side::Request, half(at, 800));
        }
        let counts = pairs.counts();
        assert_eq!((counts.dropped, counts.waiting), (3, 2));
        assert!(pairs.offer(0, "4", Side::Response, half(4, 1)).is_some() && pairs.bytes < 3_000);
        assert!(pairs.offer(0, "0", Side::Response, half(4, 1)).is_none());
    }

    proptest! {
        #[test]
        fn whatever_the_order_within_the_bound_the_same_pairs_meet(
            order in Just((0..40_u32).collect::<Vec<_>>()).prop_shuffle(),
            wait in 200_i64..400,
        ) {
            let mut pairs = Pairs::new(wait, 1 << 20);
            let mut met = 0;
            for at in order {
                let (id, side) = (at / 2, if at % 2 == 0 { Side::Request } else { Side::Response });
                met += u32::from(pairs.offer(0, &id.to_string(), side, half(i64::from(at) * 5, 3)).is_some());
            }
            prop_assert_eq!(met, 20);
            prop_assert_eq!((pairs.bytes, pairs.by_time.len(), pairs.counts().waiting), (0, 0, 0));
        }
    }
}
