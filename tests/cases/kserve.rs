//! Requests and responses of KServe's logger on a topic: halves of a prediction in different partitions, read by a daemon that is killed.

use std::path::{Path, PathBuf};

use super::broker::{Daemon, brokers, flights, publish, read, wait_for};
use super::cloudevents::write;
use super::kafka::{Topics, by_id, load, replayed_of};
use super::schemas::serializers;
use super::support::Folder;

const PARTITIONS: i32 = 3;

/// Publishes lines of halves.
fn publish_halves(topic: &str, halves: &Path, from: usize, to: usize) {
    let mut command = serializers("publish_kserve.py");
    let partitions = PARTITIONS.to_string();
    let published =
        command.args([&brokers(), topic, &partitions]).arg(halves).args([from, to].map(|n| n.to_string())).output();
    let published = published.unwrap();
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
}

/// Predictions as requests and responses: what the predictions are, the halves, and the labels.
fn events(folder: &Folder) -> (PathBuf, PathBuf, PathBuf) {
    let (json, spare) = (Topics::new("kserve-json", 1), Topics::new("kserve-spare", 1));
    for (file, kind, topic) in
        [("predictions.parquet", "predictions", &json.predictions), ("labels.parquet", "labels", &json.labels)]
    {
        assert!(load(file, kind, topic, None).wait().unwrap().success());
    }
    let (predictions, _) = write(&json.predictions, &spare.predictions, "binary", folder, "predictions");
    let (labels, _) = write(&json.labels, &spare.labels, "binary", folder, "labels");
    let (plain, halves) = (folder.path("plain.jsonl"), folder.path("kserve.jsonl"));
    let written = serializers("kserve.py").args([&predictions, &plain, &halves]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    (plain, halves, labels)
}

#[test]
fn halves_in_different_partitions_give_the_replays_verdicts_over_a_kill() {
    let folder = Folder::new();
    let (plain, halves, labels) = events(&folder);
    let expected = replayed_of(&plain, &labels);
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    let (all, pairs) = (lines(&halves), lines(&plain));

    let topics = Topics::new("kserve", PARTITIONS);
    let policy = flights().join("policy-core.yaml").display().to_string();
    let of_kserve = "kind: predictions, format: kserve, model: flight_delay, kserve: {score: /probability, version: /annotations/model-version, wait: 30m}";
    folder.write(
        "driftgate.yaml",
        topics.config(&policy, "8s").replacen("kind: predictions, format: json", of_kserve, 1),
    );
    let config = folder.path("driftgate.yaml");
    let texts = std::fs::read_to_string(&labels).unwrap();
    let of_labels = texts.lines().enumerate();
    publish(
        &topics.labels,
        of_labels.map(|(at, line)| (i32::try_from(at).unwrap() % PARTITIONS, String::new(), line.as_bytes().to_vec())),
    );
    publish_halves(&topics.predictions, &halves, 0, all / 2);
    let daemon = Daemon::start(&config, &[]);
    let joined = format!("driftgate_inferences_joined_total{{topic=\"{}\"}}", topics.predictions);
    wait_for("some pairs and a checkpoint", || {
        let some = daemon.metric(&joined).is_some_and(|n| n > 1000.0);
        (some && daemon.metric("driftgate_checkpoint_written_total").is_some_and(|n| n > 1.0)).then_some(())
    });
    daemon.signal("KILL");
    drop(daemon);
    publish_halves(&topics.predictions, &halves, all / 2, all);
    let daemon = Daemon::start(&config, &[]);
    let found = wait_for("all verdicts", || {
        let found = by_id(read(&topics.verdicts));
        (found.len() >= expected.len()).then_some(found)
    });
    for (id, verdict) in &expected {
        assert_eq!(found.get(id), Some(verdict), "{id}");
    }
    // What is shown follows what is delivered.
    let counted = |name: &str, labels: &str| {
        let series = format!("driftgate_inferences_{name}{{{labels}topic=\"{}\"}}", topics.predictions);
        wait_for("the metric", || daemon.metric(&series))
    };
    wait_for("that all pairs are shown", || (counted("joined_total", "") as usize >= pairs).then_some(()));
    let waiting = counted("waiting", "");
    assert_eq!(counted("joined_total", "") as usize, pairs);
    assert_eq!(counted("unmatched_total", "half=\"request\",") + waiting, 7.0, "requests without a response");
    assert_eq!((counted("dropped_total", ""), counted("repeated_total", "")), (0.0, 0.0));
    assert_eq!(daemon.stop(), Some(0));
}
