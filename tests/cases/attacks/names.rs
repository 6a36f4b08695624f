//! Thousands of versions that nobody knows, named by events: what is registered, or has a snapshot, is counted in time and as a
//! replay counts it; the others are counted, told and alerted on.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::faults::{Events, assert_known, complete, replayed, wait_counted};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;

/// Names that nobody knows, one event each, of the window that starts there.
fn flood(names: std::ops::Range<i64>, start: i64) -> Events {
    let count = names.end - names.start;
    let event = |i: i64| {
        let ts = start + (i - names.start) * 8_900 / count;
        let event = json!({"prediction_id": format!("flood-{i}"), "model": "shop", "version": format!("made up {i}"), "ts": ts, "score": 0.3, "features": {"x": 5}});
        ((i % 2) as i32, format!("{i}"), event.to_string().into_bytes())
    };
    names.clone().map(event).collect()
}

/// Both in the order of their times, as far as the first goes.
fn among(events: &Events, flood: &Events) -> Events {
    let each = flood.len().div_ceil(events.len());
    let mut parts = flood.chunks(each);
    let mut all = Vec::new();
    for event in events {
        all.push(event.clone());
        all.extend(parts.next().into_iter().flatten().cloned());
    }
    all.extend(parts.flatten().cloned());
    all
}

fn configure(folder: &Folder, topics: &Topics, pattern: &str) -> std::path::PathBuf {
    let config = shop(folder, topics);
    folder.write(
        "shop.yaml",
        SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", "").replace("shop_v{version}.csv", pattern),
    );
    folder.write("driftgate.yaml", folder.read("driftgate.yaml") + "limits: {new_versions: 20}\n");
    config
}

const REFUSED: &str = "driftgate_versions_refused_total{model=\"shop\"}";

#[test]
fn a_registered_version_is_counted_in_time_among_eleven_thousand_names_that_nobody_knows() {
    let topics = Topics::new("names", 2);
    let folder = Folder::new();
    // All versions have one snapshot, which takes a while to read.
    let config = configure(&folder, &topics, "snapshot.csv");
    let rows: String = (0..30_000).map(|i| format!("{},{},{}\n", i % 1000, f64::from(i % 10) / 10.0, i % 2)).collect();
    folder.write("snapshot.csv", format!("x,score,label\n{rows}"));
    for version in ["1", "2"] {
        folder.driftgate(&format!("register shop {version} --config driftgate.yaml")).exits(0);
    }
    let first = now_ms() / 10_000 * 10_000 - 200_000;
    let of_one: Vec<Events> = (0..4).map(|n| window("1", first + n * 10_000, if n == 2 { 900 } else { 0 })).collect();
    let began = Instant::now();
    let daemon = Daemon::start(&config, &[]);
    for (n, events) in (0..).zip(&of_one) {
        publish(&topics.predictions, among(events, &flood(n * 2750..(n + 1) * 2750, first + n * 10_000)));
    }
    wait_counted(&daemon, "1", 4000.0);
    let of_version = |version: &str| {
        let judged = read(&topics.verdicts).into_iter().filter(|v| v["version"] == version);
        judged.collect::<Vec<_>>()
    };
    let judged = wait_for("its windows", || Some(of_version("1")).filter(|all| all.len() >= 3));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let known = replayed(&folder, "shop.yaml", "", &of_one.iter().collect::<Vec<_>>());
    let found = complete(judged.clone());
    assert_eq!(found.len(), judged.len(), "all are complete");
    assert_known(&found, &known);

    let refused = daemon.metric(REFUSED).unwrap();
    assert!((10_900.0..=10_980.0).contains(&refused), "{refused}");
    let events = daemon.metric("driftgate_refused_version_events_total{model=\"shop\"}").unwrap();
    assert!((10_900.0..=10_980.0).contains(&events), "{events}");
    assert!(daemon.log().contains("limits.new_versions an hour"));
    let status = folder.driftgate(&format!("status --problems --server {}", daemon.url)).stdout;
    assert!(status.contains("new versions beyond limits.new_versions"), "{status}");
    let shown = folder.driftgate(&format!("status shop --server {}", daemon.url)).stdout;
    assert!(shown.lines().filter(|line| line.starts_with(" made up")).count() <= 21, "{shown}");

    // There is no room any more, and a registered one that comes now is counted from its first event on.
    let of_two: Vec<Events> = (4..7).map(|n| window("2", first + n * 10_000, 0)).collect();
    for (n, events) in (4..).zip(&of_two) {
        publish(&topics.predictions, among(events, &flood(n * 2750..n * 2750 + 1000, first + n * 10_000)));
    }
    let judged = wait_for("its windows", || Some(of_version("2")).filter(|all| all.len() >= 2));
    let found = complete(judged.clone());
    assert_eq!(found.len(), judged.len(), "all are complete");
    assert_known(&found, &replayed(&folder, "shop.yaml", "", &of_two.iter().collect::<Vec<_>>()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_version_with_a_snapshot_of_its_own_is_not_crowded_out() {
    let topics = Topics::new("crowd", 2);
    let folder = Folder::new();
    let config = configure(&folder, &topics, "shop_v{version}.csv");
    let first = now_ms() / 10_000 * 10_000 - 300_000;
    let daemon = Daemon::start(&config, &[]);
    publish(&topics.predictions, flood(0..3000, first));
    wait_for("the flood", || daemon.metric(REFUSED).filter(|n| *n >= 2900.0));
    // Version 1 has a snapshot and comes when there is no place any more: first its events are refused.
    let windows: Vec<Events> = (1..20).map(|n| window("1", first + n * 10_000, 0)).collect();
    let mut sent = 0;
    let counted = || daemon.metric("driftgate_predictions_total{model=\"shop\",version=\"1\"}").unwrap_or(0.0);
    while counted() == 0.0 && sent < 15 {
        publish(&topics.predictions, windows[sent].clone());
        std::thread::sleep(Duration::from_secs(1));
        sent += 1;
    }
    assert!(counted() > 0.0, "it is taken on");
    for events in &windows[sent..sent + 3] {
        publish(&topics.predictions, events.clone());
    }
    let judged = wait_for("whole windows of it", || {
        let judged: Vec<_> = read(&topics.verdicts).into_iter().filter(|v| v["version"] == "1").collect();
        (!complete(judged.clone()).is_empty()).then_some(judged)
    });
    let cut = judged.iter().filter(|v| v["window"]["complete"] == false);
    for verdict in cut {
        assert!(
            verdict.to_string().contains("limits.new_versions") || verdict.to_string().contains("baseline"),
            "{verdict}"
        );
    }
    assert_known(&complete(judged), &replayed(&folder, "shop.yaml", "", &windows.iter().collect::<Vec<_>>()));
    assert_eq!(daemon.stop(), Some(0));
}
