//! From ids to positions: an open-addressed table of eight-byte slots, in parts that grow one by one, so that growing takes
//! little memory beside what is there. A slot has the position of a row and 32 bits of its id's hash; whether the ids agree
//! in all 128 bits is for the caller to say.

use std::hash::BuildHasher as _;

use crate::seeded::Seeded;

/// Parts of an index.
const PARTS: usize = 256;
/// Slots of a part's first allocation.
const FIRST: usize = 16;

/// Slots of a part are in the order of their hashes, but for being moved on where one is taken; so growing goes once through
/// both the old and the new. Zero is an empty slot: fingerprints are never zero.
#[derive(Clone, Debug, Default)]
struct Part {
    slots: Vec<u64>,
    used: usize,
}

/// Positions by the hash of an id; an id may have several. Ids are themselves hashes of texts by a function that anybody can run
/// backwards, so how they are spread over the slots is decided by a seed.
#[derive(Clone, Debug)]
pub struct Index {
    parts: Vec<Part>,
    len: usize,
    seeded: Seeded,
}

/// The part of a hash, and what is compared within it.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the bits that are wanted")]
fn place(hash: u64) -> (usize, u32) {
    (hash as usize % PARTS, ((hash >> 32) as u32).max(1))
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the two halves of it")]
fn parse(slot: u64) -> (u32, u32) {
    ((slot >> 32) as u32, slot as u32)
}

#[inline]
fn slot(fingerprint: u32, position: u32) -> u64 {
    u64::from(fingerprint) << 32 | u64::from(position)
}

impl Part {
    /// Where a fingerprint would stand first.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "below the number of slots")]
    fn home(&self, fingerprint: u32) -> usize {
        ((u64::from(fingerprint) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// The slot of this fingerprint whose position `is` says yes to. There is always an empty slot to stop at.
    #[inline]
    fn find(&self, fingerprint: u32, mut is: impl FnMut(u32) -> bool) -> Option<usize> {
        let mut at = self.home(fingerprint);
        loop {
            let &slot = self.slots.get(at).filter(|s| **s != 0)?;
            let (found, position) = parse(slot);
            if found == fingerprint && is(position) {
                return Some(at);
            }
            at = self.next(at);
        }
    }

    /// Calls `each` with the positions of this fingerprint.
    #[inline]
    fn find_all(&self, fingerprint: u32, mut each: impl FnMut(u32)) {
        let mut at = self.home(fingerprint);
        while let Some(&slot) = self.slots.get(at).filter(|s| **s != 0) {
            let (found, position) = parse(slot);
            if found == fingerprint {
                each(position);
            }
            at = self.next(at);
        }
    }

    #[inline]
    fn put(&mut self, new: u64) {
        let mut at = self.home(parse(new).0);
        while self.slots.get(at).is_some_and(|s| *s != 0) {
            at = self.next(at);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = new;
        }
    }

    /// Makes room for one more: at most two of three slots are used, so that most searches end in the first cache line.
    #[inline]
    fn make_room(&mut self) {
        if (self.used + 1) * 3 > self.slots.len() * 2 {
            self.resize((self.slots.len() + self.slots.len() / 2).max(FIRST));
        }
    }

    /// Writes the empty slots: memory that is zero as it comes from the system is looked at before it is written to, which
    /// takes two page faults and an interruption of the other cores for every page.
    #[allow(clippy::slow_vector_initialization, reason = "zeroed memory is slower here, as said above")]
    fn resize(&mut self, slots: usize) {
        let mut empty = Vec::with_capacity(slots);
        empty.resize(slots, 0);
        let old = std::mem::replace(&mut self.slots, empty);
        old.into_iter().filter(|s| *s != 0).for_each(|s| self.put(s));
    }

    /// Empties a slot; those behind it that it kept from their places move up.
    fn empty(&mut self, mut hole: usize) {
        let len = self.slots.len();
        let mut at = hole;
        loop {
            at = self.next(at);
            let Some(&slot) = self.slots.get(at).filter(|s| **s != 0) else { break };
            let wanted = self.home(parse(slot).0);
            // How far it stands from its home, and how far the hole is behind it, around the end.
            if (at + len - wanted) % len >= (at + len - hole) % len {
                if let Some(free) = self.slots.get_mut(hole) {
                    *free = slot;
                }
                hole = at;
            }
        }
        if let Some(free) = self.slots.get_mut(hole) {
            *free = 0;
        }
        self.used -= 1;
    }
}

impl Index {
    #[must_use]
    pub fn new() -> Self {
        Self { parts: vec![Part::default(); PARTS], len: 0, seeded: Seeded::default() }
    }

    /// A hash of all bits of an id.
    #[inline]
    fn hash(&self, id: u128) -> u64 {
        self.seeded.hash_one(id)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Calls `each` with the positions that an id may have, in no order.
    #[inline]
    pub fn find_all(&self, id: u128, each: impl FnMut(u32)) {
        let (part, fingerprint) = place(self.hash(id));
        if let Some(part) = self.parts.get(part) {
            part.find_all(fingerprint, each);
        }
    }

    /// A position of an id; `is` says whether a row has it.
    #[inline]
    pub fn find(&self, id: u128, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let (part, fingerprint) = place(self.hash(id));
        let part = self.parts.get(part)?;
        let at = part.find(fingerprint, &mut is)?;
        part.slots.get(at).map(|s| parse(*s).1)
    }

    /// The first slot that an id is looked for in, to have it in the cache.
    #[inline]
    pub fn touch(&self, id: u128) -> u64 {
        let (part, fingerprint) = place(self.hash(id));
        self.parts.get(part).and_then(|p| p.slots.get(p.home(fingerprint))).copied().unwrap_or(0)
    }

    /// Adds a position of an id.
    #[inline]
    pub fn insert(&mut self, id: u128, position: u32) {
        let (part, fingerprint) = place(self.hash(id));
        if let Some(part) = self.parts.get_mut(part) {
            part.make_room();
            part.put(slot(fingerprint, position));
            part.used += 1;
            self.len += 1;
        }
    }

    pub fn remove(&mut self, id: u128, position: u32) {
        let (part, fingerprint) = place(self.hash(id));
        if let Some(part) = self.parts.get_mut(part)
            && let Some(at) = part.find(fingerprint, |p| p == position)
        {
            part.empty(at);
            self.len -= 1;
        }
    }

    /// Bytes of the slots.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.slots.capacity() * size_of_val(part.slots.first().unwrap_or(&0))).sum()
    }

    /// Keeps the positions that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        let mut kept = Vec::new();
        for part in &mut self.parts {
            kept.clear();
            kept.extend(part.slots.iter().copied().filter(|s| *s != 0 && keep(parse(*s).1)));
            if kept.len() == part.used {
                continue;
            }
            self.len -= part.used - kept.len();
            part.used = kept.len();
            let enough = (kept.len() * 2).max(FIRST);
            if enough * 3 < part.slots.len() * 2 {
                part.slots = vec![0; enough];
            } else {
                part.slots.fill(0);
            }
            kept.iter().for_each(|s| part.put(*s));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(ops in prop::collection::vec((0..40_u128, 0..8_u8), 0..400)) {
            let mut index = Index::new();
            // Few ids in few parts, so that they stand in each other's way.
            let ids: Vec<u128> = (0_u128..).filter(|id| index.hash(*id) % 256 < 2).take(40).collect();
            let mut model: HashMap<u128, BTreeSet<u32>> = HashMap::new();
            let mut owner: HashMap<u32, u128> = HashMap::new();
            for (n, (at, op)) in (0_u32..).zip(ops) {
                let id = ids[usize::try_from(at).unwrap()];
                match (op, model.get(&id).and_then(|of| of.iter().nth(n as usize % of.len().max(1)).copied())) {
                    (0, _) => {
                        index.retain(|p| p % 3 != 0);
                        model.values_mut().for_each(|of| of.retain(|p| p % 3 != 0));
                    }
                    (1..=3, Some(position)) => {
                        index.remove(id, position);
                        model.entry(id).or_default().remove(&position);
                    }
                    _ => {
                        owner.insert(n, id);
                        index.insert(id, n);
                        model.entry(id).or_default().insert(n);
                    }
                }
                prop_assert_eq!(index.len(), model.values().map(BTreeSet::len).sum::<usize>());
                for id in &ids {
                    let expected = model.get(id).cloned().unwrap_or_default();
                    let found = index.find(*id, |p| owner[&p] == *id);
                    prop_assert!(found.map_or(expected.is_empty(), |p| expected.contains(&p)));
                    let mut all = BTreeSet::new();
                    index.find_all(*id, |p| all.extend((owner[&p] == *id).then_some(p)));
                    prop_assert_eq!(all, expected);
                }
            }
        }
    }

    /// Ids that fell on one another in every process while the hash was fixed: one of its factors is zero.
    #[test]
    fn ids_that_are_chosen_for_a_fixed_hash_are_spread() {
        let chosen = |n: u64| u128::from(n) << 64 | 0x9e37_79b9_7f4a_7c15;
        let mut index = Index::new();
        let began = std::time::Instant::now();
        for n in 0..40_000_u32 {
            assert_eq!(index.find(chosen(n.into()), |_| false), None);
            index.insert(chosen(n.into()), n);
        }
        assert!((0..40_000_u32).all(|n| index.find(chosen(n.into()), |at| at == n) == Some(n)));
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
