//! Rows of a Databricks inference table: `databricks_request_id`, `client_request_id`, `timestamp_ms`, `status_code`, `execution_time_ms`, `request` and
//! `response`, the last two as JSON. A request is `dataframe_split`, `dataframe_records`, `instances` or V2 `inputs`; a response has `predictions`
//! or `outputs`. Source: the documentation of Databricks Model Serving and its inference tables.

use super::body::Bodies;
use super::inference::{Found, Inference};
use super::pairs::Side;
use super::settings::Settings;
use super::tape::{Tape, Value, write_text};
use crate::decode::{Reason, Reject};

/// A row, as an object.
#[derive(serde::Deserialize)]
struct Row {
    databricks_request_id: Option<String>,
    client_request_id: Option<String>,
    timestamp_ms: Option<i64>,
    status_code: Option<i64>,
    execution_time_ms: Option<i64>,
    request: Option<String>,
    response: Option<String>,
}

/// Columns that are read.
pub const COLUMNS: [&str; 7] = [
    "databricks_request_id",
    "client_request_id",
    "timestamp_ms",
    "status_code",
    "execution_time_ms",
    "request",
    "response",
];

/// Reads a row: both halves, and the id of the inference (that of the client, or else that of Databricks).
///
/// # Errors
/// What is no row of an inference table, and a request that failed.
pub(super) fn read(
    value: &[u8],
    settings: &Settings,
    depth: usize,
    bodies: &mut Bodies,
    into: &mut Inference,
) -> Result<Found, Reject> {
    let row: Row = match serde_json::from_slice(value) {
        Ok(row) => row,
        Err(e) if e.is_data() => {
            let detail = format!("the row is none of an inference table: {e}");
            return Err(Reject::new(Reason::NotInference, detail));
        }
        Err(e) => return Err(Reject::new(Reason::NotJson, e.to_string())),
    };
    let named = |id: Option<String>| id.filter(|id| !id.is_empty());
    let id = named(row.client_request_id).or(named(row.databricks_request_id));
    let id = id.ok_or_else(|| {
        Reject::new(Reason::NoId, "the row has neither a `client_request_id` nor a `databricks_request_id`")
    })?;
    let not = |why: String| Reject::new(Reason::NotInference, format!("the row of {id:?}: {why}"));
    if let Some(status) = row.status_code.filter(|status| *status != 200) {
        return Err(not(format!("the request failed with status {status}, so it has no outputs")));
    }
    let ts = row.timestamp_ms.ok_or_else(|| Reject::new(Reason::NoTime, "the row has no `timestamp_ms`"))?;
    let request = row.request.ok_or_else(|| not("it has no `request`".to_owned()))?;
    let response = row.response.ok_or_else(|| not("it has no `response`".to_owned()))?;
    let body = instances(request.as_bytes(), depth)?.map_or(Ok(request.into_bytes()), |body| body.map_err(not))?;
    let answered = ts.saturating_add(row.execution_time_ms.unwrap_or(0));
    for (side, ts, body) in [(Side::Request, ts, &body), (Side::Response, answered, &response.into_bytes())] {
        into.half(side).begin(ts, settings.version.fixed().unwrap_or_default(), "");
        bodies.read(body, &id, side, into.half(side))?;
    }
    into.id = id;
    Ok(Found::Both)
}

/// The instances of a data frame as a V1 body; `None` of a body that is one of V1 or V2 already.
fn instances(request: &[u8], depth: usize) -> Result<Option<Result<Vec<u8>, String>>, Reject> {
    let mut tape = Tape::default();
    let body = tape.read(request, depth)?;
    if let Some(records) = body.member("dataframe_records") {
        let mut out = b"{\"instances\":".to_vec();
        records.write(&mut out);
        out.push(b'}');
        return Ok(Some(Ok(out)));
    }
    Ok(body.member("dataframe_split").map(split))
}

/// `{columns, data}`, and an `index` that nothing is read of.
fn split(frame: Value<'_>) -> Result<Vec<u8>, String> {
    let list = |key: &str| frame.member(key).filter(Value::is_array);
    let (Some(columns), Some(rows)) = (list("columns"), list("data")) else {
        return Err("`dataframe_split` has no lists `columns` and `data`".to_owned());
    };
    let mut names = Vec::new();
    for column in columns.elements() {
        names.push(column.text().ok_or("a name in `columns` of `dataframe_split` is no text")?);
    }
    let mut out = b"{\"instances\":[".to_vec();
    for (at, row) in rows.elements().enumerate() {
        if !row.is_array() {
            return Err("a row of `dataframe_split` is no list".to_owned());
        }
        let values = row.elements().count();
        if values != names.len() {
            let columns = names.len();
            return Err(format!("a row of `dataframe_split` has {values} values, and there are {columns} columns"));
        }
        out.extend_from_slice(if at > 0 { b",{" } else { b"{" });
        for (at, (name, value)) in names.iter().zip(row.elements()).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_text(name, &mut out);
            out.push(b':');
            value.write(&mut out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::event::Limits;
    use crate::kserve::{Joiner, Logged, Version};

    fn rows(row: &Json) -> Result<Vec<Json>, Reject> {
        let settings = Settings {
            logged: Logged::Databricks,
            version: Version::Fixed("1".into()),
            inputs: vec!["a".into(), "b".into()],
            ..Settings::default()
        };
        let mut joiner = Joiner::new(settings, Limits::default());
        let mut out = Vec::new();
        joiner.offer(row.to_string().as_bytes(), None, None, &mut out)?;
        Ok(out.split_inclusive(|b| *b == b'\n').map(|l| serde_json::from_slice(l).unwrap()).collect())
    }

    fn row(request: &Json, response: &Json) -> Json {
        json!({"databricks_request_id": "d", "client_request_id": null, "timestamp_ms": 1_795_860_000_500_i64, "status_code": 200,
            "execution_time_ms": 12, "request": request.to_string(), "response": response.to_string()})
    }

    #[test]
    fn each_form_of_a_request_gives_the_same_rows() {
        let predictions = json!({"predictions": [0.25, 0.5]});
        let of = |at: usize, score: f64, features: Json| json!({"prediction_id": format!("d/{at}"), "ts": 1_795_860_000_500_i64, "latency_ms": 12, "version": "1", "score": score, "features": features});
        let expected = [of(0, 0.25, json!({"a": 1.5, "b": "x"})), of(1, 0.5, json!({"a": null, "b": "y"}))];
        for request in [
            json!({"dataframe_split": {"index": [0, 1], "columns": ["a", "b"], "data": [[1.5, "x"], [null, "y"]]}}),
            json!({"dataframe_records": [{"a": 1.5, "b": "x"}, {"a": null, "b": "y"}]}),
            json!({"instances": [[1.5, "x"], [null, "y"]]}),
        ] {
            assert_eq!(rows(&row(&request, &predictions)).unwrap(), expected, "{request}");
        }
        let mut named = row(&json!({"dataframe_records": [{"a": 1}]}), &json!({"predictions": [1]}));
        named["client_request_id"] = json!("c");
        assert_eq!(rows(&named).unwrap()[0]["prediction_id"], "c");
    }

    #[test]
    fn what_is_no_row_or_a_request_that_failed_is_told() {
        let good = row(&json!({"dataframe_records": [{"a": 1}]}), &json!({"predictions": [1]}));
        let with = |key: &str, value: Json| {
            let mut row = good.clone();
            row[key] = value;
            rows(&row).unwrap_err()
        };
        assert_eq!(with("timestamp_ms", json!(null)).reason, Reason::NoTime);
        assert_eq!(with("databricks_request_id", json!("")).reason, Reason::NoId);
        assert_eq!(with("request", json!("nope")).reason, Reason::NotJson);
        for (key, value, words) in [
            ("status_code", json!(400), "failed with status 400"),
            ("request", json!(null), "has no `request`"),
            ("response", json!(null), "has no `response`"),
            ("timestamp_ms", json!("x"), "none of an inference table"),
            ("request", json!(r#"{"dataframe_split": {}}"#), "no lists `columns` and `data`"),
            ("request", json!(r#"{"dataframe_split": {"columns": [1], "data": []}}"#), "is no text"),
            ("request", json!(r#"{"dataframe_split": {"columns": ["a"], "data": [1]}}"#), "is no list"),
            (
                "request",
                json!(r#"{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}"#),
                "has 2 values, and there are 1",
            ),
        ] {
            let reject = with(key, value);
            assert!(reject.reason == Reason::NotInference && reject.detail.contains(words), "{words}: {reject}");
        }
    }
}
