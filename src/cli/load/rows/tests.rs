//! Events of rows: types, nulls, escapes, and the same reading as the file's.

use std::sync::Arc;

use polars_core::prelude::{DataFrame, NamedFrom, Series};
use polars_io::prelude::ParquetWriter;
use serde_json::{Value, json};

use super::*;
use crate::source::columns::events::EventStream;
use crate::source::options::FileOptions;
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::event::{Limits, PredictionBatch};
use driftgate_core::pipeline::batch::decode;

const POLICY: &str = "apiVersion: driftgate/v1
model: \"m\"
features: {numeric: [a, b, n], categorical: [c, k]}
score: {threshold: 0.5}
segments: [c, region, n]
labels: {horizon: 1d, values: {late: 1, \"on time\": 0}}
checks:
  all:
    window: {size: 1h, slide: 1h}
    rules: [{psi: {of: features, lt: 0.2}}, {tpr_gap: {by: c, lt: 0.1}}, {tpr_gap: {id: g, by: region, lt: 0.1}}, {tpr_gap: {id: h, by: n, lt: 0.1}}]
  kpi:
    window: {size: 1h, slide: 1h}
    rules: [{kpi_drop: {of: ctr, max: {relative: 0.01}, versus: champion}}]
";

fn policy() -> Policy {
    driftgate_core::policy::parse(POLICY, Path::new("p.yaml")).unwrap()
}

fn written(name: &str, bytes: &[u8], kind: Option<EventKind>) -> (Vec<(Option<String>, Value)>, EventKind) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let (mut rows, kind) = Rows::open(&path, &policy(), kind).unwrap();
    let (mut out, mut events) = (Vec::new(), Vec::new());
    while let Some(key) = rows.next(&mut out).unwrap() {
        let key = key.map(|k| String::from_utf8(k.to_vec()).unwrap());
        // An infinity is beyond what this parser takes.
        let text = String::from_utf8(out.clone()).unwrap().replace("1e999", "null");
        events.push((key, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))));
    }
    (events, kind)
}

fn column<T, P: ?Sized>(name: &str, values: T) -> polars_core::prelude::Column
where
    Series: NamedFrom<T, P>,
{
    Series::new(name.into(), values).into()
}

fn parquet() -> Vec<u8> {
    let mut frame = DataFrame::new(
        3,
        vec![
            column("prediction_id", &[Some("p\"1"), Some("é"), None]),
            column("version", &[1_i64, 2, 2]),
            column("ts", &[1_000_i64, 2_000, 3_000]),
            column("score", &[Some(0.070_817_3), Some(f64::NAN), None]),
            column("a", &[Some(35.06), Some(f64::INFINITY), Some(1e-300)]),
            column("b", &[Some(true), Some(false), None]),
            column("n", &[Some(7_i64), Some(9_007_199_254_740_993), None]),
            column("c", &[Some("US\n\\"), Some(""), None]),
            column("k", &[Some(5.0), Some(0.5), None]),
            column("region", &[Some("eu"), None, Some("us")]),
            column("latency_ms", &[12.5, 3.0, 1.0]),
            column("error", &[false, true, false]),
            column("other", &[1, 2, 3]),
        ],
    )
    .unwrap();
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).unwrap();
    bytes
}

#[test]
fn a_row_is_an_event_of_the_default_format() {
    let (events, kind) = written("p.parquet", &parquet()[..], None);
    assert_eq!((events.len(), kind), (3, EventKind::Predictions));
    assert_eq!(
        events[0],
        (
            Some("p\"1".to_owned()),
            json!({"model": "m", "prediction_id": "p\"1", "version": "1", "ts": 1000, "score": 0.070_817_3,
                "features": {"a": 35.06, "b": true, "n": 7, "c": "US\n\\", "k": "5"},
                "latency_ms": 12.5, "error": false, "segments": {"region": "eu", "n": "7"}})
        )
    );
    let (key, event) = &events[1];
    assert_eq!(key.as_deref(), Some("é"));
    assert_eq!(event["features"], json!({"a": null, "b": false, "n": 9_007_199_254_740_993_i64, "c": "", "k": "0.5"}));
    assert!(event.get("score").is_none() && event["segments"] == json!({"n": "9007199254740993"}), "{event}");
}

#[test]
fn an_event_reads_as_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.parquet");
    std::fs::write(&path, parquet()).unwrap();
    let schema = Arc::new(Schema::new(&policy()));
    let empty = || PredictionBatch::new(schema.numeric.len(), schema.categorical.len(), schema.segmentations.len());
    let (mut of_file, mut of_events) = (empty(), empty());
    let mut rejected = Vec::new();
    let options = FileOptions { record_ts: 0, ..FileOptions::default() };
    let mut file = EventStream::open(&path, Arc::clone(&schema), &options).unwrap();
    assert!(file.next(&mut of_file, &mut |row, _| rejected.push(row)).unwrap());
    let format = Format { model: Some(0), ..Format::default() };
    let mut json = EventDecoder::new(std::slice::from_ref(&schema), &format, EventKind::Predictions, Limits::default());
    let (mut rows, _) = Rows::open(&path, &policy(), None).unwrap();
    let (mut out, mut refused, mut number) = (Vec::new(), Vec::new(), 0);
    while rows.next(&mut out).unwrap().is_some() {
        number += 1;
        if decode(&mut json, &out, 0, std::slice::from_mut(&mut of_events)).is_err() {
            refused.push(number);
        }
    }
    assert_eq!((&rejected, &refused), (&vec![3], &vec![3]));
    assert_eq!(format!("{:?}", of_file.features), format!("{:?}", of_events.features));
    assert_eq!((of_file.ts, of_file.version, of_file.segments), (of_events.ts, of_events.version, of_events.segments));
    assert_eq!(
        format!("{:?}", (of_file.score, of_file.latency_ms, of_file.error)),
        format!("{:?}", (of_events.score, of_events.latency_ms, of_events.error))
    );
}

#[test]
fn csv_texts_are_read_by_what_they_stand_for() {
    let text = "prediction_id,version,ts,a,b,n,c,stage\n007,1.10,2013-03-01T00:00:00Z,35.0,x,True,5.0,prod\n8,2,soon,,-3,NA,,\n";
    let (events, kind) = written("p.csv", text.as_bytes(), None);
    assert_eq!(kind, EventKind::Predictions);
    assert_eq!(
        events[0],
        (
            Some("007".to_owned()),
            json!({"model": "m", "prediction_id": "007", "version": "1.10", "ts": 1_362_096_000_000_i64,
                "features": {"a": 35.0, "b": "x", "n": 1.0, "c": "5.0"}, "stage": "prod", "segments": {"n": "true"}})
        )
    );
    assert_eq!(events[1].1["ts"], "soon");
    assert_eq!(events[1].1["features"], json!({"b": -3}));
}

#[test]
fn labels_and_features_are_told_by_their_columns() {
    let (events, kind) = written("l.csv", b"prediction_id,ts,label,ctr,model\np1,1,late,1,\np2,2,0,,x\n", None);
    assert_eq!(kind, EventKind::Labels);
    let values: Vec<&Value> = events.iter().map(|(_, e)| e).collect();
    assert_eq!(values[0], &json!({"prediction_id": "p1", "model": "m", "ts": 1, "label": "late", "kpi": {"ctr": 1}}));
    assert_eq!(values[1], &json!({"prediction_id": "p2", "model": "x", "ts": 2, "label": 0}));
    let (events, kind) = written("f.csv", b"prediction_id,ts,a\np1,1,2\n", None);
    assert_eq!(
        (kind, &events[0]),
        (EventKind::Features, &(None, json!({"model": "m", "ts": 1, "features": {"a": 2}})))
    );
    let (events, kind) = written("q.csv", b"version,ts,metric,value,n\n1.10,1,cost,0.42,1200\n", None);
    let event = json!({"model": "m", "version": "1.10", "ts": 1, "metric": "cost", "value": 0.42, "n": 1200});
    assert_eq!((kind, &events[0]), (EventKind::Measurements, &(None, event)));
    assert!(kind_of(["label", "score"].into_iter(), &[]).unwrap_err().to_string().contains("--kind"));
}

#[test]
fn a_file_without_what_events_need_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.csv");
    std::fs::write(&path, "version,ts\n1,1\n").unwrap();
    let error = Rows::open(&path, &policy(), None).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("has no column \"prediction_id\""), "{error}");
}

#[test]
fn scores_by_class_are_an_object() {
    let policy = "apiVersion: driftgate/v1\nmodel: m\ntask: multiclass\nclasses: [a, b]\nchecks: {g: {window: {size: 1h, slide: 1h}, rules: [{js: {of: prediction, lt: 1}}]}}\n\
                  baseline: {snapshot: x.csv, columns: {prediction: p}}\n";
    let policy = driftgate_core::policy::parse(policy, Path::new("p.yaml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.csv");
    std::fs::write(
        &path,
        "ts,version,scores.a,scores.other,prediction\n1700000000000,1,0.25,0.75,\n1700000000001,1,,,b\n",
    )
    .unwrap();
    let (mut rows, kind) = Rows::open(&path, &policy, None).unwrap();
    assert_eq!(kind, EventKind::Predictions);
    let (mut out, mut events) = (Vec::new(), Vec::new());
    while rows.next(&mut out).unwrap().is_some() {
        events.push(serde_json::from_slice::<Value>(&out).unwrap());
    }
    assert_eq!(events[0]["scores"], json!({"a": 0.25, "other": 0.75}));
    assert_eq!((&events[0]["prediction"], &events[1]["prediction"]), (&Value::Null, &json!("b")));
    assert!(events[1].get("scores").is_none());
}
