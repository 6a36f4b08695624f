//! What a checkpoint keeps of a join table, and a table made from it.

use serde::{Deserialize, Serialize};

use super::Join;
use super::meeting::Bounds;
use super::rows::RowsState;
use super::table::Table;
use super::waiting::Waiting;
use crate::codec::chunk::EachChunk;
use crate::state_v4;

/// The join table as a checkpoint keeps it: the rows of predictions and labels as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    pending: RowsState,
    early: RowsState,
    swept_at: i64,
    mirrored: bool,
}

impl From<state_v4::JoinState> for JoinState {
    fn from(old: state_v4::JoinState) -> Self {
        Self { pending: old.pending.into(), early: old.early.into(), swept_at: old.swept_at, mirrored: false }
    }
}

impl JoinState {
    /// What does not change any more.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        self.pending.chunks(each);
        self.early.chunks(each);
    }

    /// Predictions that wait for labels, and labels that wait for predictions.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.pending.live(), self.early.live())
    }
}

impl Join {
    /// What a checkpoint keeps. Rows are shared and not copied, so that this takes no time to speak of.
    #[must_use]
    pub fn state(&self) -> JoinState {
        JoinState {
            pending: self.pending.rows.state(),
            early: self.waiting.state(),
            swept_at: self.swept_at,
            mirrored: self.mirrored,
        }
    }

    /// A table as a checkpoint kept it.
    #[must_use]
    pub fn restore(bounds: Bounds, width: usize, state: JoinState) -> Self {
        Self {
            pending: Table::restore(state.pending),
            waiting: Waiting::restore(state.early),
            swept_at: state.swept_at,
            mirrored: state.mirrored,
            ..Self::new(bounds, width)
        }
    }
}
