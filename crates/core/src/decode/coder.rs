//! Texts to codes: versions, stages, categories and segments of one model, with intersections joined from their parts.
//! A decoder owns one; a batch carries the values its codes mean for the first time, so decoders share nothing. Codes are
//! a decoder's shorthand and bound nothing: one that knows too many values starts again. What counts as too many distinct
//! values is decided in one place, in the order of the events (`intake::names`).

use std::ops::Range;

use crate::event::{Dictionary, Domain, Fresh, code};
use crate::schema::{Schema, cross};
use crate::seeded::Map;

/// A decoder that knows more values than this, or more bytes of them, starts again with the next batch.
pub const MOST_VALUES: usize = 1 << 18;
pub const MOST_BYTES: usize = 32 << 20;
/// The most parts an intersection has.
const MAX_PARTS: usize = 4;

/// A text of at most 15 bytes as a number that no other text has: its bytes, and its length in the highest.
pub type Word = u128;

/// The dictionaries of one decoder and one model.
#[derive(Clone, Debug)]
pub struct Coder {
    versions: Dictionary,
    stages: Dictionary,
    categorical: Vec<Dictionary>,
    attributes: Vec<Dictionary>,
    segmentations: Vec<Crossing>,
    /// Codes of short texts seen lately: of categories, and of attributes.
    recent_categories: Vec<Recent>,
    recent_attributes: Vec<Recent>,
    /// The version seen last.
    recent_version: (Word, u32),
}

/// Codes by word, each in one of the few places that its word has, the newest first.
#[derive(Clone, Debug)]
struct Recent(Box<[[(Word, u32); WAYS]]>);

/// How many places a word has: among some hundred values, hardly ever more share them.
const WAYS: usize = 4;
/// How many such sets of places there are.
const RECENT: usize = 256;

impl Recent {
    fn new() -> Self {
        // No text is the number 1: its length would be 0 and its bytes not.
        Self(vec![[(1, 0); WAYS]; RECENT].into())
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the bits that tell texts apart, folded")]
    fn place(word: Word) -> usize {
        let folded = (word as u64) ^ ((word >> 64) as u64);
        (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as usize
    }

    #[inline]
    fn get(&self, word: Word) -> Option<u32> {
        self.0.get(Self::place(word))?.iter().find(|(known, _)| *known == word).map(|(_, code)| *code)
    }

    fn put(&mut self, word: Word, code: u32) {
        if let Some(places) = self.0.get_mut(Self::place(word)) {
            places.rotate_right(1);
            let [newest, ..] = places;
            *newest = (word, code);
        }
    }
}

/// A segmentation: codes of the parts' values to the code of the joined value.
#[derive(Clone, Debug)]
struct Crossing {
    parts: Vec<usize>,
    names: Dictionary,
    /// For a single part: the segmentation's code by the attribute's.
    single: Vec<u32>,
    crossed: Map<[u32; MAX_PARTS], u32>,
}

impl Coder {
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        let unbounded = || Dictionary::new(usize::MAX);
        let segmentations = schema.segmentations.iter().map(|parts| Crossing {
            parts: parts.clone(),
            names: unbounded(),
            single: Vec::new(),
            crossed: Map::default(),
        });
        Self {
            versions: unbounded(),
            stages: unbounded(),
            categorical: vec![unbounded(); schema.categorical.len()],
            attributes: vec![unbounded(); schema.attributes.len()],
            segmentations: segmentations.collect(),
            recent_categories: vec![Recent::new(); schema.categorical.len()],
            recent_attributes: vec![Recent::new(); schema.attributes.len()],
            recent_version: (1, 0),
        }
    }

    /// Begins a batch; with too many values known all are forgotten, and `fresh` and the result say so.
    pub fn begin(&mut self, fresh: &mut Fresh) -> bool {
        let own = [&self.versions, &self.stages].into_iter().chain(&self.categorical).chain(&self.attributes);
        let all = own.chain(self.segmentations.iter().map(|c| &c.names));
        let (known, bytes) = all.fold((0, 0), |(known, bytes), d| (known + d.len(), bytes + d.bytes()));
        if known <= MOST_VALUES && bytes <= MOST_BYTES {
            return false;
        }
        let unbounded = || Dictionary::new(usize::MAX);
        self.versions = unbounded();
        self.stages = unbounded();
        self.categorical.iter_mut().chain(&mut self.attributes).for_each(|d| *d = unbounded());
        for crossing in &mut self.segmentations {
            crossing.names = unbounded();
            crossing.single.clear();
            crossing.crossed.clear();
        }
        self.recent_categories.iter_mut().chain(&mut self.recent_attributes).for_each(|r| *r = Recent::new());
        self.recent_version = (1, 0);
        fresh.push((Domain::Restart, "".into()));
        true
    }

    #[inline]
    pub fn version(&mut self, text: &str, fresh: &mut Fresh) -> u32 {
        note(self.versions.intern(text), Domain::Version, text, fresh)
    }

    /// The same for a short text of a UTF-8 event, whose word is known.
    #[inline]
    pub fn short_version(&mut self, word: Word, event: &[u8], text: Range<usize>, fresh: &mut Fresh) -> u32 {
        if self.recent_version.0 != word {
            self.recent_version = (word, self.version(within(event, text), fresh));
        }
        self.recent_version.1
    }

    #[inline]
    pub fn stage(&mut self, text: &str, fresh: &mut Fresh) -> u32 {
        note(self.stages.intern(text), Domain::Stage, text, fresh)
    }

    /// The code of a category of feature `slot`.
    #[inline]
    pub fn category(&mut self, slot: usize, text: &str, fresh: &mut Fresh) -> u32 {
        match self.categorical.get_mut(slot) {
            Some(d) => note(d.intern(text), Domain::Categorical(slot), text, fresh),
            None => code::INVALID,
        }
    }

    /// The same for a short text of a UTF-8 event, whose word is known.
    #[inline]
    pub fn short_category(
        &mut self,
        slot: usize,
        word: Word,
        event: &[u8],
        text: Range<usize>,
        fresh: &mut Fresh,
    ) -> u32 {
        if let Some(code) = self.recent_categories.get(slot).and_then(|r| r.get(word)) {
            return code;
        }
        let code = self.category(slot, within(event, text), fresh);
        self.recent_categories.get_mut(slot).into_iter().for_each(|r| r.put(word, code));
        code
    }

    /// The code of an attribute's value that is a short text of a UTF-8 event, whose word is known.
    #[inline]
    pub fn short_attribute(&mut self, slot: usize, word: Word, event: &[u8], text: Range<usize>) -> u32 {
        if let Some(code) = self.recent_attributes.get(slot).and_then(|r| r.get(word)) {
            return code;
        }
        let code = self.attribute(slot, within(event, text));
        self.recent_attributes.get_mut(slot).into_iter().for_each(|r| r.put(word, code));
        code
    }

    /// The code of an attribute's value; only `segment` understands it.
    #[inline]
    pub fn attribute(&mut self, slot: usize, text: &str) -> u32 {
        self.attributes.get_mut(slot).map_or(code::INVALID, |d| d.intern(text).0)
    }

    /// The code of segmentation `s` for one row's attribute codes; `code::MISSING` where a part has no value.
    #[inline]
    pub fn segment(&mut self, s: usize, row: &[u32], fresh: &mut Fresh) -> u32 {
        let Some(crossing) = self.segmentations.get_mut(s) else { return code::MISSING };
        let part_code = |part: &usize| row.get(*part).copied().filter(|&c| c < code::SPECIAL);
        if let [only] = crossing.parts.as_slice() {
            let Some(attribute) = part_code(only) else { return code::MISSING };
            match crossing.single.get(attribute as usize) {
                Some(&known) if known != code::MISSING => return known,
                _ => {}
            }
            let name = self.attributes.get(*only).and_then(|d| d.name(attribute)).unwrap_or("");
            let found = note(crossing.names.intern(name), Domain::Segmentation(s), name, fresh);
            let at = attribute as usize;
            if crossing.single.len() <= at {
                crossing.single.resize(at + 1, code::MISSING);
            }
            if let Some(slot) = crossing.single.get_mut(at) {
                *slot = found;
            }
            return found;
        }
        let mut key = [code::MISSING; MAX_PARTS];
        for (slot, part) in key.iter_mut().zip(&crossing.parts) {
            let Some(c) = part_code(part) else { return code::MISSING };
            *slot = c;
        }
        if let Some(&known) = crossing.crossed.get(&key) {
            return known;
        }
        let mut joined = String::new();
        let parts = crossing.parts.iter().zip(key);
        cross(parts.map(|(part, c)| self.attributes.get(*part).and_then(|d| d.name(c)).unwrap_or("")), &mut joined);
        let found = note(crossing.names.intern(&joined), Domain::Segmentation(s), &joined, fresh);
        crossing.crossed.insert(key, found);
        found
    }
}

/// A text between two quotes of a UTF-8 event.
pub(super) fn within(event: &[u8], text: Range<usize>) -> &str {
    event.get(text).and_then(|t| std::str::from_utf8(t).ok()).unwrap_or("")
}

#[inline]
fn note((code, new): (u32, bool), domain: Domain, text: &str, fresh: &mut Fresh) -> u32 {
    if new {
        fresh.push((domain, text.into()));
    }
    code
}
