//! `task: multiclass`: predicted classes of delays of flights beside scikit-learn's and scipy's of the same raw rows
//! (`tests/data/flight_classes`), whatever the order of the rows and the number of threads, and what names no class.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::small_pairs::{self, judged, result};
use crate::support::Folder;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/flight_classes");
const POLICY: &str = include_str!("../../config/policies/flight-classes.yaml");
const CLASSES: [&str; 3] = ["on_time", "late", "very_late"];

fn close(found: &Value, expected: &Value) -> bool {
    let (Some(found), Some(expected)) = (found.as_f64(), expected.as_f64()) else { return false };
    (found - expected).abs() <= 1e-10
}

/// A rule for each metric of each average and each class.
fn every_rule() -> String {
    let of = |metric: &str, (key, value): (&str, &str)| {
        format!("    - {metric}: {{id: {metric}-{value}, {key}: {value}, gte: 0}}\n")
    };
    let averages = ["macro", "micro", "weighted"].map(|average| ("average", average));
    let all = averages.into_iter().chain(CLASSES.map(|class| ("class", class)));
    ["precision", "recall", "f1"].into_iter().flat_map(|metric| all.clone().map(move |each| of(metric, each))).collect()
}

#[test]
fn every_week_of_classes_has_the_quality_of_scikit_learn() {
    let folder = Folder::new();
    let text = POLICY.replace("train_v{version}", &format!("{DATA}/train_v{{version}}"));
    let (before, after) = text.split_once("    - accuracy: {id: accuracy_before").unwrap();
    folder.write("policy.yaml", format!("{before}{}    - accuracy: {{id: accuracy_before{after}", every_rule()));
    let verdicts = folder.replayed_alike(DATA);
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/golden.json")).unwrap()).unwrap();
    let of = |group: &str, start: &str| {
        let found = verdicts.iter().find(|v| v["group"] == group && v["window"]["start"] == start);
        found.unwrap_or_else(|| panic!("no window of {group} starts {start}"))
    };
    let trained = &golden["snapshot"];
    for (start, known) in golden["weeks"].as_object().unwrap() {
        let verdict = of("quality", start);
        let accuracy = result(verdict, "quality/accuracy");
        assert_eq!((&accuracy["n"], &accuracy["confusion"]), (&known["n"], &known["confusion"]), "{start}");
        assert_eq!((&accuracy["subject"], &accuracy["classes"]), (&json!("prediction"), &json!(CLASSES)));
        assert!(
            close(&accuracy["value"], &known["accuracy"]) && close(&accuracy["reference_value"], &trained["accuracy"])
        );
        for (end, at) in [("lower", 0), ("upper", 1)] {
            assert!(close(&accuracy[end], &known["wilson"][at]), "{start}: {accuracy}");
        }
        let balanced = result(verdict, "quality/balanced_accuracy");
        assert!(close(&balanced["now"], &known["balanced_accuracy"]), "{start}: {balanced}");
        for metric in ["precision", "recall", "f1"] {
            for average in ["macro", "micro", "weighted"] {
                let found = result(verdict, &format!("quality/{metric}-{average}"));
                assert!(close(&found["value"], &known[average][metric]), "{start}: {found}");
                assert!(close(&found["reference_value"], &trained[average][metric]), "{start}: {found}");
            }
            for class in CLASSES {
                let found = result(verdict, &format!("quality/{metric}-{class}"));
                assert!(close(&found["value"], &known["class"][class][metric]), "{start}: {found}");
                assert!(
                    found["lower"].as_f64() <= found["value"].as_f64()
                        && found["value"].as_f64() <= found["upper"].as_f64()
                );
            }
        }
    }
    for (start, known) in golden["predictions"].as_object().unwrap() {
        let found = result(of("drift", start), "drift/predictions");
        assert!(close(&found["value"], &known["js"]) && found["n"] == known["n"], "{start}: {found}");
        assert_eq!((&found["subject"], &found["method"]), (&json!("prediction"), &json!("categories")));
    }
    let before = result(of("quality", "2013-03-14T00:00:00Z"), "quality/accuracy_before");
    assert!(close(&before["reference_value"], &golden["weeks"]["2013-03-07T00:00:00Z"]["accuracy"]), "{before}");
}

#[test]
fn classes_that_are_left_out_are_those_of_the_snapshot() {
    let replayed = |classes: &str| {
        let folder = Folder::new();
        let text = POLICY.replace("train_v{version}", &format!("{DATA}/train_v{{version}}"));
        let line = text.lines().find(|line| line.starts_with("classes:")).unwrap().to_owned();
        folder.write("policy.yaml", text.replace(&format!("{line}\n"), classes));
        folder
            .driftgate(&format!(
                "replay --policy policy.yaml --predictions {DATA}/predictions.parquet --labels {DATA}/labels.parquet --verdicts v.jsonl"
            ))
            .exits(0);
        folder.json_lines("v.jsonl").into_iter().map(|mut verdict| verdict["results"].take()).collect::<Vec<_>>()
    };
    let left_out = replayed("");
    assert_eq!(left_out, replayed("classes: [late, on_time, very_late]\n"));
    assert!(left_out.len() > 20);
}

#[test]
fn carriers_differ_by_what_fairlearn_says() {
    let folder = Folder::new();
    let mut rules = String::new();
    for (kind, limit) in [("gap", "lte: 1"), ("ratio", "gte: 0.0001")] {
        let mut rule = |id: &str, of: &str, class: &str| {
            rules += &format!(
                "    - {kind}: {{id: {kind}-{id}, of: {of}, by: carrier, {class}min_positives: 5, {limit}}}\n"
            );
        };
        rule("accuracy", "accuracy", "");
        rule("balanced_accuracy", "balanced_accuracy", "");
        for metric in ["recall", "precision", "f1"] {
            CLASSES.iter().for_each(|class| rule(&format!("{metric}-{class}"), metric, &format!("class: {class}, ")));
            rule(&format!("{metric}-worst"), metric, "");
        }
    }
    for (id, class) in [("late", "class: late, "), ("worst", "")] {
        rules +=
            &format!("    - gap_lcb: {{id: bound-{id}, of: recall, by: carrier, {class}min_positives: 5, lte: 0.5}}\n");
    }
    let text = POLICY.replace("train_v{version}", &format!("{DATA}/train_v{{version}}"));
    let (before, after) = text.split_once("    - accuracy: {id: accuracy_before").unwrap();
    let before = before.replacen("checks:", "segments: [carrier]\nchecks:", 1);
    folder.write("policy.yaml", format!("{before}{rules}    - accuracy: {{id: accuracy_before{after}"));
    let verdicts = folder.replayed_alike(DATA);
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/golden.json")).unwrap()).unwrap();
    let (mut compared, mut bounds, mut classes) = (0, 0, BTreeSet::new());
    for (start, known) in golden["carriers"].as_object().unwrap() {
        let verdict = verdicts.iter().find(|v| v["group"] == "quality" && v["window"]["start"] == *start).unwrap();
        for kind in ["gap", "ratio"] {
            let of = |id: &str| result(verdict, &format!("quality/{kind}-{id}"));
            let mut check = |found: &Value, known: &Value| {
                let eligible = found["segments"].as_array().unwrap().iter().filter(|s| s["eligible"] == true).count();
                assert_eq!(Some(eligible as u64), known["segments"].as_u64(), "{start}: {found}");
                // A ratio to 0 is 0 here, and not defined there.
                match known[kind].as_f64() {
                    Some(value) => {
                        assert!((found["value"].as_f64().unwrap() - value).abs() < 1e-10, "{start}: {found} {known}");
                    }
                    None => assert!(found["value"].is_null() || eligible >= 2, "{start}: {found}"),
                }
                compared += 1;
            };
            check(of("accuracy"), &known["accuracy"]);
            check(of("balanced_accuracy"), &known["balanced_accuracy"]);
            for metric in ["recall", "precision", "f1"] {
                let each: Vec<&Value> = CLASSES.iter().map(|class| of(&format!("{metric}-{class}"))).collect();
                for (found, class) in each.iter().zip(CLASSES) {
                    assert_eq!(found["class"], class);
                    check(found, &known[class][metric]);
                }
                let worst = of(&format!("{metric}-worst"));
                let values = || each.iter().filter_map(|found| found["value"].as_f64());
                let most = if kind == "gap" { values().reduce(f64::max) } else { values().reduce(f64::min) };
                if each.iter().all(|found| found["status"] == "pass") {
                    assert_eq!(worst["value"].as_f64(), most, "{start}: {worst}");
                }
                classes.insert(worst["class"].as_str().unwrap().to_owned());
            }
        }
    }
    // Against training: each carrier's in the snapshot.
    let trained = &golden["snapshot_carriers"];
    for verdict in verdicts.iter().filter(|v| v["group"] == "quality") {
        let of = |id: &str| result(verdict, &format!("quality/{id}"))["reference_value"].as_f64().unwrap();
        for (id, known) in [
            ("gap-accuracy", &trained["accuracy"]),
            ("gap-recall-late", &trained["late"]["recall"]),
            ("gap-balanced_accuracy", &trained["balanced_accuracy"]),
        ] {
            assert!((of(id) - known["gap"].as_f64().unwrap()).abs() < 1e-10, "{id}: {} {known}", of(id));
        }
        let bound = |id: &str| result(verdict, &format!("quality/{id}"));
        let (one, worst, gap) = (bound("bound-late"), bound("bound-worst"), bound("gap-recall-late"));
        if let (Some(lower), Some(gap)) = (one["value"].as_f64(), gap["value"].as_f64()) {
            let alpha = |of: &Value| of["alpha"].as_f64().unwrap();
            assert!(lower <= gap, "{one} {gap}");
            assert!(worst["class"] != "late" || (alpha(worst) - alpha(one) / 3.0).abs() < 1e-15, "{one} {worst}");
            bounds += 1;
        }
    }
    assert!(bounds > 5, "{bounds}");
    assert!(compared >= 14 * 2 * 10 && classes.len() > 1, "{compared} {classes:?}");
}

const RULES: &str = "    - accuracy: {gte: 0.5}\n    - recall: {class: b, gte: 0.5}\n    - js: {of: prediction, lt: 1}\n    - psi: {id: y, of: label, lt: 9}\n    \
                     - label_coverage: {id: cov, gte: 0.1}\n    - invalid_rate: {of: prediction, lte: 0.5}\n";

/// Forty predictions and labels of `a`, `b` and `c` in turn, all of them right, but for what `change` makes of them.
fn folder(rules: &str, change: impl Fn(i64, &mut Value, &mut Value)) -> Folder {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\ntask: multiclass\nclasses: [a, b, c]\nbaseline: {{snapshot: train.csv, columns: {{prediction: p, label: y}}}}\n\
             labels: {{horizon: 1d}}\nlateness: 2h\nmin_samples: 5\nmin_reference: 5\nchecks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
        ),
    );
    let class = |i: i64| ["a", "b", "c"][usize::try_from(i % 3).unwrap()];
    let rows: String = (1..=40).map(|i| format!("{},{}\n", class(i), class(i))).collect();
    folder.write("train.csv", format!("p,y\n{rows}"));
    small_pairs::write(&folder, |i, ts| {
        let mut prediction =
            json!({"prediction_id": format!("p{i}"), "version": "1", "ts": ts, "prediction": class(i)});
        let mut label = json!({"prediction_id": format!("p{i}"), "ts": ts + 30_000, "label": class(i)});
        change(i, &mut prediction, &mut label);
        (prediction, label)
    });
    folder
}

#[test]
fn scores_name_the_class_of_the_largest_and_of_equal_ones_the_first() {
    let of_scores = |i: i64, prediction: &mut Value, _: &mut Value| {
        let class = usize::try_from(i % 3).unwrap();
        let scores =
            [json!({"c": 0.1, "b": 0.5, "a": 0.5}), json!({"b": 2, "a": -1}), json!({"c": 1e-9, "b": null, "a": 0})];
        prediction.as_object_mut().unwrap().remove("prediction");
        prediction["scores"] = scores[class].clone();
    };
    let (plain, scored) = (folder(RULES, |_, _, _| {}), folder(RULES, of_scores));
    let verdict = judged(&plain, "l.jsonl");
    assert_eq!(judged(&scored, "l.jsonl")["results"], verdict["results"]);
    assert_eq!(judged(&plain, "back-l.jsonl")["results"], verdict["results"]);
    let accuracy = result(&verdict, "g/accuracy");
    assert_eq!(
        (&accuracy["value"], &accuracy["confusion"]),
        (&json!(1.0), &json!([[13, 0, 0], [0, 14, 0], [0, 0, 13]]))
    );
}

#[test]
fn what_names_no_class_counts_in_no_metric_and_is_told() {
    let folder = folder(RULES, |i, prediction, label| match i {
        1 => label["label"] = json!("A"),
        2 => label["label"] = Value::Null,
        3 => label["label"] = json!(["a"]),
        4 => prediction["prediction"] = json!("other"),
        5 => prediction["prediction"] = json!(""),
        // The largest score is of no class; then one is no number; then the prediction says which.
        6 => {
            *prediction = json!({"prediction_id": "p6", "version": "1", "ts": prediction["ts"], "scores": {"a": 0.2, "d": 0.8, "e": null}});
        }
        7 => {
            *prediction =
                json!({"prediction_id": "p7", "version": "1", "ts": prediction["ts"], "scores": {"a": "x", "b": 0.8}});
        }
        8 => prediction["scores"] = json!({"a": 0.9, "d": 0.1}),
        _ => {}
    });
    let out = folder
        .driftgate("replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl --verdicts v.jsonl")
        .exits(0);
    out.prints("3 predictions of no class, such as \"other\": send one of the policy's `classes`");
    let verdict = folder.json_lines("v.jsonl").remove(0);
    let (accuracy, drift, labels) = (result(&verdict, "g/accuracy"), result(&verdict, "g/js"), result(&verdict, "g/y"));
    assert_eq!((&accuracy["n"], &accuracy["value"]), (&json!(33), &json!(1.0)), "{verdict}");
    assert_eq!(
        (&drift["n"], &drift["invalid"], &drift["missing"], &labels["n"]),
        (&json!(36), &json!(3), &json!(1), &json!(37))
    );
}

/// The predictions of `p.jsonl` as a CSV file with a column for each class that any of them scores.
fn as_columns(folder: &Folder) -> String {
    let events = folder.json_lines("p.jsonl");
    let classes_of =
        |event: &Value| event["scores"].as_object().into_iter().flatten().map(|(class, _)| class.clone()).collect();
    let classes: BTreeSet<String> = events.iter().flat_map(|event| -> Vec<String> { classes_of(event) }).collect();
    let heads: String = classes.iter().map(|class| format!(",scores.{class}")).collect();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).replace("null", "");
    let row = |event: &Value| {
        let scores: String = classes.iter().map(|class| format!(",{}", text(&event["scores"][class]))).collect();
        let of = |key: &str| text(&event[key]);
        format!("{},{},{},{}{scores}\n", of("prediction_id"), of("version"), of("ts"), of("prediction"))
    };
    format!("prediction_id,version,ts,prediction{heads}\n{}", events.iter().map(row).collect::<String>())
}

#[test]
fn scores_in_columns_say_what_scores_in_an_object_say() {
    let of_scores = |i: i64, prediction: &mut Value, _: &mut Value| {
        let scores = match i {
            1 => json!({"a": 0.2, "d": 0.8}),
            2 => json!({"a": "x", "b": 0.8}),
            // The prediction is named as well, and counts.
            3 => {
                prediction["scores"] = json!({"a": 0.9, "b": 0.1});
                return;
            }
            4 => json!({"c": null}),
            i => {
                let first = [0.1, 0.5, 0.5][usize::try_from(i % 3).unwrap()];
                json!({"a": first, "b": 0.5, "c": -1, "e": 0.3})
            }
        };
        prediction.as_object_mut().unwrap().remove("prediction");
        prediction["scores"] = scores;
    };
    let folder = folder(RULES, of_scores);
    let expected = judged(&folder, "l.jsonl");
    assert_eq!(result(&expected, "g/js")["invalid"], 2, "{expected}");
    folder.write("p.csv", as_columns(&folder));
    let replay = "replay --policy policy.yaml --predictions p.csv --labels l.jsonl --verdicts columns.jsonl";
    folder
        .driftgate(replay)
        .exits(0)
        .prints("2 predictions of no class, such as \"scores, the largest of another class\"");
    assert_eq!(folder.json_lines("columns.jsonl").remove(0)["results"], expected["results"]);
    // Without any of them the file says what is not there.
    let without: String = as_columns(&folder).replace("scores.", "other.").replace("prediction,other", "guess,other");
    folder.write("p.csv", without);
    folder.driftgate(replay).exits(0).prints("no event of 40 has `prediction`");
}

/// A rule between segments, and the policy's segmentation.
const GAP: &str = "    - gap: {of: recall, by: k, lt: 0.1}\nsegments: [k]\n";

#[test]
fn what_has_no_meaning_for_several_classes_is_refused() {
    for (rules, old, new, message) in [
        ("    - auc: {gte: 0.7}\n", "", "", "auc is a metric of two classes"),
        ("    - fpr: {lte: 0.7}\n", "", "", "fpr is a metric of two classes"),
        ("    - mae: {lte: 1}\n", "", "", "mae is a metric of predicted numbers"),
        ("    - psi: {of: score, lt: 1}\n", "", "", "unknown feature \"score\""),
        (
            "    - psi: {of: prediction, by: k, lt: 1}\n",
            "lateness: 2h\n",
            "lateness: 2h\nsegments: [k]\n",
            "predicted classes are not counted by segment",
        ),
        ("    - recall: {gte: 0.7}\n", "", "", "write `class: a` or `average: macro`"),
        (GAP, "of: recall", "of: selection_rate", "selection_rate is of two classes"),
        (GAP, "of: recall", "of: average_odds", "average_odds is of two classes"),
        (GAP, "of: recall", "of: balanced_accuracy, class: a", "balanced_accuracy are of all classes"),
        (GAP, "of: recall", "of: mae", "mae is a metric of predicted numbers"),
        (GAP, "of: recall", "of: recall, class: d", "unknown class \"d\""),
        (GAP, "of: recall", "of: accuracy, class: a", "are of all classes: leave `class` out"),
        (GAP, "gap: {of: recall, by: k, lt", "gap_lcb: {of: recall, by: k, class: d, lte", "unknown class \"d\""),
        (GAP, "gap: {of: recall, by: k, lt", "tpr_gap: {by: k, lt", "tpr_gap is a metric of two classes"),
        ("    - recall: {gte: 0.7, class: d}\n", "", "", "unknown class \"d\""),
        ("    - recall: {gte: 0.7, class: a, average: macro}\n", "", "", "both `average` and `class`"),
        (
            RULES,
            "classes: [a, b, c]\nbaseline: {snapshot: train.csv",
            "baseline: {snapshot: nothing.csv",
            "needs the model's classes",
        ),
        (RULES, "[a, b, c]", "[a]", "expected 2 to 100 classes, read 1"),
        (RULES, "[a, b, c]", "[a, b, a]", "the class \"a\" stands twice"),
        (RULES, "{prediction: p", "{score: p", "write `prediction` in place of `score`"),
        (RULES, "lateness: 2h\n", "lateness: 2h\nscore: {threshold: 0.5}\n", "leave `score` out"),
        ("    - accuracy: {gte: 0.7}\n", "task: multiclass\n", "", "classes are of `task: multiclass`"),
    ] {
        let folder = folder(rules, |_, _, _| {});
        folder.write("policy.yaml", folder.read("policy.yaml").replacen(old, new, 1));
        folder.driftgate("check --policy policy.yaml").exits(2).says(message);
    }
    let folder = folder(RULES, |_, _, _| {});
    folder.write("train.csv", "p,y\na,a\nb,d\n");
    folder
        .driftgate("replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl --verdicts v.jsonl")
        .says("\"d\" is none of the policy's `classes`");
}
