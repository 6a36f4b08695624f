//! What single rules say of small inputs, through `driftgate replay`: one day's window, values counted by hand or by scipy.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Folder, Random};

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

/// So many rows of numbers from 0 up.
fn numbers(rows: i64) -> impl Iterator<Item = String> {
    (0..rows).map(|i| i.to_string())
}

#[test]
fn a_small_training_sample_is_nothing_to_compare_with() {
    let rules = "    - psi: {of: [x, k], lt: 0.2}\n    - ks_p: {of: [x, k], gte: 0.01, correction: holm}\n    - ks_lcb: {of: x, lte: 0.05}\n    \
                 - missing_rate: {of: [x, k], max_increase: 0.05}\n    - invalid_rate: {of: [x, k], lte: 0.01}";
    let features = "features: {numeric: [x], categorical: [k]}";
    let folder = folder(rules, features);
    let pair = |i: i64, shift: i64| format!("{},k{}", i % 100 + shift, i % 3);
    folder.write("p.csv", csv("x,k", (0..1000).map(|i| pair(i, 500))));
    let all = [
        ("psi", "x"),
        ("psi", "k"),
        ("ks_p", "x"),
        ("ks_p", "k"),
        ("ks_lcb", "x"),
        ("missing_rate", "x"),
        ("missing_rate", "k"),
    ];
    let judge = |rows: i64| {
        folder.write("train.csv", column("x,k", (0..rows).map(|i| pair(i, 0))));
        results(&folder, "--predictions p.csv")
    };
    for result in &judge(30) {
        if result["metric"] == "invalid_rate" {
            // It is compared with nothing.
            assert_eq!(result["status"], "pass");
            continue;
        }
        assert_eq!(result["status"], "insufficient", "{result}");
        assert_eq!(result["reason"], "reference_n 30 is below min_reference 200", "{result}");
        assert!(!result["value"].is_null(), "{result}");
    }
    let enough = judge(200);
    for (rule, subject) in all {
        let result = of(&enough, &format!("g/{rule}"), subject);
        assert_ne!(result["status"], "insufficient", "{result}");
    }
    assert_eq!(of(&enough, "g/psi", "x")["status"], "block");
    // By default it is min_samples; the policy may say another number.
    folder.write("policy.yaml", policy(rules, &format!("min_samples: 20\n{features}")));
    assert_eq!(of(&judge(30), "g/psi", "x")["status"], "block");
    folder.write("policy.yaml", policy(rules, &format!("min_samples: 20\nmin_reference: 31\n{features}")));
    assert_eq!(of(&judge(30), "g/psi", "x")["reason"], "reference_n 30 is below min_reference 31");
    folder.write("policy.yaml", policy(rules, &format!("min_reference: 0\n{features}")));
    folder.driftgate("check --policy policy.yaml").exits(2).says("min_reference");
}

#[test]
fn a_limit_within_chance_says_so() {
    let folder = folder(
        "    - psi: {of: [ticket, x], lt: 0.2}\n    - psi: {id: wide, of: ticket, lt: 2.0, warn: 0.3}",
        "features: {numeric: [x], categorical: [ticket]}",
    );
    // 450 categories, and as many values of x: the 99.9% quantile of PSI without drift is 0.8226 and 0.0418 (scipy's chi2.isf).
    let row = |i: i64| format!("k{},{}", i * 7919 % 450, i * 7919 % 450);
    folder.write("train.csv", column("ticket,x", (0..2000).map(row)));
    folder.write("p.csv", csv("ticket,x", (0..1000).map(|i| row(i * i % 997))));
    let found = results(&folder, "--predictions p.csv");
    let within = "the limit is within chance at this n";
    let ticket = of(&found, "g/psi", "ticket");
    assert_eq!((&ticket["status"], &ticket["reason"]), (&json!("block"), &json!(within)));
    assert_eq!(ticket["expected_null"], (1.0 / 1000.0 + 1.0 / 2000.0) * 450.0);
    assert_eq!(of(&found, "g/psi", "x").get("reason"), None);
    let wide = of(&found, "g/wide", "ticket");
    assert_eq!(
        (&wide["status"], &wide["reason"]),
        (&json!("warn"), &json!("at or above warn 0.3, which is within chance at this n"))
    );
    // A passing result says it as well.
    folder.write("p.csv", csv("ticket,x", (0..900).map(row)));
    folder.write("policy.yaml", policy("    - psi: {of: ticket, lt: 0.8}", "features: {categorical: [ticket]}"));
    let found = results(&folder, "--predictions p.csv");
    let ticket = of(&found, "g/psi", "ticket");
    assert_eq!((&ticket["status"], &ticket["reason"]), (&json!("pass"), &json!(within)));
}

#[test]
fn rare_categories_are_pooled_and_counted() {
    let folder = folder("    - ks_p: {of: k, gte: 0.01}\n    - psi: {of: k, lt: 5}", "features: {categorical: [k]}");
    let rows = |counts: &[i64]| -> Vec<String> {
        let named = (0_i64..).zip(counts);
        named.flat_map(|(k, n)| (0..*n).map(move |_| format!("k{k}"))).collect()
    };
    // By scipy, chi2_contingency of the table with its last three columns added up.
    folder.write("train.csv", column("k", rows(&[500, 300, 150, 30, 12, 5, 3])));
    folder.write("p.csv", csv("k", rows(&[150, 90, 40, 12, 4, 2, 2])));
    let found = results(&folder, "--predictions p.csv");
    let ks = of(&found, "g/ks_p", "k");
    assert!((ks["value"].as_f64().unwrap() - 0.803_557_635_875_244_1).abs() < 1e-9, "{ks}");
    assert_eq!((&ks["pooled"], &ks["df"], &ks["test"]), (&json!(3), &json!(4), &json!("chi2")));
    assert_eq!(of(&found, "g/psi", "k")["sparse"], 3);
    // Where every category is rare, nothing can be told.
    folder.write("train.csv", column("k", rows(&[1; 900])));
    folder.write("p.csv", csv("k", rows(&[1; 300])));
    let found = results(&folder, "--predictions p.csv");
    let ks = of(&found, "g/ks_p", "k");
    assert_eq!(
        (&ks["status"], &ks["reason"]),
        (&json!("insufficient"), &json!("no category is expected 5 times at this n"))
    );
    // Among categories which are that rare values never seen in training are no wonder, among common ones they are.
    folder.write("p.csv", csv("k", (0..300).map(|i| format!("new{i}"))));
    assert_eq!(of(&results(&folder, "--predictions p.csv"), "g/ks_p", "k")["status"], "insufficient");
    folder.write("train.csv", column("k", rows(&[300; 3])));
    assert_eq!(of(&results(&folder, "--predictions p.csv"), "g/ks_p", "k")["status"], "block");
}

#[test]
fn many_rare_categories_of_one_distribution_do_not_block() {
    // 600 categories, the k-th drawn with a weight of k modulo 40: of 2,000 rows and of 1,000 more. Some come in the second sample
    // only, together often.
    let random = &mut Random(5);
    let weights: Vec<u64> = (0..600).map(|k| k % 40).collect();
    let all: u64 = weights.iter().sum();
    let mut draw = || {
        let mut at = random.below(all);
        let drawn = weights.iter().position(|w| {
            let here = at < *w;
            at = at.saturating_sub(*w);
            here
        });
        format!("k{}", drawn.unwrap())
    };
    let folder = folder("    - ks_p: {of: k, gte: 0.01}", "features: {categorical: [k]}");
    let mut blocked = 0;
    for _ in 0..20 {
        folder.write("train.csv", column("k", (0..2000).map(|_| draw())));
        folder.write("p.csv", csv("k", (0..1000).map(|_| draw())));
        let found = results(&folder, "--predictions p.csv");
        let result = of(&found, "g/ks_p", "k");
        assert!(result["pooled"].as_u64().unwrap() > 400 && result["df"].as_u64().unwrap() > 0, "{result}");
        blocked += i32::from(result["status"] == "block");
    }
    // Of 20 at 0.01, three or more come by chance once in a thousand times.
    assert!(blocked < 3, "{blocked} of 20");
}

#[test]
fn a_column_that_is_null_in_the_snapshot_leaves_the_others_judged() {
    let rules = "    - psi: {of: [features, score], lt: 0.2}\n    - ks_p: {of: [features, score], gte: 0.01}\n    - ks_lcb: {of: [x, y], lte: 0.05}\n    \
                 - missing_rate: {of: features, max_increase: 0.05}";
    let more = "features: {numeric: [x, y], categorical: [k, c]}";
    let text =
        policy(rules, more).replacen("{snapshot: train.csv}", "{snapshot: train.csv, columns: {score: score}}", 1);
    let folder = Folder::new();
    folder.write("policy.yaml", text);
    folder.write("train.csv", column("x,y,k,c,score", numbers(1000).map(|i| format!("{i},,k,,"))));
    folder.write("p.csv", csv("x,y,k,c,score", numbers(1000).map(|i| format!("{i},{i},k,c,0.5"))));
    let found = results(&folder, "--predictions p.csv");
    for rule in ["psi", "ks_p", "ks_lcb"] {
        for subject in ["y", "c", "score"] {
            let Some(result) = found.iter().find(|r| r["metric"] == rule && r["subject"] == subject) else { continue };
            assert_eq!(result["status"], "insufficient", "{result}");
            assert_eq!(result["reason"], "the snapshot has no value of it", "{result}");
        }
        assert_eq!(of(&found, &format!("g/{rule}"), "x")["status"], "pass");
    }
    assert_eq!(of(&found, "g/psi", "k")["status"], "pass");
    assert_eq!(of(&found, "g/missing_rate", "y")["value"], -1.0);
}

#[test]
fn selection_counts_every_decision_and_needs_no_label() {
    let rules = "    - disparate_impact: {by: g, gte: 0.8}\n    - selection_gap: {by: g, lt: 0.1}";
    let of_segments = "features: {categorical: [g]}\nscore: {threshold: 0.5}\nsegments: [g, g*h]";
    // Of a everybody is selected, of b a fifth; labels exist for the selected only. 10 have no segment, 5 no decision.
    let rows = |decided: &dyn Fn(bool) -> String| {
        let row = move |i: i64| {
            let a = i % 2 == 0;
            let (id, decision) = (format!("p{i}"), decided(a || i % 10 == 1));
            format!("{id},{decision},{},h", if a { "a" } else { "b" })
        };
        let without = (0..15).map(|i| if i < 10 { format!("n{i},{},,h", decided(true)) } else { format!("n{i},,a,h") });
        (0..1000).map(row).chain(without).collect::<Vec<_>>()
    };
    let decision = rows(&|yes| i64::from(yes).to_string());
    let scores = rows(&|yes| if yes { "0.9".to_owned() } else { "0.1".to_owned() });
    let selected = (0..1000).filter(|i| i % 2 == 0 || i % 10 == 1);
    let labels: String = selected.map(|i| format!("p{i},{},{}\n", DAY + i * 10_000, i / 2 % 2)).collect();
    for (column_name, rows, labelled) in [
        ("decision", &decision, false),
        ("decision", &decision, true),
        ("score", &scores, false),
        ("score", &scores, true),
    ] {
        let labels_too = if labelled { "\nlabels: {horizon: 1d, attribute: prediction_time}" } else { "" };
        let folder = folder(rules, &format!("{of_segments}{labels_too}"));
        folder.write("train.csv", column("g,h", ["a,h".to_owned(), "b,h".to_owned()]));
        folder.write("p.csv", csv(&format!("prediction_id,{column_name},g,h"), rows.clone()));
        folder.write("l.csv", format!("prediction_id,ts,label\n{labels}"));
        let files = if labelled { "--predictions p.csv --labels l.csv" } else { "--predictions p.csv" };
        if labelled {
            // Labels that no rule reads are joined all the same.
            folder.driftgate(&format!("replay --policy policy.yaml {files}")).exits(0).prints("600 labels, 600 joined");
        }
        for files in [files, "--predictions p.csv"] {
            let found = results(&folder, files);
            let impact = of(&found, "g/disparate_impact", "g");
            assert_eq!(
                (&impact["status"], &impact["value"], &impact["n"]),
                (&json!("block"), &json!(0.2), &json!(1000)),
                "{impact}"
            );
            assert_eq!(
                (&impact["highest"], &impact["lowest"], &impact["unsegmented"]),
                (&json!("a"), &json!("b"), &json!(10))
            );
            let gap = of(&found, "g/selection_gap", "g");
            assert_eq!((&gap["status"], &gap["value"], &gap["n"]), (&json!("block"), &json!(0.8), &json!(1000)));
            let b = &gap["segments"][1];
            assert_eq!(
                (&b["segment"], &b["selected"], &b["n"], &b["selection_rate"]),
                (&json!("b"), &json!(100), &json!(500), &json!(0.2))
            );
        }
    }
    // min_positives are predictions with a decision here.
    let few = "    - selection_gap: {by: g, lt: 0.1, min_positives: 501}";
    let folder = folder(few, of_segments);
    folder.write("train.csv", column("g,h", ["a,h".to_owned(), "b,h".to_owned()]));
    folder.write("p.csv", csv("prediction_id,decision,g,h", decision));
    let found = results(&folder, "--predictions p.csv");
    assert_eq!(
        of(&found, "g/selection_gap", "g")["reason"],
        "0 of 2 segments have 501 predictions with a decision, two are needed"
    );
}

#[test]
fn selection_beside_rules_on_labels_and_against_the_snapshot() {
    let rules = "    - selection_gap: {by: g, lt: 0.1}\n    - tpr_gap: {by: g, lt: 0.9}";
    let more = format!("{FAIR}\nmin_samples: 10");
    let text = policy(rules, &more).replacen(
        "{snapshot: train.csv}",
        "{snapshot: train.csv, columns: {score: score, label: label}}",
        1,
    );
    let folder = Folder::new();
    folder.write("policy.yaml", text);
    // Of each segment's rows a half has a label. Over all rows with a score a is selected in 60%, b in 20%; 40 have no score.
    let row = |i: i64| {
        let (a, at) = (i % 2 == 0, i / 2 % 10);
        let score = if at < if a { 6 } else { 2 } { "0.9" } else { "0.1" };
        let label = if at % 2 == 0 { (i / 20 % 2).to_string() } else { String::new() };
        format!("{},{score},{label}", if a { "a" } else { "b" })
    };
    folder.write("train.csv", column("g,score,label", (0..400).map(row).chain((0..40).map(|_| "a,,1".to_owned()))));
    // Of every four decisions of a segment one gets a label.
    let score = |i: i64| if i % 2 == 0 || i % 4 == 1 { 0.8 } else { 0.2 };
    folder.write(
        "p.csv",
        csv(
            "prediction_id,score,g",
            (0..1000).map(|i| format!("p{i},{},{}", score(i), if i % 2 == 0 { "a" } else { "b" })),
        ),
    );
    let labels: String =
        (0..1000).filter(|i| i / 2 % 4 == 0).map(|i| format!("p{i},{},1\n", DAY + i * 10_000)).collect();
    folder.write("l.csv", format!("prediction_id,ts,label\n{labels}"));
    let found = results(&folder, "--predictions p.csv --labels l.csv");
    let gap = of(&found, "g/selection_gap", "g");
    assert_eq!((&gap["value"], &gap["n"], &gap["reference_value"]), (&json!(0.5), &json!(1000), &json!(0.4)), "{gap}");
    let [a, b] = [&gap["segments"][0], &gap["segments"][1]];
    assert_eq!((&a["reference_selection_rate"], &b["reference_selection_rate"]), (&json!(0.6), &json!(0.2)));
    let tpr = of(&found, "g/tpr_gap", "g");
    assert_eq!(
        (&tpr["n"], &tpr["segments"][0]["tp"], &tpr["segments"][0]["fn"]),
        (&json!(250), &json!(125), &json!(0)),
        "{tpr}"
    );
}

#[test]
fn bounds_of_several_segments_and_of_dependent_rows_are_wider() {
    // TPR in training 180 of 200 in a and b, now 152 of 200 in a and 180 of 200 in b; every user has four rows.
    let rows = |a: i64, b: i64| {
        let of =
            |name: &'static str, found: i64| (0..200).map(move |i| (name, i, if i < found { "0.9" } else { "0.1" }));
        of("a", a).chain(of("b", b)).collect::<Vec<_>>()
    };
    let folder = Folder::new();
    let train = rows(180, 180).into_iter().map(|(g, i, score)| format!("{g},{score},1,{g}{}", i / 4));
    folder.write("train.csv", column("g,score,label,user", train));
    let now = rows(152, 180);
    folder.write("p.csv", csv("prediction_id,g,score", now.iter().map(|(g, i, score)| format!("{g}{i},{g},{score}"))));
    let label = |(at, (g, i, _)): (i64, &(&str, i64, &str))| format!("{g}{i},{},1\n", DAY + at * 10_000);
    folder.write("l.csv", format!("prediction_id,ts,label\n{}", (0_i64..).zip(&now).map(label).collect::<String>()));
    let judge = |effect: &str, unit: &str| {
        let rules = format!(
            "    - tpr_drop_lcb: {{by: g, max: 0.06{effect}}}\n    - tpr_gap_lcb: {{by: g, lte: 0.06{effect}}}\n    - ks_lcb: {{of: score, lte: 0.05{effect}}}"
        );
        let text = policy(&rules, &format!("{FAIR}{unit}"));
        folder.write(
            "policy.yaml",
            text.replacen("{snapshot: train.csv}", "{snapshot: train.csv, columns: {score: score, label: label}}", 1),
        );
        results(&folder, "--predictions p.csv --labels l.csv")
    };
    let near = |r: &Value, key: &str, expected: f64| {
        assert!((r[key].as_f64().unwrap() - expected).abs() < 1e-9, "{key} {expected}: {r}");
    };
    // Newcombe's interval of the fall, from scipy's Wilson intervals, at 0.05 for each of two segments. At 0.05 for one of them
    // its lower end is 0.0669, above the limit.
    let alone = judge("", "");
    let drop = of(&alone, "g/tpr_drop_lcb", "g");
    near(drop, "lower", 0.056_137_682_754_933);
    near(drop, "upper", 0.222_846_134_685_213_53);
    assert_eq!((&drop["status"], &drop["worst"], &drop["alpha"]), (&json!("pass"), &json!("a"), &json!(0.025)));
    // Four rows count as one: by what is written, and by how often users repeat in the snapshot.
    let (written, estimated) = (judge(", design_effect: 4", ""), judge("", "\nunit: /user"));
    assert_eq!(written, estimated);
    let drop = of(&written, "g/tpr_drop_lcb", "g");
    near(drop, "lower", -0.031_972_479_351_271_98);
    near(drop, "design_effect", 4.0);
    // The gap of the window is the same two samples: one pair, at 0.05.
    near(of(&alone, "g/tpr_gap_lcb", "g"), "value", 0.066_857_718_059_486_04);
    near(of(&written, "g/tpr_gap_lcb", "g"), "value", -0.009_397_279_766_490_796);
    assert_eq!(of(&alone, "g/tpr_gap_lcb", "g")["status"], "block");
    assert_eq!(of(&written, "g/tpr_gap_lcb", "g")["reason"], "underpowered");
    let band = |results: &[Value]| of(results, "g/ks_lcb", "score")["band_window"].as_f64().unwrap();
    assert!((band(&written) - 2.0 * band(&alone)).abs() < 1e-12);
    // What is written wins over the estimate. `check` asks for it, and refuses what is none.
    assert_eq!(judge(", design_effect: 1", "\nunit: /user"), alone);
    judge("", "\nunit: /user");
    folder
        .driftgate("check --policy policy.yaml")
        .exits(0)
        .prints("no `design_effect`: it is estimated from how often \"user\" repeats");
    folder.write("policy.yaml", folder.read("policy.yaml").replace("max: 0.06", "max: 0.06, design_effect: 0.5"));
    folder.driftgate("check --policy policy.yaml").exits(2).says("expected a design effect of 1 or more, read \"0.5\"");
    judge("", "\nunit: /user");
    folder.write("policy.yaml", folder.read("policy.yaml").replace("unit: /user", "unit: /device"));
    folder
        .driftgate("replay --policy policy.yaml --predictions p.csv --labels l.csv")
        .exits(2)
        .says("has no column \"device\", which the policy names under unit");
}
