//! The mergeable counts of one (version, group): a flat array of integers, segment confusion counts, unseen categories,
//! the last prediction, and measurements. Adding is exact, associative and commutative; subtracting undoes adding,
//! except of maxima: the last prediction and measurements are taken from what remains.
//!
//! Open panes count in 32 bits, so that twice as many counts stay in a core's cache; the code that fills one checks `is_full`.

use serde::{Deserialize, Serialize};

use crate::seeded::Map;
use crate::state_v4;
use crate::stats::fairness::Confusion;
use crate::window::measured::MeasuredCell;

/// Counts of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentCounts {
    /// Joined pairs.
    pub confusion: Confusion,
    /// Predictions by predicted class, labelled or not.
    pub predicted: [u64; 2],
}

impl From<state_v4::SegmentCounts> for SegmentCounts {
    fn from(old: state_v4::SegmentCounts) -> Self {
        let state_v4::SegmentCounts { tp, fn_, fp, tn, predicted } = old;
        Self { confusion: Confusion { tp, fn_, fp, tn }, predicted }
    }
}

impl SegmentCounts {
    /// Decisions as confusion counts of which only the predicted class means anything: for rates of selection.
    #[must_use]
    pub fn decisions(&self) -> Confusion {
        Confusion::of_decisions(self.predicted)
    }

    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Whether no count is larger than this.
    #[must_use]
    pub fn is_below(&self, most: u64) -> bool {
        self.values().into_iter().all(|n| n <= most)
    }

    /// How many counts there are.
    pub const LEN: usize = 6;

    /// The counts in a fixed order: those of labelled predictions that are no decisions have other meanings, which who counts and who judges know.
    #[must_use]
    pub fn values(self) -> [u64; Self::LEN] {
        let c = self.confusion;
        [c.tp, c.fn_, c.fp, c.tn, self.predicted[0], self.predicted[1]]
    }

    fn from_values([tp, fn_, fp, tn, no, yes]: [u64; Self::LEN]) -> Self {
        Self { confusion: Confusion { tp, fn_, fp, tn }, predicted: [no, yes] }
    }

    /// Adds to the counts, in the order of `values`; what is left out is 0.
    pub fn add(&mut self, more: &[u64]) {
        let mut values = self.values();
        values.iter_mut().zip(more).for_each(|(count, n)| *count += n);
        *self = Self::from_values(values);
    }

    /// Applies `op` count by count.
    pub fn combine(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        let mut values = self.values();
        values.iter_mut().zip(other.values()).for_each(|(a, b)| *a = op(*a, b));
        *self = Self::from_values(values);
    }
}

/// The last prediction of a tally: the largest time, then the largest id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Last {
    pub ts: i64,
    pub id: String,
    /// Dictionary code of its stage.
    pub stage: u32,
}

impl From<state_v4::Last> for Last {
    fn from(old: state_v4::Last) -> Self {
        Self { ts: old.ts, id: old.id, stage: old.stage }
    }
}

/// One of a tally's counts.
pub trait Count: Copy + Default + Into<u64> {
    /// A count of so many, or of as many as it can hold.
    fn of(n: u64) -> Self;
}

impl Count for u64 {
    #[inline]
    fn of(n: u64) -> Self {
        n
    }
}

impl Count for u32 {
    #[inline]
    fn of(n: u64) -> Self {
        Self::try_from(n).unwrap_or(Self::MAX)
    }
}

/// The counts of one (version, group) over some span of event time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally<C = u64> {
    /// Predictions counted.
    pub predictions: u64,
    /// Events of the features stream counted.
    pub features: u64,
    /// Joined pairs counted.
    pub pairs: u64,
    /// Pairs or predictions without a segment, one count per list of segments, of which the first of a segmentation counts.
    pub unsegmented: Vec<u64>,
    /// By `Layout`.
    pub counts: Vec<C>,
    /// By list of `Reads::segment_lists`, then by segment code.
    pub segments: Vec<Vec<SegmentCounts>>,
    /// Unseen categories: (index into `Reads::targets`, category code) to count.
    pub unseen: Map<(u32, u32), u64>,
    pub last: Option<Last>,
    /// By metric of `Reads::measured`, up to the last one that was measured.
    pub measured: Vec<MeasuredCell>,
}

/// The counts of an open pane.
pub type OpenTally = Tally<u32>;

impl OpenTally {
    /// So many events are the most that a pane counts before it is full, with room for any batch.
    pub const FULL: u64 = 1 << 31;

    /// Whether no more may be counted in it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.events() >= Self::FULL
    }

    #[inline]
    pub fn add(&mut self, at: usize) {
        debug_assert!(at < self.counts.len(), "a layout of another baseline");
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }
}

impl<C: Count> Tally<C> {
    #[must_use]
    pub fn new(counts: usize, segmentations: usize) -> Self {
        Self {
            counts: vec![C::default(); counts],
            segments: vec![Vec::new(); segmentations],
            unsegmented: vec![0; segmentations],
            predictions: 0,
            features: 0,
            pairs: 0,
            unseen: Map::default(),
            last: None,
            measured: Vec::new(),
        }
    }

    /// Events counted. None adds more than one to a count.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.predictions + self.features + self.pairs
    }

    /// The counts of a segment, made where it is new.
    #[inline]
    pub fn segment(&mut self, segmentation: usize, code: u32) -> Option<&mut SegmentCounts> {
        let segments = self.segments.get_mut(segmentation)?;
        let at = code as usize;
        if segments.len() <= at {
            segments.resize(at + 1, SegmentCounts::default());
        }
        segments.get_mut(at)
    }

    /// Counts an unseen category. How many are told apart is bounded where codes are given, in the order of the events.
    #[inline]
    pub fn unseen(&mut self, target: u32, code: u32) {
        *self.unseen.entry((target, code)).or_default() += 1;
    }

    /// Adds another tally of the same pane, but for its counts by layout.
    pub(super) fn merge_all_but_counts<D>(&mut self, other: &Tally<D>) {
        self.predictions += other.predictions;
        self.features += other.features;
        self.pairs += other.pairs;
        self.unsegmented.iter_mut().zip(&other.unsegmented).for_each(|(a, b)| *a += b);
        for (s, by_code) in other.segments.iter().enumerate() {
            for (code, counts) in (0_u32..).zip(by_code).filter(|(_, c)| !c.is_zero()) {
                if let Some(segment) = self.segment(s, code) {
                    segment.combine(counts, |a, b| a + b);
                }
            }
        }
        for (key, n) in &other.unseen {
            *self.unseen.entry(*key).or_default() += n;
        }
        for (metric, pane) in other.measured.iter().enumerate() {
            if let Some(measured) = self.measured(metric) {
                measured.merge(pane);
            }
        }
        if other.last > self.last {
            self.last.clone_from(&other.last);
        }
    }

    /// The measurements of a metric, made where they are the first.
    pub fn measured(&mut self, metric: usize) -> Option<&mut MeasuredCell> {
        if self.measured.len() <= metric {
            self.measured.resize(metric + 1, MeasuredCell::default());
        }
        self.measured.get_mut(metric)
    }

    /// Whether anything was measured.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.measured.iter().any(|m| m.n > 0)
    }

    /// Whether it holds measurements and nothing that is compared with a baseline.
    #[must_use]
    pub fn is_only_measured(&self) -> bool {
        self.events() == 0 && self.is_measured()
    }

    /// Takes note of a prediction for the window's stage.
    #[inline]
    pub fn saw(&mut self, ts: i64, id: &str, stage: u32) {
        match &mut self.last {
            // The stage decides last, so that it does not matter who saw which first.
            Some(last) if (last.ts, last.id.as_str(), last.stage) >= (ts, id, stage) => {}
            Some(last) => {
                last.ts = ts;
                last.id.clear();
                last.id.push_str(id);
                last.stage = stage;
            }
            None => self.last = Some(Last { ts, id: id.to_owned(), stage }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_prediction_is_the_latest_then_the_largest_id() {
        let mut t = OpenTally::new(0, 0);
        for (ts, id, stage) in [(5, "b", 0), (5, "a", 1), (4, "z", 2), (5, "c", 3)] {
            t.saw(ts, id, stage);
        }
        assert_eq!(t.last, Some(Last { ts: 5, id: "c".into(), stage: 3 }));
    }
}
