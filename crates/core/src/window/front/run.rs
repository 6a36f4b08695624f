//! What a run of times does to a front without a look at each of them: what counting the parts of a stream beside each other
//! needs. A run whose times are all at pace moves the front to its largest time. Where one is not, its times are taken one by
//! one. The usual step (`Front::step`) is not known behind a run that was not looked at, only a bound of it: that matters where
//! four times the bound is more than the tolerance, and is an error then.

use serde::{Deserialize, Serialize};

use super::{Front, USUAL};

/// The times of some consecutive events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub first: i64,
    pub latest: i64,
    /// The largest step from one largest time so far to the next.
    pub widest: i64,
}

impl Run {
    /// A run of one event, or one event more of a run.
    #[must_use]
    pub fn with(run: Option<Self>, ts: i64) -> Self {
        match run {
            None => Self { first: ts, latest: ts, widest: 0 },
            Some(run) if ts > run.latest => {
                Self { widest: run.widest.max(ts.saturating_sub(run.latest)), latest: ts, ..run }
            }
            Some(run) => run,
        }
    }
}

/// The usual step would decide, and is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepUnknown;

/// A front on its way through a stream, some of whose runs it does not look at.
#[derive(Clone, Debug)]
pub struct Course {
    front: Front,
    /// No usual step is larger than this; `None` while it is known.
    bound: Option<i64>,
}

impl Course {
    /// That of a front whose usual step is known.
    #[must_use]
    pub fn of(front: Front) -> Self {
        Self { front, bound: None }
    }

    /// The front. Where the usual step is not known, one that decides alike.
    #[must_use]
    pub fn front(&self) -> &Front {
        &self.front
    }

    /// Passes a run whose times are all at pace; `false` where they have to be looked at one by one.
    pub fn pass(&mut self, run: &Run) -> bool {
        let Some(reached) = self.front.reached.filter(|_| self.front.ahead.is_empty()) else { return false };
        if run.latest <= reached {
            return true;
        }
        let most = run.widest.max(run.first.saturating_sub(reached));
        if most > self.front.tolerance {
            return false;
        }
        self.forget(most);
        self.front.reached = Some(run.latest);
        true
    }

    /// The usual step is not known any more, but that it is at most `most` or as it was.
    fn forget(&mut self, most: i64) {
        self.bound = Some(self.bound.unwrap_or(self.front.step).max(most));
        (self.front.step, self.front.steps) = (0, 0);
    }

    /// Takes an event.
    ///
    /// # Errors
    /// Where what it does depends on the usual step, and that is not known.
    pub fn take(&mut self, ts: i64, key: impl FnOnce() -> Option<u64>) -> Result<(), StepUnknown> {
        let Some(bound) = self.bound else {
            self.front.advance(ts, key);
            return Ok(());
        };
        let Front { reached, tolerance, .. } = self.front;
        let calm = self.front.ahead.is_empty()
            && reached.is_some_and(|reached| ts <= reached || ts.saturating_sub(reached) <= tolerance);
        (self.front.step, self.front.steps) = (0, 0);
        self.front.advance(ts, key);
        // The first step of none is the step itself.
        let bound = if self.front.steps > 0 { bound.max(self.front.step) } else { bound };
        (self.front.step, self.front.steps) = (0, 0);
        self.bound = Some(bound);
        if !calm && bound.saturating_mul(USUAL) > tolerance { Err(StepUnknown) } else { Ok(()) }
    }

    /// Whether what is left of a run that was begun is at pace, of which `so_far` was taken: then it is passed.
    pub fn pass_rest(&mut self, run: &Run, so_far: &Run) -> bool {
        let reached = self.front.reached.filter(|_| self.front.ahead.is_empty());
        if run.widest > self.front.tolerance || reached.is_none_or(|reached| reached < so_far.latest) {
            return false;
        }
        if reached.is_some_and(|reached| run.latest > reached) {
            self.forget(run.widest);
            self.front.reached = Some(run.latest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOLERANCE: i64 = 100;

    /// Times that mostly go on, with steps back, pauses and single ones far ahead.
    fn any_times() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![60 => -30..30_i64, 4 => 60..120_i64, 1 => 500..9_000_i64];
        let ahead = prop_oneof![60 => Just(0), 1 => 100..100_000_i64];
        prop::collection::vec((step, ahead), 1..300).prop_map(|steps| {
            let mut at = 1_000;
            steps
                .into_iter()
                .map(|(step, ahead)| {
                    at += step + 3;
                    at + ahead
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// However a stream is cut into runs: at the start of each, the front decides as one that has seen every event.
        #[test]
        fn fronts_at_the_cuts_are_those_of_who_sees_every_event(
            times in any_times(),
            cuts in prop::collection::vec(0..300_usize, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % times.len()).chain([0, times.len()]).collect();
            cuts.sort_unstable();
            let key = |at: usize| Some(at as u64 / 2);
            let parts = || cuts.iter().zip(&cuts[1..]).map(|(from, to)| (*from, &times[*from..*to]));
            let mut course = Course::of(Front::new(TOLERANCE, None));
            let mut fronts = Vec::new();
            for (from, part) in parts() {
                fronts.push(course.front().clone());
                let Some(run) = part.iter().fold(None, |run, ts| Some(Run::with(run, *ts))) else { continue };
                if course.pass(&run) {
                    continue;
                }
                let mut so_far = None;
                for (at, ts) in part.iter().enumerate() {
                    if course.take(*ts, || key(from + at)).is_err() {
                        // It is done again from the beginning, event by event.
                        return Ok(());
                    }
                    so_far = Some(Run::with(so_far, *ts));
                    if so_far.is_some_and(|so_far| course.pass_rest(&run, &so_far)) {
                        break;
                    }
                }
            }
            let mut whole = Front::new(TOLERANCE, None);
            for ((from, part), mut alone) in parts().zip(fronts) {
                // A worker that counts this part alone.
                for (at, ts) in part.iter().enumerate() {
                    let before = whole.advance(*ts, || key(from + at));
                    prop_assert_eq!(alone.advance(*ts, || key(from + at)), before, "{} of {:?}", from + at, times);
                    prop_assert_eq!(alone.claimed(), whole.claimed());
                }
            }
            prop_assert_eq!((course.front().reached(), course.front().claimed()), (whole.reached(), whole.claimed()));
        }
    }

    #[test]
    fn a_stream_at_pace_is_passed_and_a_pause_is_looked_at() {
        let run = |times: &[i64]| times.iter().fold(None, |run, ts| Some(Run::with(run, *ts))).unwrap();
        let mut course = Course::of(Front::new(TOLERANCE, None));
        assert!(!course.pass(&run(&[0, 10, 20])), "nothing is believed yet");
        [0, 10, 20].into_iter().enumerate().for_each(|(n, ts)| course.take(ts, || Some(n as u64)).unwrap());
        assert!(course.pass(&run(&[25, 21, 40, 30])) && course.front().reached() == Some(40));
        assert!(course.pass(&run(&[-500, 3])) && course.front().reached() == Some(40));
        assert!(!course.pass(&run(&[400, 401, 402])), "a pause before it");
        assert!(!course.pass(&run(&[41, 400])), "a pause in it");
        assert_eq!(course.front().reached(), Some(40));
    }
}
