//! What a start finds: the registry and its state, the partitions and where they go on, other daemons of the consumer group.

use std::fmt::Display;
use std::path::Path;

use super::kafka::Place;

/// Where the registry is, if a release before kept it in the state folder.
pub enum RegistryPlace<'a> {
    Moved { from: &'a Path, to: &'a Path },
    Stays { at: &'a Path, to: &'a Path, why: &'a str },
    Both { used: &'a Path, other: &'a Path },
}

impl RegistryPlace<'_> {
    pub fn emit(&self) {
        match self {
            Self::Moved { from, to } => {
                let (from, to) = (from.display(), to.display());
                tracing::warn!(%from, %to, "the registry and its key were moved to a folder of their own");
            }
            Self::Stays { at, to, why } => {
                let (at, to) = (at.display(), to.display());
                tracing::warn!(%at, "the registry stays in the state folder for now, and is not moved to {to}: {why}");
            }
            Self::Both { used, other } => {
                let (used, other) = (used.display(), other.display());
                tracing::warn!(%used, %other, "there are two registries; the one in the state folder is not used");
            }
        }
    }
}

/// The registry is not the one that the state belongs to. `registry_doubted` shows it as long as it holds.
pub struct RegistryDoubted<'a> {
    pub id: &'a str,
    pub why: &'a str,
}

impl RegistryDoubted<'_> {
    pub fn emit(&self) {
        let Self { id, why } = *self;
        tracing::error!("{why}. Restore it from a backup, or accept it with --accept-new-registry {id}");
    }
}

/// An operator accepted something that is not there.
pub enum NotAccepted<'a> {
    Registry { given: &'a str, id: &'a str },
    Topic { topic: &'a str, given: &'a str, id: &'a str },
    Partition { at: Place<'a> },
    Offset { at: Place<'a>, given: i64, next: Option<i64> },
}

impl NotAccepted<'_> {
    pub fn emit(&self) {
        match *self {
            Self::Registry { given, id } => {
                tracing::warn!(
                    "--accept-new-registry names the id {given}, and the registry's is {id}: it changes nothing"
                );
            }
            Self::Topic { topic, given, id } => {
                tracing::warn!(
                    topic,
                    "--accept-new-topic names the id {given}, and the topic's is {id}: it changes nothing"
                );
            }
            Self::Partition { at: Place { topic, partition } } => {
                tracing::warn!(topic, partition, "--accept-gap names a partition that is not read: it changes nothing");
            }
            Self::Offset { at: Place { topic, partition }, given, next } => {
                let next = next.map_or_else(|| "not known".to_owned(), |next| next.to_string());
                tracing::warn!(
                    topic,
                    partition,
                    "--accept-gap names offset {given}, and the next to be counted is {next}: it changes nothing"
                );
            }
        }
    }
}

/// What the brokers have to say before a hole is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    Ends,
    Readable,
}

/// A hole was accepted and is not passed over, since the brokers do not say enough.
pub struct GapKept<'a> {
    pub at: Place<'a>,
    pub unknown: Unknown,
}

impl GapKept<'_> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, unknown } = *self;
        let what = match unknown {
            Unknown::Ends => "where the partition begins and ends",
            Unknown::Readable => "which records of the partition can be read",
        };
        tracing::error!(topic, partition, "the brokers do not say {what}: nothing is passed over");
    }
}

/// A hole is passed over.
pub struct GapPassed<'a> {
    pub at: Place<'a>,
    pub next: i64,
    pub from: i64,
}

impl GapPassed<'_> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, next, from } = *self;
        tracing::warn!(
            topic,
            partition,
            next,
            from,
            "a hole is passed over: windows that may lack its records are incomplete"
        );
    }
}

/// A topic that was deleted and made anew is read from its beginning.
pub struct TopicAccepted<'a> {
    pub topic: &'a str,
    pub id: Option<&'a str>,
}

impl TopicAccepted<'_> {
    pub fn emit(&self) {
        let Self { topic, id } = *self;
        tracing::warn!(topic, id, "the topic was made anew and accepted: it is read from its beginning");
    }
}

/// The brokers do not say whether another daemon reads for the same consumer group.
pub struct RivalsUnknown<'a, E> {
    pub error: &'a E,
}

impl<E: Display> RivalsUnknown<'_, E> {
    pub fn emit(&self) {
        tracing::warn!(
            error = %self.error,
            "the brokers do not say whether another driftgate reads for the same consumer group"
        );
    }
}

/// Another daemon reads for the same consumer group, or did until a moment ago; `GET /ready` shows it.
pub struct RivalSeen<E> {
    pub why: E,
}

impl<E: Display> RivalSeen<E> {
    pub fn emit(&self) {
        tracing::warn!("{}", self.why);
    }
}

/// Another daemon reads for the same consumer group, and this one ends.
pub struct GaveWay<'a, E> {
    pub group: &'a str,
    pub who: E,
}

impl<E: Display> GaveWay<'_, E> {
    pub fn emit(&self) {
        let Self { group, who } = self;
        tracing::error!(
            "another driftgate reads for the consumer group {group:?}: {who}. Two would judge and signal everything twice: stop that one, or give \
             this one another kafka.group"
        );
    }
}
