//! How long a result has had its status, and how long a breach has lasted: what `for:` and `since` need. Event time only.

use serde::{Deserialize, Serialize};

use super::verdict::Status;
use crate::policy::Hysteresis;
use crate::state_v4;

/// The run of windows a (rule, subject) is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak {
    status: Option<Status>,
    since: i64,
    breach: Breach,
}

/// Consecutive measured windows that breach. Where `for` asks for some of the last windows, `windows` has a bit for each of these
/// instead, the last one in the lowest bit, and `last_end` is the end of the last that was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    first_end: i64,
    windows: u32,
    last_end: i64,
}

impl From<state_v4::Streak> for Streak {
    fn from(old: state_v4::Streak) -> Self {
        Self { status: old.status, since: old.since, breach: old.breach.into() }
    }
}

impl From<state_v4::Breach> for Breach {
    fn from(old: state_v4::Breach) -> Self {
        Self { first_end: old.first_end, windows: old.windows, last_end: old.last_end }
    }
}

impl Breach {
    /// Takes note of a window; `None` is one that was not measured. Returns whether the breach has lasted as long as
    /// `hysteresis` asks (always, without one). A gap neither advances nor resets; one longer than `for` starts over.
    pub fn note(&mut self, end: i64, slide: i64, breached: Option<bool>, hysteresis: Option<Hysteresis>) -> bool {
        let Some(breached) = breached else { return false };
        if let Some(Hysteresis::SomeOf { breaching, of }) = hysteresis {
            return self.note_one_of(end, slide, breached, (breaching, of));
        }
        if !breached {
            *self = Self::default();
            return false;
        }
        let longest_gap = match hysteresis {
            None => i64::MAX,
            Some(Hysteresis::Windows(n) | Hysteresis::SomeOf { of: n, .. }) => slide.saturating_mul(i64::from(n)),
            Some(Hysteresis::Duration(ms)) => ms,
        };
        if self.windows > 0 && end.saturating_sub(self.last_end).saturating_sub(slide) > longest_gap {
            *self = Self::default();
        }
        if self.windows == 0 {
            self.first_end = end;
        }
        self.windows = self.windows.saturating_add(1);
        self.last_end = end;
        match hysteresis {
            None => true,
            Some(Hysteresis::Windows(n) | Hysteresis::SomeOf { breaching: n, .. }) => self.windows >= n,
            Some(Hysteresis::Duration(ms)) => end.saturating_sub(self.first_end) >= ms,
        }
    }

    /// The same of `breaching` of the last `of` measured windows, at most 32.
    fn note_one_of(&mut self, end: i64, slide: i64, breached: bool, (breaching, of): (u32, u32)) -> bool {
        let gap = end.saturating_sub(self.last_end).saturating_sub(slide);
        if self.windows > 0 && gap > slide.saturating_mul(i64::from(of)) {
            *self = Self::default();
        }
        if self.windows == 0 && !breached {
            return false;
        }
        let kept = u32::MAX.checked_shr(32_u32.saturating_sub(of)).unwrap_or(0);
        if self.windows == 0 {
            self.first_end = end;
        }
        self.windows = (self.windows << 1 | u32::from(breached)) & kept;
        self.last_end = end;
        if self.windows == 0 {
            *self = Self::default();
        }
        breached && self.windows.count_ones() >= breaching
    }

    /// How many of the last windows breached, where `for` asks for some of them.
    #[must_use]
    pub fn breaching(&self) -> usize {
        self.windows.count_ones() as usize
    }

    /// Whether a breach that `hysteresis` asks for is over once a window passes: not while enough of the last ones breached.
    #[must_use]
    pub fn is_over(&self, hysteresis: Option<Hysteresis>) -> bool {
        match hysteresis {
            Some(Hysteresis::SomeOf { breaching, .. }) => self.windows.count_ones() < breaching,
            _ => true,
        }
    }
}

impl Streak {
    /// Takes note of a result; returns the end of the first window with this status in a row, and whether a breach is
    /// still pending.
    pub fn note(&mut self, end: i64, slide: i64, status: Status, hysteresis: Option<Hysteresis>) -> (i64, bool) {
        if self.status != Some(status) {
            self.status = Some(status);
            self.since = end;
        }
        let breached = (status != Status::Insufficient).then_some(status == Status::Block);
        let lasting = self.breach.note(end, slide, breached, hysteresis);
        (self.since, status == Status::Block && !lasting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn fires(hysteresis: Hysteresis, windows: &[(i64, Option<bool>)]) -> Vec<bool> {
        let mut breach = Breach::default();
        windows
            .iter()
            .map(|&(minute, breached)| breach.note(minute * MINUTE, MINUTE, breached, Some(hysteresis)))
            .collect()
    }

    #[test]
    fn five_minutes_are_counted_from_the_first_breaching_windows_end() {
        let five = Hysteresis::Duration(5 * MINUTE);
        let yes = Some(true);
        assert_eq!(
            fires(five, &[(1, yes), (2, yes), (3, yes), (4, yes), (5, yes), (6, yes)]),
            [false, false, false, false, false, true]
        );
        assert_eq!(
            fires(five, &[(1, yes), (2, Some(false)), (6, yes)]),
            [false, false, false],
            "a measured good sample resets"
        );
        assert_eq!(
            fires(five, &[(1, yes), (2, None), (3, None), (6, yes)]),
            [false, false, false, true],
            "a gap neither advances nor resets"
        );
        assert_eq!(fires(five, &[(1, yes), (8, yes)]), [false, false], "a gap longer than `for` starts over");
    }

    #[test]
    fn three_windows_are_three_measured_ones() {
        let three = Hysteresis::Windows(3);
        let yes = Some(true);
        assert_eq!(fires(three, &[(1, yes), (2, None), (3, yes), (4, yes)]), [false, false, false, true]);
        assert_eq!(
            fires(three, &[(1, yes), (2, yes), (7, yes), (8, yes), (9, yes)]),
            [false, false, false, false, true]
        );
    }

    #[test]
    fn three_of_five_are_of_the_last_five_measured() {
        let some = |breaching, of| Hysteresis::SomeOf { breaching, of };
        let (yes, no) = (Some(true), Some(false));
        let windows = [(1, yes), (2, no), (3, yes), (4, no), (5, yes), (6, no), (7, yes), (8, no), (9, no), (10, yes)];
        let expected = [false, false, false, false, true, false, true, false, false, false];
        assert_eq!(fires(some(3, 5), &windows), expected, "a window that passes does not block");
        let gaps = [(1, yes), (2, None), (3, yes), (4, None), (5, None), (6, no), (7, no), (8, yes)];
        assert!(fires(some(3, 5), &gaps)[7], "what was not measured is none of the five");
        assert_eq!(fires(some(2, 5), &[(1, yes), (7, yes)]), [false, true]);
        assert_eq!(
            fires(some(2, 5), &[(1, yes), (8, yes)]),
            [false, false],
            "a gap longer than five windows starts over"
        );
        assert_eq!(fires(some(1, 1), &[(1, yes), (2, no), (3, yes)]), [true, false, true]);
        let many: Vec<_> = (1..=40).map(|at| (at, Some(at != 3))).collect();
        assert_eq!(fires(some(32, 32), &many), (1..=40).map(|at| at >= 35).collect::<Vec<_>>());
        let three = fires(Hysteresis::Windows(3), &many[..9]);
        assert_eq!(fires(some(3, 3), &many[..9]), three, "three of three are three in a row");
    }

    #[test]
    fn a_breach_is_over_once_too_few_of_the_last_windows_breached() {
        let asked = Some(Hysteresis::SomeOf { breaching: 2, of: 3 });
        let mut breach = Breach::default();
        let over: Vec<bool> = [true, true, false, false]
            .into_iter()
            .zip(1..)
            .map(|(breached, at)| {
                breach.note(at * MINUTE, MINUTE, Some(breached), asked);
                breach.is_over(asked)
            })
            .collect();
        assert_eq!(over, [true, false, false, true]);
        assert!(breach.is_over(Some(Hysteresis::Windows(2))));
    }

    #[test]
    fn since_is_when_the_status_began() {
        let mut s = Streak::default();
        assert_eq!(s.note(1, 1, Status::Warn, None), (1, false));
        assert_eq!(s.note(2, 1, Status::Block, None), (2, false));
        assert_eq!(s.note(3, 1, Status::Block, Some(Hysteresis::Windows(3))), (2, true));
    }
}
