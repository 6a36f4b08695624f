//! What of a unit is in the log.

use std::collections::{BTreeMap, BTreeSet};

use driftgate_core::codec::chunk::Digest;

/// What of a unit is in the log: chunks are not written again, and are deleted once neither of the last two manifests names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Chunks that are whole, and their numbers of parts.
    pub(super) chunks: BTreeMap<Digest, u32>,
    /// Chunks of which only parts are there.
    pub(super) torn: BTreeMap<Digest, u32>,
    pub(super) slots: [Slot; 2],
    /// The slot of the manifest that counts.
    pub(super) newest: Option<usize>,
}

/// A place for a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Parts that have a record; some may be of another manifest than the last one.
    pub parts: u32,
    /// The chunks of the manifest in it.
    pub chunks: BTreeSet<Digest>,
}

impl Held {
    /// The slot for the next manifest: not that of the one that counts.
    pub(super) fn next_slot(&self) -> usize {
        self.newest.map_or(0, |slot| 1 - slot)
    }

    /// Chunks that a manifest which names `named` and the one that counts now do not need, and their numbers of parts.
    pub(super) fn unneeded(&self, named: &BTreeSet<Digest>) -> BTreeMap<Digest, u32> {
        let last = self.newest.and_then(|slot| self.slots.get(slot)).map(|slot| &slot.chunks);
        let is_needed = |digest: &Digest| named.contains(digest) || last.is_some_and(|last| last.contains(digest));
        let all = self.chunks.iter().chain(&self.torn);
        all.filter(|(digest, _)| !is_needed(digest)).map(|(digest, parts)| (digest.clone(), *parts)).collect()
    }

    /// Parts of these chunks are in the log now, of `whole` all.
    pub(super) fn added(&mut self, begun: BTreeMap<Digest, u32>, whole: &BTreeSet<Digest>) {
        for (digest, parts) in begun {
            if whole.contains(&digest) {
                self.torn.remove(&digest);
                self.chunks.insert(digest, parts);
            } else {
                self.torn.insert(digest, parts);
            }
        }
    }

    /// A manifest is in the log now, and these chunks are not any more.
    pub(super) fn committed(&mut self, slot: usize, content: Slot, deleted: &BTreeMap<Digest, u32>) {
        self.chunks.retain(|digest, _| !deleted.contains_key(digest));
        self.torn.retain(|digest, _| !deleted.contains_key(digest));
        if let Some(place) = self.slots.get_mut(slot) {
            *place = content;
            self.newest = Some(slot);
        }
    }
}
