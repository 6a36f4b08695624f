//! One type per event that the daemon logs or counts. `emit` does both: it writes the log line and adds to the counter, which has its
//! name, labels and help in `metrics`. A type without `Counted` in its `emit` is only logged, or belongs to a counter that is kept where
//! events are read; its documentation then names the metric. No other file calls the macros of `tracing`: tests/imports checks that.

pub mod admission;
pub mod cluster;
pub mod delivery;
pub mod export;
pub mod history;
pub mod http;
pub mod input;
pub mod kafka;
pub mod lifecycle;
pub mod policies;
pub mod prometheus;
pub mod registry;
pub mod routing;
pub mod start;
pub mod state;
pub mod threads;

/// Whether an attempt is logged: the first one, and then each time that their number has doubled.
fn is_told(failures: u32) -> bool {
    failures.is_power_of_two() || failures == 0
}
