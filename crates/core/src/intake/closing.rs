//! How far windows close, and what is let go: closing lines by watermark, swept joins, retired versions.

use std::sync::Arc;

use super::Intake;
use super::starts::{Cause, Starts};
use super::versions::Known;
use crate::event::{EventKind, Fresh};
use crate::policy::LabelAttribute;
use crate::window::watermark::Bases;

/// Closing lines that moved, with all that judging the windows behind them depends on.
#[derive(Clone, Debug)]
pub struct Closing {
    /// Everything admitted before this number must be counted first.
    pub after: u64,
    /// By group: windows up to here close. `None` where nothing can close yet.
    pub lines: Vec<Option<i64>>,
    /// By group: windows up to here are complete.
    pub complete_to: Vec<Option<i64>>,
    /// The end up to which every group has closed its windows.
    pub closed_to: i64,
    /// By version code.
    pub known: Arc<Vec<Known>>,
    /// Where the counts of all versions begin.
    pub starts: Starts,
    /// Names that are new since the last closing.
    pub news: Fresh,
}

impl Intake {
    /// How far the windows of a group may close by `bases`: by the streams its rules read.
    fn frontier(&self, group: usize, bases: &Bases) -> Option<i64> {
        let (group, reads) = (self.policy.groups.get(group)?, self.counting.reads.get(group)?);
        let mut frontier = i64::MAX;
        if reads.counts_predictions() {
            frontier = bases.of(EventKind::Predictions)?.saturating_sub(group.lateness);
        }
        if !reads.measured.is_empty() {
            frontier = frontier.min(bases.of(EventKind::Measurements)?.saturating_sub(group.lateness));
        }
        if reads.features && bases.has_features {
            frontier = frontier.min(bases.of(EventKind::Features)?.saturating_sub(group.lateness));
        }
        if reads.pairs {
            let labels = self.policy.labels.as_ref()?;
            frontier = frontier.min(bases.of(EventKind::Labels)?.saturating_sub(labels.lateness));
            if labels.attribute == LabelAttribute::PredictionTime {
                frontier = frontier.saturating_sub(labels.horizon);
            }
        }
        Some(frontier)
    }

    /// The closing line of each group; `None` where nothing can close yet.
    fn lines(&self, bases: &Bases) -> Vec<Option<i64>> {
        self.closed.iter().enumerate().map(|(group, closed)| self.frontier(group, bases).map(|_| *closed)).collect()
    }

    /// How far the windows of `group` close now: the frontier, held back while a label in them waits for a prediction
    /// that may still come (a label may be stamped up to its lateness before its prediction). Where several versions score
    /// one request, that may be another one's prediction of a label that was joined.
    fn held(&self, group: usize, frontier: i64, bases: &Bases) -> i64 {
        let (Some(labels), Some(g)) = (&self.policy.labels, self.policy.groups.get(group)) else { return frontier };
        let reads_pairs = self.counting.reads.get(group).is_some_and(|r| r.pairs);
        if !reads_pairs || labels.attribute == LabelAttribute::PredictionTime || bases.predictions_quiet {
            return frontier;
        }
        let Some(predictions) = bases.of(EventKind::Predictions) else { return frontier };
        let may_come_from = predictions.saturating_sub(g.lateness).saturating_sub(labels.lateness);
        let held = match (&self.join, &self.elsewhere) {
            (Some(join), _) if join.is_mirrored() => Some(may_come_from),
            (Some(join), _) => join.earliest_waiting(may_come_from),
            (None, Some(elsewhere)) => elsewhere.held(may_come_from),
            (None, None) => None,
        };
        held.map_or(frontier, |ts| ts.min(frontier))
    }

    /// Moves the closing line of each group as far as the streams allow. Where a line passed the end of a pane, says what
    /// is to be judged once everything admitted so far is counted.
    pub fn advance(&mut self, bases: &Bases) -> Option<Closing> {
        if let Some(to) = bases.labels_silent_to {
            self.starts.raise(EventKind::Labels, to, Cause::Silent);
        }
        let mut passed = false;
        for group in 0..self.closed.len() {
            let Some(frontier) = self.frontier(group, bases) else { continue };
            let to = self.held(group, frontier, bases);
            let window = self.policy.groups.get(group).map(|group| group.window);
            if let Some((closed, window)) = self.closed.get_mut(group).zip(window) {
                passed |= to > *closed && window.pane(to) > window.pane(*closed);
                *closed = to.max(*closed);
            }
        }
        self.sweep(bases);
        passed.then(|| {
            let lines = self.lines(bases);
            self.closing(lines.clone(), lines)
        })
    }

    /// Whether a window would close by how far the streams have come, if that were confirmed.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let bases = self.bases();
        self.closed.iter().zip(&self.policy.groups).enumerate().any(|(group, (closed, spec))| {
            let Some(frontier) = self.frontier(group, &bases) else { return false };
            let to = self.held(group, frontier, &bases);
            to > *closed && spec.window.pane(to) > spec.window.pane(*closed)
        })
    }

    /// The end of all files: every window that is left, complete where the streams have passed its end.
    pub fn finish(&mut self) -> [Closing; 2] {
        let mut bases = self.bases_at_end();
        // No prediction will come any more for a label that waits.
        bases.predictions_quiet = true;
        let moved = self.advance(&bases);
        let lines = self.lines(&bases);
        let all = vec![Some(i64::MAX); lines.len()];
        let mut closings = [self.closing(lines.clone(), lines.clone()), self.closing(all, lines)];
        if let (Some(moved), [first, _]) = (moved, &mut closings) {
            // The names that are new were told to the closing that this one replaces.
            first.news.splice(0..0, moved.news);
        }
        closings
    }

    /// The closing lines as they stand, once more: after a restart, for what was not judged behind them.
    pub fn closed_before(&mut self) -> Closing {
        let lines: Vec<Option<i64>> = self.closed.iter().map(|line| Some(*line).filter(|l| *l > i64::MIN)).collect();
        self.closing(lines.clone(), lines)
    }

    fn closing(&mut self, lines: Vec<Option<i64>>, complete_to: Vec<Option<i64>>) -> Closing {
        // What is gone in a hole may be of any window that closes before the first record behind it.
        let mut starts = self.starts;
        if let Some(line) = lines.iter().copied().flatten().max() {
            for (kind, until) in self.sources.iter().filter_map(|s| Some((s.kind, s.hole?))) {
                starts.raise(kind, line.min(until), Cause::Gap);
            }
        }
        Closing {
            after: self.admitted,
            lines,
            complete_to,
            closed_to: self.closed.iter().copied().min().unwrap_or(i64::MIN),
            known: self.known(),
            starts,
            news: self.names.news(&mut self.told),
        }
    }

    pub(super) fn sweep(&mut self, bases: &Bases) {
        let (Some(join), Some(labels)) = (&mut self.join, &self.policy.labels) else { return };
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        let mut of_labels = self.sources.iter().filter(|s| s.kind == EventKind::Labels);
        // Of files that were read no label will come.
        let last = if of_labels.all(|s| s.ended) {
            bases.of(EventKind::Labels).max(bases.of(EventKind::Predictions))
        } else {
            bases.of(EventKind::Labels)
        };
        if let (Some(p), Some(l)) = (bases.of(EventKind::Predictions), last) {
            let swept = join.sweep(p.saturating_sub(lateness).min(l.saturating_sub(labels.lateness)));
            self.counters.unmatched += swept.unmatched;
            self.counters.unlabelled += swept.unlabelled;
        }
        if let Some(given_up) = join.give_up(self.join_bytes) {
            self.counters.given_up += given_up.predictions + given_up.labels;
            if given_up.predictions > 0 {
                self.starts.raise_joined(given_up.from, Cause::GivenUp);
            }
            if given_up.labels > 0 {
                self.starts.raise(EventKind::Labels, given_up.from, Cause::GivenUp);
            }
        }
    }

    /// Versions whose predictions are long past, that nothing keeps and whose windows are all judged (`in_use` says no):
    /// their baselines are let go, to be loaded again should they come back. Returns their names.
    pub fn retire(&mut self, in_use: impl Fn(u32) -> bool) -> Vec<String> {
        let Some(mut base) = self.base_of(EventKind::Predictions) else { return Vec::new() };
        // A label may still come for as long as the horizon.
        let labels = self.policy.labels.as_ref().map_or(0, |l| l.horizon.saturating_add(l.lateness));
        let lateness = self.policy.groups.iter().map(|g| g.lateness).max().unwrap_or(0);
        let mut after = self.policy.retire_after.max(labels.saturating_add(lateness));
        // So may events of the features stream, up to `retire_after` behind its last prediction.
        if self.has_features && self.counting.features.groups != 0 {
            let Some(features) = self.base_of(EventKind::Features) else { return Vec::new() };
            base = base.min(features);
            after = after.max(self.policy.retire_after.saturating_add(lateness));
        }
        let since = base.saturating_sub(after);
        let mut retired = Vec::new();
        for (code, version) in (0_u32..).zip(&mut self.versions) {
            if version.is_past(since) && !in_use(code) {
                version.retire();
                self.stale = true;
                retired.extend(self.names.version(code).map(str::to_owned));
            }
        }
        retired
    }
}
