//! What was seen, put together: formats with their shares, fields, the guess, and the source that would read them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::decode::Decoder;
use super::detect::{Format, Message};
use super::fields::{Fields, pointer};
use super::file;
use super::guess::{self, Guess};
use super::inference::{Bodies, Proposal};
use super::serving::System;
use crate::config::has_format;
use driftgate_core::decode::framing::SchemaRef;
use driftgate_core::event::Field as Of;

/// Bytes of a message that is not known.
const FIRST_BYTES: usize = 16;
const SCHEMAS: usize = 20;
const UNKNOWN: usize = 3;

/// What was looked at.
pub enum From {
    Topic { topic: String, partitions: i32 },
    File(PathBuf),
}

/// What is known of a topic beside its messages.
#[derive(Default)]
pub struct Served {
    pub system: Option<System>,
    /// The topic of the responses to its requests, and some of them.
    pub answers: Option<(String, Vec<Message>)>,
}

/// What was found.
pub struct Report {
    pub from: From,
    /// Messages, or rows.
    pub looked_at: u64,
    /// How many are of each format, the most first; of a file its formats, from the outside to the inside.
    pub formats: Vec<(Format, u64)>,
    pub schemas: BTreeSet<SchemaRef>,
    /// The first bytes of some that are not known.
    pub unknown: Vec<Vec<u8>>,
    pub fields: Fields,
    pub guess: Guess,
    /// Of requests and responses: the source that joins them.
    pub inference: Option<Proposal>,
    /// Whether driftgate reads most of it as it is.
    pub is_read: bool,
    pub problems: Vec<String>,
}

impl Report {
    pub fn of_messages(from: From, messages: &[Message], served: &Served, decoder: &mut Decoder) -> Self {
        let (mut counts, mut schemas, mut unknown, mut fields) =
            (BTreeMap::<Format, u64>::new(), BTreeSet::new(), Vec::new(), Fields::default());
        let mut bodies = Bodies::default();
        let mut see = |system: Option<System>, message: &Message| {
            system.and_then(|system| system.see(message)).unwrap_or_else(|| decoder.see(message))
        };
        for message in messages {
            let seen = see(served.system, message);
            *counts.entry(seen.format).or_default() += 1;
            if schemas.len() < SCHEMAS {
                schemas.extend(seen.schema);
            }
            if matches!(seen.format, Format::Unknown | Format::OtherJson) && unknown.len() < UNKNOWN {
                unknown.push(first_bytes(message));
            }
            bodies.add(&seen);
            seen.tree.iter().for_each(|tree| fields.add(tree));
        }
        for message in served.answers.iter().flat_map(|(_, messages)| messages) {
            bodies.add(&see(served.system.map(System::of_responses), message));
        }
        let answers = served.answers.as_ref().map(|(topic, _)| topic.as_str());
        let mut formats: Vec<(Format, u64)> = counts.into_iter().collect();
        formats.sort_by_key(|(format, n)| (std::cmp::Reverse(*n), *format));
        let main = formats.iter().map(|(format, _)| *format).find(|format| *format != Format::Empty);
        let inference = match &from {
            From::Topic { topic, .. } => {
                main.filter(|format| format.is_inference()).and_then(|_| bodies.proposal(topic, served.system, answers))
            }
            From::File(_) => None,
        };
        let is_read = inference.is_some() || main.is_none_or(is_read);
        let mut problems = std::mem::take(&mut decoder.problems);
        problems.extend(main.filter(|_| !is_read).map(unread));
        if formats.iter().filter(|(format, _)| *format != Format::Empty).count() > 1 {
            problems.push(
                "the messages are of several formats, and a source reads one: the others would be rejected".to_owned(),
            );
        }
        let guess = guess::guess(&fields);
        Self {
            from,
            looked_at: messages.len() as u64,
            formats,
            schemas,
            unknown,
            fields,
            guess,
            inference,
            is_read,
            problems,
        }
    }

    pub fn of_file(path: &Path, read: file::Read) -> Self {
        let mut fields = Fields::default();
        read.rows.iter().for_each(|row| fields.add(row));
        let looked_at = (read.rows.len() + read.others.len()) as u64;
        let mut guess = guess::guess(&fields);
        if !read.formats.iter().any(|f| f.is_lines()) && !read.formats.contains(&Format::AvroContainer) {
            // Columns stand beside each other.
            guess.open.retain(|open| !open.contains("one object of features"));
        }
        let mut problems = read.problems;
        problems.extend(
            read.formats
                .iter()
                .filter(|f| matches!(f, Format::KserveLoggerV1 | Format::KserveLoggerV2))
                .map(|f| unread(*f)),
        );
        let is_known = read.formats.last().is_some_and(|f| {
            f.is_lines()
                || matches!(f, Format::Parquet | Format::Csv | Format::Json | Format::AvroContainer | Format::Empty)
        });
        Self {
            from: From::File(path.to_owned()),
            looked_at,
            formats: read.formats.into_iter().map(|format| (format, looked_at)).collect(),
            schemas: BTreeSet::new(),
            unknown: read.others.iter().take(UNKNOWN).map(first_bytes).collect(),
            fields,
            guess,
            inference: None,
            is_read: is_known && problems.is_empty(),
            problems,
        }
    }

    /// The format that most messages are of.
    pub fn format(&self) -> Option<Format> {
        let found = match self.from {
            From::Topic { .. } => self.formats.iter().find(|(format, _)| *format != Format::Empty),
            From::File(_) => self.formats.last(),
        };
        found.map(|(format, _)| *format)
    }

    /// What the proposal leaves open.
    pub fn open(&self) -> &[String] {
        self.inference.as_ref().map_or(&self.guess.open, |inference| &inference.open)
    }

    /// `sources:` of a configuration that would read it, as YAML; `None` where that cannot be said.
    pub fn source(&self) -> Option<String> {
        if let Some(inference) = &self.inference {
            return Some(inference.source.clone());
        }
        let kind = self.guess.kind.filter(|_| self.is_read)?;
        let (topic, format) = match &self.from {
            From::Topic { topic, .. } => {
                (topic.clone(), self.format().and_then(Format::of_source).filter(|f| has_format(f))?)
            }
            // A replay reads its mapping under any topic.
            From::File(_) => (kind.name().to_owned(), self.format().and_then(Format::of_source).unwrap_or("json")),
        };
        let mut lines =
            vec!["sources:".to_owned(), format!("  - topic: {}", scalar(&topic)), format!("    kind: {}", kind.name())];
        if format != "json" {
            lines.push(format!("    format: {format}"));
        }
        let others = |of: &Of, place: &[String]| kind.has(*of) && place != [of.name()];
        let mapped: Vec<String> = self
            .guess
            .fields
            .iter()
            .filter(|(of, place)| others(of, place))
            .map(|(of, place)| format!("{}: {}", of.name(), scalar(&pointer(place))))
            .collect();
        if !mapped.is_empty() {
            lines.push(format!("    fields: {{{}}}", mapped.join(", ")));
        }
        lines.extend(self.guess.unit.map(|unit| format!("    timestamp: {unit}")));
        if !self.guess.fields.contains_key(&Of::Model) {
            lines.push("    model: MODEL".to_owned());
        }
        Some(lines.join("\n") + "\n")
    }
}

/// A text in double quotes, as YAML and JSON write it.
fn scalar(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn first_bytes(message: &Message) -> Vec<u8> {
    message.value.iter().flatten().take(FIRST_BYTES).copied().collect()
}

fn is_read(format: Format) -> bool {
    format.of_source().is_some_and(has_format)
}

/// What driftgate does not read, and what to do.
fn unread(format: Format) -> String {
    match format {
        Format::Framed => "whether it is Avro or Protobuf says the schema registry: name it in the configuration (`schema_registry: {url: …}`) and give --config".to_owned(),
        Format::Unknown => "what it is cannot be told by its bytes. Avro and Protobuf without a frame look like this: they are read with `schema: {file: …}` of the source".to_owned(),
        Format::KserveV2 | Format::SeldonV2 => "there are responses only: they are read beside the topic of their requests, by its source's `inference: {responses: …}`".to_owned(),
        Format::KserveLoggerV1 | Format::KserveLoggerV2 => "requests and responses of KServe's logger are joined to predictions by a source with `format: kserve`, whose `kserve` says where the score stands".to_owned(),
        other => format!("driftgate does not read {} from topics: the messages would be rejected", other.says()),
    }
}
