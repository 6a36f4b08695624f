//! The only clock. The core takes times as parameters; the daemon and the commands read them here, and wait here for what may stop meanwhile.

use std::thread;
use std::time::{Duration, Instant};

/// The wall clock in milliseconds since the epoch.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
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
