//! SHA-256 and hexadecimal text.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Lower-case hex of SHA-256.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The same of all that can be read, a little at a time.
///
/// # Errors
/// What reading says.
pub fn sha256_hex_of(mut input: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// A UUID of a text, always the same: version 8 of RFC 9562, section 5.8, made of the text's SHA-256.
#[must_use]
pub fn uuid_of(text: &str) -> String {
    let hash = sha256_hex(text.as_bytes());
    let digits = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    // The variant is in the two highest bits of a digit that is 8, 9, a or b.
    let variant = match digits(16, 17) {
        "0" | "4" | "8" | "c" => "8",
        "1" | "5" | "9" | "d" => "9",
        "2" | "6" | "a" | "e" => "a",
        _ => "b",
    };
    format!("{}-{}-8{}-{variant}{}-{}", digits(0, 8), digits(8, 12), digits(13, 16), digits(17, 20), digits(20, 32))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    push_hex(&mut out, bytes);
    out
}

/// Appends lower-case hex to a text.
pub fn push_hex(out: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to memory does not fail.
        let _ = write!(out, "{byte:02x}");
    }
}

/// The bytes that hexadecimal digits of either case stand for.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(digits).collect()
}

/// SHA-256 over parts, each with its length before it, so that no two lists of parts collide. Lower-case hex.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_of_a_text_is_of_version_8_and_always_the_same() {
        for at in 0..64 {
            let uuid = uuid_of(&at.to_string());
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12]);
            assert!(uuid.get(14..15) == Some("8") && "89ab".contains(&uuid[19..20]), "{uuid}");
        }
        assert_eq!(uuid_of("a"), uuid_of("a"));
        assert_ne!(uuid_of("a"), uuid_of("b"));
    }

    #[test]
    fn parts_of_a_digest_do_not_run_together() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
