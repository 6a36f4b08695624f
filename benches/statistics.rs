//! What judging one feature costs: PSI, the KS distance and its p-value, from the counts of a window.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a bench may fail loudly")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use driftgate_core::stats::grid::Grid;
use driftgate_core::stats::psi::{Zero, psi};
use driftgate_core::stats::{bins, ks};

const REFERENCE: u64 = 100_000;
const WINDOW: u64 = 20_000;

/// Numbers in [0, 1] that look random and are the same every time (`SplitMix64`).
fn noise(i: u64) -> f64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}

fn sorted(from: u64, n: u64) -> Vec<f64> {
    let mut sample: Vec<f64> = (from..from + n).map(noise).collect();
    sample.sort_unstable_by(f64::total_cmp);
    sample
}

fn statistics(c: &mut Criterion) {
    let sample = sorted(0, REFERENCE);
    let edges = bins::quantile_edges(&sample, 10);
    let grid = Grid::from_sorted(&sample, Some(1021), &edges.iter().map(|e| e.0).collect::<Vec<_>>());
    let reference = grid.count_sorted(&sample);
    let window = grid.count_sorted(&sorted(7_000_000, WINDOW));
    let bins = bins::bins(&grid, &edges);
    let expected = bins::sum_bins(&bins, &reference);
    c.benchmark_group("psi").bench_function("10 bins from cells", |b| {
        b.iter(|| psi(&expected, &bins::sum_bins(&bins, black_box(&window)), Zero::Half));
    });
    let mut group = c.benchmark_group("ks");
    group.bench_function("distance from cells", |b| b.iter(|| ks::distance(&reference, black_box(&window))));
    let distance = ks::distance(&reference, &window).expect("both have values");
    group.bench_function("p of large samples", |b| b.iter(|| ks::p_value(black_box(&distance))));
    // The largest product of sizes that is walked exactly.
    group.bench_function("p of 200 and 500 rows, exact", |b| b.iter(|| ks::p_exact(200, 500, black_box(80))));
    group.finish();
}

criterion_group!(benches, statistics);
criterion_main!(benches);
