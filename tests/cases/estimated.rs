//! `estimated`: quality before labels come beside NannyML's of the same raw rows (`tests/data/car_loans`), whatever the number of threads, the grid and
//! the way to the baseline, and what it is told where something is missing.

use serde_json::{Value, json};

use crate::small_pairs::result;
use crate::support::Folder;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/car_loans");
/// As the rule and as NannyML name the metrics.
const METRICS: [(&str, &str); 5] =
    [("accuracy", "accuracy"), ("precision", "precision"), ("recall", "recall"), ("f1", "f1"), ("auc", "roc_auc")];

/// A policy with an estimate and the metric itself, for each; `more` are lines of the policy.
fn policy(score: &str, more: &str) -> String {
    let rules = METRICS.map(|(metric, _)| {
        format!("    - estimated: {{id: estimated-{metric}, of: {metric}, gte: 0.01}}\n    - {metric}: {{gte: 0.01}}\n")
    });
    format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: {DATA}/train_v1.parquet, columns: {{score: {score}, label: label}}, reference: {DATA}/reference.parquet}}\n\
         score: {{threshold: 0.5}}\nlabels: {{horizon: 1d}}\nlateness: 0s\n{more}checks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{}",
        rules.concat()
    )
}

/// A configuration that finds the score in another column.
fn config(score: &str) -> String {
    let sources = ["predictions", "labels"]
        .map(|kind| format!("- {{kind: {kind}, topic: {kind}, format: json, fields: {{score: /{score}}}}}\n"));
    format!("kafka: {{brokers: \"127.0.0.1:9\"}}\npolicies: [policy.yaml]\nsources:\n{}", sources.concat())
}

fn replayed(folder: &Folder, threads: u32) -> String {
    folder
        .driftgate(&format!(
            "replay --policy policy.yaml --config driftgate.yaml --predictions {DATA}/predictions.parquet --labels {DATA}/labels.parquet --threads {threads} --verdicts v.jsonl"
        ))
        .exits(0);
    folder.read("v.jsonl")
}

fn world(score: &str, more: &str) -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", policy(score, more));
    folder.write("driftgate.yaml", config(score));
    folder
}

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/golden.json")).unwrap()).unwrap()
}

#[test]
fn every_chunk_has_the_estimate_of_nannyml() {
    for score in ["score", "root"] {
        let folder = world(score, "");
        let expected = replayed(&folder, 1);
        assert_eq!(replayed(&folder, 4), expected);
        let golden = &golden()[score];
        assert_eq!(golden["needs_calibration"], true);
        let verdicts = folder.json_lines("v.jsonl");
        assert_eq!(verdicts.len(), 4);
        for (verdict, chunk) in verdicts.iter().zip(golden["chunks"].as_array().unwrap()) {
            for (metric, of_nannyml) in METRICS {
                let found = result(verdict, &format!("g/estimated-{metric}"));
                let close =
                    |found: &Value, known: &Value| (found.as_f64().unwrap() - known.as_f64().unwrap()).abs() < 1e-6;
                assert!(close(&found["value"], &chunk["estimated"][of_nannyml]), "{found} {chunk}");
                assert!(close(&found["realised"], &chunk["realised"][of_nannyml]), "{found} {chunk}");
                // Each score is a grid point.
                assert!(close(&found["lower"], &found["upper"]) && close(&found["lower"], &found["value"]), "{found}");
                assert_eq!(
                    (&found["method"], &found["unsupported"], &found["n"]),
                    (&json!("isotonic"), &json!(0), &json!(5000))
                );
                assert_eq!(result(verdict, &format!("g/{metric}"))["value"], found["realised"]);
            }
        }
    }
}

#[test]
fn a_coarse_grid_gives_an_interval_that_contains_the_estimate() {
    let folder = world("root", "features: {grid: {points: 21}}\n");
    replayed(&folder, 2);
    for (verdict, chunk) in folder.json_lines("v.jsonl").iter().zip(golden()["root"]["chunks"].as_array().unwrap()) {
        for (metric, of_nannyml) in METRICS {
            let found = result(verdict, &format!("g/estimated-{metric}"));
            let [lower, upper, known] =
                [&found["lower"], &found["upper"], &chunk["estimated"][of_nannyml]].map(|of| of.as_f64().unwrap());
            assert!(lower - 1e-6 <= known && known <= upper + 1e-6 && lower < upper, "{found} {known}");
            // At some fifty cells it is known to a tenth.
            assert!(upper - lower < 0.13, "{found}");
        }
    }
}

#[test]
fn a_baseline_file_holds_the_calibration() {
    let folder = world("root", "");
    let expected = replayed(&folder, 1);
    folder.driftgate("baseline build --policy policy.yaml --version 1 --out 1.baseline").exits(0);
    let shown = folder.driftgate("baseline show --policy policy.yaml --version 1").exits(0).stdout;
    assert!(shown.contains("score calibrated by 50,000 rows of"), "{shown}");
    let text = policy("root", "").replace(&format!("{DATA}/train_v1.parquet"), "1.baseline");
    folder
        .write("policy.yaml", text.replace(&format!("reference: {DATA}/reference.parquet"), "reference: gone.parquet"));
    let of_file = replayed(&folder, 1);
    let results = |lines: &str| {
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["results"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(results(&of_file), results(&expected));
    // A policy without a reference of its own wants another calibration.
    folder.write("policy.yaml", text.replace(&format!(", reference: {DATA}/reference.parquet"), ""));
    folder
        .driftgate("baseline show --policy policy.yaml --version 1 1.baseline")
        .exits(2)
        .says("build it again from the snapshot");
}

#[test]
fn what_is_missing_is_told() {
    let folder = world("score", "");
    for (from, to, message) in [
        ("score: {threshold: 0.5}\n", "", "estimated reads decisions"),
        (", label: label}", "}", "estimated is calibrated by rows of a score and a label"),
        ("of: accuracy, gte", "of: brier, gte", "expected `accuracy` or"),
        ("model: m\n", "model: m\ntask: regression\n", "estimated is a metric of"),
        ("of: accuracy, gte: 0.01", "of: accuracy, gte: 2", "expected"),
    ] {
        folder.write("policy.yaml", policy("score", "").replace(from, to));
        folder.driftgate("check --policy policy.yaml").exits(2).says(message);
    }
    folder.write("policy.yaml", policy("score", "").replace(&format!(", reference: {DATA}/reference.parquet"), ""));
    folder
        .driftgate("check --policy policy.yaml")
        .exits(0)
        .prints("`estimated` is calibrated by the training snapshot");
    // Its file is away, or has no such column.
    let missing = policy("score", "").replace("/reference.parquet", "/nothing.parquet");
    folder.write("policy.yaml", &missing);
    folder.driftgate("check --policy policy.yaml").prints("baseline.reference: cannot fetch");
    let replay =
        format!("replay --policy policy.yaml --predictions {DATA}/predictions.parquet --labels {DATA}/labels.parquet");
    folder.driftgate(&replay).exits(2).says("has no baseline, its verdicts will be insufficient: baseline.reference");
    folder.write("few.csv", "score,label\n0.1,0\n0.9,1\n0.4,1\n0.3,0\n");
    folder.write("policy.yaml", policy("score", "").replace(&format!("{DATA}/reference.parquet"), "few.csv"));
    replayed(&folder, 1);
    let found = folder.json_lines("v.jsonl").remove(0);
    assert_eq!(result(&found, "g/estimated-auc")["reason"], "it is calibrated by 4 rows, below min_reference 200");
    folder.write("few.csv", "label\n0\n1\n");
    folder.driftgate(&replay).exits(2).says("baseline.reference: snapshot \"few.csv\" has no column \"score\"");
}
