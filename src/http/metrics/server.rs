//! Connections of the HTTP server, its certificate, and the events that it takes.

use std::sync::atomic::Ordering;

use prometheus::proto::MetricFamily;

use super::page::{Page, Result, add, real, seconds};
use crate::http::server::connections::Connections;
use crate::http::server::tls::Certificates;
use crate::sink::ingest::Ingest;
use crate::telemetry::events::http::reasons;
use crate::telemetry::metrics;

/// The families of them.
///
/// # Errors
/// Metrics that contradict each other, which a test would have shown.
pub fn server(
    connections: &Connections,
    certificates: Option<&Certificates>,
    ingest: &Ingest,
) -> Result<Vec<MetricFamily>> {
    let page = Page::new();
    let taken = page.counts(&metrics::INGEST_EVENTS)?;
    for entry in ingest.entries() {
        for (outcome, count) in entry.counts() {
            add(&taken, &[entry.topic(), outcome.name()], count)?;
        }
    }
    let counts = &connections.counts;
    page.gauge(&metrics::HTTP_CONNECTIONS, real(connections.open() as u64))?;
    page.gauge(&metrics::HTTP_CONNECTIONS_LIMIT, real(connections.bounds().all as u64))?;
    let refused = page.counts(&metrics::HTTP_REFUSED)?;
    for (reason, count) in [
        (reasons::MADE_ROOM, &counts.made_room),
        (reasons::BUSY, &counts.refused),
        (reasons::FAILED, &counts.failed),
        (reasons::HANDSHAKE, &counts.handshakes),
        (reasons::HOST, &counts.hosts),
    ] {
        add(&refused, &[reason], count.load(Ordering::Relaxed))?;
    }
    let late = page.counts(&metrics::HTTP_TIMEOUTS)?;
    for (phase, count) in counts.timed_out() {
        add(&late, &[phase.name()], count)?;
    }
    if let Some(ms) = certificates.and_then(Certificates::ends_ms) {
        page.gauge(&metrics::TLS_CERTIFICATE_EXPIRY, seconds(ms))?;
    }
    Ok(page.families())
}
