//! How far a source partition has come in event time, by its own events. A time far ahead of the partition's pace is not
//! believed until others confirm it: one event with a wrong clock would make all later ones late. What is believed depends on
//! the events of the partition and their order alone.

use serde::{Deserialize, Serialize};

pub mod run;

/// So many events further ahead than the pace allows, without one at pace between them, are believed.
const AGREE: usize = 3;
/// A step is at pace up to so many times the usual one.
const USUAL: i64 = 4;
/// The usual step is the mean of so many first ones, and follows each later one by one part of so many.
const INERTIA: i64 = 8;

/// No event has a later time.
const MOST_TIME: i64 = i64::MAX / 2;

/// A tolerance under which every time is at pace: for tests of what does not depend on it.
pub const ANY: i64 = i64::MAX / 4;

/// An event by its time and what tells it from others, if anything does: a repeated event confirms nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event {
    ts: i64,
    key: Option<u64>,
}

/// The front of a source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// How far ahead is at pace in any case, in ms.
    tolerance: i64,
    /// The largest time that is believed.
    reached: Option<i64>,
    /// The usual step forward, in ms, and of how many steps it is the mean.
    step: i64,
    steps: i64,
    /// Events ahead of the pace that nothing confirms or contradicts yet; fewer than `AGREE`.
    ahead: Vec<Event>,
    /// The first time that was believed, until it is asked for.
    #[serde(skip)]
    first: Option<i64>,
    /// Events ahead that later ones contradicted, until they are asked for.
    #[serde(skip)]
    refuted: u64,
    /// The last of them: its time, and what was reached then.
    #[serde(skip)]
    example: Option<(i64, i64)>,
}

impl Front {
    /// That of a partition that has come as far as `reached`.
    #[must_use]
    pub fn new(tolerance: i64, reached: Option<i64>) -> Self {
        Self { tolerance, reached, step: 0, steps: 0, ahead: Vec::new(), first: None, refuted: 0, example: None }
    }

    /// The same with another tolerance.
    #[must_use]
    pub fn with(self, tolerance: i64) -> Self {
        Self { tolerance, ..self }
    }

    /// Whether events can have left it so: what is read from outside may be anything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let time = |ts: i64| (0..=MOST_TIME).contains(&ts);
        time(self.tolerance)
            && time(self.step)
            && (0..=INERTIA).contains(&self.steps)
            && self.reached.is_none_or(time)
            && self.ahead.len() < AGREE
            && self.ahead.iter().all(|event| time(event.ts))
    }

    /// How far ahead is at pace in any case, in ms.
    #[must_use]
    pub fn tolerance(&self) -> i64 {
        self.tolerance
    }

    /// The largest time that is believed.
    #[must_use]
    pub fn reached(&self) -> Option<i64> {
        self.reached
    }

    /// The largest time that may be believed yet, and is where nothing more comes.
    #[must_use]
    pub fn claimed(&self) -> Option<i64> {
        self.ahead.iter().map(|event| event.ts).max().max(self.reached)
    }

    /// How many events wait for others to confirm their times.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ahead.len()
    }

    /// The first time that is believed, once.
    pub fn take_first(&mut self) -> Option<i64> {
        self.first.take()
    }

    /// How many events were ahead and contradicted since the last call.
    pub fn take_refuted(&mut self) -> u64 {
        std::mem::take(&mut self.refuted)
    }

    /// The last event that was contradicted, since the last call: its time, and what its partition had reached.
    pub fn take_example(&mut self) -> Option<(i64, i64)> {
        self.example.take()
    }

    fn bound(&self) -> i64 {
        self.tolerance.max(self.step.saturating_mul(USUAL))
    }

    /// Takes note of an event; returns the largest time that was believed before it.
    #[inline]
    pub fn advance(&mut self, ts: i64, key: impl FnOnce() -> Option<u64>) -> Option<i64> {
        let before = self.reached;
        if let (Some(reached), true) = (before, self.ahead.is_empty()) {
            if ts <= reached {
                return before;
            }
            if ts - reached <= self.tolerance {
                self.step(ts - reached);
                self.reached = Some(ts);
                return before;
            }
        }
        self.weigh(Event { ts, key: key() });
        before
    }

    #[inline]
    fn step(&mut self, by: i64) {
        self.steps = (self.steps + 1).min(INERTIA);
        self.step += (by - self.step) / self.steps;
    }

    /// The same for an event that is ahead, or comes while others are.
    #[cold]
    fn weigh(&mut self, event: Event) {
        let bound = self.bound();
        match self.reached {
            Some(reached) if event.ts <= reached.saturating_add(bound) => {
                // One that is far behind says nothing of where the partition is.
                if event.ts >= reached.saturating_sub(bound) {
                    self.refuted += self.ahead.len() as u64;
                    self.example = self.ahead.first().map(|ahead| (ahead.ts, reached)).or(self.example);
                    self.ahead.clear();
                }
                if event.ts > reached {
                    self.step(event.ts.saturating_sub(reached));
                    self.reached = Some(event.ts);
                }
            }
            _ if event.key.is_some() && self.ahead.iter().any(|other| other.key == event.key) => {}
            reached => {
                let agrees = |other: &Event| other.ts.abs_diff(event.ts) <= bound.unsigned_abs();
                // Where nothing is believed yet, two at one pace are.
                let starts = reached.is_none() && self.ahead.iter().any(agrees);
                self.ahead.push(event);
                self.ahead.sort_unstable_by_key(|event| event.ts);
                if starts {
                    self.start(bound);
                } else if self.ahead.len() >= AGREE {
                    self.believe();
                }
            }
        }
    }

    /// Believes the two that are at one pace; what lies before them was no start.
    fn start(&mut self, bound: i64) {
        let pair = self.ahead.windows(2).position(|pair| match pair {
            [a, b] => b.ts.saturating_sub(a.ts) <= bound,
            _ => false,
        });
        self.ahead.drain(..pair.unwrap_or(0));
        self.believe();
    }

    /// Believes the smallest of the times ahead, and those at pace from there. The least step on the way is the pace.
    fn believe(&mut self) {
        let Some(Event { ts, .. }) = self.ahead.first().copied() else { return };
        let steps = self.ahead.windows(2).map(|pair| match pair {
            [a, b] => b.ts.saturating_sub(a.ts),
            _ => i64::MAX,
        });
        let before = self.reached.map(|reached| ts.saturating_sub(reached));
        if let Some(least) = steps.chain(before).min() {
            self.step(least);
        }
        if self.reached.is_none() {
            self.first = Some(ts);
        }
        self.reached = Some(ts);
        let mut taken = 1;
        for event in self.ahead.iter().skip(1) {
            if self.reached.is_some_and(|reached| event.ts > reached.saturating_add(self.bound())) {
                break;
            }
            self.reached = Some(event.ts);
            taken += 1;
        }
        self.ahead.drain(..taken);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1000;
    const MIN: i64 = 60 * S;
    const HOUR: i64 = 60 * MIN;

    /// What is believed after each of these times, and how many events were contradicted.
    fn fronts(times: &[i64]) -> (Vec<Option<i64>>, u64) {
        let mut front = Front::new(MIN, None);
        let mut keys = 0..;
        let reached = times
            .iter()
            .map(|ts| {
                front.advance(*ts, || keys.next());
                front.reached()
            })
            .collect();
        (reached, front.take_refuted())
    }

    #[test]
    fn one_ahead_moves_nothing_and_is_contradicted() {
        let (reached, refuted) = fronts(&[0, S, 59 * MIN, 2 * S, 3 * S]);
        assert_eq!(reached, [None, Some(S), Some(S), Some(2 * S), Some(3 * S)]);
        assert_eq!(refuted, 1);
        // Two of them, and years ahead.
        let (reached, refuted) = fronts(&[0, S, 1 << 40, 1 << 41, 2 * S, 1 << 40, 3 * S]);
        assert_eq!((reached[6], refuted), (Some(3 * S), 3));
    }

    #[test]
    fn one_ahead_at_the_very_beginning_is_no_start() {
        for times in [[HOUR, 0, S, 2 * S], [0, HOUR, S, 2 * S]] {
            let (reached, refuted) = fronts(&times);
            assert_eq!((reached[3], refuted), (Some(2 * S), 1), "{times:?}");
        }
        // One that is long past is none either.
        assert_eq!(fronts(&[0, HOUR, HOUR + S]).0, [None, None, Some(HOUR + S)]);
    }

    #[test]
    fn a_pause_is_over_once_three_say_so() {
        let (reached, refuted) = fronts(&[0, S, 8 * HOUR, 8 * HOUR + S, 8 * HOUR + 2 * S, 8 * HOUR + 3 * S]);
        assert_eq!(reached[2..], [Some(S), Some(S), Some(8 * HOUR + 2 * S), Some(8 * HOUR + 3 * S)]);
        assert_eq!(refuted, 0);
        // The first after it is ahead of the others.
        let (reached, refuted) = fronts(&[0, S, 9 * HOUR, 8 * HOUR, 8 * HOUR + S, 8 * HOUR + 2 * S]);
        assert_eq!(reached[4..], [Some(8 * HOUR + S), Some(8 * HOUR + 2 * S)]);
        assert_eq!(refuted, 1);
        // One that came late says nothing, one at the old pace does.
        assert_eq!(fronts(&[0, HOUR, HOUR + S, 8 * HOUR, 0, 8 * HOUR, 8 * HOUR]).0[6], Some(8 * HOUR));
        assert_eq!(fronts(&[0, S, 8 * HOUR, 2 * S, 8 * HOUR, 8 * HOUR]).0[5], Some(2 * S));
    }

    #[test]
    fn a_repeated_event_confirms_nothing() {
        let mut front = Front::new(MIN, Some(0));
        for _ in 0..5 {
            front.advance(HOUR, || Some(7));
        }
        assert_eq!((front.reached(), front.waiting(), front.claimed()), (Some(0), 1, Some(HOUR)));
        front.advance(HOUR, || Some(8));
        front.advance(HOUR, || Some(9));
        assert_eq!((front.reached(), front.waiting()), (Some(HOUR), 0));
    }

    #[test]
    fn what_comes_once_an_hour_is_at_pace() {
        let times: Vec<i64> = (0..20).map(|n| n * HOUR).collect();
        let (reached, refuted) = fronts(&times);
        assert_eq!(reached[..4], [None, None, Some(2 * HOUR), Some(3 * HOUR)]);
        assert_eq!(reached[19], Some(19 * HOUR));
        // Also where the first one is ahead of all.
        let times = [[1000 * HOUR].as_slice(), &times].concat();
        assert_eq!((fronts(&times).0[20], fronts(&times).1), (Some(19 * HOUR), 1));
        assert_eq!(refuted, 0);
    }

    proptest! {
        /// With neither pauses nor events ahead it is the largest time.
        #[test]
        fn at_pace_it_is_the_largest_time(steps in proptest::collection::vec(-MIN / 2..MIN / 2, 2..200)) {
            let times: Vec<i64> = steps.iter().scan(10 * HOUR, |at, step| { *at += step / 2 + S; Some(*at) }).collect();
            let (reached, refuted) = fronts(&times);
            prop_assert_eq!(reached.last().copied().flatten(), times.iter().copied().max());
            prop_assert_eq!(refuted, 0);
        }

        /// Wherever single events lie that are hours ahead, the others are seen as they are without them.
        #[test]
        fn single_events_ahead_change_nothing(at in proptest::collection::vec((2_usize..300, HOUR..1000 * HOUR), 0..20)) {
            let plain: Vec<i64> = (0..300).map(|n| n * S).collect();
            let mut at = at;
            at.sort_unstable();
            at.dedup_by_key(|(i, _)| *i);
            let mut with = plain.clone();
            for (i, ahead) in at.iter().rev() {
                with.insert(*i, plain[*i] + ahead);
            }
            let (reached, refuted) = fronts(&with);
            prop_assert_eq!(reached.last().copied().flatten(), plain.last().copied());
            prop_assert_eq!(refuted, at.iter().filter(|(i, _)| *i < 300).count() as u64);
        }
    }
}
