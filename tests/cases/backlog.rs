//! A backlog of months in windows of a minute: the registry is written in batches, and a kill in the middle changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::broker::{Daemon, brokers, publish, read, topic, wait_for};
use super::support::{Folder, json_lines, lines};

const POLICY: &str = "\
apiVersion: driftgate/v1
model: shop
baseline: {snapshot: shop.csv}
features: {numeric: [x], categorical: []}
lateness: 1s
min_samples: 1
checks:
  minute:
    window: {size: 1m, slide: 1m}
    rules: [{missing_rate: {of: features, max_increase: 0.2}}, {invalid_rate: {of: features, lte: 0.5}}]
";
const EVENTS: i64 = 40_000;
const MINUTE: i64 = 60_000;
/// 2023-01-01T00:00:00Z.
const START: i64 = 1_672_531_200_000;

/// Two events a minute, over two weeks; on each fifth day one of them lacks its feature, and the window is blocked.
fn event(i: i64) -> Value {
    let ts = START + i / 2 * MINUTE + i % 2 * 1000;
    let x = if i / 2 / 1440 % 5 == 4 && i % 2 == 1 { Value::Null } else { json!(i % 10) };
    json!({"prediction_id": format!("p{i}"), "model": "shop", "version": "1", "ts": ts, "features": {"x": x}})
}

#[test]
fn months_of_windows_of_a_minute_take_few_transactions_and_survive_a_kill() {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("shop.csv", format!("x\n{}", (0..1000).map(|i| format!("{}\n", i % 10)).collect::<String>()));
    folder.write("events.jsonl", lines((0..EVENTS).map(event)));
    folder
        .driftgate("replay --policy policy.yaml --predictions events.jsonl --verdicts v.jsonl --signals s.jsonl")
        .exits(0);
    let ids = |found: Vec<Value>, key: &str| -> BTreeSet<String> {
        found.iter().map(|v| v[key].as_str().unwrap().to_owned()).collect()
    };
    let expected: Vec<Value> =
        json_lines(&folder.path("v.jsonl")).into_iter().filter(|v| v["window"]["complete"] == true).collect();
    let signals = ids(folder.json_lines("s.jsonl"), "signal_id");
    assert!(expected.len() > 19_000 && signals.len() >= 4, "{} verdicts, {signals:?}", expected.len());
    let last = expected.last().unwrap()["window"]["end"].as_str().unwrap().to_owned();
    let expected = ids(expected, "verdict_id");

    let (events, verdicts, told) = (topic("backlog", 1), topic("backlog-verdicts", 1), topic("backlog-signals", 1));
    publish(&events, (0..EVENTS).map(|i| (0, "k".to_owned(), event(i).to_string().into_bytes())));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{events}\"}}\n\
             sources: [{{topic: \"{events}\", kind: predictions}}]\nregistry: {{embedded: {{path: registry.db}}}}\n\
             publish: {{verdicts: \"{verdicts}\", signals: \"{told}\"}}\n\
             state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            brokers()
        ),
    );
    let config = folder.path("driftgate.yaml");
    let transactions = |daemon: &Daemon| daemon.metric("driftgate_registry_transactions_total").unwrap();
    let mut daemon = Daemon::start(&config, &[]);
    wait_for("the first verdicts", || (transactions(&daemon) >= 2.0).then_some(()));
    let first = transactions(&daemon);
    daemon.signal("KILL");
    wait_for("the kill", || daemon.is_gone().then_some(()));

    let daemon = Daemon::start(&config, &[]);
    let recorded = || -> Option<String> {
        let version: Value = serde_json::from_str(&daemon.try_get("/api/v1/models/shop/versions/1")?).ok()?;
        Some(version["recorded"]["minute"].as_str()?.to_owned())
    };
    wait_for("the last verdict in the registry", || (recorded()? == last).then_some(()));
    // One a verdict would be 20,000.
    let written = first + transactions(&daemon);
    assert!(written < 1000.0, "{written} transactions for {} verdicts", expected.len());
    wait_for("every verdict in the topic", || (ids(read(&verdicts), "verdict_id") == expected).then_some(()));
    assert_eq!(ids(read(&told), "signal_id"), signals);
    assert_eq!(daemon.stop(), Some(0));
}
