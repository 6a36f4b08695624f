//! What a shard publishes with a commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::codec::envelope::{self, EnvelopeError, Kind};
use crate::event::{Domain, code};
use crate::intake::elsewhere::Waiting;
use crate::intake::names::EventNames;
use crate::intake::starts::Starts;
use crate::intake::{Counters, SealedPane};
use crate::policy::{Policy, Target};
use crate::window::front::Front;
use crate::window::layout::Reads;
use crate::window::pane::Sealed;
use crate::window::pane::parts::Codes;

const KIND: Kind = Kind { tag: *b"DLTA", version: 1 };

/// How far a shard has come with a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionAt {
    pub place: Place,
    /// Everything below this offset is counted, here or in a delta before.
    pub next_offset: u64,
    pub front: Front,
    /// Caught up, and silent for the configured time, when the delta was made.
    pub is_quiet: bool,
}

/// What a version was counted against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Against {
    /// The baseline of this digest.
    Baseline(String),
    /// None could be loaded.
    Nothing,
    /// Nothing that needs one: its measurements alone were counted so far.
    Undecided,
}

/// What a shard knows of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionAt {
    pub name: String,
    pub against: Against,
    /// The largest times (ms) of its predictions and measurements.
    pub last_ts: Option<i64>,
    pub measured_ts: Option<i64>,
    /// Its predictions that this shard has counted in all.
    pub predictions: u64,
    pub starts: Starts,
}

/// Names by the codes that a delta's panes have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameTable {
    pub stages: Vec<String>,
    /// By segmentation of the policy.
    pub segments: Vec<Vec<String>>,
    /// By categorical feature of the policy.
    pub categories: Vec<Vec<String>>,
}

/// A pane by version (in `Delta::versions`), group, and start in slides.
pub type PaneAt = (u32, u32, i64);

/// What a shard counted between two commits, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    pub model: String,
    /// What the policy has counted, as a digest: policies that only judge differently have the same.
    pub counts: String,
    pub shard: u32,
    /// Deltas of this shard before this one.
    pub seq: u64,
    pub names: NameTable,
    pub versions: Vec<VersionAt>,
    pub panes: BTreeMap<PaneAt, Sealed>,
    pub partitions: Vec<PartitionAt>,
    pub starts: Starts,
    pub waiting: Waiting,
    /// Of all deltas up to this one.
    pub counters: Counters,
    /// Versions whose rows wait for a decision over their baseline.
    pub asks: BTreeSet<String>,
}

impl Delta {
    /// The bytes to publish.
    ///
    /// # Errors
    /// Where it cannot be written down.
    pub fn write(&self) -> Result<Vec<u8>, EnvelopeError> {
        envelope::encode(KIND, self)
    }

    /// # Errors
    /// Bytes that are none, or of another format.
    pub fn read(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        envelope::decode(KIND, bytes)
    }
}

/// Which of the policy's segmentations and categorical features the codes of a group's panes are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    segmentations: Vec<usize>,
    /// By target.
    categorical: Vec<Option<usize>>,
}

impl Slots {
    pub fn of(policy: &Policy) -> Vec<Self> {
        let feature = |target: &Target| if let Target::Categorical(at) = target { Some(*at) } else { None };
        let of = |reads: Reads| Self {
            segmentations: reads.segment_lists().collect(),
            categorical: reads.targets.iter().map(feature).collect(),
        };
        Reads::of(policy).into_iter().map(of).collect()
    }

    /// Whether a pane's codes all have names.
    pub fn fit(&self, names: &NameTable, sealed: &Sealed) -> bool {
        let has = |list: Option<&Vec<String>>, code: u32| list.is_some_and(|list| (code as usize) < list.len());
        sealed.segmentations() == self.segmentations.len()
            && sealed.codes_fit(&Codes {
                stage: &|code| has(Some(&names.stages), code).then_some(code),
                segment: &|s, code| has(names.segments.get(self.segmentation(s)?), code).then_some(code),
                category: &|target, code| has(names.categories.get(self.feature(target)?), code).then_some(code),
            })
    }

    fn segmentation(&self, at: u32) -> Option<usize> {
        self.segmentations.get(at as usize).copied()
    }

    fn feature(&self, target: u32) -> Option<usize> {
        *self.categorical.get(target as usize)?
    }
}

/// Gives names codes in the order in which they come.
#[derive(Default)]
struct Numbering {
    codes: BTreeMap<(u8, usize, u32), u32>,
    names: NameTable,
}

const STAGE: u8 = 0;
const SEGMENT: u8 = 1;
const CATEGORY: u8 = 2;

impl Numbering {
    fn code(&mut self, (what, at): (u8, usize), code: u32, name: &str) -> Option<u32> {
        if let Some(found) = self.codes.get(&(what, at, code)) {
            return Some(*found);
        }
        let list = match what {
            STAGE => &mut self.names.stages,
            SEGMENT => self.names.segments.get_mut(at)?,
            _ => self.names.categories.get_mut(at)?,
        };
        let new = u32::try_from(list.len()).ok().filter(|new| *new < code::SPECIAL)?;
        list.push(name.to_owned());
        self.codes.insert((what, at, code), new);
        Some(new)
    }
}

/// Writes the codes of panes as those of a table of the names that they have; `None` where a code has no name. `version` says which one a code
/// is in the delta.
pub(super) fn named(
    policy: &Policy,
    names: &EventNames,
    panes: Vec<SealedPane>,
    version: impl Fn(u32) -> Option<u32>,
) -> Option<(NameTable, BTreeMap<PaneAt, Sealed>)> {
    let slots = Slots::of(policy);
    let numbering = RefCell::new(Numbering::default());
    {
        let table = &mut numbering.borrow_mut().names;
        table.segments.resize(policy.segments.len(), Vec::new());
        table.categories.resize(policy.features.categorical.len(), Vec::new());
    }
    let mut out = BTreeMap::new();
    for SealedPane { version: of, group, pane, sealed } in panes {
        let slots = slots.get(group)?;
        let sealed = sealed.recoded(&Codes {
            stage: &|code| numbering.borrow_mut().code((STAGE, 0), code, names.stage(code)?),
            segment: &|s, code| {
                let at = slots.segmentation(s)?;
                numbering.borrow_mut().code((SEGMENT, at), code, names.segment(at, code)?)
            },
            category: &|target, code| {
                let at = slots.feature(target)?;
                numbering.borrow_mut().code((CATEGORY, at), code, names.category(at, code)?)
            },
        })?;
        out.insert((version(of)?, u32::try_from(group).ok()?, pane), sealed);
    }
    Some((numbering.into_inner().names, out))
}

/// Codes of a delta's names elsewhere.
pub(super) struct Known {
    stages: Vec<u32>,
    segments: Vec<Vec<u32>>,
    categories: Vec<Vec<u32>>,
}

impl Known {
    /// Has every name known there; `know` says by which code.
    pub fn new(table: &NameTable, mut know: impl FnMut(Domain, &str) -> u32) -> Self {
        let mut all =
            |domain: Domain, list: &[String]| -> Vec<u32> { list.iter().map(|name| know(domain, name)).collect() };
        Self {
            stages: all(Domain::Stage, &table.stages),
            segments: table.segments.iter().enumerate().map(|(at, list)| all(Domain::Segmentation(at), list)).collect(),
            categories: table
                .categories
                .iter()
                .enumerate()
                .map(|(at, list)| all(Domain::Categorical(at), list))
                .collect(),
        }
    }

    /// A pane with those codes; `None` where one of its codes has no name in the delta.
    pub fn pane(&self, slots: &Slots, sealed: Sealed) -> Option<Sealed> {
        sealed.recoded(&Codes {
            stage: &|code| self.stages.get(code as usize).copied(),
            segment: &|s, code| self.segments.get(slots.segmentation(s)?)?.get(code as usize).copied(),
            category: &|target, code| self.categories.get(slots.feature(target)?)?.get(code as usize).copied(),
        })
    }
}
