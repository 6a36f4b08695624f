//! Readiness: what has to hold before the daemon is ready, and why it does not. Whoever knows a reason puts it here, and
//! releases its latch once it is gone; the daemon is ready when it has started and no latch is held. `/ready` and the status
//! show the same names and sentences.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use driftgate_core::codec::time::utc;

/// What can hold readiness back. Its `Display` is the name in `/ready` and in the status.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Latch {
    /// The brokers.
    Kafka,
    ConsumerGroup,
    Checkpoint,
    /// The baseline of a restored version.
    Baseline {
        model: String,
        version: String,
    },
    /// The snapshot of a version that is counted against a baseline from the state.
    Snapshot {
        model: String,
        version: String,
    },
    /// A topic most of whose events are rejected.
    Input {
        topic: String,
    },
    /// A topic that was made anew.
    Replaced {
        topic: String,
    },
    /// A partition that is to be read.
    Reading {
        topic: String,
        partition: i32,
    },
    /// A partition that was read and is to be counted.
    Counting {
        topic: String,
        partition: i32,
    },
    /// A part to which nothing could be delivered for a while.
    Delivery {
        part: String,
    },
    /// The cluster's ledger.
    Ledger,
    /// The start.
    Daemon,
}

impl fmt::Display for Latch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka => out.write_str("kafka"),
            Self::ConsumerGroup => out.write_str("the consumer group"),
            Self::Checkpoint => out.write_str("checkpoint"),
            Self::Baseline { model, version } => write!(out, "version {version} of {model}"),
            Self::Snapshot { model, version } => write!(out, "the snapshot of version {version} of {model}"),
            Self::Input { topic } => write!(out, "{topic} is unreadable"),
            Self::Replaced { topic } => write!(out, "{topic} was made anew"),
            Self::Reading { topic, partition } => write!(out, "{topic}/{partition}"),
            Self::Counting { topic, partition } => write!(out, "counting of {topic}/{partition}"),
            Self::Delivery { part } => write!(out, "delivery: {part}"),
            Self::Ledger => out.write_str("the cluster's ledger"),
            Self::Daemon => out.write_str("daemon"),
        }
    }
}

/// Why the daemon is not ready. Its `Display` is the sentence that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The brokers were not asked yet.
    NotAsked,
    /// The brokers do not answer, or not for all topics.
    Brokers {
        error: String,
    },
    /// Another daemon has renewed its mark for the consumer group lately.
    OtherDaemon {
        who: String,
    },
    /// A checkpoint was not written.
    CheckpointFailed {
        error: String,
    },
    /// A checkpoint is being written for so long.
    CheckpointSlow {
        seconds: u64,
    },
    /// The state does not hold a version's baseline, and its snapshot could not be read so far.
    NoBaseline {
        model: String,
        version: String,
        why: String,
    },
    /// The state holds a version's baseline, and its snapshot cannot be read.
    SnapshotUnreadable {
        model: String,
        version: String,
        why: String,
    },
    /// Most events of a topic are rejected; `summary` has the numbers.
    InputUnreadable {
        topic: String,
        summary: String,
    },
    /// A topic was deleted and made anew.
    Replaced {
        topic: String,
        before: String,
        now: String,
    },
    /// A partition is not read any more.
    Halted {
        topic: String,
        partition: i32,
        why: String,
    },
    /// A partition has messages, and none was read for so long; `client` is the Kafka client's last complaint.
    Still {
        topic: String,
        partition: i32,
        lag: i64,
        seconds: u64,
        client: Option<String>,
    },
    /// A partition waits for baselines of these versions, each with its model, since this time (ms); there may be `more`.
    WaitsForBaseline {
        topic: String,
        partition: i32,
        versions: Vec<(String, String)>,
        more: bool,
        since_ms: i64,
    },
    /// Nothing could be delivered to a part for a while.
    Undelivered {
        part: String,
        why: String,
    },
    /// A process that does not own the ledger has not read the cluster's ledger to its end yet.
    LedgerNotReached,
    Starting,
}

impl NotReady {
    /// What it holds back.
    #[must_use]
    pub fn latch(&self) -> Latch {
        match self {
            Self::NotAsked | Self::Brokers { .. } => Latch::Kafka,
            Self::OtherDaemon { .. } => Latch::ConsumerGroup,
            Self::CheckpointFailed { .. } | Self::CheckpointSlow { .. } => Latch::Checkpoint,
            Self::NoBaseline { model, version, .. } => {
                Latch::Baseline { model: model.clone(), version: version.clone() }
            }
            Self::SnapshotUnreadable { model, version, .. } => {
                Latch::Snapshot { model: model.clone(), version: version.clone() }
            }
            Self::InputUnreadable { topic, .. } => Latch::Input { topic: topic.clone() },
            Self::Replaced { topic, .. } => Latch::Replaced { topic: topic.clone() },
            Self::Halted { topic, partition, .. } | Self::Still { topic, partition, .. } => {
                Latch::Reading { topic: topic.clone(), partition: *partition }
            }
            Self::WaitsForBaseline { topic, partition, .. } => {
                Latch::Counting { topic: topic.clone(), partition: *partition }
            }
            Self::Undelivered { part, .. } => Latch::Delivery { part: part.clone() },
            Self::LedgerNotReached => Latch::Ledger,
            Self::Starting => Latch::Daemon,
        }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => out.write_str("not asked yet"),
            Self::Brokers { error } => out.write_str(error),
            Self::OtherDaemon { who } => {
                write!(out, "another driftgate was reading for this group, {who}: waiting whether it still does")
            }
            Self::CheckpointFailed { error } => {
                write!(out, "{error}; the last one stays, and a restart would go on from there")
            }
            Self::CheckpointSlow { seconds } => write!(
                out,
                "the checkpoint is being written for {seconds} s without an end, and windows wait meanwhile: look at the disk of the state folder"
            ),
            Self::NoBaseline { why, .. } => {
                write!(out, "the state does not hold its baseline, so that it is waited for: {why}")
            }
            Self::SnapshotUnreadable { why, .. } => write!(
                out,
                "its snapshot cannot be read, its counts go on against the baseline that the state holds, and it is tried again: {why}"
            ),
            Self::Replaced { topic, before, now } => write!(
                out,
                "the topic {topic:?} was deleted and made anew: its id is {now}, the offsets that were counted up to are those of {before}. Nothing of it is \
                 read, since they mean other records now. To read it from its beginning, start driftgate once with --accept-new-topic {topic}={now}"
            ),
            Self::Still { topic, partition, lag, seconds, client } => {
                write!(out, "{topic}/{partition}: {lag} messages wait, and none was read for {seconds} s")?;
                if let Some(said) = client {
                    write!(out, " (the Kafka client: {said})")?;
                }
                out.write_str(
                    ": look whether its broker answers, and whether a batch of records is damaged or larger than receive.message.max.bytes",
                )
            }
            Self::WaitsForBaseline { versions, more, since_ms, .. } => waits(out, versions, *more, *since_ms),
            Self::InputUnreadable { summary: why, .. } | Self::Halted { why, .. } | Self::Undelivered { why, .. } => {
                out.write_str(why)
            }
            Self::LedgerNotReached => {
                out.write_str("its copy of the registry has not reached the end of the cluster's ledger yet")
            }
            Self::Starting => out.write_str("is starting"),
        }
    }
}

fn waits(out: &mut fmt::Formatter<'_>, versions: &[(String, String)], more: bool, since_ms: i64) -> fmt::Result {
    let named: Vec<String> =
        versions.iter().map(|(model, version)| format!("version {version:?} of {model}")).collect();
    let named = if named.is_empty() { "a version".to_owned() } else { named.join(", ") };
    write!(
        out,
        "it waits for the baseline of {named}{} since {}, and nothing is counted of it: look whether the snapshot's store answers",
        if more { " and others" } else { "" },
        utc(since_ms)
    )
}

/// The latches that are held, each with its reason. It serialises as names with sentences.
#[derive(Clone, Debug, Default)]
pub struct Readiness(BTreeMap<Latch, NotReady>);

impl Readiness {
    /// Holds the latch of a reason; returns whether it was held before.
    pub fn hold(&mut self, reason: NotReady) -> bool {
        self.0.insert(reason.latch(), reason).is_some()
    }

    /// Releases a latch; returns whether it was held.
    pub fn release(&mut self, latch: &Latch) -> bool {
        self.0.remove(latch).is_some()
    }

    /// Releases all of a kind.
    pub fn release_all(&mut self, is_of: impl Fn(&Latch) -> bool) {
        self.0.retain(|latch, _| !is_of(latch));
    }

    /// Why a latch is held, if it is.
    #[must_use]
    pub fn reason(&self, latch: &Latch) -> Option<&NotReady> {
        self.0.get(latch)
    }

    /// Whether a latch is held.
    #[must_use]
    pub fn holds(&self, latch: &Latch) -> bool {
        self.0.contains_key(latch)
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sentences by name, in the names' order.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<String, String> {
        self.0.iter().map(|(latch, reason)| (latch.to_string(), reason.to_string())).collect()
    }
}

impl Serialize for Readiness {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.by_name().serialize(to)
    }
}

#[cfg(test)]
mod tests;
