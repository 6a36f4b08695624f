//! Structured logs on standard error: for people on a terminal, JSON otherwise. `DRIFTGATE_LOG` filters
//! (`info`, `driftgate=debug`, …).

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging; a second call changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env("DRIFTGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // An error of writing is not told to the same place, where it would panic.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // Fails only where logging was started before.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
