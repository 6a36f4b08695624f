//! What the results of a rule are about has one name: verdicts show it, and mutes and overrides take it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Folder, lines};

const HOUR: i64 = 3_600_000;
const START: i64 = 472_224 * HOUR;

/// A policy with a rule of every metric, each with what it must have.
const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: \"train_v{version}.csv\", columns: {score: score, label: label}}
features: {numeric: [x], categorical: [kind]}
score: {threshold: 0.5}
segments: [country, country*kind]
labels: {horizon: 1d, attribute: prediction_time}
min_samples: 10
checks:
  all:
    window: {size: 1h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2}
    - ks_p: {of: [x, kind, score], gte: 0.01}
    - ks_lcb: {of: features, lte: 0.05}
    - ks: {of: [x, score], lt: 0.5}
    - js: {of: features, lt: 0.5}
    - hellinger: {of: features, lt: 0.5}
    - l_inf: {of: features, lt: 0.5}
    - wasserstein: {of: [x, score], lt: 0.5}
    - missing_rate: {of: features, max_increase: 0.05}
    - invalid_rate: {of: features, lte: 0.01}
    - out_of_range: {of: features, lte: 0.01}
    - new_categories: {of: kind, lte: 0.01}
    - constant: {of: features, lte: 0.9}
    - mean: {of: [x, score], lt: 100}
    - volume: {gte: 10}
    - psi: {id: psi_by, of: score, by: country, lt: 9}
    - label_rate: {lte: 0.9}
    - label_coverage: {gte: 0.5}
    - drifted_share: {of_rule: all/psi, lt: 0.5}
    - tpr_gap: {by: country, lt: 0.1}
    - fpr_gap: {by: country, lt: 0.1}
    - selection_gap: {by: country, lt: 0.1}
    - equalized_odds: {by: country*kind, lt: 0.1}
    - disparate_impact: {by: country, gte: 0.8}
    - tpr_gap_lcb: {by: country, lte: 0.1}
    - tpr_drop: {by: country, max: 0.1}
    - tpr_drop_lcb: {by: country, max: 0.1}
    - gap: {of: recall, by: country, lt: 0.1}
    - ratio: {of: selection_rate, by: country, gte: 0.8}
    - gap_lcb: {of: accuracy, by: country, lte: 0.1}
    - average_odds: {by: country, lt: 0.1}
    - accuracy: {gte: 0.7}
    - precision: {gte: 0.7}
    - ppv: {gte: 0.7}
    - recall: {gte: 0.7}
    - tpr: {gte: 0.7}
    - specificity: {gte: 0.7}
    - f1: {gte: 0.7}
    - balanced_accuracy: {gte: 0.7}
    - fpr: {lt: 0.3}
    - fnr: {lt: 0.3}
    - fdr: {lt: 0.3}
    - for: {lt: 0.3}
    - selection_rate: {lt: 0.9}
    - auc: {gte: 0.7}
    - log_loss: {lt: 10}
    - brier: {lt: 0.9}
    - ece: {lt: 0.9}
    - estimated: {of: accuracy, gte: 0.1}
    - latency_p50_ms: {lt: 80}
    - latency_p90_ms: {lt: 80}
    - latency_p95_ms: {lt: 80}
    - latency_p99_ms: {lt: 80}
    - error_rate: {lt: 0.01}
    - kpi_drop: {of: ctr, max: {relative: 0.01}}
    - measured: {of: cost, lt: 2}
";

/// Metrics of another task, which `cases/regression` judges.
const OF_NUMBERS: [&str; 5] = ["mae", "rmse", "mean_error", "mape", "r2"];

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("d.yaml", "policies: [policy.yaml]\nregistry: {embedded: {path: registry.db}}\n");
    let kind = |i: i64| if i % 3 == 0 { "a" } else { "b" };
    let country = |i: i64| if i % 2 == 0 { "de" } else { "fr" };
    let score = |i: i64| (i % 10) / 5;
    let row = |i: i64| format!("{},{},{},{},{}\n", i % 60, kind(i), country(i), score(i), i % 2);
    let rows: String = (0..600).map(row).collect();
    folder.write("train_v1.csv", format!("x,kind,country,score,label\n{rows}"));
    let prediction = |i: i64| {
        json!({"prediction_id": format!("p{i}"), "version": "1", "ts": START + i * 1000, "score": score(i), "error": false,
            "latency_ms": 10, "segments": {"country": country(i)}, "features": {"x": i % 60, "kind": kind(i)}})
    };
    let label = |i: i64| json!({"prediction_id": format!("p{i}"), "ts": START + i * 1000, "label": i % 2, "kpi": {"ctr": i % 2}});
    folder.write("p.jsonl", lines((0..600).map(prediction)));
    folder.write("l.jsonl", lines((0..600).map(label)));
    let cost = json!({"version": "1", "ts": START, "metric": "cost", "value": 1});
    folder.write("c.jsonl", lines(std::iter::once(cost)));
    folder
}

/// Every metric that there is: the sections of the reference, which is written from the table of rules.
fn metrics() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/policy.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rules = page.split("\n## Rules\n").nth(1).unwrap();
    rules.lines().filter_map(|line| Some(line.strip_prefix("### `")?.strip_suffix('`')?.to_owned())).collect()
}

#[test]
fn the_subjects_of_every_metric_are_taken_by_mutes_and_overrides() {
    let folder = folder();
    folder.driftgate("replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl --measurements c.jsonl --verdicts v.jsonl").exits(0);
    let verdict = folder.json_lines("v.jsonl").remove(0);
    let of = |result: &Value, key: &str| result[key].as_str().unwrap().to_owned();
    let results: Vec<(String, String, String)> = verdict["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (of(r, "metric"), of(r, "rule"), of(r, "subject")))
        .collect();
    let judged: BTreeSet<String> = results.iter().map(|(metric, ..)| metric.clone()).collect();
    let numbers = OF_NUMBERS.map(str::to_owned);
    let all: BTreeSet<String> = judged.iter().cloned().chain(numbers).collect();
    assert_eq!(all, metrics(), "the policy here has a rule of every metric of classes");
    let subjects = |rule: &str| -> Vec<&str> {
        results.iter().filter(|(metric, ..)| metric == rule).map(|(.., subject)| subject.as_str()).collect()
    };
    assert_eq!(subjects("error_rate"), ["error"]);
    assert_eq!(subjects("latency_p90_ms"), ["latency_ms"]);
    assert_eq!(subjects("equalized_odds"), ["country*kind"]);
    let mutes = results.iter().map(|(_, rule, subject)| {
        format!("- {{rule: {rule}, of: \"{subject}\", until: 2100-01-01, reason: r}}\n- {{of: \"{subject}\", until: 2100-01-01, reason: r}}\n")
    });
    let mutes: String = mutes.collect();
    folder.write("muted.yaml", format!("{POLICY}mute:\n{mutes}"));
    folder
        .driftgate(
            "replay --policy muted.yaml --predictions p.jsonl --labels l.jsonl --measurements c.jsonl --verdicts m.jsonl --signals s.jsonl",
        )
        .exits(0);
    let verdict = folder.json_lines("m.jsonl").remove(0);
    assert!(verdict["results"].as_array().unwrap().iter().all(|r| r["muted"] == true), "{verdict}");
    assert_eq!(folder.read("s.jsonl"), "");
    folder.driftgate("register m 1 --config d.yaml").exits(0);
    let mut seen = BTreeSet::new();
    for (_, rule, subject) in results.iter().filter(|(metric, ..)| seen.insert(metric.clone())) {
        let over = |subject: &str| {
            folder.driftgate(&format!(
                "override m 1 --rule {rule} --subject {subject} --for 1h --reason r --config d.yaml"
            ))
        };
        over(subject).exits(0);
        over("nobody").exits(2).says(&format!("{rule} has no results on \"nobody\"; known here: `"));
    }
}
