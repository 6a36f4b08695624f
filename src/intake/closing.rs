//! How far windows close, and what is let go: closing lines by watermark, sealed panes, swept joins, retired versions.

use super::{Intake, SealedPane};
use crate::decode::plan::EventKind;
use crate::policy::LabelAttribute;
use crate::window::watermark::Bases;

impl Intake {
    /// Per group, how far its windows may close by `bases`: by the streams its rules read.
    #[must_use]
    pub fn frontiers(&self, bases: &Bases) -> Vec<Option<i64>> {
        self.policy
            .groups
            .iter()
            .zip(&self.reads)
            .map(|(group, reads)| {
                let mut frontier = i64::MAX;
                if reads.counts_predictions() {
                    frontier = bases.predictions?.saturating_sub(group.lateness);
                }
                if !reads.measured.is_empty() {
                    frontier = frontier.min(bases.measurements?.saturating_sub(group.lateness));
                }
                if reads.features && bases.has_features {
                    frontier = frontier.min(bases.features?.saturating_sub(group.lateness));
                }
                if reads.pairs {
                    let labels = self.policy.labels.as_ref()?;
                    frontier = frontier.min(bases.labels?.saturating_sub(labels.lateness));
                    if labels.attribute == LabelAttribute::PredictionTime {
                        frontier = frontier.saturating_sub(labels.horizon);
                    }
                }
                Some(frontier)
            })
            .collect()
    }

    /// How far the windows of `group` close now: the frontier, held back while a label in them waits for a prediction
    /// that may still come (a label may be stamped up to its lateness before its prediction).
    fn held(&self, group: usize, frontier: i64, bases: &Bases) -> i64 {
        let (Some(join), Some(labels), Some(g)) = (&self.join, &self.policy.labels, self.policy.groups.get(group))
        else {
            return frontier;
        };
        let reads_pairs = self.reads.get(group).is_some_and(|r| r.pairs);
        if !reads_pairs || labels.attribute == LabelAttribute::PredictionTime || bases.predictions_quiet {
            return frontier;
        }
        let Some(predictions) = bases.predictions else { return frontier };
        let may_come_from = predictions.saturating_sub(g.lateness).saturating_sub(labels.lateness);
        join.earliest_waiting(may_come_from).map_or(frontier, |ts| ts.min(frontier))
    }

    /// Seals the panes that no event changes any more and moves the closing line of each group; returns the line per
    /// group, `None` where nothing can close yet.
    pub fn seal(&mut self, bases: &Bases, out: &mut Vec<SealedPane>) -> Vec<Option<i64>> {
        let mut lines = self.frontiers(bases);
        for (group, line) in lines.iter_mut().enumerate() {
            let Some(frontier) = *line else { continue };
            let to = self.held(group, frontier, bases);
            if let Some(closed) = self.closed.get_mut(group) {
                *closed = to.max(*closed);
                *line = Some(*closed);
            }
            let slide = self.policy.groups.get(group).map_or(1, |g| g.window.slide);
            for (version, v) in (0_u32..).zip(&mut self.versions) {
                for (pane, sealed) in v.seal(group, to.div_euclid(slide)) {
                    out.push(SealedPane { version, group, pane, sealed });
                }
            }
        }
        self.sweep(bases);
        lines
    }

    fn sweep(&mut self, bases: &Bases) {
        let (Some(join), Some(labels)) = (&mut self.join, &self.policy.labels) else { return };
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        if let (Some(p), Some(l)) = (bases.predictions, bases.labels) {
            let swept = join.sweep(p.saturating_sub(lateness).min(l.saturating_sub(labels.lateness)));
            self.counters.unmatched += swept.unmatched;
            self.counters.unlabelled += swept.unlabelled;
        }
    }

    /// Seals every open pane: the end of the files.
    pub fn drain(&mut self, out: &mut Vec<SealedPane>) {
        for group in 0..self.reads.len() {
            for (version, v) in (0_u32..).zip(&mut self.versions) {
                for (pane, sealed) in v.seal(group, i64::MAX) {
                    out.push(SealedPane { version, group, pane, sealed });
                }
            }
        }
    }

    /// Versions whose predictions are long past, that nothing keeps and whose windows are all judged (`in_use` says no):
    /// their baselines are let go, to be loaded again should they come back. Returns their names.
    pub fn retire(&mut self, in_use: impl Fn(u32) -> bool) -> Vec<String> {
        let Some(base) = self.base_of(EventKind::Predictions) else { return Vec::new() };
        // A label may still come for as long as the horizon.
        let labels = self.policy.labels.as_ref().map_or(0, |l| l.horizon.saturating_add(l.lateness));
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        let since = base.saturating_sub(self.policy.retire_after.max(labels.saturating_add(lateness)));
        let mut retired = Vec::new();
        for (code, version) in (0_u32..).zip(&mut self.versions) {
            if !in_use(code) && version.retire(since) {
                retired.extend(self.names.version(code).map(str::to_owned));
            }
        }
        retired
    }
}
