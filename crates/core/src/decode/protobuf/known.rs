//! Messages that are values here: entries of maps, and those that Protobuf itself defines (`Timestamp`, `Struct` and others).

use super::super::Reject;
use super::super::json::{Stop, Walk};
use super::super::put::Place;
use super::super::scan::Token;
use super::cursor::{EIGHT, SIZED, VARINT};
use super::program::{Kind, Scalar};
use super::read::{Pass, put_default};
use crate::event::Field;

const NANOS: f64 = 1e9;

/// How a value is written, and the bytes from it on.
type Part<'a> = Option<(u8, &'a [u8])>;

impl<'a> Pass<'a> {
    /// The fields 1 to N of a message: how each is written, and the bytes from its last value on.
    pub(super) fn parts<const N: usize>(&mut self) -> Result<[Part<'a>; N], Reject> {
        let mut parts = [None; N];
        while !self.rest.is_empty() {
            let (number, wire) = self.tag()?;
            if let Some(part) = parts.get_mut(number as usize - 1) {
                *part = Some((wire, self.rest));
            }
            self.skip(number, wire)?;
        }
        Ok(parts)
    }

    /// Reads a value without parts that was found within a message; one that is not there is the default.
    pub(super) fn part(
        &mut self,
        scalar: &'a Scalar,
        part: Part<'a>,
        to: Place,
        walk: &mut Walk<'_, '_>,
    ) -> Result<(), Stop> {
        let Some((wire, at)) = part else { return put_default(scalar, to, walk) };
        self.rest = at;
        self.expect(1, wire, scalar.wire())?;
        self.scalar(scalar, to, walk)
    }

    /// A whole number that was found within a message.
    pub(super) fn int(&self, part: Part<'a>) -> Result<i64, Reject> {
        match part {
            None => Ok(0),
            Some((VARINT, at)) => self.cursor.at(at).varint().map(u64::cast_signed),
            Some(_) => Err(self.damaged("a field before it is no number")),
        }
    }

    /// A number of digits: the unscaled value, its precision, and the digits behind the point.
    pub(super) fn decimal(&mut self, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        let [value, _, scale] = self.parts()?;
        let scale = usize::try_from(self.int(scale)?).unwrap_or(0);
        let unscaled = match value {
            Some((SIZED, at)) => self.cursor.at(at).bytes()?,
            _ => &[],
        };
        walk.put_decimal(to, unscaled, scale)
    }

    /// Seconds and nanoseconds.
    fn instant(&mut self) -> Result<(i64, i64), Reject> {
        let [seconds, nanos] = self.parts()?;
        Ok((self.int(seconds)?, self.int(nanos)?))
    }

    #[allow(clippy::cast_precision_loss, reason = "the nearest one, as of the digits of JSON")]
    pub(super) fn timestamp(&mut self, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        let (seconds, nanos) = self.instant()?;
        if walk.meaning(to).field != Some(Field::Ts) {
            return walk.put_number(to, seconds as f64 + nanos as f64 / NANOS);
        }
        let ms = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(nanos.div_euclid(1_000_000)));
        walk.put_time(to, seconds, ms)
    }

    /// A span of time: in ms where it is the latency, in seconds anywhere else.
    #[allow(clippy::cast_precision_loss, reason = "the nearest one, as of the digits of JSON")]
    pub(super) fn duration(&mut self, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        let (seconds, nanos) = self.instant()?;
        let (seconds, nanos) = (seconds as f64, nanos as f64);
        if walk.meaning(to).field == Some(Field::LatencyMs) {
            return walk.put_number(to, seconds * 1e3 + nanos / 1e6);
        }
        walk.put_number(to, seconds + nanos / NANOS)
    }

    /// Reads an entry of a map. A key that nothing is read of is passed over.
    pub(super) fn entry(
        &mut self,
        key: &'a Scalar,
        value: &'a Kind,
        node: usize,
        walk: &mut Walk<'_, '_>,
    ) -> Result<(), Stop> {
        self.deeper()?;
        let [name, read] = self.parts()?;
        if let Some(to) = self.key(key, name, node, walk)? {
            if walk.has(to) {
                walk.forget(to);
            }
            match (value, read) {
                (Kind::Scalar(scalar), read) => self.part(scalar, read, to, walk)?,
                (_, Some((wire, at))) => {
                    self.rest = at;
                    self.value(value, 2, to, wire, walk)?;
                }
                (_, None) => walk.put(to, Token::Null)?,
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    /// The place of a map's key: a text, or a number or truth value by its text.
    fn key(&self, key: &Scalar, name: Part<'a>, node: usize, walk: &mut Walk<'_, '_>) -> Result<Option<Place>, Reject> {
        let mut pass = Pass { cursor: self.cursor.at(name.map_or(&[], |(_, at)| at)), ..*self };
        let is_there = name.is_some();
        if let Some((wire, _)) = name {
            pass.expect(1, wire, key.wire())?;
        }
        let find = |name: &str| Some((node, walk.plan.nodes.get(node)?.find(name)?));
        let number = |number: i128, scratch: &mut String| {
            scratch.clear();
            // Writing to a text does not fail.
            let _ = std::fmt::Write::write_fmt(scratch, format_args!("{number}"));
        };
        let read: i128 = match key {
            Scalar::Text => {
                let bytes = if is_there { pass.bytes()? } else { &[] };
                let text = std::str::from_utf8(bytes).map_err(|_| pass.damaged("a key before it is not UTF-8"))?;
                return Ok(find(text));
            }
            _ if !is_there => 0,
            Scalar::Fixed32 => u32::from_le_bytes(pass.chunk()?).into(),
            Scalar::Fixed64 => u64::from_le_bytes(pass.chunk()?).into(),
            Scalar::Sfixed32 => i32::from_le_bytes(pass.chunk()?).into(),
            Scalar::Sfixed64 => i64::from_le_bytes(pass.chunk()?).into(),
            Scalar::Int => pass.varint()?.cast_signed().into(),
            Scalar::ZigZag => {
                let number = pass.varint()?;
                ((number >> 1).cast_signed() ^ -(number & 1).cast_signed()).into()
            }
            _ => pass.varint()?.into(),
        };
        if let Scalar::Bool = key {
            return Ok(find(if read == 0 { "false" } else { "true" }));
        }
        number(read, walk.scratch);
        Ok(find(walk.scratch))
    }

    /// Reads a `google.protobuf.Struct`: JSON's object, as a map of texts to values.
    pub(super) fn structure(&mut self, node: usize, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        self.deeper()?;
        while !self.rest.is_empty() {
            let (number, wire) = self.tag()?;
            if (number, wire) != (1, SIZED) {
                self.skip(number, wire)?;
                continue;
            }
            let entry = self.bytes()?;
            let behind = std::mem::replace(&mut self.rest, entry);
            let [name, value] = self.parts()?;
            if let Some(to) = self.key(&Scalar::Text, name, node, walk)? {
                if walk.has(to) {
                    walk.forget(to);
                }
                let child = walk.meaning(to).child;
                let value = match value {
                    Some((SIZED, at)) => self.cursor.at(at).bytes()?,
                    _ => &[],
                };
                self.rest = value;
                self.dynamic(child, to, walk)?;
            }
            self.rest = behind;
        }
        self.depth_left += 1;
        Ok(())
    }

    /// Reads a `google.protobuf.Value`: null, a number, a text, a truth value, an object or a list.
    pub(super) fn dynamic(&mut self, node: Option<usize>, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        let mut last = None;
        while !self.rest.is_empty() {
            let (number, wire) = self.tag()?;
            if (1..=6).contains(&number) {
                last = Some((number, wire, self.rest));
            }
            self.skip(number, wire)?;
        }
        let Some((number, wire, at)) = last else { return walk.put(to, Token::Null) };
        self.rest = at;
        match (number, wire, node) {
            (1, ..) => walk.put(to, Token::Null),
            (2, EIGHT, _) => self.scalar(&Scalar::Double, to, walk),
            (3, SIZED, _) => self.scalar(&Scalar::Text, to, walk),
            (4, VARINT, _) => self.scalar(&Scalar::Bool, to, walk),
            (5, SIZED, Some(node)) => {
                walk.mark(to);
                self.rest = self.bytes()?;
                self.structure(node, walk)
            }
            _ => walk.put(to, Token::Composite),
        }
    }
}
