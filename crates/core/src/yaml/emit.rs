//! A tree as YAML text again. Reading the text gives the same tree, but for positions.

use std::fmt::Write as _;

use super::tree::{Entry, Node, Value};

/// The document's text, in block style; ends with a line break.
pub(super) fn emit(root: &Node) -> String {
    let mut out = String::new();
    block(root, 0, &mut out);
    out
}

/// Whether a text may stand without quotes in a mapping, a list or brackets.
pub(super) fn is_simple(text: &str) -> bool {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | '%' | '$');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '$')) && text.chars().all(simple)
}

fn scalar(text: &str, plain: bool) -> String {
    // What was written without quotes may be so again, unless it went over several lines.
    if plain && !text.contains('\n') { text.to_owned() } else { quoted(text) }
}

/// JSON's strings are YAML's double-quoted ones.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn key(text: &str) -> String {
    if is_simple(text) { text.to_owned() } else { quoted(text) }
}

/// What stands behind a key or a dash on the same line; none where the value takes lines of its own.
fn inline(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar { text, plain } => Some(scalar(text, *plain)),
        Value::Map(entries) => entries.is_empty().then(|| "{}".to_owned()),
        Value::List(items) => {
            let simple = |item: &Node| match &item.value {
                Value::Scalar { text, plain: true } if is_simple(text) => Some(text.clone()),
                Value::Scalar { text, plain: false } => Some(quoted(text)),
                _ => None,
            };
            let texts: Option<Vec<String>> = items.iter().map(simple).collect();
            texts.map(|texts| format!("[{}]", texts.join(", ")))
        }
    }
}

fn block(node: &Node, indent: usize, out: &mut String) {
    let margin = "  ".repeat(indent);
    match (&node.value, inline(node)) {
        (_, Some(text)) => {
            let _ = writeln!(out, "{margin}{text}");
        }
        (Value::Map(entries), None) => {
            for Entry { key: name, value, .. } in entries {
                if let Some(text) = inline(value) {
                    let line = format!("{margin}{}: {text}", key(name));
                    let _ = writeln!(out, "{}", line.trim_end());
                } else {
                    let _ = writeln!(out, "{margin}{}:", key(name));
                    block(value, indent + 1, out);
                }
            }
        }
        (Value::List(items), None) => {
            for item in items {
                let mut inner = String::new();
                block(item, indent + 1, &mut inner);
                // The dash takes the place of the first line's margin.
                let _ = write!(out, "{margin}- {}", inner.trim_start_matches(' '));
            }
        }
        (Value::Scalar { .. }, None) => {}
    }
}
