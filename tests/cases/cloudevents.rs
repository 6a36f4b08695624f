//! CloudEvents as the SDK for Python writes them: the flights in binary and structured mode, and what is none.

use std::path::{Path, PathBuf};

use super::broker::{Daemon, brokers, flights, publish, read, wait_for};
use super::kafka::{Topics, by_id, load, replayed_of};
use super::schemas::serializers;
use super::support::Folder;

/// So many predictions and labels are read.
const EVENTS: u32 = 20_000;

/// Writes the first events of a topic anew; the events as they were, and as structured mode writes them.
pub fn write(from: &str, to: &str, mode: &str, folder: &Folder, kind: &str) -> (PathBuf, PathBuf) {
    let (plain, structured) = (folder.path(&format!("{kind}.jsonl")), folder.path(&format!("{kind}-{mode}.jsonl")));
    let mut command = serializers("write_cloudevents.py");
    let written =
        command.args([&brokers(), from, to, &EVENTS.to_string(), mode]).args([&plain, &structured]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    (plain, structured)
}

#[test]
fn events_of_the_sdk_give_the_verdicts_of_json_in_both_modes_and_from_files() {
    let folder = Folder::new();
    let json = Topics::new("cloudevents-json", 1);
    for (file, kind, topic) in
        [("predictions.parquet", "predictions", &json.predictions), ("labels.parquet", "labels", &json.labels)]
    {
        assert!(load(file, kind, topic, None).wait().unwrap().success());
    }
    let topics = Topics::new("cloudevents", 1);
    let (predictions, in_file) = write(&json.predictions, &topics.predictions, "mixed", &folder, "predictions");
    let (labels, labels_in_file) = write(&json.labels, &topics.labels, "binary", &folder, "labels");
    let expected = replayed_of(&predictions, &labels);

    let policy = flights().join("policy-core.yaml").display().to_string();
    inference(&folder, &predictions, &labels);
    let attributes = "format: cloudevents, fields: {ts: /ce_time, prediction_id: /ce_id}";
    let config = topics.config(&policy, "2s").replace("format: json", attributes);
    folder.write("driftgate.yaml", config);
    folder
        .driftgate(&format!(
            "replay --policy {policy} --config driftgate.yaml --predictions {} --labels {} --verdicts out.jsonl",
            in_file.display(),
            labels_in_file.display()
        ))
        .exits(0);
    let of_file = super::support::json_lines(&folder.path("out.jsonl"));
    assert_eq!(by_id(of_file.into_iter().filter(|v| v["window"]["complete"] == true)), expected, "of files");

    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    let found = wait_for("all verdicts", || {
        let found = by_id(read(&topics.verdicts));
        (found.len() >= expected.len()).then_some(found)
    });
    assert_eq!(found, expected, "of topics");
    // What is no CloudEvent is a dead letter, and nothing else waits for it.
    publish(&topics.predictions, [(0, String::new(), br#"{"ts": 1}"#.to_vec())]);
    let rejected =
        format!("driftgate_rejected_events_total{{reason=\"bad_cloudevent\",topic=\"{}\"}}", topics.predictions);
    wait_for("the rejected event", || (daemon.metric(&rejected) == Some(1.0)).then_some(()));
    assert_eq!(daemon.stop(), Some(0));
}

/// The predictions as requests and responses of KServe's logger.
fn inference(folder: &Folder, predictions: &Path, labels: &Path) {
    let (plain, halves) = (folder.path("plain.jsonl"), folder.path("kserve.jsonl"));
    let mut command = serializers("kserve.py");
    let written = command.args([predictions, &plain, &halves]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let policy = flights().join("policy-core.yaml").display().to_string();
    // Responses come up to fifteen minutes before their requests and behind them.
    let of_kserve = "{topic: t, kind: predictions, format: kserve, model: flight_delay, kserve: {score: /probability, version: /annotations/model-version, wait: 30m}}";
    let config = |source: &str| {
        format!(
            "policies: [\"{policy}\"]\nkafka: {{brokers: \"127.0.0.1:1\"}}\nsources:\n- {source}\n- {{topic: l, kind: labels}}\n\
             registry: {{embedded: {{path: r.db}}}}\nstate: {{path: state}}\n"
        )
    };
    folder.write("kserve.yaml", config(of_kserve));
    let replay = |config: &str, labels: &Path, file: &Path| {
        let (file, labels) = (file.display(), labels.display());
        folder.driftgate(&format!(
            "replay --policy {policy} {config} --predictions {file} --labels {labels} --verdicts out.jsonl"
        ))
    };
    let run = replay("--config kserve.yaml", labels, &halves);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.prints("requests met their response; 7 requests without a response in time");
    let verdicts = by_id(super::support::json_lines(&folder.path("out.jsonl")));
    replay("", labels, &plain).exits(0);
    assert_eq!(verdicts, by_id(super::support::json_lines(&folder.path("out.jsonl"))), "of KServe's logger");
    super::inference::check(folder, &plain, labels, &verdicts);
    folder.driftgate("check --config kserve.yaml").exits(0);
    folder.write("lines.jsonl", "{\"specversion\": \"1.0\"}\nnope\n");
    let run = replay("--config kserve.yaml", labels, &folder.path("lines.jsonl"));
    run.prints("bad_cloudevent").prints("not_json");
}
