//! Blocks that were signalled and not cleared, over what makes counts start anew: the registry, or the evaluator before, says
//! which there are, and the next complete window that passes clears them.

use std::collections::BTreeMap;

use super::Evaluator;
use crate::intake::names::Names;
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

impl Evaluator {
    /// Blocks that are active: of this evaluator, and from before.
    #[must_use]
    pub fn blocks(&self, names: &Names) -> Blocks {
        let mut all = self.before.clone();
        for (code, groups) in (0_u32..).zip(&self.versions) {
            let Some(version) = names.version(code) else { continue };
            for (group, rolling) in self.policy.groups.iter().zip(groups) {
                if let Some(since) = rolling.memory.blocked {
                    all.insert((version.to_owned(), group.name.clone()), since);
                }
            }
        }
        all
    }

    /// Takes over blocks from before.
    pub fn inherit(&mut self, blocks: Blocks) {
        self.before.extend(blocks);
    }

    /// Somebody ended the block of a version's group that the window ending at `since` raised, or an earlier one: what breaks
    /// a limit from now on blocks anew.
    pub fn unblock(&mut self, names: &Names, version: &str, group: &str, since: i64) {
        let key = (version.to_owned(), group.to_owned());
        if self.before.get(&key).is_some_and(|is| *is <= since) {
            self.before.remove(&key);
        }
        let at = self.policy.groups.iter().position(|g| g.name == group);
        let (Some(code), Some(at)) = (names.version_code(version), at) else { return };
        if let Some(rolling) = self.versions.get_mut(code as usize).and_then(|v| v.get_mut(at)) {
            rolling.memory.blocked = rolling.memory.blocked.filter(|is| *is > since);
        }
    }

    /// Lets go of what is known of a version's blocks from before.
    pub fn forget_blocks(&mut self, version: &str) {
        self.before.retain(|(of, _), _| of != version);
    }
}
