//! How many events a second each format gives on one core, beside JSON: from the bytes of a message, in memory, to the slots of a batch.
//! Requests and responses are joined first.
//!
//!     cargo bench --bench formats
//!
//! With `DRIFTGATE_BENCH_WRITE=FOLDER` the messages of JSON, Avro and Protobuf go there with their schemas, for `benches/decoders.sh`.
//!
//! The column `beside JSON` of docs/reference/formats.md is from here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    dead_code,
    reason = "a bench may fail loudly"
)]

#[path = "made/mod.rs"]
mod made;
#[path = "made/wire.rs"]
mod wire;

use std::ffi::CStr;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

use driftgate_core::decode::cloudevents::Headers;
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::decode::protobuf::Definitions;
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::{EventKind, Limits, PredictionBatch};
use driftgate_core::intake::Setup;
use driftgate_core::kserve::pairs::Pairs;
use driftgate_core::kserve::{Halves, Joiner, Logged, Offered, Settings, Version};
use driftgate_core::pipeline::{Pipeline, batch};

/// The time of every event's record.
const RECORD_TS: i64 = i64::MAX / 2;
/// So many messages are one batch.
const BATCH: usize = 2048;

type Group<'c> = BenchmarkGroup<'c, WallTime>;

fn batches() -> [PredictionBatch; 1] {
    [PredictionBatch::new(20, 4, 2)]
}

fn decoder(pipeline: &Pipeline, format: &Format) -> EventDecoder {
    let schema = Arc::clone(pipeline.intake().schema());
    EventDecoder::new(&[schema], format, EventKind::Predictions, Limits::default())
}

/// Has the categories of a batch learnt, which is empty then.
fn learn(pipeline: &Pipeline, batch: &mut PredictionBatch) {
    let mut intake = pipeline.intake();
    let id = intake.add_decoder();
    intake.learn(id, batch);
    batch.clear();
}

/// Messages that are an event each.
fn alone(group: &mut Group<'_>, name: &str, pipeline: &Pipeline, format: &Format, messages: &[Vec<u8>]) {
    let (mut out, mut decoder) = (batches(), decoder(pipeline, format));
    for message in messages {
        batch::decode(&mut decoder, message, RECORD_TS, &mut out).expect("a whole event");
    }
    learn(pipeline, &mut out[0]);
    group.bench_function(name, |b| {
        b.iter(|| {
            for messages in messages.chunks(BATCH) {
                out.iter_mut().for_each(PredictionBatch::clear);
                for message in messages {
                    batch::decode(&mut decoder, message, RECORD_TS, &mut out).expect("a whole event");
                }
                assert_eq!(out[0].len(), messages.len());
                black_box(&out);
            }
        });
    });
}

/// Requests and responses, each request before its response, or records that hold both.
fn joined(group: &mut Group<'_>, name: &str, pipeline: &Pipeline, logged: &Logged, messages: &[(String, Vec<u8>)]) {
    // Bodies of the protocol name no model of a policy.
    let format = Format { model: Some(0), ..Format::default() };
    let (mut out, mut decoder) = (batches(), decoder(pipeline, &format));
    let version = match logged {
        Logged::SageMaker | Logged::Databricks => Version::Fixed("1".to_owned()),
        _ => Version::Response,
    };
    let settings = Settings { logged: logged.clone(), version, ..Settings::default() };
    let events = messages.len() / if matches!(logged, Logged::SageMaker | Logged::Databricks) { 1 } else { 2 };
    let mut rows = Vec::new();
    let mut pass = |out: &mut [PredictionBatch; 1], join: &mut Join, messages: &[(String, Vec<u8>)]| {
        for (key, message) in messages {
            rows.clear();
            join(key, message, &mut rows);
            for row in rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                batch::decode(&mut decoder, row, RECORD_TS, out).expect("a whole event");
            }
        }
    };
    pass(&mut out, &mut joiner(&settings), messages);
    learn(pipeline, &mut out[0]);
    group.bench_function(name, |b| {
        b.iter(|| {
            let (mut join, mut rows_read) = (joiner(&settings), 0);
            for messages in messages.chunks(2 * BATCH) {
                out.iter_mut().for_each(PredictionBatch::clear);
                pass(&mut out, &mut join, messages);
                rows_read += out[0].len();
                black_box(&out);
            }
            assert_eq!(rows_read, events);
        });
    });
}

/// The key of a record.
struct Key<'k>(&'k [u8]);

impl Headers for Key<'_> {
    fn header(&self, _: &CStr) -> Option<&[u8]> {
        None
    }

    fn key(&self) -> Option<&[u8]> {
        Some(self.0)
    }
}

type Join = Box<dyn FnMut(&str, &[u8], &mut Vec<u8>)>;

/// What joins the messages of a source. Seldon's two topics have a reader each.
fn joiner(settings: &Settings) -> Join {
    if !matches!(settings.logged, Logged::Seldon { .. }) {
        let mut joiner = Joiner::new(settings.clone(), Limits::default());
        return Box::new(move |key, message, rows| {
            joiner.offer(message, Some(&Key(key.as_bytes())), Some(1), rows).expect("a half");
        });
    }
    let side = |is_responses| {
        let logged = Logged::Seldon { is_responses };
        Halves::new(Settings { logged, ..settings.clone() }, Limits::default())
    };
    let (mut sides, pairs) = ([side(false), side(true)], Mutex::new(Pairs::new(settings.wait, settings.most_bytes)));
    let mut at = 0;
    Box::new(move |key, message, rows| {
        let offered = sides[at % 2].offer(&pairs, 0, message, Some(&Key(key.as_bytes())), Some(1), rows);
        assert_eq!(offered.expect("a half") == Offered::Rows(1), at % 2 == 1);
        at += 1;
    })
}

/// An event as a request and its response, by what logs them.
fn logged(event: &Value, logged: &Logged) -> Vec<(String, Vec<u8>)> {
    let id = event["prediction_id"].as_str().expect("an id");
    let keyed = |message: Value| (id.to_owned(), message.to_string().into_bytes());
    let (features, score, ts) = (&event["features"], &event["score"], &event["ts"]);
    let tensor = |name: &str, value: &Value| {
        let datatype = if value.is_string() { "BYTES" } else { "FP64" };
        json!({"name": name, "shape": [1, 1], "datatype": datatype, "data": [value]})
    };
    let inputs: Vec<Value> =
        features.as_object().into_iter().flatten().map(|(name, value)| tensor(name, value)).collect();
    let request = json!({"id": id, "parameters": {"time": ts}, "inputs": inputs});
    let response = json!({
        "id": id, "parameters": {"time": ts}, "model_name": "credit", "model_version": "1", "outputs": [tensor("p", score)],
    });
    let instances = json!({"instances": [features]});
    let predictions = json!({"predictions": [score]});
    match logged {
        Logged::Kserve => [("request", request), ("response", response)]
            .map(|(kind, body)| {
                keyed(json!({
                    "specversion": "1.0", "id": id, "source": "a", "type": format!("org.kubeflow.serving.inference.{kind}"),
                    "time": "2026-01-01T00:00:00.001Z", "inferenceservicename": "credit", "data": body,
                }))
            })
            .to_vec(),
        Logged::Seldon { .. } => vec![
            (id.to_owned(), wire::inference(id, features, 5)),
            (id.to_owned(), wire::inference(id, &json!({"p": score}), 5)),
        ],
        Logged::SageMaker => {
            let data = |body: &Value| json!({"observedContentType": "application/json", "mode": "INPUT", "data": body.to_string(), "encoding": "JSON"});
            vec![keyed(json!({
                "captureData": {"endpointInput": data(&instances), "endpointOutput": data(&predictions)},
                "eventMetadata": {"eventId": id, "inferenceTime": "2026-11-28T10:00:00Z"}, "eventVersion": "0",
            }))]
        }
        Logged::Databricks => vec![keyed(json!({
            "databricks_request_id": id, "client_request_id": null, "timestamp_ms": ts, "status_code": 200, "execution_time_ms": 12,
            "request": instances.to_string(), "response": predictions.to_string(),
        }))],
        _ => vec![keyed(request), keyed(response)],
    }
}

/// Writes messages, each behind its length, and what they were written by, into the folder that `DRIFTGATE_BENCH_WRITE` names, if it names one.
fn write(name: &str, messages: &[Vec<u8>], (schema, text): (&str, &str)) {
    let Some(folder) = std::env::var_os("DRIFTGATE_BENCH_WRITE").map(std::path::PathBuf::from) else { return };
    let framed = |message: &Vec<u8>| [&(message.len() as u32).to_be_bytes(), message.as_slice()].concat();
    let all: Vec<u8> = messages.iter().flat_map(framed).collect();
    std::fs::write(folder.join(format!("{name}.bin")), all).expect("the messages are written");
    std::fs::write(folder.join(schema), text).expect("the schema is written");
}

fn formats(c: &mut Criterion) {
    // It gives categories their codes, as in a daemon.
    let pipeline = Pipeline::new(Arc::new(made::policy()), Setup::default(), 1);
    let events = made::events();
    let mut group = c.benchmark_group("formats");
    group.throughput(Throughput::Elements(events.len() as u64));
    let json: Vec<Vec<u8>> = events.iter().map(|event| event.clone().into_bytes()).collect();
    alone(&mut group, "json", &pipeline, &Format::default(), &json);
    write("json", &json, ("json.schema", ""));
    let framed: Vec<Vec<u8>> = json.iter().map(|event| [&[0, 0, 0, 0, 1], event.as_slice()].concat()).collect();
    alone(&mut group, "json_schema", &pipeline, &Format { wire: Wire::JsonSchema, ..Format::default() }, &framed);
    let (writer, avro) = made::as_avro(&events);
    write("avro", &avro, ("schema.avsc", made::AVRO));
    alone(&mut group, "avro", &pipeline, &Format { wire: Wire::AvroOf(Arc::new(writer)), ..Format::default() }, &avro);
    let parsed: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    let definitions = Definitions::parse("schema.proto", wire::SCHEMA, |_| None).expect("a schema");
    let format = Format { wire: Wire::ProtobufOf(Arc::new(definitions)), ..Format::default() };
    let protobuf: Vec<Vec<u8>> = parsed.iter().map(wire::prediction).collect();
    write("protobuf", &protobuf, ("schema.proto", wire::SCHEMA));
    alone(&mut group, "protobuf", &pipeline, &format, &protobuf);
    let envelope = |event: &String| {
        format!(r#"{{"specversion":"1.0","id":"1","source":"a","type":"a","data":{event}}}"#).into_bytes()
    };
    let format = Format { cloudevents: true, ..Format::default() };
    alone(&mut group, "cloudevents", &pipeline, &format, &events.iter().map(envelope).collect::<Vec<_>>());
    let oip = Logged::Oip { time: Some(vec!["parameters".to_owned(), "time".to_owned()]) };
    let seldon = Logged::Seldon { is_responses: false };
    for (name, by) in [
        ("kserve", Logged::Kserve),
        ("oip", oip),
        ("mlserver", Logged::Mlserver),
        ("seldon", seldon),
        ("sagemaker", Logged::SageMaker),
        ("databricks", Logged::Databricks),
    ] {
        let messages: Vec<_> = parsed.iter().flat_map(|event| logged(event, &by)).collect();
        joined(&mut group, name, &pipeline, &by, &messages);
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
