//! Disks that are full or take nothing, under the state and under the registry: it is told, and once there is room everything is as
//! if nothing had been.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed, wait_counted};

#[test]
fn a_full_disk_under_the_state_is_told_and_a_kill_meanwhile_loses_nothing() {
    let topics = Topics::new("full-state", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
    let first = now_ms() / 10_000 * 10_000 - 200_000;
    let windows: Vec<Events> = (0..6).map(|n| window("1", first + n * 10_000, 0)).collect();
    let daemon = Daemon::start(&config, &[]);
    publish(&topics.predictions, windows[..2].concat());
    wait_counted(&daemon, "1", 2000.0);
    wait_for("a checkpoint", || daemon.metric("driftgate_checkpoint_written_total").filter(|n| *n > 2.0));
    // Whatever is written there finds no room.
    let fresh = folder.path("state/checkpoint.bin.new");
    wait_for("a full disk", || symlink("/dev/full", &fresh).ok());
    let told = wait_for("that it is told", || Some(daemon.get("/ready")).filter(|(status, _)| *status == 503));
    assert!(told.1.contains("No space left on device"), "{}", told.1);
    assert!(daemon.metric("driftgate_checkpoint_failed_total").is_some_and(|n| n > 0.0));
    // It counts and judges meanwhile.
    publish(&topics.predictions, windows[2..4].concat());
    wait_for("the windows", || (read(&topics.verdicts).len() >= 3).then_some(()));
    let mut daemon = daemon;
    daemon.signal("KILL");
    wait_for("the kill", || daemon.is_gone().then_some(()));
    drop(daemon);
    folder.driftgate("state verify --state state").exits(0).prints("intact");

    // It starts on the full disk, too, and says the same, until there is room.
    let daemon = Daemon::start(&config, &[]);
    wait_for("that it is told", || (daemon.get("/ready").1.contains("No space left on device")).then_some(()));
    std::fs::remove_file(&fresh).unwrap();
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    publish(&topics.predictions, windows[4..].concat());
    let expected = replayed(&folder, "shop.yaml", "", &windows.iter().collect::<Vec<_>>());
    let found = wait_for("all verdicts", || Some(complete(read(&topics.verdicts))).filter(|all| all.len() >= 5));
    assert_known(&found, &expected);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_state_folder_that_cannot_be_written_is_said_at_the_start() {
    let topics = Topics::new("no-state", 1);
    let folder = Folder::new();
    shop(&folder, &topics);
    // Nobody makes a folder there, whatever the rights.
    let text = folder.read("driftgate.yaml").replace("path: state,", "path: /proc/self/fdinfo/state,");
    folder.write("driftgate.yaml", text);
    folder
        .driftgate("run --config driftgate.yaml")
        .exits(2)
        .says("the state folder /proc/self/fdinfo/state cannot be used");
}

/// Twenty events of a window.
fn few(start: i64) -> Events {
    let event = |i: i64| {
        let id = format!("{start}-{i}");
        let json = json!({"prediction_id": id, "model": "shop", "version": "1", "ts": start + i * 400, "score": 0.3, "features": {"x": i * 50}});
        (0, id, json.to_string().into_bytes())
    };
    (0..20).map(event).collect()
}

#[test]
fn a_full_disk_under_the_registry_is_told_and_what_was_judged_meanwhile_gets_there_later() {
    let topics = Topics::new("full-registry", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let policy = SHOP
        .replace("labels: {horizon: 1h, lateness: 1s}\n", "")
        .replace("min_samples: 200", "min_samples: 10")
        .replace("stale_after: 1h", "stale_after: 1d");
    folder.write("shop.yaml", policy);
    // The files are there before the room ends.
    assert_eq!(Daemon::start(&config, &[]).stop(), Some(0));
    let first = now_ms() / 10_000 * 10_000 - 4_000_000;
    // No file grows beyond a megabyte, which a write is told and no signal kills for.
    let daemon = Daemon::start_limited(&config, "-S -f 1024; trap '' XFSZ");
    let failing = "driftgate_failing{part=\"registry\"}";
    let mut windows: Vec<Events> = Vec::new();
    while daemon.metric(failing) != Some(1.0) {
        assert!(windows.len() < 380, "the registry's disk is not full");
        windows.push(few(first + windows.len() as i64 * 10_000));
        publish(&topics.predictions, windows[windows.len() - 1].clone());
    }
    let status = folder.driftgate(&format!("status --problems --server {}", daemon.url)).stdout;
    assert!(status.contains("what was judged does not get into the registry"), "{status}");
    for _ in 0..10 {
        windows.push(few(first + windows.len() as i64 * 10_000));
        publish(&topics.predictions, windows[windows.len() - 1].clone());
    }
    wait_counted(&daemon, "1", (windows.len() * 20) as f64);
    // There is room again.
    let lifted = Command::new("prlimit").args([format!("--pid={}", daemon.id()), "--fsize=unlimited".into()]).status();
    assert!(lifted.unwrap().success());
    wait_for("the registry", || daemon.metric(failing).is_none().then_some(()));
    let expected = replayed(&folder, "shop.yaml", "", &windows.iter().collect::<Vec<_>>());
    let found = wait_for("all verdicts", || {
        Some(complete(read(&topics.verdicts))).filter(|all| all.len() + 1 >= expected.len())
    });
    assert_known(&found, &expected);
    assert_eq!(daemon.stop(), Some(0));
    let registry = rusqlite::Connection::open(folder.path("registry.db")).unwrap();
    let kept = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let end: i64 = registry.query_row("SELECT max(end_ms) FROM verdicts", [], kept).unwrap();
    assert!(end >= first + (windows.len() as i64 - 1) * 10_000, "the registry ends {end}");
    drop(registry);
    folder.driftgate("audit verify --config driftgate.yaml").exits(0).prints("intact");
}
