//! The status view: what the daemon shows of itself. The pipeline replaces it piece by piece; HTTP and metrics read it.
//! Facts only; nothing here decides anything.

pub mod behind;
pub mod cluster;
mod counts;
pub mod doubts;
pub mod failing;
pub mod inputs;
mod kept;
pub mod readiness;
pub mod remarks;
pub mod stream_state;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::telemetry::otlp::Exports;
use driftgate_core::decode::Reason;
use driftgate_core::intake::Counters;
use driftgate_core::intake::newcomers::Refused;
use driftgate_core::judge::verdict::{Action, Verdict};
use driftgate_core::kserve::pairs::Counts as HalvesCounts;
use driftgate_core::policy::Policy;
use driftgate_core::promotion::version::VersionRecord;

pub use kept::{Brief, Keep, Kept, Past};
use readiness::{Latch, NotReady, Readiness};

/// So many versions of a model are shown that nobody registered; and so many where nobody knows which those are.
const MOST_UNREGISTERED: usize = 50;
const MOST_VERSIONS: usize = 1000;

/// The status view, as its readers and writers share it.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<RwLock<View>>);

impl Shared {
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        // A view that a panicking writer left is still a view: the panic is reported elsewhere.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part fails.
    pub fn fails(&self, part: failing::Part, why: impl Into<String>) {
        self.write().failing.insert(part, why.into());
    }

    /// A part works, again or still.
    pub fn works(&self, part: &failing::Part) {
        // Mostly nothing fails, and readers do not wait for each other.
        let fails = self.read().failing.contains_key(part);
        if fails {
            self.write().failing.remove(part);
        }
    }
}

/// Everything there is to see.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What is not ready yet, and why. Ready when nothing is, `started` and nothing is `undelivered`.
    pub readiness: Readiness,
    pub started: bool,
    pub models: BTreeMap<String, ModelView>,
    /// Models whose state is still being restored; they are not among `models` yet.
    pub restoring: std::collections::BTreeSet<String>,
    /// By topic (or file) and partition.
    pub sources: BTreeMap<(String, i32), SourceView>,
    /// Topics that were deleted and made anew, and what to do about it.
    pub replaced: BTreeMap<String, String>,
    /// When a topic was last known to be the one that is read.
    pub verified: BTreeMap<String, std::time::Instant>,
    /// What was read of each topic, and what of it was rejected lately.
    pub inputs: BTreeMap<String, inputs::InputView>,
    /// Rejected events by topic and reason.
    pub rejected: BTreeMap<(String, Reason), u64>,
    /// What is worth telling of each topic's events that count.
    pub remarks: BTreeMap<String, remarks::TopicRemarks>,
    /// Events of models without a policy, by topic.
    pub unknown_model: BTreeMap<String, u64>,
    /// What became of requests and responses, by topic of such.
    pub halves: BTreeMap<String, HalvesCounts>,
    /// Signals by action, sink and outcome (`ok`, `error`, `ignored`).
    pub signals: BTreeMap<(Action, String, &'static str), u64>,
    /// What can never be delivered and was dropped, by sink.
    pub undeliverable: BTreeMap<String, u64>,
    /// Attempts to deliver that failed, by sink.
    pub delivery_failures: BTreeMap<String, u64>,
    /// By model: versions with pointers or tags that the external registry does not have.
    pub unregistered: BTreeMap<String, u64>,
    pub checkpoint: CheckpointView,
    /// Why this daemon started from the checkpoint before the last one, and what it reads again, if it did.
    pub fallback: Option<String>,
    /// What does not work at the moment, and why.
    pub failing: failing::Failing,
    /// What of it has not taken anything for a while.
    pub undelivered: std::collections::BTreeSet<failing::Part>,
    /// By topic (or file) and partition: whether it is read as fast as it is written.
    pub behind: BTreeMap<(String, i32), behind::Behind>,
    /// What speaks against the registry being the one that the state belongs to.
    pub doubts: doubts::Doubts,
    /// Dead letters that could not be kept.
    pub dead_letters_lost: u64,
    /// How often their file was full and a new one was begun.
    pub dead_letters_turned: u64,
    /// How many verdicts are kept to look back at.
    pub keep: Keep,
    /// What this process is among several, where there are several.
    pub cluster: Option<cluster::ClusterView>,
    /// The results over time on disk, where they are kept.
    pub history: Option<HistoryView>,
    /// Whether traces and metrics arrive at the collector, where they are exported.
    pub exports: Option<Arc<Exports>>,
}

impl View {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let works = match &self.cluster {
            // It reads and delivers nothing: what it answers from is its copy.
            Some(cluster) if !cluster.owns() && !cluster.counts() => cluster.is_ready(),
            Some(cluster) if !cluster.is_ready() => false,
            _ => self.started && self.undelivered.is_empty(),
        };
        works && self.readiness.is_empty()
    }

    /// Everything that readiness waits for.
    #[must_use]
    pub fn waiting(&self) -> Readiness {
        let mut waiting = self.readiness.clone();
        for (part, why) in self.failing.iter().filter(|(part, _)| self.undelivered.contains(part)) {
            waiting.hold(NotReady::Undelivered { part: part.name(), why: why.clone() });
        }
        if self.cluster.as_ref().is_some_and(|cluster| !cluster.is_ready()) {
            waiting.hold(NotReady::LedgerNotReached);
        }
        if waiting.is_empty() {
            waiting.hold(NotReady::Starting);
        }
        waiting
    }

    /// Forgets what was shown of the partitions of a number that are not counted here any more.
    pub fn forget_partition(&mut self, topics: &[String], number: u32) {
        let is_of = |topic: &String, partition: i32| topics.contains(topic) && u32::try_from(partition) == Ok(number);
        self.readiness.release_all(|latch| match latch {
            Latch::Kafka | Latch::ConsumerGroup | Latch::Checkpoint => true,
            Latch::Reading { topic, partition } | Latch::Counting { topic, partition } => is_of(topic, *partition),
            Latch::Baseline { .. }
            | Latch::Snapshot { .. }
            | Latch::Input { .. }
            | Latch::Replaced { .. }
            | Latch::Delivery { .. }
            | Latch::Ledger
            | Latch::Daemon => false,
        });
        self.sources.retain(|(topic, partition), _| !is_of(topic, *partition));
        self.behind.retain(|(topic, partition), _| !is_of(topic, *partition));
    }

    /// Forgets what was shown of models that are not counted here any more, and of their topics.
    pub fn forget(&mut self, models: &[String], topics: &[String]) {
        let is_of_model = |model: &String| models.contains(model);
        let is_of_topic = |topic: &String| topics.contains(topic);
        self.readiness.release_all(|latch| match latch {
            // Of what is counted on, they are held again.
            Latch::Kafka | Latch::ConsumerGroup | Latch::Checkpoint => true,
            Latch::Baseline { model, .. } | Latch::Snapshot { model, .. } => is_of_model(model),
            Latch::Input { topic }
            | Latch::Replaced { topic }
            | Latch::Reading { topic, .. }
            | Latch::Counting { topic, .. } => is_of_topic(topic),
            Latch::Delivery { .. } | Latch::Ledger | Latch::Daemon => false,
        });
        self.restoring.retain(|model| !is_of_model(model));
        self.sources.retain(|(topic, _), _| !is_of_topic(topic));
        self.behind.retain(|(topic, _), _| !is_of_topic(topic));
        self.replaced.retain(|topic, _| !is_of_topic(topic));
        self.verified.retain(|topic, _| !is_of_topic(topic));
        self.inputs.retain(|topic, _| !is_of_topic(topic));
        self.remarks.retain(|topic, _| !is_of_topic(topic));
        self.unknown_model.retain(|topic, _| !is_of_topic(topic));
        self.halves.retain(|topic, _| !is_of_topic(topic));
        self.rejected.retain(|(topic, _), _| !is_of_topic(topic));
        self.failing.retain(|part, _| {
            !matches!(part, failing::Part::Labels(model) | failing::Part::LabelsApart(model) if is_of_model(model))
        });
    }

    /// Leaves out versions of which there are too many: those that are not registered, but for the ones with the most predictions.
    /// Where the registry does not say which are, more stay.
    pub fn leave_out(&mut self, registered: Option<&[VersionRecord]>) {
        let most = if registered.is_some() { MOST_UNREGISTERED } else { MOST_VERSIONS };
        for (name, model) in &mut self.models {
            let is_registered = |version: &String| {
                registered.is_some_and(|r| r.iter().any(|r| r.model == *name && r.version == *version))
            };
            let mut unregistered: Vec<(std::cmp::Reverse<u64>, String)> = model
                .versions
                .iter()
                .filter(|(version, _)| !is_registered(version))
                .map(|(version, v)| (std::cmp::Reverse(v.predictions), version.clone()))
                .collect();
            unregistered.sort();
            for (_, version) in unregistered.into_iter().skip(most) {
                model.versions.remove(&version);
                model.left_out += 1;
            }
        }
    }

    /// The view of one version, added if it is new.
    pub fn version_mut(&mut self, model: &str, version: &str) -> Option<&mut VersionView> {
        Some(self.models.get_mut(model)?.versions.entry(version.to_owned()).or_default())
    }

    /// Adds the newest verdict of its version and group.
    pub fn push(&mut self, verdict: Arc<Verdict>) {
        let keep = self.keep;
        if let Some(version) = self.version_mut(&verdict.model, &verdict.version) {
            version.push(verdict, keep);
        }
    }
}

/// One source partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceView {
    pub events: u64,
    /// The offset to read next, and the high watermark, where known.
    pub next_offset: Option<i64>,
    pub high_watermark: Option<i64>,
    /// How much of what is there cannot be read yet, since a transaction is open before it.
    pub held_by_transaction: i64,
    /// The largest event time that its events agree on, in ms.
    pub max_ts: Option<i64>,
    /// Its last events that are ahead of its pace, while nothing confirms or contradicts their times.
    pub ahead: usize,
    pub idle: bool,
    pub paused: bool,
    /// It is halted, or what is there is not read and nothing says why: `readiness` says why.
    pub halted: bool,
}

impl SourceView {
    /// Messages that are there but not read.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        Some((self.high_watermark? - self.next_offset?).max(0))
    }
}

/// One model.
#[derive(Clone, Debug)]
pub struct ModelView {
    pub policy: Arc<Policy>,
    pub counters: Counters,
    pub versions: BTreeMap<String, VersionView>,
    /// Predictions that wait for labels, and labels that wait for predictions.
    pub waiting: (usize, usize),
    /// Bytes that they take.
    pub join_bytes: usize,
    /// Watermark of each group in ms: windows up to here are closed.
    pub closed: BTreeMap<String, i64>,
    /// Windows that were judged without all of their events.
    pub incomplete: u64,
    /// Versions that have no place here, since they are too many.
    pub left_out: u64,
    /// Names of versions that were not taken on.
    pub refused: Refused,
}

/// One version of a model.
#[derive(Clone, Debug, Default)]
pub struct VersionView {
    pub predictions: u64,
    /// Digest of its baseline, or why there is none.
    pub baseline: Option<Result<String, String>>,
    /// Whether that was decided once, for all processes that count its partitions, and so stays.
    pub is_decided: bool,
    /// Why its snapshot cannot be read now, where its counts go on against a baseline that the state holds.
    pub snapshot: Option<String>,
    /// How often its baseline was replaced by another one.
    pub replaced: u64,
    /// Rows of its training snapshot.
    pub reference_rows: Option<u64>,
    /// By group.
    pub verdicts: BTreeMap<String, Kept>,
    /// Groups with an active block, and their reasons.
    pub blocks: BTreeMap<String, Vec<String>>,
}

impl VersionView {
    /// Adds the newest verdict of its group.
    pub fn push(&mut self, verdict: Arc<Verdict>, keep: Keep) {
        self.verdicts.entry(verdict.group.clone()).or_default().push(verdict, keep);
    }

    /// The newest verdict of each group.
    pub fn latest(&self) -> impl Iterator<Item = &Arc<Verdict>> {
        self.verdicts.values().filter_map(Kept::latest)
    }
}

/// The history on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryView {
    /// Of all files, and how many days of models they hold.
    pub bytes: u64,
    pub days: u64,
    /// Attempts to write that failed.
    pub write_failures: u64,
    /// Windows that were left out, since too many waited.
    pub lost: u64,
    /// Since when windows wait that cannot be written.
    pub behind_since: Option<std::time::Instant>,
}

/// Checkpoints so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CheckpointView {
    /// Since when one is being written.
    pub since: Option<std::time::Instant>,
    pub written: u64,
    pub failed: u64,
    /// When the last one was written (wall clock, ms), its size and how long it took.
    pub last_ms: Option<i64>,
    pub last_bytes: u64,
    pub last_seconds: f64,
}
