//! Forty predictions with their labels, of which a test says what they are, and what the replay of one window over them says.

use serde_json::Value;

use crate::support::{Folder, lines};

/// When the first of them is made is a minute after this.
const START: i64 = 1_700_006_400_000;

/// Writes prediction and label of each number from 1 to 40 as `p.jsonl` and `l.jsonl`, and the labels backwards as `back-l.jsonl`; `of` is given the
/// number and the prediction's time in ms since 1970.
pub fn write(folder: &Folder, of: impl Fn(i64, i64) -> (Value, Value)) {
    let (predictions, labels): (Vec<Value>, Vec<Value>) = (1..=40).map(|i| of(i, START + i * 60_000)).unzip();
    folder.write("back-l.jsonl", lines(labels.iter().rev().cloned()));
    folder.write("p.jsonl", lines(predictions.into_iter()));
    folder.write("l.jsonl", lines(labels.into_iter()));
}

/// The first verdict of a replay of them under `policy.yaml`.
pub fn judged(folder: &Folder, labels: &str) -> Value {
    folder
        .driftgate(&format!("replay --policy policy.yaml --predictions p.jsonl --labels {labels} --verdicts v.jsonl"))
        .exits(0);
    folder.json_lines("v.jsonl").remove(0)
}

/// A rule's result in a verdict.
pub fn result<'v>(verdict: &'v Value, rule: &str) -> &'v Value {
    let results = verdict["results"].as_array().unwrap();
    results.iter().find(|r| r["rule"] == rule).unwrap_or_else(|| panic!("no {rule}: {verdict}"))
}
