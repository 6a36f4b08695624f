//! The client of a transactional producer: its settings, what it hears of its records, and how it takes its transactional id.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use super::error::TransactionError;
use crate::source::kafka::{Listener, Own, is_for_consumers};
use crate::telemetry::events::threads::{NoThread, Purpose};
use driftgate_core::pipeline::lock;

/// How often a wait looks whether there is something.
pub const LOOK: Duration = Duration::from_millis(1);
/// One question for the transactional id lasts so long at most.
const ASK: Duration = Duration::from_secs(1);

/// What the configuration can set otherwise.
const DEFAULTS: [(&str, &str); 4] = [
    ("compression.type", "lz4"),
    // A topic that is missing is reported after this time.
    ("topic.metadata.propagation.max.ms", "5000"),
    ("reconnect.backoff.ms", "20"),
    ("log.connection.close", "false"),
];
/// What the protocol rests on. A batch of records stays below the limit of a topic as it is made (1 MiB); a transaction that its
/// producer left open holds up readers for no longer than its time limit, and a record is given up before it.
const FIXED: [(&str, &str); 8] = [
    ("enable.idempotence", "true"),
    ("linger.ms", "0"),
    ("message.max.bytes", "1000000"),
    ("batch.size", "1000000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("transaction.timeout.ms", "30000"),
    ("message.timeout.ms", "15000"),
    ("socket.timeout.ms", "10000"),
];
/// Other names of properties that are fixed, and properties that idempotence restricts.
const LEFT_OUT: [&str; 12] = [
    "acks",
    "request.required.acks",
    "request.timeout.ms",
    "delivery.timeout.ms",
    "queue.buffering.max.ms",
    "queue.buffering.max.messages",
    "queuing.strategy",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
    "enable.gapless.guarantee",
];

pub type Client = BaseProducer<Listener<Deliveries>>;

/// What the client says of the records of a transaction.
#[derive(Default)]
pub struct Deliveries {
    /// Why the first record of the transaction that failed did.
    failed: Mutex<Option<String>>,
}

impl Own for Deliveries {}

impl Deliveries {
    /// Forgets what became of records before.
    pub fn begin(&self) {
        *lock(&self.failed) = None;
    }

    pub fn failed(&self) -> Option<String> {
        lock(&self.failed).clone()
    }
}

impl ProducerContext for Listener<Deliveries> {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let topic = message.topic();
            lock(&self.own.failed).get_or_insert_with(|| format!("the topic {topic:?} does not take records: {error}"));
        }
    }
}

/// A client that has taken the transactional id: whoever had it before cannot write any more, and what that one left open is resolved.
pub fn connect(
    properties: &BTreeMap<String, String>,
    transactional_id: &str,
    wait: Duration,
) -> Result<Client, TransactionError> {
    let mut config = ClientConfig::new();
    for (k, v) in DEFAULTS {
        config.set(k, v);
    }
    for (k, v) in properties.iter().filter(|(k, _)| !is_for_consumers(k) && !LEFT_OUT.contains(&k.as_str())) {
        config.set(k, v);
    }
    for (k, v) in FIXED {
        config.set(k, v);
    }
    config.set("transactional.id", transactional_id);
    let client: Client =
        config.create_with_context(Listener::<Deliveries>::default()).map_err(TransactionError::Client)?;
    match take_id(&client, transactional_id, wait) {
        Ok(()) => Ok(client),
        Err(e) => {
            end(client);
            Err(e)
        }
    }
}

fn take_id(client: &Client, transactional_id: &str, wait: Duration) -> Result<(), TransactionError> {
    let until = Instant::now() + wait;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match client.init_transactions(left.clamp(LOOK, ASK)) {
            Ok(()) => return Ok(()),
            Err(e) if !is_retriable(&e) => return Err(TransactionError::refused(transactional_id, &e)),
            Err(e) if left.is_zero() => {
                client.poll(Duration::ZERO);
                let cause = client.context().troubles.why().unwrap_or_else(|| e.to_string());
                return Err(TransactionError::TooLate { transactional_id: transactional_id.to_owned(), wait, cause });
            }
            Err(_) => serve(client),
        }
    }
}

/// Keeps whoever has the transactional id from writing; what that one left open is committed or aborted before this returns.
///
/// # Errors
/// Brokers that do not answer in time, or do not allow it.
pub fn fence(
    properties: &BTreeMap<String, String>,
    transactional_id: &str,
    wait: Duration,
) -> Result<(), TransactionError> {
    connect(properties, transactional_id, wait).map(end)
}

/// Serves the client's own events and waits a moment. The client itself would wait by the wall clock, and for an hour longer where that is
/// set back by one.
pub fn serve(client: &Client) {
    client.poll(Duration::ZERO);
    thread::sleep(LOOK);
}

/// Whether the same call goes on with what it began.
pub fn is_retriable(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(e) if e.is_retriable())
}

/// Whether the client can never write again.
pub fn is_fatal(client: &Client, error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(e) if e.is_fatal()) || client.client().fatal_error().is_some()
}

/// Ends a client on a thread of its own: its end has no bound.
pub fn end(client: Client) {
    if let Err(e) = thread::Builder::new().name("old-producer".into()).spawn(move || drop(client)) {
        NoThread { purpose: Purpose::EndProducer, error: &e }.emit();
    }
}
