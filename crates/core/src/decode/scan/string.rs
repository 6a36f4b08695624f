//! Strings of a JSON text: as they are where they have no escapes, else resolved into the caller's scratch.

use super::{Scanner, Token};
use crate::decode::Reject;
use crate::decode::short::plain_until;

impl<'a> Scanner<'a> {
    #[inline]
    pub(super) fn string(&mut self, scratch: &mut String) -> Result<Token<'a>, Reject> {
        self.utf8()?;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        let start = self.pos + 1;
        let bytes = self.bytes;
        let mut at = plain_until(bytes, start);
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    self.pos = at + 1;
                    return Ok(Token::Plain(self.between(start, at)));
                }
                Some(b'\\') => return self.escaped(start, at, scratch),
                Some(0..=0x1f) => {
                    self.pos = at;
                    return Err(self.unexpected("a string without control characters"));
                }
                Some(_) => at = plain_until(bytes, at + 1),
                None => {
                    self.pos = at;
                    return Err(self.unexpected("the string's end"));
                }
            }
        }
    }

    #[cold]
    fn escaped(&mut self, start: usize, first: usize, scratch: &mut String) -> Result<Token<'a>, Reject> {
        scratch.clear();
        scratch.push_str(self.between(start, first));
        self.pos = first;
        loop {
            let run = self.pos;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.pos += 1;
            }
            scratch.push_str(self.between(run, self.pos));
            match self.peek() {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(Token::Escaped);
                }
                Some(b'\\') => {
                    self.pos += 1;
                    scratch.push(self.escape()?);
                }
                _ => return Err(self.unexpected("the string's end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Reject> {
        let simple = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.pos += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("an escape")),
        };
        self.pos += 1;
        Ok(simple)
    }

    fn unicode(&mut self) -> Result<char, Reject> {
        let high = self.hex4()?;
        let code = match high {
            0xD800..=0xDBFF => {
                if self.bytes.get(self.pos..self.pos + 2) != Some(b"\\u") {
                    return Err(self.unexpected("the second half of a surrogate pair"));
                }
                self.pos += 2;
                let low = self.hex4()?;
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return Err(self.unexpected("the second half of a surrogate pair"));
                }
                0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| self.unexpected("a character"))
    }

    fn hex4(&mut self) -> Result<u32, Reject> {
        let digits = Some(self.between(self.pos, self.pos + 4))
            .filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else {
            return Err(self.unexpected("four hexadecimal digits"));
        };
        self.pos += 4;
        Ok(code)
    }
}
