//! Counting of measurements. They need no baseline: a version that is not known yet is counted at once, and nothing is
//! loaded for it. They have no id, so one that comes twice counts twice.

use super::count::is_closed;
use super::{DecoderId, Intake, Source, SourceId};
use crate::event::MeasurementBatch;
use crate::window::watermark::is_late;

impl Intake {
    /// Takes over what a batch's codes mean, and translates it. Every batch comes here, in its decoder's order.
    pub fn translate_measurements(&mut self, decoder: DecoderId, batch: &mut MeasurementBatch) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.measurements(&mut self.names, batch);
        }
    }

    /// Counts a translated batch of measurements in every group whose rules read their metric.
    pub fn measurements(&mut self, source: SourceId, batch: &MeasurementBatch) {
        self.counters.measurements += batch.len() as u64;
        let columns = batch.ts.iter().zip(&batch.version).zip(&batch.metric).zip(&batch.value).zip(&batch.n);
        for ((((&ts, &version), &metric), &value), &n) in columns {
            let Some(Source { progress, .. }) = self.sources.get_mut(source.0) else { return };
            let before = progress.advance(ts);
            if self.policy.ignores.iter().any(|i| i.from <= ts && ts < i.to) {
                self.counters.ignored += 1;
                continue;
            }
            self.ensure_version(version);
            let Some(version) = self.versions.get_mut(version as usize) else { continue };
            version.measured_ts = version.measured_ts.max(Some(ts));
            version.lay_out(&self.reads, self.has_features);
            for (g, (group, reads)) in self.policy.groups.iter().zip(&self.reads).enumerate() {
                let Ok(metric) = reads.measured.binary_search(&(metric as usize)) else { continue };
                if is_late(ts, before, group.lateness) {
                    self.counters.late += 1;
                    continue;
                }
                let slide = group.window.slide;
                let pane = ts.div_euclid(slide);
                if is_closed(pane, slide, self.closed.get(g)) {
                    self.counters.after_close += 1;
                    continue;
                }
                if let Some(measured) = version.open(g, pane).and_then(|(tally, _)| tally.measured(metric)) {
                    measured.count(value, n);
                }
            }
        }
    }
}
