//! `budget`: on the shipped flights every rule that takes one blocks no more than without, and only where its interval breaks the limit.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::Folder;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/flights");
/// Limits that some weeks of the flights break clearly, some barely and some not.
const RULES: [&str; 41] = [
    "psi: {of: features, lt: 0.02}",
    "psi: {id: by, of: dep_delay, by: origin, lt: 0.05}",
    "psi: {id: chance, of: dep_delay, alpha: 0.01}",
    "psi: {id: before, of: dep_delay, lt: 0.02, versus: previous}",
    "ks_p: {of: features, gte: 0.01}",
    "ks: {of: dep_delay, lt: 0.05}",
    "js: {of: features, lt: 0.05}",
    "hellinger: {of: features, lt: 0.05}",
    "l_inf: {of: features, lt: 0.03}",
    "wasserstein: {of: [dep_delay, score], lt: 0.05}",
    "missing_rate: {of: features, lt: 0.0001}",
    "invalid_rate: {of: features, lt: 0.0001}",
    "out_of_range: {of: dep_delay, lt: 0.0005}",
    "new_categories: {of: [carrier, dest], lt: 0.0005}",
    "constant: {of: [origin, dep_delay], lt: 0.3}",
    "mean: {of: dep_delay, max_increase: 1}",
    "mean: {id: sigmas, of: dep_delay, max_increase: {sigmas: 0.05}}",
    "label_rate: {lt: 0.2}",
    "accuracy: {gte: 0.8}",
    "precision: {max_drop: 0.02}",
    "recall: {gte: 0.7}",
    "f1: {gte: 0.7}",
    "balanced_accuracy: {gte: 0.8}",
    "fpr: {lt: 0.05}",
    "selection_rate: {between: [0.15, 0.25]}",
    "auc: {gte: 0.9}",
    "brier: {lt: 0.12}",
    "log_loss: {lt: 0.3}",
    "ece: {lt: 0.01}",
    "volume: {between: [1900, 2000]}",
    "drifted_share: {of_rule: g/share, lt: 0.1}",
    "psi: {id: share, of: features, lt: 0.005}",
    "tpr_gap: {by: origin, lt: 0.02}",
    "equalized_odds: {by: origin, lt: 0.05}",
    "average_odds: {by: origin, lt: 0.03}",
    "disparate_impact: {by: origin, gte: 0.95}",
    "tpr_drop: {by: origin, max: 0.02}",
    "gap: {of: accuracy, by: carrier, lt: 0.05}",
    "gap: {id: to, of: fpr, by: origin, reference: JFK, lt: 0.02}",
    "gap_lcb: {of: accuracy, by: carrier, lte: 0.02}",
    "ratio: {of: selection_rate, by: carrier, between: [0.8, 1.25], reference: UA}",
];

/// The same of delays in classes, and in minutes.
const OF_CLASSES: [&str; 7] = [
    "accuracy: {gte: 0.9}",
    "balanced_accuracy: {gte: 0.8}",
    "precision: {average: macro, gte: 0.85}",
    "f1: {average: weighted, max_drop: 0.05}",
    "recall: {average: macro, gte: 0.74}",
    "recall: {class: very_late, gte: 0.8}",
    "gap: {of: balanced_accuracy, by: origin, lt: 0.05, min_positives: 5}",
];
const OF_ERRORS: [&str; 12] = [
    "mae: {lte: 13}",
    "mean_error: {between: [-3, 3]}",
    "rmse: {lte: 20}",
    "rmse: {id: change, max_increase: {relative: 0.02}}",
    "mape: {lte: 1}",
    "r2: {gte: 0.9}",
    "gap: {of: rmse, by: origin, lt: 2}",
    "gap: {of: r2, by: origin, max_increase: 0.01}",
    "gap: {of: mae, by: origin, lt: 2}",
    "gap: {of: mean_error, by: origin, lt: 6}",
    "ratio: {of: mae, by: origin, gte: 0.9}",
    "ratio: {of: mae, by: origin, reference: JFK, between: [0.9, 1.1]}",
];

/// By window, rule and subject.
type Results = BTreeMap<(String, String, String), Value>;

/// The results of all weeks of a policy with these rules; `head` is the policy up to its checks, with the folder of its data.
fn judged_by((head, data): (&str, &str), rules: &[&str], budget: &str) -> Results {
    let folder = Folder::new();
    let rules: String = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let id = if rule.contains("id: ") { "" } else { &format!("id: r{at}, ") };
            // What another rule counts blocks as it does without.
            let budget = if rule.contains("id: share") { "" } else { budget };
            format!("    - {}\n", rule.replacen('{', &format!("{{{id}{budget}"), 1))
        })
        .collect();
    let checks = format!("checks:\n  g:\n    window: {{size: 7d, slide: 7d}}\n    rules:\n{rules}");
    folder.write("policy.yaml", format!("{head}{checks}"));
    let files = format!("--predictions {data}/predictions.parquet --labels {data}/labels.parquet");
    folder.driftgate(&format!("replay --policy policy.yaml {files} --verdicts v.jsonl")).exits(0);
    let mut all = BTreeMap::new();
    for verdict in folder.json_lines("v.jsonl") {
        let of = format!("{} {}", verdict["version"], verdict["window"]["end"]);
        for result in verdict["results"].as_array().unwrap() {
            let text = |key: &str| result[key].as_str().unwrap().to_owned();
            all.insert((of.clone(), text("rule"), text("subject")), result.clone());
        }
    }
    all
}

/// Those of the decisions on flights.
fn judged(budget: &str) -> Results {
    let head = format!(
        "apiVersion: driftgate/v1\nmodel: flight_delay\nbaseline: {{snapshot: \"{DATA}/train_v{{version}}.parquet\", columns: {{score: score, label: label}}}}\n\
         features: {{numeric: [dep_delay, sched_minute, distance], categorical: [carrier, origin, dest]}}\nscore: {{threshold: 0.5}}\nsegments: [origin, carrier]\n\
         labels: {{horizon: 2d, attribute: label_time, lateness: 1h}}\nlateness: 1h\nmin_samples: 200\n"
    );
    judged_by((&head, DATA), &RULES, budget)
}

/// A shipped policy up to its checks, with the folder of its data.
fn shipped(name: &str) -> (String, String) {
    let root = env!("CARGO_MANIFEST_DIR");
    let data = format!("{root}/tests/data/{}", name.replace('-', "_"));
    let text = std::fs::read_to_string(format!("{root}/config/policies/{name}.yaml")).unwrap();
    let (head, _) = text.split_once("checks:").unwrap();
    let head = head.replace("train_v{version}", &format!("{data}/train_v{{version}}"));
    let head = if head.contains("segments:") { head } else { format!("{head}segments: [origin]\n") };
    (head, data)
}

#[test]
fn a_block_within_a_budget_is_one_that_chance_does_not_make() {
    let (plain, held) = (judged(""), judged("budget: 1/month, "));
    let (kept, taken_back) = compare(&plain, &held);
    assert!(kept.len() >= 12 && taken_back.len() >= 12, "{kept:?} {taken_back:?}");
}

#[test]
fn so_it_is_of_classes_and_of_errors() {
    for (name, rules) in [("flight-classes", &OF_CLASSES[..]), ("flight-delays", &OF_ERRORS[..])] {
        let (begin, data) = shipped(name);
        let of = |budget| judged_by((&begin, &data), rules, budget);
        let (plain, held) = (of(""), of("budget: 1/month, "));
        let (kept, taken_back) = compare(&plain, &held);
        assert!(!kept.is_empty() && taken_back.len() >= 2, "{name}: {kept:?} {taken_back:?}");
    }
}

/// How many blocks each metric kept within a budget, and how many were taken back.
fn compare<'r>(plain: &'r Results, held: &'r Results) -> (BTreeMap<&'r str, u32>, BTreeMap<&'r str, u32>) {
    assert_eq!(plain.len(), held.len());
    let (mut kept, mut taken_back) = (BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for (key, result) in held {
        let before = &plain[key];
        assert!(before.get("budget").is_none());
        assert_eq!(before["value"], result["value"], "{key:?}");
        if key.1 == "g/share" {
            continue;
        }
        let budget = &result["budget"];
        let (value, lower, upper) = (result["value"].as_f64(), budget["lower"].as_f64(), budget["upper"].as_f64());
        let alpha = budget["alpha"].as_f64().unwrap_or_else(|| panic!("{key:?}: {result}"));
        assert!(alpha > 0.0 && alpha <= 0.05, "{result}");
        match (before["status"].as_str().unwrap(), result["status"].as_str().unwrap()) {
            ("block", "block") => *kept.entry(result["metric"].as_str().unwrap()).or_default() += 1,
            ("block", "warn") => {
                assert_eq!(result["reason"], "within_chance", "{result}");
                *taken_back.entry(result["metric"].as_str().unwrap()).or_default() += 1;
            }
            (one, other) => assert_eq!(one, other, "{key:?}: a budget takes blocks back and does nothing else"),
        }
        // A bound is no estimate; a p-value has no interval; of several segments the interval may be another's.
        if ["gap_lcb", "ks_p", "ratio", "tpr_drop"].contains(&result["metric"].as_str().unwrap()) || key.1 == "g/by" {
            continue;
        }
        if let (Some(value), Some(lower)) = (value, lower) {
            assert!(lower <= value + 1e-9, "{key:?}: {lower} {value}");
            assert!(upper.is_none_or(|upper| value <= upper + 1e-9), "{key:?}: {value} {upper:?}");
        }
    }
    (kept, taken_back)
}

/// Of a policy with one rule on measurements the results by day.
fn measured_by(rule: &str, measurements: &str) -> Vec<Value> {
    let folder = Folder::new();
    folder.write("measurements.jsonl", measurements);
    folder.write("predictions.jsonl", "");
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\nfeatures: {{}}\nlateness: 0s\nchecks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n    - {rule}\n"
        ),
    );
    folder.driftgate("replay --policy policy.yaml --predictions predictions.jsonl --measurements measurements.jsonl --verdicts v.jsonl").exits(0);
    folder.json_lines("v.jsonl").into_iter().map(|verdict| verdict["results"][0].clone()).collect()
}

#[test]
fn a_mean_of_measurements_blocks_where_their_spread_does_not_explain_it() {
    // Two days of six measurements with weights; the costs of the second hardly differ.
    let days = [[1.25, 0.5, 2.0, 0.75, 1.5, 0.8], [1.25, 1.2, 1.3, 1.25, 1.2, 1.3]];
    let weights = [10, 20, 5, 10, 15, 40];
    let measurements: String = (0_i64..)
        .zip(days)
        .flat_map(|(day, costs)| {
            (0_i64..).zip(costs.into_iter().zip(weights)).map(move |(hour, (cost, n))| {
                let ts = day * 86_400_000 + (hour + 1) * 3_600_000;
                format!(
                    "{{\"model\":\"m\",\"version\":\"1\",\"ts\":{ts},\"metric\":\"cost\",\"value\":{cost},\"n\":{n}}}\n"
                )
            })
        })
        .collect();
    let one = |rule: &str| measured_by(rule, &measurements);
    let found = one("measured: {of: cost, lt: 0.9, budget: 1/month}");
    let statuses: Vec<&str> = found.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["warn", "block"], "{found:?}");
    assert_eq!(found[0]["reason"], "within_chance");
    // scipy 1.17: m ± t.isf(1/60, 5)·√(6/5·Σw²(x − m)²)/Σw, by numpy.
    let close = |found: &Value, expected: f64| (found.as_f64().unwrap() - expected).abs() < 1e-6;
    assert!(close(&found[0]["value"], 0.945), "{found:?}");
    assert!(
        close(&found[0]["budget"]["lower"], 0.468_596_200_576)
            && close(&found[0]["budget"]["upper"], 1.421_403_799_423),
        "{found:?}"
    );
    let sums = one("measured: {of: cost, agg: sum, lt: 10, budget: 1/month}");
    assert_eq!(sums[0]["status"], "warn", "94.5 ± 128: {sums:?}");
    let plain = one("measured: {of: cost, lt: 0.9}");
    assert!(plain.iter().all(|result| result["status"] == "block" && result.get("budget").is_none()), "{plain:?}");
}
