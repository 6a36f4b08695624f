//! Requests and responses as other serving systems log them: the same predictions as bodies of the Open Inference Protocol, as records of
//! `SageMaker`'s data capture and as rows of Databricks' inference tables give the verdicts of plain JSON.

use std::collections::BTreeMap;
use std::path::Path;

use polars_core::prelude::{NamedFrom as _, Series};
use serde_json::{Value, json};

use super::broker::flights;
use super::kafka::by_id;
use super::schemas::serializers;
use super::support::{Folder, json_lines, write_parquet};

/// Writes predictions as the rows of an inference table.
fn databricks(folder: &Folder, lines: &[&str]) {
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts =
        |name: &str, of: &dyn Fn(&Value) -> String| Series::new(name.into(), events.iter().map(of).collect::<Vec<_>>());
    let numbers =
        |name: &str, of: &dyn Fn(&Value) -> i64| Series::new(name.into(), events.iter().map(of).collect::<Vec<_>>());
    let request = |event: &Value| {
        let features = event["features"].as_object().unwrap();
        let (columns, data): (Vec<&String>, Vec<&Value>) = features.iter().unzip();
        json!({"dataframe_split": {"index": [0], "columns": columns, "data": [data]}}).to_string()
    };
    write_parquet(
        &folder.path("databricks.parquet"),
        vec![
            texts("databricks_request_id", &|event| event["prediction_id"].as_str().unwrap().to_owned()),
            numbers("timestamp_ms", &|event| event["ts"].as_i64().unwrap()),
            numbers("status_code", &|_| 200),
            numbers("execution_time_ms", &|_| 12),
            texts("request", &request),
            texts("response", &|event| json!({"predictions": [{"probability": event["score"]}]}).to_string()),
            texts("served_entity_id", &|_| "x".to_owned()),
        ],
    );
}

const HOUR: i64 = 3_600_000;

/// Writes labels as records of ground truth, in folders by the hour; and as events that came at the end of that hour.
fn ground_truth(folder: &Folder, labels: &Path) {
    let mut hours: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    for label in json_lines(labels) {
        hours.entry(label["ts"].as_i64().unwrap().div_euclid(HOUR)).or_default().push(label);
    }
    let mut plain = String::new();
    for (hour, labels) in hours {
        let start = jiff::Timestamp::from_millisecond(hour * HOUR).unwrap();
        let path = start.strftime("truth/%Y/%m/%d/%H/labels.jsonl").to_string();
        let record = |label: &Value| {
            let data = json!({"data": label["label"].to_string(), "encoding": "CSV"});
            json!({"groundTruthData": data, "eventMetadata": {"eventId": label["prediction_id"]}, "eventVersion": "0"})
        };
        std::fs::create_dir_all(folder.path(&path).parent().unwrap()).unwrap();
        folder.write(&path, labels.iter().map(|label| record(label).to_string() + "\n").collect::<String>());
        for mut label in labels {
            label["ts"] = ((hour + 1) * HOUR).into();
            plain += &(label.to_string() + "\n");
        }
    }
    folder.write("hourly.jsonl", plain);
}

/// Writes predictions and labels as events of Seldon Core 1's logger, as `CloudEvents`.
fn seldon_core_1(folder: &Folder, predictions: &str, labels: &Path) {
    let event = |kind: &str, of: &Value, version: &Value, data: &Value| {
        let time = jiff::Timestamp::from_millisecond(of["ts"].as_i64().unwrap()).unwrap().to_string();
        let event = json!({
            "specversion": "1.0", "id": "x", "source": "http://x/", "type": format!("io.seldon.serving.{kind}"), "time": time,
            "requestid": of["prediction_id"], "inferenceservicename": "flight_delay", "endpoint": version, "data": data
        });
        event.to_string() + "\n"
    };
    let rows =
        |names: &[&String], values: &[&Value]| json!({"data": {"names": names, "ndarray": [values]}, "meta": {}});
    let mut written = String::new();
    for line in predictions.lines() {
        let of: Value = serde_json::from_str(line).unwrap();
        let (names, values): (Vec<&String>, Vec<&Value>) = of["features"].as_object().unwrap().iter().unzip();
        written += &event("inference.request", &of, &of["version"], &rows(&names, &values));
        let score = rows(&[&"probability".to_owned()], &[&of["score"]]);
        written += &event("inference.response", &of, &of["version"], &score);
    }
    folder.write("seldon.jsonl", written);
    let feedback = |label: Value| {
        let truth = json!({"reward": 1.0, "truth": rows(&[], &[&label["label"]])});
        event("feedback", &label, &"x".into(), &truth)
    };
    folder.write("feedback.jsonl", json_lines(labels).into_iter().map(feedback).collect::<String>());
}

/// Writes predictions anew, and holds the verdicts against those expected.
pub fn check(folder: &Folder, plain: &Path, labels: &Path, expected: &BTreeMap<String, Value>) {
    let (oip, sagemaker) = (folder.path("oip.jsonl"), folder.path("sagemaker.jsonl"));
    let written = serializers("inference.py").args([plain, &oip, &sagemaker]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = std::fs::read_to_string(plain).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let names: Vec<&String> = first["features"].as_object().unwrap().keys().collect();
    let policy = flights().join("policy-core.yaml").display().to_string();
    let replay_with = |source: &str, file: &Path, (of_labels, labels): (&str, &Path)| {
        folder.write(
            "inference.yaml",
            format!(
                "policies: [\"{policy}\"]\nkafka: {{brokers: \"127.0.0.1:1\"}}\nsources:\n- {{topic: t, kind: predictions, model: flight_delay, {source}}}\n\
                 - {{topic: l, kind: labels{of_labels}}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state}}\n"
            ),
        );
        folder.driftgate(&format!(
            "replay --policy {policy} --config inference.yaml --predictions {} --labels {} --verdicts out.jsonl",
            file.display(),
            labels.display()
        ))
    };
    let replay = |source: &str, file: &Path| replay_with(source, file, ("", labels));
    replay("format: oip, inference: {score: /probability, time: /parameters/time}", &oip).exits(0);
    assert_eq!(&by_id(json_lines(&folder.path("out.jsonl"))), expected, "of the Open Inference Protocol");
    seldon_core_1(folder, &text, labels);
    let core = "format: seldon, inference: {score: /probability, version: /endpoint}";
    let feedback = (", format: seldon", folder.path("feedback.jsonl"));
    replay_with(core, &folder.path("seldon.jsonl"), (feedback.0, &feedback.1)).exits(0);
    assert_eq!(&by_id(json_lines(&folder.path("out.jsonl"))), expected, "of Seldon Core 1");
    // A capture does not name the version: that of the first event alone.
    let version = first["version"].as_str().unwrap();
    let of_one = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["version"] == version;
    let lines: Vec<&str> = text.lines().filter(of_one).collect();
    folder.write("one.jsonl", lines.join("\n"));
    let one = folder.path("one.jsonl");
    let written = serializers("inference.py").args([&one, &oip, &sagemaker]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    replay("format: json", &one).exits(0);
    let expected = by_id(json_lines(&folder.path("out.jsonl")));
    let capture =
        format!("format: sagemaker, inference: {{inputs: {names:?}, score: /0, fixed_version: \"{version}\"}}");
    replay(&capture, &sagemaker).exits(0);
    assert_eq!(by_id(json_lines(&folder.path("out.jsonl"))), expected, "of SageMaker's data capture");
    databricks(folder, &lines);
    let table =
        "format: databricks, inference: {score: /probability, fixed_version: \"VERSION\"}".replace("VERSION", version);
    replay(&table, &folder.path("databricks.parquet")).exits(0);
    assert_eq!(by_id(json_lines(&folder.path("out.jsonl"))), expected, "of Databricks' inference tables");
    ground_truth(folder, labels);
    let with_labels = |of_labels: &str, labels: &str| {
        replay_with("format: json", &one, (of_labels, &folder.path(labels))).exits(0);
        by_id(json_lines(&folder.path("out.jsonl")))
    };
    let hourly = with_labels("", "hourly.jsonl");
    assert!(hourly != expected && !hourly.is_empty());
    assert_eq!(with_labels(", model: flight_delay, format: sagemaker", "truth"), hourly, "of SageMaker's ground truth");
    // What is no record is rejected with its line.
    folder.write("lines.jsonl", "{\"captureData\": {}}\nnope\n");
    replay(&capture, &folder.path("lines.jsonl")).prints("not_inference").prints("not_json");
}
