//! Structured logs on standard error: for people on a terminal, JSON otherwise. `DRIFTGATE_LOG`, or else `RUST_LOG`, filters
//! (`info`, `driftgate=debug`, …); at debug a line per span shows its fields and how long it took. Text of events and
//! callers is escaped in both. Where traces are exported, spans go there too, independent of the filter.

use std::io::{self, IsTerminal as _};

use opentelemetry_sdk::trace::SdkTracer;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::{FmtSpan, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::terminal::{Steered, shown};

/// Starts logging, and hands spans to `tracer`; a second call changes nothing.
pub fn start(tracer: Option<SdkTracer>) {
    // The caller reports what the verifier says of a certificate, with the server's name, and what a registry of artifacts did not do.
    let usual = || EnvFilter::new("info,rustls_platform_verifier=off,oci_client=off");
    let named = |name| EnvFilter::try_from_env(name);
    let filter = named("DRIFTGATE_LOG").or_else(|_| named("RUST_LOG")).unwrap_or_else(|_| usual());
    // An error of writing is not written to the same place, where it would panic.
    let lines = fmt::layer().log_internal_errors(false).with_span_events(FmtSpan::CLOSE);
    let lines = if io::stderr().is_terminal() {
        // Colours steer the terminal, too: here it is the fields that are escaped, not the line.
        let fields = debug_fn(|out, field, value| {
            let text = format!("{value:?}");
            match field.name() {
                "message" => write!(out, "{}", shown(&text)),
                name => write!(out, "{name}={}", shown(&text)),
            }
        });
        lines.fmt_fields(fields.delimited(" ")).with_writer(io::stderr).with_target(false).with_filter(filter).boxed()
    } else {
        lines.with_writer(|| Steered::new(io::stderr())).json().flatten_event(true).with_filter(filter).boxed()
    };
    // Spans of the daemon itself; which they are is settled once, where they stand in the code.
    let ours = filter_fn(|of| of.is_span() && of.target().starts_with("driftgate"));
    let spans = tracer.map(|tracer| {
        let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        layer.with_tracked_inactivity(false).with_filter(ours.with_max_level_hint(LevelFilter::DEBUG))
    });
    // Fails only where logging was started before.
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
}
