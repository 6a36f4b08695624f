//! An intake that counts a part of a stream, while others count the other parts: what depends on the parts before is given to it
//! (fronts, the order of names, repeated predictions), and what depends on the other streams (the join, closing lines) is left out
//! or done alone. `batch` has the passes that this makes up.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::admit::outcome;
use super::job::Job;
use super::rows::{is_ignored, predicted};
use super::source::Source;
use super::{Intake, SourceId};
use crate::event::{Fresh, LabelBatch, PredictionBatch, PredictionId};
use crate::join::{Arrival, JoinOutcome, Met, Pending};
use crate::window::watermark::is_late;

/// Which rows of a part are predictions that the join knows already: by their number among the part's rows, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Predictions whose id their version had before.
    pub duplicates: VecDeque<u32>,
    /// Predictions of a request that another version had scored before.
    pub beside: VecDeque<u32>,
}

/// The repeats of the rows that are still to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    repeats: Repeats,
    /// Rows read so far.
    rows: u32,
}

impl Given {
    /// Takes the duplicates out of the accepted rows of a batch, and those beside another version's out of `model` groups.
    pub(super) fn take_out(&mut self, rows: usize, accepted: &mut Vec<(u32, u32)>, model: u32) {
        let from = self.rows;
        self.rows = from.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        let until = self.rows;
        let next = |of: &mut VecDeque<u32>, row: u32| {
            while of.front().is_some_and(|at| *at < row) {
                of.pop_front();
            }
            of.front() == Some(&row)
        };
        let Repeats { duplicates, beside } = &mut self.repeats;
        if ![&*duplicates, &*beside].iter().any(|of| of.front().is_some_and(|at| *at < until)) {
            return;
        }
        accepted.retain_mut(|(row, mask)| {
            let at = from.saturating_add(*row);
            if next(beside, at) {
                *mask &= !model;
            }
            !next(duplicates, at)
        });
    }
}

impl Intake {
    /// Has it join nothing: a prediction counts once, but where `repeats` names it.
    pub fn join_elsewhere(&mut self, repeats: Repeats) {
        self.join = None;
        self.given = Some(Given { repeats, rows: 0 });
    }

    /// Makes names known, in this order.
    pub fn know_names(&mut self, names: &Fresh) {
        self.names.take_over(names);
    }

    /// All names, in the order of their codes.
    #[must_use]
    pub fn all_names(&self) -> Fresh {
        self.names.news(&mut Vec::new())
    }

    /// What the join keeps of the rows of an admitted batch.
    #[allow(
        clippy::indexing_slicing,
        reason = "accepted rows are rows of the batch, whose columns have one entry a row"
    )]
    pub fn pending(&self, batch: &PredictionBatch, job: &Job, mut each: impl FnMut(usize, Pending, &[u32])) {
        let needs_score_cell = self.counting.reads.iter().any(|r| r.auc);
        let mut segments = Vec::with_capacity(batch.segments.len());
        for &(row, mask) in &job.accepted {
            let row = row as usize;
            segments.clear();
            segments.extend(batch.segments.iter().map(|c| c[row]));
            let version = batch.version[row];
            let score_cell = if needs_score_cell { self.score_cell(version, batch.score[row]) } else { u32::MAX };
            let class = predicted(batch, row, self.policy.threshold);
            each(row, Pending::new(batch.ts[row], version, batch.stage[row], mask, score_cell, class), &segments);
        }
    }

    /// What the join gets of a batch of labels: row, outcome, and the largest time of the stream before it.
    pub fn outcomes(
        &mut self,
        source: SourceId,
        batch: &LabelBatch,
        mut each: impl FnMut(usize, JoinOutcome, Option<i64>),
    ) {
        let Some(lateness) = self.policy.labels.as_ref().map(|l| l.lateness) else { return };
        let Some(Source { front, .. }) = self.sources.get_mut(source.0) else { return };
        for (row, &ts) in batch.ts.iter().enumerate() {
            let before = front.advance(ts, || batch.ids.key(row));
            if is_ignored(&self.policy, ts) {
                continue;
            }
            let (found, _) = outcome(batch, row, !is_late(ts, before, lateness));
            if !found.is_empty() {
                each(row, found, before);
            }
        }
    }

    /// Has a prediction wait in the join. Labels come after all predictions: it meets none.
    pub fn wait(&mut self, id: u128, new: Pending, segments: &[u32]) -> Option<Arrival> {
        Some(self.join.as_mut()?.prediction(PredictionId(id), new, segments, |_| {}))
    }

    /// Joins a label with the predictions that wait: its pairs are added to the job, as completed by `row` of a batch; `each` is
    /// told them. `None` without a join.
    pub fn meet(
        &mut self,
        id: u128,
        outcome: JoinOutcome,
        (job, row): (&mut Job, usize),
        mut each: impl FnMut(&Pending, &JoinOutcome),
    ) -> Option<Met> {
        Some(self.join.as_mut()?.label(PredictionId(id), outcome, |pair| {
            each(&pair.prediction, &pair.outcome);
            job.pair(&pair, row);
        }))
    }

    /// How many predictions of an id wait.
    pub fn waiting_of(&mut self, id: u128) -> usize {
        self.join.as_mut().map_or(0, |join| join.held(id))
    }

    /// How many labels of an id are kept.
    pub fn labels_of(&mut self, id: u128) -> usize {
        self.join.as_mut().map_or(0, |join| join.labels_of(id))
    }

    /// Makes room for a version of which there are measurements alone.
    pub fn lay_out(&mut self, version: &str) {
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        if let Some(v) = self.versions.get_mut(at as usize) {
            self.stale |= v.lay_out(&self.counting.reads, self.has_features);
        }
    }

    /// Begins a job that pairs are added to.
    pub fn begin_pairs(&mut self, job: &mut Job) {
        job.begin(self.admitted, &self.counting, &self.closed, 0);
        self.admitted += 1;
        job.known = self.known();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_rows_are_taken_out_by_their_number_in_the_part() {
        let repeats = Repeats { duplicates: [1, 7, 8].into(), beside: [2, 5].into() };
        let mut given = Given { repeats, rows: 0 };
        let mut take = |rows: usize, accepted: &[u32]| {
            let mut accepted: Vec<(u32, u32)> = accepted.iter().map(|row| (*row, 0b11)).collect();
            given.take_out(rows, &mut accepted, 0b10);
            accepted
        };
        assert_eq!(take(3, &[0, 1, 2]), [(0, 3), (2, 1)]);
        // Row 5 was not accepted: it is passed over.
        assert_eq!(take(3, &[0, 1]), [(0, 3), (1, 3)]);
        assert_eq!(take(4, &[0, 1, 2, 3]), [(0, 3), (3, 3)]);
        assert_eq!(take(2, &[0, 1]), [(0, 3), (1, 3)]);
    }
}
