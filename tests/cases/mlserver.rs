//! Requests and responses in a topic each, as `MLServer` and Seldon Core 2 have them on Kafka, by the keys of their records.

use serde_json::json;

use crate::broker::{Daemon, brokers, make_topic, publish, topic, wait_for};
use crate::kafka::now_ms;
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

/// A message of a topic: its partition, key and value.
type Record = (i32, String, Vec<u8>);

/// Six hundred requests and their responses, of which half come after a kill, are six hundred predictions.
fn meet_once(format: &str, inference: &str, request: impl Fn(i32) -> Record, response: impl Fn(i32) -> Record) {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("train.csv", "x\n1\n2\n3\n");
    let (requests, responses) =
        (topic(&format!("{format}-requests"), REQUESTS), topic(&format!("{format}-responses"), RESPONSES));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{requests}\"}}\nsources:\n\
             - {{topic: {requests}, kind: predictions, format: {format}, model: shop, inference: {{responses: {responses}{inference}}}}}\n\
             http: {{listen: \"127.0.0.1:0\", read: open}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state, every: 200ms}}\n",
            brokers()
        ),
    );
    publish(&requests, (0..600).map(request));
    publish(&responses, (0..300).map(&response));
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

#[test]
fn requests_and_responses_of_two_topics_meet_once_over_a_kill() {
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
    meet_once("mlserver", "", request, response);
}

/// A field of a Protobuf message that has a length.
pub fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

/// A tensor of one number.
fn tensor(name: &str, value: f64) -> Vec<u8> {
    let contents = field(7, &value.to_le_bytes());
    [field(1, name.as_bytes()), field(2, b"FP64"), field(3, &[1, 1]), field(5, &contents)].concat()
}

fn seldon_key(at: i32) -> String {
    format!("{}.shop.{at:x}", at % 7)
}

/// A request may name the outputs that it asks for, and a response may have raw data, under the same number.
fn seldon_request(at: i32) -> Record {
    let asked = field(6, &field(1, b"predict"));
    (at % REQUESTS, seldon_key(at), [field(1, b"shop"), field(5, &tensor("x", f64::from(at))), asked].concat())
}

fn seldon_response(at: i32) -> Record {
    let body = if at % 2 == 0 {
        field(5, &tensor("predict", 0.5))
    } else {
        let bare = [field(1, b"predict"), field(2, b"FP64"), field(3, &[1, 1])].concat();
        [field(5, &bare), field(6, &0.5_f64.to_le_bytes())].concat()
    };
    // Behind a frame of a schema registry, as where one is configured.
    (at % RESPONSES, seldon_key(at), [&[0, 0, 0, 0, 3, 0][..], &field(1, b"shop"), &body].concat())
}

#[test]
fn requests_and_responses_of_seldon_meet_once_over_a_kill() {
    meet_once("seldon", ", score: /predict, fixed_version: \"1\"", seldon_request, seldon_response);
}

#[test]
fn probe_knows_seldons_topics_by_their_names_and_looks_at_both() {
    let folder = Folder::new();
    let name = format!("seldon.n{}.model.shop", std::process::id());
    let [requests, responses] = ["inputs", "outputs"].map(|side| format!("{name}.{side}"));
    make_topic(&requests, REQUESTS, &[]);
    publish(&requests, (0..30).map(seldon_request));
    let probe = |topic: &str| folder.driftgate(&format!("probe --topic {topic} --brokers {}", brokers()));
    probe(&requests).exits(0).prints("format: seldon").prints("inference: {responses: RESPONSES");
    make_topic(&responses, RESPONSES, &[]);
    publish(&responses, (0..30).map(seldon_response));
    let settings = format!("inference: {{responses: \"{responses}\", fixed_version: VERSION}}");
    probe(&requests).exits(0).prints("Seldon Core 2").prints("format: seldon").prints(&settings);
    probe(&responses).exits(1).prints("there are responses only");
}

#[test]
fn requests_and_responses_of_kserves_logger_in_a_topic_each_meet_once_over_a_kill() {
    let start = jiff::Timestamp::from_millisecond(now_ms()).unwrap();
    let event = |at: i32, half: &str, ms: i64, data: serde_json::Value| {
        let time = start + jiff::SignedDuration::from_millis(i64::from(at) + ms);
        let event = json!({
            "specversion": "1.0", "id": format!("id-{at}"), "source": "http://localhost:9081/", "datacontenttype": "application/json",
            "type": format!("org.kubeflow.serving.inference.{half}"), "time": time.to_string(), "inferenceservicename": "shop", "data": data,
        });
        event.to_string().into_bytes()
    };
    let request = |at: i32| (at % REQUESTS, String::new(), event(at, "request", 0, json!({"instances": [[at]]})));
    let response = |at: i32| (at % RESPONSES, String::new(), event(at, "response", 5, json!({"predictions": [0.5]})));
    meet_once("kserve", ", inputs: [x], fixed_version: \"1\"", request, response);
}
