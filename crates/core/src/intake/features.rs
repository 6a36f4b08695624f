//! The features stream in the intake: its events wait until it is known which versions were active at their time.

use super::Intake;
use super::held::Activity;
use super::job::Job;
use crate::event::{EventKind, FeatureBatch};

/// Events may wait in so many bytes; then the oldest count for the versions that are known to be active.
pub const MOST_BYTES: usize = 256 << 20;

impl Intake {
    /// Groups that count events of the features stream for the versions that have predictions around them.
    pub(super) fn by_activity(&self) -> u32 {
        if self.has_features { self.counting.features.groups & self.counting.own.groups } else { 0 }
    }

    /// Takes note of when a version has predictions, group by group: one that is late for a group says nothing there.
    pub(super) fn note_activity(&mut self, version: u32, ts: &[i64], rows: &[(u32, u32)]) {
        let (groups, gap) = (self.by_activity(), self.policy.retire_after);
        let Some(v) = self.versions.get_mut(version as usize).filter(|_| groups != 0) else { return };
        v.activity.resize_with(self.policy.groups.len(), Activity::default);
        for (group, activity) in v.activity.iter_mut().enumerate().filter(|(g, _)| groups & (1 << g) != 0) {
            let counted = rows.iter().filter(|(_, mask)| mask & (1 << group) != 0);
            let times = || counted.clone().filter_map(|(row, _)| ts.get(*row as usize).copied());
            match times().min().zip(times().max()) {
                Some((first, last)) if last.saturating_sub(first) <= gap => activity.note(first, last, gap),
                _ => times().for_each(|ts| activity.note(ts, ts, gap)),
            }
        }
    }

    /// Keeps admitted events of the features stream until it is known which versions they count for.
    pub(super) fn hold(&mut self, batch: &FeatureBatch, job: &mut Job) {
        let groups = self.counting.features.groups;
        job.accepted.iter_mut().for_each(|(_, mask)| *mask &= groups);
        job.accepted.retain(|(_, mask)| *mask != 0);
        self.held.hold(batch, &job.accepted);
        job.accepted.clear();
    }

    /// Bytes of the events of the features stream that wait for predictions.
    #[must_use]
    pub fn waiting_features(&self) -> usize {
        self.held.bytes()
    }

    /// Before which time it is known, by group, which versions were active.
    fn decided(&self) -> Vec<i64> {
        let Some(base) = self.closing_bases().and_then(|bases| bases.of(EventKind::Predictions)) else {
            return Vec::new();
        };
        self.policy.groups.iter().map(|g| base.saturating_sub(g.lateness)).collect()
    }

    /// Hands the events of the features stream that need not wait any more to a job.
    pub fn release(&mut self, job: &mut Job) {
        if !self.held.is_empty() {
            let before = self.decided();
            self.release_before(&before, job);
            self.make_room(job);
        }
    }

    /// The same in a job of their own; at the `end` of all streams, all of them. Returns whether there are any.
    pub fn release_alone(&mut self, end: bool, job: &mut Job) -> bool {
        let before = if end { vec![i64::MAX; self.policy.groups.len()] } else { self.decided() };
        if !before.iter().any(|before| self.held.has(*before)) {
            return false;
        }
        job.begin(self.admitted, &self.counting, &self.closed, 0);
        self.admitted += 1;
        self.release_before(&before, job);
        true
    }

    /// Lets the oldest go where too much waits; counted, since a version that shows only later misses them.
    fn make_room(&mut self, job: &mut Job) {
        while self.held.bytes() > MOST_BYTES
            && let Some((last, rows)) = self.held.oldest()
        {
            self.counters.features_undecided += rows as u64;
            self.release_before(&vec![last.saturating_add(1); self.policy.groups.len()], job);
        }
    }

    fn release_before(&mut self, before: &[i64], job: &mut Job) {
        let Some(last) = before.iter().copied().max().filter(|last| self.held.has(*last)) else { return };
        let due = |ts: i64| (0_u32..).zip(before).filter(|(_, b)| ts < **b).fold(0, |m, (g, _)| m | (1 << g));
        let released = &mut job.released;
        let from = released.batch.ts.len();
        self.held.release(last, due, released);
        if released.batch.ts.len() == from {
            return;
        }
        let by_activity = self.by_activity();
        let (gap, model) = (self.policy.retire_after, self.counting.model.groups);
        for (code, version) in (0_u32..).zip(&mut self.versions) {
            let mut rows: Vec<(u32, u32)> = Vec::new();
            for (row, (ts, mask)) in (0_u32..).zip(released.batch.ts.iter().zip(&released.masks)).skip(from) {
                let mut counts = if version.model.counts(*ts) { mask & model } else { 0 };
                self.stale |= mask & model != 0 && counts == 0 && version.leave_out(*ts);
                for (group, activity) in version.activity.iter().enumerate() {
                    let bit = mask & by_activity & (1 << group);
                    if bit != 0 && activity.holds(*ts, gap) {
                        counts |= bit;
                    }
                }
                if counts != 0 {
                    rows.push((row, counts));
                }
            }
            if rows.is_empty() {
                continue;
            }
            version.bare |= version.baseline().is_none();
            self.stale |= version.look_up(&self.names);
            match released.by_version.iter_mut().find(|(v, _)| *v == code) {
                Some((_, of)) => of.extend(rows),
                None => released.by_version.push((code, rows)),
            }
        }
        job.known = self.known();
    }
}
