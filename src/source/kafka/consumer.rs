//! The consumer of all partitions: its settings, and what it is assigned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::client::{SourceContext, serve};
use super::error::KafkaSourceError;
use super::handle::Handle;
use super::mark::Committed;
use super::messages::Messages;
use super::native::set_leader_epoch;
use super::partition::Partition;
use super::properties::QUEUED;
use super::types::Start;

/// Settings that serve a busy consumer; the configuration's own win, except where counts depend on them.
const DEFAULTS: [(&str, &str); 7] = [
    // Only these statistics say how far open transactions reach.
    ("statistics.interval.ms", "5000"),
    ("fetch.min.bytes", "65536"),
    ("fetch.wait.max.ms", "50"),
    ("fetch.queue.backoff.ms", "5"),
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

/// The consumer of all partitions.
pub struct KafkaSource {
    brokers: String,
    properties: Arc<BTreeMap<String, String>>,
    consumer: Arc<BaseConsumer<SourceContext>>,
    committed: Arc<Mutex<Committed>>,
}

impl KafkaSource {
    /// A client; nothing is contacted yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, KafkaSourceError> {
        let is = |property: &str, value: &str| properties.get(property).is_some_and(|v| v.eq_ignore_ascii_case(value));
        let by_token = ["sasl.mechanism", "sasl.mechanisms"].iter().any(|p| is(p, "OAUTHBEARER"));
        // The client would wait for a token without a report.
        if by_token && (is("sasl.oauthbearer.method", "oidc") || !is("enable.sasl.oauthbearer.unsecure.jwt", "true")) {
            return Err(KafkaSourceError::NoToken);
        }
        let mut config = ClientConfig::new();
        config.set(QUEUED.0, QUEUED.1.to_string());
        for (k, v) in DEFAULTS {
            config.set(k, v);
        }
        for (k, v) in properties {
            config.set(k, v);
        }
        for (k, v) in FIXED {
            config.set(k, v);
        }
        let consumer: BaseConsumer<SourceContext> =
            config.create_with_context(SourceContext::default()).map_err(KafkaSourceError::Client)?;
        let brokers = properties.get("bootstrap.servers").cloned().unwrap_or_default();
        let properties = Arc::new(properties.clone());
        Ok(Self { brokers, properties, consumer: Arc::new(consumer), committed: Arc::default() })
    }

    /// A handle for questions from other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            brokers: self.brokers.clone(),
            properties: Arc::clone(&self.properties),
            consumer: Arc::clone(&self.consumer),
            committed: Arc::clone(&self.committed),
        }
    }

    /// Starts reading partitions from their offsets; from the beginning without one.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn assign(&self, starts: &BTreeMap<(String, i32), Start>) -> Result<Vec<Partition>, KafkaSourceError> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for ((topic, partition), start) in starts.iter().filter(|(_, start)| start.halted.is_none()) {
            let offset = start.next.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(topic, *partition, offset).map_err(KafkaSourceError::Assign)?;
            if let (Some(_), Some(epoch)) = (start.next, start.leader_epoch) {
                set_leader_epoch(&mut list, topic, *partition, epoch);
            }
        }
        let partitions = self.partitions(starts);
        self.consumer.assign(&list).map_err(KafkaSourceError::Assign)?;
        Ok(partitions)
    }

    /// Starts reading more partitions, from their beginning, beside those that are read.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn assign_more(&self, starts: &BTreeMap<(String, i32), Start>) -> Result<Vec<Partition>, KafkaSourceError> {
        let mut list = TopicPartitionList::with_capacity(starts.len());
        for (topic, partition) in starts.keys() {
            list.add_partition_offset(topic, *partition, Offset::Beginning).map_err(KafkaSourceError::Assign)?;
        }
        let partitions = self.partitions(starts);
        self.consumer.incremental_assign(&list).map_err(KafkaSourceError::Assign)?;
        Ok(partitions)
    }

    /// The queues come first: fetching begins with the assignment, and a message that comes before its partition has a queue goes
    /// to the client's own, which no thread reads.
    fn partitions(&self, starts: &BTreeMap<(String, i32), Start>) -> Vec<Partition> {
        starts
            .iter()
            .map(|((topic, partition), start)| Partition {
                topic: topic.clone(),
                partition: *partition,
                next: start.next,
                end_reached: None,
                halted: start.halted.clone(),
                topic_id: start.topic_id.clone(),
                behind: start.next.map_or(start.cut, |next| next > 0),
                gap: start.gap,
                doubted: None,
                messages: match start.halted {
                    None => Messages::of(&self.consumer, topic, *partition),
                    Some(_) => None,
                },
                broken: None,
                started_in: start.next.zip(start.leader_epoch),
            })
            .collect()
    }

    /// Serves the client's own events for up to `wait`.
    pub fn serve(&self, wait: Duration) {
        serve(&self.consumer, wait);
    }

    /// Commits offsets for tools that show lag; state does not depend on it.
    pub fn commit(&self, offsets: &[(String, i32, i64)]) {
        self.handle().commit(offsets);
    }
}
