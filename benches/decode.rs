//! Decoding and counting JSON events, one core, from memory, beside typed parsers that only fill a struct written for
//! exactly these fields. Events are made here, or are the lines of the file that `DRIFTGATE_BENCH_JSONL` names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    dead_code,
    reason = "a bench may fail loudly, and the structs exist to be filled"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::BufRead as _;
use std::sync::Arc;

use apache_avro::Schema as AvroSchema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;

use driftgate_core::baseline::{Baseline, Coded, SnapshotColumns};
use driftgate_core::decode::avro::Writer;
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::{EventKind, Limits, PredictionBatch};
use driftgate_core::intake::Setup;
use driftgate_core::intake::job::Job;
use driftgate_core::intake::versions::Reference;
use driftgate_core::kserve::{Joiner, Logged, Settings};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::pipeline::batch;
use driftgate_core::policy;
use driftgate_core::schema::Schema;

const EVENTS: usize = 8192;
/// The time of every event's record: later than any event.
const RECORD_TS: i64 = i64::MAX / 2;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    prediction_id: &'a str,
    model: &'a str,
    version: &'a str,
    ts: i64,
    score: f64,
    features: Features<'a>,
    segments: Segments<'a>,
}

#[derive(Deserialize)]
struct Segments<'a> {
    seg0: &'a str,
    seg1: &'a str,
}

#[rustfmt::skip]
#[derive(Deserialize)]
struct Features<'a> {
    n00: f64, n01: f64, n02: f64, n03: f64, n04: f64, n05: f64, n06: f64, n07: f64, n08: f64, n09: f64,
    n10: f64, n11: f64, n12: f64, n13: f64, n14: f64, n15: f64, n16: f64, n17: f64, n18: f64, n19: f64,
    #[serde(borrow)]
    c0: &'a str,
    c1: &'a str,
    c2: &'a str,
    c3: &'a str,
}

/// Numbers that look random and are the same every time (`SplitMix64`).
struct Noise(u64);

impl Noise {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.unit() * f64::from(n)) as u32
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}

/// Events as models send them: 13 features of full precision, 7 of few values, 4 categories, 2 segments; about 600 bytes.
fn made() -> Vec<String> {
    let mut noise = Noise(1);
    let event = |i: usize| {
        let ts = 1_767_225_600_000 + i;
        let mut text = format!(
            "{{\"prediction_id\":\"e{i:09}\",\"model\":\"credit\",\"version\":\"1\",\"ts\":{ts},\"score\":{:?},\"features\":{{",
            noise.unit()
        );
        for f in 0..13_u32 {
            let x: f64 = (0..=f % 4).map(|_| noise.exponential()).sum::<f64>() * f64::from(1 + f / 5);
            write!(text, "\"n{f:02}\":{x:?},").unwrap();
        }
        for (f, values, step) in
            [(13, 9, 1.0), (14, 70, 1.0), (15, 5, 1.0), (16, 2, 1.0), (17, 25, 0.5), (18, 12, 1.0), (19, 8, 100.0)]
        {
            write!(text, "\"n{f}\":{:?},", f64::from(noise.below(values)) * step).unwrap();
        }
        let mut category = |c: u32, values: u32| format!("\"c{c}\":\"c{c}_{:03}\"", noise.below(values));
        let categories = [category(0, 5), category(1, 20), category(2, 200), category(3, 2)].join(",");
        let (seg0, seg1) = (["A", "B", "C"][i % 3], ["x", "y"][i % 2]);
        write!(text, "{categories}}},\"segments\":{{\"seg0\":\"{seg0}\",\"seg1\":\"{seg1}\"}}}}").unwrap();
        text
    };
    (0..EVENTS).map(event).collect()
}

fn events() -> Vec<String> {
    let Ok(path) = std::env::var("DRIFTGATE_BENCH_JSONL") else { return made() };
    let file = std::fs::File::open(path).expect("the file of events opens");
    std::io::BufReader::new(file).lines().take(EVENTS).map(|line| line.expect("a line")).collect()
}

/// The events as Avro.
#[rustfmt::skip]
const AVRO: &str = r#"{"type": "record", "name": "Prediction", "fields": [
    {"name": "prediction_id", "type": "string"}, {"name": "model", "type": "string"}, {"name": "version", "type": "string"},
    {"name": "ts", "type": "long"}, {"name": "score", "type": "double"},
    {"name": "features", "type": {"type": "record", "name": "Features", "fields": [
        {"name": "n00", "type": "double"}, {"name": "n01", "type": "double"}, {"name": "n02", "type": "double"}, {"name": "n03", "type": "double"},
        {"name": "n04", "type": "double"}, {"name": "n05", "type": "double"}, {"name": "n06", "type": "double"}, {"name": "n07", "type": "double"},
        {"name": "n08", "type": "double"}, {"name": "n09", "type": "double"}, {"name": "n10", "type": "double"}, {"name": "n11", "type": "double"},
        {"name": "n12", "type": "double"}, {"name": "n13", "type": "double"}, {"name": "n14", "type": "double"}, {"name": "n15", "type": "double"},
        {"name": "n16", "type": "double"}, {"name": "n17", "type": "double"}, {"name": "n18", "type": "double"}, {"name": "n19", "type": "double"},
        {"name": "c0", "type": "string"}, {"name": "c1", "type": "string"}, {"name": "c2", "type": "string"}, {"name": "c3", "type": "string"}]}},
    {"name": "segments", "type": {"type": "record", "name": "Segments", "fields": [
        {"name": "seg0", "type": "string"}, {"name": "seg1", "type": "string"}]}}]}"#;

fn as_avro(events: &[String]) -> (Writer, Vec<Vec<u8>>) {
    let schema = AvroSchema::parse_str(AVRO).expect("a schema");
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let value = |event: &String| {
        let json: serde_json::Value = serde_json::from_str(event).expect("JSON");
        let value = Value::try_from(json).expect("values").resolve(&schema).expect("an event of the schema");
        writer.write_value_to_vec(value).expect("a value")
    };
    (Writer::parse(AVRO, &[]).expect("a schema"), events.iter().map(value).collect())
}

/// PSI and KS on everything, against grids of 1021 points; segments are counted, no label is waited for.
fn policy() -> policy::Policy {
    let numeric: Vec<String> = (0..20).map(|i| format!("n{i:02}")).collect();
    let text = format!(
        "apiVersion: driftgate/v1\nmodel: credit\nbaseline: {{snapshot: \"v{{version}}.parquet\", columns: {{score: score}}}}\n\
         features: {{numeric: [{}], categorical: [c0, c1, c2, c3]}}\nscore: {{threshold: 0.5}}\nsegments: [seg0, seg1]\n\
         checks:\n  drift:\n    window: {{size: 1h, slide: 5m}}\n    rules:\n    - psi: {{of: features, lt: 0.2}}\n\
         \x20   - psi: {{id: psi_score, of: score, lt: 0.2}}\n    - ks_p: {{of: features, gte: 0.01}}\n",
        numeric.join(", ")
    );
    policy::parse(&text, std::path::Path::new("policy.yaml")).expect("a policy")
}

/// What the events themselves look like, as training data.
fn reference(policy: &policy::Policy, batch: &PredictionBatch) -> Reference {
    let named = |codes: &[u32]| {
        let names = (0..=codes.iter().copied().max().unwrap_or(0)).map(|c| format!("{c}")).collect();
        Arc::new(Coded { names, codes: codes.iter().map(|c| Some(*c)).collect() })
    };
    let columns = SnapshotColumns {
        numbers: None,
        classes: None,
        rows: batch.len(),
        numeric: batch.features.numeric.clone(),
        categorical: batch.features.categorical.iter().map(|c| named(c)).collect(),
        score: Some(batch.score.clone()),
        label: None,
        segments: vec![None, None],
        unit: None,
    };
    let baseline = Baseline::build(policy, "1", "made up", "00", &columns).expect("a baseline");
    Reference::Baseline { sha256: baseline.digest().expect("a digest").into(), baseline: Arc::new(baseline) }
}

/// The same events as Avro, beside what reads any Avro value.
fn decode_avro(group: &mut BenchmarkGroup<'_, WallTime>, schema: &Arc<Schema>, events: &[String]) {
    let mut out = [PredictionBatch::new(20, 4, 2)];
    let (writer, values) = as_avro(events);
    let format = Format { wire: Wire::AvroOf(Arc::new(writer)), ..Format::default() };
    let mut decoder =
        EventDecoder::new(std::slice::from_ref(schema), &format, EventKind::Predictions, Limits::default());
    group.bench_function("driftgate, Avro decoded alone", |b| {
        b.iter(|| {
            for values in values.chunks(2048) {
                out.iter_mut().for_each(PredictionBatch::clear);
                for value in values {
                    batch::decode(&mut decoder, value, RECORD_TS, &mut out).expect("a whole event");
                }
                black_box(&out);
            }
        });
    });
    let read = AvroSchema::parse_str(AVRO).expect("a schema");
    let reader = GenericDatumReader::builder(&read).build().expect("a reader");
    group.bench_function("apache-avro, into its values", |b| {
        b.iter(|| {
            for value in &values {
                black_box(reader.read_value(&mut value.as_slice()).expect("a whole event"));
            }
        });
    });
}

/// The same events as CloudEvents in structured mode, and as requests and responses that are joined first.
fn decode_logged(group: &mut BenchmarkGroup<'_, WallTime>, schema: &Arc<Schema>, events: &[String]) {
    let mut out = [PredictionBatch::new(20, 4, 2)];
    let envelope =
        |event: &String| format!(r#"{{"specversion":"1.0","id":"1","source":"a","type":"a","data":{event}}}"#);
    let structured: Vec<String> = events.iter().map(envelope).collect();
    let format = Format { cloudevents: true, ..Format::default() };
    let mut decoder =
        EventDecoder::new(std::slice::from_ref(schema), &format, EventKind::Predictions, Limits::default());
    group.bench_function("driftgate, CloudEvents decoded alone", |b| {
        b.iter(|| {
            for events in structured.chunks(2048) {
                out.iter_mut().for_each(PredictionBatch::clear);
                for event in events {
                    batch::decode(&mut decoder, event.as_bytes(), RECORD_TS, &mut out).expect("a whole event");
                }
                black_box(&out);
            }
        });
    });
    // Bodies of the protocol name no model of a policy.
    let format = Format { model: Some(0), ..Format::default() };
    let mut decoder =
        EventDecoder::new(std::slice::from_ref(schema), &format, EventKind::Predictions, Limits::default());
    let oip = Logged::Oip { time: Some(vec!["parameters".to_owned(), "time".to_owned()]) };
    for (name, logged) in [("KServe's logger", Logged::Kserve), ("Open Inference Protocol", oip)] {
        let halves = halves(events, &logged);
        let settings = Settings { logged, ..Settings::default() };
        let mut rows = Vec::new();
        group.bench_function(format!("driftgate, {name} joined and decoded"), |b| {
            b.iter(|| {
                let mut joiner = Joiner::new(settings.clone(), Limits::default());
                for halves in halves.chunks(4096) {
                    out.iter_mut().for_each(PredictionBatch::clear);
                    for half in halves {
                        rows.clear();
                        joiner.offer(half.as_bytes(), None, None, &mut rows).expect("a half");
                        for row in rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                            batch::decode(&mut decoder, row, RECORD_TS, &mut out).expect("a whole event");
                        }
                    }
                    black_box(&out);
                }
            });
        });
    }
}

/// A request and a response of V2 for each event, one behind the other.
fn halves(events: &[String], logged: &Logged) -> Vec<String> {
    let mut all = Vec::with_capacity(2 * events.len());
    for event in events {
        let event: serde_json::Value = serde_json::from_str(event).expect("a whole event");
        let (id, ts) = (event["prediction_id"].to_string(), event["ts"].as_i64().expect("a time"));
        let tensor = |name: &str, value: &serde_json::Value| {
            format!(r#"{{"name":"{name}","shape":[1,1],"datatype":"FP64","data":[{value}]}}"#)
        };
        let features = event["features"].as_object().into_iter().flatten();
        let inputs: Vec<String> = features.map(|(name, value)| tensor(name, value)).collect();
        let own = format!(r#""id":{id},"parameters":{{"time":{ts}}}"#);
        let bodies = [
            ("request", format!(r#"{{{own},"inputs":[{}]}}"#, inputs.join(","))),
            (
                "response",
                format!(
                    r#"{{{own},"model_name":"credit","model_version":"1","outputs":[{}]}}"#,
                    tensor("p", &event["score"])
                ),
            ),
        ];
        for (kind, body) in bodies {
            all.push(match logged {
                Logged::Kserve => format!(
                    r#"{{"specversion":"1.0","id":{id},"source":"a","type":"org.kubeflow.serving.inference.{kind}","time":"2026-01-01T00:00:00.{:03}Z","inferenceservicename":"credit","data":{body}}}"#,
                    ts % 1000
                ),
                _ => body,
            });
        }
    }
    all
}

fn decode(c: &mut Criterion) {
    let events = events();
    let policy = Arc::new(policy());
    let pipeline = Pipeline::new(Arc::clone(&policy), Setup::default(), 1);
    let (schema, source, id) = {
        let mut intake = pipeline.intake();
        (
            Arc::clone(intake.schema()),
            intake.add_source(EventKind::Predictions, Format::default().time.future, None),
            intake.add_decoder(),
        )
    };
    let mut decoder =
        EventDecoder::new(std::slice::from_ref(&schema), &Format::default(), EventKind::Predictions, Limits::default());
    let mut out = [PredictionBatch::new(20, 4, 2)];
    for event in &events {
        batch::decode(&mut decoder, event.as_bytes(), RECORD_TS, &mut out).expect("a whole event");
    }
    pipeline.intake().set_reference("1", reference(&policy, &out[0]));
    pipeline.intake().learn(id, &mut out[0]);
    out[0].clear();

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(events.len() as u64));
    let mut job = Job::default();
    group.bench_function("driftgate, decoded and counted", |b| {
        b.iter(|| {
            for events in events.chunks(2048) {
                for event in events {
                    batch::decode(&mut decoder, event.as_bytes(), RECORD_TS, &mut out).expect("a whole event");
                }
                let [batch] = &mut out;
                let mut intake = pipeline.intake();
                intake.learn(id, batch);
                intake.translate(id, batch);
                pipeline.admit(&mut intake, source, batch, &mut job);
                drop(intake);
                pipeline.count(0, batch, &job);
                batch.clear();
            }
        });
    });
    group.finish();
    let counted = pipeline.counters();
    assert!(counted.predictions > 0 && counted.late + counted.after_close == 0, "every event counts");

    let mut group = c.benchmark_group("columns");
    group.throughput(Throughput::Elements(events.len() as u64));
    let mut decoder =
        EventDecoder::new(std::slice::from_ref(&schema), &Format::default(), EventKind::Predictions, Limits::default());
    group.bench_function("driftgate, decoded alone", |b| {
        b.iter(|| {
            for events in events.chunks(2048) {
                out.iter_mut().for_each(PredictionBatch::clear);
                for event in events {
                    batch::decode(&mut decoder, event.as_bytes(), RECORD_TS, &mut out).expect("a whole event");
                }
                black_box(&out);
            }
        });
    });
    decode_avro(&mut group, &schema, &events);
    decode_logged(&mut group, &schema, &events);
    group.finish();

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("sonic-rs, into a struct", |b| {
        b.iter(|| {
            for event in &events {
                black_box(sonic_rs::from_slice::<Event<'_>>(event.as_bytes()).expect("a whole event"));
            }
        });
    });
    group.bench_function("sonic-rs, into a struct, UTF-8 taken for granted", |b| {
        b.iter(|| {
            for event in &events {
                black_box(sonic_rs::from_str::<Event<'_>>(event).expect("a whole event"));
            }
        });
    });
    // It changes its input, so each event is copied first; its buffers are reused.
    let mut buffers = simd_json::Buffers::new(1024);
    let mut copy = Vec::with_capacity(4096);
    group.bench_function("simd-json, into a struct", |b| {
        b.iter(|| {
            for event in &events {
                copy.clear();
                copy.extend_from_slice(event.as_bytes());
                let event: Event<'_> =
                    simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).expect("a whole event");
                black_box(event);
            }
        });
    });
    group.bench_function("serde_json, into a struct", |b| {
        b.iter(|| {
            for event in &events {
                black_box(serde_json::from_slice::<Event<'_>>(event.as_bytes()).expect("a whole event"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
