use serde_json::{Value, json};

use super::*;
use crate::sink::mlflow::stub::Stub;

fn model() -> (u16, String) {
    (200, json!({"registered_model": {"name": "m", "aliases": [{"alias": "prod", "version": "1"}]}}).to_string())
}

/// A version with its run and tags.
fn version(number: u32, run: Option<&str>, tags: &[(&str, &str)]) -> Value {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({"name": "m", "version": number.to_string(), "creation_timestamp": 5, "source": "s3://b/x", "run_id": run,
           "status": "READY", "tags": tags})
}

fn page(versions: &[Value]) -> (u16, String) {
    (200, json!({ "model_versions": versions }).to_string())
}

fn run(id: &str, status: &str, auc: f64) -> (u16, String) {
    let data = json!({"metrics": [{"key": "auc", "value": auc}, {"key": "f1", "value": 0.5}],
                      "tags": [{"key": "mlflow.source.git.commit", "value": "c0ffee"}]});
    (200, json!({"run": {"info": {"run_id": id, "status": status}, "data": data}}).to_string())
}

#[test]
fn a_version_is_described_by_tags_and_run() {
    let tags = [
        ("driftgate.snapshot", "s3://b/train.parquet"),
        ("snapshot", "another"),
        ("snapshot_sha256", "aa"),
        ("artifact_sha256", " bb "),
        ("code_commit", ""),
        ("baseline_version", "1"),
        ("metric.auc", "0.9"),
        ("metric.f1", "high"),
        ("gate.prod.approvals", "[{\"actor\":\"mallory\"}]"),
    ];
    let stub = Stub::answering([model(), page(&[version(2, Some("r"), &tags)]), run("r", "FINISHED", 0.8)]);
    let found = pull(&stub.client(), "m", &mut RunCache::default()).unwrap();
    assert!(found.exists);
    assert_eq!(found.aliases, BTreeMap::from([("prod".to_owned(), "1".to_owned())]));
    let expected = FoundVersion {
        version: "2".into(),
        created_ms: Some(5),
        status: "READY".into(),
        source: Some("s3://b/x".into()),
        run_id: Some("r".into()),
        snapshot: Some("s3://b/train.parquet".into()),
        snapshot_sha256: Some("aa".into()),
        artifact_sha256: Some("bb".into()),
        code_commit: Some("c0ffee".into()),
        offline: BTreeMap::from([("auc".into(), 0.9)]),
        baseline_version: Some("1".into()),
        tags: BTreeMap::from([("gate.prod.approvals".into(), "[{\"actor\":\"mallory\"}]".into())]),
        problems: vec!["its tag \"metric.f1\" is not a number: \"high\"".into()],
    };
    assert_eq!(found.versions, [expected]);
    stub.asked();
}

#[test]
fn a_run_that_is_over_is_asked_for_once() {
    let versions = [version(1, Some("over"), &[]), version(2, Some("over"), &[]), version(3, Some("on"), &[])];
    let stub = Stub::answering([
        model(),
        page(&versions),
        run("over", "FINISHED", 0.8),
        run("on", "RUNNING", 0.1),
        model(),
        page(&versions),
        run("on", "RUNNING", 0.2),
    ]);
    let (mlflow, mut runs) = (stub.client(), RunCache::default());
    let mut auc = || {
        let found = pull(&mlflow, "m", &mut runs).unwrap();
        found.versions.iter().map(|v| v.offline["auc"]).collect::<Vec<_>>()
    };
    assert_eq!(auc(), [0.8, 0.8, 0.1]);
    assert_eq!(auc(), [0.8, 0.8, 0.2]);
    stub.asked();
}

#[test]
fn a_run_that_cannot_be_read_is_a_problem_of_its_version() {
    let gone = (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}).to_string());
    let denied = (403, "Permission denied".to_owned());
    let versions =
        [version(1, Some("gone"), &[("metric.auc", "0.7")]), version(2, Some("secret"), &[]), version(3, None, &[])];
    let stub = Stub::answering([model(), page(&versions), gone, denied]);
    let found = pull(&stub.client(), "m", &mut RunCache::default()).unwrap();
    let problems: Vec<_> = found.versions.iter().map(|v| v.problems.join(" ")).collect();
    assert_eq!(problems[0], "its run gone is not in MLflow: offline metrics come from tags only");
    assert!(problems[1].starts_with("its run secret may not be read: ") && problems[1].contains("Permission denied"));
    assert_eq!(problems[2], "");
    assert_eq!(found.versions[0].offline, BTreeMap::from([("auc".to_owned(), 0.7)]));
    stub.asked();

    let stub = Stub::answering([model(), page(&versions), (503, String::new())]);
    assert!(pull(&stub.client(), "m", &mut RunCache::default()).unwrap_err().is_transient());
}

#[test]
fn an_unknown_model_is_empty() {
    let stub = Stub::answering([(404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST"}).to_string())]);
    let found = pull(&stub.client(), "m", &mut RunCache::default()).unwrap();
    assert!(!found.exists && found == Found::default());
    stub.asked();
}

#[test]
fn a_version_that_a_list_passed_over_is_asked_for_before_it_is_gone() {
    let missing = (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST"}).to_string());
    let there = (200, json!({"model_version": version(3, None, &[])}).to_string());
    let stub = Stub::answering([there, missing]);
    let one = FoundVersion { version: "1".into(), ..FoundVersion::default() };
    let mut found = Found { exists: true, versions: vec![one], ..Found::default() };
    confirm_gone(&stub.client(), "m", ["1", "3", "4"].map(str::to_owned).to_vec(), &mut found).unwrap();
    assert_eq!(found.gone, ["4"]);
    assert_eq!(stub.lines().len(), 2);
    let stub = Stub::answering([(503, String::new())]);
    assert!(confirm_gone(&stub.client(), "m", vec!["3".into()], &mut found).unwrap_err().is_transient());
}

#[test]
fn the_tags_that_driftgate_writes_are_read_to_be_compared() {
    let stub =
        Stub::answering([model(), page(&[version(1, None, &[("gate.check.drift", "block"), ("owner", "ann")])])]);
    let found = pull(&stub.client(), "m", &mut RunCache::default()).unwrap();
    assert_eq!(found.versions[0].tags, BTreeMap::from([("gate.check.drift".to_owned(), "block".to_owned())]));
    stub.asked();
}
