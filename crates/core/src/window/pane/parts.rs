//! Sealed panes that leave the process that counted them: whether bytes from outside are one, what its codes mean elsewhere, and
//! the sum of what several have counted.

use super::Sealed;
use crate::codec::chunk::Chunk;
use crate::event::code;
use crate::window::tally::Tally;

/// No stream has more events: sums of them stay far from the end of what an integer holds.
const MOST_EVENTS: u64 = 1 << 48;
/// More metrics, targets or segmentations has no policy.
const MOST_SLOTS: usize = 1 << 16;

/// What codes mean elsewhere; `None` for one that means nothing.
pub struct Codes<'a> {
    pub stage: &'a dyn Fn(u32) -> Option<u32>,
    /// By segmentation of the group's reads.
    pub segment: &'a dyn Fn(u32, u32) -> Option<u32>,
    /// By target of the group's reads.
    pub category: &'a dyn Fn(u32, u32) -> Option<u32>,
}

impl Sealed {
    /// Whether it is what a tally packs to, with no more events than any stream has: what is read from outside may be anything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Chunk::Here(bytes) = &self.counts.chunk else { return false };
        let (bitmap, values) = bytes.split_at((self.counts.len as usize).div_ceil(8).min(bytes.len()));
        let set: usize = bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
        let beyond = match (self.counts.len % 8, bitmap.last()) {
            (0, _) | (_, None) => 0,
            (used, Some(last)) => last >> used,
        };
        let few = |n: u64| n <= MOST_EVENTS;
        let mut largest = 0;
        self.counts.for_each(|_, n| largest = largest.max(n));
        bitmap.len() == (self.counts.len as usize).div_ceil(8)
            && beyond == 0
            && values.iter().filter(|byte| **byte & 0x80 == 0).count() == set
            && values.last().is_none_or(|byte| byte & 0x80 == 0)
            && few(largest)
            && [self.predictions, self.features, self.pairs].into_iter().all(few)
            && self.unsegmented.iter().copied().all(few)
            && self
                .segments
                .iter()
                .all(|(s, _, counts)| (*s as usize) < self.unsegmented.len() && counts.is_below(MOST_EVENTS))
            && self.segments.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1))
            && self.unseen.iter().all(|(target, _, n)| (*target as usize) < MOST_SLOTS && few(*n))
            && self.unseen.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1))
            && self.unsegmented.len() <= MOST_SLOTS
            && self.measured.len() <= MOST_SLOTS
    }

    /// How many segmentations it keeps counts of.
    #[must_use]
    pub fn segmentations(&self) -> usize {
        self.unsegmented.len()
    }

    /// Whether each of its codes means something.
    #[must_use]
    pub fn codes_fit(&self, codes: &Codes<'_>) -> bool {
        self.segments.iter().all(|(s, code, _)| (codes.segment)(*s, *code).is_some())
            && self.unseen.iter().all(|(target, code, _)| (codes.category)(*target, *code).is_some())
            && self.last.as_ref().is_none_or(|last| last.stage >= code::SPECIAL || (codes.stage)(last.stage).is_some())
    }

    /// Writes its codes as they are elsewhere; `None` where one means nothing.
    #[must_use]
    pub fn recoded(mut self, codes: &Codes<'_>) -> Option<Self> {
        for (s, code, _) in &mut self.segments {
            *code = (codes.segment)(*s, *code)?;
        }
        self.segments.sort_unstable_by_key(|(s, code, _)| (*s, *code));
        for (target, code, _) in &mut self.unseen {
            *code = (codes.category)(*target, *code)?;
        }
        self.unseen.sort_unstable_by_key(|(target, code, _)| (*target, *code));
        if let Some(last) = &mut self.last
            && last.stage < code::SPECIAL
        {
            last.stage = (codes.stage)(last.stage)?;
        }
        Some(self)
    }

    /// What both have counted of one pane; `None` where they were not counted alike.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        if self.cells() != other.cells() || self.unsegmented.len() != other.unsegmented.len() {
            return None;
        }
        let mut sum: Tally = self.empty_tally();
        for part in [self, other] {
            part.add_to(&mut sum);
            if part.last > sum.last {
                sum.last.clone_from(&part.last);
            }
        }
        Some(Self::new(&sum)).filter(Self::is_sound)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Packed;
    use super::*;

    fn pane(counts: &[u64], segments: &[(u32, u64)], ts: i64) -> Sealed {
        let mut t: Tally = Tally::new(counts.len(), 2);
        t.counts = counts.to_vec();
        t.predictions = counts.iter().sum();
        for (segment, n) in segments {
            t.segment(1, *segment).unwrap().confusion.tp += n;
            t.unseen(3, *segment);
        }
        t.saw(ts, "id", 1);
        t.measured(0).unwrap().count(0.5, 2);
        Sealed::new(&t)
    }

    #[test]
    fn a_sum_is_that_of_one_tally_in_either_order_and_other_layouts_have_none() {
        let (a, b) = (pane(&[1, 0, 200], &[(4, 1), (0, 2)], 9), pane(&[0, 7, 300], &[(4, 5)], 8));
        let sum = a.and(&b).unwrap();
        assert_eq!(b.and(&a), Some(sum.clone()));
        let mut tally: Tally = sum.empty_tally();
        sum.add_to(&mut tally);
        assert_eq!((&tally.counts, tally.predictions, tally.measured[0].n), (&vec![1, 7, 500], 508, 4));
        assert_eq!((tally.segments[1][4].confusion.tp, tally.unseen[&(3, 4)]), (6, 2));
        assert_eq!(sum.last.map(|last| last.ts), Some(9));
        assert_eq!(a.and(&pane(&[1, 2], &[], 0)), None);
    }

    #[test]
    fn codes_are_written_anew_and_one_without_a_meaning_is_named() {
        let shift = |_: u32, code: u32| (code < 9).then_some(10 - code);
        let codes = Codes { stage: &|stage| Some(stage + 1), segment: &shift, category: &shift };
        let moved = pane(&[1], &[(4, 1), (6, 2)], 0).recoded(&codes).unwrap();
        assert!(moved.is_sound());
        assert_eq!(
            moved.segments.iter().map(|(_, code, c)| (*code, c.confusion.tp)).collect::<Vec<_>>(),
            [(4, 2), (6, 1)]
        );
        assert_eq!((moved.unseen, moved.last.map(|l| l.stage)), (vec![(3, 4, 1), (3, 6, 1)], Some(2)));
        assert_eq!(pane(&[1], &[(9, 1)], 0).recoded(&codes), None);
        let mut none = pane(&[1], &[], 0);
        none.last.as_mut().unwrap().stage = code::MISSING;
        assert_eq!(none.clone().recoded(&codes), Some(none));
    }

    #[test]
    fn what_is_no_pane_is_not_sound() {
        let good = pane(&[0, 3, 200, 1], &[(1, 1), (2, 2)], 5);
        assert!(good.is_sound());
        let with = |change: &dyn Fn(&mut Sealed)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.is_sound()
        };
        let bytes = |of: &mut Sealed, bytes: Vec<u8>| of.counts = Packed { len: 4, chunk: Chunk::Here(bytes.into()) };
        assert!(with(&|s| bytes(s, vec![0b0110, 3, 4])));
        assert!(!with(&|s| bytes(s, vec![0b0110, 3])), "a value is missing");
        assert!(!with(&|s| bytes(s, vec![0b0110, 3, 0x84])), "a value is cut");
        assert!(!with(&|s| bytes(s, vec![0b0001_0110, 3, 4, 5])), "a count beyond the layout");
        assert!(!with(&|s| bytes(s, vec![])));
        assert!(!with(&|s| s.counts.len = u32::MAX), "a layout without its bitmap");
        assert!(!with(&|s| s.counts.chunk = Chunk::Kept("ab".into())), "counts that lie elsewhere");
        assert!(!with(&|s| s.predictions = u64::MAX));
        assert!(!with(&|s| s.segments[0].0 = 2), "a segmentation that is not kept");
        assert!(!with(&|s| s.segments.reverse()));
        assert!(!with(&|s| s.unseen.swap(0, 1)));
    }
}
