//! Rules of quality and fairness over files: every value beside scikit-learn's and fairlearn's of the same raw rows
//! (`tests/data/quality`), whatever the order of the rows and the number of threads.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Folder, lines};

/// A midnight.
const DAY: i64 = 1_700_006_400_000;
/// Predictions that no label comes for, all decided positively.
const UNLABELLED: usize = 100;
const DECISIONS: [&str; 10] =
    ["accuracy", "precision", "recall", "specificity", "f1", "balanced_accuracy", "fpr", "fnr", "fdr", "for"];
const SCORES: [&str; 4] = ["auc", "log_loss", "brier", "ece"];

fn golden(row: usize) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/quality/quality.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    document["rows"][row].clone()
}

fn list<'v>(row: &'v Value, key: &str) -> &'v [Value] {
    row[key].as_array().unwrap()
}

/// A policy with these rules, the row's data as snapshot, predictions and labels.
fn folder(row: &Value, rules: &str, grid: &str) -> Folder {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: train.csv, columns: {{score: score, label: label}}}}\n\
             features: {{{grid}}}\nscore: {{threshold: 0.5}}\nsegments: [segment]\nlabels: {{horizon: 1d, attribute: label_time}}\n\
             lateness: 2h\nmin_samples: 50\nchecks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
        ),
    );
    let rows = || list(row, "score").iter().zip(list(row, "label")).zip(list(row, "segment"));
    let mut train = "score,label,segment\n".to_owned();
    for ((score, label), segment) in rows() {
        writeln!(train, "{score},{label},{}", segment.as_str().unwrap()).unwrap();
    }
    folder.write("train.csv", train);
    let prediction = |i: usize, score: &Value, segment: &Value| {
        let ts = DAY + i64::try_from(i).unwrap() * 5_000;
        json!({"prediction_id": format!("p{i}"), "version": "1", "ts": ts, "score": score, "segments": {"segment": segment}})
    };
    let n = list(row, "score").len();
    let labelled = rows().enumerate().map(|(i, ((score, _), segment))| prediction(i, score, segment));
    let unlabelled = (n..n + UNLABELLED).map(|i| prediction(i, &json!(0.9), &json!("a")));
    let predictions: Vec<Value> = labelled.chain(unlabelled).collect();
    let labels: Vec<Value> = rows()
        .enumerate()
        .map(|(i, ((_, label), _))| json!({"prediction_id": format!("p{i}"), "ts": DAY + 5_000 * i64::try_from(i).unwrap(), "label": label}))
        .collect();
    folder.write("backwards-p.jsonl", lines(predictions.iter().rev().cloned()));
    folder.write("backwards-l.jsonl", lines(labels.iter().rev().cloned()));
    folder.write("p.jsonl", lines(predictions.into_iter()));
    folder.write("l.jsonl", lines(labels.into_iter()));
    folder
}

fn replay(folder: &Folder, files: &str) -> Vec<Value> {
    folder.driftgate(&format!("replay --policy policy.yaml {files} --verdicts v.jsonl")).exits(0);
    folder.json_lines("v.jsonl").into_iter().flat_map(|v| v["results"].as_array().unwrap().clone()).collect()
}

const FILES: &str = "--predictions p.jsonl --labels l.jsonl";

fn of<'a>(results: &'a [Value], id: &str) -> &'a Value {
    let found = results.iter().find(|r| r["rule"] == format!("g/{id}"));
    found.unwrap_or_else(|| panic!("no {id} in {results:?}"))
}

#[track_caller]
fn close(found: &Value, expected: &Value) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
}

/// A rule of every metric, and a gap and a ratio of every metric of decisions.
fn every_rule() -> String {
    let mut rules = String::new();
    for name in DECISIONS.iter().chain(&["selection_rate"]) {
        writeln!(rules, "    - {name}: {{gte: 0}}").unwrap();
        writeln!(rules, "    - gap: {{id: gap_{name}, of: {name}, by: segment, lte: 1, min_positives: 1}}").unwrap();
        writeln!(rules, "    - ratio: {{id: ratio_{name}, of: {name}, by: [segment], gte: 0.01, min_positives: 1}}")
            .unwrap();
    }
    for name in SCORES {
        writeln!(rules, "    - {name}: {{lt: 10}}").unwrap();
    }
    rules
        .replace("auc: {lt: 10}", "auc: {gte: 0.1}")
        .replace("brier: {lt: 10}", "brier: {lt: 1}")
        .replace("ece: {lt: 10}", "ece: {lt: 1}")
        + "    - average_odds: {by: segment, lt: 1, min_positives: 1}\n    - gap_lcb: {of: precision, by: segment, lte: 1}\n"
}

#[test]
fn every_value_is_that_of_scikit_learn_and_fairlearn() {
    for row in [0, 3].map(golden) {
        let folder = folder(&row, &every_rule(), "");
        let results = replay(&folder, FILES);
        for name in DECISIONS {
            let result = of(&results, name);
            close(&result["value"], &row["expect"][name]);
            close(&result["reference_value"], &row["expect"][name]);
            assert_eq!((&result["subject"], &result["n"]), (&json!("decision"), &json!(list(&row, "score").len())));
            let value = result["value"].as_f64().unwrap();
            assert!(
                result["lower"].as_f64().unwrap() <= value && value <= result["upper"].as_f64().unwrap(),
                "{result}"
            );
            close(&of(&results, &format!("gap_{name}"))["value"], &row["between"][name]["gap"]);
            close(&of(&results, &format!("ratio_{name}"))["value"], &row["between"][name]["ratio"]);
        }
        for name in SCORES {
            let result = of(&results, name);
            ["value", "lower", "upper", "reference_value"]
                .iter()
                .for_each(|key| close(&result[key], &row["expect"][name]));
        }
        close(&of(&results, "average_odds")["value"], &row["expect"]["average_odds"]);
        let best = &of(&results, "gap_fpr")["segments"].as_array().unwrap().iter();
        let best =
            best.clone().min_by(|a, b| a["fpr"].as_f64().unwrap().total_cmp(&b["fpr"].as_f64().unwrap())).unwrap();
        assert_eq!(of(&results, "gap_fpr")["best"], best["segment"]);
        assert!(of(&results, "gap_selection_rate").get("best").is_none());
    }
}

#[test]
fn selection_counts_predictions_that_no_label_comes_for() {
    let row = golden(3);
    let results = replay(&folder(&row, &every_rule(), ""), FILES);
    let selection = of(&results, "selection_rate");
    let n = list(&row, "score").len();
    let selected = list(&row, "score").iter().filter(|s| s.as_f64().unwrap() >= 0.5).count() + UNLABELLED;
    assert_eq!((&selection["selected"], &selection["n"]), (&json!(selected), &json!(n + UNLABELLED)));
    close(&selection["reference_value"], &row["expect"]["selection_rate"]);
    assert_eq!(of(&results, "gap_selection_rate")["n"], n + UNLABELLED);
}

#[test]
fn order_and_threads_change_nothing() {
    let folder = folder(&golden(2), &every_rule(), "");
    let verdicts = |files: &str| {
        folder.driftgate(&format!("replay --policy policy.yaml {files} --verdicts v.jsonl")).exits(0);
        folder.read("v.jsonl")
    };
    let expected = verdicts(&format!("{FILES} --threads 1"));
    assert_eq!(verdicts(&format!("{FILES} --threads 4")), expected);
    assert_eq!(verdicts("--predictions backwards-p.jsonl --labels backwards-l.jsonl"), expected);
}

#[test]
fn a_coarse_grid_encloses_the_value_and_warns_where_it_cannot_tell() {
    let row = golden(3);
    let raw = |name: &str| row["expect"][name].as_f64().unwrap();
    let mut rules = String::new();
    for name in SCORES {
        writeln!(rules, "    - {name}: {{id: at_{name}, lt: {:.6}}}", raw(name)).unwrap();
        writeln!(rules, "    - {name}: {{id: far_{name}, lt: {:.6}}}", raw(name) / 3.0).unwrap();
    }
    let results = replay(&folder(&row, &rules, "grid: {points: 21}"), FILES);
    for name in SCORES {
        let at = of(&results, &format!("at_{name}"));
        let (lower, upper) = (at["lower"].as_f64().unwrap(), at["upper"].as_f64().unwrap());
        assert!(lower < raw(name) && raw(name) < upper, "{at}");
        assert_eq!((&at["status"], &at["reason"]), (&json!("warn"), &json!("underresolved")), "{at}");
        let far = of(&results, &format!("far_{name}"));
        let expected = if lower >= raw(name) / 3.0 { "block" } else { "warn" };
        assert_eq!(far["status"], expected, "{far}");
    }
}

#[test]
fn changes_are_against_the_snapshot_and_bands_have_two_ends() {
    let row = golden(3);
    let recall = row["expect"]["recall"].as_f64().unwrap();
    let rules = "    - recall: {id: drop, max_drop: 0.02, warn: 0.01}\n    - recall: {id: rise, max_increase: {relative: 0.5}}\n\
         \x20   - recall: {id: inside, between: [0.1, 0.9999]}\n    - recall: {id: below, between: [0.9, 0.9999]}\n\
         \x20   - recall: {id: few, gte: 0.1, min_samples: 100000}\n    - brier: {id: brier, max_increase: 0.01}\n\
         \x20   - gap: {id: gap, of: recall, by: segment, max_increase: 0.01, min_positives: 1}\n";
    let folder = folder(&row, rules, "");
    let results = replay(&folder, FILES);
    for (id, status) in
        [("drop", "pass"), ("rise", "pass"), ("inside", "pass"), ("below", "block"), ("few", "insufficient")]
    {
        assert_eq!(of(&results, id)["status"], status, "{}", of(&results, id));
    }
    for id in ["drop", "rise", "brier", "gap"] {
        assert_eq!((&of(&results, id)["value"], &of(&results, id)["status"]), (&json!(0.0), &json!("pass")), "{id}");
    }
    close(&of(&results, "drop")["now"], &json!(recall));
    assert_eq!(of(&results, "rise")["limit"], json!({"max_increase": {"relative": 0.5}}));
    assert_eq!(of(&results, "below")["limit"], json!({"between": [0.9, 0.9999]}));
    // Every positive label is missed now: the recall drops by all that it was, and the loss of the score is its own.
    let missed = list(&row, "label").iter().enumerate().filter(|(_, label)| **label == 1).map(|(i, _)| {
        json!({"prediction_id": format!("p{i}"), "version": "1", "ts": DAY + 5_000 * i64::try_from(i).unwrap(), "score": 0.1, "segments": {"segment": "a"}})
    });
    folder.write("p.jsonl", lines(missed));
    let results = replay(&folder, FILES);
    close(&of(&results, "drop")["value"], &json!(recall));
    assert_eq!((&of(&results, "drop")["status"], &of(&results, "brier")["status"]), (&json!("block"), &json!("block")));
    assert_eq!(of(&results, "gap")["status"], "insufficient");
}

#[test]
fn a_reference_segment_is_what_the_others_are_compared_with() {
    let rules = "    - gap: {id: gap, of: recall, by: segment, lt: 0.9, reference: b, min_positives: 1}\n\
                 \x20   - ratio: {id: low, of: recall, by: segment, gte: 0.01, reference: b, min_positives: 1}\n\
                 \x20   - ratio: {id: gone, of: recall, by: segment, gte: 0.01, reference: nobody, min_positives: 1}\n";
    let results = replay(&folder(&golden(3), rules, ""), FILES);
    let gap = of(&results, "gap");
    let recall: Vec<f64> = gap["segments"].as_array().unwrap().iter().map(|s| s["recall"].as_f64().unwrap()).collect();
    let [a, b, c] = recall[..] else { panic!("{gap}") };
    close(&gap["value"], &json!((a - b).abs().max((c - b).abs())));
    close(&of(&results, "low")["value"], &json!((a / b).min(c / b)));
    let gone = of(&results, "gone");
    assert_eq!((&gone["status"], &gone["value"]), (&json!("insufficient"), &Value::Null));
    assert_eq!(gone["reason"], "the reference segment \"nobody\" does not have 1 positives");
}

#[test]
fn mistakes_in_rules_are_told() {
    let says = |rule: &str, message: &str| {
        let folder = folder(&golden(0), &format!("    - {rule}\n"), "");
        let said = folder.driftgate("check --policy policy.yaml").exits(2).stderr;
        assert!(said.contains(message), "{said}");
    };
    says("gap: {by: segment, lt: 0.1}", "gap.of: missing: write `of: accuracy`");
    says("gap: {of: auc, by: segment, lt: 0.1}", "expected `accuracy` or `precision`");
    says("gap_lcb: {of: f1, by: segment, lte: 0.1}", "read \"f1\"");
    says("ratio: {of: average_odds, by: segment, gte: 0.8}", "average_odds is a mean of gaps");
    says("gap: {of: recall, by: [segment, x], lt: 0.1}", "\"segment*x\" is not in `segments:`");
    says("recall: {gte: 1.5}", "expected a rate from 0 to 1");
    says("recall: {gte: 0.5, lt: 0.9}", "keep one limit");
    says("log_loss: {lt: 0}", "expected a number above 0");
}
