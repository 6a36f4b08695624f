//! Until when a certificate holds: the one field of X.509 that the libraries which verify certificates do not show.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use driftgate_core::promotion::der;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity, ms since 1970.
#[must_use]
pub fn not_after_ms(certificate: &[u8]) -> Option<i64> {
    let (validity, _) = der::validity(certificate)?;
    let (_, _, rest) = der::element(validity)?;
    let (tag, end, _) = der::element(rest)?;
    time(tag, std::str::from_utf8(end).ok()?)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i16 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2).and_then(|digits| digits.parse::<i8>().ok());
    let civil = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_x509_writes_them() {
        assert_eq!(time(UTC_TIME, "261127112323Z"), Some(1_795_778_603_000));
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000_000));
        for text in ["261127112323", "261327112323Z", "2611271123Z", "-61127112323Z", ""] {
            assert_eq!(time(UTC_TIME, text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for bytes in [&b""[..], b"0", b"0\x80", b"0\x03\x30\x01\x02", b"\x30\x84\xff\xff\xff\xff", b"no certificate"] {
            assert_eq!(not_after_ms(bytes), None, "{bytes:?}");
        }
    }
}
