//! Structured logs on standard error: for people on a terminal, JSON otherwise. `DRIFTGATE_LOG` filters
//! (`info`, `driftgate=debug`, …). What events and callers wrote is escaped in both.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;

use super::terminal::{Steered, shown};

/// Starts logging; a second call changes nothing.
pub fn start() {
    // What the verifier says of certificates is told with the server's name by whoever asked.
    let usual = || EnvFilter::new("info,rustls_platform_verifier=off");
    let filter = EnvFilter::try_from_env("DRIFTGATE_LOG").unwrap_or_else(|_| usual());
    // An error of writing is not told to the same place, where it would panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    // Fails only where logging was started before.
    let _ = if io::stderr().is_terminal() {
        // Colours steer the terminal, too: here it is the fields that are escaped, not the line.
        let fields = debug_fn(|out, field, value| {
            let text = format!("{value:?}");
            match field.name() {
                "message" => write!(out, "{}", shown(&text)),
                name => write!(out, "{name}={}", shown(&text)),
            }
        });
        builder.fmt_fields(fields.delimited(" ")).with_writer(io::stderr).with_target(false).try_init()
    } else {
        builder.with_writer(|| Steered::new(io::stderr())).json().flatten_event(true).try_init()
    };
}
