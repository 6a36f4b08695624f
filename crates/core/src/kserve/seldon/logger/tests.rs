//! Events as Seldon Core 1's executor writes them to Kafka and posts them.

use std::ffi::CStr;

use serde_json::{Value as Json, json};

use super::super::super::{Joiner, Logged};
use super::*;

/// Headers of a message.
struct Of(Vec<(&'static CStr, &'static str)>);

impl Headers for Of {
    fn header(&self, name: &CStr) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| *of == name).map(|(_, value)| value.as_bytes())
    }
}

/// As the executor writes them to Kafka.
fn headers(kind: &'static str) -> Of {
    Of(vec![
        (c"type", kind),
        (c"content-type", "application/json"),
        (c"modelid", "classifier"),
        (c"requestid", "r1"),
        (c"inferenceservicename", "loans"),
        (c"namespace", "seldon"),
        (c"endpoint", "canary"),
        (c"protocol", "seldon"),
    ])
}

fn joiner(logged: Logged) -> Joiner {
    let version = Version::Attribute("endpoint".into());
    let settings = Settings { logged, version, score: vec!["proba".into()], ..Settings::default() };
    Joiner::new(settings, Limits::default())
}

fn lines(out: &[u8]) -> Vec<Json> {
    out.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// The rows of a request and a response of records at 5 and 9 ms.
fn joined(request: &str, response: &str) -> Result<Vec<Json>, Reject> {
    let (mut joiner, mut out) = (joiner(Logged::SeldonLogger), Vec::new());
    assert_eq!(joiner.offer(response.as_bytes(), Some(&headers(RESPONSE)), Some(9), &mut out)?, 0);
    let n = joiner.offer(request.as_bytes(), Some(&headers(REQUEST)), Some(5), &mut out)?;
    assert_eq!(n, lines(&out).len());
    Ok(lines(&out))
}

const RESPONSE_OF_TWO: &str = r#"{"data": {"names": ["other", "proba"], "tensor": {"shape": [2, 2], "values": [0.9, 0.1, 0.2, 0.8]}}, "meta": {}}"#;

#[test]
fn messages_are_joined_by_their_request_and_have_the_names_that_they_say() {
    let request = r#"{"data": {"names": ["age", "inc\u006fme"], "ndarray": [[30, 1.5], [40, "x"]]}}"#;
    let row = |at: u32, score: f64, features: Json| json!({"prediction_id": format!("r1/{at}"), "ts": 5, "version": "canary", "model": "loans", "score": score, "features": features});
    let expected = [row(0, 0.1, json!({"age": 30, "income": 1.5})), row(1, 0.8, json!({"age": 40, "income": "x"}))];
    assert_eq!(joined(request, RESPONSE_OF_TWO).unwrap(), expected);
    // The protocols of TensorFlow and V2 have bodies as they have elsewhere.
    let one = r#"{"predictions": [{"proba": 0.5}]}"#;
    assert_eq!(joined(r#"{"instances": [{"age": 1}]}"#, one).unwrap()[0]["score"], json!(0.5));
}

#[test]
fn events_over_http_are_cloudevents_with_a_time() {
    let event = |kind: &str, data: &str| {
        format!(
            r#"{{"specversion": "1.0", "id": "{kind}", "type": "{kind}", "source": "http://x/", "time": "2026-11-30T10:00:00Z", "requestid": "r1",
            "inferenceservicename": "loans", "endpoint": "default", "data": {data}}}"#
        )
    };
    let (mut of, mut out) = (joiner(Logged::SeldonLogger), Vec::new());
    let request = event(REQUEST, r#"{"data": {"names": ["age"], "ndarray": [[30]]}}"#);
    let response = event(RESPONSE, r#"{"data": {"names": ["proba"], "ndarray": [[0.25]]}}"#);
    for text in [request, response] {
        of.offer(text.as_bytes(), None, None, &mut out).unwrap();
    }
    let [row] = lines(&out).try_into().unwrap();
    assert_eq!(
        (&row["prediction_id"], &row["version"], &row["ts"]),
        (&json!("r1"), &json!("default"), &json!(1_796_032_800_000_i64))
    );
}

#[test]
fn the_truth_of_feedback_is_a_label_of_each_row() {
    let label = |text: &str| {
        let mut out = Vec::new();
        let n = joiner(Logged::SeldonFeedback).offer(text.as_bytes(), Some(&headers(FEEDBACK)), Some(7), &mut out)?;
        assert_eq!(n, lines(&out).len());
        Ok::<_, Reject>(lines(&out))
    };
    let one = label(r#"{"request": {}, "reward": 1, "truth": {"data": {"ndarray": [[1]]}}}"#).unwrap();
    assert_eq!(one, [json!({"prediction_id": "r1", "ts": 7, "model": "loans", "label": 1})]);
    let two = label(r#"{"truth": {"data": {"tensor": {"shape": [2], "values": [0, 1]}}}}"#).unwrap();
    assert_eq!((&two[1]["prediction_id"], &two[1]["label"]), (&json!("r1/1"), &json!(1)));
    for (text, words) in [
        (r#"{"reward": 1}"#, "a reward is no label"),
        (r#"{"truth": {"data": {"ndarray": [[1, 2]]}}}"#, "2 values"),
        (r#"{"truth": {"strData": "x"}}"#, "`strData`"),
    ] {
        let reject = label(text).unwrap_err();
        assert!(reject.reason == Reason::NotInference && reject.detail.contains(words), "{reject}");
    }
}

#[test]
fn what_is_no_message_is_told() {
    let told = |request: &str| joined(request, RESPONSE_OF_TWO).unwrap_err();
    for (request, words) in [
        (r#"{"data": {"tftensor": {}}}"#, "neither `ndarray` nor `tensor`"),
        (r#"{"binData": "AA=="}"#, "`binData`"),
        (r#"{"data": {"ndarray": [[1]]}}"#, "without names"),
        (r#"{"data": {"names": ["a"], "ndarray": [[1, 2]]}}"#, "2 values, and `names` 1"),
        (r#"{"data": {"names": [1], "ndarray": [[1]]}}"#, "no text"),
        (r#"{"data": {"names": ["a"], "tensor": {"shape": [9999999999, 0], "values": []}}}"#, "its shape does not"),
        (r#"{"data": {"names": ["a"], "tensor": {"shape": [3], "values": [1, 2]}}}"#, "its shape does not"),
        (r#"{"data": {"names": ["a"], "ndarray": [[1]]}}"#, "it has 2 rows, and the request has 1"),
    ] {
        let reject = told(request);
        assert!(reject.reason == Reason::NotInference && reject.detail.contains(words), "{words}: {reject}");
    }
    let of = |logged, kind| {
        let found = joiner(logged).offer(b"{}", Some(&headers(kind)), Some(1), &mut Vec::new());
        found.unwrap_err()
    };
    assert!(of(Logged::SeldonLogger, FEEDBACK).detail.contains("kind: labels"));
    assert!(of(Logged::SeldonFeedback, REQUEST).detail.contains("kind: predictions"));
    assert_eq!(of(Logged::SeldonLogger, "x").reason, Reason::BadCloudevent);
    let nameless = Of(vec![(c"type", REQUEST)]);
    let reject = joiner(Logged::SeldonLogger).offer(b"{}", Some(&nameless), Some(1), &mut Vec::new()).unwrap_err();
    assert_eq!(reject.reason, Reason::NoId);
}
