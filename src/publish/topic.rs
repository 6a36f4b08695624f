//! Records to Kafka topics: idempotent, acknowledged by all replicas, and told apart once they are.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::source::kafka::Troubles;

/// What became of the record with this number.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub number: u64,
    pub result: Result<(), KafkaError>,
}

struct Deliveries {
    send: Sender<Delivery>,
    troubles: Troubles,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.troubles.hear(&error, reason);
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "librdkafka: {message}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        let result = result.as_ref().map(|_| ()).map_err(|(e, _)| e.clone());
        // The receiver lives as long as the producer's owner.
        let _ = self.send.send(Delivery { number: *number, result });
    }
}

/// A producer whose deliveries can be asked for.
pub struct TopicWriter {
    producer: BaseProducer<Deliveries>,
    deliveries: Receiver<Delivery>,
}

impl TopicWriter {
    /// A producer; nothing is contacted yet.
    ///
    /// # Errors
    /// Properties that librdkafka refuses.
    pub fn new(properties: &BTreeMap<String, String>) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("compression.type", "lz4").set("linger.ms", "5").set("message.max.bytes", "10485760");
        for (k, v) in properties.iter().filter(|(k, _)| !is_for_consumers(k)) {
            config.set(k, v);
        }
        config.set("enable.idempotence", "true");
        let (send, deliveries) = channel();
        Ok(Self {
            producer: config.create_with_context(Deliveries { send, troubles: Troubles::default() })?,
            deliveries,
        })
    }

    /// Hands a record to the producer, waiting while its queue is full.
    ///
    /// # Errors
    /// A record that can never be sent (too large, topic invalid).
    pub fn send(&self, topic: &str, key: &str, payload: &[u8], number: u64) -> Result<(), KafkaError> {
        let mut record = BaseRecord::with_opaque_to(topic, Box::new(number)).key(key).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((e, back)) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    /// Serves the producer and takes what was delivered or failed since.
    pub fn poll(&self, wait: Duration) -> impl Iterator<Item = Delivery> + '_ {
        self.producer.poll(wait);
        self.deliveries.try_iter()
    }

    /// Waits for records under way.
    pub fn flush(&self, wait: Duration) {
        if let Err(e) = self.producer.flush(wait) {
            tracing::warn!(error = %e, "not everything was acknowledged in time; it stays in the checkpoint");
        }
    }
}

/// Properties that a producer would warn about.
fn is_for_consumers(property: &str) -> bool {
    const PREFIXES: [&str; 5] = ["fetch.", "group.", "queued.", "auto.", "isolation."];
    PREFIXES.iter().any(|p| property.starts_with(p))
        || [
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
            "check.crcs",
            "partition.assignment.strategy",
            "enable.partition.eof",
        ]
        .contains(&property)
}
