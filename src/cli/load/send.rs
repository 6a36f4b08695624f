//! Events to one Kafka topic: idempotent, acknowledged by every replica in sync, in the order they were given.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::cli::exit::{self, Failure};

/// For the brokers' first answer.
const REACH: Duration = Duration::from_secs(15);
/// Topics named in a message at most.
const NAMED: usize = 20;

/// What librdkafka should do unless the configuration says otherwise: large batches, and no longer than this for one.
const DEFAULTS: [(&str, &str); 7] = [
    ("client.id", "driftgate-load"),
    ("compression.type", "lz4"),
    ("linger.ms", "20"),
    ("batch.num.messages", "10000"),
    ("queue.buffering.max.messages", "200000"),
    ("queue.buffering.max.kbytes", "131072"),
    ("message.timeout.ms", "30000"),
];
/// What it must do: nothing is lost, doubled or misrouted.
const FIXED: [(&str, &str); 3] = [("acks", "all"), ("enable.idempotence", "true"), ("partitioner", "murmur2_random")];

/// What became of the events.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    /// The first event's failure, and what the client last said of its connections.
    first: Mutex<Option<KafkaError>>,
    said: Mutex<Option<String>>,
}

impl Deliveries {
    fn fail(&self, error: KafkaError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down says less than why each one is.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => self.fail(error.clone()),
        }
    }
}

/// Sends to one topic.
pub struct Sender {
    producer: BaseProducer<Deliveries>,
    topic: String,
    brokers: String,
    pub partitions: usize,
}

impl Sender {
    /// Connects and looks the topic up; nothing creates it.
    ///
    /// # Errors
    /// Properties that librdkafka does not take, brokers that do not answer, or a topic that is not there.
    pub fn connect(properties: &BTreeMap<String, String>, topic: &str) -> Result<Self, Failure> {
        let mut config = ClientConfig::new();
        let given = properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in DEFAULTS.into_iter().chain(given).chain(FIXED) {
            config.set(name, value);
        }
        let brokers = properties.get("bootstrap.servers").cloned().unwrap_or_default();
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries::default())
            .map_err(|e| anyhow!("the Kafka client refuses its properties: {e}"))?;
        // Asking for the topic by name could create it.
        let metadata = producer.client().fetch_metadata(None, REACH).map_err(|error| {
            // Each round takes one thing that the client has to say.
            (0..NAMED).for_each(|_| producer.poll(Duration::from_millis(5)));
            let said = producer.context().said.lock().unwrap_or_else(PoisonError::into_inner).take();
            let cause = said.unwrap_or_else(|| error.to_string());
            Failure {
                code: exit::UNREACHABLE,
                error: anyhow!("Kafka at {brokers} cannot be reached: {cause}; check --brokers"),
            }
        })?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            let mut names: Vec<&str> = metadata
                .topics()
                .iter()
                .map(rdkafka::metadata::MetadataTopic::name)
                .filter(|n| !n.starts_with("__"))
                .collect();
            names.sort_unstable();
            names.truncate(NAMED);
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(anyhow!("the topic {topic:?} does not exist at {brokers}, or this client may not see it: create it first; the topics are {names}").into());
        };
        let partitions = found.partitions().len();
        Ok(Self { producer, topic: topic.to_owned(), brokers, partitions })
    }

    /// Hands an event over; waits while too many are under way.
    pub fn send(&self, key: Option<&[u8]>, payload: &[u8]) {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(payload);
        if let Some(key) = key {
            record = record.key(key);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => {
                    self.producer.context().fail(error);
                    break;
                }
            }
        }
        self.poll();
    }

    /// Takes what has been delivered off the client's queue.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    pub fn delivered(&self) -> u64 {
        self.producer.context().delivered.load(Ordering::Relaxed)
    }

    pub fn has_failed(&self) -> bool {
        self.producer.context().failed.load(Ordering::Relaxed) > 0
    }

    /// Waits until everything has arrived or failed, which `message.timeout.ms` bounds.
    pub fn flush(&self, progress: impl Fn(u64)) {
        while self.producer.in_flight_count() > 0 {
            // A time-out is no error: the next round waits on.
            let _ = self.producer.flush(Duration::from_millis(200));
            progress(self.delivered());
        }
    }

    /// What went wrong with events that did not arrive.
    ///
    /// # Errors
    /// How many did not, and why the first one did not.
    pub fn outcome(&self) -> Result<(), Failure> {
        let context = self.producer.context();
        let first = context.first.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(error) = first else { return Ok(()) };
        let (delivered, failed) = (self.delivered(), context.failed.load(Ordering::Relaxed));
        let code = if error.rdkafka_error_code().is_some_and(is_unreachable) { exit::UNREACHABLE } else { exit::INPUT };
        let (topic, brokers) = (&self.topic, &self.brokers);
        let error = anyhow!(
            "{failed} events did not reach {topic:?} at {brokers}, {delivered} did: {error}; events that arrived stay in the topic, and are published again if the file is loaded again"
        );
        Err(Failure { code, error })
    }
}

fn is_unreachable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::MessageTimedOut
            | E::BrokerTransportFailure
            | E::AllBrokersDown
            | E::OperationTimedOut
            | E::NotEnoughReplicas
            | E::NotEnoughReplicasAfterAppend
    )
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    fn properties(brokers: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("bootstrap.servers".to_owned(), brokers.to_owned())])
    }

    #[test]
    fn events_arrive_and_a_missing_topic_is_named() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 2, 1).unwrap();
        let sender = Sender::connect(&properties(&cluster.bootstrap_servers()), "events").unwrap();
        for key in [None, Some(&b"k"[..])] {
            sender.send(key, b"{}");
        }
        sender.flush(|_| {});
        assert_eq!((sender.delivered(), sender.partitions, sender.outcome().is_ok()), (2, 2, true));
        let failure = Sender::connect(&properties(&cluster.bootstrap_servers()), "event").map(|_| ()).unwrap_err();
        let text = failure.error.to_string();
        assert!(
            failure.code == 2 && text.contains("\"event\" does not exist") && text.ends_with("the topics are events"),
            "{text}"
        );
    }

    #[test]
    fn an_event_that_is_too_large_is_counted() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", 1, 1).unwrap();
        let sender = Sender::connect(&properties(&cluster.bootstrap_servers()), "events").unwrap();
        sender.send(None, &vec![b' '; 2_000_000]);
        assert!(sender.has_failed());
        let failure = sender.outcome().unwrap_err();
        assert!(
            failure.code == 2 && failure.error.to_string().starts_with("1 events did not reach \"events\""),
            "{:#}",
            failure.error
        );
    }
}
