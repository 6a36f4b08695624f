//! Slots that this process takes over once more, since something of them failed while they were still its own: after a pause that grows, and not
//! for ever. The process ends where it does not get better, and its supervisor starts it afresh.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::clock::pause_after;
use driftgate_core::cluster::ownership::Slot;

/// So often at most, one failure soon after the other.
const MOST: u32 = 10;
/// A slot that was held for so long starts from nothing.
const SOON: Duration = Duration::from_secs(90);

struct Tries {
    failures: u32,
    last: Instant,
    /// When it is taken over again, if it is to be.
    due: Option<Instant>,
}

/// What is taken over again, and when.
#[derive(Default)]
pub struct Again(BTreeMap<Slot, Tries>);

impl Again {
    /// Something of the slot failed: how often it did by now, and how long nothing is done for it; `None` where that was too often.
    pub fn failed(&mut self, slot: Slot, now: Instant) -> Option<(u32, Duration)> {
        let tries = self.0.entry(slot).or_insert(Tries { failures: 0, last: now, due: None });
        if now.saturating_duration_since(tries.last) > SOON {
            tries.failures = 0;
        }
        let pause = pause_after(tries.failures);
        tries.failures += 1;
        tries.last = now;
        (tries.failures <= MOST).then(|| {
            tries.due = Some(now + pause);
            (tries.failures, pause)
        })
    }

    /// It is not this process's any more, or is begun by the coordinator's word.
    pub fn forget(&mut self, slot: Slot) {
        if let Some(tries) = self.0.get_mut(&slot) {
            tries.due = None;
        }
    }

    /// What is to be taken over now; each is told once.
    pub fn due(&mut self, now: Instant) -> Vec<Slot> {
        let mut due = Vec::new();
        for (slot, tries) in &mut self.0 {
            if tries.due.is_some_and(|at| at <= now) {
                tries.due = None;
                due.push(*slot);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(15);

    #[test]
    fn pauses_grow_until_it_was_too_often_and_a_calm_slot_starts_from_nothing() {
        let (mut again, begun) = (Again::default(), Instant::now());
        let mut now = begun;
        let mut pauses = Vec::new();
        while let Some((_, pause)) = again.failed(3, now) {
            assert!(again.due(now).is_empty());
            now += pause;
            assert_eq!((again.due(now), again.due(now)), (vec![3], vec![]));
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000]);
        let later = now + SOON + Duration::from_millis(1);
        assert_eq!(again.failed(3, later), Some((1, PAUSE)));
        // Another process has it meanwhile.
        again.forget(3);
        again.forget(4);
        assert!(again.due(later + LONGEST).is_empty());
        assert_eq!(again.failed(4, later), Some((1, PAUSE)));
    }
}
