//! Rows of one batch by the pane of their time. Most batches lie in one pane, and are not split.

use crate::policy::{PaneOf, WindowSpec};
use crate::seeded::Map;

/// Rows by pane.
#[derive(Debug, Default)]
pub(super) struct ByPane {
    pub lists: Vec<(i64, Vec<u32>)>,
    index: Map<i64, usize>,
}

/// Which of the located rows a pane counts: all of them, or those of a list.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    All(usize),
    Some(&'a [u32]),
}

impl Which<'_> {
    pub fn len(self) -> usize {
        match self {
            Self::All(n) => n,
            Self::Some(list) => list.len(),
        }
    }

    #[inline]
    pub fn each(self, mut f: impl FnMut(usize)) {
        match self {
            Self::All(n) => (0..n).for_each(f),
            Self::Some(list) => list.iter().for_each(|&k| f(k as usize)),
        }
    }
}

/// What all rows of a version have in common.
pub(super) struct Extent {
    first: i64,
    last: i64,
    /// Groups that every row counts in.
    groups: u32,
}

impl Extent {
    #[allow(clippy::indexing_slicing, reason = "rows are rows of the batch")]
    pub fn of(ts: &[i64], rows: &[(u32, u32)]) -> Self {
        let mut extent = Self { first: i64::MAX, last: i64::MIN, groups: u32::MAX };
        for &(row, mask) in rows {
            let ts = ts[row as usize];
            extent.first = extent.first.min(ts);
            extent.last = extent.last.max(ts);
            extent.groups &= mask;
        }
        extent
    }
}

/// What splitting rows by pane came to.
pub(super) struct Split {
    pub panes: usize,
    /// All rows are in the one pane.
    pub all: bool,
    pub after_close: u64,
}

impl ByPane {
    /// Lists the rows of group `g` by pane; rows of a pane that is closed are counted out.
    #[allow(clippy::indexing_slicing, reason = "rows are rows of the batch; lists are made here")]
    pub fn split(
        &mut self,
        extent: &Extent,
        ts: &[i64],
        rows: &[(u32, u32)],
        (g, window, closed): (usize, WindowSpec, i64),
    ) -> Split {
        let mut split = Split { panes: 0, all: false, after_close: 0 };
        let only = window.pane(extent.first);
        if only == window.pane(extent.last) && extent.groups & (1 << g) != 0 {
            // A pane's first window ends where the pane ends.
            if window.end(only) <= closed {
                split.after_close = rows.len() as u64;
                return split;
            }
            match self.lists.first_mut() {
                Some(first) => first.0 = only,
                None => self.lists.push((only, Vec::new())),
            }
            return Split { panes: 1, all: true, ..split };
        }
        self.lists.iter_mut().for_each(|(_, list)| list.clear());
        self.index.clear();
        let mut last = usize::MAX;
        let mut panes_of = PaneOf::new(window);
        for (k, &(row, mask)) in rows.iter().enumerate() {
            if mask & (1 << g) == 0 {
                continue;
            }
            let (pane, end) = panes_of.of(ts[row as usize]);
            if end <= closed {
                split.after_close += 1;
                continue;
            }
            if last >= split.panes || self.lists[last].0 != pane {
                last = *self.index.entry(pane).or_insert(split.panes);
                if last == split.panes {
                    if self.lists.len() == split.panes {
                        self.lists.push((pane, Vec::new()));
                    }
                    self.lists[split.panes].0 = pane;
                    split.panes += 1;
                }
            }
            self.lists[last].1.push(u32::try_from(k).unwrap_or(u32::MAX));
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What splitting rows of group 1 by panes of 10 ms comes to: whether all are in one, each pane's rows, and how many came
    /// after what is closed.
    fn split(by_pane: &mut ByPane, ts: &[i64], rows: &[(u32, u32)], closed: i64) -> (bool, Vec<(i64, Vec<u32>)>, u64) {
        let window = WindowSpec { size: 10, slide: 10, local: None };
        let found = by_pane.split(&Extent::of(ts, rows), ts, rows, (1, window, closed));
        let lists = by_pane.lists[..found.panes].iter().cloned();
        (
            found.all,
            lists.map(|(pane, list)| (pane, if found.all { Vec::new() } else { list })).collect(),
            found.after_close,
        )
    }

    #[test]
    fn rows_are_listed_by_pane_without_those_of_other_groups_and_of_closed_panes() {
        let mut by_pane = ByPane::default();
        let ts = [25, 31, 29, -1, 12, 39];
        let rows: Vec<(u32, u32)> = (0..6).map(|row| (row, if row == 2 { 0b01 } else { 0b11 })).collect();
        let expected = vec![(2, vec![0]), (3, vec![1, 5]), (-1, vec![3]), (1, vec![4])];
        assert_eq!(split(&mut by_pane, &ts, &rows, -100), (false, expected, 0));
        assert_eq!(split(&mut by_pane, &ts, &rows, 29), (false, vec![(2, vec![0]), (3, vec![1, 5])], 2));
        assert_eq!(split(&mut by_pane, &ts, &rows, 40), (false, vec![], 5));
        // Positions are among the rows given, not in the batch.
        assert_eq!(split(&mut by_pane, &ts, &rows[4..], 0), (false, vec![(1, vec![0]), (3, vec![1])], 0));
    }

    #[test]
    fn rows_of_one_pane_are_not_listed() {
        let mut by_pane = ByPane::default();
        let (ts, rows) = ([20, 29], [(0, 0b10), (1, 0b10)]);
        assert_eq!(split(&mut by_pane, &ts, &rows, 29), (true, vec![(2, vec![])], 0));
        assert_eq!(split(&mut by_pane, &ts, &rows, 30), (false, vec![], 2));
    }
}
