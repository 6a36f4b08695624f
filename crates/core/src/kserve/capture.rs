//! Records of `SageMaker`'s data capture: a JSON object with `captureData` (input and output of an endpoint, each with its content type, its
//! encoding and its data) and `eventMetadata` (`eventId`, `inferenceId`, `inferenceTime`). Data as JSON is a V1 or V2 body, a list of instances, or an
//! object a line; data as CSV is a row a line. Source: the documentation of `SageMaker` Model Monitor.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::Bodies;
use super::inference::{Found, Inference};
use super::pairs::Side;
use super::settings::Settings;
use super::tape::write_text;
use crate::decode::time::TimeFormat;
use crate::decode::{Reason, Reject};

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    capture_data: Captured,
    event_metadata: Metadata,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Captured {
    endpoint_input: Data,
    endpoint_output: Data,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    observed_content_type: String,
    data: String,
    encoding: String,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    event_id: String,
    inference_id: Option<String>,
    inference_time: String,
}

/// Reads a record: both halves, and the id of the inference (its `inferenceId`, or else its `eventId`, as ground truth names it).
///
/// # Errors
/// What is no record of data capture.
pub(super) fn read(
    value: &[u8],
    settings: &Settings,
    bodies: &mut Bodies,
    into: &mut Inference,
) -> Result<Found, Reject> {
    let record: Record = match serde_json::from_slice(value) {
        Ok(record) => record,
        Err(e) if e.is_data() => {
            let detail = format!("the line is no record of data capture with an input and an output: {e}");
            return Err(Reject::new(Reason::NotInference, detail));
        }
        Err(e) => return Err(Reject::new(Reason::NotJson, e.to_string())),
    };
    let Metadata { event_id, inference_id, inference_time } = record.event_metadata;
    let id = inference_id.filter(|id| !id.is_empty()).unwrap_or(event_id);
    if id.is_empty() {
        return Err(Reject::new(Reason::NoId, "the record has neither an `inferenceId` nor an `eventId`"));
    }
    let ts = TimeFormat::default().text(&inference_time)?;
    let Captured { endpoint_input, endpoint_output } = &record.capture_data;
    for (side, key, data) in
        [(Side::Request, "instances", endpoint_input), (Side::Response, "predictions", endpoint_output)]
    {
        let not = |why: String| Reject::new(Reason::NotInference, format!("the {key} of {id:?}: {why}"));
        let body = body(data, key).map_err(not)?;
        into.half(side).begin(ts, settings.version.fixed().unwrap_or_default(), "");
        bodies.read(&body, &id, side, into.half(side))?;
    }
    into.id = id;
    Ok(Found::Both)
}

/// The data as a body of V1 or V2.
fn body(data: &Data, key: &str) -> Result<Vec<u8>, String> {
    let content = data.observed_content_type.to_ascii_lowercase();
    let (text, is_csv) = match data.encoding.as_str() {
        "CSV" => (data.data.clone(), true),
        "JSON" => (data.data.clone(), false),
        "BASE64" => {
            let bytes = STANDARD.decode(data.data.trim()).map_err(|e| format!("its data is no base64: {e}"))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| format!("its data ({content:?}) is no text: data capture is read as CSV or JSON"))?;
            (text, content.contains("csv"))
        }
        other => {
            return Err(format!("its encoding is {other:?}: data capture is read as CSV, JSON or BASE64 of these"));
        }
    };
    let text = text.trim();
    if !is_csv && text.starts_with('{') && !text.contains('\n') && !is_line(text) {
        return Ok(text.as_bytes().to_vec());
    }
    let mut out = format!("{{\"{key}\":").into_bytes();
    if !is_csv && text.starts_with('[') {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.push(b'[');
        for (at, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if is_csv { row(line, &mut out)? } else { out.extend_from_slice(line.as_bytes()) }
        }
        out.push(b']');
    }
    out.push(b'}');
    Ok(out)
}

/// Whether an object is a row by itself: it has no list of instances, predictions or tensors.
fn is_line(text: &str) -> bool {
    ["\"instances\"", "\"predictions\"", "\"inputs\"", "\"outputs\""].iter().all(|key| !text.contains(key))
}

/// A line of CSV as a JSON array: numbers as they are written, empty fields null, all else texts.
fn row(line: &str, out: &mut Vec<u8>) -> Result<(), String> {
    out.push(b'[');
    let mut rest = line;
    loop {
        let (field, is_quoted, behind) = field(rest)?;
        if is_quoted {
            write_text(&field, out);
        } else if field.is_empty() {
            out.extend_from_slice(b"null");
        } else if serde_json::from_str::<serde_json::Number>(&field).is_ok() {
            out.extend_from_slice(field.as_bytes());
        } else {
            write_text(&field, out);
        }
        let Some(behind) = behind else { break };
        out.push(b',');
        rest = behind;
    }
    out.push(b']');
    Ok(())
}

/// The first field, whether it stands in quotes, and what follows its comma.
fn field(text: &str) -> Result<(String, bool, Option<&str>), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (field, behind) = text.split_once(',').map_or((text, None), |(field, behind)| (field, Some(behind)));
        return Ok((field.trim().to_owned(), false, behind));
    };
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let Some((part, behind)) = rest.split_once('"') else {
            return Err("a quote of its CSV is never closed".to_owned());
        };
        field.push_str(part);
        if let Some(more) = behind.strip_prefix('"') {
            field.push('"');
            rest = more;
        } else if behind.is_empty() {
            return Ok((field, true, None));
        } else {
            let behind = behind.strip_prefix(',').ok_or("text stands behind a closing quote of its CSV")?;
            return Ok((field, true, Some(behind)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::event::Limits;
    use crate::kserve::{Joiner, Logged, Version};

    fn captured(input: &Value, output: &Value) -> Value {
        json!({
            "captureData": {"endpointInput": input, "endpointOutput": output},
            "eventMetadata": {"eventId": "e", "inferenceTime": "2026-11-28T10:00:00Z"},
            "eventVersion": "0",
        })
    }

    fn data(content: &str, encoding: &str, data: &str) -> Value {
        json!({"observedContentType": content, "mode": "INPUT", "data": data, "encoding": encoding})
    }

    fn rows(record: &Value, settings: &Settings) -> Result<Vec<Value>, Reject> {
        let settings = Settings { logged: Logged::SageMaker, version: Version::Fixed("1".into()), ..settings.clone() };
        let mut joiner = Joiner::new(settings, Limits::default());
        let mut out = Vec::new();
        let n = joiner.offer(record.to_string().as_bytes(), None, None, &mut out)?;
        assert_eq!(joiner.counts().joined, 1);
        let lines: Vec<Value> =
            out.split_inclusive(|b| *b == b'\n').map(|l| serde_json::from_slice(l).unwrap()).collect();
        assert_eq!(n, lines.len());
        Ok(lines)
    }

    #[test]
    fn a_record_gives_a_row_for_each_of_its_lines_whatever_their_encoding() {
        let names = Settings { inputs: vec!["a".into(), "b".into(), "c".into()], ..Settings::default() };
        let ts = "2026-11-28T10:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let row = |id: &str, score: Value, features: Value| json!({"prediction_id": id, "ts": ts, "version": "1", "score": score, "features": features});
        let expected = [
            row("e/0", json!(0.25), json!({"a": 1.5, "b": "x,\"y\"", "c": null})),
            row("e/1", json!(0.5), json!({"a": 2, "b": "007", "c": 3})),
        ];
        let csv = "1.5,\"x,\"\"y\"\"\",\n2,007,3\n";
        let output = data("text/csv", "CSV", "0.25\n0.5");
        assert_eq!(rows(&captured(&data("text/csv", "CSV", csv), &output), &names).unwrap(), expected);
        let base64 = data("text/csv; header=absent", "BASE64", &STANDARD.encode(csv));
        assert_eq!(rows(&captured(&base64, &output), &names).unwrap(), expected);
        let instances = r#"[[1.5, "x,\"y\"", null], [2, "007", 3]]"#;
        for input in [
            data("application/json", "JSON", instances),
            data("application/json", "JSON", &format!(r#"{{"instances": {instances}}}"#)),
            data(
                "application/jsonlines",
                "JSON",
                "{\"a\": 1.5, \"b\": \"x,\\\"y\\\"\", \"c\": null}\n{\"a\": 2, \"b\": \"007\", \"c\": 3}\n",
            ),
        ] {
            assert_eq!(rows(&captured(&input, &output), &names).unwrap(), expected, "{input}");
        }
        let scored = Settings { score: vec!["score".into()], ..names };
        let mut one = captured(&data("", "CSV", "1.5,x,"), &data("", "JSON", r#"{"predictions": [{"score": 0.9}]}"#));
        one["eventMetadata"]["inferenceId"] = json!("i");
        let found = rows(&one, &scored).unwrap();
        assert_eq!(found, [row("i", json!(0.9), json!({"a": 1.5, "b": "x", "c": null}))]);
    }

    #[test]
    fn what_is_no_record_is_told() {
        let input = data("text/csv", "CSV", "1");
        let told =
            |record: &Value| rows(record, &Settings { inputs: vec!["a".into()], ..Settings::default() }).unwrap_err();
        for (record, words) in [
            (json!({}), "no record of data capture"),
            (captured(&input, &data("", "PROTOBUF", "")), "its encoding is \"PROTOBUF\""),
            (captured(&input, &data("", "BASE64", "!")), "no base64"),
            (captured(&input, &data("image/png", "BASE64", "/w==")), "is no text"),
            (captured(&data("", "CSV", "\"a"), &input), "never closed"),
            (captured(&data("", "CSV", "\"a\"b"), &input), "behind a closing quote"),
            (captured(&input, &data("", "CSV", "1\n2")), "it has 2 rows"),
            (captured(&data("", "JSON", "{\"a\""), &input), "instance"),
        ] {
            let reject = told(&record);
            let is_one = matches!(reject.reason, Reason::NotInference | Reason::NotJson);
            assert!(is_one && reject.to_string().contains(words) || words == "instance", "{words}: {reject}");
        }
        let mut unnamed = captured(&input, &input);
        unnamed["eventMetadata"]["eventId"] = json!("");
        assert_eq!(told(&unnamed).reason, Reason::NoId);
        let mut untimed = captured(&input, &input);
        untimed["eventMetadata"]["inferenceTime"] = json!("soon");
        assert_eq!(told(&untimed).reason, Reason::BadTime);
    }
}
