//! The halves that wait, found by id and in the order of their times. A half takes its bytes (id, version, model and rows, in one piece) and
//! less than 64 more: a slot of 40 in chunks that are never moved, and up to 12 in the table of ids, which holds the numbers of slots alone.
//! Times are put in order by 64ths of how far halves may lie apart, and within one by when the halves came.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;

use super::half::{Half, Side};
use crate::seeded::Seeded;

/// Memory of a half beside its bytes.
const COST: usize = 64;
/// So many slots are allocated at once.
const CHUNK: usize = 1024;
/// So many pieces of memory are kept for halves to come.
const SPARE: usize = 64;
/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Waiting {
    /// How many ms are one bucket of times.
    bucket_ms: i64,
    slots: Slots,
    by_id: HashTable<u32>,
    seeds: Seeded,
    /// Buckets, also those that are empty by now, up to the oldest that may be needed.
    by_time: BTreeMap<i64, List>,
    /// Memory of what waits.
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

/// The slots of one bucket, the first that came first.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

#[derive(Debug, Default)]
struct Slots {
    chunks: Vec<Vec<Slot>>,
    /// The first of those that are empty; each names the next one in `behind`.
    empty: Option<u32>,
}

#[derive(Debug)]
struct Slot {
    ts: i64,
    /// Side, id, version, model and rows.
    data: Vec<u8>,
    before: u32,
    behind: u32,
}

/// What the bytes of a half say.
pub(super) struct Kept<'s> {
    pub side: Side,
    pub id: &'s str,
    pub version: &'s str,
    pub model: &'s str,
    pub rows: &'s [u8],
}

impl Waiting {
    /// `wait`: how far the times of two halves may lie apart, in ms.
    pub fn new(wait: i64) -> Self {
        Self {
            bucket_ms: (wait / 64).max(1),
            slots: Slots::default(),
            by_id: HashTable::new(),
            seeds: Seeded::default(),
            by_time: BTreeMap::new(),
            bytes: 0,
            spare: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The side and the time of the half that waits under an id.
    pub fn find(&self, id: &str) -> Option<(Side, i64)> {
        let at = self.by_id.find(self.seeds.hash_one(id), |at| self.slots.get(*at).kept().id == id)?;
        let slot = self.slots.get(*at);
        Some((slot.kept().side, slot.ts))
    }

    /// Adds a half; none waits under its id.
    pub fn put(&mut self, id: &str, side: Side, half: &Half) {
        let kept = Kept { side, id, version: &half.version, model: &half.model, rows: &half.rows };
        let data = kept.bytes(self.spare.pop());
        self.bytes += COST + data.capacity();
        let list = self.by_time.entry(half.ts.div_euclid(self.bucket_ms)).or_insert(List { first: NONE, last: NONE });
        let at = self.slots.add(Slot { ts: half.ts, data, before: list.last, behind: NONE });
        match list.last {
            NONE => list.first = at,
            before => self.slots.get_mut(before).behind = at,
        }
        list.last = at;
        let Self { slots, seeds, by_id, .. } = self;
        by_id.insert_unique(seeds.hash_one(id), at, |at| seeds.hash_one(slots.get(*at).kept().id));
    }

    /// Takes the half that waits under an id, if one does, into `into`.
    pub fn take(&mut self, id: &str, into: &mut Half) {
        let of = self.by_id.find_entry(self.seeds.hash_one(id), |at| self.slots.get(*at).kept().id == id);
        let Ok(entry) = of else { return };
        let (at, _) = entry.remove();
        let slot = self.remove(at);
        slot.half(into);
        self.keep(slot.data);
    }

    /// Drops a half of a bucket that ends before this time, if there is one: its side.
    pub fn drop_before(&mut self, line: i64) -> Option<Side> {
        self.drop_first(|bucket, bucket_ms| bucket.saturating_add(1).saturating_mul(bucket_ms) <= line)
    }

    /// Drops the oldest half, if there is one.
    pub fn drop_oldest(&mut self) -> bool {
        self.drop_first(|_, _| true).is_some()
    }

    fn drop_first(&mut self, may_drop: impl Fn(i64, i64) -> bool) -> Option<Side> {
        loop {
            let bucket = self.by_time.first_entry().filter(|of| may_drop(*of.key(), self.bucket_ms))?;
            if bucket.get().first == NONE {
                bucket.remove();
                continue;
            }
            let at = bucket.get().first;
            let slot = self.remove(at);
            let hash = self.seeds.hash_one(slot.kept().id);
            if let Ok(entry) = self.by_id.find_entry(hash, |of| *of == at) {
                entry.remove();
            }
            let side = slot.kept().side;
            self.keep(slot.data);
            return Some(side);
        }
    }

    /// Takes a slot out of its list; its id has to be taken out, too.
    fn remove(&mut self, at: u32) -> Slot {
        let slot = self.slots.take(at);
        self.bytes = self.bytes.saturating_sub(COST + slot.data.capacity());
        if slot.before != NONE {
            self.slots.get_mut(slot.before).behind = slot.behind;
        }
        if slot.behind != NONE {
            self.slots.get_mut(slot.behind).before = slot.before;
        }
        if let Some(list) = self.by_time.get_mut(&slot.ts.div_euclid(self.bucket_ms)) {
            list.first = if list.first == at { slot.behind } else { list.first };
            list.last = if list.last == at { slot.before } else { list.last };
        }
        slot
    }

    fn keep(&mut self, data: Vec<u8>) {
        if self.spare.len() < SPARE {
            self.spare.push(data);
        }
    }

    /// All of them with their times, in the order in which they would be dropped.
    pub fn iter(&self) -> impl Iterator<Item = (i64, Kept<'_>)> {
        self.by_time.values().flat_map(|list| {
            let first = Some(list.first).filter(|at| *at != NONE);
            std::iter::successors(first, |at| Some(self.slots.get(*at).behind).filter(|at| *at != NONE)).map(|at| {
                let slot = self.slots.get(at);
                (slot.ts, slot.kept())
            })
        })
    }
}

#[allow(clippy::indexing_slicing, reason = "numbers of slots come from `add`, which made them")]
impl Slots {
    #[inline]
    fn get(&self, at: u32) -> &Slot {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    #[inline]
    fn get_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn add(&mut self, slot: Slot) -> u32 {
        if let Some(at) = self.empty {
            let of = self.get_mut(at);
            let next = of.behind;
            *of = slot;
            self.empty = Some(next).filter(|next| *next != NONE);
            return at;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = &mut self.chunks[before / CHUNK];
        chunk.push(slot);
        // 2^32 of them would take 160 GiB.
        u32::try_from(before + chunk.len() - 1).unwrap_or(NONE)
    }

    fn take(&mut self, at: u32) -> Slot {
        let behind = self.empty.replace(at).unwrap_or(NONE);
        std::mem::replace(self.get_mut(at), Slot { ts: 0, data: Vec::new(), before: NONE, behind })
    }
}

impl Slot {
    fn half(&self, into: &mut Half) {
        let kept = self.kept();
        into.begin(self.ts, kept.version, kept.model);
        into.rows.extend_from_slice(kept.rows);
    }

    #[inline]
    fn kept(&self) -> Kept<'_> {
        let (side, mut rest) = match self.data.split_first() {
            Some((0, rest)) => (Side::Request, rest),
            Some((_, rest)) => (Side::Response, rest),
            None => (Side::Request, &[][..]),
        };
        let mut text = || std::str::from_utf8(part(&mut rest)).unwrap_or("");
        let (id, version, model) = (text(), text(), text());
        Kept { side, id, version, model, rows: rest }
    }
}

impl Kept<'_> {
    /// In one piece, in memory that was another's where it is about as much.
    fn bytes(&self, spare: Option<Vec<u8>>) -> Vec<u8> {
        let texts = [self.id, self.version, self.model];
        let length: usize = texts.iter().map(|text| length_of(text.len()) + text.len()).sum();
        let length = 1 + length + self.rows.len();
        let fits = |of: &Vec<u8>| (length..=length + length / 4 + 32).contains(&of.capacity());
        let mut data = spare.filter(fits).unwrap_or_else(|| Vec::with_capacity(length));
        data.clear();
        data.push(u8::from(self.side == Side::Response));
        for text in texts {
            put_length(text.len(), &mut data);
            data.extend_from_slice(text.as_bytes());
        }
        data.extend_from_slice(self.rows);
        data
    }
}

/// How many bytes a length takes: seven bits in each, the lowest first.
fn length_of(length: usize) -> usize {
    (usize::BITS - (length | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_length(mut length: usize, into: &mut Vec<u8>) {
    while length >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "its lowest bits")]
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 128")]
    into.push(length as u8);
}

/// Takes a length, and as many bytes.
#[inline]
fn part<'r>(rest: &mut &'r [u8]) -> &'r [u8] {
    let (mut length, mut shift) = (0_usize, 0);
    while let Some((byte, behind)) = rest.split_first() {
        *rest = behind;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if *byte < 0x80 {
            break;
        }
    }
    let (part, behind) = rest.split_at_checked(length).unwrap_or((&[], &[]));
    *rest = behind;
    part
}

#[cfg(test)]
mod tests {
    use std::collections::btree_map::Entry;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slot_takes_forty_bytes() {
        assert_eq!(size_of::<Slot>(), 40);
    }

    #[test]
    fn texts_of_any_length_come_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let long = "x".repeat(length);
            let kept = Kept { side: Side::Response, id: &long, version: "", model: &long, rows: b"{}\n" };
            let data = kept.bytes(None);
            assert_eq!(data.capacity(), data.len(), "{length}");
            let slot = Slot { ts: 7, data, before: NONE, behind: NONE };
            let mut half = Half { version: "old".into(), ..Half::default() };
            slot.half(&mut half);
            let expected = Half { ts: 7, version: String::new(), model: long.clone(), rows: b"{}\n".to_vec() };
            assert!(half == expected && slot.kept().id == long && slot.kept().side == Side::Response, "{length}");
        }
    }

    proptest! {
        /// Beside a map and a sorted set, which say the same in far more memory.
        #[test]
        fn it_is_what_a_map_and_a_sorted_set_would_be(
            steps in prop::collection::vec((0..5_u8, 0..12_u8, 0..400_i64, 0..90_usize), 1..200),
            wait in 1..900_i64,
        ) {
            let mut waiting = Waiting::new(wait);
            let mut model: BTreeMap<String, (u64, i64, Vec<u8>)> = BTreeMap::new();
            let (mut half, bucket) = (Half::default(), (wait / 64).max(1));
            for (step, (what, id, ts, bytes)) in (0_u64..).zip(steps) {
                let id = id.to_string();
                let oldest = |model: &BTreeMap<String, (u64, i64, Vec<u8>)>| {
                    let key = |(_, (came, ts, _)): &(&String, &(u64, i64, Vec<u8>))| (ts.div_euclid(bucket), *came);
                    model.iter().min_by_key(key).map(|(id, (_, ts, _))| (id.clone(), *ts))
                };
                match what {
                    0 | 1 => if let Entry::Vacant(entry) = model.entry(id.clone()) {
                        let rows = vec![b'x'; bytes];
                        waiting.put(&id, Side::Request, &Half { ts, rows: rows.clone(), ..Half::default() });
                        entry.insert((step, ts, rows));
                    },
                    2 => if let Some((_, ts, rows)) = model.remove(&id) {
                        prop_assert_eq!(waiting.find(&id), Some((Side::Request, ts)));
                        waiting.take(&id, &mut half);
                        prop_assert_eq!((half.ts, &half.rows), (ts, &rows));
                    } else {
                        prop_assert_eq!(waiting.find(&id), None);
                    },
                    3 => {
                        let found = oldest(&model);
                        prop_assert_eq!(waiting.drop_oldest(), found.is_some());
                        found.and_then(|(id, _)| model.remove(&id));
                    }
                    _ => {
                        let found = oldest(&model).filter(|(_, of)| (of.div_euclid(bucket) + 1) * bucket <= ts);
                        prop_assert_eq!(waiting.drop_before(ts).is_some(), found.is_some());
                        found.and_then(|(id, _)| model.remove(&id));
                    }
                }
                prop_assert_eq!(waiting.len(), model.len());
            }
            let mut order: Vec<_> = model.iter().map(|(id, (came, ts, _))| (ts.div_euclid(bucket), *came, id.as_str())).collect();
            order.sort_unstable();
            let kept: Vec<_> = waiting.iter().map(|(_, kept)| kept.id).collect();
            prop_assert_eq!(kept, order.iter().map(|(_, _, id)| *id).collect::<Vec<_>>());
            while waiting.drop_oldest() {}
            prop_assert_eq!(waiting.bytes(), 0);
        }
    }
}
