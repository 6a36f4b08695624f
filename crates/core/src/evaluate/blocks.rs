//! Blocks that were signalled and not cleared, over what makes counts start anew: the registry, or the evaluator before, says
//! which there are, and the next complete window that passes clears them.

use std::collections::BTreeMap;

use crate::judge::verdict::Verdict;

/// By version and group: the end of the window that raised the block, ms.
pub type Blocks = BTreeMap<(String, String), i64>;

/// The block from before that a window meets: one that was raised by an earlier window.
pub(super) fn taken(before: &mut Blocks, verdict: &Verdict) -> Option<i64> {
    if before.is_empty() {
        return None;
    }
    let key = (verdict.version.clone(), verdict.group.clone());
    let since = before.get(&key).copied().filter(|since| *since < verdict.window.end)?;
    before.remove(&key);
    Some(since)
}
