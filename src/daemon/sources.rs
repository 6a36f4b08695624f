//! A source's configuration as the decoders take it, for topics and for files.

use std::sync::Arc;

use crate::config::{self, Config, SourceConfig, SourceKind, TimestampUnit};
use crate::source::columns::events::FileFields;
use crate::source::columns::nulls::NullTexts;
use crate::source::files::FileOptions;
use crate::view::Keep;
use driftgate_core::decode::Limits;
use driftgate_core::decode::json::Format;
use driftgate_core::decode::plan::{EventKind, Fields};
use driftgate_core::decode::time::{TimeFormat, TimeUnit};
use driftgate_core::intake::Setup;

/// The decoders' bounds.
#[must_use]
pub fn limits(l: &config::Limits) -> Limits {
    Limits {
        message_bytes: l.message_bytes,
        depth: l.depth,
        string_bytes: l.string_bytes,
        categories: l.categories,
        segments: l.segments,
        join_bytes: l.join_bytes,
        ..Limits::default()
    }
}

/// How many verdicts are kept to look back at.
#[must_use]
pub fn keep(l: &config::Limits) -> Keep {
    Keep { verdicts: l.verdicts, whole: l.whole_verdicts }
}

/// What the intakes are told.
#[must_use]
pub fn setup(config: &Config) -> Setup {
    Setup {
        has_features: config.sources.iter().any(|s| s.kind == SourceKind::Features),
        limits: limits(&config.limits),
        confirmed_only: true,
    }
}

/// The decoders' kind of event.
#[must_use]
pub fn kind(kind: SourceKind) -> EventKind {
    match kind {
        SourceKind::Predictions => EventKind::Predictions,
        SourceKind::Labels => EventKind::Labels,
        SourceKind::Features => EventKind::Features,
        SourceKind::Measurements => EventKind::Measurements,
    }
}

/// A source's format; `model` is left to whoever knows the models' order.
#[must_use]
pub fn format(source: &SourceConfig) -> Format {
    let f = source.fields.clone();
    Format {
        fields: Fields {
            prediction_id: f.prediction_id,
            model: f.model,
            version: f.version,
            ts: f.ts,
            score: f.score,
            label: f.label,
            latency_ms: f.latency_ms,
            error: f.error,
            decision: f.decision,
            stage: f.stage,
            features: f.features,
            segments: f.segments,
            kpi: f.kpi,
            metric: f.metric,
            value: f.value,
            n: f.n,
            rename: source.rename.iter().map(|(from, to)| (from.clone(), to.clone())).collect(),
        },
        time: time(source),
        model: None,
    }
}

/// How a source writes its times.
fn time(source: &SourceConfig) -> TimeFormat {
    let unit = match source.timestamp {
        TimestampUnit::Rfc3339OrMs | TimestampUnit::Millis => TimeUnit::Millis,
        TimestampUnit::Seconds => TimeUnit::Seconds,
        TimestampUnit::Micros => TimeUnit::Micros,
        TimestampUnit::Nanos => TimeUnit::Nanos,
    };
    TimeFormat { unit, zone: source.timezone.clone(), future: source.future }
}

/// File options with a source's mapping: JSON lines as on the topic, columns by each pointer's last part.
#[must_use]
pub fn file_options(base: &FileOptions, source: &SourceConfig) -> FileOptions {
    let f = &source.fields;
    let column = |pointer: &[String], default: &str| pointer.last().map_or_else(|| default.to_owned(), Clone::clone);
    FileOptions {
        format: format(source),
        columns: FileFields {
            prediction_id: column(&f.prediction_id, "prediction_id"),
            model: column(&f.model, "model"),
            version: column(&f.version, "version"),
            ts: column(&f.ts, "ts"),
            score: column(&f.score, "score"),
            label: column(&f.label, "label"),
            latency_ms: column(&f.latency_ms, "latency_ms"),
            error: column(&f.error, "error"),
            decision: column(&f.decision, "decision"),
            stage: column(&f.stage, "stage"),
            metric: column(&f.metric, "metric"),
            value: column(&f.value, "value"),
            n: column(&f.n, "n"),
            rename: source.rename.clone(),
            time: time(source),
            null_values: source
                .null_values
                .as_ref()
                .map_or_else(|| Arc::clone(&base.columns.null_values), |texts| Arc::new(NullTexts::new(texts.clone()))),
        },
        ..base.clone()
    }
}
