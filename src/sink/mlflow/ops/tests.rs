use serde_json::{Value, json};

use super::*;
use crate::sink::mlflow::stub::Stub;

type Answer = (u16, String);

fn ok() -> Answer {
    (200, "{}".to_owned())
}

fn missing() -> Answer {
    (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"}).to_string())
}

/// Version 2 of `m`, made at 5 ms, with tags.
fn version(tags: &[(&str, &str)]) -> Answer {
    let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let version = json!({"name": "m", "version": "2", "creation_timestamp": 5, "tags": tags});
    (200, json!({ "model_version": version }).to_string())
}

fn prod_on(version: Option<&str>) -> Answer {
    let aliases: Vec<Value> = version.iter().map(|v| json!({"alias": "prod", "version": v})).collect();
    (200, json!({"registered_model": {"name": "m", "aliases": aliases}}).to_string())
}

fn set_alias(expected: Option<&str>, created_ms: Option<i64>) -> Op {
    let (model, alias, version) = ("m".to_owned(), "prod".to_owned(), "2".to_owned());
    Op::SetAlias { model, alias, version, expected: expected.map(str::to_owned), created_ms }
}

fn set_tags(tags: &[(&str, &str)]) -> Op {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Op::SetTags { model: "m".into(), version: "2".into(), tags, created_ms: Some(5) }
}

/// What delivering an operation gives, and how many changes were asked for. Every answer is used.
fn delivered(op: &Op, answers: Vec<Answer>) -> (Result<Delivered, MlflowError>, usize) {
    let stub = Stub::answering(answers);
    let got = deliver(&stub.client(), op);
    (got, stub.lines().iter().filter(|line| line.starts_with("POST ")).count())
}

#[test]
fn an_alias_moves_from_where_it_was_expected_or_from_nowhere() {
    let op = set_alias(Some("1"), Some(5));
    for before in [Some("1"), None] {
        let answers = vec![version(&[]), prod_on(before), ok(), prod_on(Some("2"))];
        assert_eq!(delivered(&op, answers), (Ok(Delivered::Done), 1));
    }
    assert_eq!(delivered(&op, vec![version(&[]), prod_on(Some("2"))]), (Ok(Delivered::Already), 0));
}

#[test]
fn what_somebody_else_moved_stays() {
    let drift = |found: &str| Ok(Delivered::Drift { found: Some(found.to_owned()) });
    for expected in [Some("1"), None] {
        let answers = vec![version(&[]), prod_on(Some("3"))];
        assert_eq!(delivered(&set_alias(expected, None), answers), (drift("3"), 0));
    }
    // In the moment between write and reading back.
    let race = |after| vec![version(&[]), prod_on(Some("1")), ok(), prod_on(after)];
    assert_eq!(delivered(&set_alias(Some("1"), None), race(Some("4"))), (drift("4"), 1));
    assert_eq!(delivered(&set_alias(Some("1"), None), race(None)), (Ok(Delivered::Drift { found: None }), 1));
}

#[test]
fn a_version_that_is_gone_or_another_is_refused() {
    let refused = |op: &Op, answers| match delivered(op, answers) {
        (Ok(Delivered::Refused(why)), _) => why,
        other => panic!("{other:?}"),
    };
    let why = refused(&set_alias(None, None), vec![missing()]);
    assert_eq!(why, "MLflow has no version \"2\" of \"m\", and it numbers versions itself");
    assert_eq!(refused(&set_tags(&[("a", "b")]), vec![missing()]), why);
    // Also where the alias stands on it already: it is another's.
    let why = refused(&set_alias(None, Some(4)), vec![version(&[])]);
    assert!(why.contains("made anew in MLflow: it was created at 4 ms, this one at 5 ms"), "{why}");
    // Deleted in the moment between.
    let why = refused(&set_alias(None, None), vec![version(&[]), prod_on(None), missing()]);
    assert!(why.contains("registered-models/alias with 404 RESOURCE_DOES_NOT_EXIST"), "{why}");
}

#[test]
fn only_tags_that_differ_are_written() {
    let op = set_tags(&[("a", "1"), ("b", "2"), ("c#", "3"), ("d", "")]);
    let there = [("a", "1"), ("b", "1"), ("c_", "3")];
    assert_eq!(delivered(&op, vec![version(&there), ok(), ok()]), (Ok(Delivered::Done), 2));
    let there = [("a", "1"), ("b", "2"), ("c_", "3"), ("d", ""), ("e", "")];
    assert_eq!(delivered(&op, vec![version(&there)]), (Ok(Delivered::Already), 0));
}

#[test]
fn a_server_that_fails_is_asked_again_later() {
    let busy = (503, String::new());
    let denied = (403, "Permission denied".to_owned());
    assert!(delivered(&set_alias(None, None), vec![version(&[]), prod_on(None), denied]).0.unwrap_err().is_denied());
    let page = (404, "<html>".to_owned());
    assert!(!delivered(&set_alias(None, None), vec![page]).0.unwrap_err().is_transient());
    for answers in [vec![busy.clone()], vec![version(&[]), busy.clone()], vec![version(&[]), prod_on(None), busy]] {
        assert!(delivered(&set_alias(None, None), answers).0.unwrap_err().is_transient());
    }
}

#[test]
fn an_operation_keeps_in_a_queue() {
    for op in [set_alias(Some("1"), Some(5)), set_alias(None, None), set_tags(&[("a", "b")])] {
        let stored = serde_json::to_string(&op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&stored).unwrap(), op);
    }
    let stored = r#"{"op":"set_alias","model":"m","alias":"prod","version":"2"}"#;
    assert_eq!(serde_json::from_str::<Op>(stored).unwrap(), set_alias(None, None));
}
