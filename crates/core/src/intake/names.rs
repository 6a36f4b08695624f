//! The dictionaries of one model and the translation of decoders' codes into them. Decoders share nothing: a batch brings
//! the values its codes mean for the first time, and they are taken over in the batch's order.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::event::{Dictionary, Domain, FeatureBatch, Fresh, Limits, PredictionBatch, code};
use crate::schema::Schema;
use crate::seeded::Map;
use crate::state_v4;

/// What the codes in panes and pending predictions mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventNames {
    versions: Dictionary,
    stages: Dictionary,
    categorical: Vec<Dictionary>,
    segmentations: Vec<Dictionary>,
}

impl From<state_v4::Names> for EventNames {
    fn from(old: state_v4::Names) -> Self {
        let one = |d: state_v4::Dictionary| Dictionary::of(d.names, d.bound);
        let all = |d: Vec<state_v4::Dictionary>| d.into_iter().map(one).collect();
        Self {
            versions: one(old.versions),
            stages: one(old.stages),
            categorical: all(old.categorical),
            segmentations: all(old.segmentations),
        }
    }
}

impl EventNames {
    #[must_use]
    pub fn new(schema: &Schema, limits: &Limits) -> Self {
        Self {
            versions: Dictionary::new(limits.versions),
            stages: Dictionary::new(limits.segments),
            categorical: schema.categorical.iter().map(|_| Dictionary::new(limits.categories)).collect(),
            segmentations: schema.segmentations.iter().map(|_| Dictionary::new(limits.segments)).collect(),
        }
    }

    /// Makes a baseline's categories known whatever the bound, which is on unseen ones alone.
    pub fn know(&mut self, baseline: &Baseline) {
        for (dictionary, reference) in self.categorical.iter_mut().zip(&baseline.categorical) {
            for name in &reference.names {
                dictionary.intern_always(name);
            }
        }
    }

    #[must_use]
    pub fn version(&self, code: u32) -> Option<&str> {
        self.versions.name(code)
    }

    #[must_use]
    pub fn version_code(&self, version: &str) -> Option<u32> {
        self.versions.get(version)
    }

    /// The code of a version that is to be known, however many there are.
    pub fn intern_version(&mut self, version: &str) -> u32 {
        self.versions.intern_always(version)
    }

    /// The code of a version, if the bound leaves room for it.
    pub fn intern_version_within(&mut self, version: &str) -> u32 {
        self.versions.intern(version).0
    }

    #[must_use]
    pub fn stage(&self, code: u32) -> Option<&str> {
        self.stages.name(code)
    }

    #[must_use]
    pub fn category(&self, feature: usize, code: u32) -> Option<&str> {
        self.categorical.get(feature)?.name(code)
    }

    /// How many values of a categorical feature are known.
    #[must_use]
    pub fn categories(&self, feature: usize) -> usize {
        self.categorical.get(feature).map_or(0, Dictionary::len)
    }

    /// How many category values of all features are known; only ever grows.
    #[must_use]
    pub fn all_categories(&self) -> usize {
        self.categorical.iter().map(Dictionary::len).sum()
    }

    /// What was added since `marks`, which is brought up to date: for a copy elsewhere to follow by `take_over`.
    #[must_use]
    pub fn news(&self, marks: &mut Vec<usize>) -> Fresh {
        let categorical = self.categorical.iter().enumerate().map(|(i, d)| (Domain::Categorical(i), d));
        let segmentations = self.segmentations.iter().enumerate().map(|(i, d)| (Domain::Segmentation(i), d));
        let own = [(Domain::Version, &self.versions), (Domain::Stage, &self.stages)];
        let mut news = Fresh::new();
        for (at, (domain, dictionary)) in own.into_iter().chain(categorical).chain(segmentations).enumerate() {
            if marks.len() <= at {
                marks.push(0);
            }
            let Some(mark) = marks.get_mut(at) else { continue };
            for code in *mark..dictionary.len() {
                let name = u32::try_from(code).ok().and_then(|c| dictionary.name(c)).unwrap_or("");
                news.push((domain, name.into()));
            }
            *mark = dictionary.len();
        }
        news
    }

    /// Follows another's `news`: its codes mean the same here then.
    pub fn take_over(&mut self, news: &Fresh) {
        for (domain, text) in news {
            if let Some(dictionary) = self.dictionary(*domain) {
                dictionary.intern_always(text);
            }
        }
    }

    /// The code of a name that is to be known, whatever the bound; `OVERFLOW` for a list that the model does not have.
    pub fn know_one(&mut self, domain: Domain, name: &str) -> u32 {
        self.dictionary(domain).map_or(code::OVERFLOW, |d| d.intern_always(name))
    }

    #[must_use]
    pub fn segment_code(&self, segmentation: usize, name: &str) -> Option<u32> {
        self.segmentations.get(segmentation)?.get(name)
    }

    #[must_use]
    pub fn segment(&self, segmentation: usize, code: u32) -> Option<&str> {
        self.segmentations.get(segmentation)?.name(code)
    }

    /// How many values of a segmentation are known; only ever grows.
    #[must_use]
    pub fn segment_values(&self, segmentation: usize) -> usize {
        self.segmentations.get(segmentation).map_or(0, Dictionary::len)
    }

    fn dictionary(&mut self, domain: Domain) -> Option<&mut Dictionary> {
        match domain {
            Domain::Version => Some(&mut self.versions),
            Domain::Stage => Some(&mut self.stages),
            Domain::Categorical(i) => self.categorical.get_mut(i),
            Domain::Segmentation(i) => self.segmentations.get_mut(i),
            Domain::Restart => None,
        }
    }

    fn intern(&mut self, domain: Domain, text: &str) -> u32 {
        self.dictionary(domain).map_or(code::OVERFLOW, |d| d.intern(text).0)
    }
}

/// One decoder's codes in terms of the model's.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    current: Tables,
    generation: u64,
    /// Tables from before the decoder started again, for batches that still wait; the newest last.
    previous: Vec<(u64, Tables)>,
}

/// How many times a decoder may start again while a batch waits for its baseline.
const GENERATIONS: usize = 4;

/// So many names that were refused before are looked at again in a batch.
const MOST_AGAIN: usize = 64;

/// The code of a category that no row of an admitted batch has had yet.
const WAITS: u32 = code::SPECIAL - 1;

#[derive(Clone, Debug, Default)]
struct Tables {
    versions: Vec<u32>,
    refused: RefusedNames,
    stages: Vec<u32>,
    categorical: Vec<Vec<u32>>,
    segmentations: Vec<Vec<u32>>,
    /// The texts of categories that wait, by feature and the decoder's code: they take a place once a row with one is
    /// admitted, when the baselines of the rows before are known. So which unseen ones are within the bound depends on
    /// the order of the events alone, and not on how many of them a batch holds.
    waiting: Map<(usize, usize), Box<str>>,
    /// Categories beyond the bound: feature, the decoder's code, text. A baseline loaded later may know them.
    beyond: Vec<(usize, usize, Box<str>)>,
}

/// Names of versions that were not taken on, with the decoder's codes.
#[derive(Clone, Debug, Default)]
struct RefusedNames {
    by_name: Map<Box<str>, usize>,
    by_code: BTreeMap<usize, Box<str>>,
    /// Codes of those that are not decided yet.
    undecided: Vec<usize>,
}

impl RefusedNames {
    fn insert(&mut self, name: Box<str>, at: usize) {
        self.by_code.insert(at, name.clone());
        self.by_name.insert(name, at);
        self.undecided.push(at);
    }
}

impl Tables {
    /// Translates categories of a feature; those that waited take their places.
    fn categories(&mut self, names: &mut EventNames, feature: usize, column: &mut [u32]) {
        let codes = grow(&mut self.categorical, feature);
        for c in column.iter_mut().filter(|c| **c < code::SPECIAL) {
            let at = *c as usize;
            *c = match codes.get_mut(at) {
                Some(slot) if *slot == WAITS => {
                    let text = self.waiting.remove(&(feature, at)).unwrap_or_default();
                    *slot = names.intern(Domain::Categorical(feature), &text);
                    if *slot == code::OVERFLOW {
                        self.beyond.push((feature, at, text));
                    }
                    *slot
                }
                Some(slot) => *slot,
                None => code::OVERFLOW,
            };
        }
    }

    fn look_again(&mut self, names: &EventNames) {
        let categorical = &mut self.categorical;
        self.beyond.retain(|(feature, at, text)| {
            let Some(code) = names.categorical.get(*feature).and_then(|d| d.get(text)) else { return true };
            if let Some(slot) = categorical.get_mut(*feature).and_then(|c| c.get_mut(*at)) {
                *slot = code;
            }
            false
        });
    }
}

impl Translation {
    /// Looks again for categories that were beyond the bound, after a baseline became known.
    pub fn look_again(&mut self, names: &EventNames) {
        self.current.look_again(names);
        self.previous.iter_mut().for_each(|(_, tables)| tables.look_again(names));
    }

    /// Takes over what the batch's codes mean for the first time; every batch of a decoder must come here, in order. Where names of
    /// versions are guarded, unknown ones are refused until they are taken on.
    pub fn learn(&mut self, names: &mut EventNames, fresh: &mut Fresh, guarded: bool) {
        for (domain, text) in fresh.drain(..) {
            if domain == Domain::Restart {
                self.previous.push((self.generation, std::mem::take(&mut self.current)));
                if self.previous.len() > GENERATIONS {
                    self.previous.remove(0);
                }
                self.generation += 1;
                continue;
            }
            let tables = &mut self.current;
            match domain {
                Domain::Version if guarded => {
                    let known = names.version_code(&text);
                    if known.is_none() {
                        tables.refused.insert(text, tables.versions.len());
                    }
                    tables.versions.push(known.unwrap_or(code::OVERFLOW));
                }
                Domain::Version => tables.versions.push(names.intern(domain, &text)),
                Domain::Stage => tables.stages.push(names.intern(domain, &text)),
                Domain::Categorical(i) => {
                    let codes = grow(&mut tables.categorical, i);
                    tables.waiting.insert((i, codes.len()), text);
                    codes.push(WAITS);
                }
                Domain::Segmentation(i) => {
                    let found = names.intern(domain, &text);
                    grow(&mut tables.segmentations, i).push(found);
                }
                Domain::Restart => {}
            }
        }
    }

    /// Which of its tables the codes of the batches that come now are of.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Translates the versions of a batch that was learned from, so that their baselines can be looked for.
    pub fn translate_versions(&self, versions: &mut [u32]) {
        translate(&self.current.versions, versions);
    }

    /// Whether any name is refused.
    #[must_use]
    pub fn refuses(&self) -> bool {
        !self.current.refused.by_code.is_empty()
    }

    #[must_use]
    pub fn is_refused(&self, version: &str) -> bool {
        self.current.refused.by_name.contains_key(version)
    }

    /// Names that are not decided yet, in the order they came.
    #[must_use]
    pub fn undecided(&self) -> Vec<Box<str>> {
        let RefusedNames { by_code, undecided, .. } = &self.current.refused;
        undecided.iter().filter_map(|at| by_code.get(at)).cloned().collect()
    }

    /// It was decided over all of them.
    pub fn decided(&mut self) {
        self.current.refused.undecided.clear();
    }

    /// Names that were refused before and come again in a batch that was not translated yet.
    #[must_use]
    pub fn refused_in(&self, versions: &[u32]) -> Vec<Box<str>> {
        let RefusedNames { by_code, undecided, .. } = &self.current.refused;
        let (mut found, mut last) = (Vec::new(), code::MISSING);
        for &at in versions {
            if at != last
                && found.len() < MOST_AGAIN
                && let Some(name) = by_code.get(&(at as usize))
                && !undecided.contains(&(at as usize))
                && !found.contains(name)
            {
                found.push(name.clone());
            }
            last = at;
        }
        found
    }

    /// A version has this code from now on; returns whether events of it were refused before.
    pub fn take_on(&mut self, version: &str, to: u32) -> bool {
        let Tables { versions, refused, .. } = &mut self.current;
        let Some(at) = refused.by_name.remove(version) else { return false };
        refused.by_code.remove(&at);
        if let Some(slot) = versions.get_mut(at) {
            *slot = to;
        }
        !refused.undecided.contains(&at)
    }

    /// Translates everything else of rows of a batch that was learned from, once their baselines are known. Each row comes
    /// here once, and in order.
    pub fn predictions(&mut self, names: &mut EventNames, batch: &mut PredictionBatch, rows: Range<usize>) {
        let older = self.previous.iter_mut().find(|(g, _)| *g == batch.generation).map(|(_, tables)| tables);
        let tables = older.unwrap_or(&mut self.current);
        translate(&tables.stages, batch.stage.get_mut(rows.clone()).unwrap_or_default());
        for (i, column) in batch.features.categorical.iter_mut().enumerate() {
            tables.categories(names, i, column.get_mut(rows.clone()).unwrap_or_default());
        }
        for (i, column) in batch.segments.iter_mut().enumerate() {
            translate(grow(&mut tables.segmentations, i), column.get_mut(rows.clone()).unwrap_or_default());
        }
    }

    /// The same of events of the features stream.
    pub fn features(&mut self, names: &mut EventNames, batch: &mut FeatureBatch, rows: Range<usize>) {
        for (i, column) in batch.features.categorical.iter_mut().enumerate() {
            self.current.categories(names, i, column.get_mut(rows.clone()).unwrap_or_default());
        }
    }
}

fn grow(lists: &mut Vec<Vec<u32>>, at: usize) -> &mut Vec<u32> {
    if lists.len() <= at {
        lists.resize_with(at + 1, Vec::new);
    }
    // Just made long enough.
    #[allow(clippy::indexing_slicing, reason = "resized above")]
    &mut lists[at]
}

fn translate(map: &[u32], column: &mut [u32]) {
    for c in column {
        if *c < code::SPECIAL {
            *c = map.get(*c as usize).copied().unwrap_or(code::OVERFLOW);
        }
    }
}
