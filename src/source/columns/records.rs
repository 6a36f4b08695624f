//! Where the records of a CSV text end (RFC 4180): a line feed ends one, but inside a field in quotes. A record with
//! impossible quotes ends with its first line, and the next one starts in the line after it.

use std::ops::Range;

const STRAY: &str =
    "a quote stands inside a field that does not begin with one; write it twice and put the field in quotes";
const BEHIND: &str = "text follows the quote that ends a field; write a quote inside a field twice";
const OPEN: &str = "a quote is not closed";

/// A record that is none: the line it starts in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub bytes: Range<usize>,
    pub why: String,
}

/// The content of bytes that start with a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Where the last whole record ends.
    pub end: usize,
    pub malformed: Vec<Malformed>,
}

enum Record {
    /// So many bytes.
    Whole(usize),
    /// The first line is none.
    Malformed(String),
    /// It goes on behind what is there.
    Open,
}

/// The records at the start of `bytes`, each of so many fields; `ended` if nothing comes behind.
#[must_use]
pub fn find(bytes: &[u8], columns: usize, ended: bool) -> Records {
    let mut out = Records::default();
    if memchr::memchr(b'"', bytes).is_none() {
        out.end = if ended { bytes.len() } else { memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1) };
        return out;
    }
    while let Some(rest) = bytes.get(out.end..).filter(|rest| !rest.is_empty()) {
        match record(rest, columns, ended) {
            Record::Whole(length) => out.end += length,
            Record::Malformed(why) => {
                let end = out.end + line(rest);
                out.malformed.push(Malformed { bytes: out.end..end, why });
                out.end = end;
            }
            Record::Open => break,
        }
    }
    out
}

/// The record at the start of `bytes`.
fn record(bytes: &[u8], columns: usize, ended: bool) -> Record {
    let open = || if ended { Record::Whole(bytes.len()) } else { Record::Open };
    let (mut at, mut lines) = (0, false);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\n', rest) else { return open() };
        let place = at + found;
        if bytes.get(place) == Some(&b'\n') {
            at = place + 1;
            break;
        }
        if place == 0 || bytes.get(place - 1) == Some(&b',') {
            match closing(bytes, place + 1, ended) {
                Ok(Some(end)) => {
                    lines |= memchr::memchr(b'\n', bytes.get(place..end).unwrap_or_default()).is_some();
                    at = end;
                }
                Ok(None) => return Record::Open,
                Err(why) => return Record::Malformed(why.to_owned()),
            }
        } else {
            // A field without quotes around it: quotes in pairs are its text.
            let rest = bytes.get(place..).unwrap_or_default();
            let Some(length) = memchr::memchr2(b',', b'\n', rest).or(ended.then_some(rest.len())) else {
                return open();
            };
            let quotes = memchr::memchr_iter(b'"', rest.get(..length).unwrap_or_default()).count();
            if quotes % 2 == 1 {
                return Record::Malformed(STRAY.to_owned());
            }
            at = place + length;
        }
    }
    let record = bytes.get(..at).unwrap_or_default();
    if lines {
        let fields = number_of_fields(record);
        if fields != columns {
            let over = self::lines(record);
            return Record::Malformed(format!(
                "a quote is not closed in its line; up to where it is, {over} lines on, the record has {fields} fields, the header {columns}"
            ));
        }
    }
    Record::Whole(at)
}

/// Behind the quote that ends a field; `None` where that is not there yet.
fn closing(bytes: &[u8], mut at: usize, ended: bool) -> Result<Option<usize>, &'static str> {
    loop {
        let Some(found) = memchr::memchr(b'"', bytes.get(at..).unwrap_or_default()) else {
            return if ended { Err(OPEN) } else { Ok(None) };
        };
        let end = at + found + 1;
        match (bytes.get(end), bytes.get(end + 1)) {
            (Some(b'"'), _) => at = end + 1,
            (Some(b',' | b'\n'), _) | (Some(b'\r'), Some(b'\n')) => return Ok(Some(end)),
            (None, _) | (Some(b'\r'), None) => return if ended { Ok(Some(end)) } else { Ok(None) },
            _ => return Err(BEHIND),
        }
    }
}

/// The length of the first line.
fn line(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
}

/// How many lines end in these bytes.
#[must_use]
pub fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Ends of well-formed records: line feeds outside quotes.
pub fn ends(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut quoted = false;
    memchr::memchr2_iter(b'"', b'\n', bytes).filter_map(move |at| {
        if bytes.get(at) == Some(&b'"') {
            quoted = !quoted;
            return None;
        }
        (!quoted).then_some(at + 1)
    })
}

/// The length of the blank lines that a text begins with, behind its byte order mark.
#[must_use]
pub fn blank_lines(bytes: &[u8]) -> usize {
    let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let text = bytes.get(mark..).unwrap_or_default();
    let first = text.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(text.len());
    let blank = text.get(..first).unwrap_or_default();
    memchr::memrchr(b'\n', blank).map_or(0, |at| mark + at + 1)
}

#[must_use]
pub fn first_end(bytes: &[u8]) -> Option<usize> {
    ends(bytes).next()
}

/// How many records these well-formed ones are.
#[must_use]
pub fn count(block: &[u8]) -> u64 {
    let (mut found, mut last) = (0, 0);
    if memchr::memchr(b'"', block).is_none() {
        found = lines(block);
        last = memchr::memrchr(b'\n', block).map_or(0, |at| at + 1);
    } else {
        for end in ends(block) {
            (found, last) = (found + 1, end);
        }
    }
    found + u64::from(last < block.len())
}

#[must_use]
pub fn number_of_fields(record: &[u8]) -> usize {
    let mut quoted = false;
    let commas = memchr::memchr2_iter(b'"', b',', record).filter(|&at| {
        let quote = record.get(at) == Some(&b'"');
        quoted ^= quote;
        !quote && !quoted
    });
    commas.count() + 1
}

/// The fields of one record.
#[must_use]
pub fn fields(record: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                out.last_mut().into_iter().for_each(|f| f.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            _ => out.last_mut().into_iter().for_each(|f| f.push(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(bytes: &[u8], ended: bool) -> usize {
        let found = find(bytes, 2, ended);
        assert_eq!(found.malformed, []);
        found.end
    }

    #[test]
    fn records_end_outside_quotes() {
        assert_eq!(end(b"a,b\n1,2\n3", false), 8);
        assert_eq!(end(b"a,\"b\n1\"\n3,\"x\n", false), 8);
        assert_eq!((end(b"abc", false), end(b"abc", true)), (0, 3));
        assert_eq!((end(b"a,\"b\"", false), end(b"a,\"b\"", true), end(b"a,\"b\"\r", false)), (0, 5, 0));
        assert_eq!(fields("a,\"b,\"\"c\"\"\",,d"), ["a", "b,\"c\"", "", "d"]);
        assert_eq!([number_of_fields(b"a,\"b,c\",d\n"), number_of_fields(b"\n")], [3, 1]);
        assert_eq!([count(b""), count(b"a\nb"), count(b"\"a\n\"\nb\n")], [0, 2, 2]);
    }

    #[test]
    fn a_cut_anywhere_changes_no_record() {
        let text = b"a,\"b \"\"x\"\" \n c\"\r\n1,2\n\"\",\"\"\"\"\n\"q,r\",said \"so\" \nlast,\"one\"\n";
        let whole: Vec<usize> = ends(text).collect();
        assert_eq!(whole.len(), 5);
        for cut in 0..=text.len() {
            let expected = whole.iter().copied().filter(|&end| end <= cut).max().unwrap_or(0);
            assert_eq!(end(&text[..cut], false), expected, "{cut}");
        }
    }
}
