//! One pass over one Avro value by its program.

mod skip;

use super::super::framing::SchemaRef;
use super::super::json::{Stop, Walk};
use super::super::narrow::single;
use super::super::put::Place;
use super::super::scan::Token;
use super::super::{Reason, Reject};
use super::program::{Kind, Program, Programs};

const DAY_MS: i64 = 86_400_000;

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

/// A pass over one value.
pub struct Pass<'a> {
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

    /// Reads a value and puts it into its place: numbers and texts, which most fields are, without the way through what else there is.
    #[inline]
    fn field(&mut self, kind: &'a Kind, to: Option<Place>, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        match (kind, to) {
            (Kind::Double, Some(to)) => walk.put_number(to, f64::from_le_bytes(self.chunk()?)),
            (Kind::Text, Some(to)) => walk.put_text(to, self.text()?),
            _ => self.value(kind, to, walk),
        }
    }

    /// The same of any value.
    fn value(&mut self, kind: &'a Kind, to: Option<Place>, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        match kind {
            Kind::Union(branches) => {
                let branch = self.branch(branches, "the branch")?;
                // Unions hold no unions, so this goes no deeper than what they hold.
                self.field(branch, to, walk)
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
                    pass.field(value, to, walk)
                })
            }
            _ => match to {
                Some(to) => self.leaf(kind, to, walk),
                None => Ok(self.skip(kind)?),
            },
        }
    }

    #[allow(clippy::indexing_slicing, reason = "indexes of records come from the compiler, which made them")]
    fn record(&mut self, at: usize, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        self.deeper()?;
        let program = self.program;
        for step in &program.records[at] {
            self.field(&step.kind, step.to, walk)?;
        }
        self.depth_left += 1;
        Ok(())
    }

    /// Reads the items of an array or map, block by block.
    fn blocks<E: From<Reject>>(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
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

    /// Reads a value without parts into its place.
    fn leaf(&mut self, kind: &'a Kind, to: Place, walk: &mut Walk<'_, '_>) -> Result<(), Stop> {
        match kind {
            Kind::Null => walk.put(to, Token::Null),
            Kind::Boolean => walk.put(to, Token::Bool(self.boolean()?)),
            Kind::Integer => walk.put_integer(to, self.long()?),
            Kind::Float => walk.put_number(to, single(f32::from_le_bytes(self.chunk()?))),
            Kind::Double | Kind::Text => self.field(kind, Some(to), walk),
            Kind::Symbols(symbols) => walk.put_text(to, self.branch(symbols, "the symbol")?),
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
