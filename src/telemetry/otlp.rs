//! Traces and metrics to an OpenTelemetry collector, by OTLP over HTTP with protobuf. Off unless the configuration has `otlp`. Nothing
//! waits for the collector: what it does not take is counted and dropped.
//!
//! | module | holds |
//! |---|---|
//! | `exports` | whether exports arrive: failures are logged once and counted |
//! | `bridge` | the families of `/metrics` as OpenTelemetry instruments |

mod bridge;
mod exports;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use prometheus::proto::MetricFamily;
use reqwest::Url;
use reqwest::blocking::Client;

use super::events::export::ExportNotFlushed;
use crate::http_client::Calls;
use exports::Watched;
pub use exports::{Exports, METRICS, TRACES};

/// How long one export may take, with its second attempts.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the daemon waits for the last export.
pub const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Where traces and metrics go.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpConfig {
    /// The collector's address; `/v1/traces` and `/v1/metrics` are added.
    pub endpoint: String,
    /// Sent with every export; the values may be secrets.
    pub headers: BTreeMap<String, String>,
    /// How often metrics are exported.
    pub interval: Duration,
    /// Certificates of CAs that are believed.
    pub ca_file: Option<PathBuf>,
}

/// Without the values of headers.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("interval", &self.interval)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("otlp.endpoint {endpoint:?} is no URL: {why}")]
    Endpoint { endpoint: String, why: String },
    #[error("no client for the OpenTelemetry collector: {why}")]
    Client { why: String },
}

/// A running export. A clone is the same one.
#[derive(Clone)]
pub struct Export(Arc<Running>);

struct Running {
    config: OtlpConfig,
    client: Client,
    resource: Resource,
    exports: Arc<Exports>,
    traces: SdkTracerProvider,
    /// Once there is something to measure.
    metrics: OnceLock<SdkMeterProvider>,
}

impl Export {
    /// Starts the export of traces; that of metrics begins with `measure`. Nothing is contacted yet.
    ///
    /// # Errors
    /// An address or a certificate that cannot be used.
    pub fn start(config: &OtlpConfig) -> Result<Self, OtlpError> {
        let endpoint = || config.endpoint.clone();
        let url = Url::parse(&config.endpoint)
            .map_err(|e| OtlpError::Endpoint { endpoint: endpoint(), why: e.to_string() })?;
        let calls = Calls { timeout: TIMEOUT, ca_file: config.ca_file.clone() };
        let client = calls.client(&url).map_err(|why| OtlpError::Client { why })?;
        let client = client.build().map_err(|e| OtlpError::Client { why: crate::http_client::with_cause(&e) })?;
        let resource = Resource::builder_empty()
            .with_service_name("driftgate")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let exports = Arc::new(Exports::default());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_endpoint(address(config, "traces"))
            .with_headers(headers(config))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|e| OtlpError::Client { why: e.to_string() })?;
        let traces = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_batch_exporter(Watched::new(exporter, TRACES, &exports))
            .build();
        let (config, metrics) = (config.clone(), OnceLock::new());
        Ok(Self(Arc::new(Running { config, client, resource, exports, traces, metrics })))
    }

    /// What spans are handed to.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.0.traces.tracer("driftgate")
    }

    /// Whether exports arrive.
    #[must_use]
    pub fn exports(&self) -> Arc<Exports> {
        Arc::clone(&self.0.exports)
    }

    /// Exports what `collect` gives, at the configuration's interval.
    ///
    /// # Errors
    /// An address that cannot be used.
    pub fn measure(&self, collect: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static) -> Result<(), OtlpError> {
        let Running { config, client, resource, exports, metrics, .. } = &*self.0;
        let exporter = MetricExporter::builder()
            .with_temporality(Temporality::Cumulative)
            .with_http()
            .with_http_client(client.clone())
            .with_endpoint(address(config, "metrics"))
            .with_headers(headers(config))
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|e| OtlpError::Client { why: e.to_string() })?;
        let reader = PeriodicReader::builder(Watched::new(exporter, METRICS, exports)).with_interval(config.interval);
        let provider = bridge::provider(reader.build(), resource.clone(), collect);
        // A second call would change nothing; its provider ends here.
        let _ = metrics.set(provider);
        Ok(())
    }

    /// Exports what is left, for at most so long. Nothing is exported after that.
    pub fn end(&self, wait: Duration) {
        let (done, ended) = channel();
        let running = Arc::clone(&self.0);
        let work = move || {
            // Whether they arrive is counted and logged where they are sent.
            let _ = running.metrics.get().map(SdkMeterProvider::shutdown);
            let _ = running.traces.shutdown_with_timeout(wait);
            let _ = done.send(());
        };
        let started = std::thread::Builder::new().name("last-export".into()).spawn(work);
        if started.is_err() || ended.recv_timeout(wait).is_err() {
            ExportNotFlushed { seconds: wait.as_secs() }.emit();
        }
    }
}

/// Where one signal goes.
fn address(config: &OtlpConfig, signal: &str) -> String {
    format!("{}/v1/{signal}", config.endpoint.trim_end_matches('/'))
}

/// The exporter decodes percent signs in values, so that they are encoded here.
fn headers(config: &OtlpConfig) -> HashMap<String, String> {
    config.headers.iter().map(|(name, value)| (name.clone(), value.replace('%', "%25"))).collect()
}
