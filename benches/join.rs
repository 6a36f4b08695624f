//! The label join with ten million predictions that wait: entering more, and meeting their labels, one core.

#![allow(clippy::cast_possible_truncation, reason = "a bench may fail loudly")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use driftgate_core::event::{Flag, PredictionId};
use driftgate_core::join::{Bounds, Join, JoinOutcome, Met, Pending, TOUCHED};

const PENDING: u64 = 10_000_000;
/// Predictions or labels of one measurement.
const RUN: u64 = 1 << 18;
const BOUNDS: Bounds = Bounds { horizon: 86_400_000, early: 60_000 };

/// Ids as hashing makes them.
fn id(i: u64) -> u128 {
    PredictionId::of(&i.to_string()).0
}

/// Enters predictions numbered from `first` on, looking ahead as the intake does.
fn enter(join: &mut Join, ids: &[u128], first: u64) {
    for (ids, first) in ids.chunks(TOUCHED).zip((first..).step_by(TOUCHED)) {
        join.touch_for_predictions(ids);
        for (id, i) in ids.iter().zip(first..) {
            let pending = Pending::new(i.cast_signed(), 0, (i % 3) as u32, 3, u32::MAX, Flag::from(i % 2 == 0));
            join.prediction(PredictionId(*id), pending, &[(i % 2) as u32, (i % 4) as u32], |_| ());
        }
    }
}

fn full() -> Join {
    let mut join = Join::new(BOUNDS, 2);
    for first in (0..PENDING).step_by(RUN as usize) {
        let ids: Vec<u128> = (first..(first + RUN).min(PENDING)).map(id).collect();
        enter(&mut join, &ids, first);
    }
    join
}

fn join(c: &mut Criterion) {
    let mut group = c.benchmark_group("join");
    group.throughput(Throughput::Elements(RUN)).sample_size(10);
    let mut held = full();
    let mut next = PENDING;
    group.bench_function("enter one more of ten million", |b| {
        b.iter_custom(|runs| {
            let mut took = Duration::ZERO;
            for _ in 0..runs {
                if held.sizes().0 as u64 > PENDING + 16 * RUN {
                    (held, next) = (full(), PENDING);
                }
                let ids: Vec<u128> = (next..next + RUN).map(id).collect();
                let begun = Instant::now();
                enter(&mut held, &ids, next);
                took += begun.elapsed();
                next += RUN;
            }
            took
        });
    });
    let mut unlabelled = 0;
    group.bench_function("match one of ten million", |b| {
        b.iter_custom(|runs| {
            let mut took = Duration::ZERO;
            for _ in 0..runs {
                if unlabelled + RUN > PENDING / RUN * RUN {
                    (held, unlabelled) = (full(), 0);
                }
                // Labels come in another order than their predictions.
                let of = |n: u64| (unlabelled + n).wrapping_mul(7_919) % (PENDING / RUN * RUN);
                let labels: Vec<(u128, i64)> = (0..RUN).map(of).map(|i| (id(i), i.cast_signed() + 1000)).collect();
                let ids: Vec<u128> = labels.iter().map(|(id, _)| *id).collect();
                let mut met = 0;
                let begun = Instant::now();
                for (labels, ids) in labels.chunks(TOUCHED).zip(ids.chunks(TOUCHED)) {
                    held.touch_for_labels(ids);
                    for (id, ts) in labels {
                        let outcome =
                            JoinOutcome { ts: *ts, label: Flag::Yes, kpis: 0, kpis_yes: 0, value: 0, in_time: true };
                        met += u64::from(held.label(PredictionId(*id), outcome, |_| ()) == Met::Pairs(1));
                    }
                }
                took += begun.elapsed();
                assert_eq!(met, RUN, "every label meets its prediction");
                unlabelled += RUN;
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, join);
criterion_main!(benches);
