//! Events of the features stream wait here until windows could close up to their time: which versions they count for is
//! decided by event times alone, whatever order the streams are read in.

use serde::{Deserialize, Serialize};

use super::Intake;
use super::job::Job;
use crate::event::FeatureBatch;

/// Events may wait in so many bytes; then the oldest count for the versions that are known to be active.
const MOST_BYTES: usize = 256 << 20;

/// Events that wait, in the order they were read.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Held {
    batches: Vec<Waiting>,
}

/// Rows of one batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Waiting {
    ts: Vec<i64>,
    /// The groups that a row is to be counted in, one bit each.
    masks: Vec<u32>,
    numeric: Vec<Vec<f64>>,
    categorical: Vec<Vec<u32>>,
    /// The smallest of the times.
    first: i64,
}

/// Events that wait no longer, and by version the rows that count for it.
#[derive(Debug, Default)]
pub(super) struct Released {
    pub batch: FeatureBatch,
    masks: Vec<u32>,
    pub by_version: Vec<(u32, Vec<(u32, u32)>)>,
}

impl Released {
    pub fn clear(&mut self) {
        self.batch.clear();
        self.masks.clear();
        self.by_version.clear();
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.ts.len() * (12 + 8 * self.numeric.len() + 4 * self.categorical.len())
    }
}

impl Held {
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(Waiting::bytes).sum()
    }

    /// Keeps rows of a batch.
    #[allow(
        clippy::indexing_slicing,
        reason = "accepted rows are rows of the batch, whose columns have one entry a row"
    )]
    fn hold(&mut self, batch: &FeatureBatch, accepted: &[(u32, u32)]) {
        let rows = || accepted.iter().map(|(row, _)| *row as usize);
        let Some(first) = rows().map(|row| batch.ts[row]).min() else { return };
        self.batches.push(Waiting {
            ts: rows().map(|row| batch.ts[row]).collect(),
            masks: accepted.iter().map(|(_, mask)| *mask).collect(),
            numeric: batch.features.numeric.iter().map(|c| rows().map(|row| c[row]).collect()).collect(),
            categorical: batch.features.categorical.iter().map(|c| rows().map(|row| c[row]).collect()).collect(),
            first,
        });
    }

    /// Whether an event before `before` waits.
    fn has(&self, before: i64) -> bool {
        self.batches.iter().any(|b| b.first < before)
    }

    /// The largest time of the batch that was read first, and its number of events.
    fn oldest(&self) -> Option<(i64, usize)> {
        self.batches.first().map(|b| (b.ts.iter().copied().max().unwrap_or(b.first), b.ts.len()))
    }

    /// Copies out the events that `due` names groups of, each with those; one that is left with none waits no longer.
    fn release(&mut self, before: i64, due: impl Fn(i64) -> u32, out: &mut Released) {
        for waiting in self.batches.iter_mut().filter(|b| b.first < before) {
            let due: Vec<u32> = waiting.ts.iter().zip(&waiting.masks).map(|(ts, mask)| due(*ts) & mask).collect();
            out.masks.extend(due.iter().filter(|due| **due != 0));
            take(&due, &waiting.ts, &mut out.batch.ts);
            let features = &mut out.batch.features;
            features.numeric.resize_with(waiting.numeric.len(), Vec::new);
            features.categorical.resize_with(waiting.categorical.len(), Vec::new);
            waiting.numeric.iter().zip(&mut features.numeric).for_each(|(from, to)| take(&due, from, to));
            waiting.categorical.iter().zip(&mut features.categorical).for_each(|(from, to)| take(&due, from, to));
            waiting.masks.iter_mut().zip(&due).for_each(|(mask, due)| *mask &= !due);
            waiting.let_go();
        }
        self.batches.retain(|b| !b.ts.is_empty());
    }
}

impl Waiting {
    /// Lets go of the events that are left with no group.
    fn let_go(&mut self) {
        if self.masks.contains(&0) {
            let masks = std::mem::take(&mut self.masks);
            keep(&masks, &mut self.ts);
            self.numeric.iter_mut().for_each(|column| keep(&masks, column));
            self.categorical.iter_mut().for_each(|column| keep(&masks, column));
            self.masks = masks;
            self.masks.retain(|mask| *mask != 0);
            self.first = self.ts.iter().copied().min().unwrap_or(i64::MAX);
        }
    }
}

fn take<T: Copy>(masks: &[u32], from: &[T], to: &mut Vec<T>) {
    to.extend(from.iter().zip(masks).filter(|(_, mask)| **mask != 0).map(|(x, _)| *x));
}

fn keep<T>(masks: &[u32], column: &mut Vec<T>) {
    let mut masks = masks.iter();
    column.retain(|_| masks.next().is_some_and(|mask| *mask != 0));
}

/// Spans of event time in which a version's predictions follow each other within `retire_after`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// First and last prediction, in order.
    spans: Vec<(i64, i64)>,
}

/// More spans than these are not kept of a version.
const MOST_SPANS: usize = 64;

impl Activity {
    /// What a release without spans knew.
    pub fn until(last: Option<i64>) -> Self {
        Self { spans: last.map(|last| (i64::MIN, last)).into_iter().collect() }
    }

    /// There were predictions from `first` to `last`, never further apart than `gap`.
    pub fn note(&mut self, first: i64, last: i64, gap: i64) {
        let (mut from, mut to) = (first, last);
        self.spans.retain(|&(a, b)| {
            let apart = a > to.saturating_add(gap) || from > b.saturating_add(gap);
            if !apart {
                (from, to) = (from.min(a), to.max(b));
            }
            apart
        });
        let at = self.spans.partition_point(|(a, _)| *a < from);
        self.spans.insert(at, (from, to));
        if self.spans.len() > MOST_SPANS {
            self.spans.remove(0);
        }
    }

    /// Whether there was a prediction at this time, or at most `gap` before it.
    pub fn holds(&self, ts: i64, gap: i64) -> bool {
        self.spans.iter().any(|&(first, last)| first <= ts && ts <= last.saturating_add(gap))
    }
}

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
        let Some(base) = self.closing_bases().and_then(|bases| bases.predictions) else { return Vec::new() };
        self.policy.groups.iter().map(|g| base.saturating_sub(g.lateness)).collect()
    }

    /// Hands the events of the features stream that need not wait any more to a job.
    pub fn release(&mut self, job: &mut Job) {
        if !self.held.batches.is_empty() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_is_the_same_in_any_order_and_lasts_as_long_as_predictions_follow() {
        let times = [100, 105, 130, 112, 300, 131];
        let mut orders = vec![times.to_vec(), times.iter().rev().copied().collect()];
        orders.push(vec![300, 112, 100, 131, 105, 130]);
        for order in orders {
            let mut activity = Activity::default();
            order.iter().for_each(|ts| activity.note(*ts, *ts, 10));
            assert_eq!(activity.spans, [(100, 112), (130, 131), (300, 300)], "{order:?}");
            let active: Vec<i64> = (0..320).filter(|ts| activity.holds(*ts, 10)).collect();
            assert_eq!(active, (100..=122).chain(130..=141).chain(300..=310).collect::<Vec<_>>());
        }
        let mut before = Activity::until(Some(50));
        before.note(55, 60, 10);
        assert!(before.holds(i64::MIN, 10) && before.holds(70, 10) && !before.holds(71, 10));
    }

    #[test]
    fn events_wait_for_their_time_only_group_by_group() {
        let mut batch = FeatureBatch::new(1, 0);
        batch.ts = vec![5, 9, 3, 12];
        batch.features.numeric[0] = vec![0.5, 0.9, 0.3, 1.2];
        let mut held = Held::default();
        held.hold(&batch, &[(0, 1), (1, 3), (2, 1), (3, 3)]);
        assert!(held.has(4) && !held.has(3));
        let mut out = Released::default();
        let mut release = |first: i64, second: i64| {
            out.clear();
            let due = |ts| u32::from(ts < first) | (u32::from(ts < second) << 1);
            held.release(first.max(second), due, &mut out);
            let rows = out.batch.ts.iter().zip(&out.batch.features.numeric[0]).zip(&out.masks);
            rows.map(|((ts, x), mask)| (*ts, *x, *mask)).collect::<Vec<_>>()
        };
        assert_eq!(release(4, 3), [(3, 0.3, 1)]);
        assert_eq!(release(10, 8), [(5, 0.5, 1), (9, 0.9, 1)]);
        assert_eq!(release(10, 10), [(9, 0.9, 2)]);
        assert_eq!(release(10, 20), [(12, 1.2, 2)]);
        assert_eq!(release(20, 20), [(12, 1.2, 1)]);
        assert_eq!(held.bytes(), 0);
    }
}
