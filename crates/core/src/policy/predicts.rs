//! What a policy's model predicts, as the rest of driftgate asks for it.

use super::task::Task;
use super::types::Policy;

impl Policy {
    /// Whether scores and labels are numbers, and their difference is the error.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.task == Task::Regression
    }

    /// Whether predictions and labels are one of several classes.
    #[must_use]
    pub fn is_multiclass(&self) -> bool {
        self.task == Task::Multiclass
    }

    /// Whether joined pairs carry what was predicted and the label as numbers: of classes, their places among the policy's.
    #[must_use]
    pub fn pairs_numbers(&self) -> bool {
        self.task != Task::Binary
    }

    /// Codes that a prediction brings into the join: its segments, and for pairs of numbers the halves of its score's bits.
    #[must_use]
    pub fn codes_of_pair(&self) -> usize {
        self.segments.len() + if self.pairs_numbers() { 2 } else { 0 }
    }
}
