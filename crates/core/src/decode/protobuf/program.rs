//! A message compiled for one plan: which fields go where, and how their values are written. What goes nowhere has no step: it is
//! passed over like a field that the schema does not know.

use std::collections::HashMap;

use prost_reflect::{Cardinality, FieldDescriptor, Kind as Type, MessageDescriptor};

use super::super::framing::{Indexes, SchemaRef};
use super::super::plan::Plan;
use super::super::put::Place;
use super::super::{Reason, Reject};
use super::Definitions;
use crate::event::Field;

/// A decoder that has compiled more programs than this starts again: producers that write a schema per message.
const MOST_PROGRAMS: usize = 4096;

/// How a value without parts is written.
#[derive(Clone, Debug)]
pub enum Scalar {
    Bool,
    /// `int32` and `int64`, which are written alike.
    Int,
    Unsigned,
    /// The same with the sign in the lowest bit.
    ZigZag,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Float,
    Double,
    Text,
    Bytes,
    /// Names by their numbers, in the order of the numbers.
    Symbols(Box<[(i32, Box<str>)]>),
}

/// How a field's value is written.
#[derive(Debug)]
pub enum Kind {
    Scalar(Scalar),
    /// The index of a message whose fields have places of their own.
    Message(usize),
    Group(usize),
    /// A message of `google/protobuf/wrappers.proto`: a scalar that may be missing.
    Wrapper(Scalar),
    Timestamp,
    Duration,
    /// A number of digits as the serializers of Confluent write it.
    Decimal,
    /// The key, the value, and the node of the plan that keys are looked up in.
    Map(Scalar, Box<Kind>, usize),
    /// A `google.protobuf.Struct`, and the node of the plan that its keys are looked up in; without one it is no value.
    Struct(Option<usize>),
    /// A `google.protobuf.Value`, and the node of the plan where it may be a `Struct`.
    Value(Option<usize>),
    /// Several values, or a message that has no place for its fields: no value.
    Composite,
}

/// A field of a message that has a place.
#[derive(Debug)]
pub struct Step {
    pub number: u32,
    pub(super) to: Place,
    pub kind: Kind,
    /// A field that is not there has its default: one of proto3 that is not `optional`.
    pub implicit: bool,
}

/// What reads the values of one message.
#[derive(Debug, Default)]
pub struct Program {
    /// The first is the event.
    pub messages: Vec<Steps>,
}

/// The fields of a message that have a place, by their numbers.
#[derive(Debug, Default)]
pub struct Steps {
    pub steps: Vec<Step>,
    /// How many of them have a default where they are not there.
    pub implicit: usize,
}

/// Programs by schema and message.
#[derive(Debug, Default)]
pub struct Programs {
    /// The message of the last value is the guess for the next.
    last: Option<((SchemaRef, Indexes), usize)>,
    by_message: HashMap<(SchemaRef, Indexes), usize>,
    programs: Vec<Program>,
}

impl Programs {
    #[must_use]
    pub fn has(&self, at: SchemaRef, indexes: Indexes) -> bool {
        self.last.is_some_and(|(last, _)| last == (at, indexes)) || self.by_message.contains_key(&(at, indexes))
    }

    #[inline]
    pub(super) fn get(&mut self, at: SchemaRef, indexes: Indexes) -> Option<&Program> {
        let index = match self.last {
            Some((last, index)) if last == (at, indexes) => index,
            _ => {
                let index = *self.by_message.get(&(at, indexes))?;
                self.last = Some(((at, indexes), index));
                index
            }
        };
        self.programs.get(index)
    }

    /// Compiles a message for a plan.
    ///
    /// # Errors
    /// Indexes of a message that the schema does not define.
    pub fn compile(
        &mut self,
        at: SchemaRef,
        indexes: Indexes,
        definitions: &Definitions,
        plan: &Plan,
    ) -> Result<(), Reject> {
        let refused = |why| Reject::new(Reason::UnknownSchema, format!("the schema {at} cannot be used: {why}"));
        let message = definitions.message(indexes).map_err(refused)?;
        let mut compiler = Compiler { plan, messages: Vec::new() };
        compiler.message(&message, 0);
        if self.programs.len() >= MOST_PROGRAMS {
            *self = Self::default();
        }
        self.by_message.insert((at, indexes), self.programs.len());
        self.programs.push(Program { messages: compiler.messages });
        Ok(())
    }
}

struct Compiler<'c> {
    plan: &'c Plan,
    messages: Vec<Steps>,
}

impl Compiler<'_> {
    /// Compiles a message whose fields are looked up in a node of the plan. It goes no deeper than the plan.
    fn message(&mut self, message: &MessageDescriptor, node: usize) -> usize {
        let at = self.messages.len();
        self.messages.push(Steps::default());
        let mut steps = Vec::new();
        for field in message.fields() {
            let Some((key, child)) = self.find(node, &field) else { continue };
            let kind = self.kind(&field, child);
            let is_implicit = matches!(kind, Kind::Scalar(_)) && !field.supports_presence();
            steps.push(Step { number: field.number(), to: (node, key), kind, implicit: is_implicit });
        }
        steps.sort_by_key(|step| step.number);
        let implicit = steps.iter().filter(|step| step.implicit).count();
        if let Some(place) = self.messages.get_mut(at) {
            *place = Steps { steps, implicit };
        }
        at
    }

    /// The key of a field in a node, and the node below it. A field is found by its name, else by the name that it has in JSON.
    fn find(&self, node: usize, field: &FieldDescriptor) -> Option<(usize, Option<usize>)> {
        let node = self.plan.nodes.get(node)?;
        let key = node.find(field.name()).or_else(|| node.find(field.json_name()))?;
        Some((key, node.meanings.get(key)?.child))
    }

    fn kind(&mut self, field: &FieldDescriptor, child: Option<usize>) -> Kind {
        if field.is_map() {
            return match (child, field.kind()) {
                (Some(node), Type::Message(entry)) => {
                    let value = self.single(&entry.map_entry_value_field(), None);
                    scalar(&entry.map_entry_key_field().kind())
                        .map_or(Kind::Composite, |key| Kind::Map(key, Box::new(value), node))
                }
                _ => Kind::Composite,
            };
        }
        if field.cardinality() == Cardinality::Repeated { Kind::Composite } else { self.single(field, child) }
    }

    /// How one value of a field is written.
    fn single(&mut self, field: &FieldDescriptor, child: Option<usize>) -> Kind {
        let of_type = field.kind();
        let Type::Message(message) = &of_type else { return scalar(&of_type).map_or(Kind::Composite, Kind::Scalar) };
        match message.full_name() {
            "google.protobuf.Timestamp" => Kind::Timestamp,
            "google.protobuf.Duration" => Kind::Duration,
            "google.protobuf.Struct" => Kind::Struct(child),
            "google.protobuf.Value" => Kind::Value(child),
            "confluent.type.Decimal" => Kind::Decimal,
            name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
                let inner = message.get_field(1).and_then(|field| scalar(&field.kind()));
                inner.map_or(Kind::Composite, Kind::Wrapper)
            }
            _ => match child {
                Some(node) if field.is_group() => Kind::Group(self.message(message, node)),
                Some(node) => Kind::Message(self.message(message, node)),
                None => Kind::Composite,
            },
        }
    }
}

/// How a value without parts is written; nothing for one with parts.
fn scalar(of_type: &Type) -> Option<Scalar> {
    Some(match of_type {
        Type::Bool => Scalar::Bool,
        Type::Int32 | Type::Int64 => Scalar::Int,
        Type::Uint32 | Type::Uint64 => Scalar::Unsigned,
        Type::Sint32 | Type::Sint64 => Scalar::ZigZag,
        Type::Fixed32 => Scalar::Fixed32,
        Type::Fixed64 => Scalar::Fixed64,
        Type::Sfixed32 => Scalar::Sfixed32,
        Type::Sfixed64 => Scalar::Sfixed64,
        Type::Float => Scalar::Float,
        Type::Double => Scalar::Double,
        Type::String => Scalar::Text,
        Type::Bytes => Scalar::Bytes,
        Type::Enum(symbols) => {
            let mut names: Vec<(i32, Box<str>)> =
                symbols.values().map(|value| (value.number(), value.name().into())).collect();
            // Of several names for one number the first is the name.
            names.sort_by_key(|(number, _)| *number);
            names.dedup_by_key(|(number, _)| *number);
            Scalar::Symbols(names.into())
        }
        Type::Message(_) => return None,
    })
}

/// Whether a default at this place means that there is no value: nothing was predicted as 1970 began.
pub(super) fn is_unset(field: Option<Field>) -> bool {
    field == Some(Field::Ts)
}
