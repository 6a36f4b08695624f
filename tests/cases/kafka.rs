//! The daemon against a real Kafka: its verdicts are the replay's, also over a restart; and what goes wrong is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::broker::{Daemon, brokers, committed, delete_before, flights, publish, read, topic, wait_for};
use super::store::Store;
use super::support::{Folder, json_lines};

/// Topics of one test.
pub struct Topics {
    pub predictions: String,
    pub labels: String,
    pub verdicts: String,
    pub signals: String,
    pub dead: String,
}

impl Topics {
    pub fn new(name: &str, partitions: i32) -> Self {
        Self {
            predictions: topic(&format!("{name}-predictions"), partitions),
            labels: topic(&format!("{name}-labels"), partitions),
            verdicts: topic(&format!("{name}-verdicts"), 1),
            signals: topic(&format!("{name}-signals"), 1),
            dead: topic(&format!("{name}-dead"), 1),
        }
    }

    pub fn config(&self, policy: &str, idle_after: &str) -> String {
        format!(
            "policies: [\"{policy}\"]\n\
             kafka: {{brokers: \"{}\", group: \"{}\"}}\n\
             sources:\n\
             - {{topic: \"{}\", kind: predictions, format: json}}\n\
             - {{topic: \"{}\", kind: labels, format: json}}\n\
             idle_after: {idle_after}\n\
             registry: {{embedded: {{path: registry.db}}}}\n\
             publish: {{signals: \"{}\", verdicts: \"{}\", dead_letters: {{topic: \"{}\", payload: none}}}}\n\
             state: {{path: state, every: 1s}}\n\
             http: {{listen: \"127.0.0.1:0\"}}\n",
            brokers(),
            self.predictions,
            self.predictions,
            self.labels,
            self.signals,
            self.verdicts,
            self.dead
        )
    }
}

pub fn load(file: &str, kind: &str, topic: &str, rate: Option<u32>) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftgate"));
    command.args(["load", "--policy"]).arg(flights().join("policy-core.yaml")).args([
        "--topic",
        topic,
        "--kind",
        kind,
        "--brokers",
        &brokers(),
    ]);
    if let Some(rate) = rate {
        command.args(["--rate", &rate.to_string()]);
    }
    command.arg("--file").arg(flights().join(file)).stdout(Stdio::null()).spawn().unwrap()
}

/// The complete verdicts of a replay of the flights, by id.
fn replayed() -> BTreeMap<String, Value> {
    replayed_of(&flights().join("predictions.parquet"), &flights().join("labels.parquet"))
}

/// The same of a part of them.
pub fn replayed_of(predictions: &Path, labels: &Path) -> BTreeMap<String, Value> {
    let folder = Folder::new();
    let out = folder.path("verdicts.jsonl");
    let run = folder.driftgate(&format!(
        "replay --policy {}/policy-core.yaml --predictions {} --labels {} --verdicts {}",
        flights().display(),
        predictions.display(),
        labels.display(),
        out.display()
    ));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    by_id(json_lines(&out).into_iter().filter(|v| v["window"]["complete"] == true))
}

pub fn by_id(verdicts: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    verdicts.into_iter().map(|v| (v["verdict_id"].as_str().unwrap().to_owned(), v)).collect()
}

/// Every result of every verdict is the same.
fn assert_equal(daemon: &BTreeMap<String, Value>, replay: &BTreeMap<String, Value>) {
    for (id, expected) in replay {
        let place = format!("{} {} {}", expected["version"], expected["group"], expected["window"]["end"]);
        let found = daemon.get(id).unwrap_or_else(|| panic!("{place} is missing"));
        assert_eq!(found, expected, "{place}");
    }
    assert_eq!(daemon.len(), replay.len(), "the daemon has verdicts that the replay has not");
}

#[test]
fn the_daemons_verdicts_are_the_replays_over_a_restart_with_the_read_records_deleted() {
    let expected = replayed();
    let topics = Topics::new("flights", 4);
    let folder = Folder::new();
    let policy = flights().join("policy-core.yaml");
    folder.write("driftgate.yaml", topics.config(&policy.display().to_string(), "8s"));
    let config = folder.path("driftgate.yaml");
    let daemon = Daemon::start(&config, &[]);
    // Published while it is being read, slowly enough to stop in the middle.
    let mut loads = [
        load("predictions.parquet", "predictions", &topics.predictions, Some(30_000)),
        load("labels.parquet", "labels", &topics.labels, Some(30_000)),
    ];
    let events = format!("driftgate_events_total{{topic=\"{}\"}}", topics.predictions);
    // On a machine that is busy the labels may come later than the predictions, and verdicts with them.
    wait_for("a part of the predictions, and a verdict", || {
        let some = daemon.metric(&events).is_some_and(|n| n > 120_000.0);
        (some && !read(&topics.verdicts).is_empty()).then_some(())
    });
    assert_eq!(daemon.stop(), Some(0));
    let early = read(&topics.verdicts);
    assert!(!early.is_empty() && early.len() < expected.len(), "{} verdicts before the restart", early.len());
    // What was counted is not needed any more.
    for source in [&topics.predictions, &topics.labels] {
        for partition in 0..4 {
            let next = committed(&topics.predictions, source, partition);
            assert!(next > 0, "{source}/{partition} has no committed offset");
            delete_before(source, partition, next);
        }
    }
    let daemon = Daemon::start(&config, &[]);
    for load in &mut loads {
        assert!(load.wait().unwrap().success());
    }
    let found = wait_for("all verdicts", || {
        let found = by_id(read(&topics.verdicts));
        (found.len() >= expected.len()).then_some(found)
    });
    assert_equal(&found, &expected);
    assert_eq!(daemon.metric("driftgate_after_close_total{model=\"flight_delay\"}"), Some(0.0));

    // The registry heard of every edge: both versions end blocked by fairness, as the last verdicts say.
    let count = |action: &str| read(&topics.signals).iter().filter(|s| s["action"] == action).count();
    wait_for("21 blocks and 19 clears", || ((count("block"), count("clear")) == (21, 19)).then_some(()));
    let gate = folder.driftgate(&format!("gate flight_delay 2 --to prod --server {}", daemon.url));
    assert_eq!(gate.code, Some(1), "{} {}", gate.stdout, gate.stderr);
    assert!(gate.stdout.contains("fairness/tpr_gap_cross origin*carrier"), "{}", gate.stdout);

    // The last verdicts are out before the last pairs are joined: those belong to windows that do not end.
    wait_for("the last pairs", || {
        daemon.metric("driftgate_labels_joined_total{model=\"flight_delay\"}").filter(|n| *n >= 444_005.0)
    });

    // Prometheus accepts what it is shown.
    let (_, metrics) = daemon.get("/metrics");
    for series in [
        "driftgate_psi{feature=\"dep_delay\",group=\"drift\",model=\"flight_delay\",version=\"1\"}",
        "driftgate_tpr_gap{attribute=\"origin\",group=\"fairness\",model=\"flight_delay\",version=\"2\"}",
        "driftgate_block_active{group=\"fairness\",model=\"flight_delay\",version=\"2\"} 1",
        "driftgate_labels_joined_total{model=\"flight_delay\"} 444005",
    ] {
        assert!(metrics.contains(series), "no {series} in:\n{metrics}");
    }
    promtool(&metrics);
    assert_eq!(daemon.stop(), Some(0));
}

/// Runs `promtool check metrics`, which the set-up puts on the path.
fn promtool(metrics: &str) {
    use std::io::Write as _;
    let local = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cache/bin/promtool");
    let program = if local.exists() { local } else { PathBuf::from("promtool") };
    let mut child = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("promtool: run `make setup`");
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

pub const SHOP: &str = "\
apiVersion: driftgate/v1
model: shop
baseline: {snapshot: \"shop_v{version}.csv\", columns: {score: score, label: label}}
features: {numeric: [x], categorical: []}
score: {threshold: 0.5}
labels: {horizon: 1h, lateness: 1s}
lateness: 1s
min_samples: 200
checks:
  drift:
    window: {size: 10s, slide: 10s}
    stale_after: 1h
    rules:
    - psi: {of: features, lt: 0.2}
";

pub fn shop(folder: &Folder, topics: &Topics) -> PathBuf {
    folder.write("shop.yaml", SHOP);
    let rows: String = (0..1000).map(|i| format!("{i},{},{}\n", f64::from(i % 10) / 10.0, i % 2)).collect();
    folder.write("shop_v1.csv", format!("x,score,label\n{rows}"));
    folder.write("driftgate.yaml", topics.config("shop.yaml", "2s"));
    folder.path("driftgate.yaml")
}

pub fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// A thousand predictions of one window; `shift` moves x.
pub fn window(version: &str, start: i64, shift: i64) -> Vec<(i32, String, Vec<u8>)> {
    let event = |i: i64| {
        let id = format!("{version}-{start}-{i}");
        let event = json!({"prediction_id": id, "model": "shop", "version": version, "ts": start + i * 9, "score": 0.3, "features": {"x": i + shift}, "stage": "staging"});
        ((i % 2) as i32, id, event.to_string().into_bytes())
    };
    (0..1000).map(event).collect()
}

#[test]
fn a_block_closes_the_gate_a_clear_opens_it_and_bad_messages_are_told_apart() {
    let topics = Topics::new("shop", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let daemon = Daemon::start(&config, &[]);
    let gate = |daemon: &Daemon, version: &str| {
        folder.driftgate(&format!("gate shop {version} --to prod --server {}", daemon.url))
    };
    let first = now_ms() / 10_000 * 10_000 - 120_000;
    publish(&topics.predictions, window("1", first, 0));
    publish(&topics.predictions, window("1", first + 10_000, 700));
    publish(&topics.predictions, window("1", first + 20_000, 700));
    let blocked = wait_for("the gate to close", || Some(gate(&daemon, "1")).filter(|g| g.code == Some(1)));
    assert!(blocked.stdout.contains("drift/psi x") && blocked.stdout.contains("breaks lt 0.2"), "{}", blocked.stdout);
    publish(&topics.predictions, window("1", first + 30_000, 0));
    publish(&topics.predictions, window("1", first + 40_000, 0));
    wait_for("the gate to open", || Some(gate(&daemon, "1")).filter(|g| g.code == Some(0)));
    assert_eq!(gate(&daemon, "9").code, Some(3), "an unknown version is inconclusive");

    // A version whose snapshot is missing is counted, and judged insufficient with the reason.
    publish(&topics.predictions, window("2", first + 50_000, 0));
    publish(&topics.predictions, window("1", first + 50_000, 0));
    publish(&topics.predictions, window("1", first + 60_000, 0));
    let lost =
        wait_for("the verdict of version 2", || read(&topics.verdicts).into_iter().find(|v| v["version"] == "2"));
    assert_eq!((lost["status"].as_str(), lost["counted"]["predictions"].as_u64()), (Some("insufficient"), Some(1000)));
    assert!(lost["results"][0]["reason"].as_str().unwrap().contains("shop_v2.csv"), "{lost}");
    assert_eq!(gate(&daemon, "2").code, Some(3));

    // Bad messages: each rejected with its origin, and nothing else is disturbed.
    let deep = "[".repeat(10_000);
    let future = now_ms() + 7_200_000;
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("not_json", b"{\"model\":\"shop\",\"ts\":1".to_vec()),
        ("too_deep", format!("{{\"x\":{deep}").into_bytes()),
        ("duplicate_key", br#"{"model":"shop","ts":1,"ts":2}"#.to_vec()),
        ("not_json", br#"{"model":"shop","ts":1,"score":nan}"#.to_vec()),
        ("future", format!(r#"{{"prediction_id":"f","model":"shop","version":"1","ts":{future}}}"#).into_bytes()),
        ("bad_time", br#"{"prediction_id":"o","model":"shop","version":"1","ts":-5}"#.to_vec()),
        ("no_id", br#"{"model":"shop","version":"1","ts":5}"#.to_vec()),
    ];
    publish(&topics.predictions, bad.iter().map(|(_, payload)| (0, "k".to_owned(), payload.clone())));
    publish(
        &topics.predictions,
        [(1, "k".to_owned(), br#"{"prediction_id":"u","model":"boats","version":"1","ts":5}"#.to_vec())],
    );
    let letters = wait_for("the dead letters", || Some(read(&topics.dead)).filter(|l| l.len() >= bad.len()));
    let reasons: Vec<&str> = letters.iter().map(|l| l["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, bad.iter().map(|(r, _)| *r).collect::<Vec<_>>());
    assert!(
        letters
            .iter()
            .all(|l| l["topic"] == topics.predictions.as_str() && l["partition"] == 0 && l["payload"].is_null())
    );
    assert!(letters[0]["detail"].as_str().unwrap().contains("the text is cut short"), "{}", letters[0]);
    let ignored = format!("driftgate_unknown_model_events_total{{topic=\"{}\"}} 1", topics.predictions);
    wait_for("the event of an unknown model", || daemon.get("/metrics").1.contains(&ignored).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn changed_limits_are_taken_over_on_sighup_and_changed_features_start_anew() {
    let topics = Topics::new("reload", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let daemon = Daemon::start(&config, &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    folder.write("shop.yaml", SHOP.replace("lt: 0.2", "lt: 0.9"));
    daemon.signal("HUP");
    wait_for("the new limits", || daemon.log().contains("limits changed: counts are kept").then_some(()));
    folder.write(
        "shop.yaml",
        SHOP.replace("numeric: [x]", "numeric: [x]\n  grid: {points: exact}")
            .replace("features: {", "features:\n  ")
            .replace(", categorical: []}", "\n  categorical: []"),
    );
    daemon.signal("HUP");
    wait_for("the refusal of a broken policy, or a new start", || {
        daemon.log().contains("counts start anew").then_some(())
    });
    folder.write("shop.yaml", SHOP.replace("lt: 0.2", "lt: \"0,2\""));
    daemon.signal("HUP");
    wait_for("the refusal", || daemon.log().contains("are not taken over").then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_daemon_without_brokers_or_topics_says_so_and_waits() {
    let topics = Topics::new("wait", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let text = topics.config("shop.yaml", "2s");
    folder.write("driftgate.yaml", text.replace(&brokers(), "127.0.0.1:1"));
    let daemon = Daemon::start(&config, &[]);
    let (status, body) =
        wait_for("the reason", || Some(daemon.get("/ready")).filter(|(_, b)| b.contains("127.0.0.1:1")));
    assert_eq!(status, 503);
    assert!(body.contains("no broker of 127.0.0.1:1 answers"), "{body}");
    assert_eq!(daemon.get("/live").0, 200);
    wait_for("a clear log", || daemon.log().contains("next attempt in").then_some(()));
    assert_eq!(daemon.stop(), Some(0), "it stops while it waits");

    folder.write("driftgate.yaml", text.replace(&topics.labels, "no-such-topic"));
    let daemon = Daemon::start(&config, &[]);
    let (status, body) =
        wait_for("the reason", || Some(daemon.get("/ready")).filter(|(_, b)| b.contains("no-such-topic")));
    assert_eq!(status, 503);
    assert!(body.contains("does not exist on") && body.contains("create it"), "{body}");
    assert_eq!(daemon.stop(), Some(0));

    folder.write("driftgate.yaml", text);
    let daemon = Daemon::start(&config, &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    let second = folder.driftgate("run --config driftgate.yaml");
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("is in use by another driftgate"), "{}", second.stderr);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_turn_with_a_version_whose_baseline_is_loading_is_counted_once_over_a_restart() {
    let topics = Topics::new("two", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    // Without labels no id would tell a second count.
    let unlabelled = SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", "");
    folder.write("shop.yaml", &unlabelled);
    folder.write(
        "other.yaml",
        unlabelled.replace("model: shop", "model: other").replace("shop_v", "s3://training/other_v"),
    );
    let text = topics.config("shop.yaml", "2s").replace("[\"shop.yaml\"]", "[\"shop.yaml\", \"other.yaml\"]");
    folder.write("driftgate.yaml", text);
    // The other model's snapshot does not come yet.
    let store = Store::start(folder.read("shop_v1.csv"));
    let first = now_ms() / 10_000 * 10_000 - 60_000;
    let of_other = |(p, id, payload): (i32, String, Vec<u8>)| {
        let text = String::from_utf8(payload).unwrap().replace("\"shop\"", "\"other\"");
        (p, id, text.into_bytes())
    };
    let both = window("1", first, 0).into_iter().flat_map(|e| [e.clone(), of_other(e)]).map(|(_, k, v)| (0, k, v));
    publish(&topics.predictions, both);
    let daemon = Daemon::start(&config, &store.variables());
    let events = format!("driftgate_events_total{{topic=\"{}\"}}", topics.predictions);
    // The first turn, however much of both models it holds: the partition waits with it for the baseline.
    wait_for("the first events", || daemon.metric(&events).filter(|n| *n >= 2.0));
    assert_eq!(daemon.stop(), Some(0));
    store.answer();
    let daemon = Daemon::start(&config, &store.variables());
    let counted =
        |model: &str| daemon.metric(&format!("driftgate_predictions_total{{model=\"{model}\",version=\"1\"}}"));
    wait_for("both models", || (counted("shop") >= Some(1000.0) && counted("other") >= Some(1000.0)).then_some(()));
    assert_eq!((counted("shop"), counted("other")), (Some(1000.0), Some(1000.0)));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_partition_that_was_empty_by_retention_is_no_hole_after_a_restart() {
    let topics = Topics::new("empty", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let early = window("1", now_ms() - 600_000, 0).into_iter().take(10).map(|(_, k, v)| (0, k, v));
    publish(&topics.predictions, early);
    delete_before(&topics.predictions, 0, 10);
    for _ in 0..2 {
        let daemon = Daemon::start(&config, &[]);
        wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
        // A checkpoint later it still is.
        wait_for("a checkpoint", || daemon.metric("driftgate_checkpoint_written_total").filter(|n| *n >= 1.0));
        assert_eq!(daemon.get("/ready").0, 200);
        assert_eq!(daemon.stop(), Some(0));
    }
}
