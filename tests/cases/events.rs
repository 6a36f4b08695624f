//! How the values of an event may be written: numbers that are none, times, labels and decisions, alike in every format.

use polars::prelude::{Column, DataFrame, IntoColumn as _, NamedFrom as _, ParquetWriter, Series};
use serde_json::{Value, json};

use crate::support::Folder;

const POLICY: &str = r#"apiVersion: driftgate/v1
model: m
baseline: {snapshot: train.csv}
features: {numeric: [x, y]}
min_samples: 100
lateness: 1h
checks:
  drift:
    window: {size: 1d, slide: 1d}
    rules:
    - psi: {of: features, lt: 0.2, warn: 0.05}
    - ks_p: {of: features, gte: 0.001}
    - missing_rate: {of: features, max_increase: 0.05}
    - invalid_rate: {of: features, lte: 0.01}
"#;
/// Noon of 2023-11-15, UTC.
const NOON: i64 = 1_700_049_600_000;

/// A folder with the policy and its snapshot: `x` and `y` from 0 to 9, and some of `x` beyond every number.
fn folder() -> Folder {
    let folder = Folder::new();
    let x = |i: i32| match i % 50 {
        7 => "inf".to_owned(),
        17 => "-Infinity".to_owned(),
        27 => "NaN".to_owned(),
        _ => (i % 10).to_string(),
    };
    let rows: String = (0..1000).map(|i| format!("{},{}\n", x(i), i % 10)).collect();
    folder.write("train.csv", format!("x,y\n{rows}"));
    folder.write("policy.yaml", POLICY);
    folder
}

fn write_parquet(folder: &Folder, name: &str, columns: Vec<Series>) {
    let columns: Vec<Column> = columns.into_iter().map(|s| s.into_column()).collect();
    let mut frame = DataFrame::new_infer_height(columns).unwrap();
    ParquetWriter::new(std::fs::File::create(folder.path(name)).unwrap()).finish(&mut frame).unwrap();
}

/// Replays a file; its verdicts and the summary.
fn replay(folder: &Folder, predictions: &str, options: &str) -> (Vec<Value>, Value) {
    let command =
        format!("replay --policy policy.yaml --predictions {predictions} --verdicts v.jsonl --json {options}");
    let summary = folder.driftgate(&command).exits(0).json();
    (folder.json_lines("v.jsonl"), summary)
}

fn result<'v>(verdict: &'v Value, rule: &str, subject: &str) -> &'v Value {
    let mut results = verdict["results"].as_array().unwrap().iter();
    results.find(|r| r["rule"] == rule && r["subject"] == subject).unwrap_or_else(|| panic!("no {rule} of {subject}"))
}

#[test]
fn nan_is_missing_and_infinity_extreme_in_every_format() {
    let folder = folder();
    // What Python's json.dumps writes, beside the same value as CSV and as a float.
    let x = |i: i64| match i % 10 {
        7 | 8 => ("NaN", "nan", f64::NAN),
        9 if i % 4 == 1 => ("-Infinity", "-inf", f64::NEG_INFINITY),
        9 => ("Infinity", "Infinity", f64::INFINITY),
        n => (["0", "1", "2", "3", "4", "5", "6"][n as usize], "", n as f64),
    };
    let (mut lines, mut rows, mut floats) = (String::new(), "version,ts,x,y\n".to_owned(), Vec::new());
    for i in 0..400 {
        let ((json, csv, float), ts) = (x(i), NOON + i);
        lines += &format!(
            r#"{{"model": "m", "version": "1", "ts": {ts}, "features": {{"x": {json}, "unread": [{json}], "y": {}}}}}"#,
            i % 10
        );
        lines += "\n";
        rows += &format!("1,{ts},{},{}\n", if csv.is_empty() { json } else { csv }, i % 10);
        floats.push(float);
    }
    folder.write("p.jsonl", lines);
    folder.write("p.csv", rows);
    let columns = vec![
        Series::new("version".into(), vec!["1"; 400]),
        Series::new("ts".into(), (0..400).map(|i| NOON + i).collect::<Vec<_>>()),
        Series::new("x".into(), floats),
        Series::new("y".into(), (0..400).map(|i| i % 10).collect::<Vec<i64>>()),
    ];
    write_parquet(&folder, "p.parquet", columns);
    let (verdicts, summary) = replay(&folder, "p.jsonl", "");
    assert_eq!((&summary["rejected"], &summary["counters"]["predictions"]), (&json!({}), &json!(400)));
    let missing = result(&verdicts[0], "drift/missing_rate", "x");
    assert_eq!((&missing["n"], &missing["missing"]), (&json!(320), &json!(80)), "{missing}");
    assert_eq!(missing["status"], "block");
    assert_eq!(result(&verdicts[0], "drift/psi", "y")["value"], 0.0, "what is left is not biased");
    let extreme = result(&verdicts[0], "drift/psi", "x");
    assert_eq!((&extreme["n"], &extreme["invalid"]), (&json!(320), &json!(0)), "infinities are numbers");
    for file in ["p.csv", "p.parquet"] {
        assert_eq!(replay(&folder, file, "").0, verdicts, "{file}");
    }
}
