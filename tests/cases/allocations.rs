//! No allocation an event: decoding and counting reuse their memory.

use std::ffi::CStr;
use std::sync::Arc;

use driftgate::replay::reference;
use driftgate_core::decode::avro::Writer;
use driftgate_core::decode::cloudevents::Headers;
use driftgate_core::decode::decoder::{EventDecoder, Format, Message};
use driftgate_core::decode::protobuf::Definitions;
use driftgate_core::decode::wire::Wire;
use driftgate_core::event::{EventKind, Field, Limits, PredictionBatch};
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{DecoderId, Setup, SourceId};
use driftgate_core::pipeline::Pipeline;
use driftgate_core::pipeline::batch::{decode, decode_message};

use crate::counting::allocations;
use crate::mlserver::field;

#[path = "allocations/joined.rs"]
mod joined;

const EVENTS: usize = 10_000;
const BATCH: usize = 1000;
const RULES: &str = "checks:\n  drift:\n    window: {size: 1h, slide: 5m}\n    rules:\n    - psi: {of: features, lt: 0.2}\n    - psi: {id: score, of: score, lt: 0.2}\n    - ks_p: {of: features, gte: 0.01}\n";

/// A model with a numeric and a categorical feature, a score and a segment, and what feeds it.
struct Feed {
    decoder: EventDecoder,
    batch: [PredictionBatch; 1],
    pipeline: Pipeline,
    source: SourceId,
    id: DecoderId,
    job: Job,
}

impl Feed {
    fn new(labels: &str, wire: Wire) -> Self {
        Self::with(labels, &Format { wire, ..Format::default() })
    }

    fn with(labels: &str, format: &Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rows = (0..2000).map(|i| format!("{}.25,c{},0.{}\n", i % 700, i % 30, i % 97));
        std::fs::write(folder.path().join("v1.csv"), rows.fold("x,c,score\n".to_owned(), |all, row| all + &row))
            .unwrap();
        let text = format!(
            "apiVersion: driftgate/v1\nmodel: m\nbaseline: {{snapshot: \"v{{version}}.csv\", columns: {{score: score}}}}\n\
             features: {{numeric: [x], categorical: [c]}}\nscore: {{threshold: 0.5}}\nsegments: [s]\n{labels}{RULES}"
        );
        let policy = Arc::new(driftgate_core::policy::parse(&text, &folder.path().join("policy.yaml")).unwrap());
        let pipeline = Pipeline::new(Arc::clone(&policy), Setup::default(), 1);
        let mut intake = pipeline.intake();
        intake.set_reference("1", reference(&policy, "1", None, 1));
        let (source, id) = (intake.add_source(EventKind::Predictions, 60_000, None), intake.add_decoder());
        let schema = Arc::clone(intake.schema());
        drop(intake);
        Self {
            decoder: EventDecoder::new(&[schema], format, EventKind::Predictions, Limits::default()),
            batch: [PredictionBatch::new(1, 1, 1)],
            pipeline,
            source,
            id,
            job: Job::default(),
        }
    }

    fn decode(&mut self, events: &[impl AsRef<[u8]>]) {
        for event in events {
            decode(&mut self.decoder, event.as_ref(), i64::MAX / 2, &mut self.batch).unwrap();
        }
    }

    fn count(&mut self) {
        let [batch] = &mut self.batch;
        let mut intake = self.pipeline.intake();
        intake.learn(self.id, batch);
        assert!(intake.unknown_versions(batch).is_empty());
        intake.translate(self.id, batch);
        self.pipeline.admit(&mut intake, self.source, batch, &mut self.job);
        drop(intake);
        self.pipeline.count(0, batch, &self.job);
        batch.clear();
    }

    fn run(&mut self, events: &[impl AsRef<[u8]>]) {
        for events in events.chunks(BATCH) {
            self.decode(events);
            self.count();
        }
    }
}

/// Events of one pane; every value and category has come by once all were seen.
fn events(first: usize) -> Vec<String> {
    let event = |i: usize| {
        format!(
            r#"{{"prediction_id":"e{:09}","model":"m","version":"1","ts":{},"score":0.{},"features":{{"x":{}.5,"c":"c{}"}},"stage":"prod","segments":{{"s":"s{}"}}}}"#,
            first + i,
            600_000 + i % 1000,
            1 + i % 89,
            i % 900,
            i % 40,
            i % 7
        )
    };
    (0..EVENTS).map(event).collect()
}

#[test]
fn decoding_and_counting_allocate_nothing_once_all_was_seen() {
    let mut feed = Feed::new("", Wire::Json);
    let seen = events(0);
    feed.run(&seen);
    let fresh = events(EVENTS);
    assert_eq!(allocations(|| feed.run(&fresh)), 0, "decoded, admitted and counted {EVENTS} events");
    // Against a real baseline: without one nothing would be located.
    assert!(feed.pipeline.intake().versions().all(|(_, name, v)| name == "1" && v.baseline().is_some()));
    let counters = feed.pipeline.counters();
    assert_eq!((counters.predictions, counters.late, counters.after_close), (2 * EVENTS as u64, 0, 0));
}

const AVRO: &str = r#"{"type": "record", "name": "P", "fields": [
    {"name": "prediction_id", "type": "string"}, {"name": "model", "type": "string"}, {"name": "version", "type": "string"},
    {"name": "ts", "type": "long"}, {"name": "score", "type": ["null", "double"]},
    {"name": "features", "type": {"type": "record", "name": "F", "fields": [
        {"name": "x", "type": "float"}, {"name": "c", "type": ["null", "string"]}]}},
    {"name": "stage", "type": "string"}, {"name": "segments", "type": {"type": "map", "values": "string"}}]}"#;

#[test]
fn decoding_and_counting_avro_allocates_nothing_once_all_was_seen() {
    let schema = apache_avro::Schema::parse_str(AVRO).unwrap();
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
    let values = |first: usize| -> Vec<Vec<u8>> {
        let value = |event: &String| {
            let json: serde_json::Value = serde_json::from_str(event).unwrap();
            writer
                .write_value_to_vec(apache_avro::types::Value::try_from(json).unwrap().resolve(&schema).unwrap())
                .unwrap()
        };
        events(first).iter().map(value).collect()
    };
    let mut feed = Feed::new("", Wire::AvroOf(Arc::new(Writer::parse(AVRO, &[]).unwrap())));
    feed.run(&values(0));
    let fresh = values(EVENTS);
    assert_eq!(allocations(|| feed.run(&fresh)), 0, "decoded, admitted and counted {EVENTS} events");
    let counters = feed.pipeline.counters();
    assert_eq!((counters.predictions, counters.late, counters.after_close), (2 * EVENTS as u64, 0, 0));
}

const PROTOBUF: &str = r#"syntax = "proto3"; message P { string prediction_id = 1; string model = 2; string version = 3; int64 ts = 4;
    optional double score = 5; F features = 6; string stage = 7; map<string, string> segments = 8;
    message F { optional float x = 1; optional string c = 2; } }"#;

/// An event as a message of `PROTOBUF`.
fn as_protobuf(event: &str) -> Vec<u8> {
    let json: serde_json::Value = serde_json::from_str(event).unwrap();
    let text =
        |number: u8, value: &serde_json::Value| value.as_str().map_or(vec![], |text| field(number, text.as_bytes()));
    let varint = |mut number: u64| {
        let mut bytes = Vec::new();
        while number >= 128 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    };
    let mut features = text(2, &json["features"]["c"]);
    if let Some(x) = json["features"]["x"].as_f64() {
        features.push(1 << 3 | 5);
        features.extend(x.to_string().parse::<f32>().unwrap().to_le_bytes());
    }
    let mut out = [text(1, &json["prediction_id"]), text(2, &json["model"]), text(3, &json["version"])].concat();
    out.push(4 << 3);
    out.extend(varint(json["ts"].as_u64().unwrap()));
    if let Some(score) = json["score"].as_f64() {
        out.push(5 << 3 | 1);
        out.extend(score.to_le_bytes());
    }
    out.extend(field(6, &features));
    out.extend(text(7, &json["stage"]));
    for (name, value) in json["segments"].as_object().into_iter().flatten() {
        out.extend(field(8, &[field(1, name.as_bytes()), text(2, value)].concat()));
    }
    out
}

#[test]
fn decoding_and_counting_protobuf_allocates_nothing_once_all_was_seen() {
    let values = |first: usize| events(first).iter().map(|event| as_protobuf(event)).collect::<Vec<_>>();
    let definitions = Definitions::parse("p.proto", PROTOBUF, |_| None).unwrap().of_message(None).unwrap();
    let mut feed = Feed::new("", Wire::ProtobufOf(Arc::new(definitions)));
    feed.run(&values(0));
    let fresh = values(EVENTS);
    assert_eq!(allocations(|| feed.run(&fresh)), 0, "decoded, admitted and counted {EVENTS} events");
    let counters = feed.pipeline.counters();
    assert_eq!((counters.predictions, counters.late, counters.after_close), (2 * EVENTS as u64, 0, 0));
}

/// Attributes of an event in binary mode.
struct Attributes(String);

impl Headers for Attributes {
    fn header(&self, name: &CStr) -> Option<&[u8]> {
        match name.to_bytes() {
            b"ce_specversion" => Some(b"1.0"),
            b"content-type" => Some(b"application/json"),
            b"ce_id" => Some(self.0.as_bytes()),
            b"ce_source" | b"ce_type" => Some(b"a"),
            _ => None,
        }
    }
}

#[test]
fn decoding_and_counting_cloudevents_allocates_nothing_once_all_was_seen_in_either_mode() {
    let mut format = Format { cloudevents: true, ..Format::default() };
    format.fields.put(Field::PredictionId, vec!["ce_id".to_owned()]);
    let structured = |first: usize| {
        let of = |(i, event): (usize, String)| {
            format!(r#"{{"specversion":"1.0","id":"e{:09}","source":"a","type":"a","data":{event}}}"#, first + i)
        };
        events(first).into_iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let mut feed = Feed::with("", &format);
    feed.run(&structured(0));
    let fresh = structured(EVENTS);
    assert_eq!(allocations(|| feed.run(&fresh)), 0, "{EVENTS} events in structured mode");
    assert_eq!(feed.pipeline.counters().predictions, 2 * EVENTS as u64);

    let binary = |first: usize| {
        let of = |(i, event): (usize, String)| (Attributes(format!("e{:09}", first + i)), event);
        events(first).into_iter().enumerate().map(of).collect::<Vec<_>>()
    };
    let mut feed = Feed::with("", &format);
    let run = |feed: &mut Feed, events: &[(Attributes, String)]| {
        for events in events.chunks(BATCH) {
            for (attributes, event) in events {
                let headers = Some(attributes as &dyn Headers);
                let message =
                    Message { value: event.as_bytes(), schema_header: None, headers, record_ts: i64::MAX / 2 };
                decode_message(&mut feed.decoder, message, &mut feed.batch).unwrap();
            }
            feed.count();
        }
    };
    run(&mut feed, &binary(0));
    let fresh = binary(EVENTS);
    assert_eq!(allocations(|| run(&mut feed, &fresh)), 0, "{EVENTS} events in binary mode");
    assert_eq!(feed.pipeline.counters().predictions, 2 * EVENTS as u64);
}

#[test]
fn what_waits_for_labels_takes_memory_by_the_thousand() {
    let mut feed = Feed::new("labels: {horizon: 1h}\n", Wire::Json);
    // So many that the parts of the index have just grown.
    const BEFORE: usize = 12;
    (0..BEFORE).for_each(|n| feed.run(&events(n * EVENTS)));
    let fresh = events(BEFORE * EVENTS);
    let decoding = allocations(|| feed.decode(&fresh[..BATCH]));
    assert_eq!(decoding, 0, "decoded {BATCH} events");
    feed.count();
    let joining = allocations(|| feed.run(&fresh[BATCH..]));
    assert!(joining <= 20, "{joining} allocations while {} predictions were put aside", EVENTS - BATCH);
    assert_eq!(feed.pipeline.intake().waiting().0, (BEFORE + 1) * EVENTS);
}
