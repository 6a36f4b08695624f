//! `sources:`: which topics hold which events, and the place of each field in a message.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;

use super::key::{Key, default, names, optional, required};
use super::reader::ConfigReader;
use super::schemas::{SourceFormat, responses};
use crate::sink::ingest::{IngestConfig, UNDER};
use driftgate_core::decode::time::{FUTURE_MS, TimeFormat, zone};
use driftgate_core::event::{EventKind, Field, FieldMap, TimeUnit};
use driftgate_core::yaml::{Item, units};

/// One topic of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    pub topic: String,
    /// The topic of the responses to its requests, where they have one of their own; it is a source behind the listed ones.
    pub responses: Option<String>,
    /// The topic of the requests that its events answer, where that is another.
    pub requests: Option<String>,
    /// Where its events are taken over HTTP, too.
    pub http: Option<IngestConfig>,
    pub kind: EventKind,
    pub format: SourceFormat,
    pub fields: FieldMap,
    /// The models that the events are for; empty: the one an event names.
    pub models: Vec<String>,
    /// The model of events that name none.
    pub model: Option<String>,
    /// How its times are written.
    pub time: TimeFormat,
    /// Texts of CSV files that mean null, in place of the policy's or the usual ones.
    pub null_values: Option<Vec<String>>,
}

impl SourceConfig {
    /// The source of the responses to its requests, where these have a topic of their own.
    fn answers(&self) -> Option<Self> {
        let topic = self.responses.clone()?;
        let format = self.format.of_responses();
        Some(Self { topic, http: None, format, responses: None, requests: Some(self.topic.clone()), ..self.clone() })
    }
}

pub(super) fn sources(reader: &ConfigReader<'_>, item: &Item) -> Option<Vec<SourceConfig>> {
    let mut topics: HashMap<String, usize> = HashMap::new();
    let (mut sources, mut answers) = (Vec::new(), Vec::new());
    for (place, item) in item.list("sources")?.iter().enumerate() {
        let Some(source) = source(reader, item) else { continue };
        for topic in std::iter::once(&source.topic).chain(&source.responses) {
            if let Some(first) = topics.get(topic) {
                item.report(format!(
                    "the topic \"{topic}\" is read by sources[{first}] already: keep one source per topic"
                ));
            } else {
                topics.insert(topic.clone(), place);
            }
        }
        answers.extend(source.answers());
        taken_twice(&sources, &source, item);
        sources.push(source);
    }
    sources.extend(answers);
    if sources.is_empty() && item.list("").is_some_and(|items| items.is_empty()) {
        return item.fail("expected at least one source: write {topic: predictions, kind: predictions}");
    }
    Some(sources)
}

/// Reports a path that two sources take.
fn taken_twice(sources: &[SourceConfig], source: &SourceConfig, item: &Item) {
    let name = |source: &SourceConfig| source.http.as_ref().map(|http| http.name.clone());
    let Some(own) = name(source) else { return };
    if let Some(first) = sources.iter().position(|other| name(other).as_ref() == Some(&own)) {
        item.report(format!(
            "\"{UNDER}{own}\" is the path of sources[{first}] already: give each source a path of its own"
        ));
    }
}

pub const SOURCE: [Key; 16] = [
    required("topic", "topic", "Topic that is read. A topic has one source."),
    optional(
        "http",
        "path or mapping",
        "Path of HTTP (`/events/kserve`) at which events are taken, too: each is in the topic before it is answered with 202.",
    ),
    required("kind", "`predictions`, `labels`, `features` or `measurements`", "What its events are."),
    default(
        "format",
        "`json`, `json_schema`, `avro`, `protobuf`, `cloudevents`, `kserve`, `oip`, `mlserver`, `seldon`, `sagemaker` or `databricks`",
        "json",
        "How its messages are written. `json_schema`, `avro` and `protobuf` are as serializers of a schema registry write them. `cloudevents`: in binary or structured \
         mode; a field at `/ce_time` is the attribute `time`, any other pointer is one into the data. `kserve`: requests and responses of KServe's logger, in whichever partitions of the topic. `oip`: the same as bodies of the Open Inference Protocol by themselves. `mlserver`: the same, with the record's key as id, as MLServer's Kafka topics have them. `seldon`: the same as Protobuf, as the topics of Seldon Core 2 have them; without `inference.responses` the events of Seldon Core 1's logger, and with `kind: labels` its feedback. `sagemaker`: \
         records of SageMaker's data capture, and with `kind: labels` of its ground truth. `databricks`: rows of Databricks' inference tables, in files.",
    ),
    optional(
        "data_format",
        "`json`, `json_schema`, `avro` or `protobuf`",
        "How the data of CloudEvents is written. If it is left out, as JSON.",
    ),
    optional(
        "inference",
        "mapping",
        "What requests and responses mean (`format: kserve`, `oip`, `mlserver`, `seldon`, `sagemaker` or `databricks`).",
    ),
    optional(
        "kserve",
        "mapping",
        "What requests and responses of KServe's logger mean (`format: kserve`); the same as `inference`.",
    ),
    optional(
        "schema",
        "mapping",
        "Schema of Avro or Protobuf messages without a frame, in place of the schema registry's.",
    ),
    default(
        "fields",
        "mapping",
        "{}",
        "Places of fields in a message, as JSON pointers: `{label: /outcome}`. Other fields are read at the top, under their own names.",
    ),
    default(
        "models",
        "list of models",
        "[]",
        "Models that its events are for, if the events do not name one. Write either `models` or `model`.",
    ),
    optional("model", "text", "Model of events that name none."),
    default(
        "rename",
        "mapping",
        "{}",
        "Features by their name in the message, to their name in the policy: `{cust_age: age}`.",
    ),
    default(
        "timestamp",
        "`rfc3339_or_ms`, `s`, `ms`, `us` or `ns`",
        "rfc3339_or_ms",
        "How `ts` is written. With `rfc3339_or_ms` a text is RFC 3339 and a number is milliseconds; digits in quotes are numbers, too.",
    ),
    optional(
        "timezone",
        "text",
        "Time zone (UTC, Europe/Berlin, +02:00) of times that are written without one. If it is left out, such times are refused.",
    ),
    default(
        "future",
        "duration",
        "1m",
        "How far ahead an event's time may lie. Further ahead of its record's timestamp, the event is rejected. Further ahead of its partition's pace, the time closes \
         no window until two other events confirm it.",
    ),
    optional("null_values", "list of texts", "Texts of CSV files that mean null (`driftgate replay --config`)."),
];

fn source(reader: &ConfigReader<'_>, item: &Item) -> Option<SourceConfig> {
    let map = item.map(const { &names(&SOURCE) })?;
    let topic = map.require("topic", "predictions").and_then(|item| topic(&item));
    let kinds = EventKind::LISTED.map(|kind| (kind.name(), kind));
    let kind = map.require("kind", "predictions").and_then(|item| item.choice(&kinds));
    let http = map.get("http").map(|item| reader.ingest(&item));
    let format = reader.source_format(&map).map(|format| format.of_kind(kind));
    if let (Some(format), Some(kind), Some(item)) = (&format, kind, map.get("kind"))
        && !format.reads(kind)
    {
        item.report("requests and responses are predictions: write `kind: predictions`");
    }
    let responses = responses(&map).map(|item| ConfigReader::responses(&map, &item));
    let fields = map.get("fields").map_or_else(|| Some(FieldMap::default()), |item| fields(&item));
    let models = map.get("models").map_or_else(|| Some(Vec::new()), |item| models(&item));
    let model = map.get("model").and_then(|item| item.name("a model's name")).map(str::to_owned);
    if let (Some(item), Some(_)) = (map.get("model"), map.get("models")) {
        item.report("both `model` and `models`: keep `model` for events that name none, or `models` for events that are for several");
    }
    let rename = map.get("rename").map_or_else(|| Some(BTreeMap::new()), |item| rename(&item));
    let unit = map.get("timestamp").map_or(Some(TimeUnit::default()), |item| item.choice(&TimeUnit::KEYS));
    let timezone = map.get("timezone").map(|item| item.convert("a time zone", time_zone));
    let timezone = timezone.map_or(Some(None), |zone| zone.map(Some));
    let future = map.get("future").map_or(Some(FUTURE_MS), |item| item.convert("a duration", units::duration));
    let null_values = match map.get("null_values") {
        Some(item) => item.texts("texts that mean null").map(Some),
        None => Some(None),
    };
    Some(SourceConfig {
        topic: topic?,
        responses: match responses {
            Some(responses) => Some(responses?),
            None => None,
        },
        requests: None,
        http: match http {
            Some(http) => Some(http?),
            None => None,
        },
        kind: kind?,
        format: format?,
        fields: FieldMap { rename: rename?, ..fields? },
        models: models?,
        model,
        time: TimeFormat { unit: unit?, zone: timezone?, future: future? },
        null_values: null_values?,
    })
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    zone(name).ok_or_else(|| {
        format!(
            "expected a time zone, read {}: write UTC, a name such as Europe/Berlin or an offset such as +02:00",
            units::quote(name)
        )
    })
}

/// A topic's name, by Kafka's rules.
pub(super) fn topic(item: &Item) -> Option<String> {
    let name = item.text("a topic")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.len() > 249 || !name.bytes().all(legal) || matches!(name, "." | "..") {
        return item.fail(format!(
            "expected a topic, read {}: use at most 249 of A-Z, a-z, 0-9, `.`, `_` and `-`",
            units::quote(name)
        ));
    }
    Some(name.to_owned())
}

fn fields(item: &Item) -> Option<FieldMap> {
    let map = item.map(Field::NAMES)?;
    let mut fields = FieldMap::default();
    for (name, item) in map.entries() {
        let Some(field) = Field::of_name(name) else { continue };
        if let Some(pointer) = item.convert("a JSON pointer", pointer) {
            fields.put(field, pointer);
        }
    }
    Some(fields)
}

/// The parts of a JSON pointer; the pointer to the whole message (the empty text) holds no field.
pub(super) fn pointer(text: &str) -> Result<Vec<String>, String> {
    let read = units::quote(text);
    let Some(parts) = text.strip_prefix('/') else {
        let example = if text.is_empty() { "outcome".to_owned() } else { text.replace('.', "/") };
        return Err(format!("expected a JSON pointer, read {read}: begin it with a slash, like \"/{example}\""));
    };
    parts
        .split('/')
        .map(|part| {
            unescape(part).ok_or_else(|| {
                format!("expected a JSON pointer, read {read}: after `~` comes 0 (for `~`) or 1 (for `/`)")
            })
        })
        .collect()
}

fn unescape(part: &str) -> Option<String> {
    let mut plain = String::with_capacity(part.len());
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '~' => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

fn models(item: &Item) -> Option<Vec<String>> {
    let mut models: Vec<String> = Vec::new();
    for item in item.list("models")? {
        let Some(model) = item.name("a model's name") else {
            continue;
        };
        if models.iter().any(|other| other == model) {
            item.report(format!("{} is named twice: keep one", units::quote(model)));
        } else {
            models.push(model.to_owned());
        }
    }
    Some(models)
}

fn rename(item: &Item) -> Option<BTreeMap<String, String>> {
    let mut rename: BTreeMap<String, String> = BTreeMap::new();
    for (from, item) in item.open_map("a mapping such as {cust_age: age}")?.entries() {
        let Some(to) = item.name("the feature's name in the policy") else {
            continue;
        };
        if let Some((other, _)) = rename.iter().find(|(_, known)| *known == to) {
            item.report(format!("`{other}` and `{from}` are both renamed to {}: keep one", units::quote(to)));
        } else {
            rename.insert(from.to_owned(), to.to_owned());
        }
    }
    Some(rename)
}
