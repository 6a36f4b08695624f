//! Typed values into the slots of a walk, for formats whose values have types of their own: what a JSON event with the same values
//! gives is what these give.

use std::io::Write as _;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use super::coder::Word;
use super::json::{Stop, Walk};
use super::plan::{Meaning, Short};
use super::scan::Token;
use super::short::short_word;
use super::{Reason, Reject};
use crate::codec::hash::push_hex;
use crate::event::{Field, TimeUnit};

/// The place of a value: a node of the plan, and the key in it.
pub(super) type Place = (usize, usize);

/// The text of a number whose digits are not at hand: it is written from the number where it is needed.
const BY_VALUE: &str = ".";
/// A decimal of more bytes has more digits than a number holds here.
const DECIMAL_BYTES: usize = 16;
/// A sign, the 39 digits of 16 bytes, and a power of ten.
const LONGEST_NUMBER: usize = 64;

#[allow(clippy::indexing_slicing, reason = "places come from the compiler, which found them in this plan")]
impl Walk<'_, '_> {
    /// Takes note that a key has had its value; whether it had one before.
    fn marked(&mut self, (node, key): Place) -> bool {
        std::mem::replace(&mut self.plan.nodes[node].keys[key].seen, self.event) == self.event
    }

    pub(super) fn mark(&mut self, to: Place) {
        self.marked(to);
    }

    pub(super) fn meaning(&self, (node, key): Place) -> Meaning {
        self.plan.nodes[node].meanings[key]
    }

    #[inline]
    pub(super) fn put(&mut self, to: Place, token: Token<'_>) -> Result<(), Stop> {
        let again = self.marked(to);
        let meaning = self.meaning(to);
        self.value(&meaning, token, again)
    }

    pub(super) fn put_opt(&mut self, to: Option<Place>, token: Token<'_>) -> Result<(), Stop> {
        to.map_or(Ok(()), |to| self.put(to, token))
    }

    /// A text. A short one that is a category, a segment's value, the version or the model, and nothing else, is known by its word, as in JSON.
    #[inline]
    pub(super) fn put_text(&mut self, to: Place, text: &str) -> Result<(), Stop> {
        let known = !self.has(to)
            && (self.put_id(to, text) || short_word(text).is_some_and(|word| self.put_short(to, text, word)));
        if known {
            self.mark(to);
            return Ok(());
        }
        self.put(to, Token::Plain(text))
    }

    /// Takes an id, where its key is nothing else and the text needs no check; whether it did.
    #[inline]
    fn put_id(&mut self, to: Place, text: &str) -> bool {
        let is_id = self.plan.nodes[to.0].keys[to.1].short == Short::Id;
        if !is_id || !(1..=self.plain.id).contains(&text.len()) || !text.bytes().all(is_plain) {
            return false;
        }
        self.row.id.clear();
        self.row.id.push_str(text);
        self.row.has_id = true;
        true
    }

    /// Takes a short text by its word, where its key has one meaning; whether it did.
    #[inline]
    fn put_short(&mut self, to: Place, text: &str, word: Word) -> bool {
        let (bytes, whole) = (text.as_bytes(), 0..text.len());
        match self.plan.nodes[to.0].keys[to.1].short {
            Short::Categorical(i) if self.plain.values => {
                let Some(slot) = self.row.categorical.get_mut(i) else { return false };
                *slot = self.coder.short_category(i, word, bytes, whole, &mut self.row.fresh);
            }
            Short::Segment(i) if self.plain.values => {
                let Some(slot) = self.row.segments.get_mut(i) else { return false };
                *slot = self.coder.short_attribute(i, word, bytes, whole);
            }
            Short::Version if self.plain.version && !text.is_empty() => {
                self.row.version = self.coder.short_version(word, bytes, whole, &mut self.row.fresh);
            }
            Short::Model if self.plain.model && word == self.model_word => self.names_model = true,
            _ => return false,
        }
        true
    }

    #[inline]
    pub(super) fn put_integer(&mut self, to: Place, number: i64) -> Result<(), Stop> {
        #[allow(clippy::cast_precision_loss, reason = "the nearest one, as of the digits of JSON")]
        let float = number as f64;
        if self.put_first(to, float) || self.put_ticks(to, number) {
            return Ok(());
        }
        let mut digits = [0; LONGEST_NUMBER];
        let text = written(&mut digits, format_args!("{number}"));
        self.put(to, Token::Number(float, text))
    }

    /// Takes a time in the source's unit, where its key is the event's time and nothing else; whether it did.
    #[inline]
    fn put_ticks(&mut self, to: Place, ticks: i64) -> bool {
        let key = &mut self.plan.nodes[to.0].keys[to.1];
        if key.short != Short::Time || key.seen == self.event {
            return false;
        }
        let Some(ms) = self.time.unit.millis(ticks) else { return false };
        key.seen = self.event;
        self.row.ts = Some(ms);
        true
    }

    /// A whole number without a sign.
    pub(super) fn put_unsigned(&mut self, to: Place, number: u64) -> Result<(), Stop> {
        if let Ok(number) = i64::try_from(number) {
            return self.put_integer(to, number);
        }
        #[allow(clippy::cast_precision_loss, reason = "the nearest one, as of the digits of JSON")]
        let float = number as f64;
        if self.put_first(to, float) {
            return Ok(());
        }
        let mut digits = [0; LONGEST_NUMBER];
        let text = written(&mut digits, format_args!("{number}"));
        self.put(to, Token::Number(float, text))
    }

    /// Whether a key has had its value in this event.
    #[inline]
    pub(super) fn has(&self, (node, key): Place) -> bool {
        self.plan.nodes[node].keys[key].seen == self.event
    }

    /// Forgets the value that a key has had in this event, where the last one counts.
    pub(super) fn forget(&mut self, to: Place) {
        self.plan.nodes[to.0].keys[to.1].seen = 0;
        if self.meaning(to).field == Some(Field::PredictionId) {
            self.row.id.clear();
            self.row.has_id = false;
        }
    }

    /// Bytes are a text if they are UTF-8, else their hexadecimal digits.
    pub(super) fn put_bytes(&mut self, to: Place, bytes: &[u8]) -> Result<(), Stop> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return self.put(to, Token::Plain(text));
        }
        self.scratch.clear();
        push_hex(self.scratch, bytes);
        self.put(to, Token::Escaped)
    }

    #[inline]
    pub(super) fn put_number(&mut self, to: Place, number: f64) -> Result<(), Stop> {
        if number.is_nan() {
            return self.put(to, Token::Null);
        }
        if self.put_first(to, number) {
            return Ok(());
        }
        self.put(to, Token::Number(number, BY_VALUE))
    }

    /// Takes the first finite number of a key that is one feature or the score, and nothing else; whether it did.
    #[inline]
    pub(super) fn put_first(&mut self, to: Place, number: f64) -> bool {
        let key = &mut self.plan.nodes[to.0].keys[to.1];
        if key.seen == self.event || !number.is_finite() {
            return false;
        }
        match key.short {
            Short::Numeric(slot) => {
                let Some(slot) = self.row.numeric.get_mut(slot) else { return false };
                *slot = number;
            }
            Short::Score => self.row.score = number,
            _ => return false,
        }
        key.seen = self.event;
        true
    }

    /// An instant: in `ms` where it is the event's time, in its own unit anywhere else.
    pub(super) fn put_time(&mut self, to: Place, ticks: i64, ms: Option<i64>) -> Result<(), Stop> {
        if self.meaning(to).field != Some(Field::Ts) {
            return self.put_integer(to, ticks);
        }
        self.mark(to);
        let Some(ms) = ms else {
            return Err(Reject::new(Reason::BadTime, format!("the time {ticks} is out of range")).into());
        };
        self.row.ts = Some(ms);
        Ok(())
    }

    /// What a clock shows: an instant by the source's time zone where it is the event's time.
    pub(super) fn put_clock(&mut self, to: Place, ticks: i64, unit: TimeUnit) -> Result<(), Stop> {
        if self.meaning(to).field != Some(Field::Ts) {
            return self.put_integer(to, ticks);
        }
        let shown = unit.millis(ticks).and_then(clock);
        let Some(shown) = shown else {
            return Err(Reject::new(Reason::BadTime, format!("the time {ticks} is out of range")).into());
        };
        self.mark(to);
        self.row.ts = Some(self.time.local(shown, &shown.to_string())?);
        Ok(())
    }

    /// A decimal number as its digits give it: big-endian two's complement, with so many digits behind the point.
    pub(super) fn put_decimal(&mut self, to: Place, bytes: &[u8], scale: usize) -> Result<(), Stop> {
        if bytes.len() > DECIMAL_BYTES {
            return self.put(to, Token::Composite);
        }
        let sign = bytes.first().map_or(0, |first| if first & 0x80 == 0 { 0 } else { -1_i128 });
        let unscaled = bytes.iter().fold(sign, |number, &byte| (number << 8) | i128::from(byte));
        // The nearest number, as JSON's digits give it. A whole one keeps its digits, as an id or a category.
        let (mut digits, mut exact) = ([0; LONGEST_NUMBER], [0; LONGEST_NUMBER]);
        let Ok(number) = written(&mut digits, format_args!("{unscaled}e-{scale}")).parse() else {
            return self.put(to, Token::Composite);
        };
        if scale > 0 {
            return self.put_number(to, number);
        }
        self.put(to, Token::Number(number, written(&mut exact, format_args!("{unscaled}"))))
    }
}

/// Whether a byte of a text is one that no check of ids is about.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\')
}

/// A number as text, in the bytes that are given; nothing for one that does not fit, of which there is none.
fn written<'t>(into: &'t mut [u8; LONGEST_NUMBER], number: std::fmt::Arguments<'_>) -> &'t str {
    let mut left = &mut into[..];
    let _ = left.write_fmt(number);
    let length = LONGEST_NUMBER - left.len();
    into.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("")
}

/// What a clock shows so many milliseconds after it showed 1970 begin.
fn clock(ms: i64) -> Option<DateTime> {
    let start = date(1970, 1, 1).at(0, 0, 0, 0);
    start.checked_add(SignedDuration::from_millis(ms)).ok()
}
