//! `task: regression`: errors of predicted delays of flights beside scikit-learn's of the same raw rows (`tests/data/flight_delays`),
//! whatever the order of the rows and the number of threads, and what is no number.

use serde_json::{Value, json};

use crate::small_pairs::{self, judged, result};
use crate::support::Folder;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/flight_delays");
const POLICY: &str = include_str!("../../config/policies/flight-delays.yaml");
const METRICS: [&str; 5] = ["mae", "rmse", "mean_error", "mape", "r2"];

fn close(found: &Value, expected: &Value) -> bool {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    (found - expected).abs() <= 1e-8 * expected.abs().max(1.0)
}

#[test]
fn every_week_of_delays_has_the_errors_of_scikit_learn() {
    let folder = Folder::new();
    let text = POLICY.replace("train_v{version}", &format!("{DATA}/train_v{{version}}"));
    let of_labels = "    - ks: {id: label-ks, of: label, lt: 1}\n    - wasserstein: {id: label-wasserstein, of: label, lt: 9}\n    - ks_lcb: {id: label-lcb, of: label, lt: 1}\n";
    let text = text.replacen("  errors:\n", &format!("{of_labels}  errors:\n"), 1);
    folder.write("policy.yaml", text);
    let verdicts = folder.replayed_alike(DATA);
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/golden.json")).unwrap()).unwrap();
    let mut weeks = 0;
    for (start, known) in golden["weeks"].as_object().unwrap() {
        let of = |v: &&Value| v["group"] == "errors" && v["window"]["start"] == start.as_str();
        let verdict = verdicts.iter().find(of).unwrap_or_else(|| panic!("no window starts {start}"));
        for metric in METRICS {
            let found = result(verdict, &format!("errors/{metric}"));
            let (now, n) = (if metric == "rmse" { &found["now"] } else { &found["value"] }, &found["n"]);
            assert!(close(now, &known[metric]), "{start} {metric}: {now}, not {}", known[metric]);
            let zeros = if metric == "mape" { known["zeros"].as_u64().unwrap() } else { 0 };
            assert_eq!(n.as_u64().unwrap() + zeros, known["n"].as_u64().unwrap());
            assert!(close(&found["reference_value"], &golden["snapshot"][metric]), "{start} {metric}: {found}");
        }
        // Labels count, and are compared with the snapshot's, whatever was predicted.
        let drift = verdicts.iter().find(|v| v["group"] == "drift" && v["window"]["start"] == start.as_str()).unwrap();
        let delays = result(drift, "drift/delays");
        assert_eq!((&delays["n"], &delays["subject"]), (&known["n"], &json!("label")));
        assert_eq!(delays["reference_n"], golden["snapshot"]["n"]);
        assert!(delays["value"].as_f64().unwrap() > 0.0 && delays["method"] == "quantile-10", "{delays}");
        let of = |metric: &str| result(drift, &format!("drift/label-{metric}"));
        let (ks, wasserstein) = (of("ks"), of("wasserstein"));
        assert!(close(&ks["d"], &known["ks"]) && close(&ks["d_hi"], &known["ks"]), "{start}: {ks} {known}");
        let within = wasserstein["lower"].as_f64() <= known["wasserstein"].as_f64().map(|w| w + 1e-9)
            && known["wasserstein"].as_f64() <= wasserstein["upper"].as_f64().map(|w| w + 1e-9);
        assert!(within, "{start}: {wasserstein} {known}");
        assert!(of("lcb")["value"].as_f64() <= ks["value"].as_f64(), "{}", of("lcb"));
        weeks += 1;
    }
    assert_eq!(weeks, 14);
    // A change against the week before, which is the golden one.
    let of = |start: &str| verdicts.iter().find(|v| v["group"] == "errors" && v["window"]["start"] == start).unwrap();
    let found = result(of("2013-03-14T00:00:00Z"), "errors/mae_before");
    assert!(close(&found["reference_value"], &golden["weeks"]["2013-03-07T00:00:00Z"]["mae"]), "{found}");
}

#[test]
fn carriers_differ_in_their_errors_by_what_fairlearn_says() {
    let folder = Folder::new();
    let mut rules = String::new();
    for metric in METRICS {
        let mut rule = |kind: &str, limit: &str| {
            rules += &format!(
                "    - {kind}: {{id: {kind}-{metric}, of: {metric}, by: carrier, min_positives: 20, {limit}}}\n"
            );
        };
        rule("gap", "lt: 999");
        if !["mean_error", "r2"].contains(&metric) {
            rule("ratio", "gte: 0.0001");
        }
        rules += &format!(
            "    - gap: {{id: grown-{metric}, of: {metric}, by: carrier, min_positives: 20, max_increase: 99}}\n    \
             - gap: {{id: to-ua-{metric}, of: {metric}, by: carrier, reference: UA, min_positives: 20, lt: 999, versus: previous}}\n"
        );
    }
    let text = POLICY.replace("train_v{version}", &format!("{DATA}/train_v{{version}}"));
    let text = text.replacen("segments: [origin]", "segments: [carrier, origin]", 1);
    folder.write("policy.yaml", text.replacen("    - mae: {lte: 20", &format!("{rules}    - mae: {{lte: 20"), 1));
    let verdicts = folder.replayed_alike(DATA);
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(format!("{DATA}/golden.json")).unwrap()).unwrap();
    let trained = &golden["snapshot"]["carriers"];
    let mut compared = 0;
    for (start, known) in golden["weeks"].as_object().unwrap() {
        let verdict = verdicts.iter().find(|v| v["group"] == "errors" && v["window"]["start"] == *start).unwrap();
        for metric in METRICS {
            let known = &known["carriers"][metric];
            let of = |id: &str| result(verdict, &format!("errors/{id}-{metric}"));
            let gap = of("gap");
            let segments = gap["segments"].as_array().unwrap();
            let eligible: Vec<&Value> = segments.iter().filter(|s| s["eligible"] == true).collect();
            assert_eq!(Some(eligible.len() as u64), known["segments"].as_u64(), "{start} {metric}: {gap}");
            assert!(close(&gap["value"], &known["gap"]), "{start} {metric}: {gap} {known}");
            let [high, low] = match metric {
                "mean_error" => ["highest", "lowest"],
                "r2" => ["best", "worst"],
                _ => ["worst", "best"],
            };
            assert_eq!((&gap[high], &gap[low]), (&known["highest"], &known["lowest"]), "{start} {metric}: {gap}");
            let grown = of("grown");
            assert!(close(&grown["reference_value"], &trained[metric]["gap"]), "{start} {metric}: {grown}");
            assert!(close(&grown["now"], &known["gap"]), "{start} {metric}: {grown}");
            if !["mean_error", "r2"].contains(&metric) {
                assert!(close(&of("ratio")["value"], &known["ratio"]), "{start} {metric}: {}", of("ratio"));
            }
            let value = |name: &str| eligible.iter().find(|s| s["segment"] == name).and_then(|s| s[metric].as_f64());
            if let Some(base) = value("UA") {
                let widest = eligible.iter().map(|s| (s[metric].as_f64().unwrap() - base).abs()).fold(0.0, f64::max);
                let found = of("to-ua")["value"].as_f64().unwrap();
                assert!((found - widest).abs() <= 1e-9 * widest.max(1.0), "{start} {metric}: {found} {widest}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 14 * 5);
}

/// Predictions of 1 to 40 that are too high by one, but for the events that `change` makes of prediction and label.
fn folder(rules: &str, change: impl Fn(i64, &mut Value, &mut Value)) -> Folder {
    let folder = Folder::new();
    folder.write(
        "policy.yaml",
        format!(
            "apiVersion: driftgate/v1\nmodel: m\ntask: regression\nbaseline: {{snapshot: train.csv, columns: {{score: score, label: label}}}}\n\
             labels: {{horizon: 1d}}\nlateness: 2h\nmin_samples: 5\nmin_reference: 5\nchecks:\n  g:\n    window: {{size: 1d, slide: 1d}}\n    rules:\n{rules}"
        ),
    );
    let rows: String = (1..=40).map(|i| format!("{},{i}\n", i + 2)).collect();
    folder.write("train.csv", format!("score,label\n{rows}"));
    small_pairs::write(&folder, |i, ts| {
        let mut prediction = json!({"prediction_id": format!("p{i}"), "version": "1", "ts": ts, "score": i + 1});
        let mut label = json!({"prediction_id": format!("p{i}"), "ts": ts + 30_000, "label": i});
        change(i, &mut prediction, &mut label);
        (prediction, label)
    });
    folder
}

const RULES: &str = "    - mae: {lte: 1}\n    - rmse: {lt: 1}\n    - mean_error: {between: [-0.5, 0.5]}\n    - mape: {max_drop: {relative: 0.1}}\n    \
                     - r2: {gte: 0.9}\n    - label_coverage: {id: cov, gte: 0.1}\n    - wasserstein: {of: score, lt: 1}\n    - psi: {id: y, of: label, lt: 9}\n";

#[test]
fn a_value_at_its_limit_is_at_its_limit_and_order_changes_nothing() {
    let folder = folder(RULES, |_, _, _| {});
    let verdict = judged(&folder, "l.jsonl");
    let of = |rule: &str| {
        let found = result(&verdict, rule);
        (found["status"].as_str().unwrap().to_owned(), found["value"].as_f64())
    };
    assert_eq!(of("g/mae"), ("pass".into(), Some(1.0)));
    assert_eq!(of("g/rmse"), ("block".into(), Some(1.0)));
    assert_eq!(of("g/mean_error"), ("block".into(), Some(1.0)));
    // The snapshot's predictions are too high by two: the error has halved.
    let (status, drop) = of("g/mape");
    assert!(status == "block" && (drop.unwrap() - 0.5).abs() < 1e-6, "{drop:?}");
    assert!(result(&verdict, "g/y")["value"].as_f64().unwrap().abs() < 1e-9);
    let backwards = judged(&folder, "back-l.jsonl");
    assert_eq!(backwards["results"], verdict["results"]);
}

#[test]
fn what_is_no_number_counts_in_no_error() {
    let folder = folder(RULES, |i, prediction, label| match i {
        1 => label["label"] = json!("12"),
        2 => label["label"] = Value::Null,
        3 => label["label"] = json!(1e300),
        4 => prediction["score"] = Value::Null,
        5 => prediction["score"] = json!("x"),
        6 => label["label"] = json!(0),
        7 => label["label"] = json!([1]),
        _ => {}
    });
    let verdict = judged(&folder, "l.jsonl");
    let mae = result(&verdict, "g/mae");
    // Of 40, three labels and two scores are none; a number beyond 1e12 counts as that.
    assert_eq!((&mae["n"], &result(&verdict, "g/y")["n"]), (&json!(35), &json!(37)), "{verdict}");
    assert!(mae["value"].as_f64().unwrap() > 1e10, "{mae}");
    assert_eq!((&result(&verdict, "g/mape")["n"], &result(&verdict, "g/mape")["zeros"]), (&json!(34), &json!(1)));
    let same = self::folder(RULES, |_, _, label| label["label"] = json!(7.1));
    let verdict = judged(&same, "l.jsonl");
    assert_eq!(
        (&result(&verdict, "g/r2")["status"], &result(&verdict, "g/r2")["value"]),
        (&json!("insufficient"), &Value::Null)
    );
}

#[test]
fn a_metric_of_classes_is_refused() {
    for (rules, more, message) in [
        ("    - auc: {gte: 0.7}\n", "", "auc is a metric of classes"),
        ("    - recall: {gte: 0.7}\n", "", "recall is a metric of classes"),
        ("    - label_rate: {lte: 0.7}\n", "", "label_rate is a metric of classes"),
        ("    - mean: {of: label, lte: 0.7}\n", "", "\"label\" is no feature"),
        ("    - mae: {lte: 1}\n", "score: {threshold: 0.5}\n", "leave `score` out"),
        ("    - mae: {lte: 1}\n", "decision: {values: {a: 1}}\n", "leave `decision` out"),
        ("    - mae: {lte: -1}\n", "", "a number from 0 to 1e12"),
    ] {
        let folder = folder(rules, |_, _, _| {});
        let text = folder.read("policy.yaml").replacen("lateness: 2h\n", &format!("lateness: 2h\n{more}"), 1);
        folder.write("policy.yaml", text);
        folder.driftgate("check --policy policy.yaml").exits(2).says(message);
    }
    let folder = folder(RULES, |_, _, _| {});
    let text = folder.read("policy.yaml");
    folder.write("binary.yaml", text.replacen("task: regression\n", "", 1));
    folder.driftgate("check --policy binary.yaml").exits(2).says("write `task: regression` at the top");
}
