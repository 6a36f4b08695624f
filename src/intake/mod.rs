//! The counting side of one model: batches of source partitions in, sealed panes and watermarks out. It owns the label
//! join, the open panes and the dictionaries; what a window means is `evaluate`'s. Output depends only on the policy, the
//! baselines and the order of events within each source partition.

mod closing;
pub mod count;
mod measured;
pub mod names;
pub mod state;
pub mod versions;

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::decode::Limits;
use crate::decode::plan::EventKind;
use crate::event::{FeatureBatch, Flag, LabelBatch, PredictionBatch, PredictionId, code};
use crate::join::{Arrival, Bounds, Join, Met, Outcome, Pair, Pending};
use crate::policy::Policy;
use crate::schema::Schema;
use crate::window::layout::Reads;
use crate::window::pane::Sealed;
use crate::window::watermark::{Bases, Progress, base, is_late};

use names::{Names, Translation};
use versions::{Reference, Version};

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
    progress: Progress,
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
    pub duplicate_predictions: u64,
    pub duplicate_labels: u64,
    /// In an interval the policy ignores.
    pub ignored: u64,
    pub joined: u64,
    /// Labels dropped without a prediction, or too far from it.
    pub unmatched: u64,
    /// Predictions dropped without a label.
    pub unlabelled: u64,
    pub null_labels: u64,
    pub invalid_values: u64,
    pub unsegmented: u64,
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
}

/// The counting side of one model.
pub struct Intake {
    policy: Arc<Policy>,
    schema: Arc<Schema>,
    reads: Vec<Reads>,
    has_features: bool,
    sources: Vec<Source>,
    translations: Vec<Translation>,
    names: Names,
    versions: Vec<Version>,
    join: Option<Join>,
    /// Per group: windows up to here are closed.
    closed: Vec<i64>,
    pub counters: Counters,
    scratch: count::Scratch,
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
            reads: Reads::of(&policy),
            names: Names::new(&schema, &setup.limits),
            closed: vec![i64::MIN; policy.groups.len()],
            sources: Vec::new(),
            translations: Vec::new(),
            versions: Vec::new(),
            counters: Counters::default(),
            scratch: count::Scratch::default(),
            has_features: setup.has_features,
            join,
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
        &self.reads
    }

    /// Adds a source partition.
    pub fn add_source(&mut self, kind: EventKind) -> SourceId {
        self.sources.push(Source { kind, progress: Progress::default() });
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
            s.progress.idle = idle;
        }
    }

    #[must_use]
    pub fn progress(&self, source: SourceId) -> Progress {
        self.sources.get(source.0).map_or(Progress::default(), |s| s.progress)
    }

    /// Takes over what a batch's codes mean, and translates its versions. Every batch comes here, in its decoder's order.
    pub fn learn(&mut self, decoder: DecoderId, batch: &mut PredictionBatch) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.learn_predictions(&mut self.names, batch);
        }
    }

    /// Translates the rest of a batch that was learned from, once no version of it is unknown.
    pub fn translate(&mut self, decoder: DecoderId, batch: &mut PredictionBatch) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.predictions(batch);
        }
    }

    /// Both for the features stream.
    pub fn translate_features(&mut self, decoder: DecoderId, batch: &mut FeatureBatch) {
        if let Some(t) = self.translations.get_mut(decoder.0) {
            t.features(&mut self.names, batch);
        }
    }

    /// Versions of a batch that was learned from, which have neither a baseline nor a failure to load one yet.
    #[must_use]
    pub fn unknown_versions(&self, batch: &PredictionBatch) -> Vec<String> {
        let mut unknown: Vec<u32> = Vec::new();
        let mut last = code::MISSING;
        for &v in &batch.version {
            if v != last && !self.is_known(v) && !unknown.contains(&v) {
                unknown.push(v);
            }
            last = v;
        }
        unknown.iter().filter_map(|&v| self.names.version(v)).map(str::to_owned).collect()
    }

    fn is_known(&self, version: u32) -> bool {
        self.versions.get(version as usize).is_some_and(|v| v.reference != Reference::Unknown)
    }

    /// Gives a version its reference: a baseline, or why there is none.
    pub fn set_reference(&mut self, version: &str, reference: Reference) {
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        if let Reference::Baseline { baseline, .. } = &reference {
            self.names.know(baseline);
            let names = &self.names;
            self.translations.iter_mut().for_each(|t| t.look_again(names));
        }
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.set_reference(reference, &self.reads, self.has_features);
        }
    }

    /// Whether a version has neither a baseline nor a failure to load one.
    #[must_use]
    pub fn is_unknown(&self, version: &str) -> bool {
        self.names.version_code(version).is_none_or(|code| !self.is_known(code))
    }

    /// Takes over a policy that counts the same.
    pub fn adopt(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// Keeps a version active whatever its traffic (it has a stage pointer, or a replay's file names it).
    pub fn pin(&mut self, version: &str, pinned: bool) {
        let at = self.names.intern_version(version);
        self.ensure_version(at);
        if let Some(v) = self.versions.get_mut(at as usize) {
            v.pinned = pinned;
        }
    }

    fn ensure_version(&mut self, code: u32) {
        let groups = self.reads.len();
        while self.versions.len() <= code as usize && code < code::SPECIAL {
            self.versions.push(Version::new(groups));
        }
    }

    /// The versions seen or registered, by code.
    pub fn versions(&self) -> impl Iterator<Item = (u32, &str, &Version)> {
        (0_u32..).zip(&self.versions).filter_map(|(c, v)| Some((c, self.names.version(c)?, v)))
    }

    /// Versions that are active at the predictions' base: pinned, or with predictions within `retire_after`.
    fn active(&self) -> Vec<u32> {
        let since =
            self.base_of(EventKind::Predictions).map_or(i64::MIN, |b| b.saturating_sub(self.policy.retire_after));
        let is_active = |v: &Version| v.pinned || v.last_ts.is_some_and(|ts| ts >= since);
        self.versions().filter(|(_, _, v)| is_active(v)).map(|(c, ..)| c).collect()
    }

    fn base_of(&self, kind: EventKind) -> Option<i64> {
        base(self.sources.iter().filter(|s| s.kind == kind).map(|s| &s.progress))
    }

    /// How far the streams have come.
    #[must_use]
    pub fn bases(&self) -> Bases {
        let mut predictions = self.sources.iter().filter(|s| s.kind == EventKind::Predictions).peekable();
        Bases {
            predictions: self.base_of(EventKind::Predictions),
            labels: self.base_of(EventKind::Labels),
            features: self.base_of(EventKind::Features),
            measurements: self.base_of(EventKind::Measurements),
            has_features: self.has_features,
            predictions_quiet: predictions.peek().is_some() && predictions.all(|s| s.progress.idle),
        }
    }

    /// Counts a translated batch of predictions whose versions are all known.
    pub fn predictions(&mut self, source: SourceId, batch: &PredictionBatch) {
        let Some(Source { progress, .. }) = self.sources.get_mut(source.0) else { return };
        let groups = &self.policy.groups;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.begin(batch.len());
        let counting = || groups.iter().zip(&self.reads).enumerate().filter(|(_, (_, r))| r.counts_predictions());
        let late_before = counting().map(|(_, (g, _))| g.lateness).min().unwrap_or(0);
        let all: u32 = counting().fold(0, |m, (g, _)| m | (1 << g));
        for (row, &ts) in batch.ts.iter().enumerate() {
            let before = progress.advance(ts);
            let mut mask = all;
            if is_late(ts, before, late_before) {
                for (g, (group, _)) in counting() {
                    if is_late(ts, before, group.lateness) {
                        mask &= !(1 << g);
                        self.counters.late += 1;
                    }
                }
            }
            if !self.policy.ignores.is_empty() && self.policy.ignores.iter().any(|i| i.from <= ts && ts < i.to) {
                self.counters.ignored += 1;
                continue;
            }
            scratch.accept(row, mask);
        }
        self.counters.predictions += batch.len() as u64;
        if self.join.is_some() {
            self.join_predictions(batch, &mut scratch);
        }
        self.count_predictions(batch, &mut scratch);
        self.scratch = scratch;
    }

    /// Enters the accepted rows into the join; duplicates are taken out of the batch's accepted rows.
    #[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
    fn join_predictions(&mut self, batch: &PredictionBatch, scratch: &mut count::Scratch) {
        let Some(mut join) = self.join.take() else { return };
        let needs_score_cell = self.reads.iter().any(|r| r.auc);
        let mut segments = Vec::new();
        let mut pairs: Vec<(Pending, Vec<u32>, Outcome, usize)> = Vec::new();
        scratch.retain(|row, mask| {
            segments.clear();
            segments.extend(batch.segments.iter().map(|c| c[row]));
            let version = batch.version[row];
            let score_cell = if needs_score_cell { self.score_cell(version, batch.score[row]) } else { u32::MAX };
            let new = Pending::new(
                batch.ts[row],
                version,
                batch.stage[row],
                mask,
                score_cell,
                count::predicted(batch, row, self.policy.threshold),
            );
            let met = |p: Pair<'_>| pairs.push((p.prediction, p.segments.to_vec(), p.outcome, row));
            let arrival = join.prediction(PredictionId(batch.ids.hash[row]), new, &segments, met);
            match arrival {
                Arrival::New(ended) => {
                    self.counters.duplicate_labels += ended.duplicates;
                    self.counters.unmatched += ended.out_of_bounds;
                    true
                }
                Arrival::Duplicate => {
                    self.counters.duplicate_predictions += 1;
                    false
                }
            }
        });
        for (prediction, segments, outcome, row) in pairs {
            self.count_pair(Pair { prediction, segments: &segments, outcome }, batch.ids.text(row));
        }
        self.join = Some(join);
    }

    fn score_cell(&self, version: u32, score: f64) -> u32 {
        let reference = self.versions.get(version as usize).and_then(|v| v.baseline()).and_then(|b| b.score.as_ref());
        match reference {
            Some(r) if !score.is_nan() => u32::try_from(r.grid.locate(score)).unwrap_or(u32::MAX),
            _ => u32::MAX,
        }
    }

    /// Joins and counts a batch of labels.
    #[allow(clippy::indexing_slicing, reason = "every column of a batch has one entry a row")]
    pub fn labels(&mut self, source: SourceId, batch: &LabelBatch) {
        let Some(lateness) = self.policy.labels.as_ref().map(|l| l.lateness) else { return };
        let Some(mut join) = self.join.take() else { return };
        self.counters.labels += batch.len() as u64;
        for (row, &ts) in batch.ts.iter().enumerate() {
            let Some(Source { progress, .. }) = self.sources.get_mut(source.0) else { break };
            let in_time = !is_late(ts, progress.advance(ts), lateness);
            self.counters.late += u64::from(!in_time);
            if self.policy.ignores.iter().any(|i| i.from <= ts && ts < i.to) {
                self.counters.ignored += 1;
                continue;
            }
            let mut outcome = Outcome { ts, label: batch.label[row], kpis: 0, kpis_yes: 0, in_time };
            for (k, column) in batch.kpis.iter().enumerate() {
                match column[row] {
                    Flag::Yes => {
                        outcome.kpis |= 1 << k;
                        outcome.kpis_yes |= 1 << k;
                    }
                    Flag::No => outcome.kpis |= 1 << k,
                    Flag::Missing => {}
                    Flag::Invalid => self.counters.invalid_values += 1,
                }
            }
            self.counters.null_labels += u64::from(outcome.label == Flag::Missing && outcome.kpis == 0);
            self.counters.invalid_values += u64::from(outcome.label == Flag::Invalid);
            match join.label(PredictionId(batch.ids.hash[row]), outcome) {
                Met::Pair(pair) => {
                    self.count_pair(pair, batch.ids.text(row));
                }
                Met::Waits => {}
                Met::Duplicate => self.counters.duplicate_labels += 1,
                Met::OutOfBounds => self.counters.unmatched += 1,
            }
        }
        self.join = Some(join);
    }

    /// Counts a batch of the features stream for every active version.
    pub fn features(&mut self, source: SourceId, batch: &FeatureBatch) {
        let Some(Source { progress, .. }) = self.sources.get_mut(source.0) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.begin(batch.len());
        for (row, &ts) in batch.ts.iter().enumerate() {
            let before = progress.advance(ts);
            if self.policy.ignores.iter().any(|i| i.from <= ts && ts < i.to) {
                self.counters.ignored += 1;
                continue;
            }
            let mut mask = 0;
            let counting = self.reads.iter().enumerate().filter(|(_, r)| r.counts_predictions());
            for ((g, _), group) in counting.zip(&self.policy.groups) {
                if is_late(ts, before, group.lateness) {
                    self.counters.late += 1;
                } else {
                    mask |= 1 << g;
                }
            }
            scratch.accept(row, mask);
        }
        self.counters.features += batch.len() as u64;
        self.count_features(batch, &mut scratch);
        self.scratch = scratch;
    }

    /// Predictions and labels that wait for each other.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.join.as_ref().map_or((0, 0), Join::sizes)
    }

    /// Categories' codes to bins by version are kept here, so that tests can look.
    #[must_use]
    pub fn closed(&self) -> &[i64] {
        &self.closed
    }
}

/// Bins of category codes: rows of a version's lookup, by feature.
pub(crate) type BinLookup = Vec<Vec<u32>>;

/// Distinct panes of a batch and their rows.
pub(crate) type PaneRows = FxHashMap<i64, usize>;
