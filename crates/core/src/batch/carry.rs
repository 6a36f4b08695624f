//! What each part needs of the parts before it: its stream's front, the codes of names, and once buckets of ids are joined, which
//! of its predictions are repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::BatchError;
use super::fronts::{EachTime, front, fronts};
use super::order;
use super::paired::Paired;
use super::plan::{Origin, Part, Plan, decode, encode};
use super::scan::Scan;
use crate::codec::envelope::Kind;
use crate::codec::hash::sha256_hex;
use crate::event::{ByKind, EventKind, Limits};
use crate::intake::repeats::Repeats;
use crate::pipeline::kinds::is_read_by;
use crate::policy::Policy;
use crate::window::front::Front;

const KIND: Kind = Kind { tag: *b"CRRY", version: 1 };

/// Longer parts are not numbered.
const MOST_ROWS: u64 = u32::MAX as u64 - 1;

/// A part, and what it starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub kind: EventKind,
    pub place: u32,
    pub name: String,
    pub rows: u64,
    pub record_ts: i64,
    pub(super) front: Front,
}

/// What all parts need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carry {
    pub plan: Plan,
    /// By kind and place.
    pub splits: Vec<Planned>,
    /// By place of the predictions' parts, once all buckets are joined.
    repeats: Option<Vec<Repeats>>,
}

/// How the streams are read.
pub struct Streams<'a> {
    pub limits: Limits,
    /// How far ahead of its partition a time may lie, ms.
    pub future: ByKind<i64>,
    /// Reads the times of a part again.
    pub times: &'a mut dyn FnMut(&Scan, EachTime<'_>) -> Result<(), String>,
}

impl Carry {
    /// # Errors
    /// Bytes that are none.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, BatchError> {
        let carry: Self = decode(KIND, name, bytes)?;
        let in_order = carry.splits.is_sorted_by_key(|s| (s.kind, s.place));
        let parts = |kind| carry.splits.iter().filter(move |s| s.kind == kind);
        let numbered = EventKind::ALL.into_iter().all(|kind| {
            parts(kind).count() == *carry.plan.splits.of(kind) as usize
                && (0_u32..).zip(parts(kind)).all(|(n, s)| n == s.place)
        });
        let of_predictions = *carry.plan.splits.of(EventKind::Predictions) as usize;
        let repeats = carry.repeats.as_ref().is_none_or(|r| r.len() == of_predictions);
        let fronts = carry.plan.is_sound() && carry.splits.iter().all(|s| s.front.is_sound());
        if in_order && numbered && repeats && fronts { Ok(carry) } else { Err(BatchError::Unsound(name.to_owned())) }
    }

    /// # Errors
    /// Where it cannot be written down.
    pub fn write(&self) -> Result<Vec<u8>, BatchError> {
        encode(KIND, "the carry", self)
    }

    /// Makes it from the scans of all parts, in any order.
    ///
    /// # Errors
    /// Parts that are missing or there twice, and what would need the order of events.
    pub fn new(
        policy: &Arc<Policy>,
        origin: &Origin,
        mut scans: Vec<Scan>,
        buckets: u32,
        streams: &mut Streams<'_>,
    ) -> Result<Self, BatchError> {
        scans.iter().try_for_each(|scan| origin.same(&scan.origin, &scan.split.name))?;
        scans.iter().try_for_each(|scan| order::check_kind(scan.split.kind))?;
        scans.retain(|scan| is_read_by(scan.split.kind, policy));
        scans.sort_by(|a, b| a.split.cmp(&b.split));
        check_streams(policy, &scans)?;
        EventKind::ALL.into_iter().try_for_each(|kind| check_parts(&of(&scans, kind)))?;
        order::check_traffic(policy, &scans)?;
        let (versions, stages) = names(policy, &scans, &streams.limits)?;
        let (mut ends, mut splits) = (ByKind::default(), Vec::new());
        for kind in EventKind::ALL {
            let parts = of(&scans, kind);
            if parts.is_empty() {
                continue;
            }
            let begin = front(policy, kind, *streams.future.of(kind));
            let fronts = fronts(&parts, &begin, streams.times)?;
            *ends.of_mut(kind) = fronts.last().cloned();
            splits.extend(parts.iter().zip(fronts).map(|(scan, front)| Planned {
                kind,
                place: scan.split.place,
                name: scan.split.name.clone(),
                rows: scan.rows,
                record_ts: scan.record_ts,
                front,
            }));
        }
        let mut plan = plan(policy, origin, (versions, stages), (&scans, ends), streams.limits);
        plan.buckets = if policy.labels.is_some() { buckets.max(1) } else { 0 };
        let described = postcard::to_stdvec(&(&plan, &splits)).map_err(|e| BatchError::Input(e.to_string()))?;
        plan.digest = sha256_hex(&described);
        Ok(Self { plan, splits, repeats: None })
    }

    /// Adds which predictions are repeated, by what the joined buckets say.
    ///
    /// # Errors
    /// Buckets that are missing, there twice, or of another plan.
    pub fn joined(mut self, paired: &[Paired]) -> Result<Self, BatchError> {
        let mut seen = BTreeSet::new();
        let mut repeats = vec![Repeats::default(); *self.plan.splits.of(EventKind::Predictions) as usize];
        for of_bucket in paired {
            self.plan.same(&of_bucket.partial.plan.digest, &format!("bucket {}", of_bucket.bucket))?;
            if !seen.insert(of_bucket.bucket) {
                return Err(BatchError::Incomplete(format!("bucket {} is there twice", of_bucket.bucket)));
            }
            for (place, of_part) in &of_bucket.repeats {
                let into = repeats
                    .get_mut(*place as usize)
                    .ok_or_else(|| BatchError::Unsound("a joined bucket".to_owned()))?;
                into.duplicates.extend(&of_part.duplicates);
                into.beside.extend(&of_part.beside);
            }
        }
        let missing: Vec<String> =
            (0..self.plan.buckets).filter(|n| !seen.contains(n)).map(|n| n.to_string()).collect();
        if !missing.is_empty() {
            return Err(BatchError::Incomplete(format!("buckets {} are missing", missing.join(", "))));
        }
        for of_part in &mut repeats {
            of_part.duplicates.make_contiguous().sort_unstable();
            of_part.beside.make_contiguous().sort_unstable();
        }
        self.repeats = Some(repeats);
        Ok(self)
    }

    /// Whether buckets of ids have to be joined before anything can be counted.
    #[must_use]
    pub fn needs_pairs(&self) -> bool {
        self.plan.buckets > 0
    }

    #[must_use]
    pub fn has_pairs(&self) -> bool {
        self.repeats.is_some()
    }

    /// The part of this kind and place; where one of them is not given, the only one of this name.
    ///
    /// # Errors
    /// None, or several.
    pub fn find(&self, kind: Option<EventKind>, place: Option<u32>, name: &str) -> Result<&Planned, BatchError> {
        let fits = |s: &&Planned| {
            kind.is_none_or(|kind| s.kind == kind) && place.map_or_else(|| s.name == name, |place| s.place == place)
        };
        let mut found = self.splits.iter().filter(fits);
        let of = match (kind, place) {
            (_, None) => format!("{name:?}"),
            (kind, Some(place)) => format!("place {place} of {}", kind.map_or("any kind", EventKind::name)),
        };
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(BatchError::Input(format!("the carry has no part {of}: it was made from other scans"))),
            (Some(_), Some(_)) => {
                Err(BatchError::Input(format!("the carry has several parts {of}: say --kind and --place")))
            }
        }
    }

    /// Which rows of a part the join knows already.
    ///
    /// # Errors
    /// Where the buckets were not joined yet.
    pub(super) fn repeats_of(&self, part: &Planned) -> Result<Repeats, BatchError> {
        if part.kind != EventKind::Predictions || !self.needs_pairs() {
            return Ok(Repeats::default());
        }
        let of_parts = self.repeats.as_ref().ok_or_else(|| {
            BatchError::Input(
                "the policy joins labels: run the passes share and pair first, and give the carry that is made of them"
                    .to_owned(),
            )
        })?;
        Ok(of_parts.get(part.place as usize).cloned().unwrap_or_default())
    }
}

fn of(scans: &[Scan], kind: EventKind) -> Vec<&Scan> {
    scans.iter().filter(|s| s.split.kind == kind).collect()
}

/// Whether the streams are there that the policy's rules read.
fn check_streams(policy: &Policy, scans: &[Scan]) -> Result<(), BatchError> {
    let has = |kind| scans.iter().any(|s| s.split.kind == kind);
    let missing = |what: &str| Err(BatchError::Incomplete(what.to_owned()));
    if !has(EventKind::Predictions) {
        return missing("no part of the predictions was scanned");
    }
    if !has(EventKind::Labels) && policy.rules().any(|r| r.kind.reads_labels()) {
        return missing("the policy's label rules need parts of labels");
    }
    if !has(EventKind::Measurements) && !policy.measured.is_empty() {
        return missing("the policy's measured rules need parts of measurements");
    }
    Ok(())
}

/// Whether the parts of a stream are all of it, each once.
fn check_parts(parts: &[&Scan]) -> Result<(), BatchError> {
    for (n, scan) in (0_u32..).zip(parts) {
        let kind = scan.split.kind.name();
        if scan.split.place != n {
            let what = if scan.split.place < n { "is there twice" } else { "is missing" };
            return Err(BatchError::Incomplete(format!("place {} of the {kind} {what}", scan.split.place.min(n))));
        }
        if scan.rows > MOST_ROWS {
            return Err(BatchError::Input(format!("{} has {} events: cut it", scan.split.name, scan.rows)));
        }
    }
    let mut files: BTreeMap<&str, Vec<&Scan>> = BTreeMap::new();
    parts.iter().for_each(|scan| files.entry(&scan.file).or_default().push(scan));
    for (file, parts) in files {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for scan in &parts {
            ranges.push(match scan.part {
                Part::Whole => (0, scan.of.max(1)),
                Part::Groups { from, to } => (from.into(), to.into()),
                Part::Bytes { from, to } => (from, to),
            });
        }
        ranges.sort_unstable();
        let mut end = 0;
        for (from, to) in ranges {
            let of = || format!("{file} of the {}", parts.first().map_or("", |s| s.split.kind.name()));
            if from < end {
                return Err(BatchError::Incomplete(format!("the parts of {} overlap at {from}", of())));
            }
            if from > end {
                return Err(BatchError::Incomplete(format!("{end} to {from} of {} are in no part", of())));
            }
            end = to;
        }
        let all = parts.iter().map(|s| s.of).max().unwrap_or(0);
        if end < all {
            return Err(BatchError::Incomplete(format!("{end} to {all} of {file} are in no part")));
        }
    }
    Ok(())
}

/// Names in the order they were first seen.
fn first_seen<'s>(names: impl Iterator<Item = &'s String>) -> Vec<String> {
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    for name in names {
        if seen.insert(name) {
            all.push(name.clone());
        }
    }
    all
}

/// The versions in the order of their codes, and whether they have predictions.
fn versions(policy: &Policy, scans: &[Scan]) -> Vec<(String, bool)> {
    let of_kind = |kind| of(scans, kind).into_iter().flat_map(|s| &s.versions);
    let predicted: BTreeSet<&String> =
        of_kind(EventKind::Predictions).filter(|(_, first)| *first < i64::MAX).map(|(name, _)| name).collect();
    let both = of_kind(EventKind::Predictions).chain(of_kind(EventKind::Measurements));
    let mut names = first_seen(both.map(|(name, _)| name));
    if order::by_model(policy) {
        // They are expected before the first event.
        names.sort_by_key(|name| (!predicted.contains(name), name.clone()));
    }
    names.into_iter().map(|name| (predicted.contains(&name), name)).map(|(p, name)| (name, p)).collect()
}

/// The names of versions and stages, in the order of their codes.
fn names(policy: &Policy, scans: &[Scan], limits: &Limits) -> Result<Named, BatchError> {
    let versions = versions(policy, scans);
    let stages = first_seen(of(scans, EventKind::Predictions).into_iter().flat_map(|s| &s.stages));
    for (what, found, most) in
        [("versions", versions.len(), limits.versions), ("stages", stages.len(), limits.segments)]
    {
        if found > most {
            return Err(BatchError::Order(format!(
                "the predictions name {found} {what}, and which {most} of them are told apart depends on what was read first"
            )));
        }
    }
    Ok((versions, stages))
}

/// Versions, and whether they have predictions; stages.
type Named = (Vec<(String, bool)>, Vec<String>);

/// What is the same for all parts, without its digest.
fn plan(
    policy: &Policy,
    origin: &Origin,
    (versions, stages): Named,
    (scans, ends): (&[Scan], ByKind<Option<Front>>),
    limits: Limits,
) -> Plan {
    let count = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Plan {
        digest: String::new(),
        origin: origin.clone(),
        model: policy.model.clone(),
        versions,
        stages,
        ends,
        splits: ByKind::each(|kind| count(of(scans, kind).len())),
        buckets: 0,
        groups: Plan::slots(policy),
        segmentations: count(policy.segments.len()),
        features: count(policy.features.categorical.len()),
        most: [limits.segments as u64, limits.categories as u64],
    }
}
