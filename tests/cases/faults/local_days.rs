//! Days of a time zone in the daemon: over a clock change and a kill they are the replay's.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, shop};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed, wait_counted};

/// 2024-03-27T12:00:00Z; clocks in Berlin skip an hour on the 31st.
const START: i64 = 1_711_540_800_000;
const MINUTE: i64 = 60_000;

/// A prediction every five minutes of twelve hours.
fn half_day(n: i64) -> Events {
    let event = |i: i64| {
        let ts = START + (144 * n + i) * 5 * MINUTE;
        let id = format!("day-{ts}");
        let event = json!({"prediction_id": id, "model": "shop", "version": "1", "ts": ts, "score": 0.3, "features": {"x": i * 7 % 900 + n}, "stage": "staging"});
        ((i % 2) as i32, id, event.to_string().into_bytes())
    };
    (0..144).map(event).collect()
}

#[test]
fn days_over_a_clock_change_and_a_kill_are_the_replays() {
    let topics = Topics::new("local-days", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let policy = SHOP
        .replace("labels: {horizon: 1h, lateness: 1s}\n", "windows: {timezone: Europe/Berlin}\n")
        .replace("lateness: 1s\n", "lateness: 10m\n")
        .replace("{size: 10s, slide: 10s}\n    stale_after: 1h", "{size: 1d, slide: 1d}")
        .replace(
            "lt: 0.2}\n",
            "lt: 9, versus: {season: 2d, back: 2}}\n    - volume: {gte: 280, for: 1d}\n    - mean: {of: x, lt: 1, for: 3d}\n",
        );
    folder.write("shop.yaml", policy);
    let published: Vec<Events> = (0..14).map(half_day).collect();
    let mut daemon = Daemon::start(&config, &[]);
    for (at, events) in published.iter().enumerate() {
        publish(&topics.predictions, events.clone());
        // Killed on the day before the change, and on the day of the change.
        if at == 6 || at == 8 {
            wait_counted(&daemon, "1", 1.0);
            std::thread::sleep(std::time::Duration::from_millis(2500));
            daemon.signal("KILL");
            wait_for("the process to be gone", || daemon.is_gone().then_some(()));
            daemon = Daemon::start(&config, &[]);
        }
    }
    let judged = wait_for("the days", || {
        let judged = complete(read(&topics.verdicts));
        (judged.len() >= 6).then_some(judged)
    });
    let known = replayed(&folder, "shop.yaml", "--config driftgate.yaml", &published.iter().collect::<Vec<_>>());
    assert_known(&judged, &known);
    let days: BTreeSet<(&str, u64)> = judged
        .values()
        .map(|v| (v["window"]["start"].as_str().unwrap(), v["counted"]["predictions"].as_u64().unwrap()))
        .collect();
    let short = ("2024-03-30T23:00:00Z", 23 * 12);
    assert!(days.contains(&("2024-03-29T23:00:00Z", 288)) && days.contains(&short), "{days:?}");
    assert!(days.contains(&("2024-03-31T22:00:00Z", 288)), "{days:?}");
    // `for: 3d` counts days: a mean above its limit from the first whole day on blocks three days later, though they have 71 hours.
    let of = |start: &str| known.values().find(|v| v["window"]["start"] == start).unwrap();
    let pending = |start: &str| {
        let results = of(start)["results"].as_array().unwrap();
        let mean = results.iter().find(|r| r["rule"] == "drift/mean").unwrap();
        (mean["status"].clone(), mean["pending"].clone(), mean["since"].clone())
    };
    let since = json!("2024-03-28T23:00:00Z");
    assert_eq!(pending("2024-03-29T23:00:00Z").1, true);
    let (status, still, began) = pending("2024-03-30T23:00:00Z");
    assert_eq!((status, still.as_bool().unwrap_or(false), began), (json!("block"), false, since));
    assert_eq!(daemon.stop(), Some(0));
}
