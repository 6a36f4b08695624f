//! Elements of DER (X.690), as far as certificates are read here: the fields that the libraries which verify certificates do not
//! show.

pub const INTEGER: u8 = 0x02;
pub const SEQUENCE: u8 = 0x30;
/// The version of a certificate, which may be left out.
const VERSION: u8 = 0xa0;

/// The first element: its tag, its content, and what follows it.
#[must_use]
pub fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first element, if it has this tag, and what follows it.
#[must_use]
pub fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// The validity of a certificate, and what follows it: the subject, its key and the extensions.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (signed, _) = expect(certificate, SEQUENCE)?;
    let mut rest = expect(signed, VERSION).map_or(signed, |(_, rest)| rest);
    // The serial number, the signature's algorithm, the issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = expect(rest, tag)?.1;
    }
    expect(rest, SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_as_far_as_they_go() {
        assert_eq!(element(b"\x02\x01\x07rest"), Some((INTEGER, &b"\x07"[..], &b"rest"[..])));
        let long = [&b"\x30\x81\x80"[..], &[7; 128], b"x"].concat();
        assert_eq!(expect(&long, SEQUENCE), Some((&[7; 128][..], &b"x"[..])));
        assert_eq!(expect(&long, INTEGER), None);
        for cut in [&b""[..], b"\x30", b"\x30\x02\x01", b"\x30\x80", b"\x30\x82\x01", b"\x30\x84\xff\xff\xff\xff"] {
            assert_eq!(element(cut), None, "{cut:?}");
        }
    }
}
