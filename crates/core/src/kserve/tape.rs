//! A JSON text as a list of its values, in memory that the next text reuses. Scalars keep their text, so that a number is what its digits say.

use std::borrow::Cow;

use crate::decode::scan::{Scanner, Token};
use crate::decode::{Reason, Reject};

/// The values of one text, each before what it holds.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    scratch: String,
}

/// A value, or the name of the value behind it.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Where it stands in the text, with its quotes or brackets.
    start: u32,
    end: u32,
    /// The node behind all that it holds.
    behind: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A text without escapes.
    Plain,
    Escaped,
    /// A number, truth value or `null`.
    Other,
    Array,
    Object,
}

/// A value of a text.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t> {
    text: &'t str,
    nodes: &'t [Node],
    at: usize,
}

/// Values that stand behind each other.
#[derive(Clone, Debug)]
pub struct Elements<'t> {
    of: Value<'t>,
    /// The next one, and the first that is none of them.
    at: usize,
    behind: usize,
}

impl<'t> Iterator for Elements<'t> {
    type Item = Value<'t>;

    fn next(&mut self) -> Option<Value<'t>> {
        let value = (self.at < self.behind).then(|| self.of.at(self.at))?;
        self.at = value.node().behind as usize;
        Some(value)
    }
}

impl Tape {
    /// Reads a whole text, nested no deeper than `depth`.
    ///
    /// # Errors
    /// A text that is not JSON (or `NaN`, `Infinity`).
    pub fn read<'t>(&'t mut self, text: &'t [u8], depth: usize) -> Result<Value<'t>, Reject> {
        let text = std::str::from_utf8(text)
            .map_err(|e| Reject::new(Reason::NotJson, format!("the body is not UTF-8: {e}")))?;
        if u32::try_from(text.len()).is_err() {
            return Err(Reject::new(Reason::TooLarge, format!("the body has {} bytes", text.len())));
        }
        self.nodes.clear();
        let mut scanner = Scanner::of_text(text, depth);
        self.value(&mut scanner)?;
        scanner.end()?;
        Ok(Value { text, nodes: &self.nodes, at: 0 })
    }

    fn value(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Reject> {
        let first = scanner.first();
        let start = scanner.position();
        match first {
            Some(b'{') => {
                let at = self.begin(Kind::Object, start);
                let mut more = scanner.enter_object()?;
                while more {
                    // White space before a name was passed with the bracket or the comma.
                    let start = scanner.position();
                    let (length, is_plain) = scanner.name(&mut self.scratch)?;
                    let name = self.begin(if is_plain { Kind::Plain } else { Kind::Escaped }, start);
                    self.end(name, start + length);
                    self.value(scanner)?;
                    more = scanner.next_member()?;
                }
                self.end(at, scanner.position());
            }
            Some(b'[') => {
                let at = self.begin(Kind::Array, start);
                let mut more = scanner.enter_array()?;
                while more {
                    self.value(scanner)?;
                    more = scanner.next_element()?;
                }
                self.end(at, scanner.position());
            }
            _ => {
                let kind = match scanner.value(&mut self.scratch)? {
                    Token::Plain(_) => Kind::Plain,
                    Token::Escaped => Kind::Escaped,
                    _ => Kind::Other,
                };
                let at = self.begin(kind, start);
                self.end(at, scanner.position());
            }
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "the text has less than 2^32 bytes, and no more values")]
    fn begin(&mut self, kind: Kind, start: usize) -> usize {
        self.nodes.push(Node { kind, start: start as u32, end: 0, behind: 0 });
        self.nodes.len() - 1
    }

    #[expect(clippy::cast_possible_truncation, reason = "the text has less than 2^32 bytes, and no more values")]
    fn end(&mut self, at: usize, end: usize) {
        let behind = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(at) {
            (node.end, node.behind) = (end as u32, behind);
        }
    }
}

impl<'t> Value<'t> {
    fn node(&self) -> Node {
        const NONE: Node = Node { kind: Kind::Other, start: 0, end: 0, behind: 0 };
        self.nodes.get(self.at).copied().unwrap_or(NONE)
    }

    /// Where it stands in the tape.
    #[must_use]
    pub fn place(&self) -> usize {
        self.at
    }

    /// The value at a place of the same tape.
    #[must_use]
    pub fn at(&self, place: usize) -> Self {
        Self { at: place, ..*self }
    }

    #[must_use]
    pub fn is_array(&self) -> bool {
        self.node().kind == Kind::Array
    }

    #[must_use]
    pub fn is_object(&self) -> bool {
        self.node().kind == Kind::Object
    }

    /// A scalar as it is written.
    #[must_use]
    pub fn scalar(&self) -> Option<&'t str> {
        (!matches!(self.node().kind, Kind::Array | Kind::Object)).then(|| self.written())
    }

    fn written(&self) -> &'t str {
        let node = self.node();
        self.text.get(node.start as usize..node.end as usize).unwrap_or("null")
    }

    /// The values of an array.
    pub fn elements(&self) -> Elements<'t> {
        let at = if self.is_array() { self.at + 1 } else { usize::MAX };
        Elements { of: *self, at, behind: self.node().behind as usize }
    }

    /// The value as the only one of a list.
    pub fn alone(&self) -> Elements<'t> {
        Elements { of: *self, at: self.at, behind: self.node().behind as usize }
    }

    /// The members of an object: a text that is the name, and the value.
    pub fn members(&self) -> impl Iterator<Item = (Self, Self)> + use<'t> {
        let (of, node) = (*self, self.node());
        let mut at = if node.kind == Kind::Object { of.at + 1 } else { usize::MAX };
        std::iter::from_fn(move || {
            (at < node.behind as usize).then(|| {
                let (name, value) = (of.at(at), of.at(at + 1));
                at = value.node().behind as usize;
                (name, value)
            })
        })
    }

    /// A member of an object: the last of that name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Self> {
        self.members().filter(|(of, _)| of.is_text(name)).last().map(|(_, value)| value)
    }

    /// What a pointer names, by its parts.
    #[must_use]
    pub fn pointer(&self, at: &[String]) -> Option<Self> {
        at.iter().try_fold(*self, |value, part| value.step(part))
    }

    /// What one part of a pointer names.
    #[must_use]
    pub fn step(&self, part: &str) -> Option<Self> {
        if self.is_array() { self.elements().nth(part.parse().ok()?) } else { self.member(part) }
    }

    /// What a text says.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'t, str>> {
        match self.node().kind {
            Kind::Plain => Some(Cow::Borrowed(self.plain())),
            Kind::Escaped => serde_json::from_str(self.written()).ok().map(Cow::Owned),
            Kind::Other | Kind::Array | Kind::Object => None,
        }
    }

    /// A text without its quotes.
    fn plain(&self) -> &'t str {
        let node = self.node();
        self.text.get(node.start as usize + 1..node.end as usize - 1).unwrap_or("")
    }

    /// Whether it is this text.
    #[must_use]
    pub fn is_text(&self, text: &str) -> bool {
        match self.node().kind {
            Kind::Plain => self.plain() == text,
            Kind::Escaped => self.text().is_some_and(|of| of == text),
            Kind::Other | Kind::Array | Kind::Object => false,
        }
    }

    #[must_use]
    pub fn whole(&self) -> Option<usize> {
        self.scalar()?.parse().ok()
    }

    /// Writes it as JSON, on one line.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.node().kind {
            Kind::Plain | Kind::Escaped | Kind::Other => out.extend_from_slice(self.written().as_bytes()),
            Kind::Array => {
                out.push(b'[');
                for (at, value) in self.elements().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value.write(out);
                }
                out.push(b']');
            }
            Kind::Object => {
                out.push(b'{');
                for (at, (name, value)) in self.members().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name.written().as_bytes());
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// Writes a text as JSON.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_read_or_refused() {
        let mut tape = Tape::default();
        for text in
            ["", "[", "{\"a\":", "[1,", "nul", "[[[[[[[[[[[[[[[[[[", "\"\\ud800\"", "[1 2]", "{\"a\" 1}", "{1:2}"]
        {
            assert!(tape.read(text.as_bytes(), 8).is_err(), "{text}");
        }
        let text = " { \"a\" : [ 1.0 , NaN , \"x\\n\" , { } , [ ] ] , \"b\" :{\"c\":null}} ";
        let value = tape.read(text.as_bytes(), 8).unwrap();
        let mut out = Vec::new();
        value.write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":[1.0,NaN,"x\n",{},[]],"b":{"c":null}}"#);
    }

    #[test]
    fn members_are_found_by_what_their_names_say_and_the_last_of_a_name_counts() {
        let mut tape = Tape::default();
        let value = tape.read(br#"{"a":[1,[2,3],{"x":4}],"b":"B","\u0061b":"\u0042","b":"C","n":7}"#, 8).unwrap();
        let written = |value: Option<Value<'_>>| value.and_then(|value| value.scalar().map(str::to_owned));
        assert_eq!(written(value.member("b")).as_deref(), Some("\"C\""));
        assert!(value.member("ab").is_some_and(|of| of.is_text("B") && of.text().as_deref() == Some("B")));
        let at = |path: &str| value.pointer(&path.split('/').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            ["a/0", "a/1/1", "a/2/x", "n"].map(|path| at(path).and_then(|of| of.whole())),
            [Some(1), Some(3), Some(4), Some(7)]
        );
        assert!(["a/3", "a/x", "b/0", "c"].iter().all(|path| at(path).is_none()));
        assert_eq!((value.elements().count(), value.members().count()), (0, 5));
        assert_eq!(value.member("a").map(|of| of.elements().count()), Some(3));
    }
}
