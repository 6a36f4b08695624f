//! What was read of a topic: how many events, how many were rejected and why, and the dead letters of a turn.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::daemon::rejections;
use crate::sink::dead_letters::DeadLetter;
use crate::source::kafka::Message;
use driftgate_core::decode::decoder::Decoded;
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::{Reason, Reject};

/// At most so many dead letters of a turn are sent; beyond, they are only counted.
const DEAD_BOUND: usize = 10_000;

/// What was read of a topic, by one of its partitions or by all.
#[derive(Clone, Debug, Default)]
pub struct Read {
    pub events: u64,
    pub rejected: BTreeMap<Reason, u64>,
    pub unknown_model: u64,
    /// Messages without a value, which are no events.
    pub tombstones: u64,
    /// What is worth telling of the events that count.
    pub notes: Notes,
    /// Events that count, by model.
    pub rows: BTreeMap<usize, u64>,
}

impl Read {
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.unknown_model += other.unknown_model;
        self.tombstones += other.tombstones;
        self.notes.merge(&other.notes);
        for (model, n) in &other.rows {
            *self.rows.entry(*model).or_default() += n;
        }
        for (reason, n) in &other.rejected {
            *self.rejected.entry(*reason).or_default() += n;
        }
    }
}

impl Read {
    /// Adds what was read since `before`.
    pub fn add_since(&mut self, now: &Self, before: &Self) {
        self.events += now.events.saturating_sub(before.events);
        self.unknown_model += now.unknown_model.saturating_sub(before.unknown_model);
        self.tombstones += now.tombstones.saturating_sub(before.tombstones);
        for (reason, n) in &now.rejected {
            let before = before.rejected.get(reason).copied().unwrap_or(0);
            *self.rejected.entry(*reason).or_default() += n.saturating_sub(before);
        }
    }
}

/// What a reader has read, and the messages that were rejected and not sent on yet.
pub struct MessageLog {
    keep_payload: bool,
    /// So much of a rejected message goes along.
    most_payload: usize,
    pub read: Read,
    pub dead: Vec<DeadLetter>,
    /// By reason: when a rejected message was described last.
    described: BTreeMap<Reason, Instant>,
}

impl MessageLog {
    #[must_use]
    pub fn new(keep_payload: bool, most_payload: usize) -> Self {
        Self { keep_payload, most_payload, read: Read::default(), dead: Vec::new(), described: BTreeMap::new() }
    }

    /// Takes note of what became of a message.
    pub fn note(&mut self, message: &Message<'_>, outcome: Result<Decoded, Reject>) {
        match outcome {
            // What waits is given again, and noted then.
            Ok(Decoded::Row(_) | Decoded::Waits) => {}
            Ok(Decoded::UnknownModel) => self.read.unknown_model += 1,
            Err(reject) => self.reject(message, reject),
        }
    }

    fn reject(&mut self, message: &Message<'_>, reject: Reject) {
        *self.read.rejected.entry(reject.reason).or_default() += 1;
        if self.dead.len() >= DEAD_BOUND {
            return;
        }
        let bytes = message.payload();
        // The beginning suffices of a message that is too large to be counted.
        let kept = bytes.get(..self.most_payload).unwrap_or(bytes);
        let payload = if self.keep_payload { kept.to_vec() } else { Vec::new() };
        let now = Instant::now();
        let due = self.described.get(&reject.reason).is_none_or(|at| now - *at >= rejections::EVERY);
        let read = due.then(|| {
            self.described.insert(reject.reason, now);
            rejections::described(bytes)
        });
        self.dead.push(DeadLetter {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            reject,
            payload,
            read,
        });
    }
}
