//! An event is refused for the same reason in every format, and one whose values are at their limits in none. There is a case for each reason
//! that a check of a value gives (`driftgate_core::decode::checks`).

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use polars_core::prelude::{Column, DataFrame, DataType, IntoColumn as _, NamedFrom as _, Series};
use polars_io::prelude::ParquetWriter;
use serde_json::{Map, Value, json};

use super::columns::events::EventStream;
use super::options::FileOptions;
use driftgate_core::decode::Reason;
use driftgate_core::decode::checks::Checks;
use driftgate_core::decode::decoder::{Decoded, EventDecoder, Format};
use driftgate_core::event::EventKind::{self, Labels, Measurements, Predictions};
use driftgate_core::event::{Field, Limits};
use driftgate_core::pipeline::batch::{Batch, PerKind, decode};
use driftgate_core::pipeline::kinds;
use driftgate_core::schema::Schema;

const NOW: i64 = 1_400_000_000_000;
/// `limits.string_bytes`.
const LONGEST: usize = 300;

/// An event of each kind that counts.
fn good(kind: EventKind) -> Value {
    match kind {
        Predictions => {
            json!({"model": "m", "prediction_id": "p", "version": "1", "ts": 5, "score": 0.5, "latency_ms": 2.5, "stage": "prod"})
        }
        Labels => json!({"model": "m", "prediction_id": "p", "ts": 5, "label": 1}),
        Measurements => json!({"model": "m", "version": "1", "ts": 5, "metric": "cost", "value": 0.5, "n": 3}),
        EventKind::Features => json!({"model": "m", "ts": 5}),
    }
}

/// What is changed in a good event, and why it is refused then.
fn cases() -> Vec<(EventKind, &'static str, Value, Option<Reason>)> {
    let text = |bytes: usize| Value::from("x".repeat(bytes));
    let mut cases = vec![
        (Predictions, "version", Value::Null, Some(Reason::NoVersion)),
        (Predictions, "version", json!(""), Some(Reason::NoVersion)),
        (Measurements, "version", Value::Null, Some(Reason::NoVersion)),
        (Predictions, "prediction_id", Value::Null, Some(Reason::NoId)),
        (Predictions, "prediction_id", json!(""), Some(Reason::NoId)),
        (Labels, "prediction_id", Value::Null, Some(Reason::NoId)),
        (Measurements, "metric", Value::Null, Some(Reason::NoMetric)),
        (Predictions, "stage", text(LONGEST + 1), None),
        (Measurements, "value", json!(1e12), None),
        (Measurements, "value", json!(-1.1e12), Some(Reason::BadValue)),
        (Measurements, "value", Value::Null, Some(Reason::BadValue)),
        (Measurements, "n", json!(1_000_000_000), None),
        (Measurements, "n", Value::Null, None),
        (Measurements, "n", json!(0), Some(Reason::BadWeight)),
        (Measurements, "n", json!(1.5), Some(Reason::BadWeight)),
    ];
    for kind in [Predictions, Labels, Measurements] {
        cases.extend([
            (kind, "ts", Value::Null, Some(Reason::NoTime)),
            (kind, "ts", json!(-1), Some(Reason::BadTime)),
            (kind, "ts", json!(0), None),
            (kind, "ts", json!(NOW + 60_000), None),
            (kind, "ts", json!(NOW + 60_001), Some(Reason::Future)),
        ]);
        for field in [Field::PredictionId, Field::Version, Field::Metric].into_iter().filter(|field| kind.has(*field)) {
            cases.push((kind, field.name(), text(LONGEST), None));
            cases.push((kind, field.name(), text(LONGEST + 1), Some(Reason::BadText)));
        }
        cases.push((kind, "model", text(LONGEST + 1), Some(Reason::BadText)));
    }
    cases
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema { model: "m".to_owned(), metrics: vec!["cost".to_owned()], needs_id: true, ..Schema::default() })
}

fn limits() -> Limits {
    Limits { string_bytes: LONGEST, ..Limits::default() }
}

/// Why an event is refused as JSON.
struct AsJson<'e>(&'e Value);

impl PerKind for AsJson<'_> {
    type Output = Option<Reason>;

    fn of<B: Batch + 'static>(self) -> Option<Reason> {
        let mut decoder = EventDecoder::new(&[schema()], &Format::default(), B::kind(), limits());
        let mut out = [B::empty(&schema())];
        // The first way through an event is not the one of those that follow.
        let read = [(); 3].map(|()| match decode(&mut decoder, self.0.to_string().as_bytes(), NOW, &mut out) {
            Ok(outcome) => {
                assert_eq!(outcome, Decoded::Row(0));
                None
            }
            Err(reject) => Some(reject.reason),
        });
        assert!(read.iter().all(|reason| *reason == read[0]), "{read:?}");
        assert_eq!(out[0].rows(), if read[0].is_none() { 3 } else { 0 });
        read[0]
    }
}

/// Why it is refused as the only row of a file.
struct AsFile<'p>(&'p Path);

impl PerKind for AsFile<'_> {
    type Output = Option<Reason>;

    fn of<B: Batch + 'static>(self) -> Option<Reason> {
        let options = FileOptions { limits: limits(), record_ts: NOW, ..FileOptions::default() };
        let mut file = EventStream::<B>::open(self.0, schema(), &options).unwrap();
        let (mut batch, mut rows, mut refused) = (B::empty(&schema()), 0, Vec::new());
        while file.next(&mut batch, &mut |_, reject| refused.push(reject.reason)).unwrap() {
            rows += batch.rows();
        }
        assert_eq!((rows + refused.len(), file.ignored()), (1, 0));
        refused.first().copied()
    }
}

fn csv(event: &Map<String, Value>) -> String {
    let names: Vec<&str> = event.keys().map(String::as_str).collect();
    let cells = event.values().map(|value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    format!("{}\n{}\n", names.join(","), cells.collect::<Vec<_>>().join(","))
}

fn parquet(event: &Map<String, Value>) -> DataFrame {
    let column = |(name, value): (&String, &Value)| -> Column {
        let name = name.as_str().into();
        match value {
            Value::String(text) => Series::new(name, [text.as_str()]),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Series::new(name, [whole]),
                None => Series::new(name, [number.as_f64().unwrap()]),
            },
            _ => Series::full_null(name, 1, &DataType::String),
        }
        .into_column()
    };
    DataFrame::new(1, event.iter().map(column).collect()).unwrap()
}

#[test]
fn an_event_is_refused_for_the_same_reason_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (text, table) = (folder.path().join("event.csv"), folder.path().join("event.parquet"));
    for (kind, field, value, reason) in cases() {
        let mut event = good(kind);
        event[field] = value;
        assert_eq!(kinds::of_kind(kind, AsJson(&event)), reason, "JSON: {event}");
        let members = event.as_object().unwrap();
        std::fs::write(&text, csv(members)).unwrap();
        assert_eq!(kinds::of_kind(kind, AsFile(&text)), reason, "CSV: {event}");
        ParquetWriter::new(File::create(&table).unwrap()).finish(&mut parquet(members)).unwrap();
        assert_eq!(kinds::of_kind(kind, AsFile(&table)), reason, "Parquet: {event}");
    }
}

#[test]
fn every_reason_of_a_check_has_a_case() {
    let tried: BTreeSet<Reason> = cases().into_iter().filter_map(|(.., reason)| reason).collect();
    let untried: Vec<Reason> = Checks::reasons().into_iter().filter(|reason| !tried.contains(reason)).collect();
    assert!(untried.is_empty(), "add a case to `cases`: {untried:?}");
}
