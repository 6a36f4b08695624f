//! Codes of a column's texts without hashing each: a recent text is recognised by its view (its bytes, or where they are). Also
//! texts of columns of bytes.

use std::borrow::Cow;

use polars_core::prelude::{BinaryChunked, IntoSeries as _, Series, StringChunked};

use driftgate_core::codec::hash::hex;

/// Views known at a time; a power of two.
const SLOTS: usize = 512;
/// No text has this view: none is so long.
const NO_VIEW: u128 = u128::MAX;

/// Appends one code per text; `code` gives a text's code and is called once in a while at least, `missing` is the code of null.
pub fn codes(texts: &StringChunked, missing: u32, mut code: impl FnMut(&str) -> u32, out: &mut Vec<u32>) {
    out.reserve(texts.len());
    for array in texts.downcast_iter() {
        // Views of another array mean other bytes.
        let mut known = [(NO_VIEW, 0); SLOTS];
        let mut of = |row: usize, view: u128| {
            let slot = known.get_mut(slot_of(view));
            match slot {
                Some((same, code)) if *same == view => *code,
                slot => {
                    let found = code(array.value(row));
                    slot.into_iter().for_each(|s| *s = (view, found));
                    found
                }
            }
        };
        let views = array.views().iter().map(|view| view.as_u128()).enumerate();
        if texts.null_count() == 0 {
            out.extend(views.map(|(row, view)| of(row, view)));
        } else {
            out.extend(views.zip(array.iter()).map(|((row, view), text)| text.map_or(missing, |_| of(row, view))));
        }
    }
}

/// Bytes without a declared encoding as text: those that are none in hexadecimal digits, which keeps keys apart.
pub fn of_bytes(bytes: &BinaryChunked) -> StringChunked {
    let text = |b| std::str::from_utf8(b).map_or_else(|_| Cow::Owned(hex(b)), Cow::Borrowed);
    bytes.iter().map(|b: Option<&[u8]>| b.map(text)).collect()
}

/// UUIDs as they are written: 123e4567-e89b-12d3-a456-426614174000.
pub fn uuids(bytes: &BinaryChunked) -> Series {
    let text = |b: &[u8]| {
        let mut text = hex(b);
        for at in [20, 16, 12, 8].into_iter().filter(|_| b.len() == 16) {
            text.insert(at, '-');
        }
        text
    };
    let texts: StringChunked = bytes.iter().map(|b| b.map(text)).collect();
    texts.with_name(bytes.name().clone()).into_series()
}

/// Whether every text is there, and of one to `most` bytes.
pub fn all_within(texts: &StringChunked, most: usize) -> bool {
    let fits = |length: u32| length > 0 && length as usize <= most;
    texts.null_count() == 0 && texts.downcast_iter().all(|a| a.views().iter().all(|v| fits(v.length)))
}

/// Where a view is remembered, mixed from all of its bytes.
#[allow(clippy::cast_possible_truncation, reason = "the high bits are mixed in first")]
fn slot_of(view: u128) -> usize {
    let mixed = ((view >> 64) as u64 ^ (view as u64).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use polars_core::prelude::{NamedFrom as _, Series};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_has_the_code_it_was_given(parts in prop::collection::vec(prop::collection::vec(prop::option::of("[ab]{0,14}"), 0..60), 1..4)) {
            let mut series = Series::new("x".into(), Vec::<Option<String>>::new());
            for part in &parts {
                series.append(&Series::new("x".into(), part)).unwrap();
            }
            let (mut known, mut found) = (Vec::<String>::new(), Vec::new());
            let code = |text: &str| {
                let at = known.iter().position(|k| k == text).unwrap_or_else(|| {
                    known.push(text.to_owned());
                    known.len() - 1
                });
                u32::try_from(at).unwrap()
            };
            codes(series.str().unwrap(), u32::MAX, code, &mut found);
            let texts: Vec<Option<&str>> = found.iter().map(|&c| known.get(c as usize).map(String::as_str)).collect();
            let expected: Vec<Option<&str>> = parts.iter().flatten().map(Option::as_deref).collect();
            prop_assert_eq!(texts, expected);
            let within = parts.iter().flatten().all(|t| t.as_ref().is_some_and(|t| !t.is_empty() && t.len() <= 9));
            prop_assert_eq!(all_within(series.str().unwrap(), 9), within);
        }
    }
}
