//! Walking a tree: every item knows its path and position, reads itself as one type, and reports what it is
//! instead. A reader answers `None` only after a report, so a caller that has every part has a valid whole.

use std::fmt::Display;

use super::error::{Position, Sink};
use super::names::known_names;
use super::tree::{Entry, Node, Value, join};
use super::units;
use crate::stats::limit::Limit;

/// A value in the tree.
#[derive(Clone)]
pub struct Item<'a> {
    node: &'a Node,
    path: String,
    /// Where to point for this item: the value, or its key where the value is empty.
    at: Position,
    sink: &'a Sink,
}

impl<'a> Item<'a> {
    pub(super) fn root(node: &'a Node, sink: &'a Sink) -> Self {
        Self { node, path: String::new(), at: node.at, sink }
    }

    pub fn report(&self, message: impl Into<String>) {
        self.sink.report(self.at, self.path.as_str(), message);
    }

    /// Reports and answers `None`: the end of a reader that failed.
    pub fn fail<T>(&self, message: impl Into<String>) -> Option<T> {
        self.report(message);
        None
    }

    /// The tail of an "unknown" message: the known names, and the one that was probably meant.
    #[must_use]
    pub fn known_names<'n>(&self, written: &str, known: impl IntoIterator<Item = &'n str> + Clone) -> String {
        if self.sink.is_crowded() { "correct the errors above first".into() } else { known_names(written, known) }
    }

    fn expected<T>(&self, wanted: impl Display) -> Option<T> {
        self.fail(format!("expected {wanted}, read {}", self.describe()))
    }

    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The text of a scalar of any type, as written; nothing is reported.
    #[must_use]
    pub fn scalar(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Some(text),
            _ => None,
        }
    }

    /// What is here, for messages.
    fn describe(&self) -> String {
        match &self.node.value {
            Value::Scalar { .. } if self.node.is_null() => "nothing".into(),
            Value::Scalar { text, .. } => quote(text),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Map(entries) => match entries.as_slice() {
                [] => "an empty mapping".into(),
                [only] => format!("a mapping with the key `{}`", only.key),
                [first, ..] => format!("a mapping with `{}` and {} more keys", first.key, entries.len() - 1),
            },
        }
    }

    /// A mapping with these keys and no others.
    #[must_use]
    pub fn map(&self, known: &[&'static str]) -> Option<Map<'a>> {
        let map = self.open_map(&format!("a mapping with keys such as `{}`", known.first().unwrap_or(&"key")))?;
        for Entry { key, at, .. } in map.entries {
            if !known.contains(&key.as_str()) {
                let message = format!("unknown key `{key}`; {}", known_names(key, known.iter().copied()));
                self.sink.report(*at, join(&self.path, key), message);
            }
        }
        Some(Map { known: Some(known.to_vec()), ..map })
    }

    /// A mapping whose keys are names that the writer chose.
    #[must_use]
    pub fn open_map(&self, wanted: &str) -> Option<Map<'a>> {
        match &self.node.value {
            Value::Map(entries) => Some(Map { item: self.clone(), entries, known: None }),
            _ => self.expected(wanted),
        }
    }

    /// A list of texts, each as it is written; one may be empty.
    #[must_use]
    pub fn texts(&self, wanted: &str) -> Option<Vec<String>> {
        let text = |item: Item<'a>| match item.scalar() {
            Some(text) => Some(text.to_owned()),
            None => item.fail(format!("expected {wanted}: write each in quotes, \"\" or \"null\"")),
        };
        self.list(wanted)?.into_iter().map(text).collect()
    }

    #[must_use]
    pub fn list(&self, wanted: &str) -> Option<Vec<Item<'a>>> {
        let Value::List(nodes) = &self.node.value else {
            return self.expected(format!("a list of {wanted}, in brackets"));
        };
        let item = |(place, node): (usize, &'a Node)| Item {
            node,
            path: format!("{}[{place}]", self.path),
            at: node.at,
            sink: self.sink,
        };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// Text that is not empty. A plain number or boolean is refused: whether `1.10` keeps its zero should not depend
    /// on the reader.
    #[must_use]
    pub fn text(&self, wanted: &str) -> Option<&'a str> {
        let Value::Scalar { text, plain } = &self.node.value else {
            return self.expected(wanted);
        };
        if self.node.is_null() {
            return self.expected(wanted);
        }
        if text.trim().is_empty() {
            return self.fail(format!("expected {wanted}, read an empty text"));
        }
        if *plain && (units::number(text).is_ok() || matches!(text.as_str(), "true" | "false")) {
            return self.fail(format!("expected {wanted}, read {text} without quotes: write \"{text}\""));
        }
        if text.chars().any(char::is_control) {
            return self.fail(format!("expected {wanted}, read {}: write it without control characters", quote(text)));
        }
        Some(text)
    }

    /// A name of at most 200 bytes.
    #[must_use]
    pub fn name(&self, wanted: &str) -> Option<&'a str> {
        let text = self.text(wanted)?;
        if text.len() > 200 {
            return self.fail(format!("{wanted} of {} bytes: write at most 200", text.len()));
        }
        Some(text)
    }

    /// A name that can stand in paths and labels: `[A-Za-z0-9_-]`, at most 64.
    #[must_use]
    pub fn slug(&self, wanted: &str) -> Option<&'a str> {
        let text = self.text(wanted)?;
        is_slug(text).then_some(text).or_else(|| self.fail(slug_message(wanted, text)))
    }

    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self.scalar() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => self.expected("true or false"),
        }
    }

    /// A number for which `allowed` holds; `wanted` says which those are.
    #[must_use]
    pub fn number(&self, wanted: &str, allowed: impl Fn(f64) -> bool) -> Option<f64> {
        let number = self.convert("a number", units::number)?;
        if self.quoted("a number") {
            return None;
        }
        allowed(number).then_some(number).or_else(|| self.fail(format!("expected {wanted}, read {}", self.describe())))
    }

    /// A number that values are compared with, exactly as written, for which `allowed` holds.
    #[must_use]
    pub fn limit(&self, wanted: &str, allowed: impl Fn(Limit) -> bool) -> Option<Limit> {
        let number = self.convert("a number", units::limit)?;
        if self.quoted("a number") {
            return None;
        }
        allowed(number).then_some(number).or_else(|| self.fail(format!("expected {wanted}, read {}", self.describe())))
    }

    /// A whole number of a range.
    #[must_use]
    pub fn whole(&self, least: u64, most: u64) -> Option<u64> {
        let wanted = format!("a whole number from {least} to {most}");
        let Some(text) = self.scalar() else {
            return self.expected(wanted);
        };
        match text.parse::<u64>() {
            Ok(_) if self.quoted(&wanted) => None,
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => self.expected(wanted),
        }
    }

    /// A scalar that `read` understands; its error is a whole message.
    #[must_use]
    pub fn convert<T>(&self, wanted: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match self.scalar().map(read) {
            Some(Ok(value)) => Some(value),
            Some(Err(message)) => self.fail(message),
            None => self.expected(wanted),
        }
    }

    /// Whether a value that should be plain is in quotes; that is reported.
    fn quoted(&self, wanted: &str) -> bool {
        let Value::Scalar { text, plain: false } = &self.node.value else { return false };
        self.report(format!("expected {wanted}, read the text {}: write {text} without quotes", quote(text)));
        true
    }

    /// Milliseconds; zero only where `zero` allows it.
    #[must_use]
    pub fn duration(&self, zero: bool) -> Option<i64> {
        let millis = self.convert("a duration", units::duration)?;
        if millis == 0 && !zero {
            return self.fail(format!("expected a duration above zero, read {}", self.describe()));
        }
        Some(millis)
    }

    /// One of a few words.
    #[must_use]
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let read = self.scalar();
        if let Some((_, value)) = words.iter().find(|(word, _)| Some(*word) == read) {
            return Some(*value);
        }
        let wanted = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        self.expected(wanted)
    }
}

/// A mapping in the tree.
#[derive(Clone)]
pub struct Map<'a> {
    item: Item<'a>,
    entries: &'a [Entry],
    known: Option<Vec<&'static str>>,
}

impl<'a> Map<'a> {
    /// The mapping itself, to report to.
    #[must_use]
    pub fn item(&self) -> &Item<'a> {
        &self.item
    }

    /// The value of a key that is known here; one that is not has been reported where it was written.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        if self.known.as_ref().is_some_and(|known| !known.contains(&key)) {
            return None;
        }
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.entry(entry))
    }

    /// The key's value; reports if the key is missing. `wanted` is an example of what to write.
    #[must_use]
    pub fn require(&self, key: &str, wanted: &str) -> Option<Item<'a>> {
        self.get(key).or_else(|| {
            self.item.sink.report(
                self.item.at,
                join(&self.item.path, key),
                format!("missing: write `{key}: {wanted}`"),
            );
            None
        })
    }

    /// Keys as written with their values, in the file's order.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> + '_ {
        self.entries.iter().map(|entry| (entry.key.as_str(), self.entry(entry)))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&self, entry: &'a Entry) -> Item<'a> {
        let empty = entry.value.is_null();
        Item {
            node: &entry.value,
            path: join(&self.item.path, &entry.key),
            at: if empty { entry.at } else { entry.value.at },
            sink: self.item.sink,
        }
    }
}

#[must_use]
pub fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

impl Item<'_> {
    /// Whether a key may be a slug; reports on this item otherwise.
    #[must_use]
    pub fn key_is_slug(&self, key: &str, wanted: &str) -> bool {
        is_slug(key) || {
            self.report(slug_message(wanted, key));
            false
        }
    }
}

fn slug_message(wanted: &str, text: &str) -> String {
    format!("expected {wanted}, read {}: use at most 64 of A-Z, a-z, 0-9, `_` and `-`", quote(text))
}

/// Quoted and cut to what fits a line.
fn quote(text: &str) -> String {
    units::quote(text)
}
