//! A replay's memory does not grow with the stream. Its name is among the first, so that this test, the longest, begins early.

use std::thread;

use super::long_stream::{LABEL_EVERY, Replay, Template, Times, pipe, write_labels};
use super::support::Folder;

const BEFORE: u64 = 10_000_000;
const TIMES: Times = Times { first: 1_767_225_600_000, step: 1 };
/// An hour of counts and two minutes of predictions that wait for labels are all that is kept.
const POLICY: &str = "\
apiVersion: driftgate/v1
model: m
baseline: {snapshot: \"train_v{version}.csv\", columns: {score: score}}
features: {numeric: [x], categorical: []}
score: {threshold: 0.5}
segments: [s]
labels: {horizon: 2m}
checks:
  drift:
    window: {size: 1h, slide: 5m}
    rules:
    - psi: {of: features, lt: 0.2}
    - tpr_gap: {by: s, lt: 0.9}
";

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn thirty_million_events_take_no_more_memory_than_ten_million() {
    take_no_more_memory_than_ten_million(30_000_000);
}

#[test]
#[ignore = "some minutes: make soak"]
fn a_hundred_million_events_take_no_more_memory_than_ten_million() {
    take_no_more_memory_than_ten_million(100_000_000);
}

fn take_no_more_memory_than_ten_million(events: u64) {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder
        .write("train_v1.csv", (0..1000).fold("x,score\n".to_owned(), |all, i| all + &format!("{i}.5,0.{}\n", i % 97)));
    let line = |i: u64| {
        let (score, x, s) = (i % 89 + 10, i % 1009, i % 3);
        format!(
            r#"{{"prediction_id":"e000000000","model":"m","version":"1","ts":1767225600000,"score":0.{score},"features":{{"x":{x}.25}},"segments":{{"s":"s{s}"}}}}"#
        )
    };
    let templates: Vec<Template> = (0..10_000).map(|i| Template::new(&line(i))).collect();
    let labels = pipe(folder.path("labels.jsonl"));
    let binary = env!("CARGO_BIN_EXE_driftgate");
    thread::scope(|scope| {
        let mut replay = Replay::start(binary, &folder.path("policy.yaml"), &labels, &templates, TIMES);
        scope.spawn(|| write_labels(&labels, "m", TIMES, events));
        replay.send_to(BEFORE);
        let before = resident_kib(replay.pid());
        replay.send_to(events);
        let (sent, all) = (replay.sent(), resident_kib(replay.pid()));
        let summary = replay.end();
        let counted = ["predictions", "joined"].map(|what| summary["counters"][what].as_u64().unwrap());
        assert_eq!(counted, [sent, sent / LABEL_EVERY], "{summary}");
        assert!(all <= before + before / 5, "{all} KiB resident after {sent} events, {before} KiB after {BEFORE}");
    });
}
