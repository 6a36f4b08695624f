//! What was counted of some parts and buckets: adds in any order, and to the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::BatchError;
use super::plan::{Plan, decode, encode, short};
use crate::codec::envelope::Kind;
use crate::event::{EventKind, code};
use crate::intake::versions::Reference;
use crate::intake::{Counters, Intake};
use crate::window::pane::Sealed;
use crate::window::pane::parts::Codes;

const KIND: Kind = Kind { tag: *b"PART", version: 1 };

/// What a version was counted against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Against {
    /// The baseline of this digest.
    Baseline(String),
    /// None could be loaded.
    Nothing,
}

/// What the codes of panes mean: segments by segmentation, categories that some baseline does not know by feature. Sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Names {
    pub segments: Vec<Vec<String>>,
    pub categories: Vec<Vec<String>>,
}

/// A pane by version, group and start in slides.
pub(super) type PaneAt = (u32, u32, i64);

/// What was counted of some parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    pub plan: Plan,
    /// The parts whose rows are counted.
    pub parts: BTreeSet<(EventKind, u32)>,
    /// The buckets whose pairs are counted.
    pub buckets: BTreeSet<u32>,
    pub counters: Counters,
    pub(super) names: Names,
    pub(super) against: BTreeMap<u32, Against>,
    pub(super) panes: BTreeMap<PaneAt, Sealed>,
}

/// What the versions of an intake are counted against, by code.
pub(super) fn against(intake: &Intake) -> BTreeMap<u32, Against> {
    let known = intake.versions().filter_map(|(code, _, version)| {
        let found = match version.reference() {
            Reference::Baseline { sha256, .. } => Against::Baseline(sha256.to_string()),
            Reference::Failed(_) => Against::Nothing,
            Reference::Unknown => return None,
        };
        Some((code, found))
    });
    known.collect()
}

/// Refuses as many names as the bound allows: which of more are told apart depends on the order of the events.
pub(super) fn check_names(names: &[Vec<String>], most: u64, what: &str) -> Result<(), BatchError> {
    match names.iter().map(Vec::len).find(|found| *found as u64 >= most) {
        Some(found) => Err(BatchError::Order(format!(
            "the events name {found} {what} or more, and which {most} of them are told apart depends on what was read first"
        ))),
        None => Ok(()),
    }
}

impl Partial {
    /// # Errors
    /// Bytes that are none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BatchError> {
        let partial: Self = decode(KIND, name, bytes)?;
        if partial.is_sound() { Ok(partial) } else { Err(BatchError::Unsound(name.to_owned())) }
    }

    /// # Errors
    /// Where it cannot be written down.
    pub fn write(&self) -> Result<Vec<u8>, BatchError> {
        encode(KIND, "the partial", self)
    }

    /// Whether it does not contradict itself.
    pub(super) fn is_sound(&self) -> bool {
        let Self { plan, parts, buckets, names, against, panes, .. } = self;
        let version = |code: u32| (code as usize) < plan.versions.len();
        let sorted = |lists: &[Vec<String>]| lists.iter().all(|list| list.is_sorted_by(|a, b| a < b));
        let known = Codes {
            stage: &|code| ((code as usize) < plan.stages.len()).then_some(code),
            segment: &|_, code| Some(code),
            category: &|_, code| Some(code),
        };
        let pane = |(at, sealed): (&PaneAt, &Sealed)| {
            let (of, group, start) = *at;
            let Some(slots) = plan.groups.get(group as usize) else { return false };
            let in_names = |code: u32, list: Option<&Vec<String>>| list.is_some_and(|l| (code as usize) < l.len());
            let codes = Codes {
                stage: known.stage,
                segment: &|s, code| {
                    let at = *slots.segmentations.get(s as usize)?;
                    in_names(code, names.segments.get(at as usize)).then_some(code)
                },
                category: &|target, code| {
                    let at = (*slots.categorical.get(target as usize)?)?;
                    in_names(code, names.categories.get(at as usize)).then_some(code)
                },
            };
            version(of)
                && start >= 0
                && sealed.is_sound()
                && sealed.segmentations() == slots.segmentations.len()
                && sealed.codes_fit(&codes)
        };
        plan.is_sound()
            && parts.iter().all(|(kind, place)| *kind != EventKind::Labels && place < plan.splits.of(*kind))
            && buckets.iter().all(|bucket| *bucket < plan.buckets)
            && names.segments.len() == plan.segmentations as usize
            && names.categories.len() == plan.features as usize
            && sorted(&names.segments)
            && sorted(&names.categories)
            && against.keys().copied().all(version)
            && panes.iter().all(pane)
    }

    /// Writes down what an intake and a worker have counted of a part or a bucket.
    pub(super) fn of(plan: &Plan, intake: &Intake, panes: &crate::intake::panes::Panes) -> Result<Self, BatchError> {
        let found = names(plan, intake);
        check_names(&found.segments, plan.most[0], "segments")?;
        check_names(&found.categories, plan.most[1], "categories that a baseline does not have")?;
        let mut out = BTreeMap::new();
        let all = intake.names();
        for (version, group) in
            intake.versions().flat_map(|(v, ..)| (0_u32..).zip(&plan.groups).map(move |(g, _)| (v, g)))
        {
            let Some(slots) = plan.groups.get(group as usize) else { continue };
            let codes = Codes {
                stage: &|code| Some(code),
                segment: &|s, code| {
                    let at = *slots.segmentations.get(s as usize)? as usize;
                    place_of(found.segments.get(at)?, all.segment(at, code)?)
                },
                category: &|target, code| {
                    let at = (*slots.categorical.get(target as usize)?)? as usize;
                    place_of(found.categories.get(at)?, all.category(at, code)?)
                },
            };
            for (pane, sealed) in crate::intake::panes::open_panes(version, group as usize, [panes]) {
                let sealed = sealed.recoded(&codes).ok_or_else(|| {
                    BatchError::Order(
                        "more names came than are told apart, and which are depends on what was read first".to_owned(),
                    )
                })?;
                out.insert((version, group, pane), sealed);
            }
        }
        Ok(Self {
            plan: plan.clone(),
            parts: BTreeSet::new(),
            buckets: BTreeSet::new(),
            counters: Counters::default(),
            names: found,
            against: against(intake),
            panes: out,
        })
    }

    /// Adds what was counted of other parts.
    ///
    /// # Errors
    /// What was counted twice, or not alike.
    pub fn and(self, other: Self) -> Result<Self, BatchError> {
        self.plan.same(&other.plan.digest, "a partial")?;
        if let Some((kind, place)) = self.parts.intersection(&other.parts).next() {
            return Err(BatchError::Incomplete(format!("place {place} of the {} is there twice", kind.name())));
        }
        if let Some(bucket) = self.buckets.intersection(&other.buckets).next() {
            return Err(BatchError::Incomplete(format!("bucket {bucket} is there twice")));
        }
        for (version, against) in &other.against {
            if self.against.get(version).is_some_and(|own| own != against) {
                let name = self.plan.versions.get(*version as usize).map_or("", |(name, _)| name.as_str());
                return Err(BatchError::foreign("a partial", format!("against another baseline of version {name:?}")));
            }
        }
        let names = Names {
            segments: union(&self.names.segments, &other.names.segments),
            categories: union(&self.names.categories, &other.names.categories),
        };
        check_names(&names.segments, self.plan.most[0], "segments")?;
        check_names(&names.categories, self.plan.most[1], "categories that a baseline does not have")?;
        let mut counters = self.counters;
        counters += other.counters;
        let mut panes = BTreeMap::new();
        for Self { plan, names: own, panes: part, .. } in [&self, &other] {
            let moved = (moved(&own.segments, &names.segments), moved(&own.categories, &names.categories));
            for (at, sealed) in part {
                let sealed = recoded(plan, at.1, sealed.clone(), &moved)
                    .ok_or_else(|| BatchError::Unsound("a partial".to_owned()))?;
                let sum = match panes.remove(at) {
                    Some(before) => sealed.and(&before),
                    None => Some(sealed),
                };
                let sum = sum.ok_or_else(|| {
                    BatchError::Unsound("a partial, whose counts do not fit those of another,".to_owned())
                })?;
                panes.insert(*at, sum);
            }
        }
        let (mut parts, mut buckets, mut against) = (self.parts, self.buckets, self.against);
        parts.extend(other.parts);
        buckets.extend(other.buckets);
        against.extend(other.against);
        Ok(Self { plan: self.plan, parts, buckets, counters, names, against, panes })
    }

    /// Says what is not counted yet.
    ///
    /// # Errors
    /// The parts and buckets that are missing.
    pub fn check_complete(&self) -> Result<(), BatchError> {
        let mut missing: Vec<String> = Vec::new();
        for (kind, count) in self.plan.counted() {
            let places = (0..count).filter(|place| !self.parts.contains(&(kind, *place)));
            missing.extend(places.map(|place| format!("place {place} of the {}", kind.name())));
        }
        missing.extend((0..self.plan.buckets).filter(|n| !self.buckets.contains(n)).map(|n| format!("bucket {n}")));
        if missing.is_empty() {
            return Ok(());
        }
        const SHOWN: usize = 10;
        let more = missing.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        missing.truncate(SHOWN);
        Err(BatchError::Incomplete(format!(
            "not counted: {}{more} (plan {})",
            missing.join(", "),
            short(&self.plan.digest)
        )))
    }
}

fn place_of(sorted: &[String], name: &str) -> Option<u32> {
    let at = sorted.binary_search_by(|n| n.as_str().cmp(name)).ok()?;
    u32::try_from(at).ok().filter(|at| *at < code::SPECIAL)
}

/// The names of an intake that codes of its panes may stand for.
fn names(plan: &Plan, intake: &Intake) -> Names {
    use crate::event::Domain;
    let mut found = Names {
        segments: vec![Vec::new(); plan.segmentations as usize],
        categories: vec![Vec::new(); plan.features as usize],
    };
    let baselines: Vec<_> = intake.versions().filter_map(|(.., v)| v.baseline().cloned()).collect();
    for (domain, name) in intake.all_names() {
        let list = match domain {
            Domain::Segmentation(at) => found.segments.get_mut(at),
            Domain::Categorical(at) => {
                let has = |names: &[String]| names.binary_search_by(|n| n.as_str().cmp(&name)).is_ok();
                let everywhere = baselines.iter().all(|b| b.categorical.get(at).is_some_and(|c| has(&c.names)));
                found.categories.get_mut(at).filter(|_| baselines.is_empty() || !everywhere)
            }
            _ => None,
        };
        if let Some(list) = list {
            list.push(name.into_string());
        }
    }
    found.segments.iter_mut().chain(&mut found.categories).for_each(|list| list.sort_unstable());
    found
}

fn union(a: &[Vec<String>], b: &[Vec<String>]) -> Vec<Vec<String>> {
    let both = |(a, b): (&Vec<String>, &Vec<String>)| {
        a.iter().chain(b).cloned().collect::<BTreeSet<_>>().into_iter().collect()
    };
    a.iter().zip(b).map(both).collect()
}

/// Where each name of some lists stands in others, which have them all.
fn moved(from: &[Vec<String>], to: &[Vec<String>]) -> Vec<Vec<Option<u32>>> {
    from.iter().zip(to).map(|(from, to)| from.iter().map(|name| place_of(to, name)).collect()).collect()
}

type Moved = (Vec<Vec<Option<u32>>>, Vec<Vec<Option<u32>>>);

fn recoded(plan: &Plan, group: u32, sealed: Sealed, (segments, categories): &Moved) -> Option<Sealed> {
    let slots = plan.groups.get(group as usize)?;
    sealed.recoded(&Codes {
        stage: &|code| Some(code),
        segment: &|s, code| *segments.get(*slots.segmentations.get(s as usize)? as usize)?.get(code as usize)?,
        category: &|target, code| {
            *categories.get((*slots.categorical.get(target as usize)?)? as usize)?.get(code as usize)?
        },
    })
}
