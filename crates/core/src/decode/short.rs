//! Strings eight and sixteen bytes at a time: where a plain run ends, and short texts as numbers that tell them apart.

use super::coder::Word;

/// The bytes of a short text at most.
pub const MOST_SHORT: usize = 15;

/// An ASCII text of at most `MOST_SHORT` bytes without escapes, as it is in an event.
#[derive(Clone, Copy, Debug)]
pub struct ShortText {
    pub word: Word,
    start: usize,
    len: usize,
}

impl ShortText {
    /// The text whose opening quote is at `at`, if it is short and the event has sixteen bytes.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let start = at + 1;
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let word = match bytes.get(start..)?.first_chunk() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            None => rest(bytes, start)?,
        };
        let len = match ends(word as u64) {
            8 => 8 + ends((word >> 64) as u64),
            len => len,
        };
        let short = len <= MOST_SHORT && bytes.get(start + len) == Some(&b'"');
        short.then(|| Self { word: (word & ((1 << (8 * len)) - 1)) | (len as Word) << 120, start, len })
    }

    /// Where the text lies.
    #[inline]
    #[must_use]
    pub fn text(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }

    /// Behind the closing quote.
    #[inline]
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.len + 1
    }
}

/// The word of a text of at most `MOST_SHORT` bytes, as `ShortText` has it; here they may be any.
#[inline]
#[must_use]
pub fn short_word(text: &str) -> Option<Word> {
    let bytes = text.as_bytes();
    if bytes.len() > MOST_SHORT {
        return None;
    }
    let mut word = [0; 16];
    word.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u128::from_le_bytes(word) | (bytes.len() as Word) << 120)
}

/// The last bytes of an event, fewer than sixteen, with zeros behind them, where a run of a string ends too.
#[inline]
fn rest(bytes: &[u8], start: usize) -> Option<u128> {
    let missing = u32::try_from(start + 16 - bytes.len()).ok()?;
    u128::from_le_bytes(*bytes.last_chunk()?).checked_shr(8 * missing)
}

/// Where a plain run of a string stops that begins at `at`: at a byte that ends it, or less than eight bytes before the
/// end of the text.
#[inline]
#[must_use]
pub(super) fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let n = ends(u64::from_le_bytes(*chunk));
        at += n;
        if n < 8 {
            break;
        }
    }
    at
}

/// How many of eight bytes come before the first that ends a plain run of a string: a quote, a backslash, a control
/// character, or what is not ASCII and is looked at more closely; 8 if none does.
#[inline]
fn ends(chunk: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const QUOTE: u64 = 0x22;
    const BACKSLASH: u64 = 0x5C;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // A byte that is zero borrows; bytes above the first one found may be marked wrongly, and are not asked.
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(chunk ^ (ONES * QUOTE));
    let backslash = zero(chunk ^ (ONES * BACKSLASH));
    let control = chunk.wrapping_sub(ONES * 0x20) & !chunk;
    ((quote | backslash | control | chunk) & HIGHS).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_ends_where_a_byte_by_byte_search_says(bytes in any::<[u8; 8]>(), at in 0..9_usize, end in prop_oneof![Just(b'"'), Just(b'\\'), 0..0x20_u8, 0x80..=0xFF_u8]) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = end;
            }
            let first = bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f | 0x80..));
            prop_assert_eq!(ends(u64::from_le_bytes(bytes)), first.unwrap_or(8));
        }

        #[test]
        fn short_texts_have_words_of_their_own(a in "[a-c\u{0}-\u{2}é]{0,9}", b in "[a-c\u{0}-\u{2}é]{0,9}") {
            let read = |text: &str| {
                let event = format!("\"{text}\"                ");
                ShortText::at(event.as_bytes(), 0).map(|s| (s.word, s.text(), s.end()))
            };
            for text in [&a, &b] {
                let plain = text.len() <= 15 && text.bytes().all(|b| (0x20..0x80).contains(&b));
                prop_assert_eq!(read(text).map(|(_, range, end)| (range, end)), plain.then_some((1..1 + text.len(), text.len() + 2)));
            }
            if let (Some(x), Some(y)) = (read(&a), read(&b)) {
                prop_assert_eq!(x.0 == y.0, a == b);
            }
            for text in [&a, &b] {
                prop_assert_eq!(short_word(text).is_some(), text.len() <= MOST_SHORT);
                read(text).into_iter().for_each(|(word, ..)| assert_eq!(short_word(text), Some(word)));
            }
            prop_assert_eq!(short_word(&a) == short_word(&b), a == b || a.len().min(b.len()) > MOST_SHORT);
        }
    }

    #[test]
    fn a_text_at_the_very_end_is_read_where_the_event_is_long_enough() {
        let read = |event: &[u8], at| ShortText::at(event, at).map(|s| (s.word, s.end()));
        let word = short_word("ab").unwrap();
        for (event, at) in [(&b"{\"segment\": 12, \"x\":\"ab\""[..], 20), (b"{\"segment\": 12, \"x\":\"ab\"}}", 20)] {
            assert_eq!(read(event, at), Some((word, 24)));
        }
        assert_eq!(read(b"{\"segment\": 12, \"x\":\"ab", 20), None, "it does not end");
        assert_eq!(read(b"{\"segment\": 12, \"x\":\"", 20), None, "nothing follows");
        assert_eq!(read(b"\"ab\"", 0), None, "less than sixteen bytes in all");
        assert_eq!(read(b"\"0123456789abcdef\"       ", 0), None, "not short");
    }
}
