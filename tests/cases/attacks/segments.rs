//! Thousands of segments, as whoever sends events may invent them: a verdict lists those that decide, counts the others, and
//! comes out the same otherwise.

use std::fmt::Write as _;

use super::super::support::Folder;

const POLICY: &str = "apiVersion: driftgate/v1
model: m
baseline: {snapshot: snapshot.csv, columns: {score: score, label: label}}
features: {numeric: [x], categorical: []}
score: {threshold: 0.5}
segments: [s]
labels: {horizon: 1h, lateness: 1s}
lateness: 1s
min_samples: 10
checks:
  g:
    window: {size: 1h, slide: 1h}
    rules:
    - tpr_gap: {by: s, lt: 0.05, min_positives: 10}
    - tpr_drop: {by: s, max: 0.05, min_positives: 10}
";

fn run(segments: u32) -> (serde_json::Value, usize) {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    let mut snapshot = String::from("x,s,score,label\n");
    let (mut predictions, mut labels) = (String::new(), String::new());
    for s in 0..segments {
        for i in 0..20 {
            let _ = writeln!(snapshot, "{i},s{s:05},0.9,1");
            let id = s * 20 + i;
            // One of them is missed wholly, one half, the others hardly.
            let score = match s {
                777 => 0.1,
                42 => 0.1 + 0.8 * f64::from(i % 2),
                _ if i == 0 => 0.1,
                _ => 0.9,
            };
            let ts = 1_700_000_000_000_i64 + i64::from(id);
            let _ = writeln!(
                predictions,
                r#"{{"prediction_id":"{id}","model":"m","version":"1","ts":{ts},"score":{score},"features":{{"x":{i}}},"segments":{{"s":"s{s:05}"}}}}"#
            );
            let _ = writeln!(labels, r#"{{"prediction_id":"{id}","model":"m","ts":{ts},"label":1}}"#);
        }
    }
    folder.write("snapshot.csv", snapshot);
    folder.write("p.jsonl", predictions);
    folder.write("l.jsonl", labels);
    folder.driftgate("replay --policy policy.yaml --predictions p.jsonl --labels l.jsonl --verdicts v.jsonl").exits(0);
    let bytes = folder.read("v.jsonl").lines().map(str::len).max().unwrap();
    let verdict = folder.json_lines("v.jsonl").into_iter().max_by_key(|v| v["counted"]["labels"].as_u64()).unwrap();
    (verdict, bytes)
}

#[test]
fn of_thousands_of_segments_those_that_decide_are_listed_and_the_others_counted() {
    let (verdict, bytes) = run(3000);
    assert!(bytes < 200_000, "a verdict of {bytes} bytes");
    for result in verdict["results"].as_array().unwrap() {
        assert_eq!(result["status"], "block", "{}", result["metric"]);
        assert_eq!(result["worst"], "s00777");
        let listed: Vec<&str> =
            result["segments"].as_array().unwrap().iter().map(|s| s["segment"].as_str().unwrap()).collect();
        assert_eq!(listed.len(), 200);
        assert!(listed.is_sorted() && listed.contains(&"s00777") && listed.contains(&"s00042"));
        assert_eq!(result["n"], 60_000);
        let left_out = serde_json::json!({"segments": 2800, "eligible": 2800, "n": 2800 * 20});
        assert_eq!(result["segments_left_out"], left_out);
    }
    let gap = &verdict["results"][0];
    assert_eq!(gap["value"], 0.95);
    let best = gap["best"].as_str().unwrap();
    assert!(gap["segments"].as_array().unwrap().iter().any(|s| s["segment"] == best), "{best}");
}

#[test]
fn as_many_as_there_is_room_for_are_all_listed() {
    let (verdict, _) = run(200);
    for result in verdict["results"].as_array().unwrap() {
        assert_eq!(result["segments"].as_array().unwrap().len(), 200);
        assert!(result.get("segments_left_out").is_none());
    }
}
