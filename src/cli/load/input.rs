//! The file whose rows are published: rows of columns, JSON lines, or the values of an Avro file as such lines.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use polars_io::{SerReader as _, prelude::ParquetReader};

use super::avro::AvroLines;
use super::rows::{Rows, kind_of};
use crate::source::columns::{self, Format};
use crate::source::files::{FileKind, open_text};
use crate::source::partitions::Members;
use driftgate_core::decode::Reject;
use driftgate_core::decode::scan::{Scanner, Token};
use driftgate_core::event::{EventKind, Field, FieldMap, Limits};
use driftgate_core::policy::Policy;
use driftgate_core::schema::{Schema, canonical_number};

/// The file's events, of any format.
pub struct Input {
    events: Events,
    pub kind: EventKind,
    /// How many there are, where the file says it.
    pub total: Option<u64>,
}

enum Events {
    Rows(Box<Rows>),
    Lines(Lines),
}

impl Input {
    pub fn open(path: &Path, policy: &Policy, kind: Option<EventKind>) -> anyhow::Result<Self> {
        if FileKind::of(path)? == FileKind::Columns {
            let (rows, kind) = Rows::open(path, policy, kind)?;
            return Ok(Self { events: Events::Rows(Box::new(rows)), kind, total: rows_of(path) });
        }
        let reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else if FileKind::of(path)? == FileKind::Avro {
            Box::new(BufReader::with_capacity(1 << 18, AvroLines::open(path)?))
        } else {
            let text = open_text(path).with_context(|| format!("{} cannot be opened", path.display()))?;
            Box::new(BufReader::with_capacity(1 << 18, text))
        };
        let mut lines = Lines {
            reader,
            name: path.display().to_string(),
            number: 0,
            keyed: true,
            first: None,
            key: String::new(),
            members: Members::of(path, &FieldMap::default(), &Schema::new(policy)),
        };
        let mut first = Vec::new();
        let kind = if let Some(kind) = kind {
            kind
        } else if lines.read(&mut first)? {
            let mut keys: Vec<String> = Vec::new();
            members(&first, |key, _| keys.push(key.to_owned())).map_err(|e| lines.wrong(&e.detail))?;
            lines.first = Some(first);
            kind_of(keys.iter().map(String::as_str), &policy.kpis)?
        } else {
            EventKind::Predictions
        };
        lines.keyed = kind.has(Field::PredictionId);
        Ok(Self { events: Events::Lines(lines), kind, total: None })
    }

    /// Writes the next event into `out` and gives its key, if it has one; `None` at the end.
    pub fn next(&mut self, out: &mut Vec<u8>) -> anyhow::Result<Option<Option<&[u8]>>> {
        match &mut self.events {
            Events::Rows(rows) => Ok(rows.next(out)?),
            Events::Lines(lines) => lines.next(out),
        }
    }
}

/// The rows of a Parquet file, for the progress bar; nothing fails for want of it.
fn rows_of(path: &Path) -> Option<u64> {
    if Format::of(&path.display().to_string(), b"") != Some(Format::Parquet) {
        return None;
    }
    let file = File::open(path).ok()?;
    let rows = columns::guard(|| ParquetReader::new(file).num_rows().map_err(|e| e.to_string()));
    rows.ok().and_then(|rows| u64::try_from(rows).ok())
}

/// JSON lines, which are published unchanged, but for what stands in the path of their file.
struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    /// Of the line read last, from 1.
    number: u64,
    keyed: bool,
    /// The first line, where it was read for its keys.
    first: Option<Vec<u8>>,
    key: String,
    members: Members,
}

/// Reads a line's object, and shows each of its members. The rest is checked to be JSON and skipped.
fn members(line: &[u8], mut each: impl FnMut(&str, Member<'_>)) -> Result<(), Reject> {
    let (mut key, mut text) = (String::new(), String::new());
    let mut scanner = Scanner::new(line, Limits::default().depth);
    let mut more = scanner.enter_object()?;
    while more {
        let name = scanner.key(&mut key)?;
        let member = match scanner.value(&mut text)? {
            Token::Escaped => Member::Text(&text),
            Token::Number(_, "-0") => Member::Text("0"),
            Token::Number(_, text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => Member::Text(text),
            Token::Plain(text) => Member::Text(text),
            Token::Number(x, _) => Member::Number(x),
            Token::Bool(yes) => Member::Text(if yes { "true" } else { "false" }),
            Token::Null | Token::Composite => Member::Other,
        };
        each(name, member);
        more = scanner.next_member()?;
    }
    scanner.end()
}

/// The value of a key, as far as it can be an id.
enum Member<'a> {
    Text(&'a str),
    Number(f64),
    Other,
}

impl Lines {
    /// Reads the next line that is not blank, without its end; false at the end of the file.
    fn read(&mut self, out: &mut Vec<u8>) -> anyhow::Result<bool> {
        loop {
            out.clear();
            if self.reader.read_until(b'\n', out).with_context(|| format!("{} cannot be read", self.name))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.number == 1 && out.starts_with(b"\xef\xbb\xbf") {
                out.drain(..3);
            }
            out.truncate(out.trim_ascii_end().len());
            if !out.is_empty() {
                if !self.members.is_empty() {
                    let mut scratch = Vec::with_capacity(out.len() + 64);
                    *out = self.members.put(out, &mut scratch).to_vec();
                }
                return Ok(true);
            }
        }
    }

    fn wrong(&self, cause: &str) -> anyhow::Error {
        anyhow!("{}:{}: not a JSON object: {cause}", self.name, self.number)
    }

    fn next(&mut self, out: &mut Vec<u8>) -> anyhow::Result<Option<Option<&[u8]>>> {
        match self.first.take() {
            Some(first) => *out = first,
            None if !self.read(out)? => return Ok(None),
            None => {}
        }
        if out.trim_ascii_start().first() != Some(&b'{') {
            return Err(self.wrong("it does not begin with {"));
        }
        self.key.clear();
        let key = &mut self.key;
        let read = members(out, |name, member| match member {
            _ if name != "prediction_id" => {}
            Member::Text(id) => id.clone_into(key),
            Member::Number(id) => canonical_number(id, key),
            Member::Other => {}
        });
        read.map_err(|e| self.wrong(&e.detail))?;
        if !self.keyed {
            return Ok(Some(None));
        }
        Ok(Some((!self.key.is_empty()).then_some(self.key.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str, keyed: bool) -> Lines {
        Lines {
            reader: Box::new(text.as_bytes()),
            name: "x.jsonl".into(),
            number: 0,
            keyed,
            first: None,
            key: String::new(),
            members: Members::default(),
        }
    }

    fn all(mut lines: Lines) -> Result<Vec<(Option<String>, String)>, String> {
        let (mut out, mut read) = (Vec::new(), Vec::new());
        while let Some(key) = lines.next(&mut out).map_err(|e| e.to_string())? {
            let key = key.map(|k| String::from_utf8(k.to_vec()).unwrap());
            read.push((key, String::from_utf8(out.clone()).unwrap()));
        }
        Ok(read)
    }

    #[test]
    fn lines_are_published_as_they_stand() {
        let text = "\u{feff}{\"prediction_id\":\"a\\u00e9\", \"x\": [1,{}]}\r\n\n {\"prediction_id\":7}\n{\"prediction_id\":7.0}\n{\"y\":NaN}";
        let key = |k: &str| Some(k.to_owned());
        let read = all(lines(text, true)).unwrap();
        assert_eq!(read.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(), [key("aé"), key("7"), key("7"), None]);
        assert_eq!(read[0].1, "{\"prediction_id\":\"a\\u00e9\", \"x\": [1,{}]}");
        assert!(all(lines(text, false)).unwrap().iter().all(|(k, _)| k.is_none()));
    }

    #[test]
    fn a_line_that_is_no_object_is_named() {
        for (text, says) in [
            ("{}\n[1]\n", "x.jsonl:2: not a JSON object: it does not begin with {"),
            ("\n{\"a\":}", "x.jsonl:2: not a JSON object: expected a value at byte 5, found '}'"),
            ("{} {}", "expected the end of the event"),
        ] {
            let error = all(lines(text, true)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
