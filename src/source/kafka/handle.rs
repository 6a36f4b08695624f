//! Questions to the brokers, from any thread.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::allowed::{self, GroupSeen, TopicSeen};
use super::client::{SourceContext, serve};
use super::error::KafkaSourceError;
use super::mark::Committed;
use super::types::Found;
use super::{described, ends};

/// How long the brokers may take to name the offsets that the group has committed.
const COMMITTED: Duration = Duration::from_secs(5);

/// Questions to the brokers.
#[derive(Clone)]
pub struct Handle {
    pub(super) brokers: String,
    pub(super) properties: Arc<BTreeMap<String, String>>,
    pub(super) consumer: Arc<BaseConsumer<SourceContext>>,
    pub(super) committed: Arc<Mutex<Committed>>,
}

impl Handle {
    /// How many partitions each topic has.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or a topic that does not exist.
    pub fn partitions(&self, topics: &[String], timeout: Duration) -> Result<BTreeMap<String, i32>, KafkaSourceError> {
        let mut found = BTreeMap::new();
        for topic in topics {
            let metadata =
                self.consumer.fetch_metadata(Some(topic), timeout).map_err(|cause| self.unreachable(&cause))?;
            let here = metadata.topics().iter().find(|t| t.name() == topic);
            let (topic, brokers) = (topic.clone(), self.brokers.clone());
            match here.and_then(rdkafka::metadata::MetadataTopic::error).map(RDKafkaErrorCode::from) {
                None => {}
                Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    return Err(KafkaSourceError::NotAllowed { topic, brokers });
                }
                Some(RDKafkaErrorCode::LeaderNotAvailable | RDKafkaErrorCode::NotLeaderForPartition) => {
                    let cause = KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable);
                    return Err(KafkaSourceError::Topic { topic, brokers, cause: Box::new(cause) });
                }
                Some(_) => return Err(KafkaSourceError::NoTopic { topic, brokers }),
            }
            match i32::try_from(here.map_or(0, |t| t.partitions().len())) {
                Ok(n) if n > 0 => found.insert(topic, n),
                _ => return Err(KafkaSourceError::NoTopic { topic, brokers }),
            };
        }
        self.consumer.context().troubles.clear();
        Ok(found)
    }

    /// How many partitions each topic has, and its id.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or a topic that does not exist.
    pub fn topics(&self, topics: &[String], timeout: Duration) -> Result<BTreeMap<String, Found>, KafkaSourceError> {
        let partitions = self.partitions(topics, timeout)?;
        let mut ids = self.ids(topics, timeout)?;
        let found = partitions.into_iter().map(|(topic, partitions)| {
            let id = ids.remove(&topic);
            (topic, Found { partitions, id, leaderless: Vec::new() })
        });
        Ok(found.collect())
    }

    /// The ids of topics; one that does not exist has none, and none has one where the brokers give none.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn ids(&self, topics: &[String], timeout: Duration) -> Result<BTreeMap<String, String>, KafkaSourceError> {
        match described::ids(&self.consumer, topics, timeout) {
            Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => Ok(BTreeMap::new()),
            Err(e) => Err(self.unreachable(&e)),
            Ok(ids) => Ok(ids),
        }
    }

    /// Serves the client's own events for up to `wait`.
    pub fn serve(&self, wait: Duration) {
        serve(&self.consumer, wait);
    }

    /// The client's last complaint about its connections, with what to check; `None` while they work.
    #[must_use]
    pub fn trouble(&self) -> Option<KafkaSourceError> {
        let cause = self.consumer.context().troubles.why()?;
        Some(KafkaSourceError::Unreachable { brokers: self.brokers.clone(), cause })
    }

    /// Brokers that do not answer, and why: in the client's own words, which say more than that time is over.
    fn unreachable(&self, error: &KafkaError) -> KafkaSourceError {
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until && serve(&self.consumer, Duration::ZERO) {}
        self.trouble().unwrap_or_else(|| KafkaSourceError::Unreachable {
            brokers: self.brokers.clone(),
            cause: error.to_string(),
        })
    }

    /// The offset of the first record that a partition still has.
    #[must_use]
    pub fn low_watermark(&self, topic: &str, partition: i32, timeout: Duration) -> Option<i64> {
        self.consumer.fetch_watermarks(topic, partition, timeout).ok().map(|(low, _)| low)
    }

    /// The client's last complaint, if it is recent.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.consumer.client().context().troubles.why()
    }

    /// The offset of the first record that a partition still has, and where it ends.
    #[must_use]
    pub fn range(&self, topic: &str, partition: i32, timeout: Duration) -> Option<(i64, i64)> {
        self.consumer.fetch_watermarks(topic, partition, timeout).ok()
    }

    /// Whether the group has committed an offset of any of these partitions; `false` where the brokers do not say.
    #[must_use]
    pub fn has_committed<'p>(&self, partitions: impl Iterator<Item = &'p (String, i32)>) -> bool {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        let found = self.consumer.committed_offsets(list, COMMITTED);
        found.is_ok_and(|list| list.elements().iter().any(|e| matches!(e.offset(), Offset::Offset(n) if n > 0)))
    }

    /// How much of a partition's log cannot be read yet, since a transaction is open before it.
    #[must_use]
    pub fn held_by_transaction(&self, topic: &str, partition: i32) -> i64 {
        let key = (topic.to_owned(), partition);
        let open = &self.consumer.client().context().own.open;
        open.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or(0)
    }

    /// The topics as the brokers have them now; one that does not exist, or may not be described, is left out.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn described(&self, topics: &[String], timeout: Duration) -> Result<BTreeMap<String, Found>, KafkaSourceError> {
        match described::described(&self.consumer, topics, timeout) {
            Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => {
                let found = self.partitions(topics, timeout)?;
                Ok(found
                    .into_iter()
                    .map(|(topic, partitions)| (topic, Found { partitions, ..Found::default() }))
                    .collect())
            }
            Err(e) => Err(self.unreachable(&e)),
            Ok(found) => Ok(found),
        }
    }

    /// Topics as the brokers show them to this user, each with what is allowed. None is created by it.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn topics_seen(
        &self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<BTreeMap<String, TopicSeen>, KafkaSourceError> {
        allowed::topics(&self.consumer, topics, timeout).map_err(|e| self.unreachable(&e))
    }

    /// The group as the brokers show it to this user, with what is allowed.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn group_seen(&self, group: &str, timeout: Duration) -> Result<GroupSeen, KafkaSourceError> {
        allowed::group(&self.consumer, group, timeout).map_err(|e| self.unreachable(&e))
    }

    /// The high watermarks of partitions: the offset after the last record, those of open transactions and markers included. A
    /// partition whose leader does not answer is left out.
    #[must_use]
    pub fn high_watermarks(&self, partitions: &[(String, i32)], timeout: Duration) -> BTreeMap<(String, i32), i64> {
        match ends::of(&self.consumer, partitions, timeout) {
            Ok(found) => found,
            Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => {
                let one = |key: &(String, i32)| {
                    let (_, stable) = self.consumer.fetch_watermarks(&key.0, key.1, timeout).ok()?;
                    Some((key.clone(), stable + self.held_by_transaction(&key.0, key.1)))
                };
                partitions.iter().filter_map(one).collect()
            }
            Err(_) => BTreeMap::new(),
        }
    }
}
