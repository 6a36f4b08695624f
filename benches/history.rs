//! Size and query time of the history: 100 features with 2 rules, judged every 5 minutes for 90 days.
//!
//!     cargo bench --bench history [-- FEATURES DAYS FOLDER]
//!
//! Writes a Parquet file per day as the daemon does, with values and counts that differ from window to window, appends the last day, which is not
//! over, and asks for one feature over all days: its values by both rules, then with its distributions, as its page does; for as many distributions as a picture
//! shows, as the API does; and for the distributions of its last day. Prints a table.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use driftgate::history::columns::{self, Detail, rows_of, settled};
use driftgate::history::record::{Bin, Measured};
use driftgate::history::{DAY_MS, Given, History, Options, Reader, Wanted, Window};
use driftgate::stores::Stores;
use driftgate::view::Shared;
use driftgate_core::judge::verdict::Status;

const EVERY_MS: i64 = 300_000;
/// 2026-08-01.
const FIRST_DAY: i64 = 20_666;

/// Numbers that look like chance, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn share(&mut self) -> f64 {
        f64::from(u32::try_from(self.below(1 << 24)).unwrap_or(0)) / f64::from(1 << 24)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |at: usize, otherwise: i64| arguments.get(at).and_then(|a| a.parse().ok()).unwrap_or(otherwise);
    let (features, days) = (number(0, 100), number(1, 90));
    let folder = arguments.get(2).map_or_else(|| PathBuf::from("target/bench/history"), PathBuf::from);
    let _ = fs::remove_dir_all(&folder);
    let mut random = Random(1);
    let (took, bytes) = write(&folder, features, days, &mut random);
    let appended = append(&folder, features, days, &mut random);
    println!("| {features} features x 2 rules x 288 windows x {days} days | |\n|---|---|");
    println!("| rows | {} |", (features * 2 + 1) * 288 * days);
    println!("| Parquet, MB | {:.1} |", megabytes(bytes));
    println!("| a day of it written, s | {:.2} |", took.as_secs_f64() / f64::from(u32::try_from(days).unwrap_or(1)));
    println!("| a window appended, ms | {:.2} |", appended.as_secs_f64() * 1000.0);
    let options = Options { path: folder, keep: Duration::from_secs(90 * 86_400), store: None };
    let reader = Reader::of(options);
    let all = Wanted { version: "7", subject: Some("feature_042"), to_ms: i64::MAX, ..Wanted::default() };
    let last =
        Wanted { detail: Detail::Bins, from_ms: (FIRST_DAY + days - 1) * DAY_MS, rule: Some("drift/psi"), ..all };
    let whole = Wanted { detail: Detail::Bins, ..all };
    // As `…/distributions` answers them over 90 days: the worst of 26 windows, about 1000 in all.
    let every = usize::try_from(days * 288).unwrap_or(0).div_ceil(1000).max(1);
    let drawn = Wanted { only_bins: true, every, ..whole };
    let asked_for = [
        ("one feature over all days, ms", all),
        ("with its distributions, ms", whole),
        ("its distributions as they are drawn, ms", drawn),
        ("its distributions of a day, ms", last),
    ];
    for (what, wanted) in asked_for {
        let (median, rows) = asked(&reader, &wanted);
        println!("| {what} ({rows} rows) | {:.0} |", median.as_secs_f64() * 1000.0);
    }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The median of nine.
fn asked(reader: &Reader, wanted: &Wanted<'_>) -> (Duration, usize) {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..9 {
        let begun = Instant::now();
        rows = reader.find("model", wanted).map_or(0, |found| found.len());
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    (times.get(4).copied().unwrap_or_default(), rows)
}

fn write(folder: &Path, features: i64, days: i64, random: &mut Random) -> (Duration, u64) {
    let (mut took, mut bytes) = (Duration::ZERO, 0);
    fs::create_dir_all(folder.join("model")).expect("a folder for the bench");
    for day in FIRST_DAY..FIRST_DAY + days {
        let windows: Vec<Window> = (0..288).map(|at| window(day * DAY_MS + at * EVERY_MS, features, random)).collect();
        let begun = Instant::now();
        let rows = settled(windows.into_iter().flat_map(rows_of).collect());
        let mut file = Vec::new();
        columns::write("model", &rows, &mut file).expect("rows that can be written");
        took += begun.elapsed();
        bytes += file.len() as u64;
        let date = driftgate_core::codec::time::utc(day * DAY_MS);
        fs::write(folder.join(format!("model/{}.parquet", date.get(..10).unwrap_or_default())), file)
            .expect("a disk with room");
    }
    (took, bytes)
}

/// Half a day that is not over; how long a window takes, with its way to the thread.
fn append(folder: &Path, features: i64, days: i64, random: &mut Random) -> Duration {
    let options = Options { path: folder.to_owned(), keep: Duration::from_secs(1000 * 86_400), store: None };
    let history =
        History::start(options, &Stores::default(), &Shared::default()).expect("a folder that can be written");
    let mut took = Duration::ZERO;
    for at in 0..144 {
        let window = window((FIRST_DAY + days) * DAY_MS + at * EVERY_MS, features, random);
        let end_ms = window.end_ms;
        let begun = Instant::now();
        let record = window.encode().expect("a record");
        history.write(vec![Given { model: "model".into(), end_ms, record }]);
        took += begun.elapsed();
    }
    took / 144
}

fn window(end_ms: i64, features: i64, random: &mut Random) -> Window {
    let n = 5000 + random.below(1000);
    let results = (0..features).flat_map(|feature| {
        let subject = format!("feature_{feature:03}");
        [measured("psi", &subject, feature, n, random), measured("ks_p", &subject, feature, n, random)]
    });
    Window {
        version: "7".into(),
        stage: Some("prod".into()),
        group: "drift".into(),
        start_ms: end_ms - 3_600_000,
        end_ms,
        complete: true,
        predictions: n,
        labels: 0,
        results: results.collect(),
    }
}

fn measured(metric: &str, subject: &str, feature: i64, n: u64, random: &mut Random) -> Measured {
    let missing = random.below(20);
    let is_psi = metric == "psi";
    let value = if is_psi { 0.01 * random.share() } else { random.share() };
    let bin = |at: u32, random: &mut Random| Bin {
        name: if at == 9 {
            "le:".into()
        } else {
            format!("le:{}", f64::from(at) * 1.37 + f64::from(u32::try_from(feature).unwrap_or(0)) / 7.0)
        },
        reference: 10_000,
        window: n / 10 + random.below(60),
    };
    Measured {
        rule: format!("drift/{metric}"),
        metric: metric.into(),
        subject: subject.into(),
        status: if random.below(50) == 0 { Status::Block } else { Status::Pass },
        value: Some(value),
        lower: None,
        upper: None,
        limit: Some(if is_psi { 0.2 } else { 0.01 }),
        side: Some(if is_psi { "lt" } else { "gte" }.into()),
        warn: is_psi.then_some(0.1),
        n: Some(n - missing),
        missing: Some(missing),
        invalid: Some(0),
        reference_n: Some(100_000),
        reason: None,
        pending: false,
        muted: false,
        bins: if is_psi { (0..10).map(|at| bin(at, random)).collect() } else { Vec::new() },
    }
}
