//! Events of the features stream wait here until windows could close up to their time: which versions they count for is
//! decided by event times alone, whatever order the streams are read in.

use serde::{Deserialize, Serialize};

use crate::event::FeatureBatch;

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
    pub masks: Vec<u32>,
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
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.batches.iter().map(Waiting::bytes).sum()
    }

    /// Keeps rows of a batch.
    #[allow(
        clippy::indexing_slicing,
        reason = "accepted rows are rows of the batch, whose columns have one entry a row"
    )]
    pub(super) fn hold(&mut self, batch: &FeatureBatch, accepted: &[(u32, u32)]) {
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
    pub(super) fn has(&self, before: i64) -> bool {
        self.batches.iter().any(|b| b.first < before)
    }

    /// The largest time of the batch that was read first, and its number of events.
    pub(super) fn oldest(&self) -> Option<(i64, usize)> {
        self.batches.first().map(|b| (b.ts.iter().copied().max().unwrap_or(b.first), b.ts.len()))
    }

    /// Copies out the events that `due` names groups of, each with those; one that is left with none waits no longer.
    pub(super) fn release(&mut self, before: i64, due: impl Fn(i64) -> u32, out: &mut Released) {
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
