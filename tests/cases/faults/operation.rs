//! What an operator meets: a second daemon on one consumer group, a registry that another process holds, a disk that takes a
//! checkpoint without an end, versions that nobody knows.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop};
use super::super::support::Folder;
use super::{Events, complete, replayed};

/// A policy that judges without labels.
fn policy() -> String {
    SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", "")
}

fn events(from: i64, windows: std::ops::Range<i64>) -> Events {
    let event = |i: i64| {
        let json = json!({"prediction_id": i.to_string(), "model": "shop", "version": "1", "ts": from + i * 20, "score": 0.3, "features": {"x": i * 2 % 1000}});
        (0, i.to_string(), json.to_string().into_bytes())
    };
    (windows.start * 500..windows.end * 500).map(event).collect()
}

/// The configuration with a state folder and a registry of its own.
fn with_state(folder: &Folder, topics: &Topics, state: &str) -> std::path::PathBuf {
    let config = topics.config("shop.yaml", "2s").replace("path: state,", &format!("path: {state},"));
    let name = format!("{state}.yaml");
    folder.write(&name, config.replace("registry.db", &format!("{state}.db")));
    folder.path(&name)
}

fn is_ready(daemon: &Daemon) -> Option<()> {
    daemon.try_get("/ready").filter(|body| body.contains("\"ready\":true")).map(drop)
}

#[test]
fn a_second_daemon_of_a_group_is_refused_and_one_that_follows_is_not() {
    let (folder, topics) = (Folder::new(), Topics::new("second", 2));
    shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    let start = now_ms() / 10_000 * 10_000 - 120_000;
    let refused = |mut second: Daemon, by: &Daemon| {
        wait_for("the second one's end", || second.is_gone().then_some(()));
        let (log, first) = (second.log(), by.id().to_string());
        let told = log.lines().any(|line| {
            line.contains("another driftgate reads for the consumer group")
                && line.contains(&format!("process {first} on "))
        });
        assert!(told, "{log}");
        assert_eq!(second.stop_code(), Some(2));
    };
    let one = Daemon::start(&with_state(&folder, &topics, "one"), &[]);
    wait_for("readiness", || is_ready(&one));
    let published = events(start, 0..4);
    publish(&topics.predictions, published.clone());
    refused(Daemon::start(&with_state(&folder, &topics, "two"), &[]), &one);
    let expected = replayed(&folder, "shop.yaml", "", &[&published]);
    wait_for("the verdicts", || (complete(read(&topics.verdicts)) == expected).then_some(()));
    assert_eq!(read(&topics.verdicts).len(), expected.len());
    assert!(is_ready(&one).is_some());

    // One that was killed is the same one on its state, and no obstacle to another for longer than it takes to see that.
    drop(one);
    let one = Daemon::start(&with_state(&folder, &topics, "one"), &[]);
    wait_for("readiness", || is_ready(&one));
    assert!(!one.log().contains("another driftgate"), "{}", one.log());
    drop(one);
    let two = Daemon::start(&with_state(&folder, &topics, "two"), &[]);
    wait_for("everything to be read by the other", || {
        let read = format!("driftgate_events_total{{topic=\"{}\"}}", topics.predictions);
        two.metric(&read).filter(|n| *n >= 2000.0)
    });
    refused(Daemon::start(&with_state(&folder, &topics, "one"), &[]), &two);
    assert_eq!(two.stop(), Some(0));
    let three = Daemon::start(&with_state(&folder, &topics, "three"), &[]);
    wait_for("readiness", || is_ready(&three));
    assert!(!three.log().contains("another driftgate"), "{}", three.log());
    assert_eq!(three.stop(), Some(0));
}

#[test]
fn two_daemons_with_one_registry_say_everything_once_in_content() {
    let (folder, topics) = (Folder::new(), Topics::new("one-registry", 1));
    shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    // Each has a group and a state folder of its own, and they share the registry and the topics.
    let configs = ["one", "two"].map(|state| {
        let config = topics.config("shop.yaml", "2s").replace("path: state,", &format!("path: {state},"));
        let group = format!("group: \"{}\"", topics.predictions);
        folder.write(
            &format!("{state}.yaml"),
            config.replace(&group, &format!("group: \"{}-{state}\"", topics.predictions)),
        );
        folder.path(&format!("{state}.yaml"))
    });
    let daemons = configs.map(|config| Daemon::start(&config, &[]));
    let start = now_ms() / 10_000 * 10_000 - 120_000;
    let shifted = |windows: std::ops::Range<i64>| -> Events {
        let raise = |payload: Vec<u8>| String::from_utf8(payload).unwrap().replace("\"x\":", "\"x\":9").into_bytes();
        events(start, windows).into_iter().map(|(p, key, payload)| (p, key, raise(payload))).collect()
    };
    let published = [events(start, 0..2), shifted(2..4), events(start, 4..6)];
    published.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let expected = replayed(&folder, "shop.yaml", "", &published.iter().collect::<Vec<_>>());
    // Of each id there is one content, which `complete` sees to.
    for daemon in &daemons {
        wait_for("everything to be counted", || {
            daemon.metric("driftgate_predictions_total{model=\"shop\",version=\"1\"}").filter(|n| *n >= 3000.0)
        });
    }
    wait_for("the verdicts", || (complete(read(&topics.verdicts)).len() + 1 >= expected.len()).then_some(()));
    super::assert_known(&complete(read(&topics.verdicts)), &expected);
    let by_id = || -> std::collections::BTreeMap<String, Value> {
        let mut by_id = std::collections::BTreeMap::new();
        for signal in read(&topics.signals) {
            let id = signal["signal_id"].as_str().unwrap().to_owned();
            if let Some(before) = by_id.insert(id, signal.clone()) {
                assert_eq!(before, signal, "one id with two contents");
            }
        }
        by_id
    };
    wait_for("the signals", || (by_id().len() >= 2).then_some(()));
    let actions: std::collections::BTreeSet<String> =
        by_id().values().map(|s| s["action"].as_str().unwrap().to_owned()).collect();
    assert!(by_id().len() == 2 && actions.len() == 2, "{:?}", by_id());
    let history = folder.driftgate("history shop --config one.yaml").exits(0).stdout;
    assert_eq!(history.matches("block of drift applied").count(), 1, "{history}");
    for daemon in daemons {
        assert_eq!(daemon.stop(), Some(0));
    }
    folder.driftgate("audit verify --config one.yaml").exits(0).prints("intact");
}

#[test]
fn two_daemons_that_start_at_once_do_not_both_stay() {
    let (folder, topics) = (Folder::new(), Topics::new("at-once", 1));
    shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    let configs = ["one", "two"].map(|state| with_state(&folder, &topics, state));
    let mut daemons = configs.map(|config| Daemon::start(&config, &[]));
    wait_for("one to give way", || daemons.iter_mut().any(Daemon::is_gone).then_some(()));
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(daemons.iter_mut().filter_map(|d| (!d.is_gone()).then_some(())).count(), 1);
}

#[test]
fn the_gate_answers_at_once_while_another_process_holds_the_registry() {
    const SECOND: Duration = Duration::from_secs(1);
    let (folder, topics) = (Folder::new(), Topics::new("locked", 1));
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    let daemon = Daemon::start(&config, &[]);
    let start = now_ms() / 10_000 * 10_000 - 60_000;
    publish(&topics.predictions, events(start, 0..3));
    folder.driftgate("register shop 1 --config driftgate.yaml").exits(0);
    let gate = || {
        let asked = Instant::now();
        let answer: Value = serde_json::from_str(&daemon.get("/api/v1/gate/shop/1?to=prod").1).unwrap();
        assert!(asked.elapsed() < SECOND, "{:?}", asked.elapsed());
        answer["verdict"].as_str().unwrap().to_owned()
    };
    let by_command = |code: i32| {
        let asked = Instant::now();
        let run = folder.driftgate("gate shop 1 --to prod --config driftgate.yaml").exits(code);
        assert!(asked.elapsed() < SECOND, "{:?}", asked.elapsed());
        run
    };
    wait_for("a pass", || (gate() == "pass").then_some(()));
    // The daemon knows a verdict a moment before it is in the registry.
    wait_for("a pass by the registry alone", || {
        (folder.driftgate("gate shop 1 --to prod --config driftgate.yaml").code == Some(0)).then_some(())
    });
    let holder = rusqlite::Connection::open(folder.path("registry.db")).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // The daemon has verdicts to write meanwhile.
    publish(&topics.predictions, events(start, 3..5));
    wait_for("a verdict that is judged", || {
        daemon.metric("driftgate_watermark_timestamp_seconds").filter(|s| s * 1000.0 >= (start + 40_000) as f64)
    });
    for _ in 0..5 {
        assert_eq!(gate(), "pass");
        by_command(0);
        std::thread::sleep(Duration::from_millis(200));
    }
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(daemon.stop(), Some(0));

    // Held so that nobody even reads.
    let count = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM versions", [], |row| row.get::<_, i64>(0));
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE models SET model = model;").unwrap();
    assert_eq!(count(&holder), Ok(1));
    by_command(3).prints("the registry does not answer");
    drop(holder);
    by_command(0);
}

#[test]
fn a_checkpoint_that_the_disk_takes_without_an_end_is_told() {
    let (folder, topics) = (Folder::new(), Topics::new("hanging", 1));
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    let daemon = Daemon::start(&config, &[]);
    wait_for("readiness", || is_ready(&daemon));
    wait_for("a checkpoint", || daemon.metric("driftgate_checkpoint_written_total").filter(|n| *n > 0.0));
    let fresh = folder.path("state/checkpoint.bin.new");
    // Whoever opens it to write waits for a reader.
    wait_for("a pipe in its place", || Command::new("mkfifo").arg(&fresh).status().unwrap().success().then_some(()));
    let problems = wait_for("that it is told", || {
        let (status, body) = daemon.get("/ready");
        (status == 503).then_some(body)
    });
    assert!(problems.contains("the checkpoint is being written for 1"), "{problems}");
    assert!(daemon.metric("driftgate_checkpoint_under_way_seconds").is_some_and(|s| s > 10.0));
    assert_eq!(daemon.metric("driftgate_ready"), Some(0.0));
    let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
    assert!(status["problems"].to_string().contains("the checkpoint is being written"), "{status}");
    let reader = std::fs::File::open(&fresh).unwrap();
    std::fs::remove_file(&fresh).unwrap();
    drop(reader);
    wait_for("readiness", || is_ready(&daemon));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn versions_that_nobody_registered_have_few_series() {
    let (folder, topics) = (Folder::new(), Topics::new("unknown", 1));
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    folder.driftgate("register shop 1 --config driftgate.yaml").exits(0);
    let daemon = Daemon::start(&config, &[]);
    let start = now_ms() / 10_000 * 10_000 - 60_000;
    let unknown = (0..100).map(|i| {
        let version = format!("v-{i}");
        let event = json!({"prediction_id": version, "model": "shop", "version": version, "ts": start + i, "score": 0.3, "features": {"x": 1}});
        (0, version.clone(), event.to_string().into_bytes())
    });
    publish(&topics.predictions, unknown);
    publish(&topics.predictions, events(start, 0..3));
    let left_out = "driftgate_versions_left_out{model=\"shop\"}";
    wait_for("all versions", || daemon.metric(left_out).filter(|n| *n >= 50.0));
    wait_for("the verdicts", || (read(&topics.verdicts).len() >= 102).then_some(()));
    let text = daemon.get("/metrics").1;
    let version = |line: &str| Some(line.split_once("version=\"")?.1.split_once('"')?.0.to_owned());
    let shown: std::collections::BTreeSet<String> = text.lines().filter_map(version).collect();
    assert!(shown.len() <= 51 && shown.contains("1"), "{} {shown:?}", shown.len());
    assert_eq!(daemon.metric(left_out), Some(50.0));
    assert_eq!(daemon.stop(), Some(0));
}
