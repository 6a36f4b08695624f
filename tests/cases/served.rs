//! What the tests of serving systems share: a model of two features, and its verdicts held against the replay of plain events.

use std::process::Child;

use serde_json::Value;

use super::broker::{read, wait_for};
use super::kafka::by_id;
use super::support::Folder;

const POLICY: &str = r"apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [x, z]}
score: {threshold: 0.5}
min_samples: 20
checks:
  drift:
    window: {size: 5s, slide: 5s, lateness: 2s}
    rules:
    - psi: {of: features, lt: 0.2}
    - ks_p: {of: features, gte: 0.01}
    - psi: {id: score, of: score, lt: 0.2}
";

/// A process that ends with the value.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes the policy and its snapshot.
pub fn train(folder: &Folder) {
    folder.write("policy.yaml", POLICY);
    let rows =
        (0..400).map(|i| format!("{},{},0.{i:03}\n", f64::from(i % 37) / 9.0 - 2.0, f64::from(i % 41) / 10.0 - 2.0));
    folder.write("train.csv", rows.fold("x,z,score\n".to_owned(), |all, row| all + &row));
}

/// The verdicts in this topic are those of the replay of `plain.jsonl`, and one of them has a value.
pub fn say_what_is_replayed(folder: &Folder, verdicts: &str) {
    folder.driftgate("replay --policy policy.yaml --predictions plain.jsonl --verdicts replayed.jsonl").exits(0);
    let replayed = by_id(folder.json_lines("replayed.jsonl"));
    let judged =
        |verdict: &Value| verdict["results"].as_array().is_some_and(|of| of.iter().any(|r| r["value"].is_number()));
    assert!(replayed.values().any(judged), "no window with a value: {replayed:?}");
    let found = wait_for("verdicts of the first batch", || {
        let found = by_id(read(verdicts));
        found.values().any(judged).then_some(found)
    });
    for (id, verdict) in &found {
        assert_eq!(replayed.get(id), Some(verdict), "{id}");
    }
}
