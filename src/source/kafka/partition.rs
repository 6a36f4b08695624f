//! One partition of a topic: how far it is read, and why it is not read on.

use std::time::Instant;

use rdkafka::error::KafkaError;

use super::error::{is_gap, is_unknown};
use super::messages::{Message, Messages, Taken};
use super::unreadable::{Broken, Next, is_unreadable};
use crate::telemetry::events::kafka::{PartitionHalted, Place, ReadFailed, RecordsUnreadable, TopicGone};

/// One partition of a topic.
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The offset to read next: after the last record read and, at the end of the partition, after the control records that
    /// follow it. `None` before the first record or end, wherever that is.
    pub next: Option<i64>,
    /// When the end was reached last.
    pub end_reached: Option<Instant>,
    /// Why it is not read any more.
    pub halted: Option<String>,
    /// The id of the topic that the offset belongs to.
    pub topic_id: Option<String>,
    /// Whether there were records before the first one that is read.
    pub behind: bool,
    /// It goes on behind records that are gone, which an operator accepted.
    pub gap: bool,
    /// When the client said that it does not know the topic: nothing is read until the id was asked for after that.
    pub doubted: Option<Instant>,
    /// None where it is not read from the start.
    pub(super) messages: Option<Messages>,
    /// A batch of records that could not be read when it was tried last.
    pub(super) broken: Option<Broken>,
    /// The offset of the start, and in which leader's epoch the record before it was written.
    pub(super) started_in: Option<(i64, i32)>,
}

impl Partition {
    /// In which leader's epoch the record before the one to read next was written. Unknown behind markers and what compaction
    /// removed: with the epoch of a record before those, brokers would answer that the log ends before `next`.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<i32> {
        let next = self.next?;
        let started = self.started_in.filter(|(start, _)| *start == next).map(|(_, epoch)| epoch);
        self.messages.as_ref().and_then(|messages| messages.leader_epoch(next)).or(started)
    }

    /// Reads up to `most` messages that are there already, without waiting; returns how many. Where `each` says that it cannot read
    /// a message yet, that one and those behind it are fetched again a little later.
    pub fn drain(&mut self, most: usize, mut each: impl FnMut(&Message<'_>) -> Outcome) -> usize {
        let Self { topic, partition, next, end_reached, halted, doubted, broken, messages: Some(messages), .. } = self
        else {
            return 0;
        };
        match broken.as_mut().map_or(Next::Read, |broken| broken.next(Instant::now())) {
            Next::Read => {}
            Next::Wait => return 0,
            Next::Again => messages.seek(topic, *partition, next.unwrap_or(0)),
        }
        let place = Place { topic: topic.as_str(), partition: *partition };
        let mut at = Progress { place, next, halted, doubted, broken };
        let mut drained = 0;
        while drained < most && at.halted.is_none() && at.doubted.is_none() {
            let mut failed = false;
            let taken = messages.take(most - drained, |taken| match taken {
                // Messages after a gap, or after an unreadable batch, are not counted.
                _ if at.halted.is_some() || at.broken.as_ref().is_some_and(Broken::waits) => {}
                Taken::Record(message) => {
                    *at.broken = None;
                    // A message that was read before cannot come again within one assignment.
                    if at.next.is_none_or(|next| message.offset() >= next) {
                        if each(&message) == Outcome::Held {
                            // It is the next one, also where nothing was read before.
                            *at.next = Some(message.offset());
                            *at.broken = Some(Broken::held(Instant::now()));
                            *end_reached = None;
                            return;
                        }
                        *at.next = Some(message.offset() + 1);
                        *end_reached = None;
                        drained += 1;
                    }
                }
                // Transaction markers, aborted records and compacted ones are behind it: they are no records that
                // could be missing once retention has reached them.
                Taken::End(offset) => {
                    *at.broken = None;
                    *at.next = (*at.next).max(Some(offset));
                    *end_reached = Some(Instant::now());
                }
                Taken::Failed(e, offset) => failed |= at.failed(&e, offset),
            });
            if taken == 0 || failed {
                break;
            }
        }
        // No thread reads it any more: messages that are fetched again and again would only take memory.
        if broken.is_some() && halted.is_some() {
            messages.pause(topic, *partition);
        }
        drained
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Read,
    /// It cannot be read yet.
    Held,
}

/// How far a partition is read, and what stops it.
struct Progress<'p> {
    place: Place<'p>,
    next: &'p mut Option<i64>,
    halted: &'p mut Option<String>,
    doubted: &'p mut Option<Instant>,
    broken: &'p mut Option<Broken>,
}

impl Progress<'_> {
    /// The client could not read at an offset; returns whether the partition is left alone for now.
    fn failed(&mut self, e: &KafkaError, offset: i64) -> bool {
        let Place { topic, partition } = self.place;
        if is_unreadable(e) || (is_gap(e) && self.broken.is_some()) {
            let broken = self.broken.get_or_insert_with(Broken::default);
            if broken.failed(offset, e, Instant::now()) {
                let why = broken.why(topic, partition, self.next.unwrap_or(offset));
                self.halt(Some(offset), why);
            } else {
                RecordsUnreadable { at: self.place, offset, error: e }.emit();
            }
            return true;
        }
        if is_gap(e) {
            let why = format!(
                "{topic}/{partition}: offset {next}, the next to be counted, is not in the log any more: {e}; records from there on may be gone \
                 uncounted (retention was faster than this daemon), so counts would have a hole. Restore the topic, or start driftgate once \
                 with --accept-gap {topic}/{partition}={next}: windows that may lack these records are incomplete then and signal nothing",
                next = self.next.unwrap_or(0)
            );
            self.halt(*self.next, why);
            return false;
        }
        if is_unknown(e) {
            TopicGone { at: self.place, error: e }.emit();
            // Messages taken with it are counted: they cannot be put back, and may be of the same topic.
            *self.doubted = Some(Instant::now());
            return false;
        }
        ReadFailed { at: self.place, error: e }.emit();
        true
    }

    fn halt(&mut self, offset: Option<i64>, why: String) {
        PartitionHalted { at: self.place, offset, why: &why }.emit();
        *self.halted = Some(why);
    }
}
