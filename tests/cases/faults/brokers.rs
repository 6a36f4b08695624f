//! A broker that is killed and comes back with everything that it acknowledged: the daemon goes on where it was.

use std::time::Duration;

use serde_json::json;

use super::Events;
use super::own_broker::OwnBroker;
use crate::broker::{Daemon, publish_to, wait_for};
use crate::support::{Folder, Shop};

fn events(round: i64, n: i64) -> Events {
    let event = |i: i64| {
        let id = format!("{round}-{i}");
        let event = json!({"prediction_id": id, "model": "shop", "version": "1", "ts": 1_700_000_000_000_i64 + round * 60_000 + i, "score": 0.5, "features": {"amount": 1}});
        (i32::try_from(i % 2).unwrap(), id, event.to_string().into_bytes())
    };
    (0..n).map(event).collect()
}

fn rounds(rounds: i64) {
    let broker = OwnBroker::start();
    broker.make_topic("predictions", 3);
    broker.make_topic("labels", 1);
    let folder: Folder = Shop::folder();
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: shop}}\n\
             sources: [{{topic: predictions, kind: predictions}}, {{topic: labels, kind: labels}}]\n\
             idle_after: 2s\nregistry: {{embedded: {{path: registry.db}}}}\nstate: {{path: state, every: 1s}}\n\
             http: {{listen: \"127.0.0.1:0\"}}\n",
            broker.address()
        ),
    );
    let config = folder.path("driftgate.yaml");
    let mut daemon = Daemon::start(&config, &[]);
    for round in 0..rounds {
        publish_to(&broker.address(), "predictions", events(round, 200));
        if round % 2 == 1 {
            // What is in the state then is ahead of what a fresh client knows of the partitions.
            super::wait_counted(&daemon, "1", 200.0 * (round as f64 + 1.0));
            std::thread::sleep(Duration::from_millis(1500));
            drop(daemon);
            daemon = Daemon::start(&config, &[]);
            std::thread::sleep(Duration::from_millis(300 * (round as u64 % 4)));
        }
        broker.kill();
        std::thread::sleep(Duration::from_millis(500 * (round as u64 % 5)));
        broker.start_again();
        wait_for("the daemon to be ready again", || {
            let (status, body) = daemon.get("/ready");
            assert!(!body.contains("not in the log any more"), "round {round}: {body}\n{}", daemon.log());
            (status == 200).then_some(())
        });
        super::wait_counted(&daemon, "1", 200.0 * (round as f64 + 1.0));
    }
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_broker_that_was_killed_and_has_all_it_acknowledged_halts_nothing() {
    rounds(2);
}

#[test]
#[ignore = "takes some minutes: make soak"]
fn a_broker_may_be_killed_again_and_again() {
    rounds(8);
}
