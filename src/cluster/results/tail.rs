//! Reads the results' topic on behalf of whoever owns the ledger: from where the registry says that it has applied them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::gather::{Arrived, Gather};
use crate::ledger::Applied;
use crate::source::kafka::{Listener, read_by_hand};
use crate::telemetry::events::cluster::ResultsUnreadable;

/// A question to the brokers takes at most so long.
const WITHIN: Duration = Duration::from_secs(5);
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

/// Why results are not read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("the Kafka client of the results' topic cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error("the results' topic {topic:?} cannot be read: {cause}")]
    Topic { topic: String, cause: KafkaError },
}

/// The reader.
pub struct Tail {
    consumer: BaseConsumer<Listener>,
    topic: String,
    gather: Gather,
    /// Sets that end up to here were applied, and of the next one so many items.
    applied: Applied,
}

impl Tail {
    /// Reads partition 0 of `topic` on from what was applied.
    ///
    /// # Errors
    /// Properties that librdkafka refuses; brokers that do not answer.
    pub fn open(
        properties: &BTreeMap<String, String>,
        topic: &str,
        applied: Option<Applied>,
    ) -> Result<Self, ResultsError> {
        let consumer: BaseConsumer<Listener> = read_by_hand(properties, &DEFAULTS, &FIXED)
            .create_with_context(Listener::default())
            .map_err(ResultsError::Client)?;
        let failed = |cause| ResultsError::Topic { topic: topic.to_owned(), cause };
        let (_, high) = consumer.fetch_watermarks(topic, 0, WITHIN).map_err(failed)?;
        let mut applied = applied.unwrap_or_default();
        if applied.next > high {
            // Ids keep what is applied again from doing anything.
            let why = format!(
                "it ends at offset {high}, and the registry has results up to {}: it was made anew, or lost its end",
                applied.next
            );
            ResultsUnreadable { topic, why: &why }.emit();
            applied = Applied::default();
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(applied.next)).map_err(failed)?;
        consumer.assign(&list).map_err(failed)?;
        Ok(Self { consumer, topic: topic.to_owned(), gather: Gather::default(), applied })
    }

    /// The next set that was not applied; of a set that was applied in part, the rest, with how many items of it were applied. `None` where none
    /// came within this time.
    pub fn next(&mut self, within: Duration) -> Option<(Arrived, u64)> {
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
                Some(Err(e)) => Err(e.to_string()),
                Some(Ok(message)) => self.gather.take(
                    message.offset(),
                    message.key().unwrap_or_default(),
                    message.payload().unwrap_or_default(),
                ),
            };
            match taken {
                // What was applied in a run before.
                Ok(Some(arrived)) if arrived.end <= self.applied.end => {}
                Ok(Some(mut arrived)) => {
                    let done = std::mem::take(&mut self.applied.items);
                    arrived
                        .said
                        .items
                        .drain(..usize::try_from(done).unwrap_or(usize::MAX).min(arrived.said.items.len()));
                    self.applied.end = arrived.end;
                    return Some((arrived, done));
                }
                Ok(None) => {}
                Err(why) => ResultsUnreadable { topic: &self.topic, why: &why }.emit(),
            }
        }
    }
}
