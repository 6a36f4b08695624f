//! One pass over one Protobuf value by its program.

use std::ops::{Deref, DerefMut};

use super::super::framing::{Indexes, SchemaRef};
use super::super::json::{Stop, Walk};
use super::super::narrow::single;
use super::super::put::Place;
use super::super::scan::Token;
use super::super::{Reason, Reject};
use super::cursor::{Cursor, EIGHT, END, FOUR, GROUP, SIZED, VARINT};
use super::program::{Kind, Program, Programs, Scalar, Step, Steps, is_unset};

impl Programs {
    /// Reads a value into the slots of a walk.
    pub(in crate::decode) fn read(
        &mut self,
        at: SchemaRef,
        indexes: Indexes,
        value: &[u8],
        walk: &mut Walk<'_, '_>,
    ) -> Result<(), Stop> {
        let Some(program) = self.get(at, indexes) else {
            return Err(Reject::new(Reason::UnknownSchema, format!("the schema {at} is not known")).into());
        };
        let mut pass = Pass { cursor: Cursor::new(value, walk.limits.depth), program };
        pass.message(0, None, walk)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub cursor: Cursor<'a>,
    pub program: &'a Program,
}

impl<'a> Deref for Pass<'a> {
    type Target = Cursor<'a>;

    #[inline]
    fn deref(&self) -> &Cursor<'a> {
        &self.cursor
    }
}

impl DerefMut for Pass<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.cursor
    }
}

impl<'a> Pass<'a> {
    /// Reads the fields of a message up to its end, or to that of the group that it is.
    #[allow(clippy::indexing_slicing, reason = "indexes of messages come from the compiler, which made them")]
    fn message(&mut self, at: usize, group: Option<u32>, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        self.deeper()?;
        let program = self.program;
        let Steps { steps, implicit } = &program.messages[at];
        // Fields come in the order of their numbers, mostly.
        let (mut guess, mut written, mut in_order) = (0, 0, true);
        loop {
            if self.rest.is_empty() {
                if group.is_some() {
                    return Err(self.damaged("it ends within a group").into());
                }
                break;
            }
            let (number, wire) = self.tag()?;
            if wire == END && group == Some(number) {
                break;
            }
            let found = match steps.get(guess) {
                Some(step) if step.number == number => Some(guess),
                _ => steps.binary_search_by_key(&number, |step| step.number).ok(),
            };
            let Some((found, step)) = found.and_then(|found| Some((found, steps.get(found)?))) else {
                self.skip(number, wire)?;
                continue;
            };
            // In this order each comes once.
            in_order &= found >= guess;
            written += usize::from(step.implicit);
            guess = found + 1;
            self.step(step, wire, walk)?;
        }
        let all_are_written = in_order && *implicit == written;
        for step in steps.iter().filter(|step| step.implicit && !all_are_written) {
            if let Kind::Scalar(scalar) = &step.kind
                && !walk.has(step.to)
            {
                put_default(scalar, step.to, walk)?;
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    /// Reads the value of a field into its place. Of several the last one counts, and messages are merged.
    #[inline]
    fn step(&mut self, step: &'a Step, wire: u8, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        // What most fields are, without the way through what else there is.
        match (&step.kind, wire) {
            (Kind::Scalar(Scalar::Double), EIGHT) => {
                let number = f64::from_le_bytes(self.chunk()?);
                if walk.put_first(step.to, number) {
                    return Ok(());
                }
                if walk.has(step.to) {
                    walk.forget(step.to);
                }
                return walk.put_number(step.to, number);
            }
            (Kind::Scalar(Scalar::Text), SIZED) if !walk.has(step.to) => {
                let text = self.text()?;
                return walk.put_text(step.to, text);
            }
            _ => {}
        }
        match step.kind {
            Kind::Message(_) | Kind::Group(_) | Kind::Map(..) | Kind::Struct(Some(_)) => {}
            _ if walk.has(step.to) => walk.forget(step.to),
            _ => {}
        }
        self.value(&step.kind, step.number, step.to, wire, walk)
    }

    pub(super) fn value(
        &mut self,
        kind: &'a Kind,
        number: u32,
        to: Place,
        wire: u8,
        walk: &mut Walk<'_, '_>,
    ) -> Result<(), Stop> {
        match kind {
            Kind::Scalar(scalar) => {
                self.expect(number, wire, scalar.wire())?;
                return self.scalar(scalar, to, walk);
            }
            Kind::Group(at) => {
                self.expect(number, wire, GROUP)?;
                walk.mark(to);
                return self.message(*at, Some(number), walk);
            }
            Kind::Composite => {
                self.skip(number, wire)?;
                return walk.put(to, Token::Composite);
            }
            _ => self.expect(number, wire, SIZED)?,
        }
        let inner = self.bytes()?;
        let behind = std::mem::replace(&mut self.rest, inner);
        match kind {
            Kind::Message(at) => {
                walk.mark(to);
                self.message(*at, None, walk)?;
            }
            Kind::Wrapper(scalar) => {
                let [value] = self.parts()?;
                self.part(scalar, value, to, walk)?;
            }
            Kind::Timestamp => self.timestamp(to, walk)?,
            Kind::Duration => self.duration(to, walk)?,
            Kind::Decimal => self.decimal(to, walk)?,
            Kind::Map(key, value, node) => {
                walk.mark(to);
                self.entry(key, value, *node, walk)?;
            }
            Kind::Struct(Some(node)) => {
                walk.mark(to);
                self.structure(*node, walk)?;
            }
            Kind::Struct(None) => walk.put(to, Token::Composite)?,
            Kind::Value(node) => self.dynamic(*node, to, walk)?,
            Kind::Scalar(_) | Kind::Group(_) | Kind::Composite => {}
        }
        self.rest = behind;
        Ok(())
    }

    #[inline]
    pub(super) fn expect(&self, number: u32, wire: u8, expected: u8) -> Result<(), Reject> {
        if wire == expected {
            return Ok(());
        }
        Err(self.damaged(&format!("the field {number} has the wire type {wire}, and not {expected}")))
    }

    #[inline]
    fn text(&mut self) -> Result<&'a str, Reject> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text before it is not UTF-8"))
    }

    /// Reads a value without parts into its place.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "enumerations have 32 bits, with the sign extended to 64")]
    pub(super) fn scalar(&mut self, scalar: &'a Scalar, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        match scalar {
            Scalar::Double => walk.put_number(to, f64::from_le_bytes(self.chunk()?)),
            Scalar::Float => walk.put_number(to, single(f32::from_le_bytes(self.chunk()?))),
            Scalar::Bool => walk.put(to, Token::Bool(self.varint()? != 0)),
            Scalar::Int => walk.put_integer(to, self.varint()?.cast_signed()),
            Scalar::Unsigned => walk.put_unsigned(to, self.varint()?),
            Scalar::ZigZag => {
                let number = self.varint()?;
                walk.put_integer(to, (number >> 1).cast_signed() ^ -(number & 1).cast_signed())
            }
            Scalar::Fixed32 => walk.put_integer(to, u32::from_le_bytes(self.chunk()?).into()),
            Scalar::Fixed64 => walk.put_unsigned(to, u64::from_le_bytes(self.chunk()?)),
            Scalar::Sfixed32 => walk.put_integer(to, i32::from_le_bytes(self.chunk()?).into()),
            Scalar::Sfixed64 => walk.put_integer(to, i64::from_le_bytes(self.chunk()?)),
            Scalar::Text => {
                let text = self.text()?;
                walk.put_text(to, text)
            }
            Scalar::Bytes => walk.put_bytes(to, self.bytes()?),
            Scalar::Symbols(names) => {
                let number = self.varint()?.cast_signed() as i32;
                match names.binary_search_by_key(&number, |(number, _)| *number).ok().and_then(|at| names.get(at)) {
                    Some((_, name)) => walk.put_text(to, name),
                    // One that a newer schema has.
                    None => walk.put_integer(to, number.into()),
                }
            }
        }
    }
}

impl Scalar {
    /// The wire type that it is written with.
    #[inline]
    pub(super) fn wire(&self) -> u8 {
        match self {
            Self::Bool | Self::Int | Self::Unsigned | Self::ZigZag | Self::Symbols(_) => VARINT,
            Self::Fixed32 | Self::Sfixed32 | Self::Float => FOUR,
            Self::Fixed64 | Self::Sfixed64 | Self::Double => EIGHT,
            Self::Text | Self::Bytes => SIZED,
        }
    }
}

/// Puts the default of a field that is not written; a time has none.
pub(super) fn put_default(scalar: &Scalar, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
    match scalar {
        _ if is_unset(walk.meaning(to).field) => walk.put(to, Token::Null),
        Scalar::Bool => walk.put(to, Token::Bool(false)),
        Scalar::Text | Scalar::Bytes => walk.put(to, Token::Plain("")),
        Scalar::Symbols(names) => {
            let zero = names.iter().find(|(number, _)| *number == 0).or_else(|| names.first());
            walk.put(to, zero.map_or(Token::Null, |(_, name)| Token::Plain(name)))
        }
        Scalar::Float | Scalar::Double => walk.put_number(to, 0.0),
        _ => walk.put_integer(to, 0),
    }
}
