//! Values written by the `apache-avro` crate, against what JSON events with the same values give.

#![allow(clippy::float_cmp, reason = "values are passed on, not computed")]

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema as AvroSchema};
use proptest::prelude::*;

use super::super::Reason;
use super::super::decoder::Decoded;
use super::super::fixture::{Fixture, Known};
use super::super::wire::{Found, Wire};
use super::{Lengths, Writer};
use crate::event::Flag;

/// Decodes what was written by these schemas.
fn reader(schemas: &[&str]) -> Fixture {
    let writers = schemas.iter().map(|text| Found::Avro(Arc::new(Writer::parse(text, &[]).unwrap())));
    Fixture::of(Wire::Avro(Arc::new(Known(writers.collect()))))
}

fn written(schema: &str, value: Value) -> Vec<u8> {
    let schema = AvroSchema::parse_str(schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn framed(id: u32, schema: &str, value: Value) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), &written(schema, value)].concat()
}

fn record(fields: Vec<(&str, Value)>) -> Value {
    Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

const PREDICTION: &str = r#"{"type": "record", "name": "Prediction", "namespace": "com.example", "fields": [
    {"name": "prediction_id", "type": "string"},
    {"name": "model", "type": "string"},
    {"name": "version", "type": ["null", "int"], "default": null},
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "score", "type": "double"},
    {"name": "error", "type": ["null", "boolean"]},
    {"name": "trace", "type": {"type": "array", "items": "string"}},
    {"name": "features", "type": {"type": "record", "name": "Features", "fields": [
        {"name": "amount", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}]},
        {"name": "age", "type": "int"},
        {"name": "carrier", "type": {"type": "enum", "name": "Carrier", "symbols": ["AA", "UA"]}},
        {"name": "code", "type": "long"},
        {"name": "origin", "type": ["null", "string"]},
        {"name": "of_other_models", "type": {"type": "map", "values": "float"}}
    ]}},
    {"name": "kpi", "type": {"type": "map", "values": "int"}}
]}"#;

fn prediction() -> Value {
    let features = record(vec![
        ("amount", Value::Union(1, Box::new(Value::Decimal(Decimal::from((-12_345_i32).to_be_bytes()))))),
        ("age", Value::Int(41)),
        ("carrier", Value::Enum(1, "UA".into())),
        ("code", Value::Long(9_007_199_254_740_993)),
        ("origin", Value::Union(1, Box::new(text("Zürich")))),
        ("of_other_models", Value::Map([("a".to_owned(), Value::Float(1.5))].into())),
    ]);
    record(vec![
        ("prediction_id", text("p-1")),
        ("model", text("trains")),
        ("version", Value::Union(1, Box::new(Value::Int(7)))),
        ("ts", Value::TimestampMicros(1_700_000_000_123_456)),
        ("score", Value::Double(0.25)),
        ("error", Value::Union(1, Box::new(Value::Boolean(true)))),
        ("trace", Value::Array(vec![text("a"), text("b")])),
        ("features", features),
        ("kpi", Value::Map([("ctr".to_owned(), Value::Int(1))].into())),
    ])
}

#[test]
fn a_value_gives_what_json_with_the_same_values_gives() {
    let mut avro = reader(&[PREDICTION]);
    assert_eq!(avro.read(&framed(0, PREDICTION, prediction())), Ok(Decoded::Row(1)), "the value names its model");
    let json = Fixture::json(
        r#"{"prediction_id": "p-1", "model": "trains", "version": 7, "ts": 1700000000123, "score": 0.25, "error": true,
            "features": {"amount": -123.45, "age": 41, "carrier": "UA", "code": 9007199254740993, "origin": "Zürich"},
            "kpi": {"ctr": 1}}"#,
    );
    assert_eq!(avro.held(), json.held());
    assert_eq!(avro.out[1].ts, [1_700_000_000_123]);
}

#[test]
fn fields_may_come_go_move_and_be_of_other_types() {
    let old = r#"{"type": "record", "name": "P", "fields": [
        {"name": "id", "type": "int"}, {"name": "score", "type": "float"}, {"name": "ts", "type": "long"},
        {"name": "version", "type": "string"}, {"name": "prediction_id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "model", "type": "string"}]}"#;
    let new = r#"{"type": "record", "name": "P", "fields": [
        {"name": "model", "type": "string"}, {"name": "prediction_id", "type": ["null", "string"]},
        {"name": "extra", "type": {"type": "record", "name": "Extra", "fields": [{"name": "ts", "type": "string"}]}},
        {"name": "ts", "type": "string"}, {"name": "version", "type": "long"}, {"name": "score", "type": ["double", "null"]}]}"#;
    let id = "550e8400-e29b-41d4-a716-446655440000";
    let mut avro = reader(&[old, new]);
    let first = record(vec![
        ("id", Value::Int(1)),
        ("score", Value::Float(0.5)),
        ("ts", Value::Long(1_700_000_000_000)),
        ("version", text("3")),
        ("prediction_id", Value::Uuid(id.parse().unwrap())),
        ("model", text("flights")),
    ]);
    let second = record(vec![
        ("model", text("flights")),
        ("prediction_id", Value::Union(1, Box::new(text("q")))),
        ("extra", record(vec![("ts", text("never"))])),
        ("ts", text("2023-11-14T22:13:20Z")),
        ("version", Value::Long(3)),
        ("score", Value::Union(1, Box::new(Value::Null))),
    ]);
    avro.read(&framed(0, old, first.clone())).unwrap();
    avro.read(&framed(1, new, second)).unwrap();
    avro.read(&framed(0, old, first)).unwrap();
    let mut json = Fixture::of(Wire::Json);
    for (id, score) in [(id, "0.5"), ("q", "null"), (id, "0.5")] {
        let event = format!(
            r#"{{"model": "flights", "prediction_id": "{id}", "ts": 1700000000000, "version": "3", "score": {score}}}"#
        );
        json.read(event.as_bytes()).unwrap();
    }
    assert_eq!(avro.held(), json.held());
}

#[test]
fn a_value_means_the_same_as_in_other_formats() {
    let schema = r#"{"type": "record", "name": "P", "fields": [
        {"name": "prediction_id", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}},
        {"name": "model", "type": "bytes"}, {"name": "version", "type": {"type": "fixed", "name": "Digest", "size": 2}},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}}, {"name": "score", "type": "float"},
        {"name": "latency_ms", "type": "float"}]}"#;
    let value = record(vec![
        ("prediction_id", Value::Decimal(Decimal::from(12_345_678_901_234_567_890_123_i128.to_be_bytes()))),
        ("model", Value::Bytes(b"flights".to_vec())),
        ("version", Value::Fixed(2, vec![0xfe, 0x01])),
        ("ts", Value::TimestampMillis(9)),
        ("score", Value::Float(0.1)),
        ("latency_ms", Value::Float(f32::NAN)),
    ]);
    let mut avro = reader(&[schema]);
    avro.read(&framed(0, schema, value)).unwrap();
    let json = Fixture::json(
        r#"{"prediction_id": 12345678901234567890123, "model": "flights", "version": "fe01", "ts": 9, "score": 0.1}"#,
    );
    assert_eq!(avro.held(), json.held());
    assert_eq!(avro.out[0].score, [0.1]);
}

#[test]
fn a_float32_is_its_shortest_decimal_however_large() {
    let schema = r#"{"type": "record", "name": "P", "fields": [
        {"name": "prediction_id", "type": "string"}, {"name": "model", "type": "string"}, {"name": "version", "type": "string"},
        {"name": "ts", "type": "long"}, {"name": "score", "type": "float"}]}"#;
    let mut avro = reader(&[schema]);
    for score in [0.1, 1e-7, 123_456_790.0, 1e23] {
        let (id, ts) = (text("p"), Value::Long(5));
        let event = [("prediction_id", id), ("model", text("flights")), ("version", text("1")), ("ts", ts)];
        let event = event.into_iter().chain([("score", Value::Float(score))]).collect();
        avro.read(&framed(0, schema, record(event))).unwrap();
    }
    assert_eq!(avro.out[0].score, [0.1, 1e-7, 123_456_790.0, 1e23]);
}

#[test]
fn records_that_hold_themselves_and_references_are_read() {
    let node = r#"{"type": "record", "name": "Node", "namespace": "tree", "fields": [
        {"name": "next", "type": ["null", "Node"]}, {"name": "day", "type": {"type": "int", "logicalType": "date"}}]}"#;
    let event = r#"{"type": "record", "name": "P", "namespace": "events", "fields": [
        {"name": "chain", "type": "tree.Node"}, {"name": "prediction_id", "type": "string"}, {"name": "model", "type": "string"},
        {"name": "version", "type": "string"}, {"name": "ts", "type": {"type": "int", "logicalType": "date"}}]}"#;
    let writer = Writer::parse(event, &[node.to_owned()]).unwrap();
    let mut avro = Fixture::of(Wire::AvroOf(Arc::new(writer)));
    // Two nodes: the branch 1 and the branch 0, each with its day (zig-zag).
    let chain: &[u8] = &[2, 0, 4, 6];
    let value = [chain, b"\x04p1\x0eflights\x02v", &[0xd0, 0x92, 0x02]].concat();
    assert_eq!(avro.read(&value), Ok(Decoded::Row(0)));
    assert_eq!(avro.out[0].ts, [17_576 * 86_400_000]);
    // A chain that is longer than what may be nested.
    let deep = [vec![2; 1000], vec![0]].concat();
    assert_eq!(avro.read(&deep).unwrap_err().reason, Reason::TooDeep);
    let missing = Writer::parse(event, &[]).unwrap_err();
    assert!(missing.contains("tree.Node"), "{missing}");
    assert!(Writer::parse("\"string\"", &[]).unwrap_err().contains("of a record"));
}

#[test]
fn what_cannot_be_read_is_refused_and_what_is_not_there_yet_waits() {
    let mut avro = reader(&[PREDICTION]);
    let whole = framed(0, PREDICTION, prediction());
    for end in 5..whole.len() {
        let reject = avro.read(&whole[..end]).unwrap_err();
        assert_eq!(reject.reason, Reason::NotAvro, "cut behind {end} bytes: {reject}");
    }
    let reject = avro.read(&[&whole[..], &[0]].concat()).unwrap_err();
    assert!(reject.detail.contains("1 bytes follow the value"), "{reject}");
    let reject = avro.read(&framed(4, PREDICTION, prediction())).unwrap_err();
    assert_eq!((reject.reason, reject.detail.as_str()), (Reason::UnknownSchema, "no schema has the id 4"));
    assert_eq!(avro.read(b"{}").unwrap_err().reason, Reason::BadFrame);
    assert_eq!(avro.read(&[&[1][..], &[7; 16], &whole[5..]].concat()), Ok(Decoded::Waits));
    assert_eq!(avro.read(&whole), Ok(Decoded::Row(1)), "what was refused leaves nothing behind");
    assert_eq!(avro.held(), {
        let mut only = reader(&[PREDICTION]);
        only.read(&whole).unwrap();
        only.held()
    });
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_row_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut avro = reader(&[PREDICTION]);
        let _ = avro.read(&[&[0, 0, 0, 0, 0][..], &bytes].concat());
    }

    #[test]
    fn a_flipped_byte_ends_in_a_row_or_a_refusal(at in 5..100_usize, bit in 0..8_u32) {
        let mut avro = reader(&[PREDICTION]);
        let mut whole = framed(0, PREDICTION, prediction());
        let at = at % whole.len();
        whole[at] ^= 1_u8 << bit;
        let _ = avro.read(&whole);
    }

    #[test]
    fn numbers_are_those_of_json(amount in any::<i64>(), age in any::<i32>(), score in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
        let schema = r#"{"type": "record", "name": "P", "fields": [
            {"name": "prediction_id", "type": "string"}, {"name": "model", "type": "string"}, {"name": "version", "type": "string"},
            {"name": "ts", "type": "long"}, {"name": "score", "type": "double"},
            {"name": "features", "type": {"type": "map", "values": ["int", "long"]}}]}"#;
        let value = record(vec![
            ("prediction_id", text("p")), ("model", text("flights")), ("version", text("1")), ("ts", Value::Long(5)),
            ("score", Value::Double(score)),
            ("features", Value::Map([
                ("amount".to_owned(), Value::Union(1, Box::new(Value::Long(amount)))),
                ("code".to_owned(), Value::Union(1, Box::new(Value::Long(amount)))),
                ("age".to_owned(), Value::Union(0, Box::new(Value::Int(age)))),
            ].into())),
        ]);
        let mut avro = reader(&[schema]);
        avro.read(&framed(0, schema, value)).unwrap();
        let json = Fixture::json(&format!(
            r#"{{"prediction_id": "p", "model": "flights", "version": "1", "ts": 5, "score": {score:e},
                "features": {{"amount": {amount}, "age": {age}, "code": {amount}}}}}"#
        ));
        prop_assert_eq!(avro.out[0].score.clone(), json.out[0].score.clone());
        prop_assert_eq!(avro.held(), json.held());
    }
}

#[test]
fn values_that_stand_one_behind_the_other_are_told_apart() {
    let nested = r#"{"type": "record", "name": "N", "fields": [
        {"name": "next", "type": ["null", "N"]}, {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "xs", "type": {"type": "array", "items": "double"}}]}"#;
    let of = |next: Value, xs: usize| {
        let tags = Value::Map([("a".to_owned(), text("b"))].into());
        record(vec![("next", next), ("tags", tags), ("xs", Value::Array(vec![Value::Double(0.5); xs]))])
    };
    let leaf = |xs| of(Value::Union(0, Box::new(Value::Null)), xs);
    let values = [leaf(0), of(Value::Union(1, Box::new(leaf(3))), 1), leaf(200)];
    let bytes = values.map(|value| written(nested, value));
    let writer = Writer::parse(nested, &[]).unwrap();
    let lengths = Lengths::new(&writer, 32).unwrap();
    let all = bytes.concat();
    let mut rest = &all[..];
    for value in &bytes {
        assert_eq!(lengths.of_first(rest).unwrap(), value.len());
        // A value that is cut is an error.
        assert_eq!(lengths.of_first(&value[..value.len() - 1]).unwrap_err().reason, Reason::NotAvro);
        rest = &rest[value.len()..];
    }
    assert!(rest.is_empty());
    // Deeper than events may be nested.
    assert!(Lengths::new(&writer, 2).unwrap().of_first(&bytes[1]).is_err());
}

#[test]
fn scores_by_class_and_a_class_give_what_json_gives() {
    let schema = r#"{"type": "record", "name": "P", "fields": [
        {"name": "model", "type": "string"}, {"name": "prediction_id", "type": "string"}, {"name": "ts", "type": "long"},
        {"name": "version", "type": "string"}, {"name": "prediction", "type": ["null", "string"]},
        {"name": "scores", "type": {"type": "map", "values": "double"}}]}"#;
    let event = |prediction: Option<&str>, scores: &[(&str, f64)]| {
        let scores = scores.iter().map(|(class, score)| ((*class).to_owned(), Value::Double(*score))).collect();
        record(vec![
            ("model", text("classed")),
            ("prediction_id", text("p")),
            ("ts", Value::Long(1_700_000_000_000)),
            ("version", text("1")),
            (
                "prediction",
                prediction.map_or(Value::Union(0, Box::new(Value::Null)), |p| Value::Union(1, Box::new(text(p)))),
            ),
            ("scores", Value::Map(scores)),
        ])
    };
    let mut avro = reader(&[schema]);
    let mut json = Fixture::of(Wire::Json);
    for (prediction, scores) in [
        (None, &[("c", 0.4), ("b", 0.4), ("a", 0.2)][..]),
        (Some("c"), &[("a", 1.0)]),
        (None, &[("d", 0.9), ("a", 0.1), ("e", 0.2)]),
        (None, &[("d", 0.1), ("c", 0.2)]),
        (Some("d"), &[]),
        (None, &[]),
    ] {
        avro.read(&framed(0, schema, event(prediction, scores))).unwrap();
        let scores: serde_json::Map<String, serde_json::Value> =
            scores.iter().map(|(class, score)| ((*class).to_owned(), (*score).into())).collect();
        let event = serde_json::json!({"model": "classed", "prediction_id": "p", "ts": 1_700_000_000_000_i64, "version": "1", "prediction": prediction, "scores": scores});
        json.read(event.to_string().as_bytes()).unwrap();
    }
    assert_eq!(avro.held(), json.held());
    let found: Vec<Option<f64>> = json.out[2].score.iter().map(|place| Some(*place).filter(|p| !p.is_nan())).collect();
    assert_eq!(found, [Some(1.0), Some(2.0), None, Some(2.0), None, None]);
    assert_eq!(
        json.out[2].decision,
        [Flag::Missing, Flag::Missing, Flag::Invalid, Flag::Missing, Flag::Invalid, Flag::Missing]
    );
}
