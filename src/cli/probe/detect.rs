//! What a message or the start of a file is, by its first bytes and its headers. Sources: the wire format of Confluent's schema registry,
//! the Kafka binding of CloudEvents 1.0, KServe's V1 protocol and the Open Inference Protocol (V2), RFC 1952, RFC 8878, the Avro 1.12
//! and Parquet formats.

use serde_json::{Map, Value};

use driftgate_core::decode::framing::{SchemaRef, unframed};

/// A record of a topic, or a row of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// None for a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Message {
    /// The last header of a name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let named = |(other, _): &&(String, Vec<u8>)| other.eq_ignore_ascii_case(name);
        self.headers.iter().rev().find(named).map(|(_, value)| value.as_slice())
    }

    /// The header that Confluent's serializers name a schema in.
    pub fn schema_header(&self) -> Option<&[u8]> {
        self.header("__value_schema_id")
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    Json,
    /// JSON, but no object.
    OtherJson,
    JsonSchema,
    /// Behind a frame, and no JSON: Avro or Protobuf.
    Framed,
    Avro,
    Protobuf,
    CloudEventsBinary,
    CloudEventsStructured,
    /// CloudEvents whose data is no JSON object.
    CloudEventsOther,
    /// What KServe's logger sends: CloudEvents with a body of V1 or V2.
    KserveLoggerV1,
    KserveLoggerV2,
    KserveV1,
    KserveV2,
    SeldonV2,
    SeldonLogger,
    AvroContainer,
    Parquet,
    Csv,
    Gzip,
    Zstd,
    Empty,
    Unknown,
}

impl Format {
    /// The format in words.
    pub fn says(self) -> &'static str {
        match self {
            Self::Json => "JSON objects",
            Self::OtherJson => "JSON, but no object",
            Self::JsonSchema => "JSON behind Confluent's frame (JSON Schema)",
            Self::Framed => "Avro or Protobuf behind Confluent's frame",
            Self::Avro => "Avro behind Confluent's frame",
            Self::Protobuf => "Protobuf behind Confluent's frame",
            Self::CloudEventsBinary => "CloudEvents in binary mode",
            Self::CloudEventsStructured => "CloudEvents in structured mode",
            Self::CloudEventsOther => "CloudEvents whose data is no JSON object",
            Self::KserveLoggerV1 => "KServe's logger (CloudEvents) with bodies of V1",
            Self::KserveLoggerV2 => "KServe's logger (CloudEvents) with bodies of V2",
            Self::KserveV1 => "KServe V1 (instances, predictions)",
            Self::KserveV2 => "KServe V2, the Open Inference Protocol (inputs, outputs)",
            Self::SeldonV2 => "Seldon Core 2, the Open Inference Protocol as Protobuf",
            Self::SeldonLogger => "Seldon Core 1's logger (requests, responses and feedback)",
            Self::AvroContainer => "an Avro container file",
            Self::Parquet => "a Parquet file",
            Self::Csv => "CSV",
            Self::Gzip => "packed by gzip",
            Self::Zstd => "packed by zstd",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }

    /// The name in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::OtherJson => "json_no_object",
            Self::JsonSchema => "json_schema",
            Self::Framed => "avro_or_protobuf",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
            Self::CloudEventsBinary => "cloudevents_binary",
            Self::CloudEventsStructured => "cloudevents_structured",
            Self::CloudEventsOther => "cloudevents_other",
            Self::KserveLoggerV1 => "kserve_logger_v1",
            Self::KserveLoggerV2 => "kserve_logger_v2",
            Self::KserveV1 => "kserve_v1",
            Self::KserveV2 => "kserve_v2",
            Self::SeldonV2 => "seldon_v2",
            Self::SeldonLogger => "seldon_logger",
            Self::AvroContainer => "avro_container",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Empty => "empty",
            Self::Unknown => "unknown",
        }
    }

    /// Whether files of lines hold such events and a source reads them.
    pub fn is_lines(self) -> bool {
        matches!(self, Self::Json | Self::CloudEventsStructured)
    }

    /// Whether these are requests and responses that a source joins.
    pub fn is_inference(self) -> bool {
        matches!(
            self,
            Self::KserveLoggerV1 | Self::KserveLoggerV2 | Self::KserveV2 | Self::SeldonV2 | Self::SeldonLogger
        )
    }

    /// The `format` of a source that reads such messages, if there can be one.
    pub fn of_source(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("json"),
            Self::CloudEventsBinary | Self::CloudEventsStructured => Some("cloudevents"),
            Self::JsonSchema => Some("json_schema"),
            Self::Avro => Some("avro"),
            Self::Protobuf => Some("protobuf"),
            _ => None,
        }
    }
}

/// What a message is, with the schema that it names and its value as a tree, where the bytes alone give them.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub format: Format,
    pub schema: Option<SchemaRef>,
    pub tree: Option<Value>,
}

impl Seen {
    fn of(format: Format) -> Self {
        Self { format, schema: None, tree: None }
    }
}

/// What a message is.
pub fn message(message: &Message) -> Seen {
    let Some(value) = message.value.as_deref().filter(|value| !value.is_empty()) else {
        return Seen::of(Format::Empty);
    };
    if let Some(format) = by_first_bytes(value) {
        return Seen::of(format);
    }
    if message.schema_header().is_some() || matches!(value.first(), Some(0 | 1)) {
        return framed(message, value);
    }
    let tree = json(value);
    let format = match &tree {
        data if message.header("ce_specversion").is_some() => of_data(data.as_ref(), Format::CloudEventsBinary),
        Some(Value::Object(object)) => match of_object(object) {
            Format::CloudEventsStructured => of_data(object.get("data"), Format::CloudEventsStructured),
            other => other,
        },
        Some(_) => Format::OtherJson,
        None => Format::Unknown,
    };
    let tree = tree.filter(Value::is_object);
    let is_binary = message.header("ce_specversion").is_some();
    let tree = match format {
        Format::CloudEventsBinary | Format::KserveLoggerV1 | Format::KserveLoggerV2 if is_binary => {
            tree.map(|data| with_attributes(data, of_headers(message)))
        }
        Format::CloudEventsStructured | Format::KserveLoggerV1 | Format::KserveLoggerV2 => tree.map(|mut event| {
            let data = event.get_mut("data").map(Value::take).unwrap_or_default();
            with_attributes(data, of_members(event))
        }),
        _ => tree,
    };
    Seen { format, schema: None, tree }
}

/// The attributes of an event in binary mode, by the names that a source calls them by.
fn of_headers(message: &Message) -> Vec<(String, Value)> {
    let attributes = message.headers.iter().filter(|(name, _)| name.starts_with("ce_"));
    attributes.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into())).collect()
}

/// The same in structured mode.
fn of_members(event: Value) -> Vec<(String, Value)> {
    let Value::Object(members) = event else { return Vec::new() };
    let attributes = members.into_iter().filter(|(name, _)| name != "data" && name != "data_base64");
    attributes.map(|(name, value)| (format!("ce_{name}"), value)).collect()
}

/// Data with the attributes beside it, as `format: cloudevents` finds fields.
fn with_attributes(mut data: Value, attributes: Vec<(String, Value)>) -> Value {
    if let Value::Object(data) = &mut data {
        data.extend(attributes);
    }
    data
}

/// What is known by the bytes that it begins with.
pub fn by_first_bytes(value: &[u8]) -> Option<Format> {
    const STARTS: [(&[u8], Format); 4] = [
        (b"\x1f\x8b", Format::Gzip),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"Obj\x01", Format::AvroContainer),
        (b"PAR1", Format::Parquet),
    ];
    STARTS.into_iter().find(|(start, _)| value.starts_with(start)).map(|(_, format)| format)
}

fn framed(message: &Message, value: &[u8]) -> Seen {
    let Ok((schema, rest)) = unframed(value, message.schema_header()) else { return Seen::of(Format::Unknown) };
    match json(rest).filter(Value::is_object) {
        Some(tree) => Seen { format: Format::JsonSchema, schema: Some(schema), tree: Some(tree) },
        None => Seen { format: Format::Framed, schema: Some(schema), tree: None },
    }
}

/// What an event of a mode is by its data.
fn of_data(data: Option<&Value>, mode: Format) -> Format {
    match data.and_then(Value::as_object).map(of_object) {
        Some(Format::KserveV1) => Format::KserveLoggerV1,
        Some(Format::KserveV2) => Format::KserveLoggerV2,
        Some(_) => mode,
        None => Format::CloudEventsOther,
    }
}

/// What an object is by the names of its members.
pub fn of_object(object: &Map<String, Value>) -> Format {
    let all = |names: &[&str]| names.iter().all(|name| object.get(*name).is_some_and(Value::is_string));
    let tensors = |name: &str| {
        let list = object.get(name).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty() && list.iter().all(|t| t.get("datatype").is_some()))
    };
    let is_list = |name: &str| object.get(name).is_some_and(Value::is_array);
    if all(&["specversion", "id", "source", "type"]) {
        Format::CloudEventsStructured
    } else if tensors("inputs") || tensors("outputs") {
        Format::KserveV2
    } else if is_list("instances") || is_list("predictions") {
        Format::KserveV1
    } else {
        Format::Json
    }
}

/// A value as JSON. `NaN` and infinities, which driftgate reads as missing or as infinite, are null here.
pub fn json(value: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).ok().or_else(|| {
        let plain = without_nan(text);
        (plain != text).then(|| serde_json::from_str(&plain).ok())?
    })
}

/// The text with null for `NaN` and infinities outside of strings.
fn without_nan(text: &str) -> String {
    let (mut out, mut rest, mut within) = (String::with_capacity(text.len()), text, false);
    while let Some(c) = rest.chars().next() {
        let number = ["-Infinity", "Infinity", "NaN"].into_iter().find(|n| !within && rest.starts_with(n));
        let taken = match (number, c) {
            (Some(number), _) => {
                out.push_str("null");
                number.len()
            }
            (None, '\\') if within => {
                let escaped = c.len_utf8() + rest.chars().nth(1).map_or(0, char::len_utf8);
                out.push_str(rest.get(..escaped).unwrap_or(rest));
                escaped
            }
            (None, _) => {
                within ^= c == '"';
                out.push(c);
                c.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(value: &[u8], headers: &[(&str, &[u8])]) -> Seen {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        message(&Message { value: Some(value.to_vec()), headers })
    }

    #[test]
    fn a_message_is_told_by_its_bytes_and_headers() {
        let ce: &[(&str, &[u8])] = &[("ce_specversion", b"1.0"), ("ce_type", b"x")];
        type Case<'a> = (&'a [u8], &'a [(&'a str, &'a [u8])], Format);
        let cases: &[Case<'_>] = &[
            (b" {\"a\": NaN, \"b\": \"NaN\\\"\"}", &[], Format::Json),
            (b"[1]", &[], Format::OtherJson),
            (b"\0\0\0\0\x07{\"a\": 1}", &[], Format::JsonSchema),
            (b"\0\0\0\0\x07\x02\x04", &[], Format::Framed),
            (b"\x02", &[("__value_schema_id", b"\0\0\0\0\x07")], Format::Framed),
            (b"\0\0", &[], Format::Unknown),
            (b"{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\"}]}", &[], Format::KserveV2),
            (b"{\"instances\": [[1, 2]]}", &[], Format::KserveV1),
            (b"{\"inputs\": {\"x\": 1}}", &[], Format::Json),
            (b"{\"instances\": [[1, 2]]}", ce, Format::KserveLoggerV1),
            (b"{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"s\", \"type\": \"t\", \"data\": {\"instances\": [1]}}", &[], Format::KserveLoggerV1),
            (b"{\"a\": 1}", ce, Format::CloudEventsBinary),
            (b"\x08\x01", ce, Format::CloudEventsOther),
            (
                b"{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"s\", \"type\": \"t\", \"data\": {\"a\": 1}}",
                &[],
                Format::CloudEventsStructured,
            ),
            (b"\x1f\x8b\x08", &[], Format::Gzip),
            (b"\x28\xb5\x2f\xfd", &[], Format::Zstd),
            (b"Obj\x01", &[], Format::AvroContainer),
            (b"PAR1", &[], Format::Parquet),
            (b"\xff\xfe", &[], Format::Unknown),
            (b"", &[], Format::Empty),
        ];
        for &(value, headers, expected) in cases {
            assert_eq!(seen(value, headers).format, expected, "{}", String::from_utf8_lossy(value));
        }
        let structured =
            b"{\"specversion\": \"1.0\", \"id\": \"1\", \"source\": \"s\", \"type\": \"t\", \"data\": {\"a\": 1}}";
        let expected =
            serde_json::json!({"a": 1, "ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "t"});
        assert_eq!(seen(structured, &[]).tree, Some(expected));
        assert_eq!(
            seen(b"{\"a\": 1}", ce).tree,
            Some(serde_json::json!({"a": 1, "ce_specversion": "1.0", "ce_type": "x"}))
        );
        let logged = serde_json::json!({"instances": [1], "ce_specversion": "1.0", "ce_type": "x"});
        assert_eq!(seen(b"{\"instances\": [1]}", ce).tree, Some(logged));
        assert_eq!(message(&Message::default()).format, Format::Empty);
        assert_eq!(seen(b"\0\0\0\0\x07\x02", &[]).schema, Some(SchemaRef::Id(7)));
        assert_eq!(json(b"{\"a\": NaN, \"b\": \"NaN\\\"\"}"), Some(serde_json::json!({"a": null, "b": "NaN\""})));
    }
}
