//! Checkpoints, baselines and snapshots.

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
