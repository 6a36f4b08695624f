//! Admission: batches in the order they are read, one after the other. What is late, ignored or a duplicate is decided
//! here, and labels meet their predictions; the rows and pairs that remain are a job for a worker.

use std::sync::Arc;

use super::job::Job;
use super::rows::{is_ignored, predicted};
use super::source::Source;
use super::{Intake, SourceId};
use crate::event::{FeatureBatch, Flag, LabelBatch, PredictionBatch, PredictionId};
use crate::join::{Arrival, JoinOutcome, Met, Pending, TOUCHED, halves};
use crate::window::watermark::is_late;

impl Intake {
    /// Admits a translated batch of predictions whose versions are all known.
    pub fn predictions(&mut self, source: SourceId, batch: &PredictionBatch, job: &mut Job) {
        self.begin(source, batch.len(), job);
        let (counting, reached) = (Arc::clone(&self.counting), self.reached());
        let Some(Source { front, .. }) = self.sources.get_mut(source.0) else { return };
        let groups = || {
            let own = self.policy.groups.iter().zip(counting.reads.iter()).enumerate();
            own.filter(|(_, (_, r))| r.counts_predictions()).map(|(g, (group, _))| (g, group.lateness))
        };
        let least = groups().map(|(_, lateness)| lateness).min().unwrap_or(0);
        let all: u32 = groups().fold(0, |m, (g, _)| m | (1 << g));
        for (row, &ts) in batch.ts.iter().enumerate() {
            let before = front.advance(ts, || batch.ids.key(row));
            let mut mask = all;
            if is_late(ts, before, least) {
                for (g, lateness) in groups() {
                    if is_late(ts, before, lateness) {
                        mask &= !(1 << g);
                        self.counters.late += 1;
                    }
                }
            }
            if is_ignored(&self.policy, ts) {
                self.counters.ignored += 1;
                continue;
            }
            job.accept(row, mask);
        }
        self.settle(source);
        self.counters.predictions += batch.len() as u64;
        self.counters.invalid_values += batch.decision.iter().filter(|d| **d == Flag::Invalid).count() as u64;
        self.join_predictions(batch, job);
        job.split_by_version(&batch.version);
        for (version, rows) in job.by_version.iter().filter(|(_, rows)| !rows.is_empty()) {
            self.ensure_version(*version);
            let latest = rows.iter().filter_map(|(row, _)| batch.ts.get(*row as usize)).max().copied();
            if let Some(v) = self.versions.get_mut(*version as usize) {
                v.last_ts = v.last_ts.max(latest);
                v.predictions += rows.len() as u64;
                v.bare |= v.baseline().is_none();
                self.stale |= v.look_up(&self.names);
            }
            self.note_activity(*version, &batch.ts, rows);
        }
        if counting.model.groups != 0 {
            self.count_for_active(&batch.ts, reached, job);
        }
        job.known = self.known();
    }

    pub(super) fn begin(&mut self, source: SourceId, rows: usize, job: &mut Job) {
        self.wake(source);
        job.begin(self.admitted, &self.counting, &self.closed, rows);
        self.admitted += 1;
    }

    /// Enters the accepted rows into the join; duplicates are taken out of the accepted rows.
    #[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
    fn join_predictions(&mut self, batch: &PredictionBatch, job: &mut Job) {
        if let Some(given) = &mut self.given {
            given.take_out(batch.len(), &mut job.accepted, self.counting.model.groups);
            return;
        }
        let Some(mut join) = self.join.take() else { return };
        let needs_score_cell = self.counting.reads.iter().any(|r| r.auc);
        let pairs_numbers = self.policy.pairs_numbers();
        let mut accepted = std::mem::take(&mut job.accepted);
        let mut segments = std::mem::take(&mut self.segments);
        let mut touched = 0;
        // A request that several versions scored is counted once where the model's traffic is counted.
        let own_groups = !self.counting.model.groups;
        accepted.retain_mut(|(row, mask)| {
            let row = *row as usize;
            ahead(&batch.ids.hash, row, &mut touched, |ids| join.touch_for_predictions(ids));
            segments.clear();
            segments.extend(batch.segments.iter().map(|c| c[row]));
            if pairs_numbers {
                segments.extend(halves(batch.score[row].to_bits()));
            }
            let version = batch.version[row];
            let score_cell = if needs_score_cell { self.score_cell(version, batch.score[row]) } else { u32::MAX };
            let new = Pending::new(
                batch.ts[row],
                version,
                batch.stage[row],
                *mask,
                score_cell,
                predicted(batch, row, self.policy.threshold),
            );
            let arrival =
                join.prediction(PredictionId(batch.ids.hash[row]), new, &segments, |pair| job.pair(&pair, row));
            let ended = match arrival {
                Arrival::New(ended) => ended,
                Arrival::Beside(ended) => {
                    *mask &= own_groups;
                    ended
                }
                Arrival::Duplicate => {
                    self.counters.duplicate_predictions += 1;
                    return false;
                }
            };
            self.counters.duplicate_labels += ended.duplicates;
            self.counters.unmatched += ended.out_of_bounds;
            true
        });
        self.segments = segments;
        job.accepted = accepted;
        self.join = Some(join);
    }

    pub(super) fn score_cell(&self, version: u32, score: f64) -> u32 {
        let reference = self.versions.get(version as usize).and_then(|v| v.baseline()).and_then(|b| b.score.as_ref());
        match reference {
            Some(r) if !score.is_nan() => u32::try_from(r.grid.locate(score)).unwrap_or(u32::MAX),
            _ => u32::MAX,
        }
    }

    /// Joins a batch of labels.
    #[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
    pub fn labels(&mut self, source: SourceId, batch: &LabelBatch, job: &mut Job) {
        self.begin(source, 0, job);
        let Some(lateness) = self.policy.labels.as_ref().map(|l| l.lateness) else { return };
        let Some(mut join) = self.join.take() else { return };
        self.counters.labels += batch.len() as u64;
        let mut touched = 0;
        for (row, &ts) in batch.ts.iter().enumerate() {
            ahead(&batch.ids.hash, row, &mut touched, |ids| join.touch_for_labels(ids));
            let Some(Source { front, .. }) = self.sources.get_mut(source.0) else { break };
            let in_time = !is_late(ts, front.advance(ts, || batch.ids.key(row)), lateness);
            self.counters.late += u64::from(!in_time);
            if is_ignored(&self.policy, ts) {
                self.counters.ignored += 1;
                continue;
            }
            let (outcome, invalid) = outcome(batch, row, in_time);
            self.counters.invalid_values += invalid;
            match outcome.label {
                Flag::Missing => self.counters.null_labels += u64::from(outcome.kpis == 0),
                Flag::Invalid => self.counters.invalid_values += 1,
                Flag::No | Flag::Yes => {}
            }
            if outcome.is_empty() {
                continue;
            }
            match join.label(PredictionId(batch.ids.hash[row]), outcome, |pair| job.pair(&pair, row)) {
                Met::Pairs(_) | Met::Waits => {}
                Met::Duplicate => self.counters.duplicate_labels += 1,
                Met::OutOfBounds => self.counters.unmatched += 1,
            }
        }
        self.join = Some(join);
        self.settle(source);
        job.known = self.known();
    }

    /// Admits a batch of the features stream; it is counted once the predictions have passed its time.
    pub fn features(&mut self, source: SourceId, batch: &FeatureBatch, job: &mut Job) {
        self.begin(source, batch.len(), job);
        let counting = Arc::clone(&self.counting);
        let Some(Source { front, .. }) = self.sources.get_mut(source.0) else { return };
        for (row, &ts) in batch.ts.iter().enumerate() {
            let before = front.advance(ts, || None);
            if is_ignored(&self.policy, ts) {
                self.counters.ignored += 1;
                continue;
            }
            let mut mask = 0;
            let groups = counting.reads.iter().zip(&self.policy.groups).enumerate();
            for (g, (_, group)) in groups.filter(|(_, (r, _))| r.counts_predictions()) {
                if is_late(ts, before, group.lateness) {
                    self.counters.late += 1;
                } else {
                    mask |= 1 << g;
                }
            }
            job.accept(row, mask);
        }
        self.settle(source);
        self.counters.features += batch.len() as u64;
        self.hold(batch, job);
        job.known = self.known();
    }
}

/// What a row of labels says, and how many of its KPIs are invalid.
#[inline]
#[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
pub(super) fn outcome(batch: &LabelBatch, row: usize, in_time: bool) -> (JoinOutcome, u64) {
    let (mut kpis, mut kpis_yes, mut invalid) = (0, 0, 0);
    for (k, column) in batch.kpis.iter().enumerate() {
        match column[row] {
            Flag::Yes => {
                kpis |= 1 << k;
                kpis_yes |= 1 << k;
            }
            Flag::No => kpis |= 1 << k,
            Flag::Missing => {}
            Flag::Invalid => invalid += 1,
        }
    }
    // A label that is a number is there, or not.
    let value = batch.value.get(row).filter(|_| batch.label[row] == Flag::Yes).map_or(0, |value| value.to_bits());
    (JoinOutcome { ts: batch.ts[row], label: batch.label[row], kpis, kpis_yes, value, in_time }, invalid)
}

/// Looks ahead by some rows, from the row on that was not looked at yet.
#[inline]
fn ahead(ids: &[u128], row: usize, touched: &mut usize, touch: impl Fn(&[u128])) {
    if row >= *touched {
        *touched = row + TOUCHED;
        touch(ids.get(row..(row + TOUCHED).min(ids.len())).unwrap_or(&[]));
    }
}
