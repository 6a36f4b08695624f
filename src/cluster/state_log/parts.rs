//! Bytes of any length as records: parts, each with its place in the whole and the digest of it.
//!
//! ```text
//! "DRFG" "PART"  format (u32)  number (u32)  of how many (u32)  length of the whole (u64)  SHA-256 of the whole (64 hex digits)  bytes
//! ```
//!
//! Integers are little-endian. A part has 800 KiB, the last one the rest: with key and batch it stays below the limit of a topic as it is made.

use driftgate_core::codec::chunk::Digest;
use driftgate_core::codec::hash;

/// Bytes in a part.
pub const PART: usize = 800 << 10;
const MAGIC: &[u8; 8] = b"DRFGPART";
const FORMAT: u32 = 1;
const DIGEST: usize = 64;
const HEADER: usize = 8 + 4 + 4 + 4 + 8 + DIGEST;

/// A part of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'p> {
    pub number: u32,
    pub of: u32,
    /// Bytes of the whole.
    pub length: u64,
    /// Of the whole.
    pub digest: &'p str,
    pub bytes: &'p [u8],
}

/// Why bytes are no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPart {
    Newer(u32),
    Damaged,
}

impl<'p> Part<'p> {
    /// Reads a record's payload.
    ///
    /// # Errors
    /// Bytes that `split` did not make, or another format.
    pub fn read(payload: &'p [u8]) -> Result<Self, NoPart> {
        let (magic, rest) = payload.split_at_checked(MAGIC.len()).ok_or(NoPart::Damaged)?;
        let (format, rest) = number(rest)?;
        if magic != MAGIC {
            return Err(NoPart::Damaged);
        }
        if format != FORMAT {
            return Err(NoPart::Newer(format));
        }
        let (number_, rest) = number(rest)?;
        let (of, rest) = number(rest)?;
        let (length, rest) = rest.split_first_chunk::<8>().ok_or(NoPart::Damaged)?;
        let length = u64::from_le_bytes(*length);
        let (digest, bytes) = rest.split_at_checked(DIGEST).ok_or(NoPart::Damaged)?;
        let digest = std::str::from_utf8(digest).ok().filter(|d| is_digest(d)).ok_or(NoPart::Damaged)?;
        let part = Self { number: number_, of, length, digest, bytes };
        if part.of != count(length) || part.number >= part.of || bytes.len() as u64 != part.expected() {
            return Err(NoPart::Damaged);
        }
        Ok(part)
    }

    /// Where it begins in the whole.
    #[must_use]
    pub fn offset(&self) -> u64 {
        u64::from(self.number) * PART as u64
    }

    fn expected(&self) -> u64 {
        self.length.saturating_sub(self.offset()).min(PART as u64)
    }
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), NoPart> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(NoPart::Damaged)?;
    Ok((u32::from_le_bytes(*number), rest))
}

/// How many parts so many bytes have.
#[must_use]
pub fn count(length: u64) -> u32 {
    u32::try_from(length.div_ceil(PART as u64).max(1)).unwrap_or(u32::MAX)
}

/// Whether a text may be a digest, and so the name of a file.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.len() == DIGEST && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The payloads of all parts, in order.
pub fn split<'b>(bytes: &'b [u8], digest: &'b Digest) -> impl Iterator<Item = Vec<u8>> + 'b {
    let length = bytes.len() as u64;
    let of = count(length);
    (0..of).map(move |number| {
        let from = (number as usize).saturating_mul(PART).min(bytes.len());
        let part = bytes.get(from..bytes.len().min(from + PART)).unwrap_or_default();
        let mut payload = Vec::with_capacity(HEADER + part.len());
        payload.extend_from_slice(MAGIC);
        for n in [FORMAT, number, of] {
            payload.extend_from_slice(&n.to_le_bytes());
        }
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(digest.as_bytes());
        payload.extend_from_slice(part);
        payload
    })
}

/// The digest that the parts of these bytes carry.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    hash::sha256_hex(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_whole_and_damage_is_none() {
        for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let digest = digest(&bytes);
            let payloads: Vec<Vec<u8>> = split(&bytes, &digest).collect();
            assert_eq!(payloads.len(), count(length as u64) as usize);
            let mut whole = Vec::new();
            for (number, payload) in payloads.iter().enumerate() {
                assert!(payload.len() < 900_000);
                let part = Part::read(payload).unwrap();
                assert_eq!((part.number as usize, part.of as usize), (number, payloads.len()));
                assert_eq!((part.offset(), part.digest), (whole.len() as u64, digest.as_str()));
                whole.extend_from_slice(part.bytes);
                assert_eq!(Part::read(&payload[..payload.len() - 1]), Err(NoPart::Damaged));
                assert_eq!(Part::read(&[payload.as_slice(), b"x"].concat()), Err(NoPart::Damaged));
            }
            assert_eq!(whole, bytes);
        }
        assert_eq!(Part::read(b""), Err(NoPart::Damaged));
        let mut newer = split(b"x", &digest(b"x")).next().unwrap();
        newer[8] = 2;
        assert_eq!(Part::read(&newer), Err(NoPart::Newer(2)));
        newer[0] = b'X';
        assert_eq!(Part::read(&newer), Err(NoPart::Damaged));
    }
}
