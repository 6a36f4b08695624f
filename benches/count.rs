//! What counting costs: finding a value's cell, adding to an open pane, sealing a pane, and sliding a window by panes.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a bench may fail loudly")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use driftgate_core::stats::grid::Grid;
use driftgate_core::window::pane::Sealed;
use driftgate_core::window::tally::{OpenTally, Tally};

const REFERENCE: u64 = 100_000;
const EVENTS: u64 = 2_000;
/// Grid points by default.
const POINTS: usize = 1_021;
/// Features of a wide model.
const FEATURES: usize = 100;

/// Numbers in [0, 1] that look random and are the same every time (`SplitMix64`).
fn noise(i: u64) -> f64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}

fn grid(points: usize) -> Grid {
    let mut sorted: Vec<f64> = (0..REFERENCE).map(noise).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    Grid::from_sorted(&sorted, Some(points), &[])
}

fn values() -> Vec<f64> {
    (0..EVENTS).map(|i| noise(i + 7_000_000)).collect()
}

fn locate(c: &mut Criterion) {
    let values = values();
    let mut group = c.benchmark_group("locate");
    group.throughput(Throughput::Elements(EVENTS));
    for points in [50, POINTS, 100_000] {
        let grid = grid(points);
        group.bench_function(format!("{points} points"), |b| {
            b.iter(|| values.iter().map(|&x| grid.locate(black_box(x))).sum::<usize>());
        });
    }
    group.finish();
}

/// A tally of a wide model in which a pane's events were counted.
fn pane(grid: &Grid, seed: u64) -> OpenTally {
    let mut tally = OpenTally::new(FEATURES * grid.cells(), 0);
    for event in 0..EVENTS {
        for feature in 0..FEATURES {
            let x = noise(seed + event * 1_000 + feature as u64);
            tally.add(feature * grid.cells() + grid.locate(x));
        }
    }
    tally.predictions = EVENTS;
    tally
}

fn update(c: &mut Criterion) {
    let (grid, values) = (grid(POINTS), values());
    let mut tally = OpenTally::new(grid.cells(), 0);
    let mut group = c.benchmark_group("pane update");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("locate and add", |b| {
        b.iter(|| values.iter().for_each(|&x| tally.add(grid.locate(black_box(x)))));
    });
    group.finish();
}

fn merge(c: &mut Criterion) {
    let grid = grid(POINTS);
    let (tally, other) = (pane(&grid, 1), Sealed::new(&pane(&grid, 9_000_000)));
    let sealed = Sealed::new(&tally);
    let mut group = c.benchmark_group("merge");
    group.bench_function(format!("seal a pane of {FEATURES} features"), |b| {
        b.iter(|| Sealed::new(black_box(&tally)));
    });
    let window = || {
        let mut window: Tally = Tally::new(FEATURES * grid.cells(), 0);
        sealed.add_to(&mut window);
        window
    };
    group.bench_function(format!("add a pane of {FEATURES} features to a window"), |b| {
        b.iter_batched_ref(window, |w| other.add_to(w), BatchSize::LargeInput);
    });
    group.bench_function(format!("take a pane of {FEATURES} features out of a window"), |b| {
        b.iter_batched_ref(window, |w| sealed.subtract_from(w), BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, locate, update, merge);
criterion_main!(benches);
