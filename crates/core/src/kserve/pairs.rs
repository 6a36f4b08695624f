//! Requests and responses that wait for each other. A pair is joined if the times of its halves lie at most `wait` apart, whichever came
//! first and from whichever partition; what waits is dropped once the slowest partition is twice as far past it, and counted. Memory is
//! bounded: beyond `most_bytes` the oldest half is dropped. `waiting` holds the halves, `state` is what a checkpoint keeps.

mod half;
mod state;
mod waiting;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decode::time::FUTURE_MS;
use crate::window::front::Front;
pub use half::{Half, Side};
pub use state::PairsState;
use waiting::Waiting;

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

/// Halves that wait, and how far their source has come.
#[derive(Debug)]
pub struct Pairs {
    wait: i64,
    most_bytes: usize,
    waiting: Waiting,
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

impl Pairs {
    /// `wait`: how far the times of two halves may lie apart, in ms.
    #[must_use]
    pub fn new(wait: i64, most_bytes: usize) -> Self {
        Self { wait, most_bytes, waiting: Waiting::new(wait), partitions: BTreeMap::new(), counts: Counts::default() }
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
        if self.waiting.bytes() <= self.most_bytes / 2 {
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

    /// Takes a half of a partition; whether it completes a pair, whose other half is put into `other` then.
    pub fn offer(&mut self, partition: i32, id: &str, side: Side, half: &Half, other: &mut Half) -> bool {
        let of = self.partitions.entry(partition).or_default();
        of.idle = false;
        // One event ahead of its partition's pace makes no other late.
        of.front.advance(half.ts, || None);
        let met = match self.waiting.find(id) {
            Some((waits, _)) if waits == side => {
                self.counts.repeated += 1;
                false
            }
            Some((_, ts)) if ts.abs_diff(half.ts) <= self.wait.unsigned_abs() => {
                self.waiting.take(id, other);
                self.counts.joined += 1;
                true
            }
            Some((waits, _)) => {
                self.waiting.take(id, other);
                self.unmatched(waits);
                self.waiting.put(id, side, half);
                false
            }
            None => {
                self.waiting.put(id, side, half);
                false
            }
        };
        self.sweep();
        met
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
        while let Some(side) = self.waiting.drop_before(line) {
            self.unmatched(side);
        }
        while self.waiting.bytes() > self.most_bytes && self.waiting.drop_oldest() {
            self.counts.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn half(ts: i64, bytes: usize) -> Half {
        Half { ts, rows: vec![b'x'; bytes], ..Half::default() }
    }

    /// The half that this one meets.
    fn met(pairs: &mut Pairs, partition: i32, id: &str, side: Side, of: &Half) -> Option<Half> {
        let mut other = Half { version: "of the one before".to_owned(), ..Half::default() };
        pairs.offer(partition, id, side, of, &mut other).then_some(other)
    }

    fn offer(pairs: &mut Pairs, partition: i32, id: &str, side: Side, of: &Half) -> bool {
        met(pairs, partition, id, side, of).is_some()
    }

    #[test]
    fn halves_meet_in_either_order_and_within_their_bound() {
        let mut pairs = Pairs::new(10, 1 << 20);
        let mut offer = |id, side, of: &Half| met(&mut pairs, 0, id, side, of);
        let named = Half { version: "3".into(), model: "m".into(), ..half(100, 1) };
        assert_eq!(offer("a", Side::Request, &named), None);
        assert_eq!(offer("a", Side::Request, &half(101, 2)), None, "the first counts");
        assert_eq!(offer("a", Side::Response, &half(110, 3)), Some(named));
        assert_eq!(offer("b", Side::Response, &half(112, 1)), None);
        assert_eq!(offer("b", Side::Request, &half(105, 2)), Some(half(112, 1)));
        assert_eq!(offer("c", Side::Request, &half(110, 1)), None);
        assert_eq!(offer("c", Side::Response, &half(121, 1)), None, "too far apart");
        let counts = pairs.counts();
        assert_eq!((counts.joined, counts.repeated, counts.requests, counts.waiting), (2, 1, 1, 1));
    }

    #[test]
    fn what_the_source_has_passed_is_dropped_and_one_event_ahead_passes_nothing() {
        let mut pairs = Pairs::new(10, 1 << 20);
        offer(&mut pairs, 0, "a", Side::Request, &half(1_000, 1));
        offer(&mut pairs, 0, "b", Side::Response, &half(900_000_000, 1));
        offer(&mut pairs, 0, "c", Side::Request, &half(1_010, 1));
        assert_eq!(pairs.counts().waiting, 3);
        assert!(offer(&mut pairs, 0, "a", Side::Response, &half(1_005, 1)));
        for ts in 1_011..1_060 {
            offer(&mut pairs, 0, &ts.to_string(), Side::Response, &half(ts, 1));
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
            offer(&mut pairs, 0, &format!("a{ts}"), Side::Request, &half(ts, 0));
        }
        assert!(pairs.counts().requests == 0 && pairs.counts().dropped > 180, "memory alone bounds what waits");
        let mut pairs = Pairs::new(10, 1 << 20);
        (0..3).for_each(|partition| pairs.reads(partition));
        for ts in 0..200 {
            offer(&mut pairs, 0, &format!("a{ts}"), Side::Request, &half(ts, 2_000));
        }
        assert_eq!((pairs.counts().waiting, pairs.ahead()), (200, vec![]));
        for ts in 0..100 {
            assert!(offer(&mut pairs, 1, &format!("a{ts}"), Side::Response, &half(ts + 5, 0)));
        }
        assert_eq!((pairs.counts().waiting, pairs.counts().requests), (100, 0), "one partition has not begun");
        pairs.set_idle(2, true);
        for ts in 150..160 {
            offer(&mut pairs, 1, &format!("b{ts}"), Side::Request, &half(ts, 0));
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
            offer(&mut pairs, 0, &format!("a{ts}"), Side::Request, &half(ts, 500));
        }
        assert_eq!(pairs.ahead(), [0]);
        for ts in 0..60 {
            offer(&mut pairs, 1, &format!("a{ts}"), Side::Response, &half(ts, 0));
        }
        assert_eq!(pairs.ahead(), Vec::<i32>::new());
    }

    #[test]
    fn what_was_kept_goes_on_as_before() {
        let mut pairs = Pairs::new(10, 1 << 20);
        (0..2).for_each(|partition| pairs.reads(partition));
        for ts in 0..30 {
            offer(&mut pairs, ts % 2, &format!("a{ts}"), Side::Request, &half(i64::from(ts), 3));
        }
        pairs.set_idle(1, true);
        let bytes = postcard::to_stdvec(&pairs.state()).unwrap();
        let mut again = Pairs::restore(10, 1 << 20, &postcard::from_bytes(&bytes).unwrap(), |_, _, _, _| {
            unreachable!("rows are kept")
        });
        assert_eq!(again.counts(), pairs.counts());
        assert_eq!(
            (again.waiting.bytes(), again.waiting.len(), again.reached()),
            (pairs.waiting.bytes(), pairs.waiting.len(), Some(28))
        );
        let (id, response) = ("a29", half(31, 1));
        let of = met(&mut again, 0, id, Side::Response, &response);
        assert_eq!(of, met(&mut pairs, 0, id, Side::Response, &response));
        let bytes = |pairs: &Pairs| postcard::to_stdvec(&pairs.state()).unwrap();
        assert!(of.is_some() && bytes(&again) == bytes(&pairs));
    }

    #[test]
    fn beyond_its_memory_the_oldest_waits_no_longer() {
        let mut pairs = Pairs::new(1_000_000, 2_000);
        for at in 0..5 {
            offer(&mut pairs, 0, &at.to_string(), Side::Request, &half(at, 800));
        }
        let counts = pairs.counts();
        assert_eq!((counts.dropped, counts.waiting), (3, 2));
        assert!(offer(&mut pairs, 0, "4", Side::Response, &half(4, 1)) && pairs.waiting.bytes() < 1_000);
        assert!(!offer(&mut pairs, 0, "0", Side::Response, &half(4, 1)));
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
                met += u32::from(offer(&mut pairs, 0, &id.to_string(), side, &half(i64::from(at) * 5, 3)));
            }
            prop_assert_eq!(met, 20);
            prop_assert_eq!((pairs.waiting.bytes(), pairs.waiting.len(), pairs.counts().waiting), (0, 0, 0));
        }
    }
}
