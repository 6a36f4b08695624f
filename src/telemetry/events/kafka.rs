//! What brokers and their client complain of, and partitions that are not read.

use std::fmt::Display;

/// A complaint of a client; the same one at most once per minute.
pub struct KafkaTrouble<'a> {
    pub said: &'a str,
    pub advice: Option<&'a str>,
}

impl KafkaTrouble<'_> {
    pub fn emit(&self) {
        let said = self.said;
        if let Some(advice) = self.advice {
            tracing::warn!("kafka: {said}; {advice}");
        } else {
            tracing::warn!("kafka: {said}");
        }
    }
}

/// A line of the client's log.
pub struct ClientLine<'a> {
    pub facility: &'a str,
    pub message: &'a str,
    pub is_warning: bool,
}

impl ClientLine<'_> {
    pub fn emit(&self) {
        let Self { facility, message, is_warning } = *self;
        if is_warning {
            tracing::warn!(facility, "librdkafka: {message}");
        } else {
            tracing::debug!(facility, "librdkafka: {message}");
        }
    }
}

/// The copy of the registry does not follow the log of its cluster.
pub struct LedgerNotFollowed<'a> {
    pub why: &'a str,
}

impl LedgerNotFollowed<'_> {
    pub fn emit(&self) {
        let why = self.why;
        tracing::error!("this process's copy of the registry does not follow the ledger's topic: {why}");
    }
}

/// Where something happened in a partition.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
}

/// A message came outside its partition's queue.
pub struct MessageAstray<'a> {
    pub at: Place<'a>,
    pub offset: i64,
}

impl MessageAstray<'_> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, offset } = *self;
        tracing::error!(topic, partition, offset, "a message came outside its partition's queue and is not counted");
    }
}

/// A partition is not read any more. `partition_halted` shows it as long as it holds.
pub struct PartitionHalted<'a> {
    pub at: Place<'a>,
    pub offset: Option<i64>,
    pub why: &'a str,
}

impl PartitionHalted<'_> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, offset, why } = *self;
        tracing::error!(topic, partition, offset, "{why}");
    }
}

/// A partition waits for a baseline.
pub struct PartitionWaits<'a> {
    pub at: Place<'a>,
    pub why: &'a str,
}

impl PartitionWaits<'_> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, why } = *self;
        tracing::warn!(topic, partition, "{why}");
    }
}

/// Records cannot be read at the moment.
pub struct RecordsUnreadable<'a, E> {
    pub at: Place<'a>,
    pub offset: i64,
    pub error: &'a E,
}

impl<E: Display> RecordsUnreadable<'_, E> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, offset, error } = *self;
        tracing::debug!(topic, partition, offset, %error, "records cannot be read, trying again");
    }
}

/// A topic is gone.
pub struct TopicGone<'a, E> {
    pub at: Place<'a>,
    pub error: &'a E,
}

impl<E: Display> TopicGone<'_, E> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, error } = *self;
        tracing::warn!(topic, partition, %error, "the topic is gone; if it comes back, its id tells whether it is the same");
    }
}

/// A topic was deleted and made anew. `topic_replaced` shows it as long as it holds.
pub struct TopicReplaced<'a> {
    pub topic: &'a str,
    pub why: &'a str,
}

impl TopicReplaced<'_> {
    pub fn emit(&self) {
        tracing::error!(topic = self.topic, "{}", self.why);
    }
}

/// A read failed; the client reads again by itself.
pub struct ReadFailed<'a, E> {
    pub at: Place<'a>,
    pub error: &'a E,
}

impl<E: Display> ReadFailed<'_, E> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, error } = *self;
        tracing::warn!(topic, partition, %error, "a read failed, librdkafka tries again");
    }
}

/// The brokers do not answer.
pub struct BrokersAway<'a, E> {
    pub error: &'a E,
    /// Seconds until they are asked again, where nothing is read yet.
    pub pause: Option<u64>,
}

impl<E: Display> BrokersAway<'_, E> {
    pub fn emit(&self) {
        let error = self.error;
        if let Some(seconds) = self.pause {
            tracing::warn!("{error}; next attempt in {seconds} s");
        } else {
            tracing::warn!("{error}");
        }
    }
}

/// The brokers answer again.
pub struct BrokersBack;

impl BrokersBack {
    pub fn emit(&self) {
        tracing::info!("the brokers answer again");
    }
}

/// The client cannot go back to an offset.
pub struct SeekFailed<'a, E> {
    pub at: Place<'a>,
    pub offset: i64,
    pub error: &'a E,
}

impl<E: Display> SeekFailed<'_, E> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, offset, error } = *self;
        tracing::warn!(topic, partition, offset, %error, "the client cannot go back to this offset");
    }
}

/// The client cannot pause a partition that is not read any more.
pub struct PauseFailed<'a, E> {
    pub at: Place<'a>,
    pub error: &'a E,
}

impl<E: Display> PauseFailed<'_, E> {
    pub fn emit(&self) {
        let Self { at: Place { topic, partition }, error } = *self;
        tracing::warn!(topic, partition, %error, "the partition is not read any more, and the client goes on fetching it");
    }
}

/// The brokers did not take the offsets that the daemon commits for others to see.
pub struct OffsetsNotCommitted<'a, E> {
    pub error: &'a E,
}

impl<E: Display> OffsetsNotCommitted<'_, E> {
    pub fn emit(&self) {
        tracing::debug!(error = %self.error, "offsets were not committed");
    }
}

/// A topic has a partition more than before.
pub struct PartitionAdded<'a> {
    pub at: Place<'a>,
}

impl PartitionAdded<'_> {
    pub fn emit(&self) {
        let Place { topic, partition } = self.at;
        tracing::info!(topic, partition, "the topic got a partition: it is read from its beginning");
    }
}

/// Partitions that a topic has more than before cannot be read.
pub struct AddedUnreadable<'a, E> {
    pub error: &'a E,
}

impl<E: Display> AddedUnreadable<'_, E> {
    pub fn emit(&self) {
        let error = self.error;
        tracing::error!(%error, "partitions that a topic got cannot be read; its windows wait, trying again");
    }
}

/// No new producer can be made in place of one that failed.
pub struct ProducerKept<'a, E> {
    pub error: &'a E,
}

impl<E: Display> ProducerKept<'_, E> {
    pub fn emit(&self) {
        tracing::warn!(error = %self.error, "no new producer can be made; the old one goes on");
    }
}
