//! What admission and counting ask of a row, and the buffers of who counts.

use super::split::ByPane;
use crate::event::{Flag, PredictionBatch, numeric};
use crate::policy::Policy;

/// Buffers of a worker, reused from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// By target of a share: the cell of each row.
    pub cells: Vec<Vec<u32>>,
    /// Values of the rows that count, where not all of a batch do.
    pub values: Vec<f64>,
    /// The predicted class of each row.
    pub classes: Vec<u8>,
    pub panes: ByPane,
    pub joined: Vec<bool>,
}

/// Whether the policy ignores events of this time.
pub(super) fn is_ignored(policy: &Policy, ts: i64) -> bool {
    !policy.ignores.is_empty() && policy.ignores.iter().any(|i| i.from <= ts && ts < i.to)
}

/// The predicted class of a row: the decision if there, else the score against the threshold. A decision of no class does not
/// fall back to the score: the serving system decided by something else.
#[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
pub(super) fn predicted(batch: &PredictionBatch, row: usize, threshold: Option<f64>) -> Flag {
    match batch.decision[row] {
        known @ (Flag::No | Flag::Yes) => known,
        Flag::Invalid => Flag::Missing,
        Flag::Missing => match threshold {
            Some(threshold) if !batch.score[row].is_nan() => (batch.score[row] >= threshold).into(),
            _ => Flag::Missing,
        },
    }
}

/// The cell of a value that is none: missing, or of the wrong type.
pub(super) fn absent(cells: usize, x: f64) -> usize {
    cells + usize::from(numeric::is_invalid(x))
}
