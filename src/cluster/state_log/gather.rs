//! A state out of records, in the order of the log: the last content of each key counts. Chunks go to files as they come; of manifests, the last
//! of each slot is held.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::held::{Held, Slot};
use super::keys::{Key, Keys};
use super::manifest::Manifest;
use super::parts::{self, NoPart, Part};
use super::staged::Staged;
use crate::cluster::error::ClusterError;
use driftgate_core::codec::chunk::Digest;
use driftgate_core::codec::envelope::EnvelopeError;

/// What was read of a unit.
pub struct Gather {
    topic: String,
    keys: Keys,
    staged: Staged,
    chunks: BTreeMap<Digest, InLog>,
    slots: [InSlot; 2],
    /// Manifests that were whole so far.
    order: u64,
    bytes: u64,
}

/// A chunk.
struct InLog {
    of: u32,
    parts: BTreeSet<u32>,
    /// It is in its place in the folder.
    is_there: bool,
}

/// A slot.
#[derive(Default)]
struct InSlot {
    /// Parts of a manifest that is not whole yet.
    parts: BTreeMap<u32, Taken>,
    whole: Option<Whole>,
    /// A part or manifest after it is of this format.
    newer: Option<u32>,
    /// Parts that had a record so far.
    keys: u32,
}

struct Taken {
    digest: Digest,
    of: u32,
    bytes: Vec<u8>,
}

/// A manifest that is whole.
struct Whole {
    manifest: Manifest,
    document: Vec<u8>,
    order: u64,
}

/// Whether a state is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In this slot.
    State(usize),
    /// There is none at all.
    Nothing,
    /// Not the one that is looked for; the newest is this one.
    Other(Option<u64>),
    /// One that a newer driftgate wrote.
    Newer(u32),
    /// The newest is not whole.
    Torn,
}

impl Gather {
    /// Begins, for a state folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn new(topic: &str, unit: &str, folder: &Path) -> Result<Self, ClusterError> {
        let staged = Staged::new(folder)?;
        Ok(Self {
            topic: topic.to_owned(),
            keys: Keys::new(unit),
            staged,
            chunks: BTreeMap::new(),
            slots: <[InSlot; 2]>::default(),
            order: 0,
            bytes: 0,
        })
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a record in.
    ///
    /// # Errors
    /// A disk that is full or broken.
    pub fn take(&mut self, key: &[u8], payload: Option<&[u8]>) -> Result<(), ClusterError> {
        self.bytes += (key.len() + payload.map_or(0, <[u8]>::len)) as u64;
        match self.keys.read(key) {
            None => Ok(()),
            Some(Key::Chunk { digest, part }) => {
                if let Some(payload) = payload {
                    return self.chunk(digest, payload);
                }
                self.chunk_deleted(digest, part);
                Ok(())
            }
            Some(Key::Manifest { slot, part }) => {
                let unit = self.keys.unit().to_owned();
                let Some(slot) = self.slots.get_mut(slot) else { return Ok(()) };
                slot.keys = slot.keys.max(part.saturating_add(1));
                match payload {
                    Some(payload) => slot.take(&unit, payload, &mut self.order),
                    None => slot.deleted(part),
                }
                Ok(())
            }
        }
    }

    fn chunk(&mut self, digest: &str, payload: &[u8]) -> Result<(), ClusterError> {
        // What is none is missed when the chunk is needed.
        let Ok(part) = Part::read(payload) else { return Ok(()) };
        if part.digest != digest {
            return Ok(());
        }
        let staged = &self.staged;
        let begin = || InLog { of: part.of, parts: BTreeSet::new(), is_there: staged.is_there(digest) };
        let chunk = self.chunks.entry(digest.to_owned()).or_insert_with(begin);
        chunk.parts.insert(part.number);
        if chunk.is_there { Ok(()) } else { staged.write(&part) }
    }

    fn chunk_deleted(&mut self, digest: &str, part: u32) {
        let Some(chunk) = self.chunks.get_mut(digest) else { return };
        chunk.parts.remove(&part);
        if chunk.parts.is_empty() {
            self.chunks.remove(digest);
            self.staged.remove(digest);
        }
    }

    /// Looks for the state of a number, or for the newest, in what was read so far.
    #[must_use]
    pub fn find(&self, seq: Option<u64>) -> Found {
        let wholes = || {
            let whole = |(at, slot): (usize, &InSlot)| {
                Some((at, slot.whole.as_ref()?.order, slot.whole.as_ref()?.manifest.seq))
            };
            self.slots.iter().enumerate().filter_map(whole)
        };
        let newer = self.slots.iter().find_map(|slot| slot.newer);
        if let Some(seq) = seq {
            let found = wholes().filter(|(.., found)| *found == seq).max_by_key(|(_, order, _)| *order);
            return match (found, newer) {
                (Some((at, ..)), _) => Found::State(at),
                (None, Some(format)) => Found::Newer(format),
                (None, None) => Found::Other(wholes().map(|(.., seq)| seq).max()),
            };
        }
        if let Some(format) = newer {
            return Found::Newer(format);
        }
        if self.slots.iter().any(|slot| !slot.parts.is_empty()) {
            return Found::Torn;
        }
        wholes().max_by_key(|(_, order, _)| *order).map_or(Found::Nothing, |(at, ..)| Found::State(at))
    }

    /// Puts the state of a slot into the folder, as `Store` loads it. Returns its number, and what the log holds.
    ///
    /// # Errors
    /// A chunk that is missing or damaged; a disk that is full or broken.
    pub fn finish(self, at: usize) -> Result<(u64, Held), ClusterError> {
        let damaged = |what: String| ClusterError::Damaged { topic: self.topic.clone(), what };
        let whole = self.slots.get(at).and_then(|slot| slot.whole.as_ref());
        let Some(Whole { manifest, document, .. }) = whole else { return Err(damaged("there is no manifest".into())) };
        let (_, checkpoint) = Manifest::read(document)?;
        let seq = manifest.seq;
        for digest in &manifest.chunks {
            let chunk = self.chunks.get(digest).filter(|chunk| chunk.is_whole());
            let Some(chunk) = chunk else { return Err(damaged(format!("state {seq} lacks the chunk {digest}"))) };
            if !chunk.is_there && !self.staged.place(digest)? {
                return Err(damaged(format!("the chunk {digest} of state {seq} is not what its digest says")));
            }
        }
        if !self.staged.finish(checkpoint, &manifest.chunks)? {
            return Err(damaged(format!("the checkpoint of state {seq} names other chunks than its manifest")));
        }
        Ok((seq, self.held(Some(at))))
    }

    /// What the log holds where there is no state.
    #[must_use]
    pub fn nothing(self) -> Held {
        self.held(None)
    }

    fn held(self, newest: Option<usize>) -> Held {
        let (mut chunks, mut torn) = (BTreeMap::new(), BTreeMap::new());
        for (digest, chunk) in self.chunks {
            if chunk.is_whole() { &mut chunks } else { &mut torn }.insert(digest, chunk.of);
        }
        let slots = self.slots.map(|slot| Slot {
            parts: slot.keys,
            chunks: slot.whole.map(|whole| whole.manifest.chunks).unwrap_or_default(),
        });
        Held { chunks, torn, slots, newest }
    }
}

impl InLog {
    fn is_whole(&self) -> bool {
        self.parts.len() as u64 == u64::from(self.of)
    }
}

impl InSlot {
    fn take(&mut self, unit: &str, payload: &[u8], order: &mut u64) {
        let part = match Part::read(payload) {
            Ok(part) => part,
            Err(NoPart::Newer(format)) => {
                self.newer = Some(format);
                return;
            }
            // What is none is missed where its manifest is needed.
            Err(NoPart::Damaged) => return,
        };
        let (number, of, digest) = (part.number, part.of, part.digest.to_owned());
        self.parts.insert(number, Taken { digest: digest.clone(), of, bytes: part.bytes.to_vec() });
        let is_of = |number: u32| self.parts.get(&number).is_some_and(|part| part.digest == digest && part.of == of);
        if (0..of).all(is_of) {
            // Behind them there may be parts of a longer one before.
            let parts = std::mem::take(&mut self.parts).into_iter().filter(|(number, _)| *number < of);
            let parts: Vec<Vec<u8>> = parts.map(|(_, part)| part.bytes).collect();
            self.whole(unit, parts.concat(), &digest, order);
        }
    }

    fn whole(&mut self, unit: &str, document: Vec<u8>, digest: &str, order: &mut u64) {
        if parts::digest(&document) != digest {
            return;
        }
        match Manifest::read(&document) {
            Ok((manifest, _)) if manifest.unit == unit => {
                *order += 1;
                self.newer = None;
                self.whole = Some(Whole { manifest, document, order: *order });
            }
            Err(EnvelopeError::WrongVersion { found, .. }) => self.newer = Some(found),
            _ => {}
        }
    }

    fn deleted(&mut self, part: u32) {
        self.parts.remove(&part);
        if self.whole.as_ref().is_some_and(|whole| part < parts::count(whole.document.len() as u64)) {
            self.whole = None;
        }
    }
}
