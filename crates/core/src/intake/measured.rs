//! Measurements. They need no baseline: a version that is not known yet is counted at once, and nothing is loaded for it.
//! They have no id, so one that comes twice counts twice.

use super::job::{Counting, Job};
use super::panes::Panes;
use super::rows::is_ignored;
use super::source::Source;
use super::{Counters, DecoderId, Intake, SourceId};
use crate::event::MeasurementBatch;
use crate::stats::weighted;
use crate::window::watermark::is_late;

impl Intake {
    /// Takes over what a batch's codes mean, and translates it. Every batch comes here, in its decoder's order.
    pub fn translate_measurements(&mut self, decoder: DecoderId, batch: &mut MeasurementBatch) {
        self.learn_names(decoder, &mut batch.fresh, &mut batch.version);
    }

    /// Admits a translated batch of measurements.
    pub fn measurements(&mut self, source: SourceId, batch: &MeasurementBatch, job: &mut Job) {
        self.begin(source, batch.len(), job);
        self.counters.measurements += batch.len() as u64;
        for (row, (&ts, &version)) in batch.ts.iter().zip(&batch.version).enumerate() {
            let Some(Source { front, .. }) = self.sources.get_mut(source.0) else { return };
            let before = front.advance(ts, || None);
            if is_ignored(&self.policy, ts) {
                self.counters.ignored += 1;
                continue;
            }
            self.ensure_version(version);
            let Some(v) = self.versions.get_mut(version as usize) else { continue };
            v.measured_ts = v.measured_ts.max(Some(ts));
            self.stale |= v.lay_out(&self.counting.reads, self.has_features);
            let metric = batch.metric.get(row).map_or(usize::MAX, |m| *m as usize);
            let mut mask = 0;
            for (g, (group, reads)) in self.policy.groups.iter().zip(self.counting.reads.iter()).enumerate() {
                if reads.measured.binary_search(&metric).is_err() {
                    continue;
                }
                if is_late(ts, before, group.lateness) {
                    self.counters.late += 1;
                } else {
                    mask |= 1 << g;
                }
            }
            job.accept(row, mask);
        }
        self.settle(source);
        job.known = self.known();
    }
}

/// Counts an admitted batch in every group whose rules read its metrics.
#[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
pub(super) fn count(
    job: &Job,
    counting: &Counting,
    batch: &MeasurementBatch,
    panes: &mut Panes,
    counters: &mut Counters,
) {
    for &(row, mask) in &job.accepted {
        let row = row as usize;
        let (ts, version, metric) = (batch.ts[row], batch.version[row], batch.metric[row] as usize);
        let Some(spec) = job.known(version).map(|k| &*k.spec) else { continue };
        for (g, (group, reads)) in counting.policy.groups.iter().zip(counting.reads.iter()).enumerate() {
            let (true, Ok(at)) = (mask & (1 << g) != 0, reads.measured.binary_search(&metric)) else { continue };
            let pane = group.window.pane(ts);
            if group.window.end(pane) <= job.closed_to(g) {
                counters.after_close += 1;
                continue;
            }
            let Some((tally, _)) = panes.open((version, spec), g, pane) else { continue };
            let (value, n) = (batch.value[row], batch.n[row]);
            tally.measured(at).into_iter().for_each(|cell| cell.count(value, n));
            let Some(first) = reads.weighted_at(metric) else { continue };
            for (at, term) in weighted::terms(value, n) {
                tally.measured(first + at).into_iter().for_each(|cell| cell.count(term, 1));
            }
        }
    }
}
