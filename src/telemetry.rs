//! What the daemon reports of itself, each fact in one place: metrics by name, labels and help; events, which write a log line
//! and count in one step; spans, which follow one event through the daemon; and the export of all of it by OTLP.
//!
//! | module | holds |
//! |---|---|
//! | `metrics` | the list of every metric: `/metrics`, OTLP and the reference page come from it |
//! | `counts` | what events count into, which the status view implements |
//! | `events` | one type per event that is logged or counted |
//! | `spans` | a batch, a window, a delivery |
//! | `otlp` | traces and metrics to an OpenTelemetry collector |

pub mod counts;
#[cfg(test)]
mod dashboards;
pub mod events;
pub mod metrics;
pub mod otlp;
pub mod spans;
