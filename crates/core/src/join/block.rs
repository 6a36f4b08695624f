//! A block of rows of ids: a row takes as few bytes as the block's other rows allow. What changes of a row later stands
//! beside the rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::first::Firsts;
use super::meeting::Marks;
use crate::state_v4;

const ID: usize = 16;
/// Codes from here on stand for the special codes at the upper end of 32 bits.
const SPECIAL: u16 = 0xfff0;

/// What many rows have in common: written once per block.
pub type Shared = [u32; 4];

/// How many bytes the numbers of a row take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Times within 24 days of the block's first, codes in 16 bits.
    Narrow,
    Wide,
}

impl Layout {
    /// Bytes of a row with `own` codes of its own.
    fn stride(self, own: usize) -> usize {
        self.own_at() + own * if self == Self::Narrow { 2 } else { 4 }
    }

    /// Where the code of what is shared is.
    fn shared_at(self) -> usize {
        ID + if self == Self::Narrow { 4 } else { 8 }
    }

    fn own_at(self) -> usize {
        self.shared_at() + 2
    }
}

/// The two bytes that stand for a code, if two can.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the cut bits are all zero or all one, by the condition")]
fn narrow(code: u32) -> Option<u16> {
    (code < u32::from(SPECIAL) || code >= 0xffff_0000 | u32::from(SPECIAL)).then_some(code as u16)
}

#[inline]
fn widen(code: u16) -> u32 {
    u32::from(code) | if code >= SPECIAL { 0xffff_0000 } else { 0 }
}

/// One bit a row; none are kept while all are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bits(Vec<u64>);

impl Bits {
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        self.0.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub fn set(&mut self, row: usize, rows: usize) {
        if self.0.len() <= row / 64 {
            self.0.resize(rows.div_ceil(64).max(row / 64 + 1), 0);
        }
        if let Some(word) = self.0.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }
}

/// A copy shares the rows until more are added, so that taking one costs next to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowBlock {
    /// Blocks were begun in the order of these.
    pub order: u64,
    pub layout: Layout,
    stride: usize,
    /// The time of the first row.
    base: i64,
    #[serde(skip)]
    pub bytes: Arc<Vec<u8>>,
    pub shared: Vec<Shared>,
    pub labelled: Bits,
    pub gone: Bits,
    /// Empty while no KPI was counted.
    pub kpis: Vec<u32>,
    /// The first label of a row's id, where the row met it first.
    pub firsts: Firsts,
    /// Rows that are not gone,
    pub live: usize,
    /// and between which times they lie.
    pub times: (i64, i64),
}

impl From<state_v4::Block> for RowBlock {
    fn from(old: state_v4::Block) -> Self {
        Self {
            order: old.order,
            layout: match old.layout {
                state_v4::RowLayout::Narrow => Layout::Narrow,
                state_v4::RowLayout::Wide => Layout::Wide,
            },
            stride: old.stride,
            base: old.base,
            bytes: Arc::default(),
            shared: old.shared,
            labelled: Bits(old.labelled),
            gone: Bits(old.gone),
            kpis: old.kpis,
            firsts: Firsts::default(),
            live: old.live,
            times: old.times,
        }
    }
}

impl RowBlock {
    /// Bytes of its rows and of what is kept beside them.
    pub fn bytes(&self) -> usize {
        let bits = (self.labelled.0.capacity() + self.gone.0.capacity()) * 8;
        let beside = self.shared.capacity() * size_of::<Shared>() + self.kpis.capacity() * 4;
        self.bytes.capacity() + self.firsts.bytes.capacity() + bits + beside + size_of::<Self>()
    }

    /// An empty block whose rows have `own` codes each, with room for so many.
    pub fn new(order: u64, layout: Layout, base: i64, own: usize, rows: usize) -> Self {
        let stride = layout.stride(own);
        Self {
            order,
            layout,
            stride,
            base,
            bytes: Arc::new(Vec::with_capacity(stride * rows)),
            shared: Vec::new(),
            labelled: Bits::default(),
            gone: Bits::default(),
            kpis: Vec::new(),
            firsts: Firsts::default(),
            live: 0,
            times: (i64::MAX, i64::MIN),
        }
    }

    pub fn rows(&self) -> usize {
        self.bytes.len() / self.stride
    }

    #[inline]
    fn at<const N: usize>(&self, row: usize, offset: usize) -> [u8; N] {
        let from = row * self.stride + offset;
        self.bytes.get(from..from + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
    }

    #[inline]
    pub fn id(&self, row: usize) -> u128 {
        u128::from_le_bytes(self.at(row, 0))
    }

    #[inline]
    pub fn ts(&self, row: usize) -> i64 {
        match self.layout {
            Layout::Narrow => self.base.wrapping_add(i64::from(i32::from_le_bytes(self.at(row, ID)))),
            Layout::Wide => i64::from_le_bytes(self.at(row, ID)),
        }
    }

    #[inline]
    pub fn shared(&self, row: usize) -> Shared {
        let code = u16::from_le_bytes(self.at(row, self.layout.shared_at()));
        self.shared.get(usize::from(code)).copied().unwrap_or_default()
    }

    #[inline]
    pub fn own(&self, row: usize, out: &mut Vec<u32>) {
        out.clear();
        let (from, to) = (row * self.stride + self.layout.own_at(), (row + 1) * self.stride);
        let bytes = self.bytes.get(from..to).unwrap_or_default();
        match self.layout {
            Layout::Narrow => out.extend(bytes.as_chunks().0.iter().map(|b| widen(u16::from_le_bytes(*b)))),
            Layout::Wide => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b))),
        }
    }

    fn offset(&self, ts: i64) -> Option<i32> {
        ts.checked_sub(self.base).and_then(|o| i32::try_from(o).ok())
    }

    pub fn is_narrow(own: &[u32]) -> bool {
        own.iter().all(|c| narrow(*c).is_some())
    }

    pub fn fits(&self, ts: i64, own: &[u32]) -> bool {
        self.layout == Layout::Wide || (self.offset(ts).is_some() && Self::is_narrow(own))
    }

    pub fn push(&mut self, id: u128, ts: i64, shared: u16, own: &[u32]) {
        let offset = self.offset(ts).unwrap_or(0);
        let bytes = Arc::make_mut(&mut self.bytes);
        bytes.extend_from_slice(&id.to_le_bytes());
        match self.layout {
            Layout::Narrow => {
                bytes.extend_from_slice(&offset.to_le_bytes());
                bytes.extend_from_slice(&shared.to_le_bytes());
                own.iter().for_each(|c| bytes.extend_from_slice(&narrow(*c).unwrap_or(u16::MAX).to_le_bytes()));
            }
            Layout::Wide => {
                bytes.extend_from_slice(&ts.to_le_bytes());
                bytes.extend_from_slice(&shared.to_le_bytes());
                own.iter().for_each(|c| bytes.extend_from_slice(&c.to_le_bytes()));
            }
        }
        self.live += 1;
        self.times = (self.times.0.min(ts), self.times.1.max(ts));
    }

    #[inline]
    pub fn marks(&self, row: usize) -> Marks {
        Marks { labelled: self.labelled.get(row), kpis: self.kpis.get(row).copied().unwrap_or(0) }
    }
}
