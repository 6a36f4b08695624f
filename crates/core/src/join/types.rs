//! What goes into the join and what comes out of it.

use super::block::Shared;
use super::meeting::JoinOutcome;
use crate::event::Flag;

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
    pub(super) fn shared(&self) -> Shared {
        [self.version, self.stage, self.groups, self.predicted as u32]
    }

    pub(super) fn of(ts: i64, [version, stage, groups, predicted]: Shared, own: &[u32]) -> Self {
        let score_cell = own.first().copied().unwrap_or(u32::MAX);
        Self { ts, version, stage, groups, score_cell, predicted: flag(predicted) }
    }
}

pub(super) fn flag(code: u32) -> Flag {
    [Flag::No, Flag::Yes, Flag::Missing].into_iter().find(|f| *f as u32 == code).unwrap_or(Flag::Invalid)
}

/// A prediction and its outcome, joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub prediction: Pending,
    pub segments: &'a [u32],
    pub outcome: JoinOutcome,
}

/// What a prediction met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    New(Ended),
    /// The first of its version, but another version's prediction of the request is there.
    Beside(Ended),
    Duplicate,
}

/// What a label met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// So many predictions, one per version.
    Pairs(u64),
    /// No prediction yet: the label waits.
    Waits,
    Duplicate,
    /// Its prediction is there, but further away than the horizon or the lateness allow.
    OutOfBounds,
}

/// Labels that ended without a pair when their first prediction came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub duplicates: u64,
    pub out_of_bounds: u64,
}

/// What a sweep dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub unlabelled: u64,
    pub unmatched: u64,
}

/// What was dropped although it might still have been joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub predictions: u64,
    pub labels: u64,
    /// All that is older.
    pub from: i64,
}
