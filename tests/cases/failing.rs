//! What fails and is tried again is said in the first line of the status, and taken back once it works.

use serde_json::{Value, json};

use crate::broker::{Daemon, brokers, publish, topic, wait_for};
use crate::support::{Folder, lines};

const POLICY: &str = r"apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [x]}
score: {threshold: 0.5}
lateness: 0s
checks: {drift: {window: {size: 1h, slide: 1h}, rules: [{psi: {of: features, lt: 0.2}}]}}
";

fn problems(daemon: &Daemon) -> Vec<String> {
    let status: Value = serde_json::from_str(&daemon.get("/api/v1/status").1).unwrap();
    status["problems"].as_array().unwrap().iter().map(|p| p["problem"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_cannot_be_written_or_read_is_said_until_it_works() {
    let predictions = topic("failing-predictions", 1);
    let folder = Folder::new();
    folder.write("shop.yaml", POLICY);
    folder.write("train.csv", "x\n1\n2\n3\n");
    let config = format!(
        "policies: [\"shop.yaml\"]\nkafka: {{brokers: \"{}\", group: \"{predictions}\", properties: {{message.timeout.ms: \"1000\"}}}}\n\
         sources: [{{topic: \"{predictions}\", kind: predictions, format: json}}]\nregistry: {{embedded: {{path: registry.db}}}}\n\
         publish: {{dead_letters: {{topic: \"{predictions}-dead\", payload: none}}, webhooks: [{{url: \"http://127.0.0.1:9/hook\"}}]}}\n\
         state: {{path: state, every: 1s}}\nhttp: {{listen: \"127.0.0.1:0\", tokens_file: tokens}}\n",
        brokers()
    );
    folder.write_secret("tokens", "secret-of-these-tests-0123456789 operator * ops\n");
    folder.write("driftgate.yaml", config);
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));
    let events = lines((0..20).map(|i| {
        json!({"model": "shop", "version": "1", "prediction_id": format!("p{i}"), "ts": 1_700_049_600_000_i64 + i, "score": 0.5,
            "features": {"x": i % 3}})
    }));
    publish(&predictions, events.lines().map(|line| (0, "k".to_owned(), line.as_bytes().to_vec())));
    let begins = |with: &str| problems(&daemon).iter().any(|p| p.starts_with(with));
    let is_told = |with: &str| wait_for(with, || begins(with).then_some(()));
    let is_taken_back = |with: &str| wait_for(with, || (!begins(with)).then_some(()));

    // The folder of the state is gone, and a file stands in its place.
    std::fs::rename(folder.path("state"), folder.path("elsewhere")).unwrap();
    folder.write("state", "");
    wait_for("no readiness", || (daemon.get("/ready").0 == 503).then_some(()));
    assert!(problems(&daemon)[0].starts_with("not ready: checkpoint: the checkpoint "), "{:?}", problems(&daemon));
    assert!(daemon.metric("driftgate_checkpoint_failed_total").is_some_and(|n| n > 0.0));
    std::fs::remove_file(folder.path("state")).unwrap();
    std::fs::rename(folder.path("elsewhere"), folder.path("state")).unwrap();
    wait_for("readiness", || (daemon.get("/ready").0 == 200).then_some(()));

    folder.write("shop.yaml", format!("{POLICY}more: [\n"));
    daemon.signal("HUP");
    is_told("the policies were not taken over: those read before hold: ");
    assert_eq!(daemon.metric("driftgate_failing{part=\"policies\"}"), Some(1.0));
    folder.write("shop.yaml", POLICY);
    daemon.signal("HUP");
    is_taken_back("the policies were not taken over");

    // There is no topic for dead letters.
    publish(&predictions, [(0, "k".to_owned(), b"{".to_vec())]);
    is_told(&format!("1 of the last 21 events of {predictions:?} were rejected and count nowhere "));
    is_told("dead letters are not kept: ");
    assert!(daemon.metric("driftgate_delivery_failures_total{sink=\"dead-letters\"}").is_some_and(|n| n > 0.0));
    assert_eq!(daemon.metric("driftgate_dead_letters_lost_total"), Some(0.0), "it waits");

    let server = &daemon.url;
    folder.write_secret("token", "secret-of-these-tests-0123456789");
    folder.driftgate(&format!("register shop 1 --stage prod --server {server} --token-file token")).exits(0);
    wait_for("the webhook", || {
        problems(&daemon)
            .iter()
            .any(|p| p.contains("messages wait for webhook") && p.contains("127.0.0.1:9"))
            .then_some(())
    });
    // Without the daemon nobody knows all of this.
    let offline = folder.driftgate("status --config driftgate.yaml");
    assert!(!offline.exits(0).stdout.starts_with("nothing is wrong"));
    assert_eq!(daemon.stop(), Some(0));
}
