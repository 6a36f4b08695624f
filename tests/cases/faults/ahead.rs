//! One event ahead of its partition's pace: the later ones are not late, in the daemon, over a kill, and in a replay.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::broker::{Daemon, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{Events, assert_known, complete, replayed, wait_counted};

fn policy(folder: &Folder) {
    folder.write("shop.yaml", SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", ""));
}

fn one(partition: i32, ts: i64) -> Events {
    let id = format!("ahead-{partition}-{ts}");
    let event = json!({"prediction_id": id, "model": "shop", "version": "1", "ts": ts, "score": 0.3, "features": {"x": 5}, "stage": "staging"});
    vec![(partition, id, event.to_string().into_bytes())]
}

/// By window of ten seconds from `first` on: how many predictions its complete verdict counts.
fn counted(verdicts: &BTreeMap<String, Value>, first: i64) -> BTreeMap<i64, u64> {
    let of = |v: &Value| {
        let start: jiff::Timestamp = v["window"]["start"].as_str().unwrap().parse().unwrap();
        ((start.as_millisecond() - first) / 10_000, v["counted"]["predictions"].as_u64().unwrap())
    };
    verdicts.values().map(of).collect()
}

#[test]
fn now_in_a_backfill_makes_nothing_late_over_a_kill_and_in_a_replay() {
    let topics = Topics::new("ahead-backfill", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    policy(&folder);
    let first = now_ms() / 10_000 * 10_000 - 10 * 86_400_000;
    let windows: Vec<Events> = (0..5).map(|n| window("1", first + n * 10_000, 0)).collect();
    // The clocks of the backfill's machine in both partitions, and twice in one.
    let now = now_ms();
    let published: Vec<Events> = vec![
        windows[0].clone(),
        windows[1][..300].to_vec(),
        one(0, now),
        windows[1][300..].to_vec(),
        windows[2].clone(),
        one(1, now - 5000),
        one(1, now - 4000),
        windows[3].clone(),
        windows[4].clone(),
    ];
    let mut daemon = Daemon::start(&config, &[]);
    for (at, events) in published.iter().enumerate() {
        publish(&topics.predictions, events.clone());
        // Killed while nothing confirms or contradicts the time ahead, once a checkpoint has it.
        if at == 2 {
            wait_counted(&daemon, "1", 1301.0);
            std::thread::sleep(std::time::Duration::from_millis(2500));
            daemon.signal("KILL");
            wait_for("the process to be gone", || daemon.is_gone().then_some(()));
            daemon = Daemon::start(&config, &[]);
        }
    }
    let judged = wait_for("the windows", || {
        let judged = complete(read(&topics.verdicts));
        (judged.len() >= 4).then_some(judged)
    });
    let whole: BTreeMap<i64, u64> = (0..4).map(|n| (n, 1000)).collect();
    assert_eq!(counted(&judged, first), whole);
    let known = replayed(&folder, "shop.yaml", "--config driftgate.yaml", &published.iter().collect::<Vec<_>>());
    assert_known(&judged, &known);
    assert_eq!(counted(&known, first), whole);
    // Without the ones ahead it is the same.
    assert_known(&judged, &replayed(&folder, "shop.yaml", "", &windows.iter().collect::<Vec<_>>()));

    let ahead = || daemon.metric("driftgate_ahead_events_total{model=\"shop\"}");
    wait_for("the events ahead to be counted", || ahead().filter(|n| *n == 3.0));
    assert_eq!(daemon.metric("driftgate_late_events_total{model=\"shop\"}"), Some(0.0));
    let status = folder.driftgate(&format!("status --problems --server {}", daemon.url));
    assert!(status.stdout.contains("3 events were ahead of their partition's pace"), "{}", status.stdout);
    wait_for("the log", || daemon.log().contains("is ahead of its partition's pace").then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_clock_ahead_is_refused_by_a_minute_and_moves_nothing_where_more_is_allowed() {
    for (future, refused, ahead) in [("", 2.0, 0.0), (", future: 2h", 0.0, 2.0)] {
        let topics = Topics::new(if future.is_empty() { "ahead-refused" } else { "ahead-allowed" }, 2);
        let folder = Folder::new();
        let config = shop(&folder, &topics);
        policy(&folder);
        let text = folder.read("driftgate.yaml");
        folder.write("driftgate.yaml", text.replacen("format: json}", &format!("format: json{future}}}"), 1));
        let daemon = Daemon::start(&config, &[]);
        // Where two hours are allowed, the pace of a partition is what two hours more contradict.
        let first = now_ms() / 10_000 * 10_000 - 60_000;
        let by = if future.is_empty() { 59 } else { 119 } * 60_000;
        let first = if future.is_empty() { first } else { first - 3_600_000 };
        publish(&topics.predictions, window("1", first, 0));
        publish(&topics.predictions, [one(0, first + 3_600_000 + by), one(1, first + 3_600_000 + by)].concat());
        for n in 1..5 {
            publish(&topics.predictions, window("1", first + n * 10_000, 0));
        }
        let judged = wait_for("the windows", || {
            let judged = complete(read(&topics.verdicts));
            (judged.len() >= 4).then_some(judged)
        });
        assert_eq!(counted(&judged, first), (0..4).map(|n| (n, 1000)).collect());
        let rejected = format!("driftgate_rejected_events_total{{reason=\"future\",topic=\"{}\"}}", topics.predictions);
        wait_for("what was refused", || Some(daemon.metric(&rejected).unwrap_or(0.0)).filter(|n| *n == refused));
        let series = "driftgate_ahead_events_total{model=\"shop\"}";
        wait_for("what was ahead", || daemon.metric(series).filter(|n| *n == ahead));
        assert_eq!(daemon.metric("driftgate_late_events_total{model=\"shop\"}"), Some(0.0));
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn after_a_pause_the_stream_goes_on_once_others_confirm_the_first() {
    let topics = Topics::new("ahead-pause", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    policy(&folder);
    let first = now_ms() / 10_000 * 10_000 - 12 * 3_600_000;
    let morning = first + 8 * 3_600_000;
    let published = [
        window("1", first, 0),
        window("1", first + 10_000, 0),
        window("1", morning, 0),
        window("1", morning + 10_000, 0),
        window("1", morning + 20_000, 0),
    ];
    let daemon = Daemon::start(&config, &[]);
    publish(&topics.predictions, published[..2].concat());
    wait_for("the first window", || (read(&topics.verdicts).len() == 1).then_some(()));
    // One event of each partition: nothing says yet that the night is over.
    publish(&topics.predictions, published[2][..2].to_vec());
    wait_counted(&daemon, "1", 2002.0);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(read(&topics.verdicts).len(), 1);
    let status = folder.driftgate(&format!("status --problems --server {}", daemon.url));
    assert!(status.stdout.contains("are ahead of its pace"), "{}", status.stdout);
    publish(&topics.predictions, published[2][2..].to_vec());
    publish(&topics.predictions, published[3..].concat());
    let judged = wait_for("the windows", || {
        let judged = complete(read(&topics.verdicts));
        (judged.len() >= 4).then_some(judged)
    });
    assert_eq!(counted(&judged, first), [(0, 1000), (1, 1000), (2880, 1000), (2881, 1000)].into());
    assert_known(&judged, &replayed(&folder, "shop.yaml", "", &published.iter().collect::<Vec<_>>()));
    assert_eq!(daemon.metric("driftgate_ahead_events_total{model=\"shop\"}"), Some(0.0));
    assert_eq!(daemon.stop(), Some(0));
}
