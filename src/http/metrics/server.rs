//! Connections of the HTTP server, and its certificate.

use std::sync::atomic::Ordering;

use prometheus::TextEncoder;

use super::{Page, Result, add, real, seconds, set};
use crate::http::Traffic;

/// The text of them.
///
/// # Errors
/// Metrics that contradict each other, which a test would have shown.
pub fn server(traffic: &Traffic) -> Result<String> {
    let page = Page(prometheus::Registry::new());
    let counts = &traffic.connections.counts;
    let open = page.gauges("http_connections", &[], "Connections that are open.")?;
    set(&open, &[], real(traffic.connections.open() as u64))?;
    let most = page.gauges("http_connections_limit", &[], "How many connections there may be.")?;
    set(&most, &[], real(traffic.connections.bounds().all as u64))?;
    let refused = page.counts(
        "http_refused_total",
        &["reason"],
        "Connections and requests that were refused: ended for a newer one (made_room), every other one being answered \
         (busy), not accepted (failed), no TLS handshake (handshake), a foreign Host (host).",
    )?;
    for (reason, count) in [
        ("made_room", &counts.made_room),
        ("busy", &counts.refused),
        ("failed", &counts.failed),
        ("handshake", &counts.handshakes),
        ("host", &counts.hosts),
    ] {
        add(&refused, &[reason], count.load(Ordering::Relaxed))?;
    }
    let late =
        page.counts("http_timeouts_total", &["phase"], "Connections and requests that took too long, by phase.")?;
    for (phase, count) in counts.timed_out() {
        add(&late, &[phase.name()], count)?;
    }
    if let Some(ms) = traffic.certificates.as_ref().and_then(|c| c.ends_ms()) {
        let ends = page.gauges(
            "tls_certificate_expiry_timestamp_seconds",
            &[],
            "When the certificate of the TLS port ends, in seconds since 1970.",
        )?;
        set(&ends, &[], seconds(ms))?;
    }
    TextEncoder::new().encode_to_string(&page.0.gather())
}
