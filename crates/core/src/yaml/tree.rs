//! Text to a tree of values with their positions, from the YAML parser's events. serde is passed by on purpose:
//! it stops at the first error and turns `0,2` or `7d` into values before their text can be quoted.
//!
//! Bounded: nesting, and the number of values after aliases are filled in.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::error::{Position, Sink};

/// Deeper documents are refused.
const MAX_DEPTH: usize = 32;
/// Values of one document, aliases filled in.
pub(super) const MAX_NODES: usize = 200_000;

impl From<&Marker> for Position {
    fn from(marker: &Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col() + 1, file: 0 }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub at: Position,
}

impl Node {
    /// Nothing is written, or `null`.
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain: true } => matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            _ => false,
        }
    }

    /// Notes the number of the file that it and all in it stand in.
    pub fn place_in(&mut self, file: usize) {
        self.at.file = file;
        match &mut self.value {
            Value::Scalar { .. } => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.place_in(file)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.at.file = file;
                entry.value.place_in(file);
            }),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// `plain`: written without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub at: Position,
    pub value: Node,
}

impl Entry {
    /// In braces `lt: 0,2` is the key `lt` with 0 and the key `2` with nothing. The value becomes `0,2` again, for its
    /// reader to complain about.
    fn takes_comma(&mut self, key: &str, value: &Node) -> bool {
        let Value::Scalar { text, plain: true } = &mut self.value.value else { return false };
        let digits = text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        let comma = digits && text.ends_with(|last: char| last.is_ascii_digit());
        let comma = comma && key.starts_with(|first: char| first.is_ascii_digit()) && value.is_null();
        if comma {
            text.push(',');
            text.push_str(key);
        }
        comma
    }
}

/// The document's tree. Duplicate keys and tags are reported and left out; what breaks the structure ends the reading
/// with `None`, after a report.
pub(super) fn parse(text: &str, sink: &Sink) -> Option<Node> {
    let mut options = granit_parser::options! { emit_comments: false };
    options.flow_nesting_limit = MAX_DEPTH * 2;
    options.block_nesting_limit = MAX_DEPTH * 2;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder =
        Builder { parser, anchors: HashMap::new(), nodes: 0, sink, last: Position { line: 1, column: 1, file: 0 } };
    builder.document().map_err(|Stop { at, path, message }| sink.report(at, path, message)).ok()
}

/// Why the reading ended.
struct Stop {
    at: Position,
    path: String,
    message: String,
}

struct Builder<'t, 's> {
    parser: Parser<'t, StrInput<'t>>,
    /// By the parser's number: the value, and how many values it holds.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    sink: &'s Sink,
    last: Position,
}

impl<'t> Builder<'t, '_> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => {
                    return root.ok_or_else(|| self.stop("", "the file is empty: write at least its first keys"));
                }
                _ if root.is_some() => {
                    return Err(self
                        .stop("", "a second document begins here: write one document a file, without another `---`"));
                }
                event => root = Some(self.node(event, span, "", 0)?),
            }
        }
    }

    fn stop(&self, path: &str, message: impl Into<String>) -> Stop {
        Stop { at: self.last, path: path.to_owned(), message: message.into() }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.last = Position::from(&span.start);
                Ok((event, span))
            }
            Some(Err(error)) => Err(Stop { at: error.marker().into(), path: String::new(), message: syntax(&error) }),
            None => Err(self.stop("", "not valid yaml: the document ends too early")),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, path: &str, depth: usize) -> Result<Node, Stop> {
        let at = Position::from(&span.start);
        if depth > MAX_DEPTH {
            return Err(self.stop(path, format!("nested deeper than {MAX_DEPTH} levels: write it flatter")));
        }
        if event.tag().is_some() {
            self.sink.report(at, path, "tags (`!…`) are not read here: write the plain value");
        }
        let before = self.nodes;
        self.count(1, path)?;
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => self.list(path, depth)?,
            Event::MappingStart(..) => self.map(path, depth)?,
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(self.stop(path, "this alias stands inside its own anchor: write the value out"));
                };
                let (value, size) = (node.value.clone(), *size);
                self.count(size, path)?;
                value
            }
            _ => return Err(self.stop(path, "not valid yaml: a value is missing here")),
        };
        let node = Node { value, at };
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, more: usize, path: &str) -> Result<(), Stop> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            return Err(
                self.stop(path, format!("more than {MAX_NODES} values (aliases filled in): write a smaller file"))
            );
        }
        Ok(())
    }

    fn list(&mut self, path: &str, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::List(items));
            }
            let path = format!("{path}[{}]", items.len());
            items.push(self.node(event, span, &path, depth + 1)?);
        }
    }

    fn map(&mut self, path: &str, depth: usize) -> Result<Value, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            let at = self.last;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = match &event {
                Event::Scalar(text, ..) => Some(text.clone().into_owned()),
                _ => None,
            };
            let Some(key) = key else {
                self.sink.report(at, path, "a key must be text: write `key: value`");
                self.node(event, span, path, depth + 1)?;
                self.value(path, depth)?;
                continue;
            };
            let inner = join(path, &key);
            let value = self.value(&inner, depth)?;
            if key == "<<" {
                self.sink.report(at, inner, "merge keys (`<<`) are not read here: write the keys out");
            } else if let Some(first) = lines.get(&key) {
                self.sink.report(
                    at,
                    inner,
                    format!("the key `{key}` is written twice, first on line {first}: keep one"),
                );
            } else if !entries.last_mut().is_some_and(|before| before.takes_comma(&key, &value)) {
                lines.insert(key.clone(), at.line);
                entries.push(Entry { key, at, value });
            }
        }
    }

    fn value(&mut self, path: &str, depth: usize) -> Result<Node, Stop> {
        let (event, span) = self.next()?;
        self.node(event, span, path, depth + 1)
    }
}

/// The path of a key below a path.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn syntax(error: &ScanError) -> String {
    format!("not valid yaml: {}; check the indentation, brackets and quotes up to here", error.info())
}
