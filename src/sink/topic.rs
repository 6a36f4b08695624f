//! Records to Kafka topics: idempotent, acknowledged by all replicas, a flight of them at a time. A producer that can go on no
//! more is replaced by a new one.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::source::kafka::{Listener, Own, is_for_consumers};
use crate::telemetry::events::kafka::ProducerKept;
use crate::telemetry::events::threads::{NoThread, Purpose};

/// How long the records of a flight may take to be acknowledged.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How often is looked whether they are.
const LOOK: Duration = Duration::from_millis(1);
/// What the configuration can set otherwise. A missing topic is reported after the propagation time.
const DEFAULTS: [(&str, &str); 6] = [
    ("compression.type", "lz4"),
    ("log.connection.close", "false"),
    ("linger.ms", "5"),
    ("message.max.bytes", "10485760"),
    ("message.timeout.ms", "20000"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// Why a record is not in its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The record by itself, or its batch, is larger than the topic takes, or the client.
    TooLarge(String),
    /// It may be taken later.
    Later(String),
}

impl Unsent {
    fn of(topic: &str, error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge) => {
                Self::TooLarge(error.to_string())
            }
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Self::Later(format!("the topic {topic:?} does not exist; create it"))
            }
            _ => Self::Later(format!("the topic {topic:?} does not take records: {error}")),
        }
    }
}

/// What became of the record with this number.
struct Delivery {
    number: u64,
    result: Result<(), KafkaError>,
}

/// Where it is told what became of records.
struct Deliveries(Sender<Delivery>);

impl Own for Deliveries {}

impl ProducerContext for Listener<Deliveries> {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        let result = result.as_ref().map(|_| ()).map_err(|(e, _)| e.clone());
        // The receiver lives as long as the producer's owner.
        let _ = self.own.0.send(Delivery { number: *number, result });
    }
}

/// A producer, made anew where it cannot go on.
pub struct TopicWriter {
    config: ClientConfig,
    producer: BaseProducer<Listener<Deliveries>>,
    deliveries: Receiver<Delivery>,
    next: u64,
}

impl TopicWriter {
    /// A producer; nothing is contacted yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        for (k, v) in DEFAULTS {
            config.set(k, v);
        }
        for (k, v) in properties.iter().filter(|(k, _)| !is_for_consumers(k)) {
            config.set(k, v);
        }
        config.set("enable.idempotence", "true");
        let (producer, deliveries) = producer(&config)?;
        Ok(Self { config, producer, deliveries, next: 0 })
    }

    /// Sends records (key and payload) and waits until each is acknowledged or has failed; the answers are in their order.
    pub fn carry(&mut self, topic: &str, records: &[(&str, &[u8])]) -> Vec<Result<(), Unsent>> {
        let first = self.next;
        let until = Instant::now() + ACKNOWLEDGED;
        let mut results: Vec<Option<Result<(), Unsent>>> = vec![None; records.len()];
        for ((key, payload), result) in records.iter().zip(&mut results) {
            if let Err(e) = self.send(topic, key, payload, until) {
                *result = Some(Err(Unsent::of(topic, &e)));
            }
            self.next += 1;
        }
        while results.iter().any(Option::is_none) && Instant::now() < until {
            self.serve();
            for Delivery { number, result } in self.deliveries.try_iter() {
                let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
                if let Some(slot) = at.and_then(|at| results.get_mut(at)) {
                    *slot = Some(result.map_err(|e| Unsent::of(topic, &e)));
                }
            }
            if self.producer.client().fatal_error().is_some() {
                break;
            }
        }
        let unanswered = || match self.producer.client().fatal_error() {
            Some((_, why)) => Unsent::Later(format!("the producer for {topic:?} cannot go on and is made anew: {why}")),
            None => Unsent::Later(format!("{topic:?} did not acknowledge it within {} s", ACKNOWLEDGED.as_secs())),
        };
        let results: Vec<Result<(), Unsent>> =
            results.into_iter().map(|r| r.unwrap_or_else(|| Err(unanswered()))).collect();
        if results.iter().any(|r| matches!(r, Err(Unsent::Later(_)))) {
            self.renew();
        }
        results
    }

    /// Hands a record to the producer, waiting while its queue is full.
    fn send(&self, topic: &str, key: &str, payload: &[u8], until: Instant) -> Result<(), KafkaError> {
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(self.next)).key(key).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((e, back))
                    if e.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) && Instant::now() < until =>
                {
                    record = back;
                    self.serve();
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    /// Serves the producer and waits a moment. The client itself would wait by the wall clock, and for an hour longer where that is
    /// set back by one.
    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
        thread::sleep(LOOK);
    }

    /// A new producer: the old one may have failed for good, and remembers for minutes which topics were not there.
    fn renew(&mut self) {
        match producer(&self.config) {
            Ok((producer, deliveries)) => {
                let old = std::mem::replace(&mut self.producer, producer);
                self.deliveries = deliveries;
                // Its end has no bound.
                if let Err(e) = thread::Builder::new().name("old-producer".into()).spawn(move || drop(old)) {
                    NoThread { purpose: Purpose::EndProducer, error: &e }.emit();
                }
            }
            Err(e) => ProducerKept { error: &e }.emit(),
        }
    }
}

fn producer(config: &ClientConfig) -> Result<(BaseProducer<Listener<Deliveries>>, Receiver<Delivery>), KafkaError> {
    let (send, deliveries) = channel();
    Ok((config.create_with_context(Listener::new(Deliveries(send)))?, deliveries))
}
