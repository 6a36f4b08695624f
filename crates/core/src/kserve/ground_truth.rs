//! Records of `SageMaker`'s ground truth, one a label: `groundTruthData` (`data`, `encoding`) and `eventMetadata` (`eventId`, which is the `inferenceId` of the
//! capture, or else its `eventId`). A record has no time: it is that of the folder that its file lies in (`yyyy/mm/dd/hh`, the hour in which the
//! label was collected), or of the Kafka record. Source: the documentation of `SageMaker` Model Monitor, "Ingest Ground Truth labels".

use super::inference::{Found, Inference};
use super::rows;
use super::tape::write_text;
use crate::decode::{Reason, Reject};

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    ground_truth_data: Data,
    event_metadata: Metadata,
}

#[derive(serde::Deserialize)]
struct Data {
    data: serde_json::Value,
    encoding: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    event_id: String,
}

/// Reads a record with this time (ms): the label as an event in JSON with the names that fields have by default.
///
/// # Errors
/// What is no record of ground truth, one without an id or a time, and data that is no single value.
pub(super) fn read(value: &[u8], record_ts: Option<i64>, into: &mut Inference) -> Result<Found, Reject> {
    let record: Record = match serde_json::from_slice(value) {
        Ok(record) => record,
        Err(e) if e.is_data() => {
            let detail = format!("the line is no record of ground truth with a label and the id of its event: {e}");
            return Err(Reject::new(Reason::NotInference, detail));
        }
        Err(e) => return Err(Reject::new(Reason::NotJson, e.to_string())),
    };
    let id = record.event_metadata.event_id;
    if id.is_empty() {
        return Err(Reject::new(Reason::NoId, "the record has no `eventId`"));
    }
    let ts = record_ts.ok_or_else(|| {
        let detail = "a record of ground truth has no time: its file has to lie in a folder yyyy/mm/dd/hh, as SageMaker asks for";
        Reject::new(Reason::NoTime, detail)
    })?;
    let label = label(&record.ground_truth_data)
        .map_err(|why| Reject::new(Reason::NotInference, format!("the label of {id:?}: {why}")))?;
    let event = &mut into.event;
    event.clear();
    rows::begin(&id, (0, 1), ts, event);
    event.extend_from_slice(b",\"label\":");
    event.extend_from_slice(label.as_bytes());
    event.extend_from_slice(b"}\n");
    into.id = id;
    Ok(Found::Events(1))
}

/// The label as JSON: numbers as they are written, all else as a text.
fn label(data: &Data) -> Result<String, String> {
    if let Some(other) = data.encoding.as_deref().filter(|encoding| !matches!(*encoding, "CSV" | "JSON")) {
        return Err(format!("its encoding is {other:?}: ground truth is read as CSV or JSON"));
    }
    let text = match &data.data {
        serde_json::Value::String(text) => text.trim(),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => return Err("its data is no single value".into()),
        scalar => return Ok(scalar.to_string()),
    };
    if text.is_empty() {
        return Ok("null".into());
    }
    if serde_json::from_str::<serde_json::Number>(text).is_ok() || matches!(text, "true" | "false" | "null") {
        return Ok(text.to_owned());
    }
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).filter(|text| !text.is_empty());
    if text.contains(['\n', ',']) && quoted.is_none() {
        return Err(format!("its data {text:?} is no single value"));
    }
    let mut out = Vec::new();
    write_text(&quoted.map_or_else(|| text.to_owned(), |text| text.replace("\"\"", "\"")), &mut out);
    Ok(String::from_utf8(out).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(data: &serde_json::Value, ts: Option<i64>) -> Result<serde_json::Value, Reject> {
        // The record of the documentation.
        let record =
            json!({"groundTruthData": data, "eventMetadata": {"eventId": "aaaa-bbbb-cccc"}, "eventVersion": "0"});
        let mut into = Inference::default();
        assert_eq!(read(record.to_string().as_bytes(), ts, &mut into)?, Found::Events(1));
        assert!(into.id == "aaaa-bbbb-cccc" && into.event.ends_with(b"}\n"));
        Ok(serde_json::from_slice(&into.event).unwrap())
    }

    #[test]
    fn a_record_is_a_label_with_the_time_of_its_folder() {
        for (data, label) in [
            (json!("1"), json!(1)),
            (json!(" 0.50 "), json!(0.5)),
            (json!("late"), json!("late")),
            (json!("\"a \"\"b\"\", c\""), json!("a \"b\", c")),
            (json!(""), json!(null)),
            (json!(1), json!(1)),
            (json!(true), json!(true)),
            (json!("true"), json!(true)),
        ] {
            let read = read_one(&json!({"data": data, "encoding": "CSV"}), Some(7)).unwrap();
            assert_eq!(read, json!({"prediction_id": "aaaa-bbbb-cccc", "ts": 7, "label": label}));
        }
        assert_eq!(read_one(&json!({"data": "1"}), Some(7)).unwrap()["label"], json!(1));
    }

    #[test]
    fn what_is_no_label_is_told() {
        let told = |data: serde_json::Value| read_one(&data, Some(7)).unwrap_err();
        for (data, words) in [
            (json!({"data": "1,0", "encoding": "CSV"}), "no single value"),
            (json!({"data": [1], "encoding": "JSON"}), "no single value"),
            (json!({"data": "MQ==", "encoding": "BASE64"}), "its encoding is \"BASE64\""),
            (json!({}), "missing field `data`"),
        ] {
            let reject = told(data);
            assert!(reject.reason == Reason::NotInference && reject.detail.contains(words), "{words}: {reject}");
        }
        let reason = |value: &[u8]| read(value, Some(7), &mut Inference::default()).unwrap_err().reason;
        assert_eq!(reason(b"nope"), Reason::NotJson);
        assert_eq!(reason(b"{}"), Reason::NotInference);
        let nameless = br#"{"groundTruthData": {"data": "1"}, "eventMetadata": {"eventId": ""}}"#;
        assert_eq!(reason(nameless), Reason::NoId);
        let timeless = read_one(&json!({"data": "1"}), None).unwrap_err();
        assert!(timeless.reason == Reason::NoTime && timeless.detail.contains("yyyy/mm/dd/hh"), "{timeless}");
    }
}
