//! Sealed panes: a tally packed into few bytes (a presence bitmap and variable-length integers), and the rolling sum of
//! panes that makes a window. Packing loses nothing.

pub mod parts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::measured::MeasuredCell;
use super::tally::{Count, Last, OpenTally, SegmentCounts, Tally};
use crate::codec::chunk::{Chunk, EachChunk};
use crate::state_v4;

/// A tally that no event changes any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub predictions: u64,
    pub features: u64,
    pub pairs: u64,
    unsegmented: Vec<u64>,
    counts: Packed,
    /// (segmentation, segment code, counts), sorted.
    segments: Vec<(u32, u32, SegmentCounts)>,
    /// (target, category code, count), sorted.
    unseen: Vec<(u32, u32, u64)>,
    pub last: Option<Last>,
    /// By metric of `Reads::measured`, up to the last one that was measured.
    measured: Box<[MeasuredCell]>,
}

impl From<state_v4::Sealed> for Sealed {
    fn from(old: state_v4::Sealed) -> Self {
        Self {
            predictions: old.predictions,
            features: old.features,
            pairs: old.pairs,
            unsegmented: old.unsegmented,
            counts: Packed { len: old.counts.len, chunk: old.counts.chunk },
            segments: old.segments.into_iter().map(|(s, code, counts)| (s, code, counts.into())).collect(),
            unseen: old.unseen,
            last: old.last.map(Last::from),
            measured: old.measured.into_iter().map(MeasuredCell::from).collect(),
        }
    }
}

impl Sealed {
    /// What several tallies counted of one pane, added. One whose counts were cleared adds its events only.
    #[must_use]
    pub fn sum(mut tallies: Vec<Box<OpenTally>>) -> Option<Self> {
        // The widest first: those that were cleared have no counts to add.
        tallies.sort_by_key(|t| std::cmp::Reverse(t.counts.len()));
        let (first, rest) = tallies.split_first_mut()?;
        rest.iter().for_each(|t| first.merge_all_but_counts(t));
        let counts = if rest.is_empty() {
            Packed::new(&first.counts)
        } else {
            let mut sums: Vec<u64> = first.counts.iter().map(|&n| n.into()).collect();
            rest.iter().for_each(|t| sums.iter_mut().zip(&t.counts).for_each(|(sum, &n)| *sum += u64::from(n)));
            Packed::new(&sums)
        };
        Some(Self::with(first, counts))
    }

    #[must_use]
    pub fn new<C: Count>(tally: &Tally<C>) -> Self {
        Self::with(tally, Packed::new(&tally.counts))
    }

    fn with<C: Count>(tally: &Tally<C>, counts: Packed) -> Self {
        let mut segments = Vec::new();
        for (s, by_code) in (0_u32..).zip(&tally.segments) {
            segments.extend((0_u32..).zip(by_code).filter(|(_, c)| !c.is_zero()).map(|(code, c)| (s, code, *c)));
        }
        let mut unseen: Vec<_> = tally.unseen.iter().map(|(&(t, c), &n)| (t, c, n)).collect();
        unseen.sort_unstable();
        Self {
            predictions: tally.predictions,
            features: tally.features,
            pairs: tally.pairs,
            unsegmented: tally.unsegmented.clone(),
            counts,
            segments,
            unseen,
            last: tally.last.clone(),
            measured: tally.measured.clone().into_boxed_slice(),
        }
    }

    /// Events counted.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.predictions + self.features + self.pairs
    }

    /// Adds this pane to a window.
    pub fn add_to<C: Count>(&self, window: &mut Tally<C>) {
        window.predictions += self.predictions;
        window.features += self.features;
        window.pairs += self.pairs;
        self.apply(window, |a, b| a + b);
        self.add_measured_to(window);
    }

    /// Adds this pane's measurements alone.
    pub fn add_measured_to<C: Count>(&self, window: &mut Tally<C>) {
        for (metric, pane) in self.measured.iter().enumerate() {
            if let Some(measured) = window.measured(metric) {
                measured.merge(pane);
            }
        }
    }

    /// Takes this pane out of a window it was added to. The last prediction and measurements are not undone: ask the panes
    /// that remain.
    pub fn subtract_from(&self, window: &mut Tally) {
        window.predictions -= self.predictions;
        window.features -= self.features;
        window.pairs -= self.pairs;
        self.apply(window, |a, b| a - b);
        window.unseen.retain(|_, n| *n > 0);
    }

    fn apply<C: Count>(&self, window: &mut Tally<C>, op: impl Fn(u64, u64) -> u64 + Copy) {
        window.unsegmented.iter_mut().zip(&self.unsegmented).for_each(|(a, &b)| *a = op(*a, b));
        // A pane counted before its version had a baseline has another layout: only its events count.
        if self.counts.len as usize == window.counts.len() {
            self.counts.for_each(|at, n| {
                if let Some(count) = window.counts.get_mut(at) {
                    *count = C::of(op((*count).into(), n));
                }
            });
        }
        for (s, code, counts) in &self.segments {
            if let Some(segment) = window.segment(*s as usize, *code) {
                segment.combine(counts, op);
            }
        }
        for &(target, code, n) in &self.unseen {
            let count = window.unseen.entry((target, code)).or_default();
            *count = op(*count, n);
        }
    }

    /// One of its counts.
    #[must_use]
    pub fn count(&self, at: usize) -> u64 {
        let mut found = 0;
        self.counts.for_each(|i, n| found = if i == at { n } else { found });
        found
    }

    /// How many counts its layout has.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.counts.len as usize
    }

    /// A tally of the same layout, with nothing in it.
    #[must_use]
    pub fn empty_tally(&self) -> Tally {
        Tally::new(self.cells(), self.unsegmented.len())
    }

    /// Its counts, where they are many: they do not change any more.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        if self.counts.chunk.is_worth_a_file() {
            each(&mut self.counts.chunk);
        }
    }

    /// Bytes on the heap, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.counts.chunk.bytes().len()
            + size_of_val(&*self.measured)
            + self.segments.len() * size_of::<(u32, u32, SegmentCounts)>()
            + self.unseen.len() * 16
    }
}

/// Counts as a bitmap of the ones that are not zero and their values in LEB128.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Packed {
    len: u32,
    /// A copy shares them.
    chunk: Chunk,
}

impl Packed {
    fn new<C: Count>(counts: &[C]) -> Self {
        let mut bytes = vec![0_u8; counts.len().div_ceil(8)];
        for (at, n) in counts.iter().map(|&n| n.into()).enumerate().filter(|(_, n)| *n > 0) {
            if let Some(byte) = bytes.get_mut(at / 8) {
                *byte |= 1 << (at % 8);
            }
            let mut rest = n;
            while rest >= 0x80 {
                // The low seven bits with the continuation bit set.
                bytes.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap_or(0));
        }
        Self { len: u32::try_from(counts.len()).unwrap_or(u32::MAX), chunk: Chunk::Here(Arc::new(bytes)) }
    }

    fn for_each(&self, mut f: impl FnMut(usize, u64)) {
        let bytes = self.chunk.bytes();
        let (bitmap, values) = bytes.split_at((self.len as usize).div_ceil(8).min(bytes.len()));
        let mut values = values.iter();
        for (i, &byte) in bitmap.iter().enumerate() {
            let mut bits = byte;
            while bits != 0 {
                let at = i * 8 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let mut n = 0;
                let mut shift = 0;
                for &b in values.by_ref() {
                    n |= u64::from(b & 0x7f) << shift;
                    shift += 7;
                    if b & 0x80 == 0 || shift > 63 {
                        break;
                    }
                }
                f(at, n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tally(counts: Vec<u64>, segments: Vec<(u32, u64)>, ts: i64) -> Tally {
        let mut t = Tally::new(counts.len(), 1);
        t.predictions = counts.iter().sum();
        t.counts = counts;
        for (code, n) in segments {
            t.segment(0, code).unwrap().confusion.tp += n;
            t.pairs += n;
            t.unseen(0, code);
        }
        t.saw(ts, "id", 0);
        #[allow(clippy::cast_precision_loss, reason = "below 99")]
        t.measured(1).unwrap().count(ts as f64 / 7.0, 3);
        t
    }

    fn window_of(panes: &[Sealed], len: usize) -> Tally {
        let mut w = Tally::new(len, 1);
        panes.iter().for_each(|p| p.add_to(&mut w));
        w
    }

    fn arbitrary() -> impl Strategy<Value = Vec<Tally>> {
        let count = prop_oneof![3 => Just(0_u64), 2 => 0..300_u64, 1 => 0..(1_u64 << 40)];
        prop::collection::vec(
            (prop::collection::vec(count, 21), prop::collection::vec((0..9_u32, 0..1000_u64), 0..5), 0..99_i64),
            1..6,
        )
        .prop_map(|panes| panes.into_iter().map(|(c, s, ts)| tally(c, s, ts)).collect())
    }

    proptest! {
        #[test]
        fn a_window_is_the_sum_of_its_panes_in_any_order_and_sliding_undoes(tallies in arbitrary()) {
            let panes: Vec<_> = tallies.iter().map(Sealed::new).collect();
            let forward = window_of(&panes, 21);
            let backward = window_of(&panes.iter().rev().cloned().collect::<Vec<_>>(), 21);
            prop_assert_eq!(&forward, &backward);
            for at in 0..21 {
                prop_assert_eq!(forward.counts[at], tallies.iter().map(|t| t.counts[at]).sum::<u64>());
            }
            prop_assert_eq!(forward.measured[1].n, 3 * tallies.len() as u64);
            let mut slid = forward;
            panes[0].subtract_from(&mut slid);
            let rest = window_of(&panes[1..], 21);
            prop_assert_eq!(&slid.counts, &rest.counts);
            prop_assert_eq!(&slid.unseen, &rest.unseen);
            prop_assert_eq!((slid.predictions, slid.pairs), (rest.predictions, rest.pairs));
            slid.measured.clear();
            panes[1..].iter().for_each(|p| p.add_measured_to(&mut slid));
            prop_assert_eq!(&slid.measured, &rest.measured);
        }
    }

    /// The same as an open pane counts it; larger counts are cut to what fits.
    fn open(t: &Tally) -> Box<OpenTally> {
        let mut open = OpenTally::new(0, 1);
        open.merge_all_but_counts(t);
        open.counts = t.counts.iter().map(|&n| u32::of(n)).collect();
        Box::new(open)
    }

    proptest! {
        #[test]
        fn summing_tallies_is_adding_their_panes_in_any_order(tallies in arbitrary(), cleared in any::<bool>()) {
            let mut open: Vec<_> = tallies.iter().map(open).collect();
            if cleared {
                open[0].counts.clear();
            }
            let sum = Sealed::sum(open.clone()).unwrap();
            let backward = Sealed::sum(open.iter().rev().cloned().collect());
            prop_assert_eq!(Some(&sum), backward.as_ref());
            let panes: Vec<_> = open.iter().map(|t| Sealed::new(t)).collect();
            let len = open.iter().map(|t| t.counts.len()).max().unwrap();
            prop_assert_eq!(window_of(std::slice::from_ref(&sum), len), window_of(&panes, len));
            prop_assert_eq!(sum.last, panes.into_iter().filter_map(|p| p.last).max());
        }
    }

    #[test]
    fn a_pane_of_a_hundred_features_is_small() {
        let counts: Vec<u64> = (0..2041 * 100).map(|i| if i % 2 == 0 { 90 } else { 0 }).collect();
        let mut sealed = Sealed::new(&tally(counts, vec![], 0));
        assert!(sealed.bytes() < 130_000, "{} bytes: 288 such panes must stay under 40 MB", sealed.bytes());
        // A checkpoint writes them once.
        let mut chunks = Vec::new();
        sealed.chunks(&mut |chunk| chunks.push(chunk.bytes().len()));
        assert!(matches!(chunks[..], [n] if n > 100_000), "{chunks:?}");
        Sealed::new(&tally(vec![1; 100], vec![], 0)).chunks(&mut |_| panic!("a small pane is no chunk"));
    }
}
