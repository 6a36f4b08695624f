//! The envelope of every binary file we write: magic, kind, format version, length, payload, SHA-256 of all before it.
//! Bytes only; who reads and writes files is elsewhere.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 4] = b"DRFG";
const HEADER: usize = 4 + 4 + 4 + 8;
const CHECKSUM: usize = 32;

/// What a file holds: four letters and the version of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub tag: [u8; 4],
    pub version: u32,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    #[error("not a driftgate file (it does not start with DRFG)")]
    NotOurs,
    #[error("a driftgate file of kind {found:?}, expected {expected:?}")]
    WrongKind { found: String, expected: String },
    #[error("written in format {found}, this driftgate reads format {expected}: build the file again")]
    WrongVersion { found: u32, expected: u32 },
    #[error("cut short: {have} bytes, expected {want}")]
    Truncated { have: usize, want: usize },
    #[error("damaged: its checksum does not match its contents")]
    Checksum,
    #[error("cannot be decoded: {0}")]
    Payload(String),
}

/// Bytes that say of which kind a file is.
pub const IDENTITY: usize = 8;

/// Whether the bytes start like a file of this kind.
#[must_use]
pub fn is(kind: Kind, bytes: &[u8]) -> bool {
    bytes.get(..4) == Some(MAGIC) && bytes.get(4..IDENTITY) == Some(&kind.tag)
}

/// Encodes `value` into an envelope.
///
/// # Errors
/// When the value cannot be serialized.
pub fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, EnvelopeError> {
    let payload = postcard::to_stdvec(value).map_err(|e| EnvelopeError::Payload(e.to_string()))?;
    let mut out = Vec::with_capacity(HEADER + payload.len() + CHECKSUM);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&kind.tag);
    out.extend_from_slice(&kind.version.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    out.extend_from_slice(&payload);
    let sum = Sha256::digest(&out);
    out.extend_from_slice(&sum);
    Ok(out)
}

/// The version of a file of this kind; of one that `decode` would not take, only once its length and checksum are right.
///
/// # Errors
/// When the bytes are not such a file; of another version, when they are damaged.
pub fn version(kind: Kind, bytes: &[u8]) -> Result<u32, EnvelopeError> {
    match header(kind, bytes)? {
        (found, _) if found == kind.version => Ok(found),
        (found, length) => payload(bytes, length).map(|_| found),
    }
}

/// Decodes a file of this kind and version, checking length and checksum first.
///
/// # Errors
/// When the bytes are not such a file, whole and undamaged.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, EnvelopeError> {
    let (version, length) = header(kind, bytes)?;
    if version != kind.version {
        return Err(EnvelopeError::WrongVersion { found: version, expected: kind.version });
    }
    postcard::from_bytes(payload(bytes, length)?).map_err(|e| EnvelopeError::Payload(e.to_string()))
}

/// The version and the payload's length of a file of this kind.
fn header(kind: Kind, bytes: &[u8]) -> Result<(u32, usize), EnvelopeError> {
    let Some((header, _)) = bytes.split_at_checked(HEADER) else {
        return Err(if bytes.starts_with(MAGIC) {
            EnvelopeError::Truncated { have: bytes.len(), want: HEADER }
        } else {
            EnvelopeError::NotOurs
        });
    };
    let (magic, header) = header.split_at(4);
    let (tag, header) = header.split_at(4);
    let (version, length) = header.split_at(4);
    if magic != MAGIC {
        return Err(EnvelopeError::NotOurs);
    }
    if tag != kind.tag {
        let text = |t: &[u8]| String::from_utf8_lossy(t).into_owned();
        return Err(EnvelopeError::WrongKind { found: text(tag), expected: text(&kind.tag) });
    }
    let length = usize::try_from(length.try_into().map_or(0, u64::from_le_bytes)).unwrap_or(usize::MAX);
    Ok((version.try_into().map_or(0, u32::from_le_bytes), length))
}

/// The payload of a file that is whole and undamaged.
fn payload(bytes: &[u8], length: usize) -> Result<&[u8], EnvelopeError> {
    let want = length.saturating_add(HEADER + CHECKSUM);
    if bytes.len() != want {
        return Err(EnvelopeError::Truncated { have: bytes.len(), want });
    }
    // Of this length by the check above.
    let (body, sum) = bytes.split_at(HEADER + length);
    if Sha256::digest(body).as_slice() != sum {
        return Err(EnvelopeError::Checksum);
    }
    Ok(body.split_at(HEADER).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { tag: *b"TEST", version: 3 };

    #[test]
    fn every_damage_is_named() {
        let bytes = encode(KIND, &vec![1u32, 2, 3]).unwrap();
        assert_eq!(decode::<Vec<u32>>(KIND, &bytes), Ok(vec![1, 2, 3]));
        assert_eq!(decode::<Vec<u32>>(KIND, b"PAR1 and so on, long enough"), Err(EnvelopeError::NotOurs));
        assert_eq!(
            decode::<Vec<u32>>(Kind { version: 4, ..KIND }, &bytes),
            Err(EnvelopeError::WrongVersion { found: 3, expected: 4 })
        );
        for i in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[i] ^= 1;
            assert!(decode::<Vec<u32>>(KIND, &bad).is_err(), "bit flipped in byte {i}");
            assert!(decode::<Vec<u32>>(KIND, &bytes[..i]).is_err(), "cut at {i}");
        }
    }
}
