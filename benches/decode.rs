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

#[path = "made/mod.rs"]
mod made;

use std::hint::black_box;
use std::sync::Arc;

use apache_avro::Schema as AvroSchema;
use apache_avro::reader::datum::GenericDatumReader;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;

use made::{AVRO, as_avro, events, policy};

use driftgate_core::baseline::{Baseline, Coded, SnapshotColumns};
use driftgate_core::decode::decoder::{EventDecoder, Format};
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::{EventKind, Limits, PredictionBatch};
use driftgate_core::intake::Setup;
use driftgate_core::intake::job::Job;
use driftgate_core::intake::versions::Reference;
use driftgate_core::pipeline::Pipeline;
use driftgate_core::pipeline::batch;
use driftgate_core::policy::Policy;
use driftgate_core::schema::Schema;

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

/// What the events themselves look like, as training data.
fn reference(policy: &Policy, batch: &PredictionBatch) -> Reference {
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
