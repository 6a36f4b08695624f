//! One id, one content: a signal that is derived again after a kill is told as it was told first, with what became of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::broker::{Daemon, brokers, publish, read, topic, wait_for};
use crate::support::Folder;

const MINUTE: i64 = 60_000;
/// 2023-01-01T00:00:00Z.
const START: i64 = 1_672_531_200_000;

const POLICY: &str = "\
apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [x]}
lateness: 1s
min_samples: 10
checks:
  slo:
    window: {size: 1m, slide: 1m}
    rules: [{latency_p95_ms: {id: p95, lt: 80}}]
rollback: {to: last_stable, triggers: [{rule: slo/p95, for: 1m}]}
";

/// Version 2 is slow from minute 2 to 4, and version 3 beside it, which is not in prod by the registry.
fn event(i: i64, version: &str) -> Value {
    let (minute, second) = (i / 20, i % 20);
    let latency = if (2..5).contains(&minute) { 500.0 } else { 20.0 };
    json!({"prediction_id": format!("{version}-{i}"), "model": "shop", "version": version, "stage": "prod", "ts": START + minute * MINUTE + second * 1000,
        "latency_ms": latency, "features": {"x": i % 10}})
}

#[test]
fn a_signal_told_again_after_a_kill_says_what_it_said_first() {
    let (events, signals) = (topic("told-again", 1), topic("told-again-signals", 1));
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("train.csv", format!("x\n{}", (0..1000).map(|i| format!("{}\n", i % 10)).collect::<String>()));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{events}\"}}\n\
             sources: [{{topic: \"{events}\", kind: predictions}}]\nregistry: {{embedded: {{path: registry.db}}}}\n\
             publish: {{signals: \"{signals}\"}}\nstate: {{path: state, every: 1h}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            brokers()
        ),
    );
    folder.driftgate("register shop 1 --stage prod --config driftgate.yaml").exits(0);
    folder.driftgate("register shop 2 --stage prod --config driftgate.yaml").exits(0);
    publish(
        &events,
        (0..140).flat_map(|i| ["2", "3"].map(|v| (0, "k".to_owned(), event(i, v).to_string().into_bytes()))),
    );
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for times in 1..=2 {
        let mut daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
        told = wait_for("the signals", || {
            let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for signal in read(&signals) {
                told.entry(signal["signal_id"].as_str().unwrap().to_owned()).or_default().push(signal);
            }
            (told.len() >= 6 && told.values().all(|same| same.len() >= times)).then_some(told)
        });
        daemon.signal("KILL");
        wait_for("its end", || daemon.is_gone().then_some(()));
    }
    let rollbacks: Vec<&Value> = told.values().map(|same| &same[0]).filter(|s| s["action"] == "rollback").collect();
    assert_eq!(rollbacks.len(), 2, "{told:?}");
    for (id, same) in &told {
        assert!(same.iter().all(|s| *s == same[0]), "{id} has two contents: {same:?}");
    }
    let of = |version: &str| *rollbacks.iter().find(|s| s["version"] == version).unwrap();
    assert_eq!((&of("2")["rollback_to"], &of("2")["outcome"]), (&json!("1"), &json!("applied")));
    assert_eq!((&of("3")["rollback_to"], &of("3")["outcome"]), (&json!(null), &json!("ignored")));
    assert!(of("3")["detail"].as_str().is_some_and(|why| !why.is_empty()));
}
