//! What machines ask: whether the process lives, whether the daemon is ready, and its metrics.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::proto::MetricFamily;

use super::app::{App, Shared, in_turn};
use super::guard::Sight;
use super::metrics;
use super::problem::Problem;
use super::slots::Kind;
use crate::api::Readiness;
use crate::telemetry::events::http::ScrapeIncomplete;

/// GET /live
pub(super) async fn live() -> &'static str {
    "live"
}

/// GET /ready: the state for every caller; what it waits for names topics and models, and is for callers that may read all models.
pub(super) async fn ready(State(app): State<Shared>, sight: Sight) -> Response {
    let view = app.view.read();
    let state = view.cluster.as_ref().map(|cluster| cluster.role);
    if view.is_ready() {
        return Json(Readiness { ready: true, state, waiting: [].into() }).into_response();
    }
    let waiting = if sight.sees_all() { view.waiting().by_name() } else { BTreeMap::new() };
    drop(view);
    (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { ready: false, state, waiting })).into_response()
}

impl App {
    /// Every metric with its series: those of the stream and the registry, then those of the server.
    ///
    /// # Errors
    /// Metrics that contradict each other, which a test would have shown.
    pub fn metrics(&self) -> prometheus::Result<Vec<MetricFamily>> {
        // A copy, so that the pipeline does not wait for a scrape.
        let mut view = self.view.read().clone();
        let registered = self.registry.versions(None).ok();
        view.leave_out(registered.as_deref());
        // What the pipeline counts stays visible when the registry fails.
        let ledger = metrics::Ledger::read(&view, &self.registry, (self.now_ms)()).unwrap_or_else(|error| {
            ScrapeIncomplete { error: &error }.emit();
            metrics::Ledger::default()
        });
        let mut families = metrics::families(&view, &ledger, self.series)?;
        if let Some(cluster) = &view.cluster {
            families.extend(metrics::cluster(cluster, (self.now_ms)())?);
        }
        families.extend(metrics::server(
            &self.traffic.connections,
            self.traffic.certificates.as_deref(),
            &self.ingest,
        )?);
        Ok(families)
    }
}

/// GET /metrics
pub(super) async fn scrape(State(app): State<Shared>) -> Result<Response, Problem> {
    let text = in_turn(&app, Kind::Scrape, |app| metrics::text(&app.metrics()?));
    let text = text.await?.map_err(Problem::internal)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
