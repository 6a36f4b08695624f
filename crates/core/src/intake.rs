//! The counting side of one model: batches of source partitions in, sealed panes and watermarks out. `Intake` admits
//! batches one after the other: it owns the label join, the dictionaries and the closing lines, and says which rows count
//! (a `Job`). Workers count jobs into panes of their own (`count`, `panes`), at the same time. What a window means is
//! `evaluate`'s. Output depends only on the policy, the baselines and the order of events within each source partition.

mod admit;
mod closing;
pub mod count;
mod held;
pub mod job;
mod locate;
mod measured;
pub mod names;
pub mod newcomers;
mod pairs;
pub mod panes;
mod spelling;
mod split;
pub mod starts;
pub mod state;
mod stored;
mod traffic;
pub mod versions;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{EventKind, FeatureBatch, Limits, PredictionBatch, code};
use crate::join::{Bounds, Join};
use crate::policy::Policy;
use crate::schema::Schema;
use crate::state_v4;
use crate::window::front::Front;
use crate::window::layout::Reads;
use crate::window::pane::Sealed;
use crate::window::watermark::{Bases, Progress, base};

pub use closing::Closing;
use held::Held;
use job::Counting;
use names::{Names, Translation};
use newcomers::Newcomers;
use starts::{Cause, Starts};
use versions::{Known, Reference, Version};

/// A source partition of this intake, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceId(pub usize);

/// A decoder whose codes this intake translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DecoderId(pub usize);

/// One source partition.
#[derive(Clone, Debug)]
struct Source {
    kind: EventKind,
    front: Front,
    /// Caught up, and silent for the configured time.
    idle: bool,
    /// Its records before the first one that is read were not counted, and none was read yet.
    behind: bool,
    /// Among them are some that followed records that were counted, of times before this one: an operator went on behind a hole.
    hole: Option<i64>,
    /// It has no more events: a file that was read.
    ended: bool,
}

impl Source {
    fn progress(&self) -> Progress {
        Progress { max_ts: self.front.reached(), idle: self.idle }
    }
}

/// What happened to events beyond being counted; only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub predictions: u64,
    pub labels: u64,
    pub features: u64,
    pub measurements: u64,
    /// Late for a group, counted once a group.
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

/// What an intake is told besides its policy.
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
    names: Names,
    versions: Vec<Version>,
    /// Which names of versions are taken on; all of them without it.
    newcomers: Option<Newcomers>,
    /// Up to which time events of versions were not taken on by the process before.
    refused_before: Option<i64>,
    /// What workers need of the versions, by code; made anew when one of them changed.
    known: Arc<Vec<Known>>,
    stale: bool,
    join: Option<Join>,
    /// How many bytes that may take.
    join_bytes: usize,
    /// Per group: windows up to here are closed.
    closed: Vec<i64>,
    /// Where the counts of all versions begin.
    starts: Starts,
    /// Events of the features stream that wait for predictions.
    held: Held,
    /// Streams that were all idle and have woken up since somebody asked.
    woken: Vec<EventKind>,
    /// Whether windows close by `confirmed` alone.
    confirmed_only: bool,
    /// How far the streams had come when it was last confirmed that no quiet partition holds anything unread.
    confirmed: Option<Bases>,
    /// Batches admitted so far.
    admitted: u64,
    /// A row's segment codes on their way into the join.
    segments: Vec<u32>,
    /// What the evaluator was told of the names.
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
            .map(|l| Join::new(Bounds { horizon: l.horizon, early: l.lateness }, policy.segments.len()));
        Self {
            counting: Arc::new(Counting::new(Arc::clone(&policy))),
            names: Names::new(&schema, &setup.limits),
            closed: vec![i64::MIN; policy.groups.len()],
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
    pub fn names(&self) -> &Names {
        &self.names
    }

    #[must_use]
    pub fn reads(&self) -> &[Reads] {
        &self.counting.reads
    }

    /// Adds a source partition whose times may lie so far ahead of its pace, in ms: where it begins, or as a checkpoint kept it.
    pub fn add_source(&mut self, kind: EventKind, future: i64, kept: Option<Front>) -> SourceId {
        // What is no further ahead than the lateness makes nobody late.
        let least = match (kind, &self.policy.labels) {
            (EventKind::Labels, Some(labels)) => labels.lateness,
            _ => self.policy.groups.iter().map(|g| g.lateness).min().unwrap_or(0),
        };
        let tolerance = future.max(least);
        let front = kept.map_or_else(|| Front::new(tolerance, None), |front| front.with(tolerance));
        self.sources.push(Source { kind, front, idle: false, behind: false, hole: None, ended: false });
        SourceId(self.sources.len() - 1)
    }

    /// Adds a decoder: batches that share its dictionaries share its id.
    pub fn add_decoder(&mut self) -> DecoderId {
        self.translations.push(Translation::default());
        DecoderId(self.translations.len() - 1)
    }

    /// Says whether a source partition is idle (caught up and silent).
    pub fn set_idle(&mut self, source: SourceId, idle: bool) {
        if let Some(s) = self.sources.get_mut(source.0) {
            s.idle = idle;
        }
    }

    /// A source has no more events.
    pub fn end(&mut self, source: SourceId) {
        if let Some(s) = self.sources.get_mut(source.0) {
            s.ended = true;
        }
    }

    /// A source partition brings something: it is not idle any more. Where all of its stream were, none is passed over
    /// unread now, so none is.
    fn wake(&mut self, source: SourceId) {
        let Some(Source { kind, idle: true, .. }) = self.sources.get(source.0) else { return };
        let kind = *kind;
        let of_kind = || self.sources.iter().filter(|s| s.kind == kind);
        if of_kind().all(|s| s.idle) {
            self.woken.push(kind);
            self.sources.iter_mut().filter(|s| s.kind == kind).for_each(|s| s.idle = false);
        }
        self.set_idle(source, false);
    }

    /// Whether a stream has woken up that nobody asked for yet.
    #[must_use]
    pub fn has_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Whether a stream has woken up since somebody asked.
    pub fn take_woken(&mut self, kind: EventKind) -> bool {
        let before = self.woken.len();
        self.woken.retain(|k| *k != kind);
        self.woken.len() < before
    }

    #[must_use]
    pub fn progress(&self, source: SourceId) -> Progress {
        self.sources.get(source.0).map_or(Progress::default(), Source::progress)
    }

    /// How far a source partition has come, to be kept.
    #[must_use]
    pub fn front(&self, source: SourceId) -> Option<&Front> {
        self.sources.get(source.0).map(|s| &s.front)
    }

    /// The last event of a source partition that was ahead of its pace and contradicted since somebody asked: its time, and
    /// what the partition had reached.
    pub fn take_ahead(&mut self, source: SourceId) -> Option<(i64, i64)> {
        self.sources.get_mut(source.0)?.front.take_example()
    }

    /// Takes over what a batch's codes mean, and translates its versions. Every batch comes here, in its decoder's order.
    pub fn learn(&mut self, decoder: DecoderId, batch: &mut PredictionBatch) {
        self.learn_names(decoder, &mut batch.fresh, &mut batch.version);
        if let Some(t) = self.translations.get(decoder.0) {
            batch.generation = t.generation();
        }
    }

    /// Translates the rest of a batch that was learned from, once no version of it is unknown.
    pub fn translate(&mut self, decoder: DecoderId, batch: &mut PredictionBatch) {
        let rows = 0..batch.len();
        self.translate_rows(decoder, batch, rows);
    }

    /// The same of the next rows of a batch, where a later row's version is still unknown.
    pub fn translate_rows(&mut self, decoder: DecoderId, batch: &mut PredictionBatch, rows: Range<usize>) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.predictions(&mut self.names, batch, rows);
        }
    }

    /// Both for the features stream.
    pub fn translate_features(&mut self, decoder: DecoderId, batch: &mut FeatureBatch) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.features(&mut self.names, batch);
        }
    }

    /// Versions of a batch that was learned from, which have neither a baseline nor a failure to load one yet, each with the
    /// first row that has it.
    #[must_use]
    pub fn unknown_versions(&self, batch: &PredictionBatch) -> Vec<(usize, String)> {
        let mut unknown: Vec<(usize, u32)> = Vec::new();
        let mut last = code::MISSING;
        for (row, &v) in batch.version.iter().enumerate() {
            if v != last && !self.is_known(v) && !unknown.iter().any(|(_, known)| *known == v) {
                unknown.push((row, v));
            }
            last = v;
        }
        unknown.iter().filter_map(|&(row, v)| Some((row, self.names.version(v)?.to_owned()))).collect()
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

    /// A source partition is read from behind records that were not counted, all at most `before` where that is known: the
    /// model's counts begin there.
    pub fn begin_behind(&mut self, source: SourceId, before: Option<i64>, cause: Cause) {
        let Some(s) = self.sources.get_mut(source.0) else { return };
        match before {
            Some(ts) => self.starts.raise(s.kind, ts.saturating_add(1), cause),
            None => s.behind = true,
        }
    }

    /// A source partition is read on behind records that are gone uncounted: they may be of any time from those that were
    /// counted up to the first one that is read, and before `until`.
    pub fn begin_hole(&mut self, source: SourceId, until: i64) {
        if let Some(s) = self.sources.get_mut(source.0) {
            (s.behind, s.hole) = (true, Some(until));
        }
    }

    /// Until when the records of a hole may be that a source partition is read on behind, if it has brought nothing since.
    #[must_use]
    pub fn hole(&self, source: SourceId) -> Option<i64> {
        self.sources.get(source.0)?.hole
    }

    /// Whether a source partition was begun behind records whose times are not known, and has brought nothing since.
    #[must_use]
    pub fn is_behind(&self, source: SourceId) -> bool {
        self.sources.get(source.0).is_some_and(|s| s.behind)
    }

    /// What is known of a source partition's front once a batch was admitted: events that were ahead of it, and the first
    /// record where it was begun behind others: those were at most the lateness ahead of it.
    fn settle(&mut self, source: SourceId) {
        let Some(Source { kind, front, behind, hole, .. }) = self.sources.get_mut(source.0) else { return };
        self.counters.ahead += front.take_refuted();
        let Some(ts) = front.take_first().filter(|_| *behind) else { return };
        *behind = false;
        let (kind, hole) = (*kind, hole.take());
        let groups = || self.policy.groups.iter().zip(self.counting.reads.iter());
        // A partition that had nothing for as long as a whole window of the others had nothing before it either.
        let settled = groups().zip(&self.closed).all(|((group, reads), closed)| {
            let whole = self.starts.whole_from(&self.policy, reads);
            whole.is_some_and(|(from, _)| *closed >= from.saturating_add(group.window.size))
        });
        if settled && hole.is_none() {
            return;
        }
        let cause = if hole.is_some() { Cause::Gap } else { Cause::Behind };
        let lateness = match (kind, &self.policy.labels) {
            (EventKind::Labels, Some(labels)) => labels.lateness,
            _ => groups().map(|(g, _)| g.lateness).max().unwrap_or(0),
        };
        self.starts.raise(kind, ts.saturating_add(lateness).saturating_add(1), cause);
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

    fn base_of(&self, kind: EventKind) -> Option<i64> {
        base(self.sources.iter().filter(|s| s.kind == kind).map(Source::progress))
    }

    /// How far the streams have come.
    #[must_use]
    pub fn bases(&self) -> Bases {
        self.bases_by(|at| self.progress(SourceId(at)))
    }

    /// The same where nothing more will come, and so nothing contradicts a time any more.
    fn bases_at_end(&self) -> Bases {
        self.bases_by(|at| {
            let at_end = |s: &Source| Progress { max_ts: s.front.claimed(), idle: s.idle };
            self.sources.get(at).map_or(Progress::default(), at_end)
        })
    }

    /// The bases by what `progress` says of each source partition.
    fn bases_by(&self, progress: impl Fn(usize) -> Progress) -> Bases {
        let of_kind = |kind: EventKind| {
            self.sources.iter().enumerate().filter(move |(_, s)| s.kind == kind).map(|(at, _)| progress(at))
        };
        let mut predictions = of_kind(EventKind::Predictions).peekable();
        let silent_to = self.labels_silent_to(&progress);
        Bases {
            predictions: base(of_kind(EventKind::Predictions)),
            labels: base(of_kind(EventKind::Labels)).max(silent_to),
            labels_silent_to: silent_to,
            features: base(of_kind(EventKind::Features)),
            measurements: base(of_kind(EventKind::Measurements)),
            has_features: self.has_features,
            predictions_quiet: predictions.peek().is_some() && predictions.all(|p| p.idle),
        }
    }

    /// Takes note of how far each source partition had come, and which were idle, at a moment for which that is confirmed:
    /// windows may close as far as these streams had come. A partition that is not named holds its stream.
    pub fn confirm(&mut self, stood: &[(SourceId, Progress)]) {
        let mut by_source = vec![Progress::default(); self.sources.len()];
        for (source, progress) in stood {
            if let Some(of_source) = by_source.get_mut(source.0) {
                *of_source = *progress;
            }
        }
        self.confirmed = Some(self.bases_by(|at| by_source.get(at).copied().unwrap_or_default()));
    }

    /// The bases that windows close by; `None` where nothing is confirmed yet.
    #[must_use]
    pub fn closing_bases(&self) -> Option<Bases> {
        if self.confirmed_only { self.confirmed } else { Some(self.bases()) }
    }

    /// What workers and the evaluator need of the versions, by code.
    pub fn known(&mut self) -> Arc<Vec<Known>> {
        if std::mem::take(&mut self.stale) {
            self.known = Arc::new(self.versions.iter().map(|v| v.known.clone()).collect());
        }
        Arc::clone(&self.known)
    }

    /// The time up to which no labels are waited for: all of their partitions were read to the end, and the last label is
    /// behind the predictions by more than the policy's `silent_after`.
    fn labels_silent_to(&self, progress: impl Fn(usize) -> Progress) -> Option<i64> {
        let spec = self.policy.labels.as_ref()?;
        let of_kind =
            |kind| self.sources.iter().enumerate().filter(move |(_, s)| s.kind == kind).map(|(at, _)| progress(at));
        let mut labels = of_kind(EventKind::Labels).peekable();
        if labels.peek().is_none() || !labels.all(|p| p.idle) {
            return None;
        }
        let to = base(of_kind(EventKind::Predictions))?.saturating_sub(spec.silent_after);
        base(of_kind(EventKind::Labels)).is_none_or(|last| last < to).then_some(to)
    }

    /// Where no labels are waited for any more: the time of the last one, and up to which time.
    #[must_use]
    pub fn silent_labels(&self) -> Option<(Option<i64>, i64)> {
        self.labels_silent_to(|at| self.progress(SourceId(at))).map(|to| (self.base_of(EventKind::Labels), to))
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
