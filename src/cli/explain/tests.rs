//! What an operator reads, end to end: a registry's state through the API in process, as `--config` asks it.

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::cli::trust::Trust;
use crate::ledger::Embedded;
use driftgate_core::judge::verdict::{Action, Signal};
use driftgate_core::promotion::version::Registration;

const POLICY: &str = "apiVersion: driftgate/v1
model: m
features: {numeric: [temp]}
score: {threshold: 0.5}
segments: [origin]
labels: {horizon: 1d}
checks:
  drift:
    window: {size: 1d, slide: 1d}
    stale_after: 36500d
    rules: [{psi: {of: features, lt: 0.2}}]
  fairness:
    window: {size: 1d, slide: 1d}
    stale_after: 36500d
    rules: [{tpr_gap: {by: origin, lt: 0.03}}]
transitions:
- {from: dev, to: staging, evidence: [tests], approvals: {roles: {owner: 1}}}
- {from: staging, to: prod, checks: [drift, fairness], approvals: {roles: {owner: 1}}}
";

fn verdict(group: &str, status: &str, results: &Value) -> String {
    json!({"verdict_id": group, "model": "m", "version": "7", "stage": "staging", "group": group,
        "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "complete": true},
        "status": status, "results": results, "counted": {"predictions": 6012, "labels": 5990},
        "policy_sha256": "p", "baseline_sha256": "b"})
    .to_string()
}

/// A configuration with a registry in which version 7 is blocked by drift.
fn world() -> (TempDir, ServerArgs) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("p.yaml"), POLICY).unwrap();
    std::fs::write(path("d.yaml"), "policies: [p.yaml]\nregistry: {embedded: {path: registry.db}}\n").unwrap();
    let registry = Embedded::open(&path("registry.db")).unwrap();
    for (version, stage) in [("6", "prod"), ("7", "staging")] {
        let registration = Registration {
            model: "m".into(),
            version: version.into(),
            snapshot: Some("s3://bucket/train.parquet".into()),
            stage: Some(stage.into()),
            ..Registration::default()
        };
        registry.register(&registration, "ana", 1000).unwrap();
    }
    registry.attach("m", "7", &[("tests".to_owned(), json!("pass"))], "ci", 2000).unwrap();
    let psi = json!([{"rule": "drift/psi", "metric": "psi", "subject": "temp", "status": "block", "value": 0.31,
        "limit": {"lt": 0.2}, "n": 6012, "missing": 3, "invalid": 0, "reference_n": 50009, "since": "2026-01-02T00:00:00Z",
        "bins": [{"le": 28.9, "reference": 5000, "window": 310}, {"le": null, "reference": 5000, "window": 5702}]}]);
    let gap = json!([{"rule": "fairness/tpr_gap", "metric": "tpr_gap", "subject": "origin", "status": "pass", "value": 0.012,
        "limit": {"lt": 0.03}, "n": 1204, "segments": [
            {"segment": "JFK", "tp": 350, "fn": 50, "fp": 4, "tn": 9, "tpr": 0.875, "reference_tpr": 0.88, "eligible": true},
            {"segment": "EWR", "tp": 350, "fn": 90, "fp": 4, "tn": 9, "tpr": 0.795, "reference_tpr": 0.8, "eligible": true},
            {"segment": "LGA", "tp": 1, "fn": 1, "fp": 0, "tn": 0, "tpr": 0.5, "reference_tpr": null, "eligible": false}]}]);
    registry.record_verdict("m", "7", "drift", 1_767_312_000_000, &verdict("drift", "block", &psi)).unwrap();
    registry.record_verdict("m", "7", "fairness", 1_767_312_000_000, &verdict("fairness", "pass", &gap)).unwrap();
    let block = Signal {
        signal_id: "s".into(),
        ts: "2026-01-02T00:00:00Z".into(),
        model: "m".into(),
        version: "7".into(),
        group: "drift".into(),
        action: Action::Block,
        stage: Some("staging".into()),
        rollback_to: None,
        reasons: vec!["drift/psi temp 0.31 breaks lt 0.2".into()],
        verdict_id: "drift".into(),
        policy_sha256: "p".into(),
    };
    registry.apply(&block, 3000).unwrap();
    let server = ServerArgs {
        server: "http://127.0.0.1:1".into(),
        token_file: None,
        config: Some(path("d.yaml")),
        trust: Trust::default(),
    };
    (folder, server)
}

fn explained(server: &ServerArgs, version: &str) -> String {
    let path = ["api", "v1", "models", "m", "versions", version, "explain"];
    let said: Value = Client::new(server).unwrap().get(&path, &[]).map_err(|f| f.error).unwrap();
    as_text(&said, 80).unwrap()
}

#[test]
fn a_blocked_version_is_explained_from_the_answer_to_the_lineage() {
    let (_folder, server) = world();
    let text = explained(&server, "7");
    let first = text.lines().next().unwrap();
    assert_eq!(first, "m version 7, in staging now: blocked for prod; waits for an approval for staging", "{text}");
    let places = [
        "blocked for prod:\n  - drift/psi temp 0.31 breaks lt 0.2 (blocked since 2026-01-02T00:00:00Z)",
        "drift: block, 0 of 1 checks pass, window ending 2026-01-02T00:00:00Z",
        "6,012",
        "drift/psi temp: 0.31, limit lt 0.2\n",
        "* <= 28.9",
        "* > 28.9",
        "fairness/tpr_gap origin: pass 0.012, limit lt 0.03",
        "EWR",
        "JFK",
        "no: too few",
        "lineage\n  snapshot         s3://bucket/train.parquet",
        "tests            pass   by ci, 1970-01-01T00:00:02Z",
        "way back: version 6",
    ];
    let mut rest = text.as_str();
    for place in places {
        let at = rest.find(place).unwrap_or_else(|| panic!("{place:?} is not where it belongs in\n{text}"));
        rest = rest.get(at + place.len()..).unwrap();
    }
}

#[test]
fn a_version_without_verdicts_is_inconclusive() {
    let (_folder, server) = world();
    let text = explained(&server, "6");
    assert!(text.contains("no verdicts: no window of this version was judged yet"), "{text}");
    assert!(text.contains("no evidence is attached") && text.contains(", in prod now: "), "{text}");
    assert!(text.contains("drift: no verdict yet"), "{text}");
}

#[test]
fn the_commands_exit_with_0_and_refuse_what_is_not_there() {
    let (_folder, server) = world();
    let args = |model: &str, version: &str, json| Args {
        of: VersionArgs { model: model.into(), version: version.into() },
        output: Output { json },
        server: server.clone(),
    };
    for json in [false, true] {
        assert_eq!(run(&args("m", "7", json)).unwrap(), exit::PASS);
    }
    let failure = run(&args("other", "7", false)).unwrap_err();
    assert_eq!(failure.code, exit::INPUT);
    assert!(failure.error.to_string().contains("other"), "{:#}", failure.error);
    assert_eq!(run(&args("m", "8", false)).unwrap_err().code, exit::INPUT);
    let nobody = ServerArgs { config: None::<PathBuf>, ..server.clone() };
    assert_eq!(run(&Args { server: nobody, ..args("m", "7", false) }).unwrap_err().code, exit::UNREACHABLE);
}

#[test]
fn the_segments_of_a_distance_are_listed_the_worst_first() {
    let psi = json!([{"rule": "drift/psi", "metric": "psi", "subject": "temp", "status": "block", "value": 0.31,
        "limit": {"lt": 0.2}, "n": 700, "by": "origin", "segment": "JFK", "segments": [
            {"segment": "EWR", "status": "insufficient", "value": null, "n": 3, "reference_n": 9, "reason": "n 3 is few"},
            {"segment": "LGA", "status": "pass", "value": 0.02, "n": 500, "reference_n": 5000},
            {"segment": "JFK", "status": "block", "value": 0.31, "n": 700, "reference_n": 1234, "bins": [{"le": null, "reference": 1, "window": 2}]}]}]);
    let mut out = String::new();
    segments(&mut out, &[serde_json::from_str(&verdict("drift", "block", &psi)).unwrap()]);
    assert!(out.starts_with("\ndrift/psi temp by origin: block 0.31, limit lt 0.2\n"), "{out}");
    let at = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text} in {out}"));
    assert!(at("JFK") < at("LGA") && at("LGA") < at("EWR") && at("1,234") < at("n 3 is few"), "{out}");
}

#[test]
fn what_does_not_pass_is_ranked_by_value_over_limit_times_importance() {
    let of = |subject: &str, value: f64, weight: Option<f64>| {
        let mut result = json!({"rule": "drift/psi", "metric": "psi", "subject": subject, "status": "block", "value": value,
            "limit": {"lt": 0.2}, "bins": [{"le": null, "reference": 1, "window": 2}]});
        if let (Value::Object(result), Some(weight)) = (&mut result, weight) {
            result.insert("importance".into(), weight.into());
        }
        result
    };
    let printed = |weights: [Option<f64>; 3]| {
        let results = json!([of("age", 0.6, weights[0]), of("amount", 0.3, weights[1]), of("zip", 0.9, weights[2])]);
        let verdicts = [serde_json::from_str(&verdict("drift", "block", &results)).unwrap()];
        let mut out = String::new();
        checks(&mut out, &verdicts);
        distributions(&mut out, &verdicts, 80);
        out
    };
    let order = |text: &str, names: [&str; 3], prefix: &str| {
        let at = names.map(|name| text.find(&format!("{prefix}{name}")).unwrap_or_else(|| panic!("{name} in {text}")));
        assert!(at.is_sorted(), "{at:?} {text}");
    };
    // 0.3 / 0.2 × 0.4 = 0.6 comes before 0.6 / 0.2 × 0.1 = 0.3, and both before what has no importance.
    let ranked = printed([Some(0.1), Some(0.4), None]);
    for prefix in ["", "drift/psi "] {
        order(&ranked, ["amount", "age", "zip"], prefix);
        order(&printed([None; 3]), ["age", "amount", "zip"], prefix);
    }
    assert!(ranked.contains("importance") && ranked.contains("rank: value over limit"), "{ranked}");
    assert!(!printed([None; 3]).contains("rank"));
}

#[test]
fn explanations_as_they_are_printed() {
    let (_folder, server) = world();
    insta::assert_snapshot!(format!("{}\n---\n{}", explained(&server, "7"), explained(&server, "6")));
}
