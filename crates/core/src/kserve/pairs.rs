//! Requests and responses that wait for each other. A pair is joined if the times of its halves lie at most `wait` apart, whichever came
//! first; what waits is dropped once the source is twice as far past it, and counted. Memory is bounded: beyond `most_bytes` the oldest
//! half is dropped.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode::time::FUTURE_MS;
use crate::seeded::Map;
use crate::window::front::Front;

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
    front: Front,
    counts: Counts,
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
            front: Front::new(FUTURE_MS, None),
            counts: Counts::default(),
        }
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { waiting: self.waiting.len() as u64, ..self.counts }
    }

    /// Takes a half; the request and the response, where it completes a pair.
    pub fn offer(&mut self, id: &str, side: Side, half: Half) -> Option<(Half, Half)> {
        // One event ahead of its partition's pace makes no other late.
        self.front.advance(half.ts, || None);
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
        let line = self.front.reached().map_or(i64::MIN, |at| at.saturating_sub(self.wait.saturating_mul(2)));
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
        assert_eq!(pairs.offer("a", Side::Request, half(100, 1)), None);
        assert_eq!(pairs.offer("a", Side::Request, half(101, 2)), None, "the first counts");
        assert_eq!(pairs.offer("a", Side::Response, half(110, 3)), Some((half(100, 1), half(110, 3))));
        assert_eq!(pairs.offer("b", Side::Response, half(112, 1)), None);
        assert_eq!(pairs.offer("b", Side::Request, half(105, 2)), Some((half(105, 2), half(112, 1))));
        assert_eq!(pairs.offer("c", Side::Request, half(110, 1)), None);
        assert_eq!(pairs.offer("c", Side::Response, half(121, 1)), None, "too far apart");
        let counts = pairs.counts();
        assert_eq!((counts.joined, counts.repeated, counts.requests, counts.waiting), (2, 1, 1, 1));
    }

    #[test]
    fn what_the_source_has_passed_is_dropped_and_one_event_ahead_passes_nothing() {
        let mut pairs = Pairs::new(10, 1 << 20);
        pairs.offer("a", Side::Request, half(1_000, 1));
        pairs.offer("b", Side::Response, half(900_000_000, 1));
        pairs.offer("c", Side::Request, half(1_010, 1));
        assert_eq!(pairs.counts().waiting, 3);
        assert!(pairs.offer("a", Side::Response, half(1_005, 1)).is_some());
        for ts in 1_011..1_060 {
            pairs.offer(&ts.to_string(), Side::Response, half(ts, 1));
        }
        let counts = pairs.counts();
        assert_eq!((counts.requests, counts.dropped), (1, 0), "c");
        assert!(counts.responses > 20 && counts.waiting < 30, "{counts:?}");
    }

    #[test]
    fn beyond_its_memory_the_oldest_waits_no_longer() {
        let mut pairs = Pairs::new(1_000_000, 3_000);
        for at in 0..5 {
            pairs.offer(&at.to_string(), Side::Request, half(at, 800));
        }
        let counts = pairs.counts();
        assert_eq!((counts.dropped, counts.waiting), (3, 2));
        assert!(pairs.offer("4", Side::Response, half(4, 1)).is_some() && pairs.bytes < 3_000);
        assert!(pairs.offer("0", Side::Response, half(4, 1)).is_none());
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
                met += u32::from(pairs.offer(&id.to_string(), side, half(i64::from(at) * 5, 3)).is_some());
            }
            prop_assert_eq!(met, 20);
            prop_assert_eq!((pairs.bytes, pairs.by_time.len(), pairs.counts().waiting), (0, 0, 0));
        }
    }
}
