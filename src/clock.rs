//! The only clock. The core takes times as parameters; the daemon and the commands read them here.

/// The wall clock in milliseconds since the epoch.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
