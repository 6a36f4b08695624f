//! Where counts begin within a stream, windows that reach back before are not whole.

use serde_json::Value;

use super::super::broker::{Daemon, delete_before, publish, read, wait_for};
use super::super::kafka::{SHOP, Topics, now_ms, shop, window};
use super::super::support::Folder;
use super::{assert_known, complete, replayed, wait_counted};

/// Windows of 20 s that slide by 10 s.
fn sliding() -> String {
    SHOP.replace("labels: {horizon: 1h, lateness: 1s}\n", "").replace("size: 10s", "size: 20s")
}

fn ends(verdicts: &[Value], complete: bool, origin: i64) -> Vec<i64> {
    let of: Vec<i64> = verdicts
        .iter()
        .filter(|v| v["window"]["complete"] == complete)
        .map(|v| {
            let end: jiff::Timestamp = v["window"]["end"].as_str().unwrap().parse().unwrap();
            (end.as_millisecond() - origin) / 10_000
        })
        .collect();
    of
}

#[test]
fn after_features_change_windows_that_reach_back_are_incomplete_and_signal_nothing() {
    let topics = Topics::new("starts-reload", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", sliding());
    let first = now_ms() / 10_000 * 10_000 - 200_000;
    let at = |n: i64, shift: i64| window("1", first + n * 10_000, shift);
    let early = [at(0, 0), at(1, 0), at(2, 0), at(3, 0)];
    early.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let daemon = Daemon::start(&config, &[]);
    wait_counted(&daemon, "1", 4000.0);
    wait_for("the first windows", || (read(&topics.verdicts).len() >= 3).then_some(()));
    // What is counted changes; so do all ids.
    folder.write("shop.yaml", sliding().replace("psi: {of: features", "psi: {of: features, bins: 20"));
    daemon.signal("HUP");
    wait_for("the new policy", || daemon.log().contains("counts start anew").then_some(()));
    // The first windows after it would block.
    let late = [at(4, 900), at(5, 900), at(6, 0), at(7, 0), at(8, 0)];
    late.iter().for_each(|events| publish(&topics.predictions, events.clone()));
    let of_now = |v: &Value, known: &Value| v["policy_sha256"] == *known;
    let judged = wait_for("the windows after it", || {
        let all = read(&topics.verdicts);
        let last = all.last()?["policy_sha256"].clone();
        let judged: Vec<Value> = all.into_iter().filter(|v| of_now(v, &last)).collect();
        (judged.len() >= 4).then_some(judged)
    });
    // [30, 50) reaches back, [40, 60) does not.
    assert_eq!(ends(&judged, false, first), [5]);
    assert_eq!(ends(&judged, true, first), [6, 7, 8]);
    let all: Vec<_> = early.iter().chain(&late).collect();
    assert_known(&complete(judged), &replayed(&folder, "shop.yaml", "", &all));
    let signals = wait_for("the block", || Some(read(&topics.signals)).filter(|s| !s.is_empty()));
    assert!(
        signals.iter().all(|s| s["ts"].as_str().unwrap()
            > jiff::Timestamp::from_millisecond(first + 50_000).unwrap().to_string().as_str()),
        "{signals:?}"
    );
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_policy_that_was_away_for_one_run_has_no_whole_windows_over_it_and_a_cut_log_has_none_at_its_start() {
    let topics = Topics::new("starts-away", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    folder.write("shop.yaml", sliding());
    folder.write("other.yaml", sliding().replace("model: shop", "model: other"));
    let with = |policies: &str| {
        folder.write("driftgate.yaml", topics.config("shop.yaml", "2s").replace("[\"shop.yaml\"]", policies));
    };
    let first = now_ms() / 10_000 * 10_000 - 200_000;
    let at = |n: i64| -> super::Events {
        window("1", first + n * 10_000, 0).into_iter().map(|(_, k, v)| (0, k, v)).collect()
    };
    let published: Vec<super::Events> = (0..12).map(at).collect();
    // The log lost its first half window before anybody read it.
    publish(&topics.predictions, published[0].clone());
    delete_before(&topics.predictions, 0, 500);
    publish(&topics.predictions, [&published[1..4]].concat().into_iter().flatten());
    with("[\"shop.yaml\"]");
    let daemon = Daemon::start(&config, &[]);
    wait_counted(&daemon, "1", 3500.0);
    wait_for("the first windows", || (read(&topics.verdicts).len() >= 3).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let judged = read(&topics.verdicts);
    assert_eq!((ends(&judged, false, first), ends(&judged, true, first)), (vec![1, 2], vec![3]));

    with("[\"other.yaml\"]");
    publish(&topics.predictions, [&published[4..6]].concat().into_iter().flatten());
    let daemon = Daemon::start(&config, &[]);
    let passed = format!("driftgate_unknown_model_events_total{{topic=\"{}\"}}", topics.predictions);
    wait_for("the events without a policy", || daemon.metric(&passed).filter(|n| *n >= 2000.0));
    assert_eq!(daemon.stop(), Some(0));
    with("[\"shop.yaml\", \"other.yaml\"]");
    publish(&topics.predictions, [&published[6..12]].concat().into_iter().flatten());
    let daemon = Daemon::start(&config, &[]);
    let judged = wait_for("the windows after it", || Some(read(&topics.verdicts)).filter(|all| all.len() >= 8));
    // Its first event after the pause is at 60; one up to a second later may have been passed over.
    assert_eq!((ends(&judged[3..], false, first), ends(&judged[3..], true, first)), (vec![7, 8], vec![9, 10, 11]));
    let all: Vec<_> = published.iter().collect();
    assert_known(&complete(judged), &replayed(&folder, "shop.yaml", "", &all));
    assert_eq!(daemon.stop(), Some(0));
}
