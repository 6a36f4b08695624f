//! The internal topics of a cluster on a real broker: what is told of them, their creation, and what `check --kafka` finds.

use serde_json::Value;

use crate::broker::{brokers, make_topic, publish, topic};
use crate::support::Folder;

const POLICY: &str = "apiVersion: driftgate/v1
model: shop
features: {numeric: [x]}
checks: {drift: {window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}}
";

/// A folder with a configuration whose internal topics begin with this.
fn folder(predictions: &str, labels: &str, prefix: &str, replication: i32) -> Folder {
    let folder = Folder::new();
    folder.write("shop.yaml", POLICY);
    let config = format!(
        "policies: [\"shop.yaml\"]\nkafka: {{brokers: \"{}\", group: \"{prefix}\"}}\nsources:\n\
         - {{topic: \"{predictions}\", kind: predictions}}\n- {{topic: \"{labels}\", kind: labels}}\n\
         cluster: {{instance: a, advertise: \"http://127.0.0.1:9464\", audit_key: key.pem, topics: {{prefix: \"{prefix}\", replication: {replication}}}}}\n",
        brokers()
    );
    folder.write("driftgate.yaml", config);
    folder
}

fn states(told: &Value) -> Vec<&str> {
    told["topics"].as_array().unwrap().iter().map(|topic| topic["state"].as_str().unwrap()).collect()
}

#[test]
fn internal_topics_are_created_once_and_what_differs_is_told() {
    let predictions = topic("cluster-topics-predictions", 4);
    let labels = topic("cluster-topics-labels", 2);
    // No other run has it.
    let prefix = format!("{predictions}.");
    let folder = folder(&predictions, &labels, &prefix, 1);
    let run = |arguments: &str| folder.driftgate(&format!("{arguments} --config driftgate.yaml"));
    let missing = run("cluster topics --json").exits(1).json();
    assert_eq!((states(&missing), &missing["right"]), (vec!["missing"; 5], &Value::Bool(false)));
    run("check --kafka")
        .exits(2)
        .says(&format!("the internal topic \"{prefix}units\" does not exist: driftgate cluster topics"));

    let created = run("cluster topics --create --json").exits(0).json();
    assert_eq!(states(&created), ["right"; 5], "{created:#}");
    assert!(created["topics"].as_array().unwrap().iter().all(|topic| topic["created"] == true), "{created:#}");
    let again = run("cluster topics --create").exits(0);
    assert!(again.stdout.lines().all(|line| line.ends_with(" is right")), "{}", again.stdout);
    // One process counts all partitions, so different numbers are only worth knowing.
    run("check --kafka").exits(0).prints(&format!("{predictions} has 4, {labels} has 2"));

    // A topic whose records go after a week is no ledger.
    let other = format!("{predictions}-other.");
    make_topic(&format!("{other}ledger"), 2, &[("retention.ms", "604800000")]);
    let folder = self::folder(&predictions, &labels, &other, 1);
    let told = folder.driftgate("cluster topics --config driftgate.yaml --create --json").exits(1).json();
    assert_eq!(states(&told), ["right", "right", "different", "right", "right"], "{told:#}");
    let differences = told["topics"][2]["differences"].as_array().unwrap();
    let whats: Vec<&str> = differences.iter().map(|d| d["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["partitions", "retention.ms"], "{told:#}");
    folder.driftgate("check --kafka --config driftgate.yaml").exits(2).says("retention.ms of the internal topic");
}

#[test]
fn what_cannot_be_created_or_reached_says_why() {
    let predictions = topic("cluster-topics-refused", 1);
    let prefix = format!("{predictions}.");
    let folder = folder(&predictions, &predictions, &prefix, 3);
    // The tests' broker is one.
    let config = folder.read("driftgate.yaml").replace(&format!("- {{topic: \"{predictions}\", kind: labels}}\n"), "");
    folder.write("driftgate.yaml", &config);
    folder
        .driftgate("cluster topics --config driftgate.yaml --create")
        .exits(1)
        .prints("is missing: there are fewer brokers than replicas: correct cluster.topics.replication");
    folder.write("driftgate.yaml", config.replace(&brokers(), "127.0.0.1:1"));
    folder.driftgate("cluster topics --config driftgate.yaml").exits(5);
    folder.driftgate("check --kafka --config driftgate.yaml").exits(5);
    folder.write("driftgate.yaml", "policies: [shop.yaml]\n");
    folder.driftgate("cluster topics --config driftgate.yaml").exits(2).says("there is no `cluster` section");
}

/// Processes that divide partitions need an id's prediction and label in partitions of the same number; a sample of both topics says whether it is so.
#[test]
fn ids_in_partitions_of_different_numbers_are_told_before_partitions_are_divided() {
    let (predictions, labels) = (topic("placement-predictions", 3), topic("placement-labels", 3));
    let prefix = format!("{predictions}.");
    let folder = folder(&predictions, &labels, &prefix, 1);
    let policy = POLICY.replace("features:", "score: {threshold: 0.5}\nlabels: {horizon: 1h}\nfeatures:");
    folder.write("shop.yaml", policy.replace("[{psi:", "[{precision: {gte: 0.1}}, {psi:"));
    folder
        .write("driftgate.yaml", folder.read("driftgate.yaml").replace("cluster: {", "cluster: {split: partitions, "));
    folder.driftgate("cluster topics --create --config driftgate.yaml").exits(0);
    let check = || folder.driftgate("check --kafka --config driftgate.yaml");
    check().exits(0).prints("there are no predictions or no labels that can be read of \"shop\"");

    let now = crate::kafka::now_ms();
    let prediction = |i: i32| {
        let event = format!(
            "{{\"model\":\"shop\",\"prediction_id\":\"r{i}\",\"version\":\"1\",\"ts\":{now},\"score\":0.5,\"features\":{{\"x\":1}}}}"
        );
        (i % 3, format!("r{i}"), event.into_bytes())
    };
    let label = |i: i32, partition| {
        (
            partition,
            format!("r{i}"),
            format!("{{\"model\":\"shop\",\"prediction_id\":\"r{i}\",\"ts\":{now},\"label\":1}}").into_bytes(),
        )
    };
    publish(&predictions, (0..30).map(prediction));
    publish(&labels, (100..110).map(|i| label(i, i % 3)));
    check().exits(0).prints("none of 10 labels of \"shop\"");
    publish(&labels, (0..20).map(|i| label(i, i % 3)));
    check().exits(0).prints("20 ids of \"shop\"");
    publish(&labels, (20..23).map(|i| label(i, (i + 1) % 3)));
    let told = check().exits(2);
    let expected = format!("for example \"r20\" in partition 2 of \"{predictions}\" and 0 of \"{labels}\"");
    assert!(told.stderr.contains("3 of 23 ids of \"shop\"") && told.stderr.contains(&expected), "{}", told.stderr);
}
