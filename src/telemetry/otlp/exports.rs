//! Whether exports arrive: each failure is counted, the first of several in a row is logged, and the next that arrives as well.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::telemetry::events::export::{ExportFailed, ExportResumed};

/// The signals.
pub const TRACES: &str = "traces";
pub const METRICS: &str = "metrics";

/// How the exports of both signals do.
#[derive(Debug, Default)]
pub struct Exports {
    traces: Health,
    metrics: Health,
}

#[derive(Debug, Default)]
struct Health {
    failed: AtomicU64,
    fails: AtomicBool,
}

impl Exports {
    fn of(&self, signal: &str) -> &Health {
        if signal == TRACES { &self.traces } else { &self.metrics }
    }

    fn hear(&self, signal: &'static str, result: &OTelSdkResult) {
        let health = self.of(signal);
        match result {
            Ok(()) => {
                if health.fails.swap(false, Ordering::Relaxed) {
                    ExportResumed { signal }.emit();
                }
            }
            Err(e) => {
                if !health.fails.swap(true, Ordering::Relaxed) {
                    ExportFailed { signal, error: &e.to_string() }.emit();
                }
                // After the line: who reads the counter finds it in the log.
                health.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many exports failed, by signal.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        [TRACES, METRICS].map(|signal| (signal, self.of(signal).failed.load(Ordering::Relaxed)))
    }
}

/// An exporter whose results are heard.
pub(super) struct Watched<E> {
    inner: E,
    signal: &'static str,
    exports: Arc<Exports>,
}

impl<E> Watched<E> {
    pub(super) fn new(inner: E, signal: &'static str, exports: &Arc<Exports>) -> Self {
        Self { inner, signal, exports: Arc::clone(exports) }
    }
}

impl<E> fmt::Debug for Watched<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Watched").field("signal", &self.signal).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        self.exports.hear(self.signal, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.inner.export(metrics).await;
        self.exports.hear(self.signal, &result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::error::OTelSdkError;

    #[test]
    fn failures_are_counted_by_signal() {
        let exports = Exports::default();
        let failed: OTelSdkResult = Err(OTelSdkError::InternalFailure("away".into()));
        exports.hear(TRACES, &failed);
        exports.hear(TRACES, &failed);
        exports.hear(METRICS, &Ok(()));
        assert_eq!(exports.counts(), [(TRACES, 2), (METRICS, 0)]);
        assert!(exports.traces.fails.load(Ordering::Relaxed));
        exports.hear(TRACES, &Ok(()));
        assert_eq!(exports.counts(), [(TRACES, 2), (METRICS, 0)]);
        assert!(!exports.traces.fails.load(Ordering::Relaxed));
    }
}
