//! An intake that counts a part of a stream, while others count the other parts: what depends on the parts before is given to it
//! (fronts, the order of names, repeated predictions), and what depends on the other streams (the join, closing lines) is left out
//! or done alone. `batch` has the passes that this makes up.

use super::admit::outcome;
use super::job::Job;
use super::repeats::{Given, Repeats};
use super::rows::{is_ignored, predicted};
use super::source::Source;
use super::{Intake, SourceId};
use crate::event::{Fresh, LabelBatch, PredictionBatch, PredictionId};
use crate::join::{Arrival, JoinOutcome, Met, Pending, halves};
use crate::window::watermark::is_late;

impl Intake {
    /// Has it join nothing: a prediction counts once, but where `repeats` names it.
    pub fn join_elsewhere(&mut self, repeats: Repeats) {
        self.join = None;
        self.given = Some(Given::new(repeats));
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
            if self.policy.pairs_numbers() {
                segments.extend(halves(batch.score[row].to_bits()));
            }
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
