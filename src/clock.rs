//! The only clock. The core takes times as parameters; the daemon and the commands read them here, and wait here for what may stop meanwhile.

use std::thread;
use std::time::{Duration, Instant};

/// The wall clock in milliseconds since the epoch.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The wall clock as it was last seen, beside the monotonic one.
#[derive(Debug)]
pub struct WallClock {
    wall_ms: i64,
    at: Instant,
}

impl WallClock {
    #[must_use]
    pub fn seen() -> Self {
        Self { wall_ms: now_ms(), at: Instant::now() }
    }

    /// How far it was set back since it was last looked at; nothing where it goes on.
    pub fn set_back(&mut self) -> Duration {
        self.set_back_at(now_ms(), Instant::now())
    }

    fn set_back_at(&mut self, wall_ms: i64, at: Instant) -> Duration {
        let passed = i64::try_from(at.saturating_duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        let missing = self.wall_ms.saturating_add(passed).saturating_sub(wall_ms);
        *self = Self { wall_ms, at };
        Duration::from_millis(u64::try_from(missing).unwrap_or(0))
    }
}

/// The first pause before something that failed is tried again, and the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long to wait before something is tried again that had failed so often before this time: twice as long each time, up to a bound.
#[must_use]
pub fn pause_after(failures: u32) -> Duration {
    PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE)
}

/// Waits so long, and looks as often whether it `stops`; whether it did not.
pub fn wait(span: Duration, look: Duration, stops: impl Fn() -> bool) -> bool {
    let until = Instant::now() + span;
    while Instant::now() < until {
        if stops() {
            return false;
        }
        thread::sleep(look.min(span));
    }
    !stops()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_seen_and_one_that_is_set_forward_is_not() {
        let begun = Instant::now();
        let mut clock = WallClock { wall_ms: 10_000, at: begun };
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(clock.set_back_at(11_000, after(1)), Duration::ZERO);
        assert_eq!(clock.set_back_at(3_611_000, after(1)), Duration::ZERO);
        assert_eq!(clock.set_back_at(13_000, after(3)), Duration::from_hours(1));
        assert_eq!(clock.set_back_at(14_000, after(4)), Duration::ZERO);
    }
}
