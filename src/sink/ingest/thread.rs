//! The producer of events that came over HTTP: idempotent, acknowledged by every replica in sync. One that can go on no more is replaced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::OwnedSemaphorePermit;

use super::entry::Entry;
use super::record::{Event, NotTaken, Told};
use crate::source::kafka::{Listener, Own, is_for_consumers};
use crate::telemetry::events::kafka::ProducerKept;
use crate::telemetry::events::threads::{NoThread, Purpose};

/// How long a wait for the next event is while records are under way, and while none is.
const BUSY: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_millis(200);
/// A producer that was replaced just now is not replaced again.
const RENEWED: Duration = Duration::from_secs(5);

/// What the configuration can set otherwise.
const DEFAULTS: [(&str, &str); 8] = [
    ("client.id", "driftgate-ingest"),
    ("compression.type", "lz4"),
    ("log.connection.close", "false"),
    ("linger.ms", "1"),
    ("message.max.bytes", "10485760"),
    ("message.timeout.ms", "10000"),
    ("topic.metadata.propagation.max.ms", "5000"),
    ("queue.buffering.max.kbytes", "65536"),
];
/// What an answer rests on; keys choose partitions as Java's clients do.
const FIXED: [(&str, &str); 3] = [("enable.idempotence", "true"), ("acks", "all"), ("partitioner", "murmur2_random")];

/// An event on its way to the thread. Its request counts as waiting until the client says what became of the record, whoever waits.
pub(super) struct Record {
    pub entry: Arc<Entry>,
    pub event: Event,
    pub told: Told,
    pub waits: Arc<OwnedSemaphorePermit>,
}

/// Who is told what became of a record.
struct Waiter {
    entry: Arc<Entry>,
    told: Told,
    _waits: Arc<OwnedSemaphorePermit>,
}

impl Waiter {
    fn tell(self, result: Result<(), KafkaError>, client: &Listener<Deliveries>) {
        let Self { entry, told, .. } = self;
        let result = match result {
            Ok(()) => {
                entry.acknowledged();
                Ok(())
            }
            Err(e) => Err(refusal(&entry, &e, client)),
        };
        // The caller may have gone.
        let _ = told.send(result);
    }
}

/// What is said of a record that failed.
fn refusal(entry: &Entry, error: &KafkaError, client: &Listener<Deliveries>) -> NotTaken {
    use RDKafkaErrorCode as Code;
    let topic = entry.topic();
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
            entry.tried();
            NotTaken::TooLarge(format!("the topic {topic:?} takes no record of this size: see its max.message.bytes"))
        }
        // It was not sent.
        Some(Code::QueueFull) => {
            entry.tried();
            entry.refuse(format!("the records that wait for {topic:?} take all of the producer's memory"))
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
            let why = format!("the topic {topic:?} does not exist: create it");
            entry.failed(&why);
            NotTaken::Busy(why)
        }
        Some(Code::MessageTimedOut) => {
            let cause = client.troubles.why().map(|why| format!(": {why}")).unwrap_or_default();
            let why =
                format!("the topic {topic:?} did not acknowledge an event within {} ms{cause}", client.own.within);
            entry.failed(&why);
            NotTaken::Unacknowledged(why)
        }
        _ => {
            let why = format!("the topic {topic:?} does not take records: {error}");
            entry.failed(&why);
            NotTaken::Unacknowledged(why)
        }
    }
}

/// What the client says of its records.
#[derive(Default)]
struct Deliveries {
    /// It remembers for minutes that a topic was not there.
    is_stale: AtomicBool,
    /// How long a record is tried for, in ms, as the properties say it.
    within: String,
}

impl Own for Deliveries {}

impl ProducerContext for Listener<Deliveries> {
    type DeliveryOpaque = Box<Waiter>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiter: Box<Waiter>) {
        let result = result.as_ref().map(|_| ()).map_err(|(e, _)| e.clone());
        if let Err(e) = &result
            && matches!(
                e.rdkafka_error_code(),
                Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
            )
        {
            self.own.is_stale.store(true, Ordering::Relaxed);
        }
        waiter.tell(result, self);
    }
}

type Client = BaseProducer<Listener<Deliveries>>;

/// Starts it; it ends once nobody can hand it events any more.
///
/// # Errors
/// Properties that librdkafka refuses, or a system without threads.
pub(super) fn start(properties: &BTreeMap<String, String>, entries: Vec<Arc<Entry>>) -> anyhow::Result<Sender<Record>> {
    let mut config = ClientConfig::new();
    let given = properties.iter().filter(|(k, _)| !is_for_consumers(k)).map(|(k, v)| (k.as_str(), v.as_str()));
    for (k, v) in DEFAULTS.into_iter().chain(given).chain(FIXED) {
        config.set(k, v);
    }
    config.remove("request.required.acks");
    let client = client(&config).context("the producer of events that come over HTTP")?;
    let (send, records) = channel();
    let mut producer = Producer { config, client, entries, renewed: None };
    thread::Builder::new().name("ingest".into()).spawn(move || producer.run(&records)).context("no thread for it")?;
    Ok(send)
}

fn client(config: &ClientConfig) -> Result<Client, KafkaError> {
    let within = config.get("message.timeout.ms").unwrap_or_default().to_owned();
    config.create_with_context(Listener::new(Deliveries { within, ..Deliveries::default() }))
}

struct Producer {
    config: ClientConfig,
    client: Client,
    entries: Vec<Arc<Entry>>,
    renewed: Option<Instant>,
}

impl Producer {
    fn run(&mut self, records: &Receiver<Record>) {
        loop {
            // The channel waits by a clock that nobody sets back, unlike the client.
            let wait = if self.client.in_flight_count() > 0 { BUSY } else { IDLE };
            match records.recv_timeout(wait) {
                Ok(record) => std::iter::once(record).chain(records.try_iter()).for_each(|record| self.send(record)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.client.poll(Duration::ZERO);
            self.entries.iter().for_each(|entry| entry.look());
            self.renew_if_needed();
        }
    }

    fn send(&self, record: Record) {
        let Record { entry, event, told, waits } = record;
        let topic = entry.topic().to_owned();
        let headers = event.headers.iter().fold(OwnedHeaders::new_with_capacity(event.headers.len()), |all, (k, v)| {
            all.insert(Header { key: k, value: Some(v) })
        });
        let waiter = Box::new(Waiter { entry, told, _waits: waits });
        let mut to_send =
            BaseRecord::<[u8], [u8], _>::with_opaque_to(&topic, waiter).payload(&event.value).headers(headers);
        if let Some(key) = &event.key {
            to_send = to_send.key(key);
        }
        if let Err((error, back)) = self.client.send(to_send) {
            back.delivery_opaque.tell(Err(error), self.client.context());
        }
    }

    /// A new producer where the old one has failed for good, or remembers that a topic was not there.
    fn renew_if_needed(&mut self) {
        let is_stale = self.client.context().own.is_stale.load(Ordering::Relaxed);
        if !(is_stale || self.client.client().fatal_error().is_some())
            || self.renewed.is_some_and(|at| at.elapsed() < RENEWED)
        {
            return;
        }
        self.renewed = Some(Instant::now());
        match client(&self.config) {
            Ok(fresh) => {
                let old = std::mem::replace(&mut self.client, fresh);
                // Its end has no bound; what it still had is told as not acknowledged.
                if let Err(e) = thread::Builder::new().name("old-producer".into()).spawn(move || drop(old)) {
                    NoThread { purpose: Purpose::EndProducer, error: &e }.emit();
                }
            }
            Err(e) => ProducerKept { error: &e }.emit(),
        }
    }
}
