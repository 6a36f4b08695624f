//! What an admitted batch comes to: the rows that count, by version, and the pairs that were joined. Admission is serial
//! and in order; a job can be counted by any worker at any time after, since it holds all that counting depends on.

use std::sync::Arc;

use super::held::Released;
use super::versions::Known;
use crate::join::{JoinOutcome, Pair, Pending};
use crate::policy::{Policy, Target, Traffic};
use crate::window::layout::Reads;

/// What a policy's groups count, compiled once.
#[derive(Clone, Debug)]
pub struct Counting {
    pub policy: Arc<Policy>,
    pub reads: Arc<Vec<Reads>>,
    /// Predictions counted for their own version.
    pub own: Share,
    /// Predictions counted for every active version.
    pub model: Share,
    /// Events of the features stream, counted for every version that was active then.
    pub features: Share,
}

/// Groups that count the same rows, and the distributions they read.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// One bit a group.
    pub groups: u32,
    /// Every distribution that one of the groups reads, once, in order.
    pub targets: Vec<Target>,
    /// By group: where each of its `Reads::targets` is in `targets`; `None` for one that these rows do not carry.
    pub places: Vec<Vec<Option<usize>>>,
    /// Whether a group counts predicted classes.
    pub classes: bool,
}

impl Share {
    fn new(reads: &[Reads], counts: impl Fn(&Reads) -> bool, carries: impl Fn(Target) -> bool) -> Self {
        let chosen = || reads.iter().enumerate().filter(|(_, r)| counts(r));
        let mut targets: Vec<Target> =
            chosen().flat_map(|(_, r)| r.targets.iter().copied()).filter(|t| carries(*t)).collect();
        targets.sort_unstable();
        targets.dedup();
        let place = |r: &Reads| r.targets.iter().map(|t| targets.binary_search(t).ok()).collect();
        Self {
            groups: chosen().fold(0, |m, (g, _)| m | (1 << g)),
            places: reads.iter().map(place).collect(),
            classes: chosen().any(|(_, r)| r.counts_classes()),
            targets,
        }
    }

    #[must_use]
    pub fn has(&self, group: usize) -> bool {
        self.groups & (1 << group) != 0
    }
}

impl Counting {
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        let reads = Reads::of(&policy);
        let by = |traffic: Traffic| Share::new(&reads, |r| r.traffic == traffic && r.counts_predictions(), |_| true);
        Self {
            own: by(Traffic::Version),
            model: by(Traffic::Model),
            features: Share::new(&reads, |r| r.features, |t| !matches!(t, Target::Score | Target::Prediction)),
            reads: Arc::new(reads),
            policy,
        }
    }
}

/// A joined pair that waits to be counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobPair {
    pub prediction: Pending,
    pub outcome: JoinOutcome,
    /// The row of the batch that completed it, which carries the prediction's id.
    pub row: u32,
}

/// An admitted batch, to be counted. Its memory is reused from batch to batch.
#[derive(Debug, Default)]
pub struct Job {
    /// Its place in the order of admission.
    pub number: u64,
    pub(super) counting: Option<Arc<Counting>>,
    /// By version code.
    pub(super) known: Arc<Vec<Known>>,
    /// By group: windows up to here were closed when it was admitted.
    pub(super) closed: Vec<i64>,
    /// Row and the groups it counts in, one bit each.
    pub(super) accepted: Vec<(u32, u32)>,
    /// The same by version.
    pub(super) by_version: Vec<(u32, Vec<(u32, u32)>)>,
    /// Events of the features stream that were kept until now.
    pub(super) released: Released,
    /// Versions that count the model's traffic, and up to which time.
    pub(super) active: Vec<(u32, i64)>,
    pub(super) pairs: Vec<JobPair>,
    /// Segment codes of the pairs, one per segmentation each.
    pub(super) segments: Vec<u32>,
}

impl Job {
    pub(super) fn begin(&mut self, number: u64, counting: &Arc<Counting>, closed: &[i64], rows: usize) {
        self.number = number;
        self.counting = Some(Arc::clone(counting));
        self.closed.clear();
        self.closed.extend_from_slice(closed);
        self.accepted.clear();
        self.accepted.reserve(rows);
        self.by_version.iter_mut().for_each(|(_, rows)| rows.clear());
        self.active.clear();
        self.released.clear();
        self.pairs.clear();
        self.segments.clear();
    }

    /// What a version is counted against, where it is known.
    pub(super) fn known(&self, version: u32) -> Option<&Known> {
        self.known.get(version as usize)
    }

    /// Where a group's windows were closed to when the batch was admitted.
    pub(super) fn closed_to(&self, group: usize) -> i64 {
        self.closed.get(group).copied().unwrap_or(i64::MIN)
    }

    /// The rows that count, each with the groups that it counts in, one bit each.
    #[must_use]
    pub fn accepted(&self) -> &[(u32, u32)] {
        &self.accepted
    }

    /// Accepts a row for the groups in `mask`.
    #[inline]
    pub(super) fn accept(&mut self, row: usize, mask: u32) {
        self.accepted.push((u32::try_from(row).unwrap_or(u32::MAX), mask));
    }

    /// Takes in a pair that `row` of the batch completed.
    pub(super) fn pair(&mut self, pair: &Pair<'_>, row: usize) {
        self.segments.extend_from_slice(pair.segments);
        self.pairs.push(JobPair {
            prediction: pair.prediction,
            outcome: pair.outcome,
            row: u32::try_from(row).unwrap_or(u32::MAX),
        });
    }

    /// Splits the accepted rows by version, in order.
    #[allow(clippy::indexing_slicing, reason = "accepted rows are rows of the batch; `at` was just found or pushed")]
    pub(super) fn split_by_version(&mut self, versions: &[u32]) {
        // A batch of other versions than the ones before must not search among theirs.
        if self.by_version.len() > MOST_KEPT {
            self.by_version.clear();
        }
        let mut at = 0;
        for &(row, mask) in &self.accepted {
            let version = versions[row as usize];
            if self.by_version.get(at).is_none_or(|(v, _)| *v != version) {
                at = self.by_version.iter().position(|(v, _)| *v == version).unwrap_or_else(|| {
                    self.by_version.push((version, Vec::new()));
                    self.by_version.len() - 1
                });
            }
            self.by_version[at].1.push((row, mask));
        }
    }
}

/// Row lists of so many versions are kept for the next batch.
const MOST_KEPT: usize = 256;
