//! Rows of ids, in blocks (`block`): a row is written once and never changes, and a block goes as a whole when its last row
//! does. What changes later (it was labelled, a KPI was counted, it is gone) stands beside the rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::block::Shared;
use super::block::{Layout, RowBlock};
use super::meeting::{Bounds, JoinOutcome, Marks};
use crate::codec::chunk::{Chunk, EachChunk};
use crate::seeded::Map;
use crate::state_v4;

/// Rows of a block.
pub const ROWS: usize = 1 << 16;

/// Rows by position: the number of a block and the row in it.
#[derive(Clone, Debug)]
pub struct JoinRows {
    /// Codes that each row has of its own.
    own: usize,
    /// Rows of a block.
    block_rows: usize,
    blocks: Vec<Option<RowBlock>>,
    free: Vec<usize>,
    open: Option<usize>,
    begun: u64,
    /// Codes of what rows of the open block share, and the one used last.
    codes: Map<Shared, u16>,
    last: Option<(Shared, u16)>,
}

/// Rows as a checkpoint keeps them: as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsState {
    own: usize,
    blocks: Vec<Option<RowBlock>>,
    /// The bytes of each block,
    bytes: Vec<Chunk>,
    /// and of its first labels.
    firsts: Vec<Chunk>,
    open: Option<usize>,
    begun: u64,
}

impl From<state_v4::RowsState> for RowsState {
    fn from(old: state_v4::RowsState) -> Self {
        let blocks = old.blocks.into_iter().map(|b| b.map(RowBlock::from)).collect();
        let firsts = vec![Chunk::default(); old.bytes.len()];
        Self { own: old.own, blocks, bytes: old.bytes, firsts, open: old.open, begun: old.begun }
    }
}

impl RowsState {
    /// The bytes of full blocks, and first labels where they are many: most labels come soon, so that those of older blocks
    /// hardly change.
    pub fn chunks(&mut self, each: EachChunk<'_>) {
        let full = self.blocks.iter().zip(&mut self.bytes).enumerate();
        full.filter(|(number, (block, _))| block.is_some() && self.open != Some(*number))
            .for_each(|(_, (_, c))| each(c));
        self.firsts.iter_mut().filter(|c| c.is_worth_a_file()).for_each(each);
    }

    /// Rows that wait.
    pub fn live(&self) -> usize {
        self.blocks.iter().flatten().map(|block| block.live).sum()
    }
}

/// Rows dropped by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub rows: u64,
    pub unlabelled: u64,
}

impl JoinRows {
    /// Rows with `own` codes each, in blocks of so many, at most `ROWS`.
    #[must_use]
    pub fn new(own: usize, block_rows: usize) -> Self {
        Self {
            own,
            block_rows: block_rows.clamp(1, ROWS),
            blocks: Vec::new(),
            free: Vec::new(),
            open: None,
            begun: 0,
            codes: Map::default(),
            last: None,
        }
    }

    /// Codes that each row has of its own.
    #[must_use]
    pub fn width(&self) -> usize {
        self.own
    }

    #[inline]
    fn block(&self, at: u32) -> Option<(&RowBlock, usize)> {
        let (number, row) = (at as usize / ROWS, at as usize % ROWS);
        Some((self.blocks.get(number)?.as_ref()?, row))
    }

    #[inline]
    fn block_mut(&mut self, at: u32) -> Option<(&mut RowBlock, usize)> {
        let (number, row) = (at as usize / ROWS, at as usize % ROWS);
        Some((self.blocks.get_mut(number)?.as_mut()?, row))
    }

    /// Whether the row at a position has this id.
    #[inline]
    #[must_use]
    pub fn is(&self, at: u32, id: u128) -> bool {
        self.block(at).is_some_and(|(b, row)| b.id(row) == id)
    }

    #[inline]
    #[must_use]
    pub fn id(&self, at: u32) -> u128 {
        self.block(at).map_or(0, |(b, row)| b.id(row))
    }

    #[inline]
    #[must_use]
    pub fn ts(&self, at: u32) -> i64 {
        self.block(at).map_or(0, |(b, row)| b.ts(row))
    }

    #[inline]
    #[must_use]
    pub fn shared(&self, at: u32) -> Shared {
        self.block(at).map_or_else(Shared::default, |(b, row)| b.shared(row))
    }

    /// The row's own codes.
    #[inline]
    pub fn own(&self, at: u32, out: &mut Vec<u32>) {
        match self.block(at) {
            Some((b, row)) => b.own(row, out),
            None => out.clear(),
        }
    }

    #[inline]
    #[must_use]
    pub fn marks(&self, at: u32) -> Marks {
        self.block(at).map_or_else(Marks::default, |(b, row)| b.marks(row))
    }

    pub fn set_marks(&mut self, at: u32, marks: Marks) {
        let rows = self.block_rows;
        let Some((block, row)) = self.block_mut(at) else { return };
        if marks.labelled {
            block.labelled.set(row, rows);
        }
        if marks.kpis != 0 && block.kpis.len() <= row {
            block.kpis.resize(rows.max(row + 1), 0);
        }
        if let Some(kpis) = block.kpis.get_mut(row) {
            *kpis = marks.kpis;
        }
    }

    /// The first label of the row's id, where this row joined it first.
    #[inline]
    #[must_use]
    pub fn first(&self, at: u32, bounds: Bounds) -> Option<JoinOutcome> {
        self.block(at).and_then(|(b, row)| b.firsts.get(row, || bounds.earliest(b.ts(row))))
    }

    /// Keeps it; `false` where it cannot be kept here.
    #[inline]
    pub fn set_first(&mut self, at: u32, bounds: Bounds, outcome: &JoinOutcome) -> bool {
        let rows = self.block_rows;
        self.block_mut(at).is_some_and(|(b, row)| b.firsts.set(row, rows, bounds.earliest(b.ts(row)), outcome))
    }

    /// Reads what a look-up of the row reads.
    #[inline]
    pub fn touch(&self, at: u32) -> u64 {
        self.block(at).map_or(0, |(b, row)| b.ts(row).cast_unsigned() ^ b.firsts.bits(row))
    }

    /// Rows were added in the order of this.
    #[must_use]
    pub fn order(&self, at: u32) -> (u64, usize) {
        self.block(at).map_or((u64::MAX, 0), |(b, row)| (b.order, row))
    }

    /// Adds a row; `None` where 2^32 are held already.
    #[inline]
    pub fn push(&mut self, id: u128, ts: i64, shared: Shared, own: &[u32]) -> Option<u32> {
        let rows = self.block_rows;
        let open = self.open.and_then(|n| self.blocks.get(n)?.as_ref());
        let full = open.is_none_or(|b| b.rows() >= rows);
        if full || open.is_some_and(|b| !b.fits(ts, own)) {
            // A row that did not fit would often not be the last one, and every row fits a wide block.
            self.begin(ts, if full && RowBlock::is_narrow(own) { Layout::Narrow } else { Layout::Wide })?;
        }
        let number = self.open?;
        let block = self.blocks.get_mut(number)?.as_mut()?;
        let code = match self.last {
            Some((last, code)) if last == shared => code,
            _ => *self.codes.entry(shared).or_insert_with(|| {
                block.shared.push(shared);
                // A block has at most as many of these as rows.
                u16::try_from(block.shared.len() - 1).unwrap_or(u16::MAX)
            }),
        };
        self.last = Some((shared, code));
        let row = block.rows();
        block.push(id, ts, code, own);
        u32::try_from(number * ROWS + row).ok()
    }

    /// How many blocks were begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Bytes of all blocks.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.blocks.iter().flatten().map(RowBlock::bytes).sum()
    }

    /// The blocks that no row is added to any more: the latest time of each, and how many rows it has.
    pub fn full_blocks(&self) -> impl Iterator<Item = (i64, usize)> {
        let numbered = self.blocks.iter().enumerate().filter(|(number, _)| self.open != Some(*number));
        numbered.filter_map(|(_, block)| block.as_ref().map(|b| (b.times.1, b.rows())))
    }

    /// Begins a block.
    fn begin(&mut self, base: i64, layout: Layout) -> Option<()> {
        self.codes.clear();
        self.last = None;
        if let Some(open) = self.open.take() {
            if let Some(Some(block)) = self.blocks.get_mut(open) {
                Arc::get_mut(&mut block.bytes).into_iter().for_each(Vec::shrink_to_fit);
            }
            self.free_if_empty(open);
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.blocks.len() * ROWS > u32::MAX as usize => return None,
            None => {
                self.blocks.push(None);
                self.blocks.len() - 1
            }
        };
        *self.blocks.get_mut(number)? = Some(RowBlock::new(self.begun, layout, base, self.own, self.block_rows));
        self.begun += 1;
        self.open = Some(number);
        Some(())
    }

    fn free_if_empty(&mut self, number: usize) {
        if let Some(place) = self.blocks.get_mut(number)
            && place.as_ref().is_some_and(|b| b.live == 0)
        {
            *place = None;
            self.free.push(number);
        }
    }

    /// Whether the row at a position is there and not gone.
    #[inline]
    #[must_use]
    pub fn holds(&self, at: u32) -> bool {
        self.block(at).is_some_and(|(b, row)| !b.gone.get(row))
    }

    /// Takes out one row.
    pub fn remove(&mut self, at: u32) {
        let rows = self.block_rows;
        let Some((block, row)) = self.block_mut(at) else { return };
        if !block.gone.get(row) {
            block.gone.set(row, rows);
            block.live -= 1;
            let number = at as usize / ROWS;
            if self.open != Some(number) {
                self.free_if_empty(number);
            }
        }
    }

    /// Takes out the rows with times before `from`, and of the labelled ones those before `labelled_from`; `gone` is told
    /// their times, and whether they were labelled. Blocks that are young enough are not looked into.
    pub fn drop_before(&mut self, from: i64, labelled_from: i64, mut gone: impl FnMut(i64, bool)) -> Dropped {
        let mut dropped = Dropped::default();
        let latest = from.max(labelled_from);
        for number in 0..self.blocks.len() {
            let Some(Some(block)) = self.blocks.get_mut(number) else { continue };
            if block.times.0 >= latest {
                continue;
            }
            let mut times = (i64::MAX, i64::MIN);
            for row in 0..block.rows() {
                if block.gone.get(row) {
                    continue;
                }
                let (ts, labelled) = (block.ts(row), block.labelled.get(row));
                if ts >= if labelled { labelled_from } else { from } {
                    times = (times.0.min(ts), times.1.max(ts));
                    continue;
                }
                block.gone.set(row, self.block_rows);
                block.live -= 1;
                dropped.rows += 1;
                dropped.unlabelled += u64::from(!labelled);
                gone(ts, labelled);
            }
            block.times = times;
            if self.open != Some(number) {
                self.free_if_empty(number);
            }
        }
        dropped
    }

    /// What a checkpoint keeps. The rows themselves are shared, not copied.
    #[must_use]
    pub fn state(&self) -> RowsState {
        let here = |bytes: Option<&Arc<Vec<u8>>>| bytes.map_or_else(Chunk::default, |b| Chunk::Here(Arc::clone(b)));
        let bytes = |b: &Option<RowBlock>| here(b.as_ref().map(|b| &b.bytes));
        let firsts = |b: &Option<RowBlock>| here(b.as_ref().map(|b| &b.firsts.bytes));
        RowsState {
            own: self.own,
            bytes: self.blocks.iter().map(bytes).collect(),
            firsts: self.blocks.iter().map(firsts).collect(),
            blocks: self.blocks.clone(),
            open: self.open,
            begun: self.begun,
        }
    }

    /// Rows as a checkpoint kept them.
    #[must_use]
    pub fn restore(state: RowsState) -> Self {
        let RowsState { own, mut blocks, bytes, firsts, open, begun } = state;
        for ((block, bytes), firsts) in blocks.iter_mut().zip(bytes).zip(firsts) {
            if let (Some(block), Chunk::Here(bytes), Chunk::Here(firsts)) = (block, bytes, firsts) {
                block.bytes = bytes;
                block.firsts.bytes = firsts;
            }
        }
        let free = blocks.iter().enumerate().filter(|(_, b)| b.is_none()).map(|(number, _)| number).collect();
        let shared = open.and_then(|number| blocks.get(number)?.as_ref()).map_or(&[][..], |b| b.shared.as_slice());
        let codes = (0_u16..).zip(shared).map(|(code, shared)| (*shared, code)).collect();
        Self { blocks, free, open, begun, codes, ..Self::new(own, ROWS) }
    }

    /// The positions of the rows that are not gone, in the order they were added.
    pub fn positions(&self) -> impl Iterator<Item = u32> {
        let mut blocks: Vec<_> = self.blocks.iter().enumerate().filter_map(|(n, b)| Some((n, b.as_ref()?))).collect();
        blocks.sort_unstable_by_key(|(_, b)| b.order);
        blocks.into_iter().flat_map(|(number, block)| {
            let position = move |row| u32::try_from(number * ROWS + row).unwrap_or(u32::MAX);
            (0..block.rows()).filter(|row| !block.gone.get(*row)).map(position)
        })
    }
}
