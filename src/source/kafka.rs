//! Topics of events: every partition of the configured topics, read from the offsets that the daemon's state names. Each
//! partition has a queue of its own, so a partition that must wait is simply not read; librdkafka bounds what it holds.

mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub use messages::Message;
use messages::Messages;

/// Settings that serve a busy consumer; the configuration's own win, except where counts depend on them.
const DEFAULTS: [(&str, &str); 7] = [
    ("fetch.min.bytes", "65536"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "8192"),
    ("check.crcs", "true"),
    // A start waits half of it between its first connection and its second.
    ("reconnect.backoff.ms", "20"),
    ("log.connection.close", "false"),
];
/// Exact counting rests on these.
const FIXED: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
];

/// Tells of errors, but not of the end of a partition, which is none.
pub struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(error = %error, reason, "librdkafka");
        }
    }
}

impl ConsumerContext for Quiet {}

#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    #[error("the Kafka client cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error("no broker of {brokers} answers: {cause}; trying again")]
    Unreachable { brokers: String, cause: KafkaError },
    #[error("the topic {topic:?} does not exist on {brokers}; create it, or correct sources in the configuration")]
    NoTopic { topic: String, brokers: String },
    #[error("the partitions cannot be assigned: {0}")]
    Assign(KafkaError),
}

/// One partition of a topic.
pub struct Partition {
    pub topic: String,
    pub partition: i32,
    /// The offset to read next; `None` before the first message, wherever that is.
    pub next: Option<i64>,
    /// When the end was reached last.
    pub end_reached: Option<Instant>,
    /// Why it is not read any more.
    pub halted: Option<String>,
    messages: Messages,
}

/// The consumer of all partitions.
pub struct KafkaSource {
    brokers: String,
    consumer: Arc<BaseConsumer<Quiet>>,
}

impl KafkaSource {
    /// A client; nothing is contacted yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, KafkaSourceError> {
        let mut config = ClientConfig::new();
        for (k, v) in DEFAULTS {
            config.set(k, v);
        }
        for (k, v) in properties {
            config.set(k, v);
        }
        for (k, v) in FIXED {
            config.set(k, v);
        }
        let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet).map_err(KafkaSourceError::Client)?;
        let brokers = properties.get("bootstrap.servers").cloned().unwrap_or_default();
        Ok(Self { brokers, consumer: Arc::new(consumer) })
    }

    /// A handle for questions from other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { brokers: self.brokers.clone(), consumer: Arc::clone(&self.consumer) }
    }

    /// Starts reading partitions from their offsets; from the beginning without one.
    ///
    /// # Errors
    /// What librdkafka refuses.
    pub fn assign(&self, starts: &BTreeMap<(String, i32), Option<i64>>) -> Result<Vec<Partition>, KafkaSourceError> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for ((topic, partition), start) in starts {
            let offset = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(topic, *partition, offset).map_err(KafkaSourceError::Assign)?;
        }
        // The queues come first: fetching begins with `assign`, and what comes before its partition has a queue goes to the
        // client's own, from where nobody would read it.
        let partitions = starts
            .iter()
            .filter_map(|((topic, partition), start)| {
                Some(Partition {
                    topic: topic.clone(),
                    partition: *partition,
                    next: *start,
                    end_reached: None,
                    halted: None,
                    messages: Messages::of(&self.consumer, topic, *partition)?,
                })
            })
            .collect();
        self.consumer.assign(&list).map_err(KafkaSourceError::Assign)?;
        Ok(partitions)
    }

    /// Serves the client's own events for up to `wait`; returns an error it reports.
    #[must_use]
    pub fn serve(&self, wait: Duration) -> Option<KafkaError> {
        match self.consumer.poll(wait)? {
            Err(e) => Some(e),
            Ok(message) => {
                let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
                tracing::error!(
                    topic,
                    partition,
                    offset,
                    "a message came outside its partition's queue and is not counted"
                );
                None
            }
        }
    }

    /// Commits offsets for tools that show lag; state does not depend on it.
    pub fn commit(&self, offsets: &[(String, i32, i64)]) {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (topic, partition, next) in offsets {
            // Fails only for offsets that do not exist.
            let _ = list.add_partition_offset(topic, *partition, Offset::Offset(*next));
        }
        if let Err(e) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(error = %e, "offsets were not committed; only lag tools need them");
        }
    }
}

impl Partition {
    /// Reads up to `most` messages that are there already, without waiting; returns how many.
    pub fn drain(&mut self, most: usize, mut each: impl FnMut(&Message<'_>)) -> usize {
        let Self { topic, partition, next, end_reached, halted, messages } = self;
        let mut drained = 0;
        while drained < most && halted.is_none() {
            let mut failed = false;
            let taken = messages.take(most - drained, |message| match message {
                // What came after a gap is not counted.
                _ if halted.is_some() => {}
                Ok(message) => {
                    // A message that was read before cannot come again within one assignment.
                    if next.is_none_or(|next| message.offset() >= next) {
                        each(&message);
                        *next = Some(message.offset() + 1);
                        *end_reached = None;
                        drained += 1;
                    }
                }
                Err(KafkaError::PartitionEOF(_)) => *end_reached = Some(Instant::now()),
                Err(e) if is_gap(&e) => {
                    let why = format!(
                        "{topic}/{partition}: the messages from offset {} on are gone (retention was faster than this daemon): {e}; counts would have a hole. \
                         Restore the topic, or move the state folder away to start anew",
                        next.unwrap_or(0)
                    );
                    tracing::error!(topic, partition, offset = *next, "{why}");
                    *halted = Some(why);
                }
                Err(e) => {
                    tracing::warn!(topic, partition, error = %e, "a read failed, librdkafka tries again");
                    failed = true;
                }
            });
            if taken == 0 || failed {
                break;
            }
        }
        drained
    }
}

fn is_gap(e: &KafkaError) -> bool {
    matches!(
        e.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::LogTruncation
                | RDKafkaErrorCode::NoOffset
        )
    )
}

/// Questions to the brokers.
#[derive(Clone)]
pub struct Handle {
    brokers: String,
    consumer: Arc<BaseConsumer<Quiet>>,
}

impl Handle {
    /// How many partitions each topic has.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or a topic that does not exist.
    pub fn partitions(&self, topics: &[String], timeout: Duration) -> Result<BTreeMap<String, i32>, KafkaSourceError> {
        let mut found = BTreeMap::new();
        for topic in topics {
            let metadata = self
                .consumer
                .fetch_metadata(Some(topic), timeout)
                .map_err(|cause| KafkaSourceError::Unreachable { brokers: self.brokers.clone(), cause })?;
            let here = metadata.topics().iter().find(|t| t.name() == topic).filter(|t| t.error().is_none());
            let count = here.map_or(0, |t| t.partitions().len());
            match i32::try_from(count) {
                Ok(n) if n > 0 => found.insert(topic.clone(), n),
                _ => return Err(KafkaSourceError::NoTopic { topic: topic.clone(), brokers: self.brokers.clone() }),
            };
        }
        Ok(found)
    }

    /// The high watermark of a partition: the offset after its last message.
    #[must_use]
    pub fn high_watermark(&self, topic: &str, partition: i32, timeout: Duration) -> Option<i64> {
        self.consumer.fetch_watermarks(topic, partition, timeout).ok().map(|(_, high)| high)
    }
}
