//! Values of evidence as text: digests, the canonical form, and what messages show.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// 64 hexadecimal digits in lower case, of a text with or without `sha256:` before them.
#[must_use]
pub fn parse_sha256_hex(text: &str) -> Option<String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

/// Digests in lower case, other text as it is; `None` where `sha256:` is followed by something else.
#[must_use]
pub fn normal_digest(text: &str) -> Option<String> {
    if text.starts_with("sha256:") {
        return parse_sha256_hex(text).map(|hex| format!("sha256:{hex}"));
    }
    Some(text.to_owned())
}

/// JSON without white space, keys sorted.
pub fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{}:", Value::from(key.as_str()));
                canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                canonical(value, out);
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// A sentence where the external registry says something else of a version than somebody who may.
#[must_use]
pub fn differs(kind: &str, said: &Value, reported: Option<&Value>) -> Option<String> {
    let reported = reported?;
    let digest = |value: &Value| value.as_str().and_then(parse_sha256_hex);
    let same = said == reported || (digest(said).is_some() && digest(said) == digest(reported));
    (!same).then(|| {
        let (said, reported) = (show(said), show(reported));
        format!("{kind} is {said} here, the external registry reports {reported}, which counts for nothing")
    })
}

/// JSON for messages, cut to what fits a line.
#[must_use]
pub fn show(value: &Value) -> String {
    let text = value.to_string();
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
