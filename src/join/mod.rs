//! Predictions waiting for labels, and labels that came before their prediction. An id counts once, the first read wins;
//! state is dropped when the streams have passed its bound. Time is the caller's; nothing here reads a clock.
//!
//! Streams are read in any interleaving and state is swept at any moment, so what an id means is decided by event times
//! alone, within bounds for which state is always still held. With rel = label − prediction:
//!
//! | rel | the label |
//! |---|---|
//! | −early ..= horizon | joins, unless another took its place before |
//! | −(early + horizon) .. −early | is too early to join, but takes the place |
//! | above the horizon | takes the place, and waits for a prediction that uses the id anew |
//! | below | has nothing to do with the prediction |
//!
//! A prediction repeats an id up to `horizon` after the one held; later it uses the id anew, beside the first.

mod block;
mod index;
mod meeting;
mod rows;
mod state;
mod table;
mod waiting;

pub use meeting::{Bounds, Outcome};
pub use state::JoinState;
pub use table::TOUCHED;

use meeting::Meeting;
use rows::{Marks, ROWS, Shared};
use table::Table;
use waiting::Waiting;

use crate::event::{Flag, PredictionId};

/// The share of the horizon between two sweeps over the table: memory overhang against work.
const SWEEPS_PER_HORIZON: i64 = 8;

/// What is kept of a prediction until its label can no longer come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub ts: i64,
    /// Dictionary codes.
    pub version: u32,
    pub stage: u32,
    /// One bit a group in which the prediction was in time.
    pub groups: u32,
    /// The score's grid cell; `u32::MAX` without one.
    pub score_cell: u32,
    /// The predicted class.
    pub predicted: Flag,
}

impl Pending {
    #[must_use]
    pub fn new(ts: i64, version: u32, stage: u32, groups: u32, score_cell: u32, predicted: Flag) -> Self {
        Self { ts, version, stage, groups, score_cell, predicted }
    }

    /// What it has in common with many others.
    fn shared(&self) -> Shared {
        [self.version, self.stage, self.groups, self.predicted as u32]
    }

    fn of(ts: i64, [version, stage, groups, predicted]: Shared, own: &[u32]) -> Self {
        let score_cell = own.first().copied().unwrap_or(u32::MAX);
        Self { ts, version, stage, groups, score_cell, predicted: flag(predicted) }
    }
}

fn flag(code: u32) -> Flag {
    [Flag::No, Flag::Yes, Flag::Missing].into_iter().find(|f| *f as u32 == code).unwrap_or(Flag::Invalid)
}

/// A prediction and its outcome, joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub prediction: Pending,
    pub segments: &'a [u32],
    pub outcome: Outcome,
}

/// What a prediction met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    New(Ended),
    Duplicate,
}

/// What a label met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met<'a> {
    Pair(Pair<'a>),
    /// No prediction yet: the label waits.
    Waits,
    Duplicate,
    /// Its prediction is there, but further away than the horizon or the lateness allow.
    OutOfBounds,
}

/// Labels that ended without a pair when their prediction came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub duplicates: u64,
    pub out_of_bounds: u64,
}

/// The join table of one model.
#[derive(Clone, Debug)]
pub struct Join {
    bounds: Bounds,
    /// An id's predictions lie further apart than the horizon.
    pending: Table,
    waiting: Waiting,
    swept_at: i64,
    /// A prediction's own codes: its score's cell and its segments.
    codes: Vec<u32>,
}

/// What a sweep dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub unlabelled: u64,
    pub unmatched: u64,
}

impl Join {
    /// A table whose predictions have `width` segment codes each.
    #[must_use]
    pub fn new(bounds: Bounds, width: usize) -> Self {
        Self::with_blocks(bounds, width, ROWS)
    }

    fn with_blocks(bounds: Bounds, width: usize, block_rows: usize) -> Self {
        Self {
            bounds,
            pending: Table::new(1 + width, block_rows),
            waiting: Waiting::new(block_rows),
            swept_at: i64::MIN,
            codes: Vec::with_capacity(1 + width),
        }
    }

    /// Brings what the next predictions will read into the cache; of more than `TOUCHED` it would be gone again.
    pub fn touch_for_predictions(&self, ids: &[u128]) {
        self.pending.touch(ids);
        self.waiting.touch(ids);
    }

    /// Brings what the next labels will read into the cache, likewise.
    pub fn touch_for_labels(&self, ids: &[u128]) {
        self.touch_for_predictions(ids);
        self.pending.touch_rows(ids);
    }

    /// Adds a prediction; calls `pair` for outcomes that waited for it. `segments` has one code a segmentation.
    pub fn prediction(
        &mut self,
        id: PredictionId,
        new: Pending,
        segments: &[u32],
        mut pair: impl FnMut(Pair<'_>),
    ) -> Arrival {
        let PredictionId(id) = id;
        let mut is_first = true;
        for at in self.pending.all(id) {
            is_first = false;
            if self.bounds.same_prediction(self.pending.rows.ts(at), new.ts) {
                return Arrival::Duplicate;
            }
        }
        let (mut ended, mut marks) = (Ended::default(), Marks::default());
        if !self.waiting.is_empty() {
            let bounds = self.bounds;
            self.waiting.retain(id, |outcome| {
                match bounds.meet(new.ts, &mut marks, &outcome) {
                    Meeting::Apart => return true,
                    Meeting::Joins(outcome) => pair(Pair { prediction: new, segments, outcome }),
                    Meeting::Duplicate => ended.duplicates += 1,
                    Meeting::OutOfBounds => ended.out_of_bounds += 1,
                }
                false
            });
        }
        self.hold(id, is_first, &new, segments, marks);
        Arrival::New(ended)
    }

    fn hold(&mut self, id: u128, is_first: bool, new: &Pending, segments: &[u32], marks: Marks) {
        self.codes.clear();
        self.codes.push(new.score_cell);
        self.codes.extend_from_slice(segments);
        let at = self.pending.add(id, is_first, new.ts, new.shared(), &self.codes);
        if let Some(at) = at
            && marks != Marks::default()
        {
            self.pending.mark(at, marks);
        }
    }

    /// Looks for the prediction of an outcome; without one the outcome waits.
    pub fn label(&mut self, id: PredictionId, outcome: Outcome) -> Met<'_> {
        let PredictionId(id) = id;
        let mut n = 0;
        // In the order they were read.
        while let Some(at) = self.pending.nth(id, n) {
            n += 1;
            let (ts, had) = (self.pending.rows.ts(at), self.pending.rows.marks(at));
            let mut marks = had;
            let meeting = self.bounds.meet(ts, &mut marks, &outcome);
            if marks != had {
                self.pending.mark(at, marks);
            }
            match meeting {
                Meeting::Apart => {}
                Meeting::Duplicate => return Met::Duplicate,
                Meeting::OutOfBounds => return Met::OutOfBounds,
                Meeting::Joins(outcome) => {
                    self.pending.rows.own(at, &mut self.codes);
                    let prediction = Pending::of(ts, self.pending.rows.shared(at), &self.codes);
                    let segments = self.codes.get(1..).unwrap_or_default();
                    return Met::Pair(Pair { prediction, segments, outcome });
                }
            }
        }
        // The very same label again can only be a repetition, whatever it will meet.
        if self.waiting.add(id, outcome) { Met::Waits } else { Met::Duplicate }
    }

    /// The earliest waiting label at or after `from`: a prediction may still come for it.
    #[must_use]
    pub fn earliest_waiting(&self, from: i64) -> Option<i64> {
        self.waiting.earliest(from)
    }

    /// Drops what can no longer be joined once all streams have passed `watermark`; works now and then.
    pub fn sweep(&mut self, watermark: i64) -> Swept {
        if watermark < self.swept_at.saturating_add((self.bounds.horizon / SWEEPS_PER_HORIZON).max(1)) {
            return Swept::default();
        }
        self.swept_at = watermark;
        let labels_from = watermark.saturating_sub(self.bounds.horizon);
        let predictions_from = watermark.saturating_sub(self.bounds.place());
        Swept {
            unlabelled: self.pending.drop_before(labels_from, |_| ()).unlabelled,
            unmatched: self.waiting.drop_before(predictions_from),
        }
    }

    /// Predictions held, and labels that wait for theirs, by id.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.pending.len(), self.waiting.len())
    }
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests;
