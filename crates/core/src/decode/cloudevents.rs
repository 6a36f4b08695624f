//! `CloudEvents` 1.0: the attributes around an event's data, in Kafka's binary mode (headers `ce_*`, the value is the data) and in
//! structured mode (the value is a JSON object of attributes, with the data in `data` or `data_base64`). The data is read in the source's
//! data format, as if it stood alone; a field at `/ce_time` is the attribute `time`, in both modes. Source: the `CloudEvents` specification
//! 1.0.2, its JSON format and its Kafka protocol binding.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::{Stop, Walk};
use super::plan::{Meaning, Plan, Slot};
use super::scan::{Scanner, Token};
use super::{Reason, Reject};
use crate::event::Field;

/// How Kafka's binary mode begins the names of headers, and a source's pointers those of attributes.
pub const PREFIX: &str = "ce_";
/// The header without which a message is not in binary mode.
const VERSION: &CStr = c"ce_specversion";
const CONTENT_TYPE: &CStr = c"content-type";
/// How the content type of a message in structured mode begins.
const STRUCTURED: &str = "application/cloudevents";

/// The headers of a message.
pub trait Headers {
    /// The last header of a name, if it has a value.
    fn header(&self, name: &CStr) -> Option<&[u8]>;

    /// The record's key, if it has one.
    fn key(&self) -> Option<&[u8]> {
        None
    }
}

impl fmt::Debug for dyn Headers + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers")
    }
}

/// An attribute that a source reads, and what the present event has in it.
#[derive(Debug)]
pub struct Attribute {
    /// With the prefix.
    key: String,
    header: CString,
    value: String,
    is_there: bool,
}

/// Where an event's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Bytes of the message's value.
    Value(Range<usize>),
    /// What was decoded from `data_base64`.
    Decoded,
}

/// What surrounds the data of the present event.
#[derive(Debug, Default)]
pub struct Envelope {
    pub(super) attributes: Vec<Attribute>,
    decoded: Vec<u8>,
    scratch: String,
    /// Whether the data is text: other data stands in `data_base64` in structured mode.
    is_text: bool,
    depth: usize,
}

impl Envelope {
    /// For the fields of these plans. `is_text`: the data is JSON; `depth`: how deeply it may be nested.
    pub(super) fn new<'p>(plans: impl Iterator<Item = &'p Plan>, is_text: bool, depth: usize) -> Self {
        let nodes = plans.filter_map(|plan| plan.nodes.first());
        let names = nodes.flat_map(|node| node.keys.iter().filter_map(|key| key.name.strip_prefix(PREFIX)));
        Self { is_text, ..Self::of(names, depth) }
    }

    /// For attributes of these names, around data in JSON.
    pub fn of<'n>(names: impl Iterator<Item = &'n str>, depth: usize) -> Self {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        let attribute = |name: &str| {
            let key = format!("{PREFIX}{name}");
            // A name with a zero in it is no header's.
            let header = CString::new(key.as_str()).ok()?;
            Some(Attribute { key, header, value: String::new(), is_there: false })
        };
        let attributes = names.into_iter().filter_map(attribute).collect();
        Self { attributes, is_text: true, depth, ..Self::default() }
    }

    /// What the message that was opened last has in an attribute of `of`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let is = |attribute: &&Attribute| attribute.key.strip_prefix(PREFIX) == Some(name);
        let found = self.attributes.iter().find(is).filter(|attribute| attribute.is_there);
        found.map(|attribute| attribute.value.as_str())
    }

    /// Reads the attributes of a message; where its data is.
    ///
    /// # Errors
    /// A message that is no `CloudEvent`.
    pub fn open(&mut self, value: &[u8], headers: Option<&dyn Headers>) -> Result<Place, Reject> {
        self.attributes.iter_mut().for_each(|attribute| attribute.is_there = false);
        let content_type = headers.and_then(|headers| headers.header(CONTENT_TYPE)).unwrap_or(b"");
        let structured = content_type
            .get(..STRUCTURED.len())
            .is_some_and(|begins| begins.eq_ignore_ascii_case(STRUCTURED.as_bytes()));
        let Some(headers) = headers.filter(|headers| !structured && headers.header(VERSION).is_some()) else {
            return self.structured(value, content_type, structured);
        };
        for attribute in &mut self.attributes {
            let Some(bytes) = headers.header(&attribute.header) else { continue };
            let Ok(text) = std::str::from_utf8(bytes) else {
                return Err(bad(format!("the header {} is not UTF-8", attribute.key)));
            };
            attribute.set(text);
        }
        Ok(Place::Value(0..value.len()))
    }

    /// The data of the message that was opened last.
    #[must_use]
    pub fn data<'d>(&'d self, place: &Place, value: &'d [u8]) -> &'d [u8] {
        match place {
            Place::Value(range) => value.get(range.clone()).unwrap_or(&[]),
            Place::Decoded => &self.decoded,
        }
    }

    /// Reads an object of attributes and data. `named`: the content type says that it is one.
    fn structured(&mut self, value: &[u8], content_type: &[u8], named: bool) -> Result<Place, Reject> {
        if named {
            is_one_in_json(content_type)?;
        }
        let text = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
        let begin = value.len() - text.len();
        // The data is one level deeper.
        let mut scanner = Scanner::new(text, self.depth.saturating_add(1));
        let Self { attributes, decoded, scratch, .. } = self;
        let mut more = scanner.enter_object()?;
        let (mut place, mut has_version) = (None, false);
        while more {
            let key = scanner.key(scratch)?;
            let (is_data, is_bytes) = (key == "data", key == "data_base64");
            has_version |= key == "specversion";
            let is = |attribute: &&mut Attribute| attribute.key.strip_prefix(PREFIX) == Some(key);
            let attribute = attributes.iter_mut().find(is);
            // Behind white space.
            scanner.first();
            let start = scanner.position();
            let token = if is_data { scanner.skim(scratch)? } else { scanner.value(scratch)? };
            let end = scanner.position();
            if is_data || is_bytes {
                if place.is_some() {
                    return Err(Reject::new(Reason::DuplicateKey, "the data stands twice"));
                }
                place = match token {
                    Token::Null => None,
                    _ if is_data => Some(Place::Value(begin + start..begin + end)),
                    token => {
                        decode(token, scratch, decoded)?;
                        Some(Place::Decoded)
                    }
                };
            } else if let Some(attribute) = attribute {
                attribute.take(token, text.get(start..end).unwrap_or(&[]), scratch)?;
            }
            more = scanner.next_member()?;
        }
        scanner.end()?;
        if !has_version {
            let headers = if named { "" } else { "it has no header ce_specversion, and " };
            return Err(bad(format!("{headers}its value has no `specversion`: it is no CloudEvent")));
        }
        match place {
            None => Err(bad("the event has no data".to_owned())),
            Some(Place::Value(_)) if !self.is_text => Err(bad(
                "the data stands in `data`, as JSON: what the source's `data_format` reads stands in `data_base64` in structured mode".to_owned(),
            )),
            Some(place) => Ok(place),
        }
    }
}

/// Checks that a content type is that of one event in JSON.
fn is_one_in_json(content_type: &[u8]) -> Result<(), Reject> {
    let rest = content_type.get(STRUCTURED.len()..).unwrap_or(b"");
    let form = rest.split(|byte| *byte == b';').next().unwrap_or(b"").trim_ascii();
    if form.is_empty() || form.eq_ignore_ascii_case(b"+json") {
        return Ok(());
    }
    let form = String::from_utf8_lossy(form);
    Err(bad(format!(
        "the content type is {STRUCTURED}{form}: events in structured mode are read as +json, one in each message"
    )))
}

impl Attribute {
    /// Takes its value of an event in structured mode, with its text as it is written.
    fn take(&mut self, token: Token<'_>, written: &[u8], scratch: &str) -> Result<(), Reject> {
        if self.is_there {
            let detail = format!("the attribute {:?} stands twice", self.key);
            return Err(Reject::new(Reason::DuplicateKey, detail));
        }
        match token {
            Token::Null => {}
            Token::Plain(text) => self.set(text),
            Token::Escaped => self.set(scratch),
            Token::Bool(_) | Token::Number(..) => self.set(std::str::from_utf8(written).unwrap_or("")),
            Token::Composite => return Err(bad(format!("the attribute {:?} is an array or object", self.key))),
        }
        Ok(())
    }

    fn set(&mut self, text: &str) {
        self.value.clear();
        self.value.push_str(text);
        self.is_there = true;
    }

    /// Puts the attribute where the plan of a walk has it. Headers are texts: digits are a number where one belongs.
    pub(super) fn put(&self, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        let found = walk.plan.nodes.first().and_then(|node| node.find(&self.key));
        let (true, Some(key)) = (self.is_there, found) else { return Ok(()) };
        let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'e' | b'E' | b'+');
        let number = self.value.bytes().all(digits).then(|| self.value.parse().ok()).flatten();
        match number {
            Some(number) if is_number(walk.meaning((0, key))) => walk.put((0, key), Token::Number(number, &self.value)),
            _ => walk.put((0, key), Token::Plain(&self.value)),
        }
    }
}

fn is_number(meaning: Meaning) -> bool {
    let field = matches!(meaning.field, Some(Field::Score | Field::LatencyMs | Field::Value | Field::Weight));
    field || matches!(meaning.feature, Some(Slot::Numeric(_)))
}

/// The bytes of a `data_base64`.
fn decode(token: Token<'_>, scratch: &str, into: &mut Vec<u8>) -> Result<(), Reject> {
    let text = match token {
        Token::Plain(text) => text,
        Token::Escaped => scratch,
        _ => return Err(bad("`data_base64` is no text".to_owned())),
    };
    into.clear();
    STANDARD.decode_vec(text, into).map_err(|e| bad(format!("`data_base64` is not base64: {e}")))
}

fn bad(detail: String) -> Reject {
    Reject::new(Reason::BadCloudevent, detail)
}

#[cfg(test)]
mod tests;
