//! What the daemon holds has a bound in bytes: verdicts that cannot be delivered, and predictions whose labels do not come.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::broker::{Daemon, brokers, publish, read, topic, wait_for};
use super::super::kafka::{Topics, now_ms};
use super::super::support::Folder;
use super::memory::peak;
use super::{Events, assert_known, complete, replayed, wait_counted};

const MINUTE: i64 = 60_000;

/// The largest resident memory of a process so far, in MiB.
fn peak_mib(pid: u32) -> u64 {
    peak(pid).unwrap() >> 20
}

const FEATURES: usize = 240;
const VERSIONS: i64 = 4;
/// Windows of five minutes, every minute.
const WINDOWS: i64 = 60;

fn wide_policy() -> String {
    let names: Vec<String> = (0..FEATURES).map(|i| format!("f{i:03}")).collect();
    format!(
        "apiVersion: driftgate/v1\nmodel: shop\nbaseline: {{snapshot: \"wide.csv\", columns: {{score: score}}}}\n\
         features: {{numeric: [{}], categorical: [], grid: {{points: 101}}}}\nscore: {{threshold: 0.5}}\nlateness: 1s\n\
         checks:\n  drift:\n    window: {{size: 5m, slide: 1m}}\n    rules:\n    - psi: {{of: features, lt: 0.9}}\n\
         \x20   - missing_rate: {{of: features, max_increase: 0.05}}\n    - invalid_rate: {{of: features, lte: 0.01}}\n",
        names.join(", ")
    )
}

/// Two predictions of each version a minute.
fn wide_events(first: i64) -> Events {
    let event = |i: i64| {
        let (version, ts) = (i % VERSIONS + 1, first + i * MINUTE / (2 * VERSIONS));
        let features: serde_json::Map<String, Value> =
            (0..FEATURES).map(|f| (format!("f{f:03}"), json!((i * 7 + i64::try_from(f).unwrap()) % 100))).collect();
        let event = json!({"prediction_id": format!("e{i}"), "model": "shop", "version": version.to_string(), "ts": ts, "score": 0.3, "features": features});
        (0, format!("e{i}"), event.to_string().into_bytes())
    };
    (0..WINDOWS * VERSIONS * 2).map(event).collect()
}

#[test]
fn verdicts_that_cannot_be_delivered_take_bounded_memory_and_are_the_replays_after_a_restart() {
    let (predictions, verdicts) = (topic("bounds-predictions", 1), topic("bounds-verdicts", 1));
    let folder = Folder::new();
    folder.write("shop.yaml", wide_policy());
    let row = |i: usize| {
        let values: Vec<String> = (0..FEATURES).map(|f| ((i + f) % 100).to_string()).collect();
        format!("{},0.{}\n", values.join(","), i % 10)
    };
    let names: Vec<String> = (0..FEATURES).map(|i| format!("f{i:03}")).collect();
    folder.write("wide.csv", format!("{},score\n{}", names.join(","), (0..300).map(row).collect::<String>()));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [shop.yaml]\nkafka: {{brokers: \"{}\", group: \"{predictions}\"}}\n\
             sources: [{{topic: \"{predictions}\", kind: predictions, format: json}}]\nidle_after: 2s\n\
             registry: {{embedded: {{path: registry/registry.db}}}}\npublish: {{verdicts: \"{verdicts}\"}}\n\
             state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            brokers()
        ),
    );
    std::fs::create_dir_all(folder.path("registry")).unwrap();
    let config = folder.path("driftgate.yaml");
    let daemon = Daemon::start(&config, &[]);
    // An hour of windows closes at once; a stop comes before all of them are judged.
    let events = wide_events(now_ms() / MINUTE * MINUTE - (WINDOWS + 10) * MINUTE);
    publish(&predictions, events.clone());
    wait_counted(&daemon, "4", 120.0);
    assert_eq!(daemon.stop(), Some(0));
    // Then somebody holds the registry, until the process is killed.
    let mut daemon = Daemon::start(&config, &[]);
    let registry = rusqlite::Connection::open(folder.path("registry/registry.db")).unwrap();
    registry.busy_timeout(Duration::from_secs(10)).unwrap();
    registry.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::sleep(Duration::from_secs(6));
    let peak = peak_mib(daemon.id());
    assert!(peak < 500, "{peak} MiB resident");
    daemon.signal("KILL");
    wait_for("the kill", || daemon.is_gone().then_some(()));
    registry.execute_batch("ROLLBACK").unwrap();
    drop(registry);

    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    let expected = replayed(&folder, "shop.yaml", "", &[&events]);
    let found = wait_for("all verdicts", || {
        let found = complete(read(&verdicts));
        (found.len() >= expected.len()).then_some(found)
    });
    assert!(expected.len() >= 200, "{}", expected.len());
    assert_known(&found, &expected);
    let peak = peak_mib(daemon.id());
    assert!(peak < 500, "{peak} MiB resident");
    assert_eq!(daemon.stop(), Some(0));
}

const LABELLED: &str = "\
apiVersion: driftgate/v1
model: shop
baseline: {snapshot: \"shop.csv\", columns: {score: score, label: label}}
features: {numeric: [x], categorical: []}
score: {threshold: 0.5}
segments: [s]
labels: {horizon: 1m, lateness: 1s, silent_after: 2m}
lateness: 1s
checks:
  drift:
    window: {size: 1m, slide: 1m}
    rules:
    - psi: {of: features, lt: 0.2}
  fair:
    window: {size: 1m, slide: 1m}
    rules:
    - tpr_gap: {by: s, lt: 0.9, min_positives: 2}
";

fn labelled(folder: &Folder) {
    folder.write("shop.yaml", LABELLED);
    let rows: String = (0..1000).map(|i| format!("{i},0.{},{},s{}\n", i % 10, i % 2, i % 3)).collect();
    folder.write("shop.csv", format!("x,score,label,s\n{rows}"));
}

/// Ten predictions a second, from one minute to another.
fn predictions(first: i64, minutes: std::ops::Range<i64>) -> Events {
    let event = |i: i64| {
        let event = json!({"prediction_id": format!("e{i}"), "model": "shop", "version": "1", "ts": first + i * 100, "score": 0.7, "features": {"x": i % 1000}, "segments": {"s": format!("s{}", i % 3)}});
        (0, format!("e{i}"), event.to_string().into_bytes())
    };
    (minutes.start * 600..minutes.end * 600).map(event).collect()
}

/// Their labels, half a minute later.
fn labels(first: i64, minutes: std::ops::Range<i64>) -> Events {
    let event = |i: i64| {
        let event =
            json!({"prediction_id": format!("e{i}"), "model": "shop", "ts": first + i * 100 + 30_000, "label": i % 2});
        (0, format!("e{i}"), event.to_string().into_bytes())
    };
    (minutes.start * 600..minutes.end * 600).map(event).collect()
}

#[test]
fn predictions_do_not_wait_for_silent_labels_without_an_end_and_whole_windows_are_the_replays() {
    let topics = Topics::new("silent-labels", 1);
    let folder = Folder::new();
    labelled(&folder);
    folder.write("driftgate.yaml", topics.config("shop.yaml", "1s"));
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    let first = now_ms() / MINUTE * MINUTE - 40 * MINUTE;
    // Labels come for five minutes, and then for a quarter of an hour not.
    publish(&topics.labels, labels(first, 0..5));
    publish(&topics.predictions, predictions(first, 0..20));
    let waiting = "driftgate_join_waiting{kind=\"predictions\",model=\"shop\"}";
    let failing = "driftgate_failing{part=\"labels shop\"}";
    wait_for("the labels to be silent", || daemon.metric(failing).filter(|n| *n == 1.0));
    // The two minutes of `silent_after`, the horizon, its eighth, and the lateness: of twenty minutes.
    let held = wait_for("the sweep", || daemon.metric(waiting).filter(|n| *n <= 2200.0));
    assert!(held >= 1800.0, "{held} predictions are held");
    let status = folder.driftgate(&format!("status --server {}", daemon.url));
    let line = status.stdout.lines().next().unwrap_or_default().to_owned();
    assert!(line.contains("labels are silent"), "{}", status.stdout);
    assert_eq!(daemon.log().matches("labels are silent").count(), 1, "{}", daemon.log());
    let of = |group: &'static str, whole: bool| {
        let all = read(&topics.verdicts).into_iter();
        all.filter(|v| v["group"] == group && v["window"]["complete"] == whole).collect::<Vec<_>>()
    };
    let cut = wait_for("incomplete windows", || Some(of("fair", false)).filter(|cut| !cut.is_empty()));
    let reason = cut[0]["results"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("silent_after"), "{reason}");
    // They come again, and windows are whole again.
    publish(&topics.labels, labels(first, 20..26));
    publish(&topics.predictions, predictions(first, 20..26));
    // At least those from two minutes before the predictions that came in the silence.
    let (late, early) = ((first + 18 * MINUTE) / 1000, (first + 6 * MINUTE) / 1000);
    let end = |v: &Value| v["window"]["end"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    wait_for("whole windows", || of("fair", true).iter().any(|v| end(v) > late + 120).then_some(()));
    wait_for("the labels to be heard", || daemon.metric(failing).is_none().then_some(()));
    assert!(of("fair", true).iter().all(|v| end(v) <= early || end(v) > late), "silent windows are not whole");
    let (all_p, all_l) = ([predictions(first, 0..26)].concat(), [labels(first, 0..5), labels(first, 20..26)].concat());
    let lines =
        |events: &Events| events.iter().flat_map(|(_, _, p)| [p.as_slice(), b"\n"].concat()).collect::<Vec<u8>>();
    folder.write("labels.jsonl", lines(&all_l));
    let expected = replayed(&folder, "shop.yaml", "--labels labels.jsonl", &[&all_p]);
    assert_known(&complete(read(&topics.verdicts)), &expected);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_replay_does_not_wait_for_labels_of_a_file_that_has_ended() {
    let folder = Folder::new();
    labelled(&folder);
    let lines =
        |events: Events| events.iter().flat_map(|(_, _, p)| [p.as_slice(), b"\n"].concat()).collect::<Vec<u8>>();
    folder.write("p.jsonl", lines(predictions(1_700_000_040_000, 0..67)));
    folder.write("l.jsonl", lines(labels(1_700_000_040_000, 0..5)));
    let counters = |threads: u32| {
        let run = folder.driftgate(&format!(
            "replay --policy shop.yaml --predictions p.jsonl --labels l.jsonl --threads {threads} --json"
        ));
        run.exits(0).json()["counters"].clone()
    };
    let one = counters(1);
    assert!(one["unlabelled"].as_u64().unwrap() > 60 * 600, "{one}");
    assert_eq!(one, counters(3));
}

#[test]
fn what_is_given_up_for_memory_is_counted_and_makes_windows_of_labels_incomplete_and_no_others() {
    let folder = Folder::new();
    labelled(&folder);
    folder.write("shop.yaml", LABELLED.replace("horizon: 1m", "horizon: 1d").replace(", silent_after: 2m", ""));
    let first = 1_700_000_040_000;
    let line = |i: i64| {
        format!(
            "{{\"prediction_id\":\"e{i}\",\"model\":\"shop\",\"version\":\"1\",\"ts\":{},\"score\":0.7,\"features\":{{\"x\":{}}},\"segments\":{{\"s\":\"s{}\"}}}}\n",
            first + i * 10,
            i % 1000,
            i % 3
        )
    };
    const EVENTS: i64 = 700_000;
    folder.write("p.jsonl", (0..EVENTS).map(line).collect::<String>());
    // Labels of the first hundred thousand, an hour and forty minutes later.
    let label = |i: i64| {
        format!(
            "{{\"prediction_id\":\"e{i}\",\"model\":\"shop\",\"ts\":{},\"label\":{}}}\n",
            first + i * 10 + 6_000_000,
            i % 2
        )
    };
    folder.write("l.jsonl", (0..100_000).map(label).collect::<String>());
    folder.write(
        "limits.yaml",
        "sources: [{topic: t, kind: predictions, format: json}]\nregistry: {embedded: {path: r.db}}\nlimits: {join_bytes: 16MiB}\n",
    );
    let judged = |arguments: &str| {
        let run = folder.driftgate(&format!(
            "replay --policy shop.yaml --predictions p.jsonl --labels l.jsonl --verdicts v.jsonl --json {arguments}"
        ));
        let summary = run.exits(0).json();
        let of =
            |group: &str| folder.json_lines("v.jsonl").into_iter().filter(|v| v["group"] == group).collect::<Vec<_>>();
        (summary["counters"].clone(), of("drift"), of("fair"))
    };
    let (all, drift, fair) = judged("");
    assert_eq!((&all["given_up"], &all["joined"]), (&json!(0), &json!(100_000)));
    let (bounded, same, cut) = judged("--config limits.yaml");
    assert!(bounded["given_up"].as_u64().unwrap() > 200_000, "{bounded}");
    assert!(bounded["joined"].as_u64().unwrap() < 50_000, "{bounded}");
    assert!(drift == same, "what reads no labels is not touched");
    let fair = complete(fair);
    assert_known(&complete(cut.clone()), &fair);
    let given_up = cut.iter().filter(|v| v["window"]["complete"] == false);
    let reasons: Vec<&str> = given_up.filter_map(|v| v["results"][0]["reason"].as_str()).collect();
    assert!(reasons.iter().any(|r| r.contains("limits.join_bytes")), "{reasons:?}");
    assert!(complete(cut).len() < fair.len());
}
