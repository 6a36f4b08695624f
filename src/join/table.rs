//! Rows with an index by id. An id may have several rows, in the order they were added; almost always it has one.

use rustc_hash::FxHashMap;

use super::index::Index;
use super::rows::{Dropped, Marks, Rows, RowsState, Shared};

/// Ids that are looked for together, so that the cache misses of one do not wait for those of another.
pub const TOUCHED: usize = 64;

#[derive(Clone, Debug)]
pub struct Table {
    pub rows: Rows,
    /// The first row of each id,
    index: Index,
    /// and the others.
    more: FxHashMap<u128, Vec<u32>>,
}

impl Table {
    /// Rows with `own` codes each, in blocks of so many rows.
    #[must_use]
    pub fn new(own: usize, block_rows: usize) -> Self {
        Self { rows: Rows::new(own, block_rows), index: Index::new(), more: FxHashMap::default() }
    }

    /// Rows as a checkpoint kept them, with an index made anew.
    #[must_use]
    pub fn restore(state: RowsState) -> Self {
        let rows = Rows::restore(state);
        let mut table = Self { index: Index::new(), more: FxHashMap::default(), rows };
        let positions: Vec<u32> = table.rows.positions().collect();
        for at in positions {
            let id = table.rows.id(at);
            if table.nth(id, 0).is_none() {
                table.index.insert(id, at);
            } else {
                table.more.entry(id).or_default().push(at);
            }
        }
        table
    }

    /// How many ids there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of an id's `n`-th row.
    #[inline]
    #[must_use]
    pub fn nth(&self, id: u128, n: usize) -> Option<u32> {
        match n.checked_sub(1) {
            None => self.index.find(id, |at| self.rows.is(at, id)),
            Some(_) if self.more.is_empty() => None,
            Some(n) => self.more.get(&id)?.get(n).copied(),
        }
    }

    /// The positions of all rows of an id.
    pub fn all(&self, id: u128) -> impl Iterator<Item = u32> {
        (0..).map_while(move |n| self.nth(id, n))
    }

    /// Brings the slots that the next look-ups read into the cache; at most `TOUCHED` at once.
    pub fn touch(&self, ids: &[u128]) {
        std::hint::black_box(ids.iter().fold(0, |touched, id| touched ^ self.index.touch(*id)));
    }

    /// Brings the rows of ids that are there into the cache, once their slots are.
    pub fn touch_rows(&self, ids: &[u128]) {
        // Ids that are not there are hardly ever taken for one that is; then a row is read for nothing.
        let row = |id: &u128| self.index.find(*id, |_| true).map_or(0, |at| self.rows.ts(at));
        std::hint::black_box(ids.iter().fold(0, |touched, id| touched ^ row(id)));
    }

    /// Adds a row.
    #[inline]
    pub fn add(&mut self, id: u128, is_first: bool, ts: i64, shared: Shared, own: &[u32]) -> Option<u32> {
        let at = self.rows.push(id, ts, shared, own)?;
        if is_first {
            self.index.insert(id, at);
        } else {
            self.more.entry(id).or_default().push(at);
        }
        Some(at)
    }

    #[inline]
    pub fn mark(&mut self, at: u32, marks: Marks) {
        self.rows.set_marks(at, marks);
    }

    /// Takes out a row.
    pub fn remove(&mut self, id: u128, at: u32) {
        if let Some(more) = self.more.get_mut(&id) {
            match more.iter().position(|m| *m == at) {
                Some(n) => drop(more.remove(n)),
                None => self.index.replace(id, at, more.remove(0)),
            }
            if more.is_empty() {
                self.more.remove(&id);
            }
        } else {
            self.index.remove(id, at);
        }
        self.rows.remove(at);
    }

    /// Takes out the rows with times before `from`; `gone` is told their times.
    pub fn drop_before(&mut self, from: i64, gone: impl FnMut(i64)) -> Dropped {
        let several: Vec<(u128, Vec<u32>)> = self.more.keys().map(|id| (*id, self.all(*id).collect())).collect();
        let dropped = self.rows.drop_before(from, gone);
        if dropped.rows == 0 {
            return dropped;
        }
        // Ids with several rows leave the index, and come back with those they still have.
        for (id, rows) in &several {
            rows.iter().take(1).for_each(|first| self.index.remove(*id, *first));
        }
        let rows = &self.rows;
        self.index.retain(|at| rows.holds(at));
        for (id, mut held) in several {
            held.retain(|at| rows.holds(*at));
            if held.is_empty() {
                self.more.remove(&id);
                continue;
            }
            self.index.insert(id, held.remove(0));
            if held.is_empty() {
                self.more.remove(&id);
            } else {
                self.more.insert(id, held);
            }
        }
        dropped
    }
}
