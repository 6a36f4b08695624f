//! Rules on distances and on the state of the data over files: every value beside scipy's of the same raw rows
//! (`tests/data/distance`), whatever the order of the rows and the number of threads; and small windows counted by hand.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::Folder;

/// A midnight.
const DAY: i64 = 1_700_006_400_000;
const DISTANCES: [&str; 5] = ["ks", "js", "hellinger", "l_inf", "wasserstein"];

fn golden() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/distance/distance.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    document["numeric"].as_array().unwrap().clone()
}

/// One column's rows.
fn column(name: &str, rows: &[String]) -> String {
    rows.iter().fold(format!("{name}\n"), |text, row| text + row + "\n")
}

/// Predictions of a day, in this order.
fn predictions(columns: &str, rows: impl Iterator<Item = (i64, String)>) -> String {
    rows.fold(format!("version,ts,{columns}\n"), |mut text, (i, row)| {
        writeln!(text, "1,{},{row}", DAY + i * 10_000).unwrap();
        text
    })
}

fn folder(features: &str, rules: &str, columns: &str, train: &[String], window: &[String]) -> Folder {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: train.csv}}\nfeatures: {{{features}}}\nlateness: 1d\n\
             min_samples: 10\nchecks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
        ),
    );
    folder.write("train.csv", column(columns, train));
    let rows = || (0..).zip(window.iter().cloned());
    folder.write("p.csv", predictions(columns, rows()));
    folder.write("backwards.csv", predictions(columns, rows().collect::<Vec<_>>().into_iter().rev()));
    folder
}

fn verdicts(folder: &Folder, files: &str) -> String {
    folder.driftgate(&format!("replay --policy policy.yaml {files} --verdicts v.jsonl")).exits(0);
    folder.read("v.jsonl")
}

fn results(folder: &Folder) -> Vec<Value> {
    verdicts(folder, "--predictions p.csv");
    folder.json_lines("v.jsonl").into_iter().flat_map(|v| v["results"].as_array().unwrap().clone()).collect()
}

#[track_caller]
fn of<'a>(results: &'a [Value], id: &str, subject: &str) -> &'a Value {
    let found = results.iter().find(|r| r["rule"] == format!("g/{id}") && r["subject"] == subject);
    found.unwrap_or_else(|| panic!("no {id} of {subject} in {results:?}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[track_caller]
fn close(found: &Value, expected: f64) {
    assert!((number(found) - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
}

/// A limit on each distance that a value of `share` of the expected one breaks.
fn limits(expect: &Value, share: f64) -> String {
    DISTANCES.iter().fold(String::new(), |mut text, name| {
        writeln!(text, "    - {name}: {{of: x, lt: {:.9}}}", (number(&expect[name]) * share).min(1.0)).unwrap();
        text
    })
}

fn texts(row: &Value, key: &str) -> Vec<String> {
    row[key].as_array().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn every_distance_is_that_of_scipy() {
    for row in golden() {
        let expect = &row["expect"];
        for grid in ["points: exact", "points: 21"] {
            let features = format!("numeric: [x], grid: {{{grid}}}");
            let folder =
                folder(&features, &limits(expect, 0.9), "x", &texts(&row, "reference"), &texts(&row, "window"));
            let results = results(&folder);
            for name in ["js", "hellinger", "l_inf"] {
                close(&of(&results, name, "x")["value"], number(&expect[name]));
                assert_eq!(of(&results, name, "x")["status"], "block", "{name}");
            }
            let (ks, moved) = (of(&results, "ks", "x"), of(&results, "wasserstein", "x"));
            if grid == "points: exact" {
                close(&ks["value"], number(&expect["ks"]));
                assert_eq!(ks["status"], "block");
            }
            for (found, from, to, name) in [(ks, "d", "d_hi", "ks"), (moved, "lower", "upper", "wasserstein")] {
                let (lower, upper) = (number(&found[from]), number(&found[to]));
                let raw = number(&expect[name]);
                assert!(lower <= raw + 1e-12 && raw <= upper + 1e-12, "{raw} is not in {found}");
                assert_eq!(found["value"], found[from]);
            }
        }
    }
}

#[test]
fn the_limit_by_chance_and_the_share_of_what_drifted() {
    // x is shifted by half of its range, few and same are as in training; PSI's 99.9% quantile at n = 100 and m = 200.
    let rules = "    - psi: {of: [x, few], alpha: 0.001}\n    - psi: {id: floored, of: x, alpha: 0.001, floor: 30}\n    \
                 - drifted_share: {of_rule: g/psi, lte: 0.5}\n    - drifted_share: {id: half, of_rule: g/psi, lt: 0.5}\n";
    let found = counted(rules, |i| format!("{},{},7,k{}", i + 100, i % 5, i % 4));
    let (x, few) = (of(&found, "psi", "x"), of(&found, "psi", "few"));
    // scipy 1.17: (1/100 + 1/200)*chi2.isf(0.001, 9), and with 4 degrees of freedom.
    close(&x["limit"]["lt"], 0.015 * 27.877_164_871_256_57);
    assert_eq!((&x["status"], &few["status"]), (&json!("block"), &json!("pass")));
    assert_eq!(of(&found, "floored", "x")["limit"], json!({"lt": 30.0, "alpha": 0.001, "floor": 30.0}));
    let share = of(&found, "drifted_share", "features");
    assert_eq!((&share["value"], &share["status"], &share["drifted"]), (&json!(0.5), &json!("pass"), &json!(["x"])));
    assert_eq!(of(&found, "half", "features")["status"], "block");
}

#[test]
fn order_and_threads_change_nothing() {
    let row = &golden()[0];
    let rules = limits(&row["expect"], 0.9)
        + "    - missing_rate: {of: x, lt: 0.1}\n    - out_of_range: {of: x, lt: 0.5}\n    - constant: {of: x, lt: 0.5}\n";
    let folder = folder("numeric: [x]", &rules, "x", &texts(row, "reference"), &texts(row, "window"));
    let expected = verdicts(&folder, "--predictions p.csv --threads 1");
    assert!(expected.contains("out_of_range"));
    assert_eq!(verdicts(&folder, "--predictions p.csv --threads 4"), expected);
    assert_eq!(verdicts(&folder, "--predictions backwards.csv"), expected);
}

/// Four columns: a number, one with five values, one that is constant in training, categories.
fn counted(rules: &str, window: impl Fn(i64) -> String) -> Vec<Value> {
    let train: Vec<String> = (0..200).map(|i| format!("{i},{},7,k{}", i % 5, i % 4)).collect();
    let window: Vec<String> = (0..100).map(window).collect();
    let features = "numeric: [x, few, same], categorical: [k]";
    results(&folder(features, rules, "x,few,same,k", &train, &window))
}

#[test]
fn what_is_measured_out_of_training_is_counted() {
    // Of 100 events 20 have no x, 10 of the 80 others lie below, 6 above; half of the categories are new.
    let rules = "    - out_of_range: {of: [x, few], lte: 0.2, warn: 0.1}\n    - new_categories: {of: features, lt: 0.5}\n    \
                 - missing_rate: {id: at, of: x, lte: 0.2}\n    - missing_rate: {id: below, of: x, lt: 0.2}\n    \
                 - missing_rate: {id: rise, of: x, max_increase: 0.1}\n    - missing_rate: {id: times, of: x, max_increase: {relative: 2}}\n    \
                 - invalid_rate: {of: [x, k], lt: 0.01, min_samples: 101}\n    - wasserstein: {of: [x, same], lt: 1}\n";
    let rules = rules.replace("{relative: 2}", "{relative: 1}");
    let x = |i: i64| match i {
        0..20 => String::new(),
        20..30 => "-1".to_owned(),
        30..36 => "200".to_owned(),
        _ => "50".to_owned(),
    };
    let found = counted(&rules, |i| format!("{},{},7,{}", x(i), i % 5, if i % 2 == 0 { "new" } else { "k1" }));
    let outside = of(&found, "out_of_range", "x");
    assert_eq!((&outside["value"], &outside["status"]), (&json!(0.2), &json!("warn")), "16 of 80 are at the limit");
    assert_eq!((&outside["below"], &outside["above"], &outside["n"]), (&json!(10), &json!(6), &json!(80)));
    assert_eq!(of(&found, "out_of_range", "few")["value"], 0.0);
    let new = of(&found, "new_categories", "k");
    assert_eq!((&new["value"], &new["status"]), (&json!(0.5), &json!("block")));
    assert_eq!(new["unseen"][0], json!({"category": "new", "window": 50}));
    for (id, value, status) in [("at", 0.2, "pass"), ("below", 0.2, "block"), ("rise", 0.2, "block")] {
        let result = of(&found, id, "x");
        assert_eq!(
            (&result["value"], &result["status"], &result["rate"]),
            (&json!(value), &json!(status), &json!(0.2))
        );
    }
    assert_eq!(of(&found, "times", "x")["status"], "insufficient", "nothing is missing in training");
    assert_eq!(of(&found, "invalid_rate", "x")["status"], "insufficient", "a minimum of its own");
    assert_eq!(of(&found, "wasserstein", "same")["status"], "insufficient", "there is no deviation to measure by");
    assert!(number(&of(&found, "wasserstein", "x")["value"]) > 0.0);
}

#[test]
fn a_feature_that_is_stuck_or_gone_blocks() {
    let rules = "    - constant: {of: features, lt: 0.9}\n    - constant: {id: rise, of: [few, k], max_increase: 0.5}\n    \
                 - missing_rate: {of: features, lt: 0.9}\n    - ks: {of: x, lt: 0.4}\n";
    let found = counted(rules, |_| "50,3,7,k1".to_owned());
    for subject in ["x", "few", "same", "k"] {
        let result = of(&found, "constant", subject);
        assert_eq!((&result["value"], &result["status"]), (&json!(1.0), &json!("block")), "{result}");
    }
    assert_eq!(of(&found, "constant", "same")["reference_value"], 1.0);
    close(&of(&found, "rise", "few")["value"], 0.8);
    assert_eq!((&of(&found, "rise", "k")["now"], &of(&found, "rise", "k")["status"]), (&json!(1.0), &json!("block")));
    // Between two points of the grid no value is told from another, and all there count as one.
    let found = counted(rules, |i| format!("{},3,7,k1", if i < 95 { "50.5" } else { "51" }));
    let result = of(&found, "constant", "x");
    assert_eq!((&result["lower"], &result["upper"]), (&json!(0.05), &json!(0.95)));
    assert_eq!((&result["value"], &result["status"]), (&json!(0.95), &json!("block")));
    // Categories that training has not are told apart.
    let found = counted(rules, |i| format!("50,3,7,{}", if i < 95 { format!("u{}", i % 2) } else { "k1".to_owned() }));
    assert_eq!(of(&found, "constant", "k")["value"], 0.48);
    let found = counted(rules, |_| ",,,".to_owned());
    for subject in ["x", "few", "same", "k"] {
        assert_eq!(of(&found, "missing_rate", subject)["status"], "block", "a feature that is gone");
        assert_eq!(of(&found, "constant", subject)["status"], "insufficient");
    }
}
