//! What a history says of limits.

use serde::Serialize;

use super::left_out::LeftOut;
use super::resample::Found;

/// The answer.
#[derive(Debug, Serialize)]
pub struct Tuned {
    pub model: String,
    pub budget: String,
    /// What the history suffices for.
    pub history: String,
    /// Whether a block is within the budget in every group's history.
    pub is_long_enough: bool,
    pub left_out: LeftOut,
    pub rules: Vec<TunedRule>,
    /// The version whose rows were drawn again.
    pub resampled_version: String,
    /// The change of the policy, as a unified diff; empty where no limit moves.
    pub diff: String,
}

/// What is said of a rule.
#[derive(Debug, Serialize)]
pub struct TunedRule {
    pub rule: String,
    pub enforced: bool,
    /// Days that were judged, and how many blocks the budget allows in them.
    pub days: f64,
    pub allowed: u64,
    /// Windows in which something was measured, those that block, and how many of these do not overlap.
    pub windows: u64,
    pub blocking_windows: u64,
    pub blocks: u64,
    /// How the limit is written, the limit, and the one that keeps to the budget.
    pub key: Option<String>,
    pub limit: Option<f64>,
    pub tuned: Option<f64>,
    /// Why the limit stays; null where it moves.
    pub reason: Option<String>,
    /// Blocks of a replay under the edited policy.
    pub blocks_after: u64,
    /// What half of the windows find under the edited policy; empty where nothing was tried.
    pub finds: Vec<Found>,
    pub not_tried: Option<&'static str>,
}
