//! A Protobuf value as a tree of JSON, for people to look at. Events are read by `program` and `read`, which take no memory for it.

use prost_reflect::{DynamicMessage, MapKey, MessageDescriptor, ReflectMessage as _, Value as Field};
use serde_json::{Map, Number, Value};

use super::Definitions;
use crate::decode::framing::Indexes;

/// Messages within each other.
const DEEPEST: usize = 32;

impl Definitions {
    /// A value as JSON by the names of its fields; a `Timestamp` is RFC 3339, other bytes are left out.
    ///
    /// # Errors
    /// Indexes that name no message, or bytes that are no such value.
    pub fn tree(&self, indexes: Indexes, bytes: &[u8]) -> Result<Value, String> {
        let of: MessageDescriptor = self.message(indexes)?;
        let name = of.full_name().to_owned();
        let message = DynamicMessage::decode(of, bytes)
            .map_err(|e| format!("the value is no {name} as its schema has it: {e}"))?;
        Ok(object(&message, DEEPEST))
    }
}

fn object(message: &DynamicMessage, deep: usize) -> Value {
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        return instant(message);
    }
    let fields = message.fields().filter(|_| deep > 0);
    Value::Object(fields.map(|(field, value)| (field.name().to_owned(), tree(value, deep - 1))).collect())
}

fn instant(message: &DynamicMessage) -> Value {
    let part =
        |name| message.get_field_by_name(name).and_then(|value| value.as_i64().or(value.as_i32().map(i64::from)));
    let nanos = part("nanos").and_then(|nanos| i32::try_from(nanos).ok()).unwrap_or(0);
    let time = jiff::Timestamp::new(part("seconds").unwrap_or(0), nanos);
    time.map_or(Value::Null, |time| Value::String(time.to_string()))
}

fn tree(value: &Field, deep: usize) -> Value {
    let float = |x: f64| Number::from_f64(x).map_or(Value::Null, Value::Number);
    match value {
        Field::Bool(yes) => Value::Bool(*yes),
        Field::I32(x) | Field::EnumNumber(x) => (*x).into(),
        Field::I64(x) => (*x).into(),
        Field::U32(x) => (*x).into(),
        Field::U64(x) => (*x).into(),
        Field::F32(x) => float(f64::from(*x)),
        Field::F64(x) => float(*x),
        Field::String(text) => Value::String(text.clone()),
        Field::Bytes(_) => Value::Null,
        Field::Message(message) => object(message, deep),
        Field::List(items) => Value::Array(items.iter().map(|item| tree(item, deep)).collect()),
        Field::Map(entries) => {
            let mut map: Vec<(String, Value)> = entries.iter().map(|(k, v)| (key(k), tree(v, deep))).collect();
            // The order of a map is none.
            map.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(map))
        }
    }
}

fn key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(yes) => yes.to_string(),
        MapKey::I32(x) => x.to_string(),
        MapKey::I64(x) => x.to_string(),
        MapKey::U32(x) => x.to_string(),
        MapKey::U64(x) => x.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_shown_by_the_names_of_its_fields() {
        let schema = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto";
            message E { string id = 1; double score = 2; google.protobuf.Timestamp ts = 3; map<string, int64> n = 4; repeated bool b = 5; }"#;
        let definitions = Definitions::parse("e.proto", schema, |_| None).unwrap();
        let bytes = [
            &[0x0a, 1, b'a', 0x11][..],
            &0.5_f64.to_le_bytes(),
            &[0x1a, 2, 0x08, 1, 0x22, 5, 0x0a, 1, b'k', 0x10, 7, 0x2a, 1, 1],
        ]
        .concat();
        let tree = definitions.tree(Indexes::default(), &bytes);
        assert_eq!(
            tree,
            Ok(json!({"id": "a", "score": 0.5, "ts": "1970-01-01T00:00:01Z", "n": {"k": 7}, "b": [true]}))
        );
        assert!(definitions.tree(Indexes::default(), &[0x0a, 9]).unwrap_err().contains("is no E as its schema has it"));
        assert!(definitions.tree(Indexes::of(&[3]), &[]).is_err());
    }
}
