//! Active blocks over what makes counts start anew.

use super::{Pipeline, lock};
use crate::evaluate::Blocks;

impl Pipeline {
    /// Blocks that are active.
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        let intake = self.intake();
        lock(&self.evaluator).blocks(intake.names())
    }

    /// Takes over blocks that were signalled before these counts began: the next complete window that passes clears them.
    pub fn inherit(&self, blocks: Blocks) {
        lock(&self.evaluator).inherit(blocks);
    }

    /// A block of a group that the window ending at `since` raised, or an earlier one, was ended by a person.
    pub fn unblock(&self, version: &str, group: &str, since: i64) {
        let intake = self.intake();
        lock(&self.evaluator).unblock(intake.names(), version, group, since);
    }
}
