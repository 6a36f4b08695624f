//! The families of `/metrics` as OpenTelemetry instruments: one per metric of the list, by the same name. Values are collected once per
//! export, and a series that is gone is exported no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream};
use prometheus::proto::{Metric as Series, MetricFamily};

use crate::telemetry::metrics::{self, Kind, Metric};

/// So many series of a metric are exported, by its labels: what verdicts are spread over, others, and what has no labels. The SDK takes
/// memory for all of them at once.
const MOST_SPREAD: usize = 50_000;
const MOST: usize = 5_000;
/// Labels whose values are features, segments or rules.
const SPREAD: [&str; 3] = ["feature", "segment", "subject"];

type Families = HashMap<String, MetricFamily>;

/// What was collected for the export that is under way.
struct Collected {
    collect: Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>,
    families: Mutex<Families>,
}

impl Collected {
    fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self) {
        let families = (self.collect)().into_iter().map(|family| (family.name().to_owned(), family)).collect();
        *self.families() = families;
    }

    /// The series of a metric, each with its attributes.
    fn each(&self, name: &str, mut observe: impl FnMut(&Series, &[KeyValue])) {
        let families = self.families();
        let Some(family) = families.get(name) else { return };
        for series in family.get_metric() {
            let label =
                |pair: &prometheus::proto::LabelPair| KeyValue::new(pair.name().to_owned(), pair.value().to_owned());
            let attributes: Vec<KeyValue> = series.get_label().iter().map(label).collect();
            observe(series, &attributes);
        }
    }
}

/// How many series of a metric are exported.
fn most(metric: &Metric) -> usize {
    match metric.labels {
        [] => 1,
        labels if labels.iter().any(|label| SPREAD.contains(label)) => MOST_SPREAD,
        _ => MOST,
    }
}

fn limit(instrument: &Instrument) -> Option<Stream> {
    let metric = metrics::all().find(|metric| metric.full_name() == instrument.name())?;
    Stream::builder().with_cardinality_limit(most(metric)).build().ok()
}

/// A provider that collects and exports at its reader's interval.
pub(super) fn provider<E: PushMetricExporter>(
    reader: PeriodicReader<E>,
    resource: Resource,
    collect: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static,
) -> SdkMeterProvider {
    let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader).with_view(limit).build();
    let meter = provider.meter("driftgate");
    let collected = Arc::new(Collected { collect: Box::new(collect), families: Mutex::default() });
    for (at, metric) in metrics::all().enumerate() {
        let name = metric.full_name();
        let (of, key) = (Arc::clone(&collected), name.clone());
        // Instruments are asked in the order in which they were made: the first one collects for all.
        let renew = move || {
            if at == 0 {
                of.renew();
            }
        };
        let of = Arc::clone(&collected);
        // Dropping an instrument changes nothing: its callback stays with the meter.
        match metric.kind {
            Kind::Counter => {
                let _ = meter
                    .u64_observable_counter(name)
                    .with_description(metric.help)
                    .with_callback(move |observer| {
                        renew();
                        of.each(&key, |series, attributes| {
                            observer.observe(whole(series.get_counter().get_value()), attributes);
                        });
                    })
                    .build();
            }
            Kind::Gauge => {
                let _ = meter
                    .f64_observable_gauge(name)
                    .with_description(metric.help)
                    .with_callback(move |observer| {
                        renew();
                        of.each(&key, |series, attributes| {
                            observer.observe(series.get_gauge().get_value(), attributes);
                        });
                    })
                    .build();
            }
        }
    }
    provider
}

/// A counter's value, which Prometheus's types hold as a float.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole and not negative")]
fn whole(value: f64) -> u64 {
    value as u64
}
