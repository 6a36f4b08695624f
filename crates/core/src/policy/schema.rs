//! The JSON Schema of a policy file and its reference page, written from the description of its keys and the definitions of
//! rules.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::keys::{HYSTERESIS, Key, Mapping, POLICY, RATE_TOLERANCE, REQUIRED, Shape};
use crate::rule;

/// JSON Schema (2020-12) of a policy file, for editors. The parser also checks what a schema cannot say: names that refer to
/// one another, limits beside warnings. A file that extends another one, or has variables, is a part of a policy: of it only the keys at the top are
/// known, as values may be variables, and what is missing may stand elsewhere.
#[must_use]
pub fn schema() -> Value {
    let rules = rule::all().map(|definition| (definition.name.to_owned(), definition.schema()));
    let rule = json!({
        "description": "One metric with its options.", "type": "object", "properties": rules.collect::<Map<_, _>>(),
        "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "driftgate policy",
        "if": {"anyOf": [{"required": ["extends"]}, {"required": ["vars"]}]},
        "then": {"$ref": "#/$defs/part"},
        "else": {"$ref": "#/$defs/policy"},
        "$defs": {
            "policy": POLICY.schema(),
            "part": part(),
            "duration": {"type": "string", "pattern": "^[0-9]+(d|h|m|s|ms)$"},
            "hysteresis": HYSTERESIS.schema(),
            "slug": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
            "tolerance": RATE_TOLERANCE.schema(),
            "rule": rule,
        },
    })
}

/// The keys at the top of a policy, with any value but of those that say what is extended and which variables there are.
fn part() -> Value {
    let property = |key: &Key| {
        let mut schema = if ["extends", "vars"].contains(&key.name) { key.takes.schema() } else { json!({}) };
        if let Value::Object(schema) = &mut schema {
            schema.shift_insert(0, "description".to_owned(), key.documentation.into());
        }
        (key.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = POLICY.keys.iter().map(property).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// The schema as its file has it.
#[must_use]
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

impl Mapping {
    fn schema(&self) -> Value {
        let property = |key: &Key| {
            let mut schema = key.takes.schema();
            if let Value::Object(schema) = &mut schema {
                schema.shift_insert(0, "description".to_owned(), key.documentation.into());
            }
            (key.name.to_owned(), schema)
        };
        let properties: Map<String, Value> = self.keys.iter().map(property).collect();
        let required: Vec<&str> = self.keys.iter().filter(|key| key.default == REQUIRED).map(|key| key.name).collect();
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        if let Value::Object(schema) = &mut schema {
            if !required.is_empty() {
                schema.insert("required".to_owned(), required.into());
            }
            if !self.one_of.is_empty() {
                let one_of = self.one_of.iter().map(|key| json!({"required": [key]}));
                schema.insert("oneOf".to_owned(), one_of.collect());
            }
        }
        schema
    }
}

impl Shape {
    fn schema(&self) -> Value {
        match self {
            Self::Text(_) | Self::Time => json!({"type": "string"}),
            Self::Slug(_) => json!({"$ref": "#/$defs/slug"}),
            Self::Number(bounds) => {
                let bounds = bounds.iter().map(|(key, bound)| ((*key).to_owned(), json!(bound)));
                Value::Object(std::iter::once(("type".to_owned(), json!("number"))).chain(bounds).collect())
            }
            Self::Whole { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
            Self::Pattern { pattern, .. } => json!({"type": "string", "pattern": pattern}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Duration { .. } => json!({"$ref": "#/$defs/duration"}),
            Self::Words(words) => json!({"enum": words}),
            Self::Classes => {
                json!({"type": "object", "additionalProperties": {"enum": [0, 1, true, false, "0", "1", "true", "false"]}})
            }
            Self::Scalar => json!({"type": ["string", "number", "boolean", "null"]}),
            Self::List(items) => json!({"type": "array", "items": items.schema()}),
            Self::Map(mapping) => mapping.schema(),
            Self::Named(values) => json!({"type": "object", "additionalProperties": values.schema()}),
            Self::Either(shapes) => json!({"anyOf": shapes.iter().map(Self::schema).collect::<Vec<_>>()}),
            Self::Rules => json!({"type": "array", "items": {"$ref": "#/$defs/rule"}, "minItems": 1}),
        }
    }

    /// In words, for the reference page.
    fn written(&self) -> String {
        match self {
            Self::Text(what) | Self::Slug(what) => (*what).to_owned(),
            Self::Number(bounds) => number(bounds),
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Pattern { written, .. } => (*written).to_owned(),
            Self::Boolean => "`true`, `false`".to_owned(),
            Self::Duration { zero: true } => "a duration; `0s` is allowed".to_owned(),
            Self::Duration { zero: false } => "a duration".to_owned(),
            Self::Time => "a date or a time in UTC, like `2013-05-01T00:00Z`".to_owned(),
            Self::Words(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Classes => "a mapping of values to 0 or 1".to_owned(),
            Self::Scalar => "a text or a number".to_owned(),
            Self::List(items) => format!("a list: {}", items.written()),
            Self::Map(mapping) => format!("the keys {}", names(mapping)),
            Self::Named(values) => format!("a mapping of names: {}", values.written()),
            Self::Either(shapes) => shapes.iter().map(Self::written).collect::<Vec<_>>().join("; or "),
            Self::Rules => "a list of rules, see below".to_owned(),
        }
    }

    /// The mappings in it.
    fn mappings(&self) -> Vec<&'static Mapping> {
        match self {
            Self::Map(mapping) => vec![*mapping],
            Self::List(inner) | Self::Named(inner) => inner.mappings(),
            Self::Either(shapes) => shapes.iter().flat_map(Self::mappings).collect(),
            _ => Vec::new(),
        }
    }
}

fn number(bounds: &[(&str, f64)]) -> String {
    let bound = |(key, bound): &(&str, f64)| match *key {
        "minimum" => format!("{bound} or more"),
        "exclusiveMinimum" => format!("above {bound}"),
        "maximum" => format!("at most {bound}"),
        _ => format!("below {bound}"),
    };
    let bounds: Vec<String> = bounds.iter().map(bound).collect();
    if bounds.is_empty() { "a number".to_owned() } else { format!("a number, {}", bounds.join(", ")) }
}

fn names(mapping: &Mapping) -> String {
    mapping.keys.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
}

/// The reference page of the policy file: every key, then every rule.
#[must_use]
pub fn reference() -> String {
    let mut out = "# Policy reference\n\nThis page is written by `driftgate reference` from the parser's own description; \
        [policy.schema.json](policy.schema.json) is the same as JSON Schema for editors. [Write a policy](../guide/policy.md) explains how \
        to choose rules and limits.\n\nDurations are whole numbers with a unit: `7d`, `1h`, `30m`, `10s`, `500ms`. Limits are decimals \
        that are compared exactly as written.\n"
        .to_owned();
    let mut open = vec![&POLICY];
    let mut seen: Vec<&str> = Vec::new();
    while let Some(mapping) = open.first().copied() {
        open.remove(0);
        if seen.contains(&mapping.path) {
            continue;
        }
        seen.push(mapping.path);
        let title = if mapping.path.is_empty() { "Keys".to_owned() } else { format!("`{}`", mapping.path) };
        let _ = write!(out, "\n## {title}\n\n");
        if !mapping.one_of.is_empty() {
            let keys: Vec<String> = mapping.one_of.iter().map(|key| format!("`{key}`")).collect();
            let _ = write!(out, "Exactly one of {} is written.\n\n", keys.join(" and "));
        }
        out.push_str("| key | what is written | default | meaning |\n|---|---|---|---|\n");
        let mut inner = Vec::new();
        for key in mapping.keys {
            let _ =
                writeln!(out, "| `{}` | {} | {} | {} |", key.name, key.takes.written(), key.default, key.documentation);
            inner.extend(key.takes.mappings());
        }
        // A mapping stands before what comes after the one that it is in.
        open.splice(0..0, inner);
    }
    let _ = write!(
        out,
        "\n## Rules\n\nEach rule of `checks.NAME.rules` is one metric with its options.\n\n{}",
        rule::reference()
    );
    out
}

#[cfg(test)]
mod tests;
