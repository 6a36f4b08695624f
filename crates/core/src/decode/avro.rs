//! Avro events: `program` compiles the schema that a value was written with to steps that put values into the plan's places, by
//! name, so that fields may come, go and change their order; `read` takes the steps. What a JSON event with the same values gives
//! is what these give. Source: the Apache Avro 1.12 specification.

mod length;
mod program;
mod read;
#[cfg(test)]
mod tests;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::{Error, Schema};

pub use length::Lengths;
pub(super) use program::Programs;

/// A schema that values were written with, and those that it refers to.
#[derive(Clone, Debug)]
pub struct Writer {
    schema: Schema,
    others: Vec<Schema>,
}

impl Writer {
    /// Reads a schema as JSON, and the named ones that it refers to.
    ///
    /// # Errors
    /// What is no schema, or refers to one that is not there: why, in a sentence.
    pub fn parse(schema: &str, others: &[String]) -> Result<Self, String> {
        let (schema, others) =
            Schema::parse_str_with_list(schema, others).map_err(|e| format!("the Avro schema cannot be read: {e}"))?;
        match schema {
            Schema::Record(_) | Schema::Union(_) | Schema::Ref { .. } => Ok(Self { schema, others }),
            _ => Err("the Avro schema is not of a record: an event has fields".to_owned()),
        }
    }

    /// A value as the schema describes it, for people to look at. Events are read by the compiled steps.
    ///
    /// # Errors
    /// Bytes that are no such value.
    pub fn value(&self, mut bytes: &[u8]) -> Result<Value, String> {
        let mut read = || {
            let schemata = std::iter::once(&self.schema).chain(&self.others).collect();
            GenericDatumReader::builder(&self.schema).writer_schemata(schemata)?.build()?.read_value(&mut bytes)
        };
        read().map_err(|e: Error| format!("the value is not as its schema says: {e}"))
    }
}
