//! What the daemon tells of topics whose events count, and what it skips.

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::broker::{Daemon, brokers, publish, topic, wait_for};
use crate::support::{Folder, lines};

const POLICY: &str = r"apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [x, age]}
score: {threshold: 0.5}
segments: [g]
labels: {horizon: 1d, attribute: prediction_time}
checks:
  drift:
    window: {size: 1h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2}
    - latency_p95_ms: {lt: 100}
";

/// Publishes a message without a value.
fn bury(topic: &str, key: &str) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    producer.send(BaseRecord::<str, [u8]>::to(topic).partition(0).key(key)).unwrap();
    producer.flush(std::time::Duration::from_secs(30)).unwrap();
}

#[test]
fn tombstones_are_skipped_and_what_no_event_has_is_said() {
    let (predictions, labels) = (topic("told-predictions", 1), topic("told-labels", 1));
    let folder = Folder::new();
    folder.write("shop.yaml", POLICY);
    folder.write("train.csv", "x,age\n1,2\n2,3\n3,4\n");
    let config = format!(
        "policies: [\"shop.yaml\"]\nkafka: {{brokers: \"{}\", group: \"{predictions}\"}}\nsources:\n\
         - {{topic: \"{predictions}\", kind: predictions, format: json}}\n\
         - {{topic: \"{labels}\", kind: labels, format: json}}\n\
         registry: {{embedded: {{path: registry.db}}}}\npublish: {{dead_letters: {{path: dead.jsonl, payload: none}}}}\n\
         state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
        brokers()
    );
    folder.write("driftgate.yaml", config);
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    // Seconds, read as milliseconds; no age, no latency, no segment.
    let events = lines((0..150).map(|i| {
        json!({"model": "shop", "version": "1", "prediction_id": format!("p{i}"), "ts": 1_700_049_600 + i, "score": 0.5,
            "decision": "approve", "features": {"x": i % 3}})
    }));
    publish(&predictions, events.lines().map(|line| (0, "k".to_owned(), line.as_bytes().to_vec())));
    bury(&predictions, "k");
    bury(&labels, "p1");
    let label = br#"{"model":"shop","prediction_id":"p1","ts":1700049600,"label":"maybe"}"#;
    publish(&labels, [(0, "p1".to_owned(), label.to_vec())]);
    let metric = |name: &str, labels: &str| format!("driftgate_{name}{{{labels}}}");
    let expected = [
        (metric("tombstones_total", &format!("topic=\"{predictions}\"")), 1.0),
        (metric("tombstones_total", &format!("topic=\"{labels}\"")), 1.0),
        (metric("unmapped_values_total", &format!("field=\"label\",topic=\"{labels}\"")), 1.0),
        (metric("unmapped_values_total", &format!("field=\"decision\",topic=\"{predictions}\"")), 150.0),
        (metric("early_times_ratio", &format!("topic=\"{predictions}\"")), 1.0),
        (metric("absent_name", &format!("model=\"shop\",name=\"age\",topic=\"{predictions}\"")), 1.0),
        (metric("absent_name", &format!("model=\"shop\",name=\"latency_ms\",topic=\"{predictions}\"")), 1.0),
        (metric("events_total", &format!("topic=\"{predictions}\"")), 150.0),
    ];
    for (series, value) in &expected {
        wait_for(series, || daemon.metric(series).filter(|v| v == value));
    }
    assert!(!daemon.get("/metrics").1.contains("name=\"x\""), "x is there");
    let rejected = daemon.get("/metrics").1.lines().any(|l| l.starts_with("driftgate_rejected_events_total{"));
    assert!(!rejected && folder.read("dead.jsonl").is_empty(), "nothing was rejected");
    let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
    let remarks: Vec<&str> = status["remarks"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
    for said in [
        format!("{predictions}: the median of its times is before 1980"),
        format!("{predictions}: 150 decisions of no class, such as \"approve\""),
        format!("{predictions}: no event of 150 has `age`, `g`, `latency_ms`"),
        format!("{labels}: 1 label of no class, such as \"maybe\""),
    ] {
        assert!(remarks.iter().any(|r| r.starts_with(&said)), "{said}: {remarks:?}");
        let logged = said.replace('"', "\\\"");
        wait_for(&said, || daemon.log().contains(&logged).then_some(()));
    }
    assert_eq!(daemon.stop(), Some(0));
}
