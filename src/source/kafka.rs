//! Topics of events: every partition of the configured topics, read from the offsets that the daemon's state names. Each
//! partition has a queue of its own, so a partition that must wait is simply not read; librdkafka bounds its content.

mod ends;
mod identity;
mod mark;
mod messages;
mod trouble;
mod unreadable;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use mark::Committed;
pub use mark::{Mark, mark};
pub use messages::Message;
use messages::{Messages, Taken};
pub use trouble::Troubles;
use unreadable::{Broken, Next, is_unreadable};

use crate::telemetry::events::kafka::{
    ClientLine, MessageAstray, PartitionHalted, Place, ReadFailed, RecordsUnreadable, TopicGone,
};

/// Settings that serve a busy consumer; the configuration's own win, except where counts depend on them.
/// How long the brokers may take to name the offsets that the group has committed.
const COMMITTED: Duration = Duration::from_secs(5);
const DEFAULTS: [(&str, &str); 8] = [
    // Only these statistics say how far open transactions reach.
    ("statistics.interval.ms", "5000"),
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

/// How often a wait looks whether there is something.
const LOOK: Duration = Duration::from_millis(5);

/// Keeps the client's complaints about its connections, and logs each of them now and then.
#[derive(Default)]
pub struct Quiet {
    troubles: Troubles,
    /// By topic and partition: how much of the log lies behind the start of a transaction that is open.
    open: Mutex<BTreeMap<(String, i32), i64>>,
}

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.hear(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in statistics.topics {
            for (id, p) in topic.partitions.iter().filter(|(id, p)| **id >= 0 && p.ls_offset >= 0) {
                open.insert((name.clone(), *id), (p.hi_offset - p.ls_offset).max(0));
            }
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.troubles.hear_log(facility, message);
        } else {
            let is_warning = (level as i32) <= (RDKafkaLogLevel::Warning as i32);
            ClientLine { facility, message, is_warning }.emit();
        }
    }
}

impl ConsumerContext for Quiet {}

#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    #[error("the Kafka client cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error(
        "sasl.mechanism in kafka.properties is OAUTHBEARER, and nothing gives a token: set enable.sasl.oauthbearer.unsecure.jwt to true for unsecured \
         tokens. Tokens of an identity provider (OpenID Connect, sasl.oauthbearer.method: oidc) are not supported: use SCRAM, PLAIN or a client certificate"
    )]
    NoToken,
    #[error("no broker of {brokers} answers: {cause}; trying again")]
    Unreachable { brokers: String, cause: String },
    #[error("the topic {topic:?} on {brokers} cannot be read now: {cause}; trying again")]
    Topic { topic: String, brokers: String, cause: Box<KafkaError> },
    #[error(
        "the brokers {brokers} do not let this user read the topic {topic:?}: grant it READ and DESCRIBE on the topic, and READ on the group; trying again"
    )]
    NotAllowed { topic: String, brokers: String },
    #[error("the topic {topic:?} does not exist on {brokers}; create it, or correct sources in the configuration")]
    NoTopic { topic: String, brokers: String },
    #[error("the partitions cannot be assigned: {0}")]
    Assign(KafkaError),
}

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
    messages: Option<Messages>,
    /// A batch of records that could not be read when it was tried last.
    broken: Option<Broken>,
    /// The offset of the start, and in which leader's epoch the record before it was written.
    started_in: Option<(i64, i32)>,
}

/// Where a partition starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The offset; the beginning without one.
    pub next: Option<i64>,
    /// In which leader's epoch the record before it was written.
    pub leader_epoch: Option<i32>,
    pub topic_id: Option<String>,
    /// Why it is not read at all.
    pub halted: Option<String>,
    /// Records were deleted before the beginning that is read from.
    pub cut: bool,
    /// It goes on behind records that are gone, which an operator accepted.
    pub gap: bool,
}

/// A topic as the brokers have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub partitions: i32,
    /// None where the brokers give topics no ids.
    pub id: Option<String>,
    /// Partitions that no broker leads now, if that was asked: their ends are unknown.
    pub leaderless: Vec<i32>,
}

/// The consumer of all partitions.
pub struct KafkaSource {
    brokers: String,
    properties: Arc<BTreeMap<String, String>>,
    consumer: Arc<BaseConsumer<Quiet>>,
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
        for (k, v) in DEFAULTS {
            config.set(k, v);
        }
        for (k, v) in properties {
            config.set(k, v);
        }
        for (k, v) in FIXED {
            config.set(k, v);
        }
        let consumer: BaseConsumer<Quiet> =
            config.create_with_context(Quiet::default()).map_err(KafkaSourceError::Client)?;
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
                identity::set_leader_epoch(&mut list, topic, *partition, epoch);
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

/// Serves a client's own events for up to `wait`; its context receives errors. Returns whether there was one. The client waits by
/// the wall clock, and for an hour longer where that is set back by one: so it does not wait itself.
fn serve(consumer: &BaseConsumer<Quiet>, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        if serve_now(consumer) {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

fn serve_now(consumer: &BaseConsumer<Quiet>) -> bool {
    match consumer.poll(Duration::ZERO) {
        None => false,
        Some(Err(_)) => true,
        Some(Ok(message)) => {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            MessageAstray { at: Place { topic, partition }, offset }.emit();
            true
        }
    }
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

    /// Reads up to `most` messages that are there already, without waiting; returns how many.
    pub fn drain(&mut self, most: usize, mut each: impl FnMut(&Message<'_>)) -> usize {
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
        let mut drained = 0;
        while drained < most && halted.is_none() && doubted.is_none() {
            let mut failed = false;
            let taken = messages.take(most - drained, |taken| match taken {
                // Messages after a gap, or after an unreadable batch, are not counted.
                _ if halted.is_some() || broken.as_ref().is_some_and(Broken::waits) => {}
                Taken::Record(message) => {
                    *broken = None;
                    // A message that was read before cannot come again within one assignment.
                    if next.is_none_or(|next| message.offset() >= next) {
                        each(&message);
                        *next = Some(message.offset() + 1);
                        *end_reached = None;
                        drained += 1;
                    }
                }
                // Transaction markers, aborted records and compacted ones are behind it: they are no records that
                // could be missing once retention has reached them.
                Taken::End(offset) => {
                    *broken = None;
                    *next = (*next).max(Some(offset));
                    *end_reached = Some(Instant::now());
                }
                Taken::Failed(e, at) if is_unreadable(&e) || (is_gap(&e) && broken.is_some()) => {
                    failed = true;
                    let broken = broken.get_or_insert_with(Broken::default);
                    if broken.failed(at, &e, Instant::now()) {
                        let why = broken.why(topic, *partition, next.unwrap_or(at));
                        PartitionHalted { at: place, offset: Some(at), why: &why }.emit();
                        *halted = Some(why);
                    } else {
                        RecordsUnreadable { at: place, offset: at, error: &e }.emit();
                    }
                }
                Taken::Failed(e, _) if is_gap(&e) => {
                    let why = format!(
                        "{topic}/{partition}: offset {next}, the next to be counted, is not in the log any more: {e}; records from there on may be gone \
                         uncounted (retention was faster than this daemon), so counts would have a hole. Restore the topic, or start driftgate once \
                         with --accept-gap {topic}/{partition}={next}: windows that may lack these records are incomplete then and signal nothing",
                        next = next.unwrap_or(0)
                    );
                    PartitionHalted { at: place, offset: *next, why: &why }.emit();
                    *halted = Some(why);
                }
                Taken::Failed(e, _) if is_unknown(&e) => {
                    TopicGone { at: place, error: &e }.emit();
                    // Messages taken with it are counted: they cannot be put back, and may be of the same topic.
                    *doubted = Some(Instant::now());
                }
                Taken::Failed(e, _) => {
                    ReadFailed { at: place, error: &e }.emit();
                    failed = true;
                }
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

/// A topic that was deleted, or deleted and made anew.
fn is_unknown(e: &KafkaError) -> bool {
    matches!(
        e.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
        )
    )
}

/// Questions to the brokers.
#[derive(Clone)]
pub struct Handle {
    brokers: String,
    properties: Arc<BTreeMap<String, String>>,
    consumer: Arc<BaseConsumer<Quiet>>,
    committed: Arc<Mutex<Committed>>,
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
        match identity::ids(&self.consumer, topics, timeout) {
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
        let open = &self.consumer.client().context().open;
        open.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied().unwrap_or(0)
    }

    /// The topics as the brokers have them now; one that does not exist, or may not be described, is left out.
    ///
    /// # Errors
    /// Brokers that do not answer in time.
    pub fn described(&self, topics: &[String], timeout: Duration) -> Result<BTreeMap<String, Found>, KafkaSourceError> {
        match identity::described(&self.consumer, topics, timeout) {
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
