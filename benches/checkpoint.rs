//! Writing the state down: all of it, and what five more minutes changed. A model of 100 features with a window of an hour
//! and predictions that wait a day for labels.

#![allow(clippy::expect_used, reason = "a bench may fail loudly")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use driftgate::checkpoint::{Checkpoint, Store};

#[allow(dead_code, reason = "shared with the comparison, which uses more of it")]
#[path = "comparison/feed.rs"]
mod feed;

use feed::{Feed, T0, noise, policy_text};

const FEATURES: usize = 100;
const REFERENCE: usize = 20_000;
const PANE_MS: i64 = 300_000;
const PANE_EVENTS: i64 = 24_000;
/// Panes fed before: two hours, of which one is kept.
const PANES: i64 = 24;

/// Feeds a pane's events in the order of their times, judges what they close.
fn pane(feed: &mut Feed, number: i64) {
    let from = T0 + number * PANE_MS;
    let at = (0..PANE_EVENTS).map(|i| from + i * PANE_MS / PANE_EVENTS);
    let seed = number.unsigned_abs() << 32;
    feed.rows(at, |f, row| noise(seed + (f * 1_000_003 + row) as u64));
    feed.advance();
}

/// Writes the state down; how long that took, and how many bytes it were.
fn save(store: &Store, feed: &mut Feed) -> (Duration, u64) {
    let begun = Instant::now();
    let mut checkpoint = Checkpoint { pipelines: vec![feed.state()], ..Checkpoint::default() };
    let written = store.save(&mut checkpoint).expect("a checkpoint");
    (begun.elapsed(), written)
}

fn checkpoint(c: &mut Criterion) {
    let policy = policy_text(FEATURES).replace("lateness: 0s\n", "lateness: 0s\nlabels: {horizon: 1d}\n");
    let mut feed = Feed::of(&policy, FEATURES, 1, REFERENCE);
    (0..PANES).for_each(|number| pane(&mut feed, number));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");

    let (mut all, mut stores) = (0, 0);
    let mut fresh = || {
        stores += 1;
        Store::open(&folder.path().join(stores.to_string())).expect("a store")
    };
    let mut group = c.benchmark_group("checkpoint");
    group.sample_size(10);
    group.throughput(Throughput::Elements((PANES * PANE_EVENTS).unsigned_abs()));
    group.bench_function("written for the first time", |b| {
        b.iter_custom(|runs| {
            let mut took = Duration::ZERO;
            for _ in 0..runs {
                let (time, written) = save(&fresh(), &mut feed);
                took += time;
                all = written;
            }
            took
        });
    });

    let store = fresh();
    save(&store, &mut feed);
    let (mut number, mut more) = (PANES, 0);
    group.throughput(Throughput::Elements(PANE_EVENTS.unsigned_abs()));
    group.bench_function("written again after five minutes", |b| {
        b.iter_custom(|runs| {
            let mut took = Duration::ZERO;
            for _ in 0..runs {
                pane(&mut feed, number);
                number += 1;
                let (time, written) = save(&store, &mut feed);
                took += time;
                more = written;
            }
            took
        });
    });
    group.finish();
    println!("checkpoint: {all} bytes for the first time, {more} after five more minutes");
    assert!(more * 4 < all, "a checkpoint writes what changed");
}

criterion_group!(benches, checkpoint);
criterion_main!(benches);
