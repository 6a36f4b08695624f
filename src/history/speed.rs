//! How long a series of three months takes that is read from the history: printed, by
//! `cargo test --release -p driftgate --lib history::speed -- --ignored --nocapture`. `DRIFTGATE_BENCH_DAYS` makes it fewer days.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::columns::{self, Detail, rows_of, settled};
use super::open_day::OpenDay;
use super::place::{self, Day, Kind};
use super::query::Reader;
use super::record::tests::{measured, window};
use super::record::{Bin, Window};
use super::wanted::Wanted;
use super::{DAY_MS, Options};

const FEATURES: usize = 100;
const RULES: [&str; 2] = ["drift/psi", "drift/ks_p"];
const WINDOW_MS: i64 = 300_000;
const BINS: u64 = 10;

/// A window of all features, with values that differ and distributions of ten bins.
fn of(end_ms: i64) -> Window {
    let hashed = |at: usize| {
        let mixed = (end_ms / WINDOW_MS).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (at as u64).wrapping_mul(0xd1b5_4a32);
        mixed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40
    };
    let results = RULES.iter().flat_map(|rule| (0..FEATURES).map(move |at| (*rule, at)));
    let results = results.map(|(rule, at)| {
        let mut of =
            measured(rule, &format!("feature_{at:03}"), f64::from(u32::try_from(hashed(at)).unwrap_or(0)) / 1e7);
        of.bins = (0..BINS)
            .map(|bin| Bin { name: format!("le:{}", bin * 7), reference: 1000, window: hashed(at) % (bin + 97) })
            .collect();
        of
    });
    window("1", end_ms, results.collect())
}

fn day(root: &Path, day: Day, kind: Kind) {
    let folder = place::folder(root, "m");
    fs::create_dir_all(&folder).unwrap();
    let windows = (0..DAY_MS / WINDOW_MS).map(|at| of(day * DAY_MS + at * WINDOW_MS));
    let path = folder.join(place::name(day, kind).unwrap());
    if kind == Kind::Parquet {
        let rows = settled(windows.flat_map(rows_of).collect());
        return columns::write("m", &rows, fs::File::create(path).unwrap()).unwrap();
    }
    let mut file = OpenDay::open(&path).unwrap();
    windows.for_each(|window| file.append([window.encode().unwrap().as_slice()]).unwrap());
}

#[test]
#[ignore = "a measurement: it prints, and writes a gigabyte"]
fn a_series_of_three_months() {
    let days: Day = std::env::var("DRIFTGATE_BENCH_DAYS").map_or(90, |days| days.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for half in 0..2 {
            let root = root.path();
            scope.spawn(move || (0..days - 1).filter(|at| at % 2 == half).for_each(|at| day(root, at, Kind::Parquet)));
        }
    });
    day(root.path(), days - 1, Kind::Open);
    let size = |kind: Kind| {
        let files = place::files(root.path(), "m").unwrap();
        let named = files.iter().filter(|(_, kinds)| kinds.contains(&kind));
        named
            .map(|(day, _)| fs::metadata(place::path(root.path(), "m", *day, kind).unwrap()).unwrap().len())
            .sum::<u64>()
    };
    println!("{days} days: {} MB of Parquet, {} MB of the open day", size(Kind::Parquet) >> 20, size(Kind::Open) >> 20);
    let reader = Reader::of(Options { path: root.path().to_owned(), keep: Duration::ZERO, store: None });
    let wanted = Wanted { version: "1", subject: Some("feature_050"), to_ms: days * DAY_MS, ..Wanted::default() };
    let open = Wanted { from_ms: (days - 1) * DAY_MS, ..wanted };
    let with_bins = Wanted { detail: Detail::Bins, ..wanted };
    for (name, wanted) in [("all days", wanted), ("the open day", open), ("all days with distributions", with_bins)] {
        for time in ["first", "second", "third"] {
            let began = Instant::now();
            let newest = reader.newest("m").unwrap();
            let after_newest = began.elapsed();
            let rows = reader.find("m", &wanted).unwrap();
            println!(
                "{name}, {time} time: {} rows in {:?}, of which the newest window {after_newest:?}",
                rows.len(),
                began.elapsed()
            );
            assert!(newest.is_some());
        }
    }
}
