//! Structures in Thrift's compact protocol, as far as leaving parts of them out needs it: the place of each field's value,
//! for any type, and fields written after one another.

use std::ops::Range;

/// Structures inside structures are followed so deep.
const MOST_NESTED: u32 = 64;
/// A list of so many elements has its length behind the first byte.
const LONG_LIST: u8 = 15;

/// The types of values, as a field's first byte has them.
pub mod kind {
    pub const STOP: u8 = 0;
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const I16: u8 = 4;
    pub const I32: u8 = 5;
    pub const I64: u8 = 6;
    pub const DOUBLE: u8 = 7;
    pub const BINARY: u8 = 8;
    pub const LIST: u8 = 9;
    pub const SET: u8 = 10;
    pub const MAP: u8 = 11;
    pub const STRUCT: u8 = 12;
    pub const UUID: u8 = 13;
}

/// A field of a structure: its number, its type, and where its value lies. A boolean's value is its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub id: i16,
    pub kind: u8,
    pub value: Range<usize>,
}

/// Bytes being read.
#[derive(Clone, Copy, Debug)]
pub struct Skim<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Skim<'a> {
    /// Reads from this place on.
    #[must_use]
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn skip(&mut self, length: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        (end <= self.bytes.len()).then(|| self.at = end)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A whole number.
    pub fn integer(&mut self) -> Option<i64> {
        let coded = self.varint()?;
        Some((coded >> 1).cast_signed() ^ -(coded & 1).cast_signed())
    }

    /// A text or bytes.
    pub fn binary(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        let start = self.at;
        self.skip(length)?;
        self.bytes.get(start..self.at)
    }

    /// The fields of a structure, in their order; ends behind it.
    pub fn fields(&mut self) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        self.each_field(0, |field| fields.push(field))?;
        Some(fields)
    }

    /// Where each element of a list of structures lies; ends behind it.
    pub fn structures(&mut self) -> Option<Vec<Range<usize>>> {
        let (of, length) = self.list()?;
        if of != kind::STRUCT && length > 0 {
            return None;
        }
        let mut found = Vec::new();
        for _ in 0..length {
            let start = self.at;
            self.each_field(1, |_| {})?;
            found.push(start..self.at);
        }
        Some(found)
    }

    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let length = if head >> 4 == LONG_LIST { self.varint()? } else { u64::from(head >> 4) };
        // An element takes a byte at least, so that no length makes this go on for long.
        (length <= self.bytes.len() as u64).then_some((head & 0x0f, length))
    }

    fn each_field(&mut self, depth: u32, mut each: impl FnMut(Field)) -> Option<()> {
        let mut id: i16 = 0;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == kind::STOP {
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.integer()?).ok()?,
                more => id.checked_add(i16::from(more))?,
            };
            let start = self.at;
            if !matches!(kind, kind::TRUE | kind::FALSE) {
                self.value(kind, depth)?;
            }
            each(Field { id, kind, value: start..self.at });
        }
    }

    /// Goes over a value; booleans are a byte here, as in lists.
    fn value(&mut self, kind: u8, depth: u32) -> Option<()> {
        if depth > MOST_NESTED {
            return None;
        }
        match kind {
            kind::TRUE | kind::FALSE | kind::BYTE => self.skip(1),
            kind::I16 | kind::I32 | kind::I64 => self.varint().map(|_| ()),
            kind::DOUBLE => self.skip(8),
            kind::UUID => self.skip(16),
            kind::BINARY => self.binary().map(|_| ()),
            kind::LIST | kind::SET => {
                let (of, length) = self.list()?;
                (0..length).try_for_each(|_| self.value(of, depth + 1))
            }
            kind::MAP => {
                let length = self.varint()?;
                if length == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..length.min(self.bytes.len() as u64)).try_for_each(|_| {
                    self.value(kinds >> 4, depth + 1).and_then(|()| self.value(kinds & 0x0f, depth + 1))
                })
            }
            kind::STRUCT => self.each_field(depth + 1, |_| {}),
            _ => None,
        }
    }
}

/// A structure being written.
#[derive(Debug, Default)]
pub struct Structure {
    pub bytes: Vec<u8>,
    last: i16,
}

impl Structure {
    /// Appends a field with these bytes as its value; fields come in the order of their numbers.
    pub fn field(&mut self, id: i16, kind: u8, value: &[u8]) {
        if let Ok(more @ 1..=15) = u8::try_from(i32::from(id) - i32::from(self.last)) {
            self.bytes.push(more << 4 | kind);
        } else {
            self.bytes.push(kind);
            varint(zigzag(i64::from(id)), &mut self.bytes);
        }
        self.last = id;
        self.bytes.extend_from_slice(value);
    }

    pub fn integer(&mut self, id: i16, value: i64) {
        let mut bytes = Vec::new();
        varint(zigzag(value), &mut bytes);
        self.field(id, kind::I32, &bytes);
    }

    pub fn structures<'a>(&mut self, id: i16, elements: impl ExactSizeIterator<Item = &'a [u8]>) {
        let length = elements.len();
        let mut bytes = Vec::new();
        match u8::try_from(length) {
            Ok(few) if few < LONG_LIST => bytes.push(few << 4 | kind::STRUCT),
            _ => {
                bytes.push(LONG_LIST << 4 | kind::STRUCT);
                varint(length as u64, &mut bytes);
            }
        }
        elements.for_each(|element| bytes.extend_from_slice(element));
        self.field(id, kind::LIST, &bytes);
    }

    /// Ends it.
    #[must_use]
    pub fn done(mut self) -> Vec<u8> {
        self.bytes.push(kind::STOP);
        self.bytes
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for value in [0, 1, -1, 63, -64, 64, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            varint(zigzag(value), &mut bytes);
            assert_eq!(Skim::new(&bytes, 0).integer(), Some(value));
        }
        let element = {
            let mut element = Structure::default();
            element.field(4, kind::BINARY, b"\x02ab");
            element.done()
        };
        let mut outer = Structure::default();
        outer.integer(3, -70_000);
        outer.structures(30, (0..20).map(|_| element.as_slice()));
        outer.field(2, kind::TRUE, &[]);
        let bytes = outer.done();
        let mut skim = Skim::new(&bytes, 0);
        let fields = skim.fields().unwrap();
        assert_eq!(skim.at, bytes.len());
        assert_eq!(
            fields.iter().map(|f| (f.id, f.kind)).collect::<Vec<_>>(),
            [(3, kind::I32), (30, kind::LIST), (2, kind::TRUE)]
        );
        assert_eq!(Skim::new(&bytes, fields[0].value.start).integer(), Some(-70_000));
        let elements = Skim::new(&bytes, fields[1].value.start).structures().unwrap();
        assert_eq!(elements.len(), 20);
        let inner = Skim::new(&bytes, elements[19].start).fields().unwrap();
        assert_eq!(Skim::new(&bytes, inner[0].value.start).binary(), Some(&b"ab"[..]));
    }

    #[test]
    fn nothing_makes_it_go_on_for_long_or_panic() {
        // A list of a billion booleans, structures in structures without end, and a number without end.
        let lists =
            [vec![0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x7f], [0x1c].repeat(500), vec![0x16; 40], vec![0xff; 40]];
        for bytes in lists {
            assert_eq!(Skim::new(&bytes, 0).fields(), None);
        }
        assert_eq!(Skim::new(&[], 7).fields(), None);
    }
}
