//! Values written by `prost-reflect`, and by hand where no serializer writes them, against what JSON events with the same values give.

#![allow(clippy::float_cmp, reason = "values are passed on, not computed")]

use std::sync::Arc;

use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MapKey, Value};

use super::super::Reason;
use super::super::decoder::Decoded;
use super::super::fixture::{Fixture, Known};
use super::super::framing::Indexes;
use super::super::wire::{Found, Wire};
use super::Definitions;

/// Decodes what was written by these schemas.
fn reader(schemas: &[&str]) -> Fixture {
    let all = schemas.iter().map(|text| Found::Protobuf(Arc::new(defined(text))));
    Fixture::of(Wire::Protobuf(Arc::new(Known(all.collect()))))
}

/// Decodes one message without a frame.
fn bare(schema: &str) -> Fixture {
    Fixture::of(Wire::ProtobufOf(Arc::new(defined(schema).of_message(None).unwrap())))
}

fn defined(text: &str) -> Definitions {
    Definitions::parse("schema.proto", text, |_| None).unwrap()
}

/// The bytes of a message with these fields.
fn written(schema: &str, message: &[u32], fields: Vec<(&str, Value)>) -> Vec<u8> {
    built(schema, message, fields).encode_to_vec()
}

fn built(schema: &str, message: &[u32], fields: Vec<(&str, Value)>) -> DynamicMessage {
    let mut message = DynamicMessage::new(defined(schema).message(Indexes::of(message)).unwrap());
    for (name, value) in fields {
        message.set_field_by_name(name, value);
    }
    message
}

fn framed(id: u32, indexes: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), indexes, value].concat()
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

const PREDICTION: &str = r#"syntax = "proto3";
    package com.example;
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/wrappers.proto";
    message Other { int32 a = 1; }
    message Prediction {
        enum Carrier { NONE = 0; AA = 1; UA = 2; }
        message Features {
            google.protobuf.DoubleValue amount = 1;
            sint64 age = 2;
            Carrier carrier = 3;
            uint64 code = 4;
            optional string origin = 5;
            map<string, float> of_other_models = 6;
        }
        string prediction_id = 1;
        string model = 2;
        oneof named { int32 version = 3; string alias = 11; }
        google.protobuf.Timestamp ts = 4;
        double score = 5;
        optional bool error = 6;
        repeated string trace = 7;
        repeated int32 packed = 8;
        Features features = 9;
        map<string, int32> kpi = 10;
        google.protobuf.Duration latency_ms = 100;
    }"#;
/// The second message of the file.
const SECOND: &[u8] = &[2, 2];

fn prediction() -> Vec<u8> {
    let wrapper = |x: f64| {
        let pool = prost_reflect::DescriptorPool::global();
        let mut wrapped = DynamicMessage::new(pool.get_message_by_name("google.protobuf.DoubleValue").unwrap());
        wrapped.set_field_by_number(1, Value::F64(x));
        Value::Message(wrapped)
    };
    let of_time = |name: &str, seconds: i64, nanos: i32| {
        let pool = prost_reflect::DescriptorPool::global();
        let mut time = DynamicMessage::new(pool.get_message_by_name(name).unwrap());
        time.set_field_by_number(1, Value::I64(seconds));
        time.set_field_by_number(2, Value::I32(nanos));
        time.encode_to_vec()
    };
    let inner = vec![
        ("age", Value::I64(-41)),
        ("carrier", Value::EnumNumber(2)),
        ("code", Value::U64(u64::MAX)),
        ("origin", text("Zürich")),
        ("of_other_models", Value::Map([(MapKey::String("a".to_owned()), Value::F32(1.5))].into())),
    ];
    let mut features = written(PREDICTION, &[1, 0], inner);
    // Messages of other pools are written by hand: field, length, bytes.
    let put = |into: &mut Vec<u8>, tag: &[u8], bytes: &[u8]| {
        into.extend(tag);
        into.push(u8::try_from(bytes.len()).unwrap());
        into.extend(bytes);
    };
    let Value::Message(amount) = wrapper(-123.45) else { unreachable!() };
    put(&mut features, &[0x0a], &amount.encode_to_vec());
    let fields = vec![
        ("prediction_id", text("p-1")),
        ("model", text("trains")),
        ("version", Value::I32(7)),
        ("score", Value::F64(0.25)),
        ("error", Value::Bool(true)),
        ("trace", Value::List(vec![text("a"), text("b")])),
        ("packed", Value::List(vec![Value::I32(1), Value::I32(300)])),
        ("kpi", Value::Map([(MapKey::String("ctr".to_owned()), Value::I32(1))].into())),
    ];
    let mut whole = written(PREDICTION, &[1], fields);
    put(&mut whole, &[0x4a], &features);
    put(&mut whole, &[0x22], &of_time("google.protobuf.Timestamp", 1_700_000_000, 123_456_789));
    put(&mut whole, &[0xa2, 0x06], &of_time("google.protobuf.Duration", 1, 500_000_000));
    whole
}

#[test]
fn a_value_gives_what_json_with_the_same_values_gives() {
    let mut proto = reader(&[PREDICTION]);
    assert_eq!(proto.read(&framed(0, SECOND, &prediction())), Ok(Decoded::Row(1)), "the value names its model");
    let json = Fixture::json(
        r#"{"prediction_id": "p-1", "model": "trains", "version": 7, "ts": 1700000000123, "score": 0.25, "error": true,
            "latency_ms": 1500,
            "features": {"amount": -123.45, "age": -41, "carrier": "UA", "code": 18446744073709551615, "origin": "Zürich"},
            "kpi": {"ctr": 1}}"#,
    );
    assert_eq!(proto.held(), json.held());
    assert_eq!(proto.out[1].ts, [1_700_000_000_123]);
}

#[test]
fn what_is_not_there_is_the_default_of_a_field_without_presence_and_else_missing() {
    let implicit = r#"syntax = "proto3"; message P { string prediction_id = 1; string model = 2; string version = 3; int64 ts = 4;
        double score = 5; F features = 6; enum C { UNKNOWN = 0; AA = 1; }
        message F { double amount = 1; int32 age = 2; C carrier = 3; string code = 4; string origin = 5; } }"#;
    let explicit =
        implicit.replace("double amount", "optional double amount").replace("int32 age", "optional int32 age");
    let explicit =
        explicit.replace("C carrier =", "optional C carrier =").replace("string code", "optional string code");
    let explicit =
        explicit.replace("string origin", "optional string origin").replace("double score", "optional double score");
    let old =
        explicit.replace("proto3", "proto2").replace("string ", "optional string ").replace("int64", "required int64");
    let old = old.replace("optional optional", "optional").replace("F features", "optional F features");
    let old = old.replace("optional int32 age = 2", "optional int32 age = 2 [default = 9]");
    // The features are there, and hold nothing.
    let event = b"\x0a\x01p\x12\x07flights\x1a\x01v\x20\x05\x32\x00";
    for (schema, score, features) in [
        (implicit, "0", r#"{"amount": 0, "age": 0, "carrier": "UNKNOWN", "code": "", "origin": ""}"#),
        (explicit.as_str(), "null", "{}"),
        (old.as_str(), "null", "{}"),
    ] {
        let mut proto = bare(schema);
        proto.read(event).unwrap();
        let json = Fixture::json(&format!(
            r#"{{"prediction_id": "p", "model": "flights", "version": "v", "ts": 5, "score": {score}, "features": {features}}}"#
        ));
        assert_eq!(proto.held(), json.held(), "{schema}");
    }
    // What comes again, and out of order, does not stand for what never comes.
    let amount = [&[9][..], &2.5_f64.to_le_bytes()].concat();
    let features = [&[0x10, 7][..], &amount, &[0x10, 7], &amount, &[0x10, 7]].concat();
    let mut proto = bare(implicit);
    proto.read(&[&event[..event.len() - 1], &[u8::try_from(features.len()).unwrap()], &features].concat()).unwrap();
    let json = r#"{"prediction_id": "p", "model": "flights", "version": "v", "ts": 5, "score": 0,
        "features": {"amount": 2.5, "age": 7, "carrier": "UNKNOWN", "code": "", "origin": ""}}"#;
    assert_eq!(proto.held(), Fixture::json(json).held());
    // Features that are not there have no defaults, and neither has the time.
    let mut proto = bare(implicit);
    proto.read(&event[..event.len() - 2]).unwrap();
    let json = r#"{"prediction_id": "p", "model": "flights", "version": "v", "ts": 5, "score": 0}"#;
    assert_eq!(proto.held(), Fixture::json(json).held());
    assert_eq!(proto.read(b"\x0a\x01p\x12\x07flights\x1a\x01v").unwrap_err().reason, Reason::NoTime);
    assert_eq!(proto.read(b"\x0a\x01p\x12\x07flights\x20\x05").unwrap_err().reason, Reason::NoVersion);
    assert_eq!(proto.read(b"").unwrap_err().reason, Reason::NoModel);
}

#[test]
fn fields_may_come_go_move_and_be_of_other_types() {
    let old = r#"syntax = "proto3"; message P { string gone = 1; float score = 2; int64 ts = 3; string version = 4;
        fixed64 prediction_id = 5; bytes model = 6; }"#;
    let new = r#"syntax = "proto3"; message Extra { string ts = 1; } message Outer { message P { string model = 1; Extra extra = 2;
        string ts = 9; sfixed32 version = 4; optional double score = 5; uint32 predictionId = 7; } }"#;
    let mut proto = reader(&[old, new]);
    let first = written(
        old,
        &[0],
        vec![
            ("gone", text("x")),
            ("score", Value::F32(0.1)),
            ("ts", Value::I64(1_700_000_000_000)),
            ("version", text("-3")),
            ("prediction_id", Value::U64(u64::MAX)),
            ("model", Value::Bytes("flights".into())),
        ],
    );
    let new_fields = new.replace("predictionId", "prediction_id");
    let second = written(
        &new_fields,
        &[1, 0],
        vec![
            ("model", text("flights")),
            ("extra", Value::Message(built(&new_fields, &[0], vec![("ts", text("never"))]))),
            ("ts", text("2023-11-14T22:13:20Z")),
            ("version", Value::I32(-3)),
            ("prediction_id", Value::U32(8)),
        ],
    );
    let mut proto_new = reader(&[old, &new_fields]);
    for fixture in [&mut proto, &mut proto_new] {
        fixture.read(&framed(0, &[0], &first)).unwrap();
    }
    proto_new.read(&framed(1, &[4, 2, 0], &second)).unwrap();
    proto_new.read(&framed(0, &[2, 0], &first)).unwrap();
    let mut json = Fixture::of(Wire::Json);
    for (id, score) in [("18446744073709551615", "0.1"), ("8", "null"), ("18446744073709551615", "0.1")] {
        let event = format!(
            r#"{{"model": "flights", "prediction_id": "{id}", "ts": 1700000000000, "version": "-3", "score": {score}}}"#
        );
        json.read(event.as_bytes()).unwrap();
    }
    assert_eq!(proto_new.held(), json.held());
    let reject = proto.read(&framed(1, &[4, 2, 2], &second)).unwrap_err();
    assert!(reject.reason == Reason::UnknownSchema && reject.detail.contains("[1, 1]"), "{reject}");
}

#[test]
fn the_last_of_several_values_counts_and_messages_are_merged() {
    let schema = r#"syntax = "proto3"; message P { string prediction_id = 1; string model = 2; string version = 3; int64 ts = 4;
        F features = 5; message F { double amount = 1; double age = 2; repeated double code = 3; map<string, string> unread = 4; } }"#;
    let mut proto = bare(schema);
    let amount = |x: f64| [&[0x2a, 9, 9][..], &x.to_le_bytes()].concat();
    let age = [&[0x2a, 9, 0x11][..], &7_f64.to_le_bytes()].concat();
    let event =
        [b"\x0a\x01o\x12\x07flights\x1a\x01v\x20\x05", &amount(1.0)[..], &age, b"\x0a\x01p\x20\x06", &amount(2.0)]
            .concat();
    proto.read(&event).unwrap();
    // An unknown group with one inside, and a list where a text is expected.
    let unknown = b"\xfb\x01\x08\x05\xfb\x01\xfc\x01\xfc\x01";
    let list = [0x2a, 10, 0x1a, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    proto.read(&[&event[..], unknown, &list].concat()).unwrap();
    let mut json = Fixture::of(Wire::Json);
    for code in ["", r#", "code": [0]"#] {
        let event = format!(
            r#"{{"prediction_id": "p", "model": "flights", "version": "v", "ts": 6, "score": null, "features": {{"amount": 2, "age": 7{code}}}}}"#
        );
        json.read(event.as_bytes()).unwrap();
    }
    assert_eq!(proto.held(), json.held());
}

#[test]
fn structs_maps_and_groups_are_read() {
    let schema = r#"syntax = "proto2"; import "google/protobuf/struct.proto"; message P { optional string prediction_id = 1;
        optional string model = 2; optional string version = 3; optional int64 ts = 4; optional google.protobuf.Struct features = 5;
        optional group Inner = 6 { optional string unread = 1; } map<string, google.protobuf.Value> kpi = 7; }"#;
    let mut proto = bare(schema);
    let value = |key: &str, value: &[u8]| {
        let entry = [
            &[0x0a, u8::try_from(key.len()).unwrap()],
            key.as_bytes(),
            &[0x12, u8::try_from(value.len()).unwrap()],
            value,
        ]
        .concat();
        [&[0x0a, u8::try_from(entry.len()).unwrap()][..], &entry].concat()
    };
    let number = [&[0x11][..], &2.5_f64.to_le_bytes()].concat();
    let fields = [
        value("amount", &number),
        value("age", b"\x1a\x01x"),
        value("carrier", b"\x1a\x02AA"),
        value("code", b"\x20\x01"),
        value("origin", b"\x08\x00"),
        value("unread", b"\x32\x00"),
    ]
    .concat();
    let kpi = value("ctr", b"\x20\x01");
    let event = [
        &b"\x0a\x01p\x12\x07flights\x1a\x01v\x20\x05\x33\x0a\x01x\x34\x2a"[..],
        &[u8::try_from(fields.len()).unwrap()],
        &fields,
        &[0x3a],
        &kpi[1..],
    ]
    .concat();
    proto.read(&event).unwrap();
    let json = Fixture::json(
        r#"{"prediction_id": "p", "model": "flights", "version": "v", "ts": 5,
            "features": {"amount": 2.5, "age": "x", "carrier": "AA", "code": true, "origin": null}, "kpi": {"ctr": true}}"#,
    );
    assert_eq!(proto.held(), json.held());
    let list = r#"syntax = "proto3"; message P { map<string, double> features = 1; string model = 2; }"#;
    assert!(Definitions::parse("a.proto", list, |_| None).unwrap().of_message(Some("Q")).is_err());
}

#[test]
fn definitions_are_read_as_text_as_base64_and_as_a_set() {
    use base64::Engine as _;
    let common = r#"syntax = "proto3"; package shared; message Features { double amount = 1; }"#;
    let event = r#"syntax = "proto3"; import "lib/common.proto"; import "confluent/meta.proto";
        message P { string model = 1 [(confluent.field_meta).doc = "its model"]; shared.Features features = 2; }"#;
    let import = |name: &str| (name == "lib/common.proto").then(|| common.to_owned());
    let whole = Definitions::parse("schema.proto", event, import).unwrap();
    let pool = whole.file.parent_pool();
    let encoded = |name: &str| {
        let file = pool.get_file_by_name(name).unwrap();
        base64::engine::general_purpose::STANDARD.encode(file.encode_to_vec())
    };
    let (own, other) = (encoded("schema.proto"), encoded("lib/common.proto"));
    let packed =
        Definitions::parse("a.proto", &own, move |name| (name == "lib/common.proto").then(|| other.clone())).unwrap();
    assert_eq!(packed.message(Indexes::default()).unwrap().full_name(), "P");
    let set = Definitions::of_set(&pool.encode_to_vec()).unwrap();
    assert_eq!(set.clone().of_message(Some("Features")).unwrap().message.unwrap().full_name(), "shared.Features");
    assert_eq!(set.of_message(Some("shared.Features")).unwrap().message.unwrap().full_name(), "shared.Features");
    for (text, says) in [
        (event, "lib/common.proto"),
        ("syntax = \"proto3\"; message P { Missing m = 1; }", "Missing"),
        ("message P {", "cannot be read"),
        ("{\"type\": \"record\"}", "cannot be read"),
    ] {
        let why = Definitions::parse("schema.proto", text, |_| None).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
    assert!(Definitions::of_set(b"\xff").unwrap_err().contains("--include_imports"));
    assert!(defined("syntax = \"proto3\"; message A {} message B {}").of_message(None).unwrap_err().contains("A, B"));
}

#[test]
fn what_cannot_be_read_is_refused_and_what_is_not_there_yet_waits() {
    let mut proto = reader(&[PREDICTION]);
    let value = prediction();
    let whole = framed(0, SECOND, &value);
    for end in 7..whole.len() {
        // A message that ends between two of its fields is whole: it lacks what is needed, or something that is not.
        if let Err(reject) = proto.read(&whole[..end]) {
            assert!(
                matches!(
                    reject.reason,
                    Reason::NotProtobuf | Reason::NoModel | Reason::NoVersion | Reason::NoTime | Reason::NoId
                ),
                "{reject}"
            );
        }
    }
    let damaged: [(&[u8], &str); 7] = [
        (&[0x0a, 5, b'a'], "5 bytes are to follow, and 1 are there"),
        (&[0x09, 0], "the field 1 has the wire type 1, and not 2"),
        (&[0x0a, 1, 0xff], "is not UTF-8"),
        (&[0x02, 0], "a field has the number 0"),
        (&[0xfc, 0x01], "wire type 4"),
        (&[0xfb, 0x01], "it ends within a number"),
        (&[0xf8, 0x01, 0x80], "it ends within a number"),
    ];
    for (bytes, says) in damaged {
        let reject = proto.read(&framed(0, SECOND, bytes)).unwrap_err();
        assert!(reject.reason == Reason::NotProtobuf && reject.detail.contains(says), "{says}: {reject}");
    }
    let deep = [0xfb, 0x01].repeat(1000);
    assert_eq!(proto.read(&framed(0, SECOND, &deep)).unwrap_err().reason, Reason::TooDeep);
    let reject = proto.read(&framed(4, SECOND, &value)).unwrap_err();
    assert_eq!((reject.reason, reject.detail.as_str()), (Reason::UnknownSchema, "no schema has the id 4"));
    assert_eq!(proto.read(b"{}").unwrap_err().reason, Reason::BadFrame);
    assert_eq!(proto.read(&[&[1][..], &[7; 16], SECOND, &value].concat()), Ok(Decoded::Waits));
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_row_or_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut proto = reader(&[PREDICTION]);
        let _ = proto.read(&framed(0, SECOND, &bytes));
    }

    #[test]
    fn a_flipped_byte_ends_in_a_row_or_a_refusal(at in 5..500_usize, bit in 0..8_u32) {
        let mut proto = reader(&[PREDICTION]);
        let mut whole = framed(0, SECOND, &prediction());
        let at = at % whole.len();
        whole[at] ^= 1_u8 << bit;
        let _ = proto.read(&whole);
    }

    #[test]
    fn numbers_are_those_of_json(amount in any::<i64>(), age in any::<i32>(), score in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
        let schema = r#"syntax = "proto3"; message P { string prediction_id = 1; string model = 2; string version = 3; int64 ts = 4;
            optional double score = 5; F features = 6; message F { sint64 amount = 1; int32 age = 2; sfixed64 code = 3; } }"#;
        let inner = vec![("amount", Value::I64(amount)), ("age", Value::I32(age)), ("code", Value::I64(amount))];
        let value = written(schema, &[0], vec![
            ("prediction_id", text("p")), ("model", text("flights")), ("version", text("1")), ("ts", Value::I64(5)),
            ("score", Value::F64(score)), ("features", Value::Message(built(schema, &[0, 0], inner))),
        ]);
        let mut proto = bare(schema);
        proto.read(&value).unwrap();
        let json = Fixture::json(&format!(
            r#"{{"prediction_id": "p", "model": "flights", "version": "1", "ts": 5, "score": {score:e},
                "features": {{"amount": {amount}, "age": {age}, "code": {amount}}}}}"#
        ));
        prop_assert_eq!(proto.out[0].score.clone(), json.out[0].score.clone());
        prop_assert_eq!(proto.held(), json.held());
    }
}
