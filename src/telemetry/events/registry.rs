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
