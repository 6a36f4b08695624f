//! Requests and responses in a topic each, as `MLServer` reads and writes them on Kafka, by the keys of their records.

use serde_json::json;

use crate::broker::{Daemon, brokers, publish, topic, wait_for};
use crate::support::Folder;

const POLICY: &str = r"apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [x]}
checks:
  drift:
    window: {size: 1h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2}
";

const REQUESTS: i32 = 2;
const RESPONSES: i32 = 3;

#[test]
fn requests_and_responses_of_two_topics_meet_once_over_a_kill() {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("train.csv", "x\n1\n2\n3\n");
    let (requests, responses) = (topic("requests", REQUESTS), topic("responses", RESPONSES));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{requests}\"}}\nsources:\n\
             - {{topic: {requests}, kind: predictions, format: mlserver, model: shop, inference: {{responses: {responses}}}}}\n\
             http: {{listen: \"127.0.0.1:0\", read: open}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state, every: 200ms}}\n",
            brokers()
        ),
    );
    // Bodies as its models write them: without an id in the request, with nulls.
    let request = |at: i32| {
        let x = json!({"name": "x", "shape": [1, 1], "datatype": "FP64", "parameters": null, "data": [at]});
        let body = json!({"id": null, "parameters": null, "inputs": [x], "outputs": null});
        (at % REQUESTS, format!("id-{at}"), body.to_string().into_bytes())
    };
    let response = |at: i32| {
        let y = json!({"name": "predict", "shape": [1, 1], "datatype": "FP64", "parameters": null, "data": [0.5]});
        let body = json!({"model_name": "shop", "model_version": "1", "id": format!("id-{at}"), "parameters": {}, "outputs": [y]});
        (at % RESPONSES, format!("id-{at}"), body.to_string().into_bytes())
    };
    publish(&requests, (0..600).map(request));
    publish(&responses, (0..300).map(response));
    let config = folder.path("driftgate.yaml");
    let joined = format!("driftgate_inferences_joined_total{{topic=\"{requests}\"}}");
    let is = |daemon: &Daemon, series: &str, n: f64| (daemon.metric(series) == Some(n)).then_some(());
    let daemon = Daemon::start(&config, &[]);
    wait_for("the first half", || is(&daemon, &joined, 300.0));
    daemon.signal("KILL");
    drop(daemon);
    publish(&responses, (300..600).map(response));
    let daemon = Daemon::start(&config, &[]);
    wait_for("the second half", || is(&daemon, &joined, 600.0));
    let counted = "driftgate_predictions_total{model=\"shop\",version=\"1\"}";
    wait_for("each to be counted once", || is(&daemon, counted, 600.0));
    assert_eq!(daemon.stop(), Some(0));
}
