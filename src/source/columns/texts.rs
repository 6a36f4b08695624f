//! Codes of a column's texts without hashing each: a text met lately is known by its view (its bytes, or where they are).

use polars::prelude::StringChunked;

/// Views known at a time; a power of two.
const SLOTS: usize = 512;
/// No text has this view: none is so long.
const NO_VIEW: u128 = u128::MAX;

/// Appends a code a text; `code` is asked for a text's code once in a while at least, `missing` stands for null.
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
