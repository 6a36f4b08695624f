//! Documents that share parts: `extends: base.yaml` and `vars:`. Mappings are merged key by key, lists and other values replaced, and
//! `null` deletes. Every value keeps the file, line and column where it stands.

use std::path::{Component, Path, PathBuf};

use super::emit::{emit, is_simple};
use super::error::{FileErrors, Position, Sink};
use super::names::known_names;
use super::read::Item;
use super::table::{ReadFile, Table};
use super::tree::{Entry, MAX_NODES, Node, Value, join, parse};

/// Files in a chain of `extends`, with the first.
const MAX_FILES: usize = 8;
const EXTENDS: &str = "extends";
const VARS: &str = "vars";

/// Reads a document as `super::read`, with what it extends, its variables and its tables filled in. `build` is given the merged document's text,
/// or none where the document has none of them.
///
/// # Errors
/// All errors of all files, sorted by file and position.
pub fn read_extended<T>(
    text: &str,
    file: &Path,
    read: ReadFile<'_>,
    tables: &[Table],
    build: impl FnOnce(&Item, Option<&str>) -> Option<T>,
) -> Result<T, FileErrors> {
    let sink = Sink::default();
    let outcome = whole(text, file, (read, tables), &sink)
        .and_then(|(root, merged)| build(&Item::root(&root, &sink), merged.as_deref()));
    sink.finish(file, outcome)
}

fn whole(
    text: &str,
    file: &Path,
    (read, tables): (ReadFile<'_>, &[Table]),
    sink: &Sink,
) -> Option<(Node, Option<String>)> {
    let root = parse(text, sink)?;
    let has_parts = has(&root, EXTENDS) || has(&root, VARS);
    if !has_parts && !tables.iter().any(|table| table.is_in(&root)) {
        return Some((root, None));
    }
    let mut merged = if has_parts { filled(root, file, read, sink)? } else { root };
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    for table in tables {
        if table.is_in(&merged) {
            table.fill(&mut merged, folder, read, sink)?;
        }
    }
    let text = emit(&merged);
    Some((merged, Some(text)))
}

/// The document with what it extends and its variables.
fn filled(root: Node, file: &Path, read: ReadFile<'_>, sink: &Sink) -> Option<Node> {
    let mut chain = vec![normal(file)];
    let mut merged = extended(root, file, read, sink, &mut chain)?;
    let vars = taken(&mut merged, VARS);
    let vars = match vars.map(|entry| entry.value) {
        None => Vec::new(),
        Some(Node { value: Value::Map(entries), .. }) => entries,
        Some(node) if node.is_null() => Vec::new(),
        Some(node) => {
            sink.report(node.at, VARS, "expected a mapping of names to values, such as {team: payments}");
            return None;
        }
    };
    let mut filling = Filling { vars: &vars, sink, left: MAX_NODES, failed: false };
    filling.fill(&mut merged, "");
    (!filling.failed).then_some(merged)
}

fn has(root: &Node, key: &str) -> bool {
    matches!(&root.value, Value::Map(entries) if entries.iter().any(|e| e.key == key))
}

fn taken(root: &mut Node, key: &str) -> Option<Entry> {
    let Value::Map(entries) = &mut root.value else { return None };
    let at = entries.iter().position(|e| e.key == key)?;
    Some(entries.remove(at))
}

/// The document with all that it extends below it.
fn extended(mut root: Node, file: &Path, read: ReadFile<'_>, sink: &Sink, chain: &mut Vec<PathBuf>) -> Option<Node> {
    let Some(Entry { value: node, .. }) = taken(&mut root, EXTENDS) else { return Some(root) };
    let name = match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => text,
        _ => return refuse(sink, node.at, "expected the path of one file, such as base.yaml"),
    };
    let base = file.parent().unwrap_or_else(|| Path::new("")).join(name);
    let place = normal(&base);
    if chain.contains(&place) {
        return refuse(
            sink,
            node.at,
            &format!("{} extends itself: remove one `extends` of the circle", base.display()),
        );
    }
    if chain.len() >= MAX_FILES {
        return refuse(sink, node.at, &format!("more than {MAX_FILES} files extend each other: merge some of them"));
    }
    chain.push(place);
    let text = match read(&base) {
        Ok(text) => text,
        Err(why) => return refuse(sink, node.at, &format!("{} cannot be read: {why}", base.display())),
    };
    let below = sink.within(&base, |number| {
        let mut root = parse(&text, sink)?;
        root.place_in(number);
        Some(root)
    })?;
    let below = extended(below, &base, read, sink, chain)?;
    Some(merged(below, root))
}

fn refuse<T>(sink: &Sink, at: Position, message: &str) -> Option<T> {
    sink.report(at, EXTENDS, message);
    None
}

/// A path without `.` and `..`, for comparing.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// Two values, the second one over the first.
fn merged(below: Node, above: Node) -> Node {
    match (below.value, above.value) {
        (Value::Map(mut entries), Value::Map(over)) => {
            for entry in over {
                let at = entries.iter().position(|e| e.key == entry.key);
                match at.map(|at| (at, entries.remove(at))) {
                    _ if entry.value.is_null() => {}
                    Some((at, before)) => {
                        entries.insert(at, Entry { value: merged(before.value, entry.value), ..entry });
                    }
                    None => entries.push(entry),
                }
            }
            Node { value: Value::Map(entries), at: above.at }
        }
        (_, value) => Node { value, at: above.at },
    }
}

/// Fills variables in.
struct Filling<'v> {
    vars: &'v [Entry],
    sink: &'v Sink,
    /// How many values may still come in.
    left: usize,
    failed: bool,
}

impl<'v> Filling<'v> {
    fn fill(&mut self, node: &mut Node, path: &str) {
        match &mut node.value {
            Value::Map(entries) => {
                for entry in entries {
                    self.fill(&mut entry.value, &join(path, &entry.key));
                }
            }
            Value::List(items) => {
                for (place, item) in items.iter_mut().enumerate() {
                    self.fill(item, &format!("{path}[{place}]"));
                }
            }
            Value::Scalar { text, plain } if text.contains('$') => {
                if let Some(name) = text.strip_prefix('$').filter(|rest| is_name(rest)) {
                    let found = self.named(name, node.at, path).cloned();
                    if let Some(found) = found {
                        *node = found;
                    }
                } else {
                    let filled = self.text(text, node.at, path);
                    *plain = *plain && is_simple(&filled);
                    *text = filled;
                }
            }
            Value::Scalar { .. } => {}
        }
    }

    /// A text with each `${name}` filled in; `$$` is a dollar.
    fn text(&mut self, text: &str, at: Position, path: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            rest = if let Some((name, after)) = braced.filter(|(name, _)| is_name(name)) {
                match self.named(name, at, path).map(|node| &node.value) {
                    Some(Value::Scalar { text, .. }) => out.push_str(text),
                    Some(_) => self.report(
                        at,
                        path,
                        format!("`${{{name}}}` is a mapping or list: write `${name}` as the whole value"),
                    ),
                    None => {}
                }
                after
            } else {
                out.push('$');
                after.strip_prefix('$').unwrap_or(after)
            };
        }
        out + rest
    }

    fn named(&mut self, name: &str, at: Position, path: &str) -> Option<&'v Node> {
        let Some(entry) = self.vars.iter().find(|e| e.key == name) else {
            let known = known_names(name, self.vars.iter().map(|e| e.key.as_str()));
            self.report(at, path, format!("unknown variable `{name}`; {known}; write `$$` for a dollar"));
            return None;
        };
        let size = size(&entry.value);
        if size > self.left {
            self.report(at, path, format!("more than {MAX_NODES} values come from variables: write a smaller file"));
            self.left = 0;
            return None;
        }
        self.left -= size;
        Some(&entry.value)
    }

    fn report(&mut self, at: Position, path: &str, message: String) {
        self.failed = true;
        self.sink.report(at, path, message);
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => items.iter().map(size).sum::<usize>() + 1,
        Value::Map(entries) => entries.iter().map(|e| size(&e.value)).sum::<usize>() + 1,
    }
}

#[cfg(test)]
mod tests;
