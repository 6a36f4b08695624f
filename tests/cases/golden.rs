//! A year of flights against golden results: each was computed from the raw rows by numpy and scipy, in a program that
//! shares nothing with this one (see `tests/golden/README.md`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::support::{Folder, json_lines};

/// Below it the tail of chi-square has no digits left.
const TINY: f64 = 1e-300;

/// What a replay of the flights wrote, and what it should have.
struct Flights {
    verdicts: Vec<Value>,
    signals: Vec<Value>,
    golden: Vec<Value>,
}

static POLICY: LazyLock<Flights> = LazyLock::new(|| Flights::judged_by("policy"));
static CORE: LazyLock<Flights> = LazyLock::new(|| Flights::judged_by("policy-core"));

impl Flights {
    fn judged_by(policy: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let data = root.join("data/flights");
        let at = |name: &str| data.join(name).display().to_string();
        let folder = Folder::new();
        let (predictions, labels) = (at("predictions.parquet"), at("labels.parquet"));
        let policy_file = at(&format!("{policy}.yaml"));
        let files = format!("--policy {policy_file} --predictions {predictions} --labels {labels}");
        folder.driftgate(&format!("replay {files} --verdicts v.jsonl --signals s.jsonl")).exits(0);
        Self {
            verdicts: folder.json_lines("v.jsonl"),
            signals: folder.json_lines("s.jsonl"),
            golden: json_lines(&root.join(format!("golden/flights-{policy}.jsonl"))),
        }
    }

    /// The results of one rule on one subject by the end of their window.
    fn series(&self, version: &str, rule: &str, subject: &str) -> Vec<(&str, &Value)> {
        let of_version = self.verdicts.iter().filter(|v| v["version"] == version);
        let results = of_version.flat_map(|v| {
            let end = v["window"]["end"].as_str().unwrap();
            v["results"].as_array().unwrap().iter().map(move |r| (end, r))
        });
        results.filter(|(_, r)| r["rule"] == rule && r["subject"] == subject).collect()
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn near(a: &Value, b: &Value, tolerance: f64) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= (tolerance * a.abs().max(b.abs())).max(TINY),
        (None, None) => a.is_null() && b.is_null(),
        _ => false,
    }
}

/// What is wrong with a result; nothing if it is as expected.
fn differs(result: &Value, golden: &Value) -> Option<&'static str> {
    let same = ["n", "missing", "reference_n", "test", "pooled"];
    if same.iter().any(|key| golden.get(key).is_some_and(|expected| result[key] != *expected)) {
        return Some("counts");
    }
    if let Some(expected) = golden.get("segments") {
        let segments = result["segments"].as_array().unwrap();
        let found = segments.iter().map(|s| (text(s, "segment"), json!([s["tp"], s["fn"], s["fp"], s["tn"]])));
        let found: Vec<_> = found.collect();
        if !found.is_sorted_by_key(|(name, _)| *name) {
            return Some("segments are not in the order of their names");
        }
        if json!(found.into_iter().collect::<BTreeMap<_, _>>()) != *expected {
            return Some("segments");
        }
    }
    let rule = text(result, "rule");
    if golden.get("d").is_some() {
        return differs_in_ks(result, golden);
    }
    // The tail of chi-square loses digits where it is small.
    let tolerance = if rule == "drift/ks_p" || rule == "shape/ks_p" { 1e-7 } else { 1e-9 };
    if !near(&result["value"], &golden["value"], tolerance) {
        return Some("value");
    }
    (result["status"] != golden["status"]).then_some("status")
}

fn differs_in_ks(result: &Value, golden: &Value) -> Option<&'static str> {
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap();
    let (low, high, d) = (number(result, "d"), number(result, "d_hi"), number(golden, "d"));
    if d < low - 1e-12 || d > high + 1e-12 || high - low > number(golden, "spread") + 1e-12 {
        return Some("D is not within its bounds");
    }
    let (p, expected) = (number(result, "value"), number(golden, "value"));
    // A lower D gives a higher p; where D is exact, p is scipy's but for the approximation.
    let exact = (d - low).abs() < 1e-12;
    if expected > 1e-6 && (p < expected * 0.96 || (exact && p > expected * 1.04)) {
        return Some("p");
    }
    let far = exact && expected > 0.0 && (number(result, "ln_p") / expected.ln() - 1.0).abs() > 0.03;
    if expected <= 1e-6 && (p > 1e-4 || far) {
        return Some("a small p");
    }
    let few = number(result, "n") < 200.0;
    let status = if few {
        "insufficient"
    } else if p < 0.01 {
        "block"
    } else {
        "pass"
    };
    let agrees = golden["status"].is_null() || golden["status"] == status;
    (result["status"] != status || !agrees).then_some("status")
}

/// Compares everything; the golden lines are in the order of verdicts, their results in that of the policy.
fn compare(flights: &Flights, results: usize) {
    let identity = |end: &Value, v: &Value, complete: &Value| {
        (text(v, "version").to_owned(), text(v, "group").to_owned(), end.to_string(), complete.as_bool().unwrap())
    };
    let found = flights.verdicts.iter().map(|v| identity(&v["window"]["end"], v, &v["window"]["complete"]));
    let expected = flights.golden.iter().map(|g| identity(&g["end"], g, &g["complete"]));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let (mut compared, mut wrong) = (0, Vec::new());
    for (verdict, golden) in flights.verdicts.iter().zip(&flights.golden) {
        let (found, expected) = (verdict["results"].as_array().unwrap(), golden["results"].as_array().unwrap());
        let names = |results: &[Value]| -> Vec<String> {
            results.iter().map(|r| format!("{} {}", text(r, "rule"), text(r, "subject"))).collect()
        };
        assert_eq!(names(found), names(expected), "{}", verdict["window"]);
        for (result, golden) in found.iter().zip(expected) {
            compared += 1;
            if let Some(what) = differs(result, golden) {
                wrong.push(format!(
                    "{what} of {} until {}: {result}\nexpected {golden}",
                    verdict["version"], verdict["window"]["end"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}, the first: {}", wrong.len(), wrong[0]);
    assert_eq!(compared, results);
}

#[test]
fn every_result_of_the_first_policy_is_the_golden_one_and_there_is_none_beyond() {
    compare(&POLICY, 13_762);
}

#[test]
fn every_result_of_the_core_policy_is_the_golden_one_and_there_is_none_beyond() {
    compare(&CORE, 4_120);
}

#[test]
fn a_verdict_is_as_bad_as_its_worst_result_and_names_its_stage() {
    let order = ["pass", "warn", "insufficient", "block"];
    for verdict in POLICY.verdicts.iter().chain(&CORE.verdicts) {
        let rank = |v: &Value| order.iter().position(|s| v["status"] == *s).unwrap();
        let worst = verdict["results"].as_array().unwrap().iter().map(rank).max().unwrap();
        assert_eq!(rank(verdict), worst, "{verdict}");
        assert_eq!(verdict["stage"], if verdict["version"] == "1" { "prod" } else { "staging" });
    }
}

#[test]
fn the_year_in_numbers() {
    let value = |r: &Value| r["value"].as_f64().unwrap_or_default();
    let temp = POLICY.series("1", "drift/psi", "temp");
    assert_eq!(temp[0].0, "2013-03-02T00:00:00Z");
    assert!(value(temp[0].1) > 3.0, "spring is not winter: {}", temp[0].1);
    let (end, most) = temp.iter().max_by(|a, b| value(a.1).total_cmp(&value(b.1))).unwrap();
    assert_eq!(*end, "2013-08-17T00:00:00Z");
    assert!((value(most) - 9.02).abs() < 0.005, "{most}");

    let score = POLICY.series("1", "drift/psi_score", "score");
    let (end, first) = score.iter().find(|(_, r)| value(r) >= 0.2).unwrap();
    assert_eq!(*end, "2013-05-25T00:00:00Z");
    assert!((value(first) - 0.369).abs() < 0.0005, "{first}");

    let dest = POLICY.series("1", "drift/psi", "dest");
    let enough = dest.iter().filter(|(_, r)| r["n"].as_u64().unwrap() >= 200).map(|(_, r)| value(r));
    let most = enough.fold(0.0, f64::max);
    assert!((most - 0.165).abs() < 0.0005, "{most}");
    assert!(dest.iter().all(|(_, r)| r["status"] != "block"));

    let gap = POLICY.series("1", "fairness/tpr_gap", "origin");
    assert_eq!(gap[0].0, "2013-03-07T00:00:00Z");
    assert!((value(gap[0].1) - 0.211).abs() < 0.0005, "{}", gap[0].1);
}

/// The edges of complete verdicts of the groups that enforce: a block, then the first pass or warn clears it.
fn edges<'a>(verdicts: &'a [Value], enforced: &[&str]) -> Vec<(&'a str, &'a str, &'a str, &'static str, &'a str)> {
    let mut blocked: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    let mut out = Vec::new();
    for v in verdicts.iter().filter(|v| v["window"]["complete"] == true) {
        let (version, group, status) = (text(v, "version"), text(v, "group"), text(v, "status"));
        let blocked = blocked.entry((version, group)).or_default();
        let action = match (status, *blocked) {
            ("block", false) => "block",
            ("pass" | "warn", true) => "clear",
            _ => continue,
        };
        *blocked = !*blocked;
        if enforced.contains(&group) {
            out.push((text(&v["window"], "end"), version, group, action, text(v, "verdict_id")));
        }
    }
    out
}

#[test]
fn signals_are_the_edges_of_the_verdicts() {
    let signals = |flights: &'static Flights| -> Vec<(&str, &str, &str, &str, &str)> {
        let parts = |s| (text(s, "ts"), text(s, "version"), text(s, "group"), text(s, "action"), text(s, "verdict_id"));
        flights.signals.iter().map(parts).collect()
    };
    let both = ["drift", "fairness"];
    assert_eq!(signals(&POLICY), edges(&POLICY.verdicts, &both));
    assert_eq!(signals(&CORE), edges(&CORE.verdicts, &both));
    assert_eq!(POLICY.signals.len(), 4, "the weather never comes back to what it was in training");
    assert_eq!(CORE.signals.len(), 40);
    // The observed group blocks as well, and is silent.
    let with_shape = edges(&CORE.verdicts, &["drift", "fairness", "shape"]);
    assert!(with_shape.len() > CORE.signals.len());
}

#[test]
fn a_block_gives_its_reasons_and_ids_are_unique() {
    let mut ids = std::collections::BTreeSet::new();
    for signal in CORE.signals.iter().chain(&POLICY.signals) {
        assert!(ids.insert(text(signal, "signal_id")), "{signal}");
        let reasons = signal["reasons"].as_array().unwrap();
        assert_eq!(reasons.is_empty(), signal["action"] == "clear", "{signal}");
    }
    let verdicts = CORE.verdicts.iter().chain(&POLICY.verdicts);
    let all = verdicts.clone().count();
    assert_eq!(verdicts.map(|v| text(v, "verdict_id")).collect::<std::collections::BTreeSet<_>>().len(), all);
}
