//! How a source's messages are written, and where the schemas of framed ones come from.

use std::fmt::Debug;
use std::sync::Arc;

use super::avro;
use super::framing::SchemaRef;
use super::protobuf;

/// How a source's messages are written.
#[derive(Clone, Debug, Default)]
pub enum Wire {
    /// A JSON object.
    #[default]
    Json,
    /// The same behind Confluent's frame. Its schema says what producers may write, and is not needed to read it.
    JsonSchema,
    /// Avro behind Confluent's frame.
    Avro(Arc<dyn Schemas>),
    /// Avro without a frame, all of it written with this schema.
    AvroOf(Arc<avro::Writer>),
    /// Protobuf behind Confluent's frame.
    Protobuf(Arc<dyn Schemas>),
    /// Protobuf without a frame, all of it one message of these definitions.
    ProtobufOf(Arc<protobuf::Definitions>),
}

impl Wire {
    /// Whether values are JSON, behind a frame or not.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json | Self::JsonSchema)
    }

    /// Whether a frame, or a header, names each message's schema.
    #[must_use]
    pub fn is_framed(&self) -> bool {
        matches!(self, Self::JsonSchema | Self::Avro(_) | Self::Protobuf(_))
    }
}

/// Schemas by the names that messages have for them. Nobody waits for one here: what is not there yet is fetched beside the stream.
pub trait Schemas: Debug + Send + Sync {
    fn find(&self, at: SchemaRef) -> Found;
}

/// What is known of a schema.
#[derive(Clone, Debug)]
pub enum Found {
    Avro(Arc<avro::Writer>),
    Protobuf(Arc<protobuf::Definitions>),
    /// It is asked for: the message is to be given again.
    Waits,
    /// Nobody has it, or it cannot be read: why, in a sentence.
    Refused(String),
}
