//! The registry and its file, the audit key, and what is kept of artifacts.

use std::fmt::Display;
use std::path::Path;

/// A version is being registered over HTTP.
pub struct VersionRegistering<'a> {
    pub actor: &'a str,
    pub model: &'a str,
    pub version: &'a str,
    pub stage: Option<&'a str>,
}

impl VersionRegistering<'_> {
    pub fn emit(&self) {
        let Self { actor, model, version, stage } = *self;
        tracing::info!(actor, model, version, stage, "registering a version");
    }
}

/// A version is not promoted by itself, though nothing it waits for is a person.
pub struct NotPromoted<'a, E> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a E,
}

impl<E: Display> NotPromoted<'_, E> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::warn!(model, version, %error, "the version is not promoted by itself");
    }
}

/// A verdict in the registry cannot be read.
pub struct VerdictUnreadable<'a, E> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a E,
}

impl<E: Display> VerdictUnreadable<'_, E> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::error!(%error, model, version, "a verdict in the registry cannot be read and is not shown");
    }
}

/// What follows from a verdict, such as a step of a rollout, was not done.
pub struct VerdictNotFollowed<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a str,
}

impl VerdictNotFollowed<'_> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::error!(error, model, version, "what follows from a verdict was not done");
    }
}

/// The promotion record is without the champion's checks.
pub struct ChampionUnreadable<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a str,
}

impl ChampionUnreadable<'_> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::error!(error, model, version, "the promotion record does not have the champion's checks");
    }
}

/// The audit key's copy in the state folder, where it was before, cannot be removed.
pub struct OldKeyStays<'a> {
    pub key: &'a Path,
    pub why: &'a str,
}

impl OldKeyStays<'_> {
    pub fn emit(&self) {
        let Self { key, why } = *self;
        tracing::warn!(key = %key.display(), "the audit key at its old place stays: {why}");
    }
}

/// The file held a registry of its own before the process took the one of its cluster.
pub struct RegistryReplaced<'a> {
    pub kept: &'a Path,
    pub registry: &'a str,
    pub seq: u64,
}

impl RegistryReplaced<'_> {
    pub fn emit(&self) {
        let Self { kept, registry, seq } = *self;
        tracing::warn!(
            registry, seq, kept = %kept.display(),
            "the registry's file held another state, of before the cluster; it was replaced by the cluster's and is kept as a file of its own"
        );
    }
}

/// The files of an artifact were read.
pub struct ArtifactRead<'a> {
    pub location: &'a str,
    pub task: &'a str,
    pub found: &'a str,
}

impl ArtifactRead<'_> {
    pub fn emit(&self) {
        let Self { location, task, found } = *self;
        tracing::info!(location, task, found, "what an artifact's files are now");
    }
}

/// What was found of artifacts is not kept over a restart, or cannot be used: they are read again.
pub enum ArtifactNotKept<'a, E> {
    NoKey { error: &'a E },
    Unreadable { error: &'a E },
    Unwritten { error: &'a E, location: &'a str },
}

impl<E: Display> ArtifactNotKept<'_, E> {
    pub fn emit(&self) {
        match *self {
            Self::NoKey { error } => tracing::warn!(%error, "what was found of artifacts is not kept"),
            Self::Unreadable { error } => {
                tracing::warn!(%error, "what was found of artifacts cannot be read; they are read again");
            }
            Self::Unwritten { error, location } => {
                tracing::warn!(%error, location, "what was found of an artifact cannot be kept; a restart reads it again");
            }
        }
    }
}

/// What was kept of an artifact is not signed by this registry's key.
pub struct ArtifactUnsigned<'a> {
    pub location: &'a str,
}

impl ArtifactUnsigned<'_> {
    pub fn emit(&self) {
        tracing::warn!(
            location = self.location,
            "what was found of an artifact is not signed by this registry's key; it is read again"
        );
    }
}

/// A file of the state, or a folder of tokens, that others can read or write.
pub enum OpenToOthers<'a> {
    /// They no longer can.
    Closed { file: &'a Path, mode: u32 },
    /// It cannot be changed.
    Stays { file: &'a Path, mode: u32, error: &'a std::io::Error },
    /// A group that may make tokens.
    Tokens { origin: &'a str },
}

impl OpenToOthers<'_> {
    pub fn emit(&self) {
        match *self {
            Self::Closed { file, mode } => {
                let file = file.display();
                tracing::warn!(%file, "others could read or write this file of the state (mode {mode:o}): they no longer can");
            }
            Self::Stays { file, mode, error } => {
                let file = file.display();
                tracing::warn!(%file, %error, "others can read or write this file of the state (mode {mode:o}): chmod 600 it");
            }
            Self::Tokens { origin } => {
                tracing::warn!("{origin} can be written by its group: whoever is in it may make tokens; chmod g-w it");
            }
        }
    }
}

/// What the daemon asks the registry about a model, by what it does without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    Versions,
    Staged,
    Registered,
    MadeAnew,
    SnapshotsReplaced,
    BlocksEnded,
    BlocksActive,
    Verdicts,
}

/// The registry does not answer a question of the daemon.
pub struct RegistryUnanswered<'a, E> {
    pub model: &'a str,
    pub version: Option<&'a str>,
    pub question: Question,
    pub error: &'a E,
}

impl<E: Display> RegistryUnanswered<'_, E> {
    pub fn emit(&self) {
        let Self { model, version, question, error } = *self;
        let what = match question {
            Question::Versions => {
                tracing::error!(model, version, %error, "the registry does not say which versions it has: none is shown with what it keeps");
                return;
            }
            Question::BlocksActive => {
                tracing::error!(
                    model,
                    version,
                    %error,
                    "the registry does not say what it blocks: a block from before may stay until `driftgate unblock`"
                );
                return;
            }
            Question::Verdicts => {
                tracing::error!(model, version, %error, "the verdicts of a version are not read: it counts as not judged");
                return;
            }
            Question::Staged => "which versions have a stage",
            Question::Registered => "which versions are registered",
            Question::MadeAnew => "which versions were made anew",
            Question::SnapshotsReplaced => "which snapshots were replaced",
            Question::BlocksEnded => "which blocks were ended",
        };
        tracing::warn!(model, version, %error, "the registry does not say {what}");
    }
}

/// The stored verdict of a group cannot be read at a start.
pub struct GroupNotJudged<'a, E> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a E,
}

impl<E: Display> GroupNotJudged<'_, E> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::error!(
            %error,
            model,
            version,
            "a stored verdict cannot be read: its group counts as not judged until its next window"
        );
    }
}

/// The checkpoint has a block that the registry never received.
pub struct BlockUnknown<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub group: &'a str,
}

impl BlockUnknown<'_> {
    pub fn emit(&self) {
        let Self { model, version, group } = *self;
        tracing::warn!(model, version, group, "the registry does not know of a block: the next breach blocks anew");
    }
}

/// The daemon takes over that a person ended a block.
pub struct BlockEnded<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub group: &'a str,
}

impl BlockEnded<'_> {
    pub fn emit(&self) {
        let Self { model, version, group } = *self;
        tracing::warn!(model, version, group, "a block was ended by a person");
    }
}

/// A version was deleted and registered anew.
pub struct VersionMadeAnew<'a> {
    pub model: &'a str,
    pub version: &'a str,
}

impl VersionMadeAnew<'_> {
    pub fn emit(&self) {
        let Self { model, version } = *self;
        tracing::warn!(model, version, "a version of this number was deleted: this one is counted anew");
    }
}

/// A version was registered with another snapshot than it is counted against.
pub struct SnapshotRegistered<'a> {
    pub model: &'a str,
    pub version: &'a str,
}

impl SnapshotRegistered<'_> {
    pub fn emit(&self) {
        let Self { model, version } = *self;
        tracing::warn!(model, version, "another snapshot was registered: its baseline is loaded anew");
    }
}

/// What the daemon did upon a change in the registry, and has the registry record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    CountedAnew,
    SnapshotLoaded,
    BlocksEnded,
}

/// The registry does not record what the daemon did upon a change in it; the daemon does it again.
pub struct DoneNotRecorded<'a, E> {
    pub model: &'a str,
    pub version: Option<&'a str>,
    pub done: Done,
    pub error: &'a E,
}

impl<E: Display> DoneNotRecorded<'_, E> {
    pub fn emit(&self) {
        let Self { model, version, done, error } = *self;
        let what = match done {
            Done::CountedAnew => "the version was counted anew: it is counted anew again",
            Done::SnapshotLoaded => "the version's snapshot was loaded: it is loaded again",
            Done::BlocksEnded => "the daemon ended the blocks: it ends them again",
        };
        tracing::warn!(model, version, %error, "the registry does not record that {what}");
    }
}

/// A verdict cannot be written as JSON.
pub struct VerdictUnwritable<'a, E> {
    pub model: &'a str,
    pub version: &'a str,
    pub error: &'a E,
}

impl<E: Display> VerdictUnwritable<'_, E> {
    pub fn emit(&self) {
        let Self { model, version, error } = *self;
        tracing::error!(%error, model, version, "a verdict cannot be written");
    }
}
