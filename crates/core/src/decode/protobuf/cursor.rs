//! A place in a Protobuf value: the numbers and bytes of its wire format, without what they mean.

use super::super::{Reason, Reject};

/// Wire types: what a tag says of how its value is written.
pub const VARINT: u8 = 0;
pub const EIGHT: u8 = 1;
pub const SIZED: u8 = 2;
pub const GROUP: u8 = 3;
pub const END: u8 = 4;
pub const FOUR: u8 = 5;

#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    /// What is not read yet.
    pub rest: &'a [u8],
    whole: &'a [u8],
    pub depth_left: usize,
}

impl<'a> Cursor<'a> {
    /// At the begin of a value, whose messages may be nested `depth` deep.
    #[must_use]
    pub fn new(value: &'a [u8], depth: usize) -> Self {
        Self { rest: value, whole: value, depth_left: depth }
    }

    /// The same at another place of the value.
    #[must_use]
    pub fn at(&self, rest: &'a [u8]) -> Self {
        Self { rest, ..*self }
    }

    /// What is told of a value that is not as it should be here.
    #[cold]
    pub fn damaged(&self, why: &str) -> Reject {
        let at = (self.rest.as_ptr() as usize).saturating_sub(self.whole.as_ptr() as usize);
        Reject::new(Reason::NotProtobuf, format!("the value is not as its schema says: at byte {at} {why}"))
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, Reject> {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(byte.into());
        }
        // As of fields from the sixteenth on.
        if let [low, high @ ..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(low & 0x7f) | u64::from(*high) << 7);
        }
        let mut number = 0_u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or(&[]);
                return Ok(number);
            }
        }
        let why = if self.rest.len() < 10 { "it ends within a number" } else { "a number has more than 64 bits" };
        Err(self.damaged(why))
    }

    /// So many bytes.
    #[inline]
    pub fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.damaged(&format!("{N} bytes are to follow, and {} are there", self.rest.len())));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// The bytes of a value that says its length.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Reject> {
        let length = self.varint()?;
        let taken = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = taken else {
            return Err(self.damaged(&format!("{length} bytes are to follow, and {} are there", self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The number of a field, and how its value is written.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, u8), Reject> {
        // Fields up to the fifteenth, and up to the 2047th.
        match self.rest {
            [tag @ 8..0x80, rest @ ..] => {
                self.rest = rest;
                Ok((u32::from(tag >> 3), tag & 7))
            }
            [low @ 0x80..=0xff, high @ 1..0x80, rest @ ..] => {
                self.rest = rest;
                Ok((u32::from(low & 0x7f) >> 3 | u32::from(*high) << 4, low & 7))
            }
            _ => self.long_tag(),
        }
    }

    fn long_tag(&mut self) -> Result<(u32, u8), Reject> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or_else(|| self.damaged(&format!("a field has the number {}", tag >> 3)))?;
        Ok((number, (tag & 7) as u8))
    }

    /// A message within the one before; at its end `depth_left` is one more again.
    pub fn deeper(&mut self) -> Result<(), Reject> {
        let left = self.depth_left.checked_sub(1);
        self.depth_left = left.ok_or_else(|| {
            Reject::new(Reason::TooDeep, "messages, maps and groups are nested deeper than `limits.depth`")
        })?;
        Ok(())
    }

    /// Passes over a value that goes nowhere.
    pub fn skip(&mut self, number: u32, wire: u8) -> Result<(), Reject> {
        match wire {
            VARINT => drop(self.varint()?),
            EIGHT => drop(self.chunk::<8>()?),
            SIZED => drop(self.bytes()?),
            FOUR => drop(self.chunk::<4>()?),
            GROUP => {
                self.deeper()?;
                loop {
                    let (inner, wire) = self.tag()?;
                    if wire == END {
                        if inner != number {
                            return Err(self.damaged(&format!("the group {number} ends as {inner}")));
                        }
                        break;
                    }
                    self.skip(inner, wire)?;
                }
                self.depth_left += 1;
            }
            _ => return Err(self.damaged(&format!("the field {number} has the wire type {wire}"))),
        }
        Ok(())
    }
}
