//! Snapshots out of reach, or replaced, at a restart.

use std::process::Command;
use std::time::{Duration, Instant};

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{assert_known, complete, replayed, wait_counted};

/// Half of the events of a window.
fn half(version: &str, start: i64, second: bool) -> super::Events {
    let all = window(version, start, 0);
    let (first, rest) = all.split_at(500);
    if second { rest.to_vec() } else { first.to_vec() }
}

#[test]
fn a_restart_needs_no_snapshot_and_one_that_hangs_holds_up_nobody() {
    let topics = Topics::new("out-of-reach", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
    std::fs::copy(folder.path("shop_v1.csv"), folder.path("shop_v2.csv")).unwrap();
    let first = now_ms() / 10_000 * 10_000 - 120_000;
    // Both versions' events in order of time.
    let both = |of: &dyn Fn(&str) -> super::Events| -> super::Events {
        of("1").into_iter().zip(of("2")).flat_map(|(one, two)| [one, two]).collect()
    };
    let before = [both(&|v| window(v, first, 0)), both(&|v| half(v, first + 10_000, false))];
    before.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let daemon = Daemon::start(&config, &[]);
    wait_counted(&daemon, "1", 1500.0);
    wait_counted(&daemon, "2", 1500.0);
    assert_eq!(daemon.stop(), Some(0));
    // The one is gone, the other is a pipe that nobody writes to, which is not waited for.
    std::fs::rename(folder.path("shop_v1.csv"), folder.path("away.csv")).unwrap();
    std::fs::remove_file(folder.path("shop_v2.csv")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("shop_v2.csv")).status().unwrap().success());
    let daemon = Daemon::start(&config, &[]);
    let (status, body) = wait_for("both versions in /ready", || {
        Some(daemon.get("/ready"))
            .filter(|(_, b)| ["1", "2"].iter().all(|v| b.contains(&format!("version {v} of shop"))))
    });
    assert_eq!(status, 503);
    assert!(body.contains("shop_v1.csv") && body.contains("its counts go on"), "{body}");
    for version in ["1", "2"] {
        let series = format!("driftgate_snapshot_unreachable{{model=\"shop\",version=\"{version}\"}}");
        assert_eq!(daemon.metric(&series), Some(1.0));
    }
    let status = folder.driftgate(&format!("status --server {}", daemon.url));
    assert!(status.stdout.contains("the snapshot of version 1 cannot be read"), "{}", status.stdout);
    let after = [
        both(&|v| half(v, first + 10_000, true)),
        both(&|v| window(v, first + 20_000, 0)),
        both(&|v| window(v, first + 30_000, 0)),
    ];
    after.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let found = wait_for("the windows of both versions", || {
        let found = complete(read(&topics.verdicts));
        (found.len() >= 6).then_some(found)
    });
    let stopping = Instant::now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(5), "stopped after {:?}", stopping.elapsed());

    std::fs::rename(folder.path("away.csv"), folder.path("shop_v1.csv")).unwrap();
    std::fs::remove_file(folder.path("shop_v2.csv")).unwrap();
    std::fs::copy(folder.path("shop_v1.csv"), folder.path("shop_v2.csv")).unwrap();
    let all: Vec<_> = before.iter().chain(&after).collect();
    let expected = replayed(&folder, "shop.yaml", "", &all);
    assert_eq!(found, expected);
    // With the snapshots back nothing is said of them any more.
    let daemon = Daemon::start(&config, &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert!(read(&topics.verdicts).iter().all(|v| v["status"] != "insufficient"));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_was_counted_against_one_snapshot_is_not_judged_against_another() {
    let topics = Topics::new("replaced", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
    let first = now_ms() / 10_000 * 10_000 - 120_000;
    let before = [window("1", first, 0), half("1", first + 10_000, false)];
    before.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let daemon = Daemon::start(&config, &[]);
    wait_counted(&daemon, "1", 1500.0);
    assert_eq!(daemon.stop(), Some(0));
    let under_the_first = replayed(&folder, "shop.yaml", "", &before.iter().collect::<Vec<_>>());
    // The same name, other content.
    let rows: String = (0..1000).map(|i| format!("{},0.5,{}\n", 5000 + i, i % 2)).collect();
    folder.write("shop_v1.csv", format!("x,score,label\n{rows}"));
    let daemon = Daemon::start(&config, &[]);
    wait_for("the log", || daemon.log().contains("is another one than it was counted against").then_some(()));
    let after = [half("1", first + 10_000, true), window("1", first + 20_000, 0), window("1", first + 30_000, 0)];
    after.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let all: Vec<_> = before.iter().chain(&after).collect();
    let under_the_second = replayed(&folder, "shop.yaml", "", &all);
    let end = |v: &serde_json::Value| v["window"]["end"].as_str().unwrap().to_owned();
    let judged = wait_for("the window after the restart", || {
        let judged = read(&topics.verdicts);
        (judged.len() >= 3).then_some(judged)
    });
    assert_eq!(judged.len(), 3);
    let (whole, cut): (Vec<_>, Vec<_>) = judged.into_iter().partition(|v| v["window"]["complete"] == true);
    assert_eq!(cut.len(), 1);
    let [reason, id] = [&cut[0]["results"][0]["reason"], &cut[0]["verdict_id"]].map(|v| v.as_str().unwrap());
    assert!(reason.contains("the window is incomplete: its counts begin at"), "{reason}");
    assert!(!under_the_second.contains_key(id), "the id of the whole window");
    assert_eq!(cut[0]["counted"]["predictions"], 500);
    // The window before was judged against the first one, the one after against the second.
    let found = complete(whole);
    let known = under_the_first.into_iter().chain(under_the_second).collect();
    assert_known(&found, &known);
    assert_eq!(found.len(), 2);
    assert!(found.values().map(end).all(|e| e != end(&cut[0])));
    assert_eq!(daemon.metric("driftgate_incomplete_windows_total{model=\"shop\"}"), Some(1.0));
    assert_eq!(daemon.metric("driftgate_baseline_replaced_total{model=\"shop\",version=\"1\"}"), Some(1.0));
    assert_eq!(daemon.stop(), Some(0));
}
