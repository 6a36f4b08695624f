//! Verdicts of 3,000 features, above what a topic takes and what the client sends: a shortened one arrives, nothing waits behind it,
//! and the registry has all of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::broker::{Daemon, brokers, make_topic, publish, read, topic, wait_for};
use crate::support::{Folder, lines};

const FEATURES: usize = 3000;
const MINUTE: i64 = 60_000;
const START: i64 = 1_672_531_200_000;

fn names() -> Vec<String> {
    (0..FEATURES).map(|i| format!("feature_number_{i:04}")).collect()
}

fn event(i: i64) -> Value {
    let features: serde_json::Map<String, Value> =
        names().into_iter().enumerate().map(|(f, name)| (name, json!((i + f as i64) % 10))).collect();
    json!({"prediction_id": format!("p{i}"), "model": "shop", "version": "1", "ts": START + i / 20 * MINUTE + i % 20 * 1000, "features": features})
}

#[test]
fn verdicts_of_three_thousand_features_arrive_above_the_topics_limit_and_the_clients() {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: shop\nbaseline: {{snapshot: train.csv}}\nfeatures: {{numeric: [{}]}}\nlateness: 1s\nmin_samples: 10\n\
             checks:\n  drift:\n    window: {{size: 1m, slide: 1m}}\n    rules: [{{psi: {{of: features, lt: 0.2}}}}, {{missing_rate: {{of: features, max_increase: 0.5}}}}, {{invalid_rate: {{of: features, lte: 0.5}}}}]\n",
            names().join(", ")
        ),
    );
    let row = |i: usize| (0..FEATURES).map(|f| ((i + f) % 10).to_string()).collect::<Vec<_>>().join(",") + "\n";
    folder.write("train.csv", format!("{}\n{}", names().join(","), (0..50).map(row).collect::<String>()));
    folder.write("events.jsonl", lines((0..80).map(event)));
    folder.driftgate("replay --policy policy.yaml --predictions events.jsonl --verdicts v.jsonl").exits(0);
    let all: Vec<Value> = folder.json_lines("v.jsonl");
    let expected: BTreeMap<String, Value> = all
        .into_iter()
        .filter(|v| v["window"]["complete"] == true)
        .map(|v| (v["verdict_id"].as_str().unwrap().to_owned(), v))
        .collect();
    let smallest = expected.values().map(|v| v.to_string().len()).min().unwrap();
    assert!(smallest > 1_100_000, "{smallest} bytes: less than what a topic takes");
    // The topic takes more than the client sends; the client sends more than the topic takes.
    for (name, setting, property) in [
        ("wide-client", "10000000", ", properties: {\"message.max.bytes\": \"1000000\"}"),
        (
            "wide-topic",
            "1048588",
            ", properties: {\"message.max.bytes\": \"10000000\", \"compression.type\": \"none\"}",
        ),
    ] {
        let (events, verdicts) = (topic(name, 1), format!("{name}-{}-verdicts", std::process::id()));
        make_topic(&verdicts, 1, &[("max.message.bytes", setting)]);
        folder.write(
            "driftgate.yaml",
            format!(
                "policies: [policy.yaml]\nkafka: {{brokers: \"{}\"{property}, group: \"{events}\"}}\n\
                 sources: [{{topic: \"{events}\", kind: predictions}}]\nregistry: {{embedded: {{path: {name}.db}}}}\n\
                 publish: {{verdicts: \"{verdicts}\"}}\nstate: {{path: {name}, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
                brokers()
            ),
        );
        let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
        publish(&events, (0..80).map(|i| (0, "k".to_owned(), event(i).to_string().into_bytes())));
        let found = wait_for("all verdicts", || {
            let found = read(&verdicts);
            (found.len() >= expected.len()).then_some(found)
        });
        for verdict in &found {
            let known = &expected[verdict["verdict_id"].as_str().unwrap()];
            for key in ["status", "window", "version", "counted", "policy_sha256"] {
                assert_eq!(verdict[key], known[key], "{key}");
            }
        }
        assert!(found.iter().any(|v| v.get("shortened").is_some()));
        assert_eq!(daemon.metric("driftgate_undeliverable_total{sink=\"verdicts\"}"), Some(0.0));
        assert_eq!(daemon.get("/ready").0, 200);
        assert_eq!(daemon.stop(), Some(0));
    }
}
