//! Times that lie far apart: a first event of 1970, a year without any, and a small slide. No window without events is gone through.

use std::time::{Duration, Instant};

use serde_json::json;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed};

const YEAR: i64 = 365 * 86_400_000;

/// Windows of ten seconds that slide by one: a year has 31 million of them.
fn policy() -> String {
    SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", "").replace("slide: 10s", "slide: 1s")
}

fn early(partition: i32, ts: i64) -> (i32, String, Vec<u8>) {
    let id = format!("early-{partition}-{ts}");
    let event = json!({"prediction_id": id, "model": "shop", "version": "1", "ts": ts, "score": 0.3, "features": {"x": 5}, "stage": "staging"});
    (partition, id, event.to_string().into_bytes())
}

#[test]
fn a_first_event_of_1970_and_a_gap_of_a_year_take_no_time_and_no_windows_in_between() {
    let topics = Topics::new("times", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", policy());
    let now = now_ms() / 10_000 * 10_000 - 60_000;
    let published: [Events; 4] = [
        vec![early(0, 1000), early(1, 2000)],
        window("1", now - YEAR, 0),
        window("1", now, 0),
        window("1", now + 10_000, 0),
    ];
    let begun = Instant::now();
    let expected = replayed(&folder, "shop.yaml", "", &published.iter().collect::<Vec<_>>());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!((30..100).contains(&expected.len()), "{} windows", expected.len());
    let ends =
        |year: &str| expected.values().filter(|v| v["window"]["end"].as_str().unwrap().starts_with(year)).count();
    assert!(ends("1970") > 0, "the first event has windows");

    let daemon = Daemon::start(&config, &[]);
    for events in &published {
        publish(&topics.predictions, events.clone());
    }
    let whole = |v: &serde_json::Value| v["counted"]["predictions"] == 1000;
    let last = expected.values().filter(|v| whole(v)).count();
    assert!(last >= 2, "{last}");
    let found = wait_for("the windows of now and of a year ago", || {
        let found = complete(read(&topics.verdicts));
        (found.values().filter(|v| whole(v)).count() + 1 >= last && found.len() >= 25).then_some(found)
    });
    assert_known(&found, &expected);
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    assert_eq!(daemon.get("/ready").0, 200);
    assert_eq!(daemon.stop(), Some(0));
}
