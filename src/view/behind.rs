//! Whether a partition is read as fast as it is written: how long nothing of what is there was read, and whether what waits
//! grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is there and was not read for so long is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// Growth is looked at over this time, in so many looks.
const SPAN: Duration = Duration::from_secs(300);
const APART: Duration = Duration::from_secs(30);
/// Fewer messages are read in no time.
const TELLING: i64 = 10_000;

/// One partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// The offset to read next, and since when it is that.
    stands: Option<(Option<i64>, Instant)>,
    /// How much waited, the oldest first.
    marks: VecDeque<(Instant, i64)>,
    lag: i64,
    now: Option<Instant>,
}

impl Behind {
    /// Takes over where reading is now, and how many messages are there but not read.
    pub fn update(&mut self, now: Instant, next: Option<i64>, lag: i64) {
        let moved = self.stands.is_none_or(|(before, _)| before != next);
        if moved || lag == 0 {
            self.stands = Some((next, now));
        }
        if self.marks.back().is_none_or(|(at, _)| now.duration_since(*at) >= APART) {
            self.marks.push_back((now, lag));
        }
        while self.marks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN) {
            self.marks.pop_front();
        }
        (self.lag, self.now) = (lag, Some(now));
    }

    /// For how long nothing was read of what is there.
    #[must_use]
    pub fn stuck(&self) -> Option<Duration> {
        let (_, since) = self.stands?;
        let stood = self.now?.duration_since(since);
        (self.lag > 0 && stood >= STUCK).then_some(stood)
    }

    /// By how many messages what waits has grown, and in what time.
    #[must_use]
    pub fn grows(&self) -> Option<(i64, Duration)> {
        let &(at, before) = self.marks.front()?;
        let (more, span) = (self.lag - before, self.now?.duration_since(at));
        (self.lag >= TELLING && more > before / 10 && span >= SPAN).then_some((more, span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Next offset and lag at so many seconds after the start.
    fn behind(looks: impl IntoIterator<Item = (u64, i64, i64)>) -> Behind {
        let (mut behind, start) = (Behind::default(), Instant::now());
        for (seconds, next, lag) in looks {
            behind.update(start + Duration::from_secs(seconds), Some(next), lag);
        }
        behind
    }

    #[test]
    fn what_is_there_and_not_read_is_stuck_and_a_quiet_partition_is_not() {
        assert_eq!(behind([(0, 5, 3), (29, 5, 3)]).stuck(), None);
        assert_eq!(behind([(0, 5, 3), (31, 5, 9)]).stuck(), Some(Duration::from_secs(31)));
        assert_eq!(behind([(0, 5, 3), (31, 6, 9)]).stuck(), None);
        assert_eq!(behind([(0, 5, 0), (3600, 5, 0), (3601, 5, 2)]).stuck(), None, "it came just now");
        assert_eq!(Behind::default().stuck(), None);
    }

    #[test]
    fn a_backlog_that_is_worked_off_does_not_grow() {
        let looks =
            |lag: fn(i64) -> i64| behind((0..60_u32).map(|i| (u64::from(i) * 10, i64::from(i), lag(i64::from(i)))));
        assert_eq!(looks(|i| 1_000_000 - 10_000 * i).grows(), None);
        assert_eq!(looks(|i| 100 * i).grows(), None, "few");
        let (more, span) = looks(|i| 20_000 + 5_000 * i).grows().unwrap();
        assert!(more >= 150_000 && span >= SPAN, "{more} {span:?}");
    }
}
