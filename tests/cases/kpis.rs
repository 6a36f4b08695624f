//! KPIs of the version in prod, and what `check` says of false alarms, limits within chance and the snapshot's columns.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::{Folder, lines};

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_006_400_000;

fn policy(window: &str, options: &str, trigger: &str) -> String {
    format!(
        "apiVersion: driftgate/v1
model: shop
baseline: {{snapshot: \"train.csv\"}}
features: {{numeric: [x]}}
labels: {{horizon: 1h, lateness: 0s}}
lateness: 0s
checks:
  kpi:
    window: {{{window}}}
    rules:
    - kpi_drop: {{of: ctr, max: {{relative: 0.01}}{options}}}
rollback: {{to: last_stable, triggers: [{{rule: kpi/kpi_drop{trigger}}}]}}
"
    )
}

/// Requests of a version over whole hours, 600 in each, of which every `each`th is clicked.
struct Served {
    version: &'static str,
    stage: &'static str,
    hours: std::ops::Range<i64>,
    each: i64,
}

fn served(version: &'static str, hours: std::ops::Range<i64>, each: i64) -> Served {
    Served { version, stage: "prod", hours, each }
}

/// Judges the requests; verdicts and signals.
fn judge(policy: &str, served: &[Served]) -> (Vec<Value>, Vec<Value>) {
    let folder = Folder::new();
    folder.write("policy.yaml", policy);
    folder.write("train.csv", (0..500).fold("x\n".to_owned(), |text, i| format!("{text}{}\n", i % 10)));
    let mut rows: Vec<(i64, String, &Served)> = Vec::new();
    for s in served {
        for i in s.hours.start * 600..s.hours.end * 600 {
            rows.push((START + i * HOUR / 600, format!("{}-{i}", s.version), s));
        }
    }
    rows.sort_by_key(|(ts, ..)| *ts);
    let prediction = |(ts, id, s): &(i64, String, &Served)| json!({"prediction_id": id, "version": s.version, "ts": ts, "stage": s.stage, "features": {"x": ts / 6000 % 10}});
    let label = |(ts, id, s): &(i64, String, &Served)| json!({"prediction_id": id, "ts": ts, "kpi": {"ctr": i64::from(ts / 6000 % s.each == 0)}});
    folder.write("p.jsonl", lines(rows.iter().map(prediction)));
    folder.write("l.jsonl", lines(rows.iter().map(label)));
    folder
        .driftgate(
            "replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl --verdicts v.jsonl --signals s.jsonl",
        )
        .exits(0);
    (folder.json_lines("v.jsonl"), folder.json_lines("s.jsonl"))
}

fn rollbacks(signals: &[Value]) -> Vec<&str> {
    signals.iter().filter(|s| s["action"] == "rollback").map(|s| s["version"].as_str().unwrap()).collect()
}

const WINDOWS: [&str; 2] = ["size: 1h, slide: 1h", "size: 30m, slide: 5m"];

#[test]
fn clicks_that_halve_after_the_promotion_roll_back() {
    for window in WINDOWS {
        let (verdicts, signals) = judge(&policy(window, "", ""), &[served("1", 0..6, 10), served("2", 6..12, 20)]);
        assert_eq!(rollbacks(&signals), ["2"], "{window}");
        let first = signals.iter().find(|s| s["action"] == "rollback").unwrap();
        // Within two hours of the promotion.
        let hour: i64 = first["ts"].as_str().unwrap()[11..13].parse().unwrap();
        assert!(hour <= 8, "{first}");
        let block = verdicts.iter().find(|v| v["version"] == "2" && v["status"] == "block").unwrap();
        let result = &block["results"][0];
        assert_eq!((&result["versus"], &result["champion"]), (&json!("predecessor"), &json!("1")));
        assert_eq!((&result["champion_rate"], &result["method"]), (&json!(0.1), &json!("always-valid")));
        assert!(result["upper"].as_f64().unwrap() < 0.0 || result["total_upper"].as_f64().unwrap() < 0.0);
        assert!(verdicts.iter().all(|v| v["version"] == "2" || v["status"] != "block"));
    }
    // With `for`, by the rule or the trigger.
    for (options, trigger) in [(", for: 2", ""), ("", ", for: 1h"), (", versus: predecessor", "")] {
        let (_, signals) =
            judge(&policy(WINDOWS[0], options, trigger), &[served("1", 0..6, 10), served("2", 6..12, 20)]);
        assert_eq!(rollbacks(&signals), ["2"], "{options}{trigger}");
    }
}

#[test]
fn clicks_that_stay_or_rise_do_not() {
    for window in WINDOWS {
        for each in [10, 5] {
            let (verdicts, signals) =
                judge(&policy(window, "", ""), &[served("1", 0..6, 10), served("2", 6..12, each)]);
            assert_eq!(signals, [] as [Value; 0]);
            // The first half hour of windows holds too little.
            let enough = |v: &&Value| v["version"] == "2" && v["results"][0]["n"].as_u64() >= Some(200);
            let prod = verdicts.iter().filter(enough);
            assert!(prod.clone().count() > 4 && prod.clone().all(|v| v["status"] == "pass"), "{window}");
        }
    }
}

#[test]
fn the_first_version_is_compared_with_its_own_past_and_a_candidate_with_the_champion() {
    let (verdicts, signals) = judge(&policy(WINDOWS[0], "", ""), &[served("1", 0..6, 10), served("1", 6..12, 20)]);
    assert_eq!(rollbacks(&signals), ["1"]);
    assert_eq!(verdicts[0]["status"], "insufficient");
    assert_eq!((&verdicts[1]["results"][0]["versus"], &verdicts[1]["status"]), (&json!("self"), &json!("pass")));
    // It stays blocked while the rate is low: what was bad is no past to get used to.
    assert!(verdicts[6..11].iter().all(|v| v["status"] == "block"), "{verdicts:?}");
    let candidate = Served { stage: "canary", ..served("2", 0..6, 20) };
    let (verdicts, signals) = judge(&policy(WINDOWS[0], "", ""), &[served("1", 0..6, 10), candidate]);
    let results: Vec<&Value> = verdicts.iter().filter(|v| v["version"] == "2").map(|v| &v["results"][0]).collect();
    assert!(results.iter().all(|r| r["versus"] == "champion" && r["status"] == "block"), "{results:?}");
    // It is not in prod.
    assert!(rollbacks(&signals).is_empty() && signals.iter().any(|s| s["action"] == "block"));
}

const NOISY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: \"train.csv\", columns: {score: score, label: label}}
features: {numeric: [amount], categorical: [ticket]}
score: {threshold: -1.5}
segments: [region]
labels: {horizon: 1d}
checks:
  drift:
    window: {size: 1h, slide: 5m}
    rules:
    - psi: {of: features, lt: 0.2}
    - ks_p: {of: amount, gte: 0.01}
  fairness:
    window: {size: 7d, slide: 7d}
    rules:
    - tpr_gap: {by: region, lt: 0.1}
";

fn warnings(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let warnings = report["policies"][0]["warnings"].as_array().unwrap();
    warnings.iter().map(|w| (text(&w["path"]), text(&w["message"]))).collect()
}

#[test]
fn check_says_how_often_rules_block_without_drift_and_which_limits_are_within_chance() {
    let folder = Folder::new();
    folder.write("policy.yaml", NOISY);
    let mut train = "amount,ticket,region,score,label\n".to_owned();
    for i in 0..4000_i64 {
        // Log-odds: four fifths of the positives lie above the threshold, in each of five regions.
        let (label, region) = (i % 2, i / 10 % 5);
        let score = if label == 1 && i / 2 % 5 != 0 { 2.5 } else { -4.0 };
        let _ = writeln!(train, "{},k{},r{region},{score},{label}", i * 7919 % 4001, i % 600);
    }
    folder.write("train.csv", &train);
    let report = folder.driftgate("check --policy policy.yaml --alarms --json").exits(0).json();
    let said = warnings(&report);
    let of = |path: &str| {
        let found: Vec<&String> = said.iter().filter(|(p, _)| p == path).map(|(_, m)| m).collect();
        assert_eq!(found.len(), 1, "one line a rule: {said:?}");
        found[0].clone()
    };
    // (1/200 + 1/4000)·χ²_isf(0.001, 600) = 3.742 by scipy.
    let psi = of("checks.drift.rules[0].psi");
    assert!(psi.contains("ticket (601 bins against 4,000 of training: 3.742 where the limit is 0.2)"), "{psi}");
    assert!(psi.contains("except: {ticket: {lt: 3.75}}"), "{psi}");
    let ks = of("checks.drift.rules[1].ks_p");
    assert!(ks.contains("days a month without any drift") && ks.contains("ks_lcb"), "{ks}");
    let gap = of("checks.fairness.rules[0].tpr_gap");
    assert!(gap.contains("5 segments of 30, rates as in training"), "{gap}");
    let alarms = report["policies"][0]["alarms"].as_array().unwrap();
    let gap = alarms.iter().find(|a| a["rule"] == "fairness/tpr_gap").unwrap();
    let windows = gap["windows_blocked"].as_f64().unwrap();
    assert!((windows - 0.924).abs() < 0.02, "an independent simulation has 92.4%: {gap}");
    // 18 days a month at least: 68% of days.
    assert!(
        alarms.iter().any(|a| a["rule"] == "drift/ks_p" && a["days_a_month"].as_f64().unwrap() > 16.0),
        "{alarms:?}"
    );
    let table = folder.driftgate("check --policy policy.yaml --alarms").exits(0);
    assert!(table.stdout.contains("blocks without drift") && table.stdout.contains("days a month"), "{}", table.stdout);
    let plain = folder.driftgate("check --policy policy.yaml").exits(0);
    assert!(
        !plain.stdout.contains("blocks without drift ") && plain.stdout.contains("it blocks on about"),
        "{}",
        plain.stdout
    );
    folder.driftgate("check --policy policy.yaml --strict").exits(1);
}

#[test]
fn check_compares_the_policy_with_the_snapshots_columns() {
    let folder = Folder::new();
    folder.write("policy.yaml", NOISY);
    folder.write("train.csv", "amonut,ticket,region,score,labels\n1,k1,r1,0.5,1\n");
    let said = warnings(&folder.driftgate("check --policy policy.yaml --json").exits(0).json());
    let expected = [
        ("features.numeric", "the snapshot train.csv has no column \"amount\"; did you mean \"amonut\"?"),
        ("baseline.columns.label", "the snapshot train.csv has no column \"label\"; did you mean \"labels\"?"),
    ];
    for (path, message) in expected {
        assert!(said.iter().any(|(p, m)| p == path && m == message), "{said:?}");
    }
    folder.write("train.csv", "amount,ticket,region,score,label\nmuch,k1,r1,0.5,1\n");
    let said = warnings(&folder.driftgate("check --policy policy.yaml --json").exits(0).json());
    let found = said.iter().find(|(path, _)| path == "features.numeric").unwrap();
    assert!(
        found.1.contains("column \"amount\" of the snapshot train.csv holds") && found.1.contains("write numbers"),
        "{found:?}"
    );
}
