//! The schema is what the parser says: a policy that the parser takes is valid by it, and a key that the parser does not know is
//! not.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{reference, schema};
use crate::policy::parse;

/// Whether a value is valid by the keywords that our schema uses.
fn valid(schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let name = to.strip_prefix("#/$defs/").unwrap();
        return valid(&root["$defs"][name], root, value);
    }
    for (keyword, wanted) in schema.as_object().unwrap() {
        check(keyword, wanted, schema, root, value).map_err(|e| format!("{keyword}: {e}"))?;
    }
    Ok(())
}

fn check(keyword: &str, wanted: &Value, schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    let fails = || Err(format!("{wanted} does not take {value}"));
    let holds = match keyword {
        "$schema" | "title" | "$defs" | "description" | "then" | "else" => true,
        "if" => {
            let branch = if valid(wanted, root, value).is_ok() { "then" } else { "else" };
            valid(&schema[branch], root, value)?;
            true
        }
        "type" => {
            let is = |name: &Value| match name.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "number" => value.is_number(),
                "integer" => value.is_u64() || value.is_i64(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                other => panic!("type {other}"),
            };
            wanted.as_array().map_or_else(|| is(wanted), |names| names.iter().any(is))
        }
        "enum" => wanted.as_array().unwrap().contains(value),
        "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
        "minimum" => value.as_f64().is_none_or(|x| x >= wanted.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|x| x <= wanted.as_f64().unwrap()),
        "exclusiveMinimum" => value.as_f64().is_none_or(|x| x > wanted.as_f64().unwrap()),
        "exclusiveMaximum" => value.as_f64().is_none_or(|x| x < wanted.as_f64().unwrap()),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
        "minProperties" => value.as_object().is_none_or(|map| map.len() as u64 >= wanted.as_u64().unwrap()),
        "maxProperties" => value.as_object().is_none_or(|map| map.len() as u64 <= wanted.as_u64().unwrap()),
        "required" => {
            let keys = wanted.as_array().unwrap();
            value.as_object().is_none_or(|map| keys.iter().all(|key| map.contains_key(key.as_str().unwrap())))
        }
        "items" => {
            for item in value.as_array().into_iter().flatten() {
                valid(wanted, root, item)?;
            }
            true
        }
        "properties" => {
            for (key, value) in value.as_object().into_iter().flatten() {
                if let Some(schema) = wanted.get(key) {
                    valid(schema, root, value).map_err(|e| format!("{key}: {e}"))?;
                }
            }
            true
        }
        "additionalProperties" => {
            let none = json!({});
            let known = schema.get("properties").unwrap_or(&none);
            for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| known.get(key).is_none()) {
                match wanted {
                    Value::Bool(false) => return Err(format!("{key} is not known")),
                    wanted => valid(wanted, root, value).map_err(|e| format!("{key}: {e}"))?,
                }
            }
            true
        }
        "anyOf" => wanted.as_array().unwrap().iter().any(|one| valid(one, root, value).is_ok()),
        "oneOf" => wanted.as_array().unwrap().iter().filter(|one| valid(one, root, value).is_ok()).count() == 1,
        other => panic!("the test does not know the keyword {other}"),
    };
    if holds { Ok(()) } else { fails() }
}

/// The patterns of the schema, written out.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[0-9]+(d|h|m|s|ms)$" => {
            let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
            unit.len() < text.len() && ["d", "h", "m", "s", "ms"].contains(&unit)
        }
        "^[A-Za-z0-9_-]{1,64}$" => crate::yaml::is_slug(text),
        "^[0-9]+ of [0-9]+$" => {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
            text.split_once(" of ").is_some_and(|(some, all)| digits(some) && digits(all))
        }
        "^(half|floor:.+)$" => text == "half" || text.strip_prefix("floor:").is_some_and(|rest| !rest.is_empty()),
        "." => !text.is_empty(),
        "^[0-9]+/(day|week|month|year)$" => text.parse::<crate::rule::budget::Budget>().is_ok(),
        other => panic!("the test does not know the pattern {other}"),
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(path);
        }
    }
}

fn json_of(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn the_policies_of_the_repository_are_valid_by_the_schema() {
    let schema = schema();
    let mut files = Vec::new();
    for folder in ["config", "tests", "docs", "docker"] {
        yaml_files(&repository().join(folder), &mut files);
    }
    let mut policies = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        if text.contains("apiVersion: driftgate/v1") && parse(&text, &file).is_ok() {
            policies += 1;
            valid(&schema, &schema, &json_of(&text)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
    }
    assert!(policies >= 2, "{policies} policies were found");
}

/// Every mapping of a value, by its path.
fn mappings(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.push(path.to_owned());
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            map.iter().for_each(|(key, value)| mappings(value, &format!("{path}/{}", escaped(key)), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| mappings(value, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

fn object<'v>(value: &'v mut Value, path: &str) -> &'v mut Map<String, Value> {
    value.pointer_mut(path).unwrap().as_object_mut().unwrap()
}

#[test]
fn what_the_parser_takes_is_valid_and_what_it_does_not_know_is_not() {
    let schema = schema();
    let file = repository().join("config/policies/example.yaml");
    let policy = json_of(&std::fs::read_to_string(&file).unwrap());
    // JSON is YAML.
    let taken = |value: &Value| parse(&value.to_string(), &file).is_ok();
    let is_valid = |value: &Value| valid(&schema, &schema, value);
    assert!(taken(&policy) && is_valid(&policy).is_ok());
    let mut paths = Vec::new();
    mappings(&policy, "", &mut paths);
    assert!(paths.len() > 100, "{}", paths.len());
    for path in &paths {
        let mut more = policy.clone();
        object(&mut more, path).insert("zzz".to_owned(), 1.into());
        assert_eq!(taken(&more), is_valid(&more).is_ok(), "a key more in {path}: {:?}", is_valid(&more));
        let keys: Vec<String> = object(&mut more, path).keys().cloned().collect();
        for key in keys {
            let mut less = policy.clone();
            object(&mut less, path).shift_remove(&key);
            let valid = is_valid(&less);
            assert!(!taken(&less) || valid.is_ok(), "without {path}/{key}: {valid:?}");
        }
    }
}

/// What extends another file needs nothing else, and its values may be variables; its keys are known all the same.
#[test]
fn a_part_of_a_policy_is_valid_by_itself() {
    let schema = schema();
    let is_valid = |text: &str| valid(&schema, &schema, &json_of(text)).is_ok();
    assert!(is_valid("extends: base.yaml\nmodel: fraud\nmin_samples: $least\nchecks: {drift: null}\n"));
    assert!(is_valid("vars: {limit: 0.2}\nchecks: {drift: {rules: $rules}}\n"));
    assert!(!is_valid("extends: base.yaml\nmodle: fraud\n"));
    assert!(!is_valid("extends: {a: b}\nmodel: fraud\n"));
    assert!(!is_valid("model: fraud\n"), "a policy by itself is whole");
}

#[test]
fn the_reference_has_every_rule_and_every_key() {
    let page = reference();
    for definition in crate::rule::all() {
        assert!(page.contains(&format!("\n### `{}`\n", definition.name)), "{}", definition.name);
        assert!(!definition.documentation.is_empty(), "{}", definition.name);
        for option in definition.options {
            assert!(page.contains(&format!("\n| `{}` |", option.key)), "{}", option.key);
        }
    }
    for section in ["labels", "checks.NAME.window", "transitions[].rollout.compare", "rollback.triggers[]"] {
        assert!(page.contains(&format!("\n## `{section}`\n")), "{section}");
    }
    assert!(page.ends_with('\n') && !page.ends_with("\n\n"));
}

/// `DRIFTGATE_WRITE_REFERENCE=1` writes them anew.
#[test]
fn the_pages_of_the_reference_are_written_from_the_definitions() {
    let written = [("policy.md", reference()), ("policy.schema.json", super::schema_text())];
    for (name, text) in written {
        let path = repository().join("docs/reference").join(name);
        if std::env::var_os("DRIFTGATE_WRITE_REFERENCE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "docs/reference/{name} is another: write it anew with DRIFTGATE_WRITE_REFERENCE=1");
    }
}
