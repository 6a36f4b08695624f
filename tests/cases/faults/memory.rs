//! Streams that are made to take memory stay under what `driftgate check` says: versions, categories, segments, ids without labels,
//! models that nobody knows. The figures are those of the kernel.

use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::super::broker::{Daemon, publish, wait_for};
use super::super::kafka::{Topics, now_ms};
use super::super::support::Folder;
use super::Events;

const VERSIONS: u64 = 1000;
const SEGMENTS: u64 = 10_000;
const FIRST: i64 = 1_700_000_000_000 / HOUR * HOUR;
const HOUR: i64 = 3_600_000;
/// Between two events, ms: twenty million lie within a day and an eighth.
const STEP: i64 = 4;

const POLICY: &str = "\
apiVersion: driftgate/v1
model: shop
baseline: {snapshot: \"train.csv\", columns: {score: score, label: label}}
features: {numeric: [x], categorical: [c], grid: {points: 101}}
score: {threshold: 0.5}
segments: [s]
labels: {horizon: 1d, lateness: 1m}
lateness: 1m
checks:
  drift:
    window: {size: 6h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2}
  fair:
    window: {size: 6h, slide: 1h}
    rules:
    - tpr_gap: {by: s, lt: 0.9, min_positives: 2}
";

/// What a stream makes many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Many {
    Versions,
    Categories,
    Segments,
    Ids,
    Models,
}

const ALL: [Many; 5] = [Many::Versions, Many::Categories, Many::Segments, Many::Ids, Many::Models];

impl Many {
    fn line(self, i: u64, ts: i64) -> String {
        let (mut model, mut version, mut c, mut s) = ("shop".to_owned(), 1, "c0".to_owned(), "s0".to_owned());
        match self {
            Self::Versions => version = i % VERSIONS,
            Self::Categories => c = format!("category-{i}"),
            // And as many again as may be told apart.
            Self::Segments => s = format!("segment-{}", i % (2 * SEGMENTS)),
            Self::Ids => {}
            Self::Models => model = format!("model-{i}"),
        }
        format!(
            "{{\"prediction_id\":\"{self:?}-{i}\",\"model\":\"{model}\",\"version\":\"{version}\",\"ts\":{ts},\"score\":0.7,\"features\":{{\"x\":{},\"c\":\"{c}\"}},\"segments\":{{\"s\":\"{s}\"}}}}\n",
            i % 1000
        )
    }

    fn versions(self) -> u64 {
        if self == Self::Versions { VERSIONS } else { 1 }
    }
}

fn prepare(folder: &Folder, config: &str) {
    folder.write("shop.yaml", POLICY);
    let rows: String = (0..1000).map(|i| format!("{i},c{},0.{},{},s{}\n", i % 3, i % 10, i % 2, i % 3)).collect();
    folder.write("train.csv", format!("x,c,score,label,s\n{rows}"));
    folder.write("driftgate.yaml", config);
}

/// What `check` says: bytes at most with so many versions of the model.
fn at_most(folder: &Folder, versions: u64) -> u64 {
    let said = folder.driftgate("check --config driftgate.yaml --json").exits(0).json();
    let (config, model) = (&said["config"]["memory"], &said["policies"][0]["memory_at_most"]);
    let of = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{said}"));
    let parts = ["names_bytes", "decoders_bytes", "join_bytes", "held_bytes"].map(|part| of(&model[part]));
    let all =
        of(&config["process_bytes"]) + parts.iter().sum::<u64>() + versions * of(&model["version"]["total_bytes"]);
    if versions == of(&model["versions"]) {
        assert_eq!(all + all / 4, of(&config["most_bytes"]));
    }
    all + all / 4
}

/// The largest resident memory of a process so far.
pub fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Replays so many events of a stream; gives the peak and the counters.
fn replay(folder: &Folder, many: Many, events: u64) -> (u64, Value) {
    // Labels do not end before the predictions, and are of none of them.
    let last = FIRST + STEP * events as i64 + 1;
    let label = |ts: i64| format!("{{\"prediction_id\":\"nobody-{ts}\",\"model\":\"shop\",\"ts\":{ts},\"label\":1}}\n");
    folder.write("labels.jsonl", label(FIRST) + &label(last));
    let mut child = Command::new(env!("CARGO_BIN_EXE_driftgate"))
        .args(
            "replay --json --policy shop.yaml --config driftgate.yaml --predictions - --labels labels.jsonl".split(' '),
        )
        .current_dir(folder.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (pid, most) = (child.id(), Arc::new(AtomicU64::new(0)));
    let seen = Arc::clone(&most);
    let watching = std::thread::spawn(move || {
        while let Some(now) = peak(pid) {
            seen.fetch_max(now, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut to = BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap());
    for i in 0..events {
        to.write_all(many.line(i, FIRST + STEP * i as i64).as_bytes()).unwrap();
    }
    drop(to);
    let output = child.wait_with_output().unwrap();
    watching.join().unwrap();
    assert!(output.status.success(), "{many:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    (most.load(Ordering::Relaxed), summary["counters"].clone())
}

const LIMITS: &str = "\
policies: [shop.yaml]
sources: [{topic: p, kind: predictions, format: json}, {topic: l, kind: labels, format: json}]
registry: {embedded: {path: r.db}}
limits: {join_bytes: 64MiB}
";

/// Every stream of so many events stays under the bound, and takes hardly more than a tenth of it does.
fn stays_under(events: u64) {
    let folder = Folder::new();
    prepare(&folder, LIMITS);
    for many in ALL {
        let most = at_most(&folder, many.versions());
        let (tenth, _) = replay(&folder, many, events / 10);
        let (all, counters) = replay(&folder, many, events);
        println!("{many:?}: {} MiB of at most {} MiB, {} MiB for a tenth", all >> 20, most >> 20, tenth >> 20);
        assert!(all > 0 && all < most, "{many:?}: {all} bytes resident, at most {most}");
        let counted = counters["predictions"].as_u64().unwrap();
        assert_eq!(counted, if many == Many::Models { 0 } else { events }, "{many:?}: {counters}");
        if events >= 10_000_000 {
            assert!(all < tenth + tenth / 4 + (64 << 20), "{many:?}: {all} bytes resident, {tenth} for a tenth");
            assert!(
                many == Many::Models || counters["given_up"].as_u64().unwrap() > events / 2,
                "{many:?}: {counters}"
            );
        }
    }
}

#[test]
fn streams_made_to_take_memory_stay_under_what_check_says() {
    stays_under(150_000);
}

#[test]
#[ignore = "ten minutes: see make soak"]
fn twenty_million_events_made_to_take_memory_stay_under_what_check_says() {
    stays_under(20_000_000);
}

#[test]
fn a_daemon_that_reads_all_of_them_stays_under_what_check_says() {
    const EACH: u64 = 10_000;
    let topics = Topics::new("memory", 1);
    let folder = Folder::new();
    prepare(&folder, &(topics.config("shop.yaml", "2s") + "limits: {join_bytes: 16MiB}\n"));
    let most = at_most(&folder, VERSIONS);
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    let first = now_ms() - HOUR;
    let events: Events = (0..EACH)
        .flat_map(|i| ALL.map(|many| (0, String::new(), many.line(i, first + i as i64).into_bytes())))
        .collect();
    publish(&topics.predictions, events);
    let read = format!("driftgate_events_total{{topic=\"{}\"}}", topics.predictions);
    wait_for("all events to be read", || daemon.metric(&read).filter(|n| *n >= (5 * EACH) as f64));
    let refused = daemon.metric("driftgate_versions_refused_total{model=\"shop\"}");
    assert!(refused.is_some_and(|n| n > 800.0), "{refused:?}");
    let unknown = format!("driftgate_unknown_model_events_total{{topic=\"{}\"}}", topics.predictions);
    assert_eq!(daemon.metric(&unknown), Some(EACH as f64));
    let peak = peak(daemon.id()).unwrap();
    println!("a daemon: {} MiB of at most {} MiB", peak >> 20, most >> 20);
    assert!(peak < most, "{peak} bytes resident, at most {most}");
    assert_eq!(daemon.stop(), Some(0));
}
