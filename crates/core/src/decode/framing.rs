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
            let (name, read) = (HEADER.to_string_lossy(), header.len());
            return Err(Reject::new(Reason::BadFrame, format!("the header {name} ({read} bytes) names no schema")));
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
}
