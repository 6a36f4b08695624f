use std::collections::BTreeMap;

use super::*;
use crate::decode::decoder::{Decoded, Format};
use crate::decode::fixture::Fixture;
use crate::decode::wire::Wire;
use crate::event::FieldMap;

const DATA: &str = r#"{"model":"flights","version":"3","score":0.5,"features":{"amount":12.5,"carrier":"AA"}}"#;
const EXPECTED: &str = r#"{"model":"flights","prediction_id":"p-1","ts":"2026-11-28T10:00:00.25Z","version":"3","score":0.5,
    "latency_ms":12.5,"features":{"amount":12.5,"carrier":"AA"}}"#;

struct Map(BTreeMap<&'static str, &'static [u8]>);

impl Headers for Map {
    fn header(&self, name: &CStr) -> Option<&[u8]> {
        self.0.get(name.to_str().ok()?).copied()
    }
}

fn headers(more: &[(&'static str, &'static [u8])]) -> Map {
    let usual: [(&str, &[u8]); 6] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"p-1"),
        ("ce_type", b"com.example.prediction"),
        ("ce_time", b"2026-11-28T10:00:00.25Z"),
        ("ce_tookms", b"12.5"),
        ("content-type", b"application/json"),
    ];
    Map(usual.into_iter().chain(more.iter().copied()).collect())
}

fn structured(data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"p-1","source":"/s","type":"t","time":"2026-11-28T10:00:00.25Z","tookms":12.5,"more":null,{data}}}"#
    )
}

fn fixture(wire: Wire) -> Fixture {
    let mut fields = FieldMap::default();
    for (field, key) in [(Field::Ts, "ce_time"), (Field::PredictionId, "ce_id"), (Field::LatencyMs, "ce_tookms")] {
        fields.put(field, vec![key.to_owned()]);
    }
    Fixture::with(&Format { fields, wire, cloudevents: true, ..Format::default() })
}

fn refused(bytes: &[u8], headers: Option<&dyn Headers>, reason: Reason, says: &str) {
    let reject = fixture(Wire::Json).message(bytes, headers).unwrap_err();
    assert!(reject.reason == reason && reject.detail.contains(says), "{says}: {reject}");
}

#[test]
fn both_modes_give_the_row_of_a_json_event() {
    let expected = Fixture::json(EXPECTED).held();
    let binary = headers(&[]);
    let named = Map([("content-type", "application/cloudevents+json; charset=UTF-8".as_bytes())].into());
    let coded = STANDARD.encode(DATA);
    for (value, headers) in [
        (DATA.to_owned(), Some(&binary as &dyn Headers)),
        (structured(&format!(r#""data":{DATA}"#)), Some(&named)),
        (structured(&format!(r#""data": {DATA} "#)), None),
        (format!("\u{feff}{}", structured(&format!(r#""data":null,"data_base64":"{coded}""#))), None),
        (structured(&format!(r#""data_base64":"{coded}""#)).replace("2026", "\\u0032026"), None),
    ] {
        let mut events = fixture(Wire::Json);
        assert_eq!(events.message(value.as_bytes(), headers), Ok(Decoded::Row(0)), "{value}");
        assert_eq!(events.held(), expected, "{value}");
    }
}

#[test]
fn attributes_of_the_event_before_are_forgotten() {
    let mut events = fixture(Wire::Json);
    assert_eq!(events.message(DATA.as_bytes(), Some(&headers(&[]))), Ok(Decoded::Row(0)));
    let bare = Map([("ce_specversion", &b"1.0"[..])].into());
    assert_eq!(events.message(DATA.as_bytes(), Some(&bare)).unwrap_err().reason, Reason::NoTime);
}

#[test]
fn what_is_no_cloudevent_is_refused_with_a_reason() {
    let bad = Reason::BadCloudevent;
    refused(DATA.as_bytes(), None, bad, "it has no header ce_specversion, and its value has no `specversion`");
    refused(structured(r#""x":1"#).as_bytes(), None, bad, "no data");
    refused(structured(r#""data":null"#).as_bytes(), None, bad, "no data");
    refused(structured(r#""data_base64":"***""#).as_bytes(), None, bad, "not base64");
    refused(structured(r#""data_base64":{}"#).as_bytes(), None, bad, "is no text");
    refused(structured(r#""data":{},"id":"2""#).as_bytes(), None, Reason::DuplicateKey, "ce_id");
    refused(structured(r#""data":{},"data":{}"#).as_bytes(), None, Reason::DuplicateKey, "data stands twice");
    refused(structured(r#""data":[1]"#).as_bytes(), None, Reason::NotJson, "an object");
    refused(structured(r#""data":{}"#).replace("\"p-1\"", "[]").as_bytes(), None, bad, "an array or object");
    refused(b"", None, Reason::NotJson, "cut short");
    refused(b"{}", Some(&headers(&[("ce_id", b"\xff")])), bad, "the header ce_id is not UTF-8");
    let data = DATA.replace("\"score\"", "\"ce_id\":\"x\",\"score\"");
    refused(data.as_bytes(), Some(&headers(&[])), Reason::DuplicateKey, "ce_id");
    for form in ["-batch+json", "+avro"] {
        let form = format!("application/cloudevents{form}");
        let named = Map([("content-type", form.leak().as_bytes())].into());
        refused(b"[]", Some(&named), bad, "one in each message");
    }
}

#[test]
fn data_of_another_format_stands_in_base64_in_structured_mode() {
    use crate::decode::avro::Writer;
    use std::sync::Arc;
    let schema = r#"{"type":"record","name":"E","fields":[{"name":"model","type":"string"},{"name":"version","type":"string"},
        {"name":"score","type":"double"},{"name":"features","type":{"type":"record","name":"F","fields":[
        {"name":"amount","type":"double"},{"name":"carrier","type":"string"}]}}]}"#;
    let wire = Wire::AvroOf(Arc::new(Writer::parse(schema, &[]).unwrap()));
    let mut value = b"\x0eflights\x023".to_vec();
    value.extend(0.5_f64.to_le_bytes());
    value.extend(12.5_f64.to_le_bytes());
    value.extend(b"\x04AA");
    let expected = Fixture::json(EXPECTED).held();
    let mut events = fixture(wire.clone());
    assert_eq!(events.message(&value, Some(&headers(&[]))), Ok(Decoded::Row(0)));
    assert_eq!(events.held(), expected);
    let mut events = fixture(wire);
    let text = structured(&format!(r#""data_base64":"{}""#, STANDARD.encode(&value)));
    assert_eq!(events.message(text.as_bytes(), None), Ok(Decoded::Row(0)));
    assert_eq!(events.held(), expected);
    let reject = events.message(structured(r#""data":{}"#).as_bytes(), None).unwrap_err();
    assert!(reject.detail.contains("stands in `data_base64`"), "{reject}");
}
