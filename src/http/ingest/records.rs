//! The records that the body of a request becomes. CloudEvents go from their HTTP binding to their Kafka binding (CloudEvents 1.0.2: HTTP Protocol
//! Binding 3, Kafka Protocol Binding 3): in binary mode attributes become headers `ce_…`, without the percent-encoding of HTTP; in structured mode the body stays as
//! it is; a batch becomes a record for each event. Any other body is the value of a record as it is. The partition key of an event
//! (extension `partitionkey`) is the record's.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::problem::Problem;
use crate::sink::ingest::Event;

const STRUCTURED: &str = "application/cloudevents";
const BATCH: &str = "application/cloudevents-batch";
/// What binary mode begins the names of attributes with, over HTTP and in Kafka.
const OVER_HTTP: &str = "ce-";
const IN_KAFKA: &str = "ce_";

/// Records of a request.
pub fn of(headers: &HeaderMap, body: Vec<u8>) -> Result<Vec<Event>, Problem> {
    if body.is_empty() {
        // A record without a value says that its key is deleted.
        return Err(Problem::bad_request("the body is empty: send an event"));
    }
    let content = match headers.get(CONTENT_TYPE) {
        None => None,
        Some(content) => Some(content.to_str().map_err(|_| not_text("content-type"))?),
    };
    let media = content.map(|content| content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match media.as_deref() {
        Some("application/cloudevents-batch+json") => batch(&body),
        Some(media) if media.starts_with(BATCH) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("a batch of events is read as application/cloudevents-batch+json, and this is {media}"),
        )),
        Some(media) if media.starts_with(STRUCTURED) => Ok(vec![structured(content.unwrap_or(media), body)]),
        _ => Ok(vec![binary(headers, content, body)?]),
    }
}

/// What is looked at of an event in structured mode.
#[derive(Deserialize)]
struct Keyed {
    partitionkey: Option<String>,
}

fn structured(content: &str, value: Vec<u8>) -> Event {
    // What is no event is a dead letter once it is read.
    let key = serde_json::from_slice::<Keyed>(&value).ok().and_then(|event| event.partitionkey);
    Event { key: key.map(String::into_bytes), headers: vec![("content-type".into(), content.into())], value }
}

fn batch(body: &[u8]) -> Result<Vec<Event>, Problem> {
    let events: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|e| Problem::bad_request(format!("the body is no batch of events, which is a JSON array: {e}")))?;
    Ok(events.into_iter().map(|event| structured("application/cloudevents+json", event.get().into())).collect())
}

/// An event in binary mode, or a plain body, which has no attributes.
fn binary(headers: &HeaderMap, content: Option<&str>, value: Vec<u8>) -> Result<Event, Problem> {
    let mut event = Event { value, ..Event::default() };
    if let Some(content) = content {
        event.headers.push(("content-type".into(), content.into()));
    }
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(OVER_HTTP) else { continue };
        let value: Vec<u8> = percent_decode(value.as_bytes()).collect();
        if std::str::from_utf8(&value).is_err() {
            return Err(not_text(name.as_str()));
        }
        if attribute == "partitionkey" {
            event.key = Some(value.clone());
        }
        event.headers.push((format!("{IN_KAFKA}{attribute}"), value));
    }
    Ok(event)
}

fn not_text(name: &str) -> Problem {
    Problem::bad_request(format!("the header {name} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn records(headers: &[(&str, &str)], body: &str) -> Result<Vec<Event>, String> {
        let name = |name: &str| name.parse::<HeaderName>().unwrap();
        let value = |value: &str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = headers.iter().map(|(n, v)| (name(n), value(v))).collect();
        of(&headers, body.into()).map_err(|problem| problem.to_string())
    }

    fn event(key: Option<&str>, headers: &[(&str, &str)], value: &str) -> Event {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Event { key: key.map(|key| key.as_bytes().to_vec()), headers, value: value.into() }
    }

    #[test]
    fn attributes_become_headers_of_kafka_and_bodies_stay_as_they_are() {
        let sent = [
            ("content-type", "application/json"),
            ("ce-id", "a%20b%C3%A9"),
            ("Ce-Specversion", "1.0"),
            ("ce-partitionkey", "k"),
            ("user-agent", "x"),
        ];
        let all = [
            ("content-type", "application/json"),
            ("ce_id", "a bé"),
            ("ce_specversion", "1.0"),
            ("ce_partitionkey", "k"),
        ];
        assert_eq!(records(&sent, "{}"), Ok(vec![event(Some("k"), &all, "{}")]));
        assert_eq!(records(&[], "{}"), Ok(vec![event(None, &[], "{}")]));
        let structured = [("content-type", "Application/CloudEvents+JSON; charset=utf-8")];
        let keyed = r#"{"id": "1", "partitionkey": "p"}"#;
        assert_eq!(records(&structured, keyed), Ok(vec![event(Some("p"), &structured, keyed)]));
        assert_eq!(records(&structured, "nope"), Ok(vec![event(None, &structured, "nope")]));
    }

    #[test]
    fn a_batch_becomes_a_record_for_each_event_and_what_is_none_is_told() {
        let batch = [("content-type", "application/cloudevents-batch+json")];
        let one = [("content-type", "application/cloudevents+json")];
        let found = records(&batch, r#"[{"id": "1", "partitionkey": "p"}, {"n": 1.50}]"#);
        let first = event(Some("p"), &one, r#"{"id": "1", "partitionkey": "p"}"#);
        assert_eq!(found, Ok(vec![first, event(None, &one, r#"{"n": 1.50}"#)]));
        assert_eq!(records(&batch, "[]"), Ok(Vec::new()));
        assert!(records(&batch, "{}").unwrap_err().contains("no batch of events"));
        let avro = records(&[("content-type", "application/cloudevents-batch+avro")], "x").unwrap_err();
        assert!(avro.contains("read as application/cloudevents-batch+json"), "{avro}");
        assert!(records(&[], "").unwrap_err().contains("the body is empty"));
        assert_eq!(records(&[("ce-id", "%ff")], "{}"), Err("the header ce-id is not UTF-8".to_owned()));
    }
}
