//! Deliveries, checkpoints, and whether the daemon is ready.

use super::page::{Page, Result, add, flag, real, seconds, set};
use crate::telemetry::metrics;
use crate::view::{CheckpointView, HistoryView, View};

pub(super) fn show(page: &Page, view: &View) -> Result<()> {
    deliveries(page, view)?;
    checkpoint(page, &view.checkpoint)?;
    if let Some(history) = &view.history {
        self::history(page, history)?;
    }
    page.gauge(&metrics::CHECKPOINT_FALLBACK, flag(view.fallback.is_some()))?;
    page.gauge(&metrics::REGISTRY_DOUBTED, flag(!view.doubts.why.is_empty()))?;
    if let Some(failures) = &view.exports {
        let family = page.counts(&metrics::OTLP_FAILURES)?;
        for (signal, count) in failures.counts() {
            add(&family, &[signal], count)?;
        }
    }
    page.gauge(&metrics::READY, flag(view.is_ready()))
}

/// What was delivered, and what fails.
fn deliveries(page: &Page, view: &View) -> Result<()> {
    let signals = page.counts(&metrics::SIGNALS)?;
    for ((action, sink, outcome), count) in &view.signals {
        add(&signals, &[action.name(), sink, outcome], *count)?;
    }
    let undeliverable = page.counts(&metrics::UNDELIVERABLE)?;
    for (sink, count) in &view.undeliverable {
        add(&undeliverable, &[sink], *count)?;
    }
    let failures = page.counts(&metrics::DELIVERY_FAILURES)?;
    for (sink, count) in &view.delivery_failures {
        add(&failures, &[sink], *count)?;
    }
    let failing = page.gauges(&metrics::FAILING)?;
    for part in view.failing.keys() {
        set(&failing, &[&part.name()], 1.0)?;
    }
    let unregistered = page.gauges(&metrics::UNREGISTERED_ELSEWHERE)?;
    for (model, versions) in &view.unregistered {
        set(&unregistered, &[model], real(*versions))?;
    }
    Ok(())
}

/// Results over time on disk.
fn history(page: &Page, history: &HistoryView) -> Result<()> {
    page.gauge(&metrics::HISTORY_BYTES, real(history.bytes))?;
    page.gauge(&metrics::HISTORY_FILES, real(history.days))?;
    page.count(&metrics::HISTORY_WRITE_FAILURES, history.write_failures)?;
    page.count(&metrics::HISTORY_LOST, history.lost)?;
    page.gauge(&metrics::HISTORY_LAG, history.behind_since.map_or(0.0, |since| since.elapsed().as_secs_f64()))
}

fn checkpoint(page: &Page, checkpoint: &CheckpointView) -> Result<()> {
    page.count(&metrics::CHECKPOINT_WRITTEN, checkpoint.written)?;
    page.count(&metrics::CHECKPOINT_FAILED, checkpoint.failed)?;
    let under_way = checkpoint.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    page.gauge(&metrics::CHECKPOINT_UNDER_WAY, under_way)?;
    let Some(ms) = checkpoint.last_ms else { return Ok(()) };
    page.gauge(&metrics::CHECKPOINT_LAST_TIMESTAMP, seconds(ms))?;
    page.gauge(&metrics::CHECKPOINT_LAST_SIZE, real(checkpoint.last_bytes))?;
    page.gauge(&metrics::CHECKPOINT_LAST_DURATION, checkpoint.last_seconds)
}
