//! The blocks that an evaluator has signalled and not cleared, as the registry asks for them and ends them.

use super::blocks::Blocks;
use super::evaluator::Evaluator;
use crate::intake::names::EventNames;

impl Evaluator {
    /// Blocks that are active: of this evaluator, and from before.
    #[must_use]
    pub fn blocks(&self, names: &EventNames) -> Blocks {
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
    pub fn unblock(&mut self, names: &EventNames, version: &str, group: &str, since: i64) {
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
