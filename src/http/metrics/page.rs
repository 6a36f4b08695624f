//! The families of one scrape, each as the list of metrics describes it.

use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, Opts};

use crate::telemetry::metrics::{Metric, NAMESPACE};

pub(super) type Result<T> = std::result::Result<T, prometheus::Error>;

/// The families of one scrape.
pub(super) struct Page(prometheus::Registry);

impl Page {
    pub(super) fn new() -> Self {
        Self(prometheus::Registry::new())
    }

    pub(super) fn gauges(&self, metric: &Metric) -> Result<GaugeVec> {
        let gauges = GaugeVec::new(options(metric), metric.labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    pub(super) fn counts(&self, metric: &Metric) -> Result<IntCounterVec> {
        let counts = IntCounterVec::new(options(metric), metric.labels)?;
        self.0.register(Box::new(counts.clone()))?;
        Ok(counts)
    }

    /// The one value of a gauge without labels.
    pub(super) fn gauge(&self, metric: &Metric, value: f64) -> Result<()> {
        set(&self.gauges(metric)?, &[], value)
    }

    /// The one value of a counter without labels.
    pub(super) fn count(&self, metric: &Metric, value: u64) -> Result<()> {
        add(&self.counts(metric)?, &[], value)
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        self.0.gather()
    }
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help).namespace(NAMESPACE)
}

pub(super) fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// Milliseconds as Prometheus wants them.
#[allow(clippy::cast_precision_loss, reason = "times are far below 2^53 ms")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float; beyond 2^53 the last digits say nothing")]
pub(super) fn real(x: u64) -> f64 {
    x as f64
}

pub(super) fn set(gauges: &GaugeVec, labels: &[&str], value: f64) -> Result<()> {
    gauges.get_metric_with_label_values(labels)?.set(value);
    Ok(())
}

pub(super) fn add(counters: &IntCounterVec, labels: &[&str], value: u64) -> Result<()> {
    counters.get_metric_with_label_values(labels)?.inc_by(value);
    Ok(())
}
