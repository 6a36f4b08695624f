//! Protobuf events: `program` compiles the message that a value was written as to steps that put fields into the plan's places, by
//! name, so that fields may come, go and change their numbers; `read` takes the steps, and `known` reads what Protobuf itself defines. What a JSON event with the same values gives
//! is what these give. Source: the Protocol Buffers encoding (protobuf.dev/programming-guides/encoding) and field presence.

pub(crate) mod cursor;
mod known;
mod program;
mod read;
#[cfg(test)]
mod tests;
mod tree;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

pub(super) use program::Programs;

use super::framing::Indexes;

/// So many messages are named in an error.
const MOST_NAMED: usize = 20;
/// What the serializers of a schema registry know without being told.
const KNOWN: [(&str, &str); 2] = [
    (
        "confluent/meta.proto",
        r#"syntax = "proto3"; package confluent; import "google/protobuf/descriptor.proto";
        message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }
        extend google.protobuf.FileOptions { Meta file_meta = 1088; }
        extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
        extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
        extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
        extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }"#,
    ),
    (
        "confluent/type/decimal.proto",
        r#"syntax = "proto3"; package confluent.type; message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }"#,
    ),
];

/// A file of definitions, and those that it imports.
#[derive(Clone, Debug)]
pub struct Definitions {
    file: FileDescriptor,
    /// The message that all values are, where they do not say it themselves.
    message: Option<MessageDescriptor>,
}

/// Looks imports up by their names.
struct Imports<F>(F);

impl<F: Fn(&str) -> Option<String>> FileResolver for Imports<F> {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let known = || KNOWN.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        let Some(text) = (self.0)(name).or_else(known) else { return Err(protox::Error::file_not_found(name)) };
        file(name, &text)
    }
}

/// A file of definitions: as text, or as base64 of its descriptor, which is how serializers of Python register it.
fn file(name: &str, text: &str) -> Result<File, protox::Error> {
    let packed = STANDARD.decode(text.trim()).ok();
    let Some(decoded) = packed.and_then(|bytes| File::decode_file_descriptor_proto(bytes.as_slice()).ok()) else {
        return File::from_source(name, text);
    };
    // It is known by the name that others import it by.
    let mut descriptor = decoded.file_descriptor_proto().clone();
    descriptor.name = Some(name.to_owned());
    Ok(File::from_file_descriptor_proto(descriptor))
}

impl Definitions {
    /// Reads a file of definitions called `name`, as text or as base64 of its descriptor. `import` gives those that it imports; the
    /// ones of `google/protobuf` are known.
    ///
    /// # Errors
    /// What is no file of definitions, or imports one that is not there: why, in a sentence.
    pub fn parse(name: &str, text: &str, import: impl Fn(&str) -> Option<String> + 'static) -> Result<Self, String> {
        let (own, text) = (name.to_owned(), text.to_owned());
        let mut resolver = ChainFileResolver::new();
        resolver.add(Imports(move |name: &str| if name == own { Some(text.clone()) } else { import(name) }));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        let refused = |e: &dyn std::fmt::Display| format!("the Protobuf schema cannot be read: {e}");
        compiler.open_file(Path::new(name)).map_err(|e| refused(&e))?;
        let file = compiler.descriptor_pool().get_file_by_name(name);
        Ok(Self { file: file.ok_or_else(|| refused(&"it has no file"))?, message: None })
    }

    /// Reads a file descriptor set, as `protoc --include_imports --descriptor_set_out` and `buf build` write it.
    ///
    /// # Errors
    /// Bytes that are none, or one that lacks imports.
    pub fn of_set(bytes: &[u8]) -> Result<Self, String> {
        let pool = DescriptorPool::decode(bytes).map_err(|e| {
            format!(
                "it is no complete file descriptor set ({e}): write it with `protoc --include_imports --descriptor_set_out` or `buf build`"
            )
        })?;
        let file = pool.files().last().ok_or_else(|| "the file descriptor set is empty".to_owned())?;
        Ok(Self { file, message: None })
    }

    /// The same where all values are this message: a full name or, where one message alone has it, the last part of one. Without a
    /// name it is the only message there is.
    ///
    /// # Errors
    /// No such message, or several.
    pub fn of_message(self, name: Option<&str>) -> Result<Self, String> {
        let message = match name {
            Some(name) => self.named(name)?,
            None => self.only()?,
        };
        Ok(Self { message: Some(message), ..self })
    }

    fn only(&self) -> Result<MessageDescriptor, String> {
        let mut all = self.file.messages();
        match (all.next(), all.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(format!("{} defines no message", self.file.name())),
            _ => Err(format!("it defines several messages: name one by `message`, of {}", self.names())),
        }
    }

    fn named(&self, name: &str) -> Result<MessageDescriptor, String> {
        let pool = self.file.parent_pool();
        let whole = pool.get_message_by_name(name.trim_start_matches('.'));
        let mut named = pool.all_messages().filter(|message| message.name() == name && !message.is_map_entry());
        match (whole, named.next(), named.next()) {
            (Some(message), ..) | (None, Some(message), None) => Ok(message),
            (None, None, _) => Err(format!("it defines no message {name}, but {}", self.names())),
            _ => Err(format!("it defines several messages {name}: name one with its package")),
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<String> = self.file.messages().map(|message| message.full_name().to_owned()).collect();
        if names.len() > MOST_NAMED {
            names.truncate(MOST_NAMED);
            names.push("others".to_owned());
        }
        names.join(", ")
    }

    /// The message that the indexes name: of the file, then each time of those nested in the one before.
    fn message(&self, indexes: Indexes) -> Result<MessageDescriptor, String> {
        if let Some(message) = &self.message {
            return Ok(message.clone());
        }
        let mut found: Option<MessageDescriptor> = None;
        for &index in indexes.as_slice() {
            let index = index as usize;
            let next = match &found {
                None => self.file.messages().nth(index),
                Some(outer) => outer.child_messages().nth(index),
            };
            let none = || format!("it has no message with the indexes {indexes}, which the value is framed with");
            found = Some(next.ok_or_else(none)?);
        }
        found.ok_or_else(|| "the value names no message of it".to_owned())
    }
}
