//! Events that are rejected are not silent: the log, `/ready`, the API and the metrics say so, with an example.

use serde_json::Value;

use super::broker::{Daemon, publish, wait_for};
use super::kafka::{Topics, now_ms, shop, window};
use super::support::Folder;

fn warnings(daemon: &Daemon) -> Vec<Value> {
    let log = daemon.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|l| l["message"].as_str().is_some_and(|m| m.starts_with("events are rejected"))).collect()
}

#[test]
fn a_topic_of_which_everything_is_rejected_is_not_ready_and_says_why_until_it_is_readable() {
    let topics = Topics::new("rejected", 2);
    let folder = Folder::new();
    let config = shop(&folder, &topics);
    let daemon = Daemon::start(&config, &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    // The version's key is misspelt, and a few are no JSON at all.
    let start = now_ms() - 600_000;
    let misspelt = |(p, k, v): (i32, String, Vec<u8>)| {
        (p, k, String::from_utf8(v).unwrap().replace("\"version\"", r#""ver\u001bsion""#).into_bytes())
    };
    publish(&topics.predictions, window("1", start, 0).into_iter().take(300).map(misspelt));
    publish(&topics.predictions, (0..5).map(|i| (0, "k".to_owned(), format!("id,ts\n{i}").into_bytes())));

    let (status, body) = wait_for("the reason", || Some(daemon.get("/ready")).filter(|(_, b)| b.contains("rejected")));
    assert_eq!(status, 503);
    let body: Value = serde_json::from_str(&body).unwrap();
    let why = body["waiting"][format!("{} is unreadable", topics.predictions)].as_str().unwrap().to_owned();
    assert!(why.contains("were rejected and count nowhere"), "{why}");
    wait_for("all of them", || {
        let inputs: Value = serde_json::from_str(&daemon.get("/api/v1/inputs").1).unwrap();
        let input = inputs["inputs"].as_array()?.iter().find(|i| i["topic"] == topics.predictions.as_str())?.clone();
        let problem = input["problem"].as_str()?;
        (problem.starts_with("305 of the last 305 events") && problem.contains("the event has no version")).then(|| {
            assert_eq!(input["recent"]["share"], 1.0);
            assert_eq!(input["rejected"]["not_json"], 5);
        })
    });
    wait_for("the share", || {
        daemon.metric(&format!("driftgate_rejected_ratio{{topic=\"{}\"}}", topics.predictions)).filter(|r| *r == 1.0)
    });

    // One line a reason however many there are, with where the first came from and no control characters.
    let said = warnings(&daemon);
    let mut reasons: Vec<&str> = said.iter().map(|l| l["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["no_version", "not_json"]);
    let line = said.iter().find(|l| l["reason"] == "no_version").unwrap();
    assert_eq!((&line["level"], &line["topic"]), (&Value::from("WARN"), &Value::from(topics.predictions.as_str())));
    assert!(line["offset"].is_i64() && line["partition"].is_i64(), "{line}");
    let read = line["read"].as_str().unwrap();
    assert!(read.contains(r#""ver\u{1b}sion""#) && !read.contains("0.3"), "{read}");
    let csv = said.iter().find(|l| l["reason"] == "not_json").unwrap();
    assert!(csv["read"].as_str().unwrap().contains(r"begin with id,ts\n"), "{csv}");

    // Good events follow, and it is ready again.
    for i in 0..4 {
        publish(&topics.predictions, window("1", start + 20_000 + i * 10_000, 0));
    }
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}
