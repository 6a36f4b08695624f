//! `MLServer` itself, which `make mlserver-test` installs, serves a model of scikit-learn on Kafka: a daemon that reads its topics says what the replay
//! of the same predictions as plain JSON says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::broker::{Daemon, brokers, make_topic, topic, wait_for};
use super::served::{self, Server};
use super::support::Folder;

/// So many requests, of two rows each, at a time.
const REQUESTS: usize = 150;

fn environment() -> PathBuf {
    std::env::var_os("DRIFTGATE_TEST_MLSERVER").map(PathBuf::from).expect("run `make mlserver-test`, which installs it")
}

fn support(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/mlserver").join(file)
}

/// `MLServer` with the model, on two topics; it has begun to read.
fn serve(folder: &Folder, requests: &str, responses: &str) -> Server {
    std::fs::create_dir(folder.path("model")).unwrap();
    folder.write("model/model.py", std::fs::read_to_string(support("model.py")).unwrap());
    let model = json!({"name": "shop", "implementation": "model.Shop", "parameters": {"version": "7"}});
    folder.write("model/model-settings.json", model.to_string());
    let settings = json!({
        "kafka_enabled": true, "kafka_servers": brokers(), "kafka_topic_input": requests, "kafka_topic_output": responses,
        "host": "127.0.0.1", "http_port": 0, "grpc_port": 0, "metrics_endpoint": null, "parallel_workers": 0,
    });
    folder.write("model/settings.json", settings.to_string());
    let log = std::fs::File::create(folder.path("mlserver.log")).unwrap();
    let served = Command::new(environment().join("bin/mlserver"))
        .args(["start", "."])
        .current_dir(folder.path("model"))
        .stdout(Stdio::from(log.try_clone().unwrap()))
        .stderr(Stdio::from(log))
        .spawn();
    let served = Server(served.unwrap());
    wait_for("MLServer to read its topic", || {
        let log = folder.read("mlserver.log");
        (log.contains("Reading messages from consumer") && log.contains("Loaded model 'shop'")).then_some(())
    });
    served
}

/// Has the model asked, and writes what it said; the events' times are those of the requests' records.
fn ask(folder: &Folder, requests: &str, responses: &str, from: &str) {
    let asked = Command::new(environment().join("bin/python"))
        .arg(support("ask.py"))
        .args([&brokers(), requests, responses, &REQUESTS.to_string(), from])
        .arg(folder.path("plain.jsonl"))
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}{}", String::from_utf8_lossy(&asked.stderr), folder.read("mlserver.log"));
}

#[test]
#[ignore = "needs MLServer: make mlserver-test"]
fn what_mlserver_says_on_kafka_gives_the_verdicts_of_plain_events() {
    let folder = Folder::new();
    served::train(&folder);
    let verdicts = topic("mlserver-verdicts", 1);
    let [requests, responses] = ["input", "output"].map(|side| format!("{verdicts}-{side}"));
    [&requests, &responses].into_iter().for_each(|name| make_topic(name, 2, &[]));
    let config = format!(
        "policies: [policy.yaml]\nkafka: {{brokers: \"{}\", group: \"{requests}\"}}\nsources:\n\
         - {{topic: {requests}, kind: predictions, format: mlserver, model: shop, inference: {{responses: {responses}, score: /probability/1, decision: /class, wait: 1s}}}}\n\
         publish: {{verdicts: \"{verdicts}\"}}\nhttp: {{listen: \"127.0.0.1:0\", read: open}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state, every: 200ms}}\n",
        brokers()
    );
    folder.write("driftgate.yaml", config);
    let _served = serve(&folder, &requests, &responses);
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    ask(&folder, &requests, &responses, "0");
    // Another batch later, so that windows of the first one close.
    std::thread::sleep(std::time::Duration::from_secs(11));
    ask(&folder, &requests, &responses, "1000");
    let proposed = format!("inference: {{responses: \"{responses}\", score: \"/probability/1\"}}");
    let probed = folder.driftgate(&format!("probe --topic {requests} --brokers {}", brokers()));
    probed.exits(0).prints("format: mlserver").prints(&proposed);
    let joined = format!("driftgate_inferences_joined_total{{topic=\"{requests}\"}}");
    wait_for("all pairs", || (daemon.metric(&joined) == Some(2.0 * REQUESTS as f64)).then_some(()));

    served::say_what_is_replayed(&folder, &verdicts);
    assert_eq!(daemon.stop(), Some(0));
}
