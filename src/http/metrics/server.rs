//! Connections of the HTTP server, and its certificate.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;

use super::page::{Page, Result, add, real, seconds};
use crate::http::server::connections::Connections;
use crate::http::server::tls::Certificates;
use crate::telemetry::metrics;

/// The families of them.
///
/// # Errors
/// Metrics that contradict each other, which a test would have shown.
pub fn server(connections: &Connections, certificates: Option<&Certificates>) -> Result<Vec<MetricFamily>> {
    let page = Page::new();
    let counts = &connections.counts;
    page.gauge(&metrics::HTTP_CONNECTIONS, real(connections.open() as u64))?;
    page.gauge(&metrics::HTTP_CONNECTIONS_LIMIT, real(connections.bounds().all as u64))?;
    let refused = page.counts(&metrics::HTTP_REFUSED)?;
    for (reason, count) in [
        ("made_room", &counts.made_room),
        ("busy", &counts.refused),
        ("failed", &counts.failed),
        ("handshake", &counts.handshakes),
        ("host", &counts.hosts),
    ] {
        add(&refused, &[reason], count.load(Ordering::Relaxed))?;
    }
    let late = page.counts(&metrics::HTTP_TIMEOUTS)?;
    for (phase, count) in counts.timed_out() {
        add(&late, &[phase.name()], count)?;
    }
    if let Some(ms) = certificates.and_then(|c| c.ends_ms()) {
        page.gauge(&metrics::TLS_CERTIFICATE_EXPIRY, seconds(ms))?;
    }
    Ok(page.families())
}
