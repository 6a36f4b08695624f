//! Answers against the OpenAPI document: the subset of JSON Schema that it uses. A key that a schema does not name is an error, so that
//! no answer has a field that the document lacks.

use std::sync::LazyLock;

use serde_json::Value;

use crate::http::openapi::openapi;
use crate::http::routes::{ROUTES, Route};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(openapi()).unwrap());

/// The route of a path as it was asked for.
pub fn route(method: &str, path: &str) -> Option<&'static Route> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (a, b): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.starts_with('{') || a == b)
    };
    ROUTES.iter().find(|r| r.method.eq_ignore_ascii_case(method) && fits(r.path))
}

/// Fails where the document describes another answer.
pub fn check(method: &str, path: &str, status: u16, body: &Value) {
    let Some(route) = route(method, path) else { return };
    let responses = &DOCUMENT["paths"][route.path][route.method]["responses"];
    let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let schema = &response["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{method} {path} answers {status} with JSON, and the document has none");
    if let Err(why) = valid(schema, body, "") {
        panic!("{method} {path} answers {status} otherwise than the document says: {why}\n{body:#}");
    }
}

fn resolved(schema: &Value) -> &Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(target) => {
            resolved(DOCUMENT.pointer(target.trim_start_matches('#')).unwrap_or_else(|| panic!("{target}")))
        }
        None => schema,
    }
}

/// The names of an object's properties, in all of its parts.
fn properties(schema: &Value) -> Vec<(&String, &Value)> {
    let schema = resolved(schema);
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    own.chain(parts.flat_map(properties)).collect()
}

fn required(schema: &Value) -> Vec<&str> {
    let schema = resolved(schema);
    let own = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
    own.chain(parts.flat_map(required)).collect()
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("a schema has the type {other}"),
    }
}

fn valid(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolved(schema);
    for choice in ["oneOf", "anyOf"] {
        if let Some(choices) = schema.get(choice).and_then(Value::as_array) {
            let found: Vec<String> = choices.iter().filter_map(|one| valid(one, value, at).err()).collect();
            return if found.len() < choices.len() { Ok(()) } else { Err(found.join("; or ")) };
        }
    }
    if let Some(types) = schema.get("type") {
        let types: Vec<&str> = types
            .as_array()
            .map_or_else(|| types.as_str().into_iter().collect(), |all| all.iter().filter_map(Value::as_str).collect());
        if !types.iter().any(|name| is_of_type(name, value)) {
            return Err(format!("{at} is {value}, not {types:?}"));
        }
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array)
        && !all.contains(value)
    {
        return Err(format!("{at} is {value}, not one of {all:?}"));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (i, value) in values.iter().enumerate() {
            valid(items, value, &format!("{at}/{i}"))?;
        }
    }
    if let Some(fields) = value.as_object() {
        object(schema, fields, at)?;
    }
    Ok(())
}

fn object(schema: &Value, fields: &serde_json::Map<String, Value>, at: &str) -> Result<(), String> {
    let known = properties(schema);
    if let Some(missing) = required(schema).into_iter().find(|name| !fields.contains_key(*name)) {
        return Err(format!("{at} lacks {missing}"));
    }
    let more = schema.get("additionalProperties");
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        match (known.iter().find(|(known, _)| *known == name), more) {
            (Some((_, schema)), _) => valid(schema, value, &at)?,
            (None, Some(schema)) if schema.is_object() => valid(schema, value, &at)?,
            (None, Some(Value::Bool(true))) => {}
            // An object of which nothing is said.
            (None, None) if known.is_empty() => {}
            (None, _) => return Err(format!("{at} is not described")),
        }
    }
    Ok(())
}

#[test]
fn every_route_is_described_and_every_reference_leads_somewhere() {
    for route in ROUTES {
        let described = &DOCUMENT["paths"][route.path][route.method];
        assert!(described["summary"].as_str().is_some_and(|s| !s.is_empty()), "{} {}", route.method, route.path);
        assert!(described["responses"].as_object().is_some_and(|r| r.len() > 1), "{} {}", route.method, route.path);
    }
    let count =
        |paths: &Value| paths.as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum::<usize>();
    assert_eq!(count(&DOCUMENT["paths"]), ROUTES.len());
    assert_eq!(DOCUMENT["openapi"], "3.1.0");
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|v| references(v, found));
            }
            Value::Array(values) => values.iter().for_each(|v| references(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&DOCUMENT, &mut found);
    for target in found {
        assert!(DOCUMENT.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    let ids: Vec<&Value> = ROUTES.iter().map(|r| &DOCUMENT["paths"][r.path][r.method]["operationId"]).collect();
    assert!(ids.iter().enumerate().all(|(i, id)| !ids[..i].contains(id)), "{ids:?}");
}

#[test]
fn what_the_document_does_not_say_is_found() {
    let of = |json: &str| serde_json::from_str::<Value>(json).unwrap();
    check("GET", "/ready", 200, &of(r#"{"ready": true}"#));
    for wrong in ["{}", r#"{"ready": 1}"#, r#"{"ready": true, "since": 3}"#, r#"{"ready": true, "waiting": [1]}"#] {
        let wrong = of(wrong);
        assert!(std::panic::catch_unwind(|| check("GET", "/ready", 200, &wrong)).is_err(), "{wrong}");
    }
}
