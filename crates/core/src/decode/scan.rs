//! A pull scanner over one JSON text: strict (RFC 8259) but for `NaN`, `Infinity` and `-Infinity`, which Python and others
//! write where a number is; bounded in depth, without allocation. It knows tokens, not fields.

use std::str::Utf8Error;

use super::decimal;
use super::plan::Key;
use super::{Reason, Reject};

mod skim;
mod string;

/// An infinity as Python and JavaScript libraries write it.
const INFINITY: &str = "Infinity";

/// A scalar, or a composite that was skipped whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// `null`, or `NaN`: no value.
    Null,
    Bool(bool),
    /// The value and its text.
    Number(f64, &'a str),
    /// A string without escapes, as it is in the input.
    Plain(&'a str),
    /// A string with escapes: its text is in the caller's scratch.
    Escaped,
    /// An array, or an object that is not read.
    Composite,
}

/// A position in one JSON text.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    depth_left: usize,
    /// The bytes, where they are known to be UTF-8. It does not matter where all that was read is ASCII.
    text: Option<&'a str>,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], depth: usize) -> Self {
        Self { bytes, pos: 0, depth_left: depth, text: None }
    }

    /// The same of a text.
    #[must_use]
    pub fn of_text(text: &'a str, depth: usize) -> Self {
        Self { text: Some(text), ..Self::new(text.as_bytes(), depth) }
    }

    /// Checks that the bytes are UTF-8, once.
    #[inline]
    fn utf8(&mut self) -> Result<(), Reject> {
        if self.text.is_none() {
            self.text = Some(std::str::from_utf8(self.bytes).map_err(|e| not_utf8(&e))?);
        }
        Ok(())
    }

    /// The text between two positions that lie beside ASCII.
    fn between(&self, start: usize, end: usize) -> &'a str {
        match self.text {
            Some(text) => text.get(start..end),
            None => self.bytes.get(start..end).and_then(|t| std::str::from_utf8(t).ok()),
        }
        .unwrap_or("")
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.pos += 1;
        }
    }

    /// What is here instead of what was expected.
    #[cold]
    fn unexpected(&self, expected: &str) -> Reject {
        if let Err(e) = std::str::from_utf8(self.bytes) {
            return not_utf8(&e);
        }
        let rest = self.between(self.pos, self.bytes.len());
        let found = match rest.chars().next() {
            None => "the end: the text is cut short".to_owned(),
            Some(c) if c.is_alphanumeric() => {
                format!("{:?}", rest.chars().take_while(|c| c.is_alphanumeric()).take(12).collect::<String>())
            }
            Some(c) => format!("{c:?}"),
        };
        Reject::new(Reason::NotJson, format!("expected {expected} at byte {}, found {found}", self.pos))
    }

    /// Enters an object; `false` if it is empty (and then it is left already).
    #[inline]
    pub fn enter_object(&mut self) -> Result<bool, Reject> {
        self.space();
        if self.peek() != Some(b'{') {
            return Err(self.unexpected("an object"));
        }
        self.descend()?;
        self.pos += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.pos += 1;
            self.depth_left += 1;
            return Ok(false);
        }
        Ok(true)
    }

    #[inline]
    fn descend(&mut self) -> Result<(), Reject> {
        match self.depth_left.checked_sub(1) {
            Some(left) => {
                self.depth_left = left;
                Ok(())
            }
            None => Err(Reject::new(Reason::TooDeep, format!("nested deeper than the bound at byte {}", self.pos))),
        }
    }

    /// After a value in an object: `true` if another key follows, `false` at the object's end.
    #[inline]
    pub fn next_member(&mut self) -> Result<bool, Reject> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                self.space();
                Ok(true)
            }
            Some(b'}') => {
                self.pos += 1;
                self.depth_left += 1;
                Ok(false)
            }
            _ => Err(self.unexpected("',' or '}'")),
        }
    }

    /// The whole text, and where in it this is.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    #[must_use]
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Goes on at a position that the caller has read up to: between two tokens.
    #[inline]
    pub fn go_to(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Reads `"key":` if it is exactly this key; otherwise stays.
    #[inline]
    pub fn skip_key(&mut self, key: &Key) -> bool {
        if let Some(behind) = self.bytes.get(self.pos..).and_then(|text| key.behind(text)) {
            self.pos = self.bytes.len() - behind.len();
            return true;
        }
        self.skip_spaced_key(key)
    }

    /// The same where white space may be before the colon, or the text ends soon.
    fn skip_spaced_key(&mut self, key: &Key) -> bool {
        let quoted = key.quoted();
        if quoted.is_empty() || !self.bytes.get(self.pos..).is_some_and(|rest| rest.starts_with(quoted)) {
            return false;
        }
        let at = self.pos;
        self.pos += quoted.len();
        if self.colon().is_ok() {
            return true;
        }
        self.pos = at;
        false
    }

    /// Reads `"key":`. The key is borrowed, or unescaped into `scratch`.
    pub fn key<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, Reject>
    where
        'a: 's,
    {
        let token = self.string(scratch)?;
        self.colon()?;
        Ok(match token {
            Token::Plain(text) => text,
            _ => scratch,
        })
    }

    /// Reads `"key":`; how many bytes the key takes with its quotes, and whether it has no escapes.
    pub fn name(&mut self, scratch: &mut String) -> Result<(usize, bool), Reject> {
        let start = self.pos;
        let is_plain = matches!(self.string(scratch)?, Token::Plain(_));
        let length = self.pos - start;
        self.colon()?;
        Ok((length, is_plain))
    }

    /// The first byte of what is here, behind white space.
    #[inline]
    pub fn first(&mut self) -> Option<u8> {
        self.space();
        self.peek()
    }

    #[inline]
    fn colon(&mut self) -> Result<(), Reject> {
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("':'"));
        }
        self.pos += 1;
        Ok(())
    }

    /// Whether an object starts here.
    #[inline]
    pub fn at_object(&mut self) -> bool {
        self.first() == Some(b'{')
    }

    /// Whether an array starts here.
    pub fn at_array(&mut self) -> bool {
        self.first() == Some(b'[')
    }

    /// Enters an array; `false` if it is empty (and then it is left already).
    pub fn enter_array(&mut self) -> Result<bool, Reject> {
        if !self.at_array() {
            return Err(self.unexpected("an array"));
        }
        self.descend()?;
        self.pos += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.pos += 1;
            self.depth_left += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// After a value in an array: `true` if another one follows, `false` at the array's end.
    pub fn next_element(&mut self) -> Result<bool, Reject> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                Ok(true)
            }
            Some(b']') => {
                self.pos += 1;
                self.depth_left += 1;
                Ok(false)
            }
            _ => Err(self.unexpected("',' or ']'")),
        }
    }

    /// Reads one value; composites are checked and skipped.
    #[inline]
    pub fn value(&mut self, scratch: &mut String) -> Result<Token<'a>, Reject> {
        self.space();
        match self.peek() {
            Some(b'"') => self.string(scratch),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Token::Bool(true)),
            Some(b'f') => self.literal("false", Token::Bool(false)),
            Some(b'n') => self.literal("null", Token::Null),
            Some(b'N') => self.literal("NaN", Token::Null),
            Some(b'I') => self.literal(INFINITY, Token::Number(f64::INFINITY, INFINITY)),
            Some(b'{' | b'[') => {
                self.skip_composite(scratch)?;
                Ok(Token::Composite)
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    #[inline]
    fn literal(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Reject> {
        if self.bytes.get(self.pos..self.pos + word.len()) == Some(word.as_bytes()) {
            self.pos += word.len();
            Ok(token)
        } else {
            Err(self.unexpected("a value"))
        }
    }

    fn skip_composite(&mut self, scratch: &mut String) -> Result<(), Reject> {
        if self.peek() == Some(b'{') {
            let mut more = self.enter_object()?;
            while more {
                self.key(scratch)?;
                self.value(scratch)?;
                more = self.next_member()?;
            }
            return Ok(());
        }
        let mut more = self.enter_array()?;
        while more {
            self.value(scratch)?;
            more = self.next_element()?;
        }
        Ok(())
    }

    /// Checks that nothing but white space follows.
    pub fn end(&mut self) -> Result<(), Reject> {
        self.space();
        if self.pos == self.bytes.len() { Ok(()) } else { Err(self.unexpected("the end of the event")) }
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.pos;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.pos += 1;
        }
        self.pos - start
    }

    #[inline]
    fn number(&mut self) -> Result<Token<'a>, Reject> {
        let start = self.pos;
        if let Some((value, end)) = self.bytes.get(start..).and_then(decimal::read) {
            self.pos = start + end;
            return Ok(Token::Number(value, self.between(start, self.pos)));
        }
        if self.peek() == Some(b'-') {
            self.pos += 1;
            if self.peek() == Some(b'I') {
                return self.literal(INFINITY, Token::Number(f64::NEG_INFINITY, "-Infinity"));
            }
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (zero && whole > 1) {
            return Err(self.unexpected("a number without leading zeros"));
        }
        if self.peek() == Some(b'.') {
            self.pos += 1;
            if self.digits() == 0 {
                return Err(self.unexpected("a digit"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.pos += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.pos += 1;
            }
            if self.digits() == 0 {
                return Err(self.unexpected("a digit"));
            }
        }
        let text = self.between(start, self.pos);
        match fast_float2::parse::<f64, _>(text) {
            Ok(x) => Ok(Token::Number(x, text)),
            Err(_) => Err(self.unexpected("a number")),
        }
    }
}

#[cold]
fn not_utf8(e: &Utf8Error) -> Reject {
    Reject::new(Reason::NotJson, format!("not UTF-8 at byte {}", e.valid_up_to()))
}

#[cfg(test)]
mod tests;
