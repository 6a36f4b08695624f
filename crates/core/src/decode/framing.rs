//! Confluent's framing: which schema a value was written with, in front of the value or in a header.
//!
//! Version 0 is a zero byte and the schema's id, four bytes with the highest first; version 1 is a one and the 16 bytes of the
//! schema's GUID. A header `__value_schema_id` holds the same bytes, and the value is bare then. Source: the wire format of
//! Confluent's schema registry and the serializers of confluent-kafka.

use std::ffi::CStr;
use std::fmt;

use super::{Reason, Reject};

/// The name of the header, as C libraries take it, too.
pub const HEADER: &CStr = c"__value_schema_id";

/// How a message names a schema. An id never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaRef {
    Id(u32),
    Guid([u8; 16]),
}

impl Default for SchemaRef {
    fn default() -> Self {
        Self::Id(0)
    }
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Guid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// The schema's name and what follows it.
fn split(bytes: &[u8]) -> Option<(SchemaRef, &[u8])> {
    match bytes.split_first()? {
        (0, rest) => rest.split_first_chunk().map(|(id, rest)| (SchemaRef::Id(u32::from_be_bytes(*id)), rest)),
        (1, rest) => rest.split_first_chunk().map(|(guid, rest)| (SchemaRef::Guid(*guid), rest)),
        _ => None,
    }
}

/// The schema that a message names, and its value without the frame. A header wins: what stands in the value is its own then.
///
/// # Errors
/// A value, or a header, that begins with no frame.
pub fn unframed<'m>(value: &'m [u8], header: Option<&[u8]>) -> Result<(SchemaRef, &'m [u8]), Reject> {
    if let Some(header) = header {
        let Some((at, [])) = split(header) else {
            return Err(bad_header(header));
        };
        return Ok((at, value));
    }
    split(value).ok_or_else(|| {
        let detail = match value.first() {
            None => "the value is empty, and no schema is named before it".to_owned(),
            Some(0 | 1) => format!("the value ends within the name of its schema, after {} bytes", value.len()),
            Some(byte) => format!(
                "the value begins with the byte {byte:#04x} and not with a schema's id (0x00) or GUID (0x01): it was not written by a \
                 serializer of a schema registry"
            ),
        };
        Reject::new(Reason::BadFrame, detail)
    })
}

/// Which message of a file of Protobuf definitions a value is: the index of one of the file's, then of one nested in it, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Indexes {
    indexes: [u32; Self::MOST],
    length: usize,
}

/// The first message of the file.
impl Default for Indexes {
    fn default() -> Self {
        Self { indexes: [0; Self::MOST], length: 1 }
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl Indexes {
    /// Messages that are nested deeper are not read.
    const MOST: usize = 8;

    /// These indexes, as many as are read.
    #[cfg(test)]
    pub(super) fn of(indexes: &[u32]) -> Self {
        let mut read = Self { indexes: [0; Self::MOST], length: indexes.len() };
        read.indexes.iter_mut().zip(indexes).for_each(|(into, index)| *into = *index);
        read
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        self.indexes.get(..self.length).unwrap_or(&[])
    }

    /// Reads the indexes before a value: how many there are and each of them, as variable-length zig-zag numbers; a lone zero is the
    /// first message. Returns what follows them.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = zigzag(bytes)?;
        if count == 0 {
            return Some((Self::default(), rest));
        }
        let mut read = Self { indexes: [0; Self::MOST], length: usize::try_from(count).ok()? };
        for index in read.indexes.get_mut(..read.length)? {
            let (number, behind) = zigzag(rest)?;
            (*index, rest) = (u32::try_from(number).ok()?, behind);
        }
        Some((read, rest))
    }
}

/// A variable-length zig-zag number of at most 32 bits, and what follows it.
fn zigzag(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0_u64;
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(((number >> 1).cast_signed() ^ -(number & 1).cast_signed(), bytes.get(at + 1..)?));
        }
    }
    None
}

/// A message's value without Confluent's frame, the schema that it names, and which message of it the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'m> {
    pub at: SchemaRef,
    pub indexes: Indexes,
    pub value: &'m [u8],
}

/// The same of Protobuf, whose frame also says which message of the schema the value is: behind the schema's name, in the header
/// or before the value.
///
/// # Errors
/// A value, or a header, that begins with no frame.
pub fn unframed_protobuf<'m>(value: &'m [u8], header: Option<&[u8]>) -> Result<Framed<'m>, Reject> {
    if let Some(header) = header {
        let named = split(header).and_then(|(at, rest)| match rest {
            [] => Some((at, Indexes::default())),
            _ => Indexes::read(rest).filter(|(_, rest)| rest.is_empty()).map(|(indexes, _)| (at, indexes)),
        });
        let Some((at, indexes)) = named else { return Err(bad_header(header)) };
        return Ok(Framed { at, indexes, value });
    }
    let (at, rest) = unframed(value, None)?;
    let Some((indexes, value)) = Indexes::read(rest) else {
        let detail = format!(
            "the value names no message of the schema {at}: behind the schema's name, the indexes of a message (at most {}) are to follow",
            Indexes::MOST
        );
        return Err(Reject::new(Reason::BadFrame, detail));
    };
    Ok(Framed { at, indexes, value })
}

fn bad_header(header: &[u8]) -> Reject {
    let (name, read) = (HEADER.to_string_lossy(), header.len());
    Reject::new(Reason::BadFrame, format!("the header {name} ({read} bytes) names no schema"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_guids_are_read_from_the_value_or_from_the_header() {
        assert_eq!(unframed(&[0, 0, 0, 1, 2, 7, 8], None), Ok((SchemaRef::Id(258), &[7, 8][..])));
        let guid: [u8; 17] = [1, 0xde, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        let (at, rest) = unframed(&guid, None).unwrap();
        assert_eq!((at.to_string().as_str(), rest), ("dead0000-0000-0000-0000-000000000009", &[][..]));
        assert_eq!(unframed(&[0, 5], Some(&[0, 0, 0, 0, 3])), Ok((SchemaRef::Id(3), &[0, 5][..])));
    }

    #[test]
    fn what_is_no_frame_is_refused_with_what_was_read() {
        for (value, header, says) in [
            (&b""[..], None, "is empty"),
            (&[0, 0, 0][..], None, "after 3 bytes"),
            (b"{\"a\":1}", None, "0x7b"),
            (b"x", Some(&[0, 0, 0, 0, 3, 1][..]), "(6 bytes)"),
            (b"x", Some(&[][..]), "(0 bytes)"),
        ] {
            let reject = unframed(value, header).unwrap_err();
            assert!(reject.reason == Reason::BadFrame && reject.detail.contains(says), "{reject}");
        }
    }

    #[test]
    fn protobufs_frame_names_a_message_by_its_indexes() {
        let indexes = |value: &[u8]| {
            unframed_protobuf(value, None).map(|framed| (framed.indexes.as_slice().to_vec(), framed.value.to_vec()))
        };
        let framed = |rest: &[u8]| [&[0, 0, 0, 0, 9][..], rest].concat();
        assert_eq!(indexes(&framed(&[0, 7])), Ok((vec![0], vec![7])));
        assert_eq!(indexes(&framed(&[4, 2, 0x80, 1, 7])), Ok((vec![1, 64], vec![7])));
        assert_eq!(indexes(&framed(&[0])), Ok((vec![0], vec![])));
        for bad in [&[][..], &[2], &[1], &[2, 1], &[20, 0, 0, 0], &[0x80; 9]] {
            let reject = indexes(&framed(bad)).unwrap_err();
            assert!(reject.reason == Reason::BadFrame && reject.detail.contains("names no message"), "{reject}");
        }
        let by_header = |header: &[u8]| unframed_protobuf(&[7], Some(header)).map(|framed| framed.indexes.to_string());
        assert_eq!(by_header(&framed(&[2, 6])).as_deref(), Ok("[3]"));
        assert_eq!(by_header(&framed(&[])).as_deref(), Ok("[0]"));
        assert!(by_header(&framed(&[2, 6, 0])).is_err());
    }
}
