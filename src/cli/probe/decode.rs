//! Framed values as trees, by the schemas of the registry, each fetched once.

use std::collections::BTreeMap;

use super::detect::{self, Format, Message, Seen};
use crate::cli::load::avro::tree;
use crate::source::columns::guard;
use crate::source::schemas::{Client, FetchError, Schema};
use driftgate_core::decode::framing::{SchemaRef, unframed, unframed_protobuf};

/// Decodes messages.
pub struct Decoder {
    registry: Option<Client>,
    schemas: BTreeMap<SchemaRef, Result<Schema, String>>,
    /// Why values could not be decoded, each once.
    pub problems: Vec<String>,
    /// A registry that does not answer is asked no more.
    is_away: bool,
}

impl Decoder {
    pub fn new(registry: Option<Client>) -> Self {
        Self { registry, schemas: BTreeMap::new(), problems: Vec::new(), is_away: false }
    }

    /// What a message is, with its tree where the registry has its schema.
    pub fn see(&mut self, message: &Message) -> Seen {
        let mut seen = detect::message(message);
        let (Format::Framed, Some(at), Some(value)) = (seen.format, seen.schema, message.value.as_deref()) else {
            return seen;
        };
        let Some(schema) = self.schema(at) else { return seen };
        let header = message.schema_header();
        let found = match &schema {
            Schema::Avro(writer) => {
                seen.format = Format::Avro;
                let rest = unframed(value, header).map_err(|e| e.to_string()).map(|(_, rest)| rest);
                rest.and_then(|rest| guard(|| tree(&writer.value(rest)?)))
            }
            Schema::Protobuf(definitions) => {
                seen.format = Format::Protobuf;
                let framed = unframed_protobuf(value, header).map_err(|e| e.to_string());
                framed.and_then(|framed| guard(|| definitions.tree(framed.indexes, framed.value)))
            }
        };
        match found {
            Ok(tree) => seen.tree = Some(tree),
            Err(why) => self.say(format!("a value of the schema {at} cannot be decoded: {why}")),
        }
        seen
    }

    fn schema(&mut self, at: SchemaRef) -> Option<Schema> {
        let registry = self.registry.as_ref()?;
        if !self.schemas.contains_key(&at) {
            if self.is_away {
                return None;
            }
            let fetched = registry.fetch(at);
            self.is_away = matches!(fetched, Err(FetchError::Away(_)));
            let fetched = fetched.map_err(|e| e.to_string());
            if let Err(why) = &fetched {
                self.say(why.clone());
            }
            self.schemas.insert(at, fetched);
        }
        self.schemas.get(&at).and_then(|schema| schema.as_ref().ok()).cloned()
    }

    fn say(&mut self, why: String) {
        const MOST: usize = 10;
        if self.problems.len() < MOST && !self.problems.contains(&why) {
            self.problems.push(why);
        }
    }
}
