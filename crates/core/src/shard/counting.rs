//! The shard's side: a pipeline that counts and joins the partitions of one number, judges nothing, and gives away what it counted with each
//! commit.

use std::collections::{BTreeMap, BTreeSet};

use super::delta::{Against, Delta, PartitionAt, VersionAt, named};
use super::place::Place;
use crate::codec::hash::digest;
use crate::intake::versions::Reference;
use crate::intake::{Setup, SourceId};
use crate::pipeline::{Pipeline, counted};
use crate::policy::{Policy, Traffic};
use crate::window::layout::Reads;

/// Why a model cannot be counted by several processes: what its rules read depends on the order of events across partitions.
#[must_use]
pub fn unsupported(policy: &Policy, has_features: bool) -> Option<&'static str> {
    if policy.groups.iter().any(|group| group.traffic == Traffic::Model) {
        return Some(
            "a group with `traffic: model` counts by which versions are active, which no process knows of all partitions",
        );
    }
    let reads_features = || Reads::of(policy).iter().any(|reads| reads.features);
    (has_features && reads_features()).then_some("events of a features stream wait for predictions of all partitions")
}

/// A digest of what a policy has counted.
pub(super) fn counts_of(policy: &Policy) -> String {
    digest(&[counted::describe(policy).as_bytes()])
}

/// How the pipelines of shards and evaluators are set up: they close nothing that is not confirmed.
#[must_use]
pub fn setup(setup: Setup) -> Setup {
    Setup { confirmed_only: true, ..setup }
}

/// What gives away the counts of a pipeline that counts the partitions of one number.
pub struct Shard {
    number: u32,
    seq: u64,
    counts: String,
    sources: BTreeMap<Place, SourceId>,
}

impl Shard {
    /// A shard that has given `seq` deltas, as its pipeline's state was when it gave the last one; the pipeline is set up by `setup`.
    #[must_use]
    pub fn new(policy: &Policy, number: u32, seq: u64) -> Self {
        Self { number, seq, counts: counts_of(policy), sources: BTreeMap::new() }
    }

    /// Deltas given so far.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Says which of the pipeline's sources a partition is.
    pub fn reads(&mut self, place: Place, source: SourceId) {
        self.sources.insert(place, source);
    }

    /// Gives away what was counted since the last call; the workers rest meanwhile. `at` says of a partition up to which offset it is counted
    /// and whether it is quiet; `asks` are the versions whose rows wait. The state that goes with it is the pipeline's after this.
    /// `None` where a code has no name, which no intake does.
    pub fn take_delta(
        &mut self,
        pipeline: &Pipeline,
        at: impl Fn(&Place) -> (u64, bool),
        asks: BTreeSet<String>,
    ) -> Option<Delta> {
        let panes = pipeline.take_counted();
        let counters = pipeline.counters();
        let mut intake = pipeline.intake();
        intake.sweep_alone();
        let (mut versions, mut codes) = (Vec::new(), BTreeMap::new());
        for (code, name, version) in intake.versions() {
            let against = match version.reference() {
                Reference::Baseline { sha256, .. } => Against::Baseline(sha256.to_string()),
                Reference::Unknown if version.predictions == 0 && version.measured_ts.is_none() => continue,
                Reference::Unknown => Against::Undecided,
                Reference::Failed(_) => Against::Nothing,
            };
            codes.insert(code, u32::try_from(versions.len()).ok()?);
            versions.push(VersionAt {
                name: name.to_owned(),
                against,
                last_ts: version.last_ts,
                measured_ts: version.measured_ts,
                predictions: version.predictions,
                starts: version.known.starts,
            });
        }
        let (names, panes) = named(&pipeline.policy, intake.names(), panes, |version| codes.get(&version).copied())?;
        let partition = |(place, source): (&Place, &SourceId)| {
            let (next_offset, is_quiet) = at(place);
            Some(PartitionAt { place: place.clone(), next_offset, is_quiet, front: intake.front(*source)?.clone() })
        };
        let delta = Delta {
            model: pipeline.policy.model.clone(),
            counts: self.counts.clone(),
            shard: self.number,
            seq: self.seq,
            names,
            versions,
            panes,
            partitions: self.sources.iter().map(partition).collect::<Option<_>>()?,
            starts: intake.starts(),
            waiting: intake.waiting_labels(),
            counters,
            asks,
        };
        self.seq += 1;
        Some(delta)
    }
}
