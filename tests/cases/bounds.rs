//! What must not depend on threads, on how lines fall into blocks, or on when state is let go: more distinct values than
//! are told apart, and ids that are used again.

use serde_json::{Value, json};

use super::support::Folder;

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000 / HOUR * HOUR;

const POLICY: &str = "\
apiVersion: driftgate/v1
model: m
baseline: {snapshot: \"train_v{version}.csv\", columns: {score: score, label: label}}
features: {numeric: [], categorical: [c]}
score: {threshold: 0.5}
segments: [s]
labels: {horizon: 1h, lateness: 1m}
lateness: 1m
checks:
  drift:
    window: {size: 1h, slide: 1h}
    rules:
    - psi: {of: features, lt: 0.2}
  fairness:
    window: {size: 1h, slide: 1h}
    rules:
    - tpr_gap: {by: s, lt: 0.5, min_positives: 2}
";

fn prediction(id: &str, ts: i64, c: &str, s: &str, padding: usize) -> String {
    let event = json!({
        "prediction_id": id, "model": "m", "version": "1", "ts": ts, "score": 0.7, "features": {"c": c, "s": s}, "padding": "x".repeat(padding)
    });
    format!("{event}\n")
}

fn label(id: &str, ts: i64, padding: usize) -> String {
    format!("{}\n", json!({"prediction_id": id, "model": "m", "ts": ts, "label": 1, "padding": "x".repeat(padding)}))
}

/// The verdicts and the summary of a replay.
fn judged(folder: &Folder, name: &str, arguments: &str) -> (String, Value) {
    let run = folder.driftgate(&format!(
        "replay --policy policy.yaml --predictions {name}-p.jsonl --labels {name}-l.jsonl --verdicts {name}.out --json {arguments}"
    ));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    (folder.read(&format!("{name}.out")), run.json())
}

#[test]
fn more_categories_and_segments_than_are_told_apart_are_the_same_for_any_number_of_threads() {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    // 3,000 categories, all of them known from training; 3,000 segments; 1,000 of each may be told apart.
    let rows: String = (0..30_000).map(|i| format!("c{},0.7,1,s\n", i % 3000)).collect();
    folder.write("train_v1.csv", format!("c,score,label,s\n{rows}"));
    folder.write(
        "limits.yaml",
        "sources: [{topic: t, kind: predictions, format: json}]\nregistry: {embedded: {path: r.db}}\nlimits: {categories: 1000, segments: 1000}\n",
    );
    let (mut predictions, mut labels) = (String::new(), String::new());
    for i in 0..9000 {
        let (id, ts) = (format!("p{i}"), START + i * 300);
        predictions += &prediction(&id, ts, &format!("c{}", i % 3000), &format!("s{}", i % 3000), 300);
        labels += &label(&id, ts, 0);
    }
    folder.write("a-p.jsonl", predictions);
    folder.write("a-l.jsonl", labels);
    let (first, summary) = judged(&folder, "a", "--config limits.yaml --threads 1");
    for threads in [2, 3] {
        let (other, _) = judged(&folder, "a", &format!("--config limits.yaml --threads {threads}"));
        assert!(first == other, "{threads} threads say something else");
    }
    let verdicts: Vec<Value> = first.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let drift = verdicts.iter().find(|v| v["group"] == "drift").unwrap();
    assert_eq!(
        drift["status"], "pass",
        "categories known from training are never unseen: {}",
        drift["results"][0]["value"]
    );
    let fairness = verdicts.iter().find(|v| v["group"] == "fairness").unwrap();
    // All of them are judged; the worst 200 are listed, and the others counted.
    assert_eq!(fairness["results"][0]["segments"].as_array().unwrap().len(), 200);
    assert_eq!(fairness["results"][0]["segments_left_out"]["segments"], 800);
    assert_eq!(fairness["results"][0]["unsegmented"], 6000);
    assert_eq!(summary["counters"]["unsegmented"], 6000);
}

#[test]
fn ids_used_again_mean_the_same_however_the_lines_fall_into_blocks() {
    let folder = Folder::new();
    folder.write("policy.yaml", POLICY);
    folder.write("train_v1.csv", format!("c,score,label,s\n{}", "a,0.7,1,s\nb,0.2,0,s\n".repeat(100)));
    for (name, padding) in [("a", 0), ("b", 3000)] {
        // Ten hours, an event every 6 s; every hundredth id comes again 45 or 90 minutes later, within the horizon or not.
        let mut rows: Vec<(i64, String)> = (0..6000).map(|i| (START + i * 6000, format!("p{i}"))).collect();
        for i in (0..5000).step_by(100) {
            let later = if i % 200 == 0 { 45 } else { 90 };
            rows.push((START + i * 6000 + later * 60_000 + 1, format!("p{i}")));
        }
        rows.sort();
        let mut labels: Vec<(i64, String)> = rows.iter().map(|(ts, id)| (ts + 40 * 60_000, id.clone())).collect();
        labels.sort();
        folder.write(
            &format!("{name}-p.jsonl"),
            rows.iter().map(|(ts, id)| prediction(id, *ts, "a", "s", padding)).collect::<String>(),
        );
        folder.write(
            &format!("{name}-l.jsonl"),
            labels.iter().map(|(ts, id)| label(id, *ts, padding)).collect::<String>(),
        );
    }
    let (short, summary) = judged(&folder, "a", "");
    let (long, _) = judged(&folder, "b", "");
    assert!(short == long, "longer lines give other verdicts");
    assert_eq!(summary["counters"]["duplicate_predictions"], 25);
    assert_eq!(
        summary["counters"]["joined"], 6025,
        "the ids that came again beyond the horizon are predictions of their own"
    );
}
