//! In which order admitted batches were counted, and which closings that makes ready to be judged.

use std::collections::{BTreeSet, VecDeque};

use crate::intake::{Closing, Counters};

/// Batches by their number of admission.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// All batches below are counted.
    all_below: u64,
    /// Batches above that are counted, too.
    above: BTreeSet<u64>,
    /// In the order they were made.
    pub closings: VecDeque<Closing>,
    /// What workers counted besides.
    pub counters: Counters,
}

impl Order {
    /// Takes note of a batch that was counted.
    pub fn counted(&mut self, number: u64, counters: Counters) {
        self.counters += counters;
        self.above.insert(number);
        while self.above.first() == Some(&self.all_below) {
            self.above.pop_first();
            self.all_below += 1;
        }
    }

    /// Whether everything that the next closing needs is counted.
    pub fn is_ready(&self) -> bool {
        self.closings.front().is_some_and(|c| c.after <= self.all_below)
    }

    /// The next closing that is ready.
    pub fn next(&mut self) -> Option<Closing> {
        if self.is_ready() { self.closings.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::intake::starts::Starts;

    fn closing(after: u64) -> Closing {
        let (known, starts) = (Arc::default(), Starts::default());
        Closing { after, lines: vec![], complete_to: vec![], closed_to: 0, known, starts, news: vec![] }
    }

    #[test]
    fn a_closing_waits_for_every_batch_before_it_and_for_the_closings_before_it() {
        let mut order = Order::default();
        order.closings.extend([closing(2), closing(2), closing(3)]);
        order.counted(1, Counters::default());
        order.counted(2, Counters { joined: 4, ..Counters::default() });
        assert!(!order.is_ready(), "batch 0 is not counted");
        order.counted(0, Counters { joined: 1, ..Counters::default() });
        let ready: Vec<u64> = std::iter::from_fn(|| order.next()).map(|c| c.after).collect();
        assert_eq!((ready, order.counters.joined), (vec![2, 2, 3], 5));
    }
}
