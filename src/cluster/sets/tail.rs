//! Reads a partition of documents, from where its reader has come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::gather::{Arrived, Gather};
use crate::checkpoint::Position;
use crate::source::kafka::{Listener, read_by_hand};
use crate::telemetry::events::cluster::SetsUnreadable;

/// A question to the brokers takes at most so long.
const WITHIN: Duration = Duration::from_secs(5);
/// Between two times that somebody is told that the brokers are not reached.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// Between two looks whether something came.
const LOOK: Duration = Duration::from_millis(5);

const DEFAULTS: [(&str, &str); 4] = [
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "16384"),
    ("reconnect.backoff.ms", "20"),
];
const FIXED: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("log.connection.close", "false"),
];

/// Why documents are not read.
#[derive(Debug, thiserror::Error)]
pub enum SetsError {
    #[error(
        "the Kafka client of the internal topic {topic:?} cannot be made: {cause}; check kafka.properties in the configuration"
    )]
    Client { topic: String, cause: KafkaError },
    #[error("the internal topic {topic:?} cannot be read: {cause}")]
    Topic { topic: String, cause: KafkaError },
}

/// A client that reads committed records of an internal topic, from where it is told.
///
/// # Errors
/// Properties that librdkafka refuses.
pub fn reader(properties: &BTreeMap<String, String>, topic: &str) -> Result<BaseConsumer<Listener>, SetsError> {
    let made = read_by_hand(properties, &DEFAULTS, &FIXED).create_with_context(Listener::default());
    made.map_err(|cause| SetsError::Client { topic: topic.to_owned(), cause })
}

/// Tells that a topic cannot be read: a client that does not reach the brokers says so many times a second.
#[derive(Debug, Default)]
pub struct Unreadable(Option<Instant>);

impl Unreadable {
    /// What the client said is told once in a while.
    pub fn client(&mut self, topic: &str, error: &KafkaError) {
        if self.is_due(Instant::now()) {
            SetsUnreadable { topic, why: &error.to_string() }.emit();
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|last| now.saturating_duration_since(last) >= TELL_EVERY);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// The reader.
pub struct Tail {
    consumer: BaseConsumer<Listener>,
    topic: String,
    gather: Gather,
    /// Sets that end up to here were read.
    end: i64,
    begins_anew: bool,
    unreadable: Unreadable,
}

impl Tail {
    /// Reads a partition on from where its reader had come; a topic that ends before that was made anew, or lost its end, and is read from its
    /// beginning.
    ///
    /// # Errors
    /// Properties that librdkafka refuses; brokers that do not answer.
    pub fn open(
        properties: &BTreeMap<String, String>,
        (topic, partition): (&str, i32),
        mut start: Position,
    ) -> Result<Self, SetsError> {
        let consumer = reader(properties, topic)?;
        let failed = |cause| SetsError::Topic { topic: topic.to_owned(), cause };
        let mut begins_anew = false;
        let (_, high) = consumer.fetch_watermarks(topic, partition, WITHIN).map_err(failed)?;
        if start.next > high {
            // Ids keep what is read again from doing anything.
            let why = format!(
                "it ends at offset {high}, and was read up to {}: it was made anew, or lost its end",
                start.next
            );
            SetsUnreadable { topic, why: &why }.emit();
            (start, begins_anew) = (Position::default(), true);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(start.next)).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            gather: Gather::default(),
            end: start.end,
            begins_anew,
            unreadable: Unreadable::default(),
        })
    }

    /// Whether the topic is not the one that was read before.
    #[must_use]
    pub fn begins_anew(&self) -> bool {
        self.begins_anew
    }

    /// The next set that was not read; `None` where none came within this time.
    pub fn next(&mut self, within: Duration) -> Option<Arrived> {
        let until = Instant::now() + within;
        loop {
            let taken = match self.consumer.poll(Duration::ZERO) {
                None => {
                    if Instant::now() >= until {
                        return None;
                    }
                    std::thread::sleep(LOOK);
                    continue;
                }
                Some(Err(e)) => {
                    self.unreadable.client(&self.topic, &e);
                    continue;
                }
                Some(Ok(message)) => self.gather.take(
                    message.offset(),
                    message.key().unwrap_or_default(),
                    message.payload().unwrap_or_default(),
                ),
            };
            match taken {
                // What was read in a run before.
                Ok(Some(arrived)) if arrived.end <= self.end => {}
                Ok(Some(arrived)) => {
                    self.end = arrived.end;
                    return Some(arrived);
                }
                Ok(None) => {}
                Err(why) => SetsUnreadable { topic: &self.topic, why: &why }.emit(),
            }
        }
    }
}
