//! Messages of a schema registry's serializers.

use std::path::Path;
use std::sync::Arc;

use driftgate_core::decode::avro::Writer;
use driftgate_core::decode::decoder::{Decoded, EventDecoder, Format};
use driftgate_core::decode::framing::SchemaRef;
use driftgate_core::decode::protobuf::Definitions;
use driftgate_core::decode::time::TimeFormat;
use driftgate_core::decode::wire::{Found, Schemas, Wire};
use driftgate_core::event::{EventKind, Field, FieldMap, Limits, PredictionBatch};
use driftgate_core::pipeline::batch::{Batch, decode};
use driftgate_core::policy;
use driftgate_core::schema::Schema;

use super::targets::{POLICY, Target};

/// Messages behind a schema registry's frame: what follows the schema's id is foreign.
pub struct AvroMessages;

const AVRO: &str = r#"{"type": "record", "name": "P", "fields": [
    {"name": "prediction_id", "type": ["null", "string", "bytes"]}, {"name": "version", "type": "string"},
    {"name": "ts", "type": {"type": "long", "logicalType": "local-timestamp-micros"}}, {"name": "score", "type": ["float", "null"]},
    {"name": "next", "type": ["null", "P"]}, {"name": "kpi", "type": {"type": "map", "values": ["null", "int"]}},
    {"name": "features", "type": {"type": "record", "name": "F", "fields": [
        {"name": "x", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        {"name": "c", "type": {"type": "enum", "name": "C", "symbols": ["a", "b"]}},
        {"name": "others", "type": {"type": "array", "items": {"type": "fixed", "name": "D", "size": 3}}}]}}]}"#;

/// Protobuf behind a frame.
pub struct ProtobufMessages;

const PROTOBUF: &str = r#"syntax = "proto3"; package x; import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
    message P { string prediction_id = 1; string version = 2; google.protobuf.Timestamp ts = 3;
        oneof outcome { double score = 4; string none = 5; } optional P next = 6; map<string, int32> kpi = 7; F features = 8; }
    message F { google.protobuf.DoubleValue x = 1; enum C { a = 0; b = 1; } C c = 2; repeated sint64 others = 3; }"#;

/// One schema for all ids that are known.
#[derive(Debug)]
struct OneSchema(Found);

impl Schemas for OneSchema {
    fn find(&self, at: SchemaRef) -> Found {
        match at {
            SchemaRef::Id(1) => self.0.clone(),
            SchemaRef::Id(_) => Found::Refused("no such schema".into()),
            SchemaRef::Guid(_) => Found::Waits,
        }
    }
}

/// CloudEvents in structured mode.
pub struct CloudEvents;

/// Whether a message is an event.
fn is_event(format: Format, input: &[u8]) -> bool {
    let policy = policy::parse(POLICY, Path::new("policy.yaml")).unwrap();
    let time = TimeFormat { zone: Some(jiff::tz::TimeZone::UTC), ..TimeFormat::default() };
    let format = Format { time, model: Some(0), ..format };
    let schema = Arc::new(Schema::new(&policy));
    let mut decoder = EventDecoder::new(&[Arc::clone(&schema)], &format, EventKind::Predictions, Limits::default());
    let mut out = [<PredictionBatch as Batch>::empty(&schema)];
    decode(&mut decoder, input, i64::MAX / 2, &mut out) == Ok(Decoded::Row(0))
}

impl Target for AvroMessages {
    fn take(&self, input: &[u8]) -> bool {
        let schema = Found::Avro(Arc::new(Writer::parse(AVRO, &[]).unwrap()));
        is_event(Format { wire: Wire::Avro(Arc::new(OneSchema(schema))), ..Format::default() }, input)
    }
}

impl Target for ProtobufMessages {
    fn take(&self, input: &[u8]) -> bool {
        let schema = Found::Protobuf(Arc::new(Definitions::parse("x.proto", PROTOBUF, |_| None).unwrap()));
        is_event(Format { wire: Wire::Protobuf(Arc::new(OneSchema(schema))), ..Format::default() }, input)
    }
}

impl Target for CloudEvents {
    fn take(&self, input: &[u8]) -> bool {
        let mut fields = FieldMap::default();
        fields.put(Field::PredictionId, vec!["ce_id".to_owned()]);
        fields.put(Field::Ts, vec!["ce_time".to_owned()]);
        is_event(Format { fields, cloudevents: true, ..Format::default() }, input)
    }
}
