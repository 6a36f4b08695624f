//! A broker that lost the end of a log takes nothing more from the producer that wrote it: another one goes on.

use serde_json::json;

use super::own_broker::OwnBroker;
use super::{Events, replayed};
use crate::broker::{Daemon, publish_to, read_from, wait_for};
use crate::support::Folder;

const POLICY: &str = "\
apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [x]}
lateness: 1s
min_samples: 5
checks:
  drift:
    window: {size: 1m, slide: 1m}
    rules: [{psi: {of: features, lt: 0.2}}]
";

fn minute(minute: i64) -> Events {
    let event = |i: i64| {
        let event = json!({"prediction_id": format!("{minute}-{i}"), "model": "shop", "version": "1", "stage": "prod",
            "ts": 1_672_531_200_000_i64 + minute * 60_000 + i * 1000, "features": {"x": i % 10}});
        (0, format!("{i}"), event.to_string().into_bytes())
    };
    (0..20).map(event).collect()
}

#[test]
#[ignore = "takes a minute: make soak"]
fn a_topic_whose_broker_lost_the_end_of_its_log_gets_what_comes_later() {
    let broker = OwnBroker::start();
    ["predictions", "verdicts"].iter().for_each(|topic| broker.make_topic(topic, 1));
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("train.csv", format!("x\n{}", (0..1000).map(|i| format!("{}\n", i % 10)).collect::<String>()));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: shop}}\nsources: [{{topic: predictions, kind: predictions}}]\n\
             registry: {{embedded: {{path: registry.db}}}}\npublish: {{verdicts: verdicts}}\n\
             state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
            broker.address()
        ),
    );
    let all: Vec<Events> = (0..12).map(minute).collect();
    let verdicts = || read_from(&broker.address(), "verdicts");
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    // One verdict after the other, each a batch of its own.
    for (published, events) in all[..6].iter().enumerate() {
        publish_to(&broker.address(), "predictions", events.clone());
        wait_for("its verdict", || (verdicts().len() >= published).then_some(()));
    }
    broker.kill();
    broker.lose_tail("verdicts");
    broker.start_again();
    assert_eq!(verdicts().len(), 4, "one is lost");
    publish_to(&broker.address(), "predictions", all[6..].iter().flatten().cloned());
    let found = wait_for("the verdicts that follow", || Some(verdicts()).filter(|found| found.len() >= 10));
    let refs: Vec<&Events> = all.iter().collect();
    let expected = replayed(&folder, "policy.yaml", "", &refs);
    for verdict in &found {
        assert_eq!(verdict, &expected[verdict["verdict_id"].as_str().unwrap()]);
    }
    // What the daemon delivered after the loss is all there is after it.
    assert_eq!(found.len(), 10);
    assert_eq!(daemon.metric("driftgate_undeliverable_total{sink=\"verdicts\"}"), Some(0.0));
    assert_eq!(daemon.metric("driftgate_undelivered{sink=\"verdicts\"}").unwrap_or(0.0), 0.0);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}
