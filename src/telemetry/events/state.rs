//! Checkpoints, baselines and snapshots.

use std::path::Path;

use crate::telemetry::counts::{Counted, Counts};

/// A checkpoint that fails again and again is logged each so many times.
const SAY_AGAIN: u64 = 60;

/// A checkpoint could not be written. Counted always, logged as it begins to fail and now and then.
pub struct CheckpointFailed<'a> {
    pub error: &'a str,
    /// The one before was written.
    pub is_first: bool,
    /// How many failed, with this one.
    pub failed: u64,
}

impl CheckpointFailed<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        counts.count(Counted::CheckpointsFailed, 1);
        if self.is_first || self.failed.is_multiple_of(SAY_AGAIN) {
            tracing::error!(error = self.error, "the checkpoint was not written; the last one stays");
        }
    }
}

/// The checkpoint before the last one is used. `checkpoint_fallback` shows it as long as the process runs.
pub struct CheckpointFallback<'a> {
    pub why: &'a str,
}

impl CheckpointFallback<'_> {
    pub fn emit(&self) {
        tracing::warn!("{}", self.why);
    }
}

/// Nor can the checkpoint before the last one be used.
pub struct BeforeUnusable<'a> {
    pub error: &'a dyn std::fmt::Display,
}

impl BeforeUnusable<'_> {
    pub fn emit(&self) {
        tracing::error!(error = %self.error, "nor can the checkpoint before the last one be used");
    }
}

/// A checkpoint was written after others had failed.
pub struct CheckpointResumed;

impl CheckpointResumed {
    pub fn emit(&self) {
        tracing::info!("the checkpoint is written again");
    }
}

/// A checkpoint is being written without an end. `checkpoint_under_way_seconds` shows how long.
pub struct CheckpointHangs<'a> {
    pub why: &'a str,
}

impl CheckpointHangs<'_> {
    pub fn emit(&self) {
        tracing::error!("{}", self.why);
    }
}

/// A version's snapshot is another one than it was counted against: its counts start anew.
pub struct BaselineReplaced<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub sha256: &'a str,
}

impl BaselineReplaced<'_> {
    pub fn emit(&self, counts: &impl Counts) {
        let Self { model, version, sha256 } = *self;
        tracing::warn!(
            model,
            version,
            sha256,
            "the snapshot of this version is another one than it was counted against: its counts start anew, and windows that reach back are incomplete"
        );
        counts.count(Counted::BaselinesReplaced { model, version }, 1);
    }
}

/// A version has no baseline.
pub struct BaselineMissing<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub why: &'a str,
}

impl BaselineMissing<'_> {
    pub fn emit(&self) {
        let Self { model, version, why } = *self;
        tracing::error!(model, version, "no baseline, verdicts will be insufficient until there is one: {why}");
    }
}

/// A version's snapshot cannot be read; its counts go on. `snapshot_unreachable` shows it as long as it holds.
pub struct SnapshotUnreachable<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub what: &'a str,
}

impl SnapshotUnreachable<'_> {
    pub fn emit(&self) {
        let Self { model, version, what } = *self;
        tracing::warn!(model, version, "{what}");
    }
}

/// A version's snapshot can be read again.
pub struct SnapshotReachable<'a> {
    pub model: &'a str,
    pub version: &'a str,
}

impl SnapshotReachable<'_> {
    pub fn emit(&self) {
        let Self { model, version } = *self;
        tracing::info!(model, version, "its snapshot can be read again, and is the one that it is counted against");
    }
}

/// The checkpoint of the release before was taken over.
pub struct CheckpointTakenOver<'a> {
    /// Where a copy of it is kept.
    pub kept: &'a Path,
}

impl CheckpointTakenOver<'_> {
    pub fn emit(&self) {
        let kept = self.kept.display();
        tracing::info!(
            %kept,
            "the checkpoint of the release before was taken over; a copy for going back is kept, remove it when it is not needed any more"
        );
    }
}

/// A chunk that no checkpoint names was not removed.
pub struct ChunkStays<'a> {
    pub path: &'a Path,
    pub error: &'a std::io::Error,
}

impl ChunkStays<'_> {
    pub fn emit(&self) {
        let (path, error) = (self.path.display(), self.error);
        tracing::debug!(%path, %error, "a chunk that is not needed any more stays");
    }
}

/// A checkpoint holds counts of a model that has no policy.
pub struct ModelDropped<'a> {
    pub model: &'a str,
}

impl ModelDropped<'_> {
    pub fn emit(&self) {
        tracing::warn!(model = self.model, "the checkpoint holds a model without a policy: its counts are dropped");
    }
}

/// Counts of a version that a checkpoint holds cannot be continued.
pub struct CountsLost<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub why: &'a str,
}

impl CountsLost<'_> {
    pub fn emit(&self) {
        let Self { model, version, why } = *self;
        tracing::warn!(
            model,
            version,
            "the counts of this version start anew, and windows that reach back are incomplete: {why}"
        );
    }
}

/// A start waits for a version's baseline; `GET /ready` shows it as long as it holds.
pub struct BaselineAwaited<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub why: &'a str,
}

impl BaselineAwaited<'_> {
    pub fn emit(&self) {
        let Self { model, version, why } = *self;
        tracing::warn!(model, version, "{why}");
    }
}

/// A version's baseline is being built.
pub struct BaselineLoading<'a> {
    pub model: &'a str,
    pub version: &'a str,
}

impl BaselineLoading<'_> {
    pub fn emit(&self) {
        let Self { model, version } = *self;
        tracing::info!(model, version, "loading the baseline of a version");
    }
}

/// A version's baseline was built.
pub struct BaselineLoaded<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub rows: u64,
    pub sha256: &'a str,
}

impl BaselineLoaded<'_> {
    pub fn emit(&self) {
        let Self { model, version, rows, sha256 } = *self;
        tracing::info!(model, version, rows, sha256, "baseline loaded");
    }
}

/// A version's baseline cannot be built.
pub struct BaselineFailed<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a str,
}

impl BaselineFailed<'_> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::warn!(model, version, error, "the version's baseline cannot be built");
    }
}

/// A version was over the limit of new ones, and has a snapshot by now.
pub struct VersionTakenOn<'a> {
    pub model: &'a str,
    pub version: &'a str,
}

impl VersionTakenOn<'_> {
    pub fn emit(&self) {
        let Self { model, version } = *self;
        tracing::info!(model, version, "a version that was not taken on has a snapshot: it is counted from here on");
    }
}

/// The state of a unit is being read from the cluster's topic; now and then while it takes long.
pub struct StateReading<'a> {
    pub unit: &'a str,
    pub bytes: u64,
}

impl StateReading<'_> {
    pub fn emit(&self) {
        let Self { unit, bytes } = *self;
        tracing::info!(unit, bytes, "reading the state from the cluster's topic");
    }
}

/// The state of a unit was read from the cluster's topic; 0 where there is none.
pub struct StateRead<'a> {
    pub unit: &'a str,
    pub seq: u64,
    pub bytes: u64,
    pub seconds: f64,
}

impl StateRead<'_> {
    pub fn emit(&self) {
        let Self { unit, seq, bytes, seconds } = *self;
        tracing::info!(unit, seq, bytes, seconds, "the state was read from the cluster's topic");
    }
}
