//! Runs of numeric features: most of what events hold, read by a loop of their own, so that all it needs stays in registers.

use super::super::decimal;
use super::super::plan::{Key, Short};

/// How far a run of numeric members was read.
pub(super) struct Run<'t> {
    /// What follows the last of them, and the comma behind it.
    pub rest: &'t [u8],
    /// The key of the last.
    pub last: Option<usize>,
    /// Whether a comma follows the last.
    pub at_comma: bool,
    /// The key that should follow, if it is one for another loop.
    pub next: Option<usize>,
}

/// Reads numeric members from the key that was guessed on, as long as each is the usual one: the key that followed last time,
/// without white space, and a plain number.
#[inline(never)]
pub(super) fn read<'t>(keys: &mut [Key], mut guess: usize, event: u64, text: &'t [u8], slots: &mut [f64]) -> Run<'t> {
    let mut run = Run { rest: text, last: None, at_comma: true, next: None };
    while let Some(key) = keys.get_mut(guess) {
        let Short::Numeric(slot) = key.short else {
            run.next = Some(guess);
            break;
        };
        let Some(text) = key.behind(run.rest) else { break };
        let (number, n) = decimal::digits(text);
        let Some((number_end, behind)) = text.get(n..).and_then(|rest| rest.split_first()) else { break };
        let Some(slot) = slots.get_mut(slot) else { break };
        if key.seen == event {
            break;
        }
        *slot = number;
        if *number_end != b',' {
            // An exponent is not for this loop.
            if !matches!(number_end, b'e' | b'E') {
                key.seen = event;
                (run.rest, run.last, run.at_comma) = (text.get(n..).unwrap_or(&[]), Some(guess), false);
            }
            break;
        }
        key.seen = event;
        (run.rest, run.last) = (behind, Some(guess));
        guess = key.next;
    }
    run
}
