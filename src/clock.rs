//! The only clock. The core takes times as parameters; the daemon and the commands read them here, and wait here for what may stop meanwhile.

use std::thread;
use std::time::{Duration, Instant};

/// The wall clock in milliseconds since the epoch.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
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
