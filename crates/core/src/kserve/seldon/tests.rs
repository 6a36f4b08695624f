//! Messages that a library writes by the protocol's definition, read by ours.

use std::ffi::CStr;

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _};
use serde_json::{Value, json};

use super::super::settings::Settings;
use super::*;
use crate::event::Limits;

/// The protocol's definition, as far as it is read, by its published numbers of fields.
const PROTO: &str = r#"
    syntax = "proto3";
    package inference;
    message InferParameter { oneof parameter_choice { bool bool_param = 1; int64 int64_param = 2; string string_param = 3; } }
    message InferTensorContents {
      repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3; repeated uint32 uint_contents = 4;
      repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6; repeated double fp64_contents = 7; repeated bytes bytes_contents = 8;
    }
    message ModelInferRequest {
      message InferInputTensor { string name = 1; string datatype = 2; repeated int64 shape = 3; map<string, InferParameter> parameters = 4; InferTensorContents contents = 5; }
      message InferRequestedOutputTensor { string name = 1; map<string, InferParameter> parameters = 2; }
      string model_name = 1; string model_version = 2; string id = 3; map<string, InferParameter> parameters = 4;
      repeated InferInputTensor inputs = 5; repeated InferRequestedOutputTensor outputs = 6; repeated bytes raw_input_contents = 7;
    }
    message ModelInferResponse {
      message InferOutputTensor { string name = 1; string datatype = 2; repeated int64 shape = 3; map<string, InferParameter> parameters = 4; InferTensorContents contents = 5; }
      string model_name = 1; string model_version = 2; string id = 3; map<string, InferParameter> parameters = 4;
      repeated InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6;
    }
"#;

/// A message of the definition, from its JSON, by a library that does not know our structures.
fn message(name: &str, json: &Value) -> Vec<u8> {
    struct Text;
    impl protox::file::FileResolver for Text {
        fn open_file(&self, _: &str) -> Result<protox::file::File, protox::Error> {
            protox::file::File::from_source("inference.proto", PROTO)
        }
    }
    let mut compiler = protox::Compiler::with_file_resolver(Text);
    compiler.open_file("inference.proto").unwrap();
    let pool: DescriptorPool = compiler.descriptor_pool();
    let of = pool.get_message_by_name(&format!("inference.{name}")).unwrap();
    let mut built = DynamicMessage::new(of);
    fill(&mut built, json);
    built.encode_to_vec()
}

/// Sets the fields of a message by JSON: bytes as texts, messages as objects.
fn fill(message: &mut DynamicMessage, json: &Value) {
    for (key, value) in json.as_object().unwrap() {
        let field = message.descriptor().get_field_by_name(key).unwrap();
        if field.is_map() {
            let entries = value.as_object().unwrap().iter().map(|(key, value)| {
                let kind = field.kind().as_message().unwrap().map_entry_value_field().kind();
                (prost_reflect::MapKey::String(key.clone()), of_kind(&kind, value))
            });
            message.set_field(&field, prost_reflect::Value::Map(entries.collect()));
        } else if field.is_list() {
            let all = value.as_array().unwrap().iter().map(|value| of_kind(&field.kind(), value));
            message.set_field(&field, prost_reflect::Value::List(all.collect()));
        } else {
            message.set_field(&field, of_kind(&field.kind(), value));
        }
    }
}

fn of_kind(kind: &prost_reflect::Kind, value: &Value) -> prost_reflect::Value {
    use prost_reflect::{Kind, Value as Set};
    let whole = || value.as_i64().unwrap();
    match kind {
        Kind::String => Set::String(value.as_str().unwrap().to_owned()),
        Kind::Bytes => match value {
            Value::String(text) => Set::Bytes(text.clone().into_bytes().into()),
            bytes => Set::Bytes(serde_json::from_value::<Vec<u8>>(bytes.clone()).unwrap().into()),
        },
        Kind::Bool => Set::Bool(value.as_bool().unwrap()),
        Kind::Int32 => Set::I32(i32::try_from(whole()).unwrap()),
        Kind::Int64 => Set::I64(whole()),
        Kind::Uint32 => Set::U32(u32::try_from(whole()).unwrap()),
        Kind::Uint64 => Set::U64(value.as_u64().unwrap()),
        #[expect(clippy::cast_possible_truncation, reason = "the values of these tests are short")]
        Kind::Float => Set::F32(value.as_f64().unwrap() as f32),
        Kind::Double => Set::F64(value.as_f64().unwrap()),
        Kind::Message(of) => {
            let mut inner = DynamicMessage::new(of.clone());
            fill(&mut inner, value);
            Set::Message(inner)
        }
        other => unreachable!("{other:?} is no kind of the protocol"),
    }
}

struct Record(Option<&'static [u8]>, Option<&'static [u8]>);

impl Headers for Record {
    fn header(&self, name: &CStr) -> Option<&[u8]> {
        self.0.filter(|_| name == c"x-request-id")
    }

    fn key(&self) -> Option<&[u8]> {
        self.1
    }
}

/// The id of a message, and its JSON.
fn read(is_responses: bool, value: &[u8], record: &Record) -> Result<(String, Value), Reject> {
    let settings = Settings { score: vec!["x".into(), "0".into()], ..Settings::default() };
    let limits = Limits::default();
    let mut messages = SeldonMessages::new(OipBodies::new(&settings, None, limits), is_responses, limits);
    let mut into = Inference::default();
    let mut bodies = Bodies::new(&settings, limits.depth);
    let found = messages.read(value, Some(record), Some(5), &mut bodies, &mut into)?;
    let side = if is_responses { Side::Response } else { Side::Request };
    assert_eq!((found, into.half(side).ts), (Found::Half(side), 5));
    Ok((into.id, serde_json::from_slice(&messages.json).unwrap()))
}

const KEYED: Record = Record(None, Some(b"0.iris.c1f2"));

#[test]
fn contents_of_every_type_are_read() {
    let contents = [
        ("BOOL", json!({"bool_contents": [true, false]}), json!([true, false])),
        ("INT16", json!({"int_contents": [-3, 4]}), json!([-3, 4])),
        ("INT64", json!({"int64_contents": [-9_007_199_254_740_993_i64, 4]}), json!([-9_007_199_254_740_993_i64, 4])),
        ("UINT8", json!({"uint_contents": [3, 4]}), json!([3, 4])),
        ("UINT64", json!({"uint64_contents": [u64::MAX, 4]}), json!([u64::MAX, 4])),
        ("FP32", json!({"fp32_contents": [0.5, -2.25]}), json!([0.5, -2.25])),
        ("FP64", json!({"fp64_contents": [0.1, 4.0]}), json!([0.1, 4.0])),
        ("BYTES", json!({"bytes_contents": ["a", "é"]}), json!(["a", "é"])),
    ];
    for (datatype, contents, data) in contents {
        let tensor = json!({"name": "x", "datatype": datatype, "shape": [2, 1], "contents": contents});
        let request = json!({"model_name": "iris_1", "inputs": [tensor], "outputs": [{"name": "p"}], "parameters": {"v": {"string_param": "7"}}});
        let (id, body) = read(false, &message("ModelInferRequest", &request), &KEYED).unwrap();
        assert_eq!(id, "c1f2");
        assert_eq!((&body["inputs"][0]["data"], &body["inputs"][0]["shape"]), (&data, &json!([2, 1])), "{datatype}");
        assert_eq!((&body["parameters"]["v"], &body["model_name"]), (&json!("7"), &json!("iris_1")));
        let response = json!({"model_name": "iris_1", "model_version": "1", "outputs": [tensor]});
        let (_, body) = read(true, &message("ModelInferResponse", &response), &KEYED).unwrap();
        assert_eq!((&body["outputs"][0]["data"], &body["model_version"]), (&data, &json!("1")), "{datatype}");
    }
}

#[test]
fn raw_contents_of_every_type_are_read() {
    let bytes = |each: [&[u8]; 2]| json!([each.concat()]);
    let raw = [
        ("BOOL", bytes([&[1], &[0]]), json!([true, false])),
        ("INT8", bytes([&(-3_i8).to_le_bytes(), &[4]]), json!([-3, 4])),
        ("INT16", bytes([&(-300_i16).to_le_bytes(), &4_i16.to_le_bytes()]), json!([-300, 4])),
        ("INT32", bytes([&(-70_000_i32).to_le_bytes(), &4_i32.to_le_bytes()]), json!([-70_000, 4])),
        ("INT64", bytes([&i64::MIN.to_le_bytes(), &4_i64.to_le_bytes()]), json!([i64::MIN, 4])),
        ("UINT8", bytes([&[200], &[4]]), json!([200, 4])),
        ("UINT16", bytes([&60_000_u16.to_le_bytes(), &4_u16.to_le_bytes()]), json!([60_000, 4])),
        ("UINT32", bytes([&u32::MAX.to_le_bytes(), &4_u32.to_le_bytes()]), json!([u32::MAX, 4])),
        ("UINT64", bytes([&u64::MAX.to_le_bytes(), &4_u64.to_le_bytes()]), json!([u64::MAX, 4])),
        // 1.5 and the largest number; 1.5 and what is no number: as numpy and ml_dtypes write them.
        ("FP16", bytes([&[0x00, 0x3e], &[0xff, 0x7b]]), json!([1.5, 65504.0])),
        ("BF16", bytes([&[0xc0, 0x3f], &[0xc0, 0x7f]]), json!([1.5, null])),
        ("FP32", bytes([&0.5_f32.to_le_bytes(), &f32::NAN.to_le_bytes()]), json!([0.5, null])),
        ("FP64", bytes([&0.1_f64.to_le_bytes(), &f64::INFINITY.to_le_bytes()]), json!([0.1, null])),
        ("BYTES", bytes([b"\x02\0\0\0ab", b"\0\0\0\0"]), json!(["ab", ""])),
    ];
    for (datatype, raw, data) in raw {
        let tensor = json!({"name": "x", "datatype": datatype, "shape": [2]});
        let request = json!({"inputs": [tensor], "raw_input_contents": raw});
        let (_, body) = read(false, &message("ModelInferRequest", &request), &KEYED).unwrap();
        assert_eq!(body["inputs"][0]["data"], data, "{datatype}");
        let response = json!({"outputs": [tensor], "raw_output_contents": raw});
        let (_, body) = read(true, &message("ModelInferResponse", &response), &KEYED).unwrap();
        assert_eq!(body["outputs"][0]["data"], data, "{datatype}");
    }
}

#[test]
fn ids_are_the_headers_the_keys_or_the_bodys_and_frames_are_passed_over() {
    let bare = message("ModelInferRequest", &json!({"id": "body"}));
    let id = |value: &[u8], record: Record| read(false, value, &record).map(|(id, _)| id);
    assert_eq!(id(&bare, Record(Some(b"header"), Some(b"0.iris.key"))).unwrap(), "header");
    assert_eq!(id(&bare, Record(Some(b""), Some(b"0.iris.key"))).unwrap(), "key");
    assert_eq!(id(&bare, Record(None, Some(b"key"))).unwrap(), "key");
    assert_eq!(id(&bare, Record(None, None)).unwrap(), "body");
    assert_eq!(id(&[], Record(None, None)).unwrap_err().reason, Reason::NoId);
    let frames: [&[u8]; 2] = [&[0, 0, 0, 0, 9, 0], &[&[1][..], &[7; 16], &[2, 0]].concat()];
    for frame in frames {
        assert_eq!(id(&[frame, &bare].concat(), Record(None, None)).unwrap(), "body");
    }
}

#[test]
fn what_is_no_message_of_the_side_is_told() {
    let told = |is_responses: bool, value: &[u8]| read(is_responses, value, &KEYED).unwrap_err();
    let refused = |json: &Value| told(false, &message("ModelInferRequest", json));
    assert_eq!(told(false, b"{\"inputs\": []}").reason, Reason::NotInference);
    assert_eq!(told(true, &[0, 0, 0]).reason, Reason::BadFrame);
    let of = |datatype: &str, raw: &[u8]| json!({"inputs": [{"name": "x", "datatype": datatype, "shape": [1]}], "raw_input_contents": [raw]});
    for (raw, why) in [
        (of("FP32", &[1, 2, 3]), "3 bytes are no whole number of values of 4"),
        (of("BYTES", &[9, 0, 0, 0, 1]), "ends within a value"),
        (of("BYTES", &[1, 0, 0]), "ends within a value"),
        (of("BYTES", &[1, 0, 0, 0, 255]), "not UTF-8"),
        (of("FP16", &[0, 0, 0]), "3 bytes are no whole number of values of 2"),
        (of("FP8", &[0]), "are not read"),
        (json!({"inputs": [], "raw_input_contents": [[1]]}), "0 tensors, and raw contents of 1"),
    ] {
        let said = refused(&raw);
        assert!(said.reason == Reason::NotInference && said.detail.contains(why), "{said}");
    }
}
