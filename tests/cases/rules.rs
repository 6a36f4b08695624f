//! What single rules say of small inputs, through `driftgate replay`: one day's window, values counted by hand or by scipy.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::Folder;

/// A midnight.
const DAY: i64 = 1_700_006_400_000;

/// A policy of one group with windows of a day, in a folder of its own.
fn folder(rules: &str, more: &str) -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", policy(rules, more));
    folder
}

fn policy(rules: &str, more: &str) -> String {
    format!(
        "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: train.csv}}\nlateness: 1h\n{more}\nchecks:\n  g:\n    \
         window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}\n"
    )
}

/// A CSV of rows, each the same number of milliseconds after the one before, of version 1.
fn csv(columns: &str, rows: impl IntoIterator<Item = String>) -> String {
    let mut text = format!("version,ts,{columns}\n");
    for (i, row) in (0_i64..).zip(rows) {
        writeln!(text, "1,{},{row}", DAY + i * 10_000).unwrap();
    }
    text
}

/// One column's rows.
fn column(name: &str, rows: impl IntoIterator<Item = String>) -> String {
    rows.into_iter().fold(format!("{name}\n"), |text, row| text + &row + "\n")
}

/// The results of all windows, in order.
fn results(folder: &Folder, files: &str) -> Vec<Value> {
    folder.driftgate(&format!("replay --policy policy.yaml {files} --verdicts v.jsonl")).exits(0);
    let verdicts = folder.json_lines("v.jsonl");
    verdicts.into_iter().flat_map(|v| v["results"].as_array().unwrap().clone()).collect()
}

#[track_caller]
fn of<'a>(results: &'a [Value], rule: &str, subject: &str) -> &'a Value {
    let found = results.iter().find(|r| r["rule"] == rule && r["subject"] == subject);
    found.unwrap_or_else(|| panic!("no {rule} of {subject} in {results:?}"))
}

#[test]
fn a_feature_that_is_gone_blocks() {
    let rules = "    - missing_rate: {of: [x, k, score], max_increase: 0.05}\n    - invalid_rate: {of: [x, k, score], lte: 0.01}\n    \
                 - psi: {of: x, lt: 0.2}";
    let more = "baseline: {snapshot: train.csv, columns: {score: score}}\nfeatures: {numeric: [x], categorical: [k]}";
    let folder = Folder::new();
    folder.write("policy.yaml", policy(rules, more).replacen("baseline: {snapshot: train.csv}\n", "", 1));
    folder.write("train.csv", column("x,k,score", (0..1000).map(|i| format!("{i},k{},0.{}", i % 3, i % 10))));
    // Of every share of missing values above the limit, also of all of them.
    for missing in [60, 500, 900, 950, 1000] {
        let rows =
            (0..1000).map(|i| if i < missing { ",,".to_owned() } else { format!("{i},k{},0.{}", i % 3, i % 10) });
        folder.write("p.csv", csv("x,k,score", rows));
        let results = results(&folder, "--predictions p.csv");
        for subject in ["x", "k", "score"] {
            let missing_rate = of(&results, "g/missing_rate", subject);
            assert_eq!(missing_rate["status"], "block", "{missing}: {missing_rate}");
            assert_eq!((&missing_rate["n"], &missing_rate["missing"]), (&json!(1000 - missing), &json!(missing)));
            assert_eq!(of(&results, "g/invalid_rate", subject)["status"], "pass");
        }
    }
    // Values of another type, as JSON lines and as CSV: all of them are invalid, none is measured.
    let line = |i: i64| json!({"model": "m", "version": "1", "ts": DAY + i * 10_000, "score": "high", "features": {"x": "many", "k": {}}});
    folder.write("p.jsonl", (0..1000).map(|i| line(i).to_string() + "\n").collect::<String>());
    let found = results(&folder, "--predictions p.jsonl");
    for subject in ["x", "k", "score"] {
        let invalid = of(&found, "g/invalid_rate", subject);
        assert_eq!(
            (&invalid["status"], &invalid["n"], &invalid["invalid"]),
            (&json!("block"), &json!(0), &json!(1000))
        );
        assert_eq!(of(&found, "g/missing_rate", subject)["status"], "pass");
    }
    // Too few events are too few, and the reason counts events.
    folder.write("p.csv", csv("x,k,score", (0..199).map(|_| ",,".to_owned())));
    let found = results(&folder, "--predictions p.csv");
    for rule in ["g/missing_rate", "g/invalid_rate"] {
        let result = of(&found, rule, "x");
        assert_eq!(result["status"], "insufficient");
        assert_eq!(result["reason"], "199 events are fewer than min_samples 200");
    }
    assert_eq!(of(&found, "g/psi", "x")["reason"], "nothing was measured");
}

/// 1,000 decisions of two segments, a label for each: `label(i)`, and `decision(i, segment is a)`.
fn two_segments(folder: &Folder, label: impl Fn(i64) -> i64, decision: impl Fn(i64, bool) -> i64) {
    folder.write("train.csv", column("g", ["a".to_owned(), "b".to_owned()]));
    let segment = |i: i64| if i % 2 == 0 { "a" } else { "b" };
    folder.write(
        "p.csv",
        csv("prediction_id,decision,g", (0..1000).map(|i| format!("p{i},{},{}", decision(i, i % 2 == 0), segment(i)))),
    );
    let labels: String = (0..1000).map(|i| format!("p{i},{},{}\n", DAY + i * 10_000, label(i))).collect();
    folder.write("l.csv", format!("prediction_id,ts,label\n{labels}"));
}

const FAIR: &str = "features: {categorical: [g]}\nscore: {threshold: 0.5}\nsegments: [g]\nlabels: {horizon: 1d, attribute: prediction_time}";

#[test]
fn best_and_worst_are_by_what_is_good() {
    let rules = "    - tpr_gap: {by: g, lt: 0.1}\n    - fpr_gap: {by: g, lt: 0.1}\n    - equalized_odds: {by: g, lt: 0.1}\n    \
                 - selection_gap: {by: g, lt: 0.1}\n    - disparate_impact: {by: g, gte: 0.8}";
    let folder = folder(rules, FAIR);
    let files = "--predictions p.csv --labels l.csv";
    let ends = |r: &Value| {
        ["best", "worst", "highest", "lowest", "driven_by"].map(|key| r.get(key).cloned().unwrap_or(json!("absent")))
    };
    let names = |names: [&str; 5]| names.map(|n| json!(n));
    // Everybody is innocent: a is flagged in half of the cases, b never.
    two_segments(&folder, |_| 0, |i, a| i64::from(a && i % 4 == 0));
    let found = results(&folder, files);
    assert_eq!(ends(of(&found, "g/fpr_gap", "g")), names(["b", "a", "absent", "absent", "absent"]));
    assert_eq!(ends(of(&found, "g/selection_gap", "g")), names(["absent", "absent", "a", "b", "absent"]));
    assert_eq!(ends(of(&found, "g/disparate_impact", "g")), names(["absent", "absent", "a", "b", "absent"]));
    // Nobody is: a is found in half of the cases, b never.
    two_segments(&folder, |_| 1, |i, a| i64::from(a && i % 4 == 0));
    assert_eq!(ends(of(&results(&folder, files), "g/tpr_gap", "g")), names(["a", "b", "absent", "absent", "absent"]));
    // Half of them are. The guilty are found alike; of the innocent, a is flagged and b is not.
    let guilty = |i: i64| i / 2 % 2;
    two_segments(&folder, guilty, |i, a| if guilty(i) == 1 { 1 } else { i64::from(a) });
    let found = results(&folder, files);
    assert_eq!(ends(of(&found, "g/equalized_odds", "g")), names(["b", "a", "absent", "absent", "fpr"]));
    // The innocent are flagged alike; of the guilty, a is found and b is not.
    two_segments(&folder, guilty, |i, a| if guilty(i) == 0 { 0 } else { i64::from(a) });
    let found = results(&folder, files);
    assert_eq!(ends(of(&found, "g/equalized_odds", "g")), names(["a", "b", "absent", "absent", "tpr"]));
    assert_eq!(of(&found, "g/equalized_odds", "g")["value"], 1.0);
}
