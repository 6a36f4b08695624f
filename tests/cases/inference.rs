//! Requests and responses as other serving systems log them: the same predictions as bodies of the Open Inference Protocol, and as records of
//! `SageMaker`'s data capture, give the verdicts of plain JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::broker::flights;
use super::kafka::by_id;
use super::schemas::serializers;
use super::support::{Folder, json_lines};

/// Writes predictions anew, and holds the verdicts against those expected.
pub fn check(folder: &Folder, plain: &Path, labels: &Path, expected: &BTreeMap<String, Value>) {
    let (oip, sagemaker) = (folder.path("oip.jsonl"), folder.path("sagemaker.jsonl"));
    let written = serializers("inference.py").args([plain, &oip, &sagemaker]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = std::fs::read_to_string(plain).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let names: Vec<&String> = first["features"].as_object().unwrap().keys().collect();
    let policy = flights().join("policy-core.yaml").display().to_string();
    let replay = |source: &str, file: &Path| {
        folder.write(
            "inference.yaml",
            format!(
                "policies: [\"{policy}\"]\nkafka: {{brokers: \"127.0.0.1:1\"}}\nsources:\n- {{topic: t, kind: predictions, model: flight_delay, {source}}}\n\
                 - {{topic: l, kind: labels}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state}}\n"
            ),
        );
        folder.driftgate(&format!(
            "replay --policy {policy} --config inference.yaml --predictions {} --labels {} --verdicts out.jsonl",
            file.display(),
            labels.display()
        ))
    };
    replay("format: oip, inference: {score: /probability, time: /parameters/time}", &oip).exits(0);
    assert_eq!(&by_id(json_lines(&folder.path("out.jsonl"))), expected, "of the Open Inference Protocol");
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
    let source =
        format!("format: sagemaker, inference: {{inputs: {names:?}, score: /0, fixed_version: \"{version}\"}}");
    replay(&source, &sagemaker).exits(0);
    assert_eq!(by_id(json_lines(&folder.path("out.jsonl"))), expected, "of SageMaker's data capture");
    // What is no record is rejected with its line.
    folder.write("lines.jsonl", "{\"captureData\": {}}\nnope\n");
    replay(&source, &folder.path("lines.jsonl")).prints("not_inference").prints("not_json");
}
