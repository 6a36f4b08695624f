//! Who does what next: the streams of a replay as seen by its workers. Batches are admitted in an order that depends on
//! the files alone, whatever the number of workers: always from the stream that is furthest behind in event time.

/// A stream, as far as its pieces have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    /// Pieces taken from the file so far.
    pub taken: u64,
    /// The piece whose batches are admitted next.
    pub next: u64,
    /// Whether a batch of that piece is decoded and waits.
    pub ready: bool,
    /// A worker is taking a piece.
    pub taking: bool,
    /// The file has no more pieces.
    pub ended: bool,
    /// The largest event time admitted.
    pub reached: Option<i64>,
    /// The pipeline was told that there is no more.
    pub told_end: bool,
    /// How many pieces may be taken and not admitted yet.
    ahead: u64,
}

impl Lane {
    /// A lane of which so many pieces may be in memory beside those that the workers have in hand, so that nobody waits for
    /// the one whose piece is due, nor while a baseline is loaded.
    pub fn new(workers: usize, spare: u64) -> Self {
        let in_hand = u64::try_from(workers).unwrap_or(u64::MAX).max(1);
        Self { ahead: in_hand.saturating_add(spare), ..Self::default() }
    }

    fn is_done(self) -> bool {
        self.ended && self.next == self.taken
    }
}

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Admit the next batch of this lane, and count it.
    Admit(usize),
    /// Take the next piece of this lane, and decode it.
    Decode(usize),
    /// Wait for others.
    Wait,
    Done,
}

/// The lanes, and whether a worker is admitting.
#[derive(Debug)]
pub(super) struct Schedule {
    pub lanes: Vec<Lane>,
    pub admitting: bool,
    /// A worker failed, or the replay was told to stop.
    pub stopped: bool,
}

impl Schedule {
    pub fn new(lanes: Vec<Lane>) -> Self {
        Self { lanes, admitting: false, stopped: false }
    }

    /// The lane whose turn it is to be admitted: the one furthest behind in event time; the first of equals.
    fn due(&self) -> Option<usize> {
        let left = self.lanes.iter().enumerate().filter(|(_, l)| !l.is_done());
        left.min_by_key(|(_, l)| l.reached.unwrap_or(i64::MIN)).map(|(at, _)| at)
    }

    /// Lanes that are done, of which the pipeline is to be told before the next batch of `at` is admitted: those that this
    /// one has passed in time, so that it does not matter when their ends were found.
    pub fn passed(&mut self, at: usize) -> Vec<usize> {
        let reached = self.lanes.get(at).and_then(|l| l.reached);
        let passed = |l: &Lane| l.is_done() && !l.told_end && l.reached < reached;
        let found = self.lanes.iter_mut().enumerate().filter(|(_, l)| passed(l));
        found
            .map(|(at, lane)| {
                lane.told_end = true;
                at
            })
            .collect()
    }

    /// What to do next. Admitting comes first: it is serial, and the others wait for it.
    pub fn task(&self) -> Task {
        let Some(due) = self.due().filter(|_| !self.stopped) else { return Task::Done };
        if !self.admitting && self.lanes.get(due).is_some_and(|l| l.ready) {
            return Task::Admit(due);
        }
        let can_take = |l: &Lane| !l.ended && !l.taking && l.taken - l.next < l.ahead;
        let others = (0..self.lanes.len()).filter(|at| *at != due);
        match std::iter::once(due).chain(others).find(|at| self.lanes.get(*at).is_some_and(can_take)) {
            Some(at) => Task::Decode(at),
            None => Task::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(lanes: &[Lane]) -> Schedule {
        Schedule::new(lanes.to_vec())
    }

    fn lane() -> Lane {
        Lane::new(2, 0)
    }

    #[test]
    fn the_lane_furthest_behind_is_admitted_and_nothing_overtakes_it() {
        let ahead = Lane { taken: 3, next: 2, ready: true, reached: Some(9), ..lane() };
        let behind = Lane { taken: 1, next: 1, reached: Some(5), ..lane() };
        assert_eq!(board(&[ahead, behind]).task(), Task::Decode(1));
        let taken = Lane { taken: 2, ..behind };
        assert_eq!(board(&[ahead, taken]).task(), Task::Decode(1), "another piece can be decoded meanwhile");
        let full = Lane { taken: 3, ..behind };
        assert_eq!(board(&[ahead, full]).task(), Task::Decode(0));
        let busy = Lane { taken: 4, ..ahead };
        assert_eq!(board(&[busy, full]).task(), Task::Wait);
        let ready = Lane { ready: true, ..full };
        assert_eq!(board(&[busy, ready]).task(), Task::Admit(1));
        assert_eq!(Schedule { admitting: true, ..board(&[busy, ready]) }.task(), Task::Wait);
    }

    #[test]
    fn a_lane_that_has_ended_holds_nobody_back() {
        let done = Lane { taken: 1, next: 1, ended: true, ..lane() };
        let left = Lane { taken: 1, next: 0, ready: true, reached: Some(5), ..lane() };
        assert_eq!(board(&[done, left]).task(), Task::Admit(1));
        assert_eq!((board(&[done, left]).passed(1), board(&[done, left]).passed(0)), (vec![0], vec![]));
        let ahead = Lane { reached: Some(5), ..done };
        assert!(board(&[ahead, left]).passed(1).is_empty(), "as far as that its end may not be found yet");
        assert_eq!(board(&[done, done]).task(), Task::Done);
        assert_eq!(Schedule { stopped: true, ..board(&[left]) }.task(), Task::Done);
    }
}
