//! The steps of one event, each alone: decoding and joining.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench may fail loudly"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use driftgate::decode::Limits;
use driftgate::decode::json::{Format, JsonDecoder};
use driftgate::decode::plan::EventKind;
use driftgate::event::{Flag, PredictionBatch, PredictionId};
use driftgate::join::{Bounds, Join, Pending};
use driftgate::schema::Schema;

const EVENTS: usize = 2000;

/// Numbers that look random and are the same every time (`SplitMix64`).
fn noise(mut i: u64) -> f64 {
    i = i.wrapping_add(0x9e37_79b9_7f4a_7c15);
    i = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    i = (i ^ (i >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    #[allow(clippy::cast_precision_loss)]
    let unit = (i ^ (i >> 31)) as f64 / u64::MAX as f64;
    unit
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema {
        model: "credit".into(),
        numeric: (0..20).map(|i| format!("n{i:02}")).collect(),
        categorical: (0..4).map(|i| format!("c{i}")).collect(),
        attributes: vec!["seg0".into(), "seg1".into()],
        segmentations: vec![vec![0], vec![1]],
        kpis: vec![],
        metrics: vec![],
        label_values: [].into(),
        needs_id: true,
        prediction_time: false,
    })
}

fn events() -> Vec<String> {
    let event = |i: u64| {
        let numeric: Vec<String> = (0..20).map(|f| format!("\"n{f:02}\":{}", noise(i * 31 + f) * 10.0)).collect();
        let categorical: Vec<String> =
            (0..4).map(|f| format!("\"c{f}\":\"c{f}_{:03}\"", (noise(i * 7 + f) * 20.0) as u32)).collect();
        format!(
            "{{\"prediction_id\":\"e{i:09}\",\"model\":\"credit\",\"version\":\"1\",\"ts\":{},\"score\":{},\"features\":{{{},{}}},\"segments\":{{\"seg0\":\"A\",\"seg1\":\"x\"}}}}",
            1_767_225_600_000_u64 + i,
            noise(i),
            numeric.join(","),
            categorical.join(",")
        )
    };
    (0..EVENTS as u64).map(event).collect()
}

fn decode(c: &mut Criterion) {
    let (schema, events) = (schema(), events());
    let mut decoder =
        JsonDecoder::new(std::slice::from_ref(&schema), &Format::default(), EventKind::Predictions, Limits::default());
    let mut out = [PredictionBatch::new(20, 4, 2)];
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("json of 24 features", |b| {
        b.iter(|| {
            out[0].clear();
            for event in &events {
                decoder.prediction(event.as_bytes(), i64::MAX / 2, &mut out).expect("a whole event");
            }
            black_box(out[0].len())
        });
    });
    group.finish();
}

fn join(c: &mut Criterion) {
    let ids: Vec<PredictionId> = (0..EVENTS).map(|i| PredictionId::of(&format!("e{i:09}"))).collect();
    let mut group = c.benchmark_group("join");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("insert", |b| {
        b.iter(|| {
            let mut join = Join::new(Bounds { horizon: 3_600_000, early: 60_000 }, 2);
            for (i, id) in (0_i64..).zip(&ids) {
                join.prediction(*id, Pending::new(i, 0, 0, 1, u32::MAX, Flag::Yes), &[1, 2], |_| ());
            }
            black_box(join.sizes())
        });
    });
    group.finish();
}

criterion_group!(benches, decode, join);
criterion_main!(benches);
