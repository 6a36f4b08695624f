//! One pass over one Avro value by its program.

use std::io::Write as _;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::super::framing::SchemaRef;
use super::super::json::{Stop, Walk};
use super::super::narrow::single;
use super::super::plan::{Meaning, Short};
use super::super::scan::Token;
use super::super::{Reason, Reject};
use super::program::{Kind, Place, Program, Programs};
use crate::codec::hash::push_hex;
use crate::event::{Field, TimeUnit, numeric};

const DAY_MS: i64 = 86_400_000;
/// The text of a number whose digits are not at hand: it is written from the number where it is needed.
const BY_VALUE: &str = ".";
/// A decimal of more bytes has more digits than a number holds here.
const DECIMAL_BYTES: usize = 16;
/// A sign, the 39 digits of 16 bytes, and a power of ten.
const LONGEST_NUMBER: usize = 64;

impl Programs {
    /// Reads a value into the slots of a walk.
    pub(in crate::decode) fn read(&mut self, at: SchemaRef, value: &[u8], walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        let Some(program) = self.get(at) else {
            return Err(Reject::new(Reason::UnknownSchema, format!("the schema {at} is not known")).into());
        };
        let mut pass = Pass { rest: value, whole: value.len(), depth_left: walk.limits.depth, program };
        pass.value(&program.root, None, walk)?;
        match pass.rest.len() {
            0 => Ok(()),
            left => Err(pass.damaged(&format!("{left} bytes follow the value")).into()),
        }
    }
}

struct Pass<'a> {
    rest: &'a [u8],
    whole: usize,
    depth_left: usize,
    program: &'a Program,
}

impl<'a> Pass<'a> {
    #[cold]
    fn damaged(&self, why: &str) -> Reject {
        let at = self.whole - self.rest.len();
        Reject::new(Reason::NotAvro, format!("the value is not as its schema says: at byte {at} {why}"))
    }

    /// A variable-length zig-zag number.
    #[inline]
    fn long(&mut self) -> Result<i64, Reject> {
        let mut number = 0_u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has the highest bit alone.
            if at == 9 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or(&[]);
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        let why = if self.rest.len() < 10 { "it ends within a number" } else { "a number has more than 64 bits" };
        Err(self.damaged(why))
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Reject> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.damaged(&format!("{length} bytes are to follow, and {} are there", self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.damaged(&format!("{N} bytes are to follow, and {} are there", self.rest.len())));
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Reject> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| self.damaged(&format!("a length is {length}")))?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Reject> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text before it is not UTF-8"))
    }

    fn boolean(&mut self) -> Result<bool, Reject> {
        match self.chunk::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [byte] => Err(self.damaged(&format!("a boolean before it is {byte:#04x}"))),
        }
    }

    fn branch<T>(&mut self, of: &'a [T], what: &str) -> Result<&'a T, Reject> {
        let index = self.long()?;
        let found = usize::try_from(index).ok().and_then(|index| of.get(index));
        found.ok_or_else(|| self.damaged(&format!("{what} {index} of {} is named", of.len())))
    }

    fn deeper(&mut self) -> Result<(), Reject> {
        let left = self.depth_left.checked_sub(1);
        let too_deep =
            || Reject::new(Reason::TooDeep, "records, arrays and maps are nested deeper than `limits.depth`");
        self.depth_left = left.ok_or_else(too_deep)?;
        Ok(())
    }

    /// Reads a value and puts it into its place.
    fn value(&mut self, kind: &'a Kind, to: Option<Place>, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        match kind {
            Kind::Union(branches) => {
                let branch = self.branch(branches, "the branch")?;
                // Unions hold no unions, so this goes no deeper than what they hold.
                self.value(branch, to, walk)
            }
            Kind::Record(at, is_placed) => {
                if let Some(to) = to {
                    if *is_placed { walk.mark(to) } else { walk.put(to, Token::Composite)? }
                }
                self.record(*at, walk)
            }
            Kind::Array(item) => {
                walk.put_opt(to, Token::Composite)?;
                self.blocks(|pass| pass.value(item, None, walk))
            }
            Kind::Map(value, node) => {
                match (to, node) {
                    (Some(to), Some(_)) => walk.mark(to),
                    (to, _) => walk.put_opt(to, Token::Composite)?,
                }
                self.blocks(|pass| {
                    let key = pass.text()?;
                    let to = node.and_then(|node| Some((node, walk.plan.nodes.get(node)?.find(key)?)));
                    pass.value(value, to, walk)
                })
            }
            _ => match to {
                Some(to) => self.leaf(kind, to, walk),
                None => self.skip(kind),
            },
        }
    }

    #[allow(clippy::indexing_slicing, reason = "indexes of records come from the compiler, which made them")]
    fn record(&mut self, at: usize, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        self.deeper()?;
        let program = self.program;
        for step in &program.records[at] {
            self.value(&step.kind, step.to, walk)?;
        }
        self.depth_left += 1;
        Ok(())
    }

    /// Reads the items of an array or map, block by block.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.deeper()?;
        loop {
            let mut count = self.long()?;
            if count < 0 {
                // The block's size in bytes follows, for those who skip it.
                self.long()?;
                count = count.checked_neg().unwrap_or(i64::MAX);
            }
            if count == 0 {
                break;
            }
            // Items without any bytes are no reason to count for years.
            if usize::try_from(count).map_or(true, |count| count > self.whole) {
                return Err(self.damaged(&format!("a block has {count} items")).into());
            }
            for _ in 0..count {
                item(self)?;
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    /// Passes over a value that goes nowhere.
    fn skip(&mut self, kind: &'a Kind) -> Result<(), Stop> {
        match kind {
            Kind::Boolean => drop(self.boolean()?),
            Kind::Integer | Kind::Date | Kind::Instant(_) | Kind::Clock(_) => drop(self.long()?),
            Kind::Float => drop(self.chunk::<4>()?),
            Kind::Double => drop(self.chunk::<8>()?),
            Kind::Uuid => drop(self.chunk::<16>()?),
            Kind::Text => drop(self.text()?),
            Kind::Bytes | Kind::Decimal(_, None) => drop(self.bytes()?),
            Kind::Fixed(size) | Kind::Decimal(_, Some(size)) => drop(self.take(*size)?),
            Kind::Symbols(symbols) => drop(self.branch(symbols, "the symbol")?),
            // Those with parts are not passed over here, and nothing is written for null.
            Kind::Null | Kind::Union(_) | Kind::Record(..) | Kind::Array(_) | Kind::Map(..) => {}
        }
        Ok(())
    }

    /// Reads a value without parts into its place.
    fn leaf(&mut self, kind: &'a Kind, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        match kind {
            Kind::Null => walk.put(to, Token::Null),
            Kind::Boolean => walk.put(to, Token::Bool(self.boolean()?)),
            Kind::Integer => walk.put_integer(to, self.long()?),
            Kind::Float => walk.put_number(to, single(f32::from_le_bytes(self.chunk()?))),
            Kind::Double => walk.put_number(to, f64::from_le_bytes(self.chunk()?)),
            Kind::Text => walk.put(to, Token::Plain(self.text()?)),
            Kind::Symbols(symbols) => walk.put(to, Token::Plain(self.branch(symbols, "the symbol")?)),
            Kind::Date => {
                let days = self.long()?;
                walk.put_time(to, days, days.checked_mul(DAY_MS))
            }
            Kind::Instant(unit) => {
                let ticks = self.long()?;
                walk.put_time(to, ticks, unit.millis(ticks))
            }
            Kind::Clock(unit) => {
                let ticks = self.long()?;
                walk.put_clock(to, ticks, *unit)
            }
            Kind::Decimal(scale, size) => {
                let bytes = match size {
                    Some(size) => self.take(*size)?,
                    None => self.bytes()?,
                };
                walk.put_decimal(to, bytes, *scale)
            }
            Kind::Uuid => {
                let guid = SchemaRef::Guid(self.chunk()?);
                walk.scratch.clear();
                // Writing to a text does not fail.
                let _ = std::fmt::Write::write_fmt(walk.scratch, format_args!("{guid}"));
                walk.put(to, Token::Escaped)
            }
            Kind::Bytes => walk.put_bytes(to, self.bytes()?),
            Kind::Fixed(size) => walk.put_bytes(to, self.take(*size)?),
            Kind::Union(_) | Kind::Record(..) | Kind::Array(_) | Kind::Map(..) => Ok(()),
        }
    }
}

#[allow(clippy::indexing_slicing, reason = "places come from the compiler, which found them in this plan")]
impl Walk<'_, '_> {
    /// Takes note that a key has had its value; whether it had one before.
    fn marked(&mut self, (node, key): Place) -> bool {
        std::mem::replace(&mut self.plan.nodes[node].keys[key].seen, self.event) == self.event
    }

    fn mark(&mut self, to: Place) {
        self.marked(to);
    }

    fn meaning(&self, (node, key): Place) -> Meaning {
        self.plan.nodes[node].meanings[key]
    }

    #[inline]
    fn put(&mut self, to: Place, token: Token<'_>) -> Result<(), Stop> {
        let again = self.marked(to);
        let meaning = self.meaning(to);
        self.value(&meaning, token, again)
    }

    fn put_opt(&mut self, to: Option<Place>, token: Token<'_>) -> Result<(), Stop> {
        to.map_or(Ok(()), |to| self.put(to, token))
    }

    /// A number that is one feature and nothing else goes straight into its slot.
    #[inline]
    fn put_feature(&mut self, to: Place, number: f64) -> bool {
        let Short::Numeric(slot) = self.plan.nodes[to.0].keys[to.1].short else { return false };
        let again = self.marked(to);
        if let Some(slot) = self.row.numeric.get_mut(slot) {
            *slot = if again { numeric::INVALID } else { number };
        }
        true
    }

    #[inline]
    fn put_integer(&mut self, to: Place, number: i64) -> Result<(), Stop> {
        #[allow(clippy::cast_precision_loss, reason = "the nearest one, as of the digits of JSON")]
        let float = number as f64;
        if self.put_feature(to, float) {
            return Ok(());
        }
        let mut digits = [0; LONGEST_NUMBER];
        let text = written(&mut digits, format_args!("{number}"));
        self.put(to, Token::Number(float, text))
    }

    /// Bytes are a text if they are UTF-8, else their hexadecimal digits.
    fn put_bytes(&mut self, to: Place, bytes: &[u8]) -> Result<(), Stop> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.put(to, Token::Plain(text));
        }
        self.scratch.clear();
        push_hex(self.scratch, bytes);
        self.put(to, Token::Escaped)
    }

    #[inline]
    fn put_number(&mut self, to: Place, number: f64) -> Result<(), Stop> {
        if number.is_nan() {
            return self.put(to, Token::Null);
        }
        if number.is_finite() && self.put_feature(to, number) {
            return Ok(());
        }
        self.put(to, Token::Number(number, BY_VALUE))
    }

    /// An instant: in `ms` where it is the event's time, in its own unit anywhere else.
    fn put_time(&mut self, to: Place, ticks: i64, ms: Option<i64>) -> Result<(), Stop> {
        if self.meaning(to).field != Some(Field::Ts) {
            return self.put_integer(to, ticks);
        }
        self.mark(to);
        let Some(ms) = ms else {
            return Err(Reject::new(Reason::BadTime, format!("the time {ticks} is out of range")).into());
        };
        self.row.ts = Some(ms);
        Ok(())
    }

    /// What a clock shows: an instant by the source's time zone where it is the event's time.
    fn put_clock(&mut self, to: Place, ticks: i64, unit: TimeUnit) -> Result<(), Stop> {
        if self.meaning(to).field != Some(Field::Ts) {
            return self.put_integer(to, ticks);
        }
        let shown = unit.millis(ticks).and_then(clock);
        let Some(shown) = shown else {
            return Err(Reject::new(Reason::BadTime, format!("the time {ticks} is out of range")).into());
        };
        self.mark(to);
        self.row.ts = Some(self.time.local(shown, &shown.to_string())?);
        Ok(())
    }

    /// A decimal number as its digits give it: big-endian two's complement, with so many digits behind the point.
    fn put_decimal(&mut self, to: Place, bytes: &[u8], scale: usize) -> Result<(), Stop> {
        if bytes.len() > DECIMAL_BYTES {
            return self.put(to, Token::Composite);
        }
        let sign = bytes.first().map_or(0, |first| if first & 0x80 == 0 { 0 } else { -1_i128 });
        let unscaled = bytes.iter().fold(sign, |number, &byte| (number << 8) | i128::from(byte));
        // The nearest number, as JSON's digits give it. A whole one keeps its digits, as an id or a category.
        let (mut digits, mut exact) = ([0; LONGEST_NUMBER], [0; LONGEST_NUMBER]);
        let Ok(number) = written(&mut digits, format_args!("{unscaled}e-{scale}")).parse() else {
            return self.put(to, Token::Composite);
        };
        if scale > 0 {
            return self.put_number(to, number);
        }
        self.put(to, Token::Number(number, written(&mut exact, format_args!("{unscaled}"))))
    }
}

/// A number as text, in the bytes that are given; nothing for one that does not fit, of which there is none.
fn written<'t>(into: &'t mut [u8; LONGEST_NUMBER], number: std::fmt::Arguments<'_>) -> &'t str {
    let mut left = &mut into[..];
    let _ = left.write_fmt(number);
    let length = LONGEST_NUMBER - left.len();
    into.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("")
}

/// What a clock shows so many milliseconds after it showed 1970 begin.
fn clock(ms: i64) -> Option<DateTime> {
    let start = date(1970, 1, 1).at(0, 0, 0, 0);
    start.checked_add(SignedDuration::from_millis(ms)).ok()
}
