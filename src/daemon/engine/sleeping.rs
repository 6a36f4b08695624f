//! Which streams of shards sleep: all of their partitions were silent and read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use driftgate_core::event::EventKind;

/// The questions to the brokers, and which streams sleep.
#[derive(Default)]
pub struct Confirming {
    /// When they were asked last.
    pub asked: Option<Instant>,
    /// They have not answered yet.
    pub is_asking: bool,
    streams: BTreeMap<(usize, EventKind), Stream>,
}

/// A stream of a model, as far as silence goes.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// All of its partitions were idle.
    sleeps: bool,
    /// None of them counts as idle before.
    awake_until: Instant,
}

impl Confirming {
    /// Whether partitions of a stream may be idle now, of which `silent` say that they are quiet and read. When a stream that was all idle wakes up,
    /// its partitions get a fresh start, so that none is passed over whose producers only begin.
    pub fn may_idle(&mut self, of: (usize, EventKind), silent: bool, now: Instant, idle_after: Duration) -> bool {
        let begin = Stream { sleeps: false, awake_until: now + idle_after };
        let stream = self.streams.entry(of).or_insert(begin);
        if stream.sleeps && !silent {
            *stream = begin;
        }
        let may_idle = now >= stream.awake_until;
        stream.sleeps = may_idle && silent;
        may_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_wakes_up_gives_all_of_its_partitions_a_fresh_start() {
        let (start, s) = (Instant::now(), Duration::from_secs);
        let mut confirming = Confirming::default();
        let of = (0, EventKind::Predictions);
        let mut at = |second: u64, silent: bool| confirming.may_idle(of, silent, start + s(second), s(30));
        // After the start, too.
        assert!(!at(0, true) && !at(29, true));
        assert!(at(30, true) && at(31, true));
        // One of its partitions has something to read again.
        assert!(!at(40, false) && !at(69, false));
        assert!(at(70, false));
        // One that is never all silent does not sleep, so it does not wake up.
        assert!(at(71, false) && at(90, true));
        assert!(!at(91, false));
    }
}
