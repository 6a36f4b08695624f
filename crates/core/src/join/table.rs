//! Rows with an index by id. An id may have several rows: one per version, one per time that it was used; almost always it has
//! one, or as many as there are versions beside each other.

use super::index::Index;
use super::meeting::Marks;
use super::rows::{Dropped, JoinRows, RowsState, Shared};
use crate::seeded::Map;

/// Ids that are looked for together, so that the cache misses of one do not wait for those of another.
pub const TOUCHED: usize = 64;

/// So many rows of an id stand in the index, where more would be in the way of other ids.
const IN_INDEX: usize = 8;

#[derive(Clone, Debug)]
pub struct Table {
    pub rows: JoinRows,
    /// The rows of each id, but for those beyond `IN_INDEX`,
    index: Index,
    /// and these.
    more: Map<u128, Vec<u32>>,
    /// Whether an id may have several rows.
    several: bool,
    len: usize,
}

impl Table {
    /// Rows with `own` codes each, in blocks of so many rows.
    #[must_use]
    pub fn new(own: usize, block_rows: usize) -> Self {
        Self::of(JoinRows::new(own, block_rows))
    }

    fn of(rows: JoinRows) -> Self {
        Self { rows, index: Index::new(), more: Map::default(), several: false, len: 0 }
    }

    /// Rows as a checkpoint kept them, with an index made anew.
    #[must_use]
    pub fn restore(state: RowsState) -> Self {
        let mut table = Self::of(JoinRows::restore(state));
        let positions: Vec<u32> = table.rows.positions().collect();
        let mut held = Vec::new();
        for at in positions {
            let id = table.rows.id(at);
            table.all(id, &mut held);
            table.enter(id, held.len(), at);
        }
        table
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the rows and their index.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let more = self.more.len() * 2 * size_of::<(u128, Vec<u32>)>()
            + self.more.values().map(|m| m.capacity() * 4).sum::<usize>();
        self.rows.bytes() + self.index.bytes() + more
    }

    /// Whether an id has a row.
    #[must_use]
    pub fn has(&self, id: u128) -> bool {
        !self.is_empty() && self.index.find(id, |at| self.rows.is(at, id)).is_some()
    }

    /// Fills `out` with the positions of all rows of an id, in the order they were added.
    #[inline]
    pub fn all(&self, id: u128, out: &mut Vec<u32>) {
        out.clear();
        if !self.several {
            out.extend(self.index.find(id, |at| self.rows.is(at, id)));
            return;
        }
        self.index.find_all(id, |at| {
            if self.rows.is(at, id) {
                out.push(at);
            }
        });
        if !self.more.is_empty() {
            out.extend(self.more.get(&id).into_iter().flatten());
        }
        if out.len() > 1 {
            out.sort_unstable_by_key(|at| self.rows.order(*at));
        }
    }

    /// Brings the slots that the next look-ups read into the cache; at most `TOUCHED` at once.
    pub fn touch(&self, ids: &[u128]) {
        std::hint::black_box(ids.iter().fold(0, |touched, id| touched ^ self.index.touch(*id)));
    }

    /// Brings the rows of ids that are there into the cache, once their slots are.
    pub fn touch_rows(&self, ids: &[u128]) {
        // Ids that are not there are hardly ever taken for one that is; then a row is read for nothing.
        let row = |id: &u128| self.index.find(*id, |_| true).map_or(0, |at| self.rows.touch(at));
        std::hint::black_box(ids.iter().fold(0, |touched, id| touched ^ row(id)));
    }

    /// Adds a row of an id that has `held` rows.
    #[inline]
    pub fn add(&mut self, id: u128, held: usize, ts: i64, shared: Shared, own: &[u32]) -> Option<u32> {
        let at = self.rows.push(id, ts, shared, own)?;
        self.enter(id, held, at);
        Some(at)
    }

    #[inline]
    fn enter(&mut self, id: u128, held: usize, at: u32) {
        self.several |= held > 0;
        self.len += 1;
        if held < IN_INDEX {
            self.index.insert(id, at);
        } else {
            self.more.entry(id).or_default().push(at);
        }
    }

    #[inline]
    pub fn mark(&mut self, at: u32, marks: Marks) {
        self.rows.set_marks(at, marks);
    }

    /// Takes out a row.
    pub fn remove(&mut self, id: u128, at: u32) {
        let place = self.more.get(&id).and_then(|more| more.iter().position(|m| *m == at));
        if let (Some(place), Some(more)) = (place, self.more.get_mut(&id)) {
            more.remove(place);
            if more.is_empty() {
                self.more.remove(&id);
            }
        } else {
            self.index.remove(id, at);
        }
        self.rows.remove(at);
        self.len -= 1;
    }

    /// Takes out the rows with times before `from`, and of the labelled ones those before `labelled_from`; `gone` is told
    /// their times, and whether they were labelled.
    pub fn drop_before(&mut self, from: i64, labelled_from: i64, gone: impl FnMut(i64, bool)) -> Dropped {
        let dropped = self.rows.drop_before(from, labelled_from, gone);
        if dropped.rows == 0 {
            return dropped;
        }
        let rows = &self.rows;
        self.index.retain(|at| rows.holds(at));
        self.more.retain(|_, of| {
            of.retain(|at| rows.holds(*at));
            !of.is_empty()
        });
        self.len = self.index.len() + self.more.values().map(Vec::len).sum::<usize>();
        self.several &= self.len > 0;
        dropped
    }
}
