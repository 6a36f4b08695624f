//! The counting side of one model: batches of source partitions in, sealed panes and watermarks out. `Intake` admits
//! batches one after the other: it owns the label join, the dictionaries and the closing lines, and says which rows count
//! (a `Job`). Workers count jobs into panes of their own (`count`, `panes`), at the same time. What a window means is
//! `evaluate`'s. Output depends only on the policy, the baselines and the order of events within each source partition.

mod active;
mod admit;
mod by_segment;
mod closing;
pub mod count;
pub mod elsewhere;
pub mod features;
pub mod guard;
mod held;
pub mod job;
mod learn;
mod locate;
mod measured;
pub mod names;
pub mod newcomers;
mod pairs;
pub mod panes;
pub mod parts;
pub mod repeats;
mod rows;
mod segment_lookup;
mod shards;
mod source;
mod spelling;
pub(crate) mod split;
pub mod starts;
pub mod state;
mod stored;
mod streams;
mod traffic;
pub mod versions;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{EventKind, Limits, code};
use crate::join::{Bounds, Join};
use crate::policy::Policy;
use crate::schema::Schema;
use crate::state_v4;
use crate::window::layout::Reads;
use crate::window::pane::Sealed;
use crate::window::watermark::Bases;

pub use closing::Closing;
use elsewhere::Elsewhere;
use held::Held;
use job::Counting;
use names::{EventNames, Translation};
use newcomers::Newcomers;
use repeats::Given;
use source::Source;
use starts::{Cause, Starts};
use versions::{Known, Reference, Version};

/// A source partition of this intake, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceId(pub usize);

/// A decoder whose codes this intake translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecoderId(pub usize);

/// What happened to events beyond being counted; only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub predictions: u64,
    pub labels: u64,
    pub features: u64,
    pub measurements: u64,
    /// Late for a group, counted once per group.
    pub late: u64,
    /// Came for a pane whose windows are closed.
    pub after_close: u64,
    /// Ahead of their partition's pace, and contradicted by the events after them.
    pub ahead: u64,
    pub duplicate_predictions: u64,
    pub duplicate_labels: u64,
    /// In an interval the policy ignores.
    pub ignored: u64,
    /// Pairs: a label of several versions' predictions makes as many.
    pub joined: u64,
    /// Of those whose prediction has no class, pairs that rules of rates would have counted.
    pub unclassed: u64,
    /// Labels dropped without a prediction, or too far from it.
    pub unmatched: u64,
    /// Predictions dropped without a label.
    pub unlabelled: u64,
    pub null_labels: u64,
    pub invalid_values: u64,
    pub unsegmented: u64,
    /// Of the features stream, counted before it was known for which versions.
    pub features_undecided: u64,
    /// Predictions and labels that waited for each other and were given up, since they took too much memory.
    pub given_up: u64,
}

impl Counters {
    /// How many events of a kind were read.
    #[must_use]
    pub fn of(&self, kind: EventKind) -> u64 {
        match kind {
            EventKind::Predictions => self.predictions,
            EventKind::Labels => self.labels,
            EventKind::Features => self.features,
            EventKind::Measurements => self.measurements,
        }
    }
}

impl From<state_v4::Counters> for Counters {
    fn from(old: state_v4::Counters) -> Self {
        Self {
            predictions: old.predictions,
            labels: old.labels,
            features: old.features,
            measurements: old.measurements,
            late: old.late,
            after_close: old.after_close,
            ahead: 0,
            duplicate_predictions: old.duplicate_predictions,
            duplicate_labels: old.duplicate_labels,
            ignored: old.ignored,
            joined: old.joined,
            unclassed: 0,
            unmatched: old.unmatched,
            unlabelled: old.unlabelled,
            null_labels: old.null_labels,
            invalid_values: old.invalid_values,
            unsegmented: old.unsegmented,
            features_undecided: 0,
            given_up: 0,
        }
    }
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.predictions += other.predictions;
        self.labels += other.labels;
        self.features += other.features;
        self.measurements += other.measurements;
        self.late += other.late;
        self.after_close += other.after_close;
        self.ahead += other.ahead;
        self.duplicate_predictions += other.duplicate_predictions;
        self.duplicate_labels += other.duplicate_labels;
        self.ignored += other.ignored;
        self.joined += other.joined;
        self.unclassed += other.unclassed;
        self.unmatched += other.unmatched;
        self.unlabelled += other.unlabelled;
        self.null_labels += other.null_labels;
        self.invalid_values += other.invalid_values;
        self.unsegmented += other.unsegmented;
        self.features_undecided += other.features_undecided;
        self.given_up += other.given_up;
    }
}

/// A sealed pane on its way to the evaluator.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedPane {
    pub version: u32,
    pub group: usize,
    /// The pane's start divided by the group's slide.
    pub pane: i64,
    pub sealed: Sealed,
}

/// What an intake gets besides its policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whether a features stream will come.
    pub has_features: bool,
    pub limits: Limits,
    /// Whether windows close only as far as `Intake::confirm` allows: where partitions may hold what is not read yet.
    pub confirmed_only: bool,
}

/// The counting side of one model.
pub struct Intake {
    policy: Arc<Policy>,
    schema: Arc<Schema>,
    counting: Arc<Counting>,
    has_features: bool,
    sources: Vec<Source>,
    translations: Vec<Translation>,
    names: EventNames,
    versions: Vec<Version>,
    /// Which names of versions are taken on; all of them without it.
    newcomers: Option<Newcomers>,
    /// Up to which time events of versions were not taken on by the process before.
    refused_before: Option<i64>,
    /// What workers need of the versions, by code; made anew when one of them changed.
    known: Arc<Vec<Known>>,
    stale: bool,
    join: Option<Join>,
    /// What is joined elsewhere.
    given: Option<Given>,
    /// How many bytes that may take.
    join_bytes: usize,
    /// Per group: windows up to here are closed.
    closed: Vec<i64>,
    /// What waits in other processes, where those count.
    elsewhere: Option<Elsewhere>,
    /// Where the counts of all versions begin.
    starts: Starts,
    /// Events of the features stream that wait for predictions.
    held: Held,
    /// Streams that were all idle and have woken up since the last call.
    woken: Vec<EventKind>,
    /// Whether windows close by `confirmed` alone.
    confirmed_only: bool,
    /// How far the streams had come when it was last confirmed that no quiet partition holds anything unread.
    confirmed: Option<Bases>,
    /// Batches admitted so far.
    admitted: u64,
    /// A row's segment codes on their way into the join.
    segments: Vec<u32>,
    /// The names that the evaluator has received.
    told: Vec<usize>,
    /// What admission counted; what workers count is added where it is read.
    pub counters: Counters,
}

impl Intake {
    /// An empty intake.
    #[must_use]
    pub fn new(policy: Arc<Policy>, setup: Setup) -> Self {
        let schema = Arc::new(Schema::new(&policy));
        let join = policy
            .labels
            .as_ref()
            .map(|l| Join::new(Bounds { horizon: l.horizon, early: l.lateness }, policy.codes_of_pair()));
        let join = join.map(|join| if policy.pairs_numbers() { join.of_numbers() } else { join });
        Self {
            counting: Arc::new(Counting::new(Arc::clone(&policy))),
            names: EventNames::new(&schema, &setup.limits),
            closed: vec![i64::MIN; policy.groups.len()],
            elsewhere: None,
            starts: Starts::default(),
            held: Held::default(),
            sources: Vec::new(),
            translations: Vec::new(),
            versions: Vec::new(),
            newcomers: None,
            refused_before: None,
            known: Arc::default(),
            stale: false,
            woken: Vec::new(),
            confirmed_only: setup.confirmed_only,
            confirmed: None,
            admitted: 0,
            segments: Vec::new(),
            told: Vec::new(),
            counters: Counters::default(),
            has_features: setup.has_features,
            join,
            given: None,
            join_bytes: setup.limits.join_bytes,
            schema,
            policy,
        }
    }

    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    #[must_use]
    pub fn names(&self) -> &EventNames {
        &self.names
    }

    #[must_use]
    pub fn reads(&self) -> &[Reads] {
        &self.counting.reads
    }

    /// Adds a decoder: batches that share its dictionaries share its id.
    pub fn add_decoder(&mut self) -> DecoderId {
        self.translations.push(Translation::default());
        DecoderId(self.translations.len() - 1)
    }

    fn is_known(&self, version: u32) -> bool {
        self.versions.get(version as usize).is_some_and(|v| *v.reference() != Reference::Unknown)
    }

    /// Gives a version its reference: a baseline, or why there is none.
    pub fn set_reference(&mut self, version: &str, reference: Reference) {
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        self.wait_ended(version);
        if let Reference::Baseline { baseline, .. } = &reference {
            self.names.know(baseline);
            let names = &self.names;
            self.translations.iter_mut().for_each(|t| t.look_again(names));
        }
        let late = matches!(reference, Reference::Baseline { .. });
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.set_reference(reference, &self.counting.reads, self.has_features);
            self.stale = true;
            if late && std::mem::take(&mut v.bare) {
                self.begin_version(at, Cause::Baseline);
            }
        }
    }

    /// The counts of a version begin behind everything that was read so far.
    pub fn begin_version(&mut self, version: u32, cause: Cause) {
        for kind in EventKind::ALL {
            let of_kind = self.sources.iter().filter(|s| s.kind == kind);
            let reached = of_kind.filter_map(|s| s.front.claimed()).max();
            if let (Some(ts), Some(v)) = (reached, self.versions.get_mut(version as usize)) {
                v.known.starts.raise(kind, ts.saturating_add(1), cause);
                self.stale = true;
            }
        }
    }

    /// Whether a version has neither a baseline nor a failure to load one.
    #[must_use]
    pub fn is_unknown(&self, version: &str) -> bool {
        self.names.version_code(version).is_none_or(|code| !self.is_known(code))
    }

    /// Takes over a policy that counts the same.
    pub fn adopt(&mut self, policy: Arc<Policy>) {
        self.counting = Arc::new(Counting::new(Arc::clone(&policy)));
        self.policy = policy;
    }

    /// Keeps a version active whatever its own traffic: it has a stage pointer.
    pub fn pin(&mut self, version: &str, pinned: bool) {
        if self.names.version_code(version).is_none() {
            self.take_on(version, pinned);
        }
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.pinned = pinned;
        }
    }

    fn ensure_version(&mut self, code: u32) {
        while self.versions.len() <= code as usize && code < code::SPECIAL {
            self.versions.push(Version::default());
            self.stale = true;
        }
    }

    /// The versions seen or registered, by code.
    pub fn versions(&self) -> impl Iterator<Item = (u32, &str, &Version)> {
        (0_u32..).zip(&self.versions).filter_map(|(c, v)| Some((c, self.names.version(c)?, v)))
    }

    /// What workers and the evaluator need of the versions, by code.
    pub fn known(&mut self) -> Arc<Vec<Known>> {
        if std::mem::take(&mut self.stale) {
            self.known = Arc::new(self.versions.iter().map(|v| v.known.clone()).collect());
        }
        Arc::clone(&self.known)
    }

    /// Bytes of predictions and labels that wait for each other.
    #[must_use]
    pub fn join_bytes(&self) -> usize {
        self.join.as_ref().map_or(0, Join::bytes)
    }

    /// Predictions and labels that wait for each other.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.join.as_ref().map_or((0, 0), Join::sizes)
    }

    /// Per group, up to where windows are closed.
    #[must_use]
    pub fn closed(&self) -> &[i64] {
        &self.closed
    }
}
