use serde_json::{Value as Json, json};

use super::*;

fn event(kind: &str, id: &str, ms: i64, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","type":"org.kubeflow.serving.inference.{kind}","source":"http://x/","endpoint":"canary",
        "time":"2026-11-28T10:00:{:02}.{:03}Z","inferenceservicename":"flights","metadata":"{{\"X-Model\":[\"7\"]}}",
        "annotations":"{{\"model-version\":\"8\"}}","data":{data}}}"#,
        ms / 1000,
        ms % 1000
    )
}

/// The rows of a request and a response.
fn joined(settings: Settings, request: &str, response: &str) -> Result<Vec<Json>, Reject> {
    let mut joiner = Joiner::new(settings, Limits::default());
    let mut out = Vec::new();
    assert_eq!(joiner.offer(event("response", "p", 512, response).as_bytes(), None, None, &mut out)?, 0);
    let rows = joiner.offer(event("request", "p", 500, request).as_bytes(), None, None, &mut out)?;
    let lines: Vec<Json> = out.split_inclusive(|b| *b == b'\n').map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!((rows, joiner.counts().joined, joiner.counts().waiting), (lines.len(), 1, 0));
    Ok(lines)
}

const V2: &str = r#"{"id":"x","inputs":[{"name":"temp","shape":[2,1],"datatype":"FP64","data":[1.50,2]},
    {"name":"carrier","shape":[2],"datatype":"BYTES","data":["AA","U\u0041"]}]}"#;
const V2_OUT: &str = r#"{"model_name":"m","model_version":"3","outputs":[
    {"name":"probability","shape":[2,2],"datatype":"FP64","data":[[0.9,0.1],[0.25,0.75]]},
    {"name":"label","shape":[2],"datatype":"INT64","data":[0,1]}]}"#;

fn path(text: &str) -> Vec<String> {
    text.split('/').map(str::to_owned).collect()
}

#[test]
fn a_batch_of_tensors_gives_a_row_each_with_ids_of_their_own() {
    let settings = Settings { score: path("probability/1"), decision: Some(path("label")), ..Settings::default() };
    let rows = joined(settings, V2, V2_OUT).unwrap();
    let ts = "2026-11-28T10:00:00.500Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!(
        rows,
        [
            json!({"prediction_id": "p/0", "ts": ts, "latency_ms": 12, "version": "3", "model": "flights", "score": 0.1, "decision": 0,
                "features": {"temp": 1.5, "carrier": "AA"}}),
            json!({"prediction_id": "p/1", "ts": ts, "latency_ms": 12, "version": "3", "model": "flights", "score": 0.75, "decision": 1,
                "features": {"temp": 2, "carrier": "UA"}}),
        ]
    );
}

#[test]
fn instances_are_named_by_the_source_or_by_themselves_and_a_single_row_keeps_its_id() {
    let inputs = vec!["temp".to_owned(), "carrier".to_owned()];
    let fixed = Settings { version: Version::Fixed("1".into()), inputs, names_model: false, ..Settings::default() };
    let rows = joined(fixed.clone(), r#"{"instances":[[1.5,"AA"]]}"#, r#"{"predictions":[0.25]}"#).unwrap();
    assert_eq!((&rows[0]["prediction_id"], &rows[0]["score"], rows[0].get("model")), (&json!("p"), &json!(0.25), None));
    assert_eq!(rows[0]["features"], json!({"temp": 1.5, "carrier": "AA"}));
    let settings = Settings { score: path("scores/1"), ..fixed };
    let of =
        joined(settings, r#"{"instances":[{"a":1}]}"#, r#"{"predictions":[{"scores":[0.75,0.25],"x":1}]}"#).unwrap();
    assert_eq!((&of[0]["features"], &of[0]["score"]), (&json!({"a": 1}), &json!(0.25)));
    // One tensor with several values a row.
    let settings = Settings { inputs: vec!["a".into(), "b".into()], ..Settings::default() };
    let wide = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2,3,null]}]}"#;
    let out = r#"{"model_version":"1","outputs":[{"name":"y","shape":[2],"datatype":"FP32","data":[0.5,0.25]}]}"#;
    let rows = joined(settings, wide, out).unwrap();
    assert_eq!((&rows[0]["features"], &rows[1]["features"]), (&json!({"a": 1, "b": 2}), &json!({"a": 3, "b": null})));
}

#[test]
fn a_version_is_what_the_source_says_that_names_it() {
    let (request, response) = (r#"{"instances":[{"a":1}]}"#, r#"{"predictions":[0.25]}"#);
    for (version, expected) in [
        (Version::Attribute("endpoint".into()), json!("canary")),
        (Version::Metadata("x-model".into()), json!("7")),
        (Version::Annotation("model-version".into()), json!("8")),
        (Version::Annotation("other".into()), Json::Null),
        (Version::Response, Json::Null),
    ] {
        let rows = joined(Settings { version, ..Settings::default() }, request, response).unwrap();
        assert_eq!(rows[0].get("version").cloned().unwrap_or_default(), expected);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_a_reason_and_leaves_no_row() {
    let usual = (r#"{"instances":[{"a":1}]}"#, r#"{"predictions":[0.25]}"#);
    for (request, response, says) in [
        ("{}", usual.1, "the request of \"p\": it has neither a list `instances` (V1) nor a list `inputs` (V2)"),
        (usual.0, "{}", "neither a list `predictions`"),
        (usual.0, r#"{"predictions":[1,2]}"#, "it has 2 rows, and the request has 1"),
        (usual.0, r#"{"predictions":[[1,2]]}"#, "a row has 2 values: write which one is meant"),
        (usual.0, r#"{"predictions":[[]]}"#, "a row has 0 values"),
        (r#"{"instances":[[1,2]]}"#, usual.1, "an instance has 2 values without names"),
        (r#"{"inputs":[{"name":"x","shape":[1]}]}"#, usual.1, "has its data nowhere"),
        (r#"{"inputs":[{"name":"x","data":[1]}]}"#, usual.1, "has no shape"),
        (r#"{"inputs":[{"name":"x","shape":[2],"data":[1]}]}"#, usual.1, "has 1 values, which its shape [2] does not"),
        (r#"{"inputs":[{"name":"x","shape":[9999999999,9999999999],"data":[1]}]}"#, usual.1, "has 1 values"),
        (
            r#"{"inputs":[{"name":"x","shape":[1],"data":[1]},{"name":"y","shape":[2],"data":[1,2]}]}"#,
            usual.1,
            "and \"y\" has 2",
        ),
        (
            r#"{"inputs":[{"name":"x","shape":[1],"parameters":{"binary_data_size":8}}]}"#,
            usual.1,
            "the binary extension",
        ),
        (V2, V2_OUT, "a row has 2 outputs: write which one is meant"),
        (usual.0, "[]", "neither a list"),
    ] {
        let reject = joined(Settings::default(), request, response).unwrap_err();
        assert!(reject.reason == Reason::NotInference && reject.detail.contains(says), "{says}: {reject}");
    }
    let mut joiner = Joiner::new(Settings::default(), Limits::default());
    let mut out = Vec::new();
    let request = event("request", "p", 1, "{}");
    for (text, reason) in [
        (request.replace("inference.request", "other"), Reason::BadCloudevent),
        (request.replace("\"id\":\"p\"", "\"id\":\"\""), Reason::NoId),
        (request.replace("\"time\"", "\"when\""), Reason::NoTime),
        (request.replace("2026", "x"), Reason::BadTime),
        ("{}".to_owned(), Reason::BadCloudevent),
        (String::new(), Reason::NotJson),
    ] {
        assert_eq!(joiner.offer(text.as_bytes(), None, None, &mut out).unwrap_err().reason, reason, "{text}");
    }
    assert!(out.is_empty() && joiner.counts() == Counts::default());
}

#[test]
fn a_few_bytes_name_no_more_rows_than_there_are_values() {
    let request = r#"{"inputs":[{"name":"x","shape":[9999999999,0],"data":[]}]}"#;
    let out = r#"{"outputs":[{"name":"p","shape":[1],"data":[0.5]}]}"#;
    let reject = joined(Settings::default(), request, out).unwrap_err();
    assert!(reject.detail.contains("the tensor \"x\" has rows without a value"), "{reject}");
    let none = r#"{"inputs":[{"name":"x","shape":[0,3],"data":[]}]}"#;
    let rows = joined(Settings::default(), none, r#"{"outputs":[{"name":"p","shape":[0],"data":[]}]}"#).unwrap();
    assert!(rows.is_empty());
}

#[test]
fn halves_that_were_kept_with_their_whole_bodies_meet_as_if_they_had_been_read() {
    #[derive(serde::Serialize)]
    struct Old<'a> {
        ts: i64,
        version: Option<&'a str>,
        model: Option<&'a str>,
        body: &'a [u8],
    }
    let old = |body: &'static str| Old { ts: 5, version: None, model: Some("m"), body: body.as_bytes() };
    let waiting = vec![
        ("a", pairs::Side::Response, old(r#"{"model_version":"3","outputs":[{"name":"p","shape":[1],"data":[0.5]}]}"#)),
        ("b", pairs::Side::Response, old("nope")),
    ];
    let state = postcard::to_stdvec(&(waiting, Vec::<(i32, u8)>::new(), Counts::default())).unwrap();
    let mut halves =
        Halves::new(Settings { logged: Logged::Oip { time: None }, ..Settings::default() }, Limits::default());
    let pairs = Mutex::new(halves.restore(&postcard::from_bytes(&state).unwrap()));
    let mut offer = |id: &str| {
        let mut out = Vec::new();
        let request = format!(r#"{{"id":"{id}","inputs":[{{"name":"x","shape":[1],"data":[1]}}]}}"#);
        let offered =
            halves.offer(&pairs, 0, request.as_bytes(), None, Some(4), &mut out).map(|of| of == Offered::Rows(1));
        offered.map(|is_row| (is_row, String::from_utf8(out).unwrap()))
    };
    let row = "{\"prediction_id\":\"a\",\"ts\":4,\"version\":\"3\",\"score\":0.5,\"features\":{\"x\":1}}\n";
    assert_eq!(offer("a").unwrap(), (true, row.to_owned()));
    assert_eq!(offer("b").unwrap_err().reason, Reason::NotInference);
    assert_eq!(offer("c").unwrap(), (false, String::new()));
}
