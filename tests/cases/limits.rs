//! Values exactly at their limits: what is a ratio of integers is compared as one, and what was written is what is shown.

use serde_json::{Value, json};

use crate::support::{Folder, lines};

const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: \"train_v{version}.csv\"}
features: {numeric: [x, z]}
min_reference: 60
checks:
  g:
    window: {size: 1h, slide: 1h}
    rules:
    - missing_rate: {of: features, max_increase: 0.05, except: {z: {max_increase: 0.04999999}}}
    - error_rate: {lt: 1.1, unit: percent}
    - error_rate: {id: fraction, lt: 0.011}
    - error_rate: {id: above, lt: 1.1000001, unit: percent}
    - error_rate: {id: warns, lt: 2.2, warn: 1.1, unit: percent}
    - latency_p95_ms: {lt: 80}
";
const HOUR: i64 = 3_600_000;
const START: i64 = 472_224 * HOUR;

/// 3000 events of which 7 of 30 lack `x`, 1 of 10 lacks `z`, and 11 of 1000 are errors; 11 of 60 and 3 of 60 in training.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    let cell = |there: bool, i: u32| if there { i.to_string() } else { String::new() };
    let rows = (0..60).map(|i| format!("{},{}\n", cell(i >= 11, i), cell(i >= 3, i)));
    folder.write("train_v1.csv", format!("x,z\n{}", rows.collect::<String>()));
    let number = |there: bool, i: i64| if there { json!(i % 60) } else { Value::Null };
    let event = |i: i64| {
        json!({"version": "1", "ts": START + i * 1000, "error": i < 33, "latency_ms": 100,
            "features": {"x": number(i >= 700, i), "z": number(i % 10 > 0, i)}})
    };
    let later = json!({"version": "1", "ts": START + 2 * HOUR, "features": {}});
    folder.write("p.jsonl", lines((0..3000).map(event).chain([later])));
    folder
}

#[test]
fn a_value_at_its_limit_is_at_its_limit() {
    let folder = folder();
    folder.driftgate("replay --policy policy.yaml --predictions p.jsonl --verdicts v.jsonl --signals s.jsonl").exits(0);
    let verdict = folder.json_lines("v.jsonl").remove(0);
    let results = verdict["results"].as_array().unwrap();
    let judged = |rule: &str, subject: &str| {
        let found = results.iter().find(|r| r["rule"] == format!("g/{rule}") && r["subject"] == subject).unwrap();
        (found["status"].as_str().unwrap(), found["value"].clone(), found["limit"].to_string(), &found["reason"])
    };
    let limit = |name: &str, text: &str| format!("{{\"{name}\":{text}}}");
    // 7/30 - 11/60 is 0.05, and 1/10 - 3/60 is.
    assert_eq!(judged("missing_rate", "x"), ("pass", json!(0.05), limit("max_increase", "0.05"), &Value::Null));
    assert_eq!(judged("missing_rate", "z"), ("block", json!(0.05), limit("max_increase", "0.04999999"), &Value::Null));
    // 33 of 3000 are 1.1%.
    assert_eq!(judged("error_rate", "error"), ("block", json!(0.011), limit("lt", "0.011"), &Value::Null));
    assert_eq!(judged("fraction", "error"), ("block", json!(0.011), limit("lt", "0.011"), &Value::Null));
    assert_eq!(judged("above", "error"), ("pass", json!(0.011), limit("lt", "0.011000001"), &Value::Null));
    let warns = json!("at or above warn 0.011");
    assert_eq!(judged("warns", "error"), ("warn", json!(0.011), limit("lt", "0.022"), &warns));
    let reasons = &folder.json_lines("s.jsonl")[0]["reasons"];
    let latency = results.iter().find(|r| r["subject"] == "latency_ms").unwrap()["value"].as_f64().unwrap();
    assert!((latency - 100.0).abs() < 1.0, "{latency}");
    let sentences: Vec<&str> = reasons.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        sentences.get(..3).unwrap(),
        [
            "g/missing_rate z 0.05 breaks max_increase 0.04999999",
            "g/error_rate error 0.011 breaks lt 0.011",
            "g/fraction error 0.011 breaks lt 0.011",
        ]
    );
    assert!(sentences[3].ends_with("breaks lt 80"), "{sentences:?}");
}

#[test]
fn a_recorded_run_is_judged_by_the_same_limits() {
    let folder = folder();
    let decide = |error_rate: Value, unit: &str| {
        let run = json!({"model": "m", "version": "1", "missing_rate": {"x": 0.05, "z": 0.049_999_99}, "latency_p95_ms": 1,
            "error_rate": error_rate, "units": {"error_rate": unit}});
        folder.write("run.json", run.to_string());
        folder.driftgate("decide --policy policy.yaml --run run.json --json").json()["reasons"].clone()
    };
    for (rate, unit) in [(json!(1.1), "percent"), (json!(0.011), "fraction")] {
        let blocks = json!(["g/error_rate 1.1% >= 1.1%", "g/fraction 1.1% >= 1.1%"]);
        assert_eq!(decide(rate, unit).as_array().map(|all| json!(all[..2])), Some(blocks), "{unit}");
    }
    for (rate, unit) in [(json!(1.0999), "percent"), (json!(0.010_999), "fraction")] {
        let reasons = decide(rate, unit);
        assert!(!reasons.to_string().contains("g/error_rate"), "{unit}: {reasons}");
    }
}
