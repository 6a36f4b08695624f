//! Where a partition is read on after a restart: what stands in the log but is no record (markers of transactions, aborted
//! records, what compaction took) is no lost data, a record that was not counted is; and a topic made anew is another topic.

use std::path::Path;

use rdkafka::producer::Producer as _;

use super::broker::{
    Daemon, delete_before, delete_topic, log_range, make_topic, open_transaction, publish, publish_in_transaction,
    wait_for,
};
use super::kafka::{Topics, now_ms, shop, window};
use super::support::Folder;

/// So many predictions of one window, all in partition 0.
fn predictions(start: i64, n: usize) -> Vec<(i32, String, Vec<u8>)> {
    window("1", start, 0).into_iter().take(n).map(|(_, key, payload)| (0, key, payload)).collect()
}

fn events(daemon: &Daemon, topic: &str) -> Option<f64> {
    daemon.metric(&format!("driftgate_events_total{{topic=\"{topic}\"}}"))
}

fn lag(daemon: &Daemon, topic: &str) -> Option<f64> {
    daemon.metric(&format!("driftgate_consumer_lag{{partition=\"0\",topic=\"{topic}\"}}"))
}

/// Starts a daemon and stops it once so many events were read.
fn read_and_stop(config: &Path, topic: &str, n: f64) {
    let daemon = Daemon::start(config, &[]);
    wait_for("the events", || events(&daemon, topic).filter(|seen| *seen >= n));
    assert_eq!(daemon.stop(), Some(0));
}

/// Ready, and still so after the brokers were asked and a checkpoint was written.
fn assert_ready(daemon: &Daemon) {
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    wait_for("a checkpoint", || daemon.metric("driftgate_checkpoint_written_total").filter(|n| *n >= 2.0));
    let (status, body) = daemon.get("/ready");
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_transactional_topic_emptied_by_retention_has_lost_nothing_and_no_lag() {
    for (name, last_commits) in [("committed", true), ("aborted", false)] {
        let topics = Topics::new(name, 1);
        let folder = Folder::new();
        let config = shop(&folder, &topics);
        let start = now_ms() - 600_000;
        publish_in_transaction(&topics.predictions, predictions(start, 10), true);
        publish_in_transaction(&topics.predictions, predictions(start + 20_000, 5), last_commits);
        let read = if last_commits { 15.0 } else { 10.0 };
        let daemon = Daemon::start(&config, &[]);
        wait_for("the events", || events(&daemon, &topics.predictions).filter(|n| *n >= read));
        wait_for("no lag", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 0.0));
        assert_eq!(daemon.stop(), Some(0));

        // Ten records, their marker, five more and the marker of those.
        assert_eq!(log_range(&topics.predictions, 0), (0, 17));
        delete_before(&topics.predictions, 0, 17);
        let daemon = Daemon::start(&config, &[]);
        assert_ready(&daemon);
        wait_for("no lag", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 0.0));
        // It is read on, and exactly once.
        publish_in_transaction(&topics.predictions, predictions(start + 40_000, 7), true);
        wait_for("the new events", || events(&daemon, &topics.predictions).filter(|n| *n >= 7.0));
        wait_for("no lag", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 0.0));
        let counted = daemon.metric("driftgate_predictions_total{model=\"shop\",version=\"1\"}");
        assert_eq!(counted, Some(read + 7.0));
        assert_eq!(daemon.stop(), Some(0));
    }
}

#[test]
fn what_an_open_transaction_holds_is_lag() {
    let topics = Topics::new("open", 1);
    let folder = Folder::new();
    let daemon = Daemon::start(&shop(&folder, &topics), &[]);
    assert_ready(&daemon);
    let start = now_ms() - 600_000;
    publish_in_transaction(&topics.predictions, predictions(start, 10), true);
    wait_for("the events", || events(&daemon, &topics.predictions).filter(|n| *n >= 10.0));
    wait_for("no lag", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 0.0));
    let producer = open_transaction(&topics.predictions, predictions(start + 20_000, 5));
    publish(&topics.predictions, predictions(start + 40_000, 7));
    wait_for("all that is behind it", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 12.0));
    assert_eq!(events(&daemon, &topics.predictions), Some(10.0));
    producer.commit_transaction(std::time::Duration::from_secs(30)).unwrap();
    wait_for("the events", || events(&daemon, &topics.predictions).filter(|n| *n >= 22.0));
    wait_for("no lag", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 0.0));
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_stop_right_after_the_last_record_knows_of_the_marker_behind_it() {
    let topics = Topics::new("marker", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    publish_in_transaction(&topics.predictions, predictions(now_ms() - 600_000, 10), true);
    read_and_stop(&config, &topics.predictions, 10.0);
    delete_before(&topics.predictions, 0, 11);
    let daemon = Daemon::start(&config, &[]);
    assert_ready(&daemon);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_record_that_retention_took_before_it_was_counted_is_a_hole() {
    let topics = Topics::new("lost", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let start = now_ms() - 600_000;
    publish_in_transaction(&topics.predictions, predictions(start, 10), true);
    read_and_stop(&config, &topics.predictions, 10.0);
    publish_in_transaction(&topics.predictions, predictions(start + 20_000, 5), true);
    delete_before(&topics.predictions, 0, 12);
    let daemon = Daemon::start(&config, &[]);
    let (status, body) = wait_for("the hole", || Some(daemon.get("/ready")).filter(|(_, b)| b.contains("hole")));
    assert_eq!(status, 503);
    assert!(body.contains("offset 11, the next to be counted, is not in the log any more"), "{body}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn what_compaction_took_is_no_hole() {
    let mut topics = Topics::new("compacted", 1);
    topics.predictions = format!("{}-keys", topics.predictions);
    // Small segments, so that everything but the last record is compacted soon.
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("max.compaction.lag.ms", "100"),
    ];
    make_topic(&topics.predictions, 1, &settings);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let start = now_ms() - 600_000;
    let same_key = |n: usize, from: i64| predictions(from, n).into_iter().map(|(p, _, v)| (p, "k".to_owned(), v));
    publish(&topics.predictions, same_key(10, start));
    read_and_stop(&config, &topics.predictions, 10.0);
    // Offsets 10 to 19 are compacted to the last of them, one of another key follows.
    publish(&topics.predictions, same_key(10, start + 20_000));
    std::thread::sleep(std::time::Duration::from_millis(300));
    publish(&topics.predictions, predictions(start + 40_000, 1));
    wait_for("compaction", || (super::broker::read(&topics.predictions).len() == 2).then_some(()));
    let daemon = Daemon::start(&config, &[]);
    wait_for("what is left", || events(&daemon, &topics.predictions).filter(|n| *n >= 2.0));
    assert_ready(&daemon);
    wait_for("no lag", || lag(&daemon, &topics.predictions).filter(|lag| *lag == 0.0));
    assert_eq!(daemon.stop(), Some(0));
}

fn counted(daemon: &Daemon) -> Option<f64> {
    daemon.metric("driftgate_predictions_total{model=\"shop\",version=\"1\"}")
}

/// Waits until the daemon says that the topic was made anew; how to accept it, as it says.
fn told_anew(daemon: &Daemon, topic: &str) -> String {
    let name = format!("{topic} was made anew");
    let why = wait_for("the reason, once and not for each partition", || {
        let (status, body) = daemon.get("/ready");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let waiting = body["waiting"].as_object()?;
        let why = waiting.get(&name)?.as_str().unwrap().to_owned();
        assert_eq!(status, 503);
        (waiting.keys().filter(|key| key.starts_with(topic)).count() == 1).then_some(why)
    });
    let accept = why.split_once("--accept-new-topic ").unwrap().1.to_owned();
    assert!(accept.starts_with(&format!("{topic}=")), "{why}");
    wait_for("the log", || daemon.log().lines().any(|l| l.contains("ERROR") && l.contains(&accept)).then_some(()));
    wait_for("the metric", || {
        daemon.metric(&format!("driftgate_topic_replaced{{topic=\"{topic}\"}}")).filter(|n| *n == 1.0)
    });
    accept
}

#[test]
fn a_topic_made_anew_while_the_daemon_is_down_is_read_by_an_operators_word_only() {
    let topics = Topics::new("anew", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let start = now_ms() - 600_000;
    publish(&topics.predictions, predictions(start, 100));
    read_and_stop(&config, &topics.predictions, 100.0);
    delete_topic(&topics.predictions);
    make_topic(&topics.predictions, 1, &[]);
    publish(&topics.predictions, predictions(start + 20_000, 250));

    let mut accept = String::new();
    // The state keeps the old id as long as the new one is not accepted.
    for _ in 0..2 {
        let daemon = Daemon::start(&config, &[]);
        accept = told_anew(&daemon, &topics.predictions);
        wait_for("a checkpoint", || daemon.metric("driftgate_checkpoint_written_total").filter(|n| *n >= 1.0));
        assert_eq!(events(&daemon, &topics.predictions), Some(0.0));
        assert_eq!(daemon.stop(), Some(0));
    }
    let wrong = format!("{}=AAAAAAAAAAAAAAAAAAAAAQ", topics.predictions);
    let daemon = Daemon::start_with(&config, &[], &["--accept-new-topic", &wrong]);
    told_anew(&daemon, &topics.predictions);
    assert!(daemon.log().contains("it changes nothing"), "{}", daemon.log());
    assert_eq!(daemon.stop(), Some(0));

    let daemon = Daemon::start_with(&config, &[], &["--accept-new-topic", &accept]);
    wait_for("all of the new topic", || events(&daemon, &topics.predictions).filter(|n| *n >= 250.0));
    wait_for("the counts", || counted(&daemon).filter(|n| *n >= 350.0));
    assert_ready(&daemon);
    assert_eq!(daemon.stop(), Some(0));
    // From then on it is the topic, with or without the word.
    for more in [&["--accept-new-topic", accept.as_str()][..], &[]] {
        let daemon = Daemon::start_with(&config, &[], more);
        assert_ready(&daemon);
        assert_eq!((events(&daemon, &topics.predictions), counted(&daemon)), (Some(0.0), Some(350.0)));
        assert_eq!(daemon.stop(), Some(0));
    }
    let run = folder.driftgate("run --config driftgate.yaml --accept-new-topic other=x");
    run.exits(2).says("which is no source's topic");
    folder.driftgate("run --config driftgate.yaml --accept-new-topic other").exits(2).says("expected TOPIC=ID");
}

#[test]
fn a_topic_made_anew_while_the_daemon_runs_is_not_read_on() {
    let topics = Topics::new("replaced", 1);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let start = now_ms() - 600_000;
    publish(&topics.predictions, predictions(start, 100));
    let daemon = Daemon::start(&config, &[]);
    wait_for("the events", || events(&daemon, &topics.predictions).filter(|n| *n >= 100.0));
    assert_ready(&daemon);
    delete_topic(&topics.predictions);
    make_topic(&topics.predictions, 1, &[]);
    publish(&topics.predictions, predictions(start + 20_000, 250));
    let accept = told_anew(&daemon, &topics.predictions);
    // What the client read before the ids were asked for is counted; nothing that comes later is. What is shown is a moment older.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let before = counted(&daemon).unwrap();
    assert!((100.0..=250.0).contains(&before), "{before}");
    publish(&topics.predictions, predictions(start + 40_000, 50));
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(counted(&daemon), Some(before));
    assert_eq!(daemon.get("/ready").0, 503);
    assert_eq!(daemon.stop(), Some(0));
    // From its beginning, and by their ids each prediction once.
    let daemon = Daemon::start_with(&config, &[], &["--accept-new-topic", &accept]);
    wait_for("the events", || events(&daemon, &topics.predictions).filter(|n| *n >= 300.0));
    wait_for("the counts", || counted(&daemon).filter(|n| *n >= 400.0));
    assert_ready(&daemon);
    assert_eq!(counted(&daemon), Some(400.0));
    assert_eq!(daemon.stop(), Some(0));
}
