//! `task: regression` in the daemon: errors over kills are the replay's, with labels before and after their predictions.

use serde_json::json;

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed, wait_counted};

/// The predictions and labels of ten seconds. Every third label comes two seconds before its prediction, others up to four seconds after;
/// every ninth is none.
fn window(start: i64) -> (Events, Events) {
    let id = |i: i64| format!("{start}-{i}");
    let ts = |i: i64| start + i * 20;
    let prediction = |i: i64| {
        let event = json!({"prediction_id": id(i), "model": "shop", "version": "1", "ts": ts(i), "score": i % 17, "features": {"x": i}, "segments": {"country": (["DE", "FR", "US"][(i / 7 % 3) as usize])}, "stage": "prod"});
        ((i % 2) as i32, id(i), event.to_string().into_bytes())
    };
    let label = |i: i64| {
        let at = if i % 3 == 0 { ts(i) - 500 } else { ts(i) + i % 5 * 700 };
        let value = if i % 9 == 0 { json!("none") } else { json!(f64::from(i32::try_from(i % 13).unwrap()) + 0.25) };
        let event = json!({"prediction_id": id(i), "model": "shop", "ts": at, "label": value});
        ((i % 2) as i32, id(i), event.to_string().into_bytes())
    };
    ((0..500).map(prediction).collect(), (0..500).map(label).collect())
}

#[test]
fn errors_over_kills_are_the_replays() {
    let topics = Topics::new("regression", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let policy = SHOP
        .replace("score: {threshold: 0.5}\n", "task: regression\n")
        .replace("labels: {horizon: 1h, lateness: 1s}", "labels: {horizon: 1m, lateness: 5s}")
        .replace("lateness: 1s\n", "lateness: 5s\nsegments: [country]\n")
        .replace("    - psi: {of: features, lt: 0.2}\n", "    - mae: {lte: 4}\n    - rmse: {lt: 100, versus: previous, id: r, max_increase: 3}\n    - r2: {gte: -100}\n    - gap: {of: rmse, by: country, lt: 0.01}\n    - gap: {id: grown, of: mae, by: country, versus: previous, max_increase: 9}\n    - js: {of: label, lt: 1}\n");
    let policy = policy.replace("lt: 100, versus", "versus");
    folder.write("shop.yaml", policy);
    let first = now_ms() / 10_000 * 10_000 - 3_600_000;
    let windows: Vec<(Events, Events)> = (0..8).map(|n| window(first + n * 10_000)).collect();
    let mut daemon = Daemon::start(&config, &[]);
    for (at, (predictions, labels)) in windows.iter().enumerate() {
        publish(&topics.labels, labels.clone());
        publish(&topics.predictions, predictions.clone());
        if at == 2 || at == 4 {
            wait_counted(&daemon, "1", 1.0);
            std::thread::sleep(std::time::Duration::from_millis(2500));
            daemon.signal("KILL");
            wait_for("the process to be gone", || daemon.is_gone().then_some(()));
            daemon = Daemon::start(&config, &[]);
        }
    }
    let judged = wait_for("the windows", || {
        let judged = complete(read(&topics.verdicts));
        (judged.len() >= 5).then_some(judged)
    });
    let labels: Vec<u8> = windows
        .iter()
        .flat_map(|(_, labels)| labels)
        .flat_map(|(.., payload)| [payload.as_slice(), b"\n"].concat())
        .collect();
    folder.write("labels.jsonl", labels);
    let predictions: Vec<&Events> = windows.iter().map(|(predictions, _)| predictions).collect();
    let known = replayed(&folder, "shop.yaml", "--labels labels.jsonl --config driftgate.yaml", &predictions);
    assert_known(&judged, &known);
    let n: u64 = judged.values().map(|v| v["results"][0]["n"].as_u64().unwrap()).sum();
    assert!(n > 1_500, "{n} errors were counted");
    assert_eq!(daemon.stop(), Some(0));
}
