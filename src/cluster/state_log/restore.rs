//! The state topic, read to its end by a process that takes a unit over.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::gather::{Found, Gather};
use super::held::Held;
use crate::cluster::error::ClusterError;
use crate::source::kafka::{Listener, read_by_hand};
use crate::telemetry::events::state::{StateRead, StateReading};
use crate::telemetry::events::threads::{NoThread, Purpose};

/// Between two looks whether there is a message.
const LOOK: Duration = Duration::from_millis(2);
/// Brokers that are silent for so long cannot be reached.
const SILENT: Duration = Duration::from_secs(60);
/// The state that the claim names is waited for so long: the marks of its transaction reach the partitions one after the other, and one that is
/// open ends within its time limit.
const BEHIND: Duration = Duration::from_secs(60);
/// How long one question for the ends of the topic may take.
const ASK: Duration = Duration::from_secs(5);
/// How often it is told how far reading has come.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What reading needs; the configuration's other properties stay.
const FIXED: [(&str, &str); 12] = [
    // Whoever takes over waits for the topic's end.
    ("fetch.wait.max.ms", "20"),
    // A topic that is missing is reported after this time.
    ("topic.metadata.propagation.max.ms", "5000"),
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("check.crcs", "true"),
    ("fetch.message.max.bytes", "8388608"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "32768"),
    ("log.connection.close", "false"),
];

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The number of the state that is in the folder; 0 where the topic holds none, and the folder is as it was.
    pub seq: u64,
    pub held: Held,
    pub bytes: u64,
}

/// Reads a unit's state of this number into a state folder, as `Store` loads it; without a number the newest one. Chunks that are in the folder
/// already are not written again.
///
/// # Errors
/// A topic that is missing, cannot be read, or does not hold that state; a folder that cannot be written.
pub fn restore(
    properties: &BTreeMap<String, String>,
    (topic, partition): (&str, i32),
    unit: &str,
    seq: Option<u64>,
    folder: &Path,
    stop: &dyn Fn() -> bool,
) -> Result<Restored, ClusterError> {
    let began = Instant::now();
    let reader = Reader::open(properties, topic, partition)?;
    if seq.is_none() {
        reader.wait_for_open_transactions(properties, stop)?;
    }
    let mut gather = Gather::new(topic, unit, folder)?;
    let found = reader.read(&mut gather, unit, seq, stop)?;
    let bytes = gather.bytes();
    let (seq, held) = match found {
        Some(slot) => gather.finish(slot)?,
        None => (0, gather.nothing()),
    };
    StateRead { unit, seq, bytes, seconds: began.elapsed().as_secs_f64() }.emit();
    Ok(Restored { seq, held, bytes })
}

type Client = BaseConsumer<Listener>;

/// The reader of a partition.
struct Reader<'t> {
    /// `None` only while this ends.
    client: Option<Client>,
    topic: &'t str,
    partition: i32,
}

impl Drop for Reader<'_> {
    /// Its end has no bound.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if let Err(e) = thread::Builder::new().name("old-reader".into()).spawn(move || drop(client)) {
            NoThread { purpose: Purpose::EndProducer, error: &e }.emit();
        }
    }
}

fn client(properties: &BTreeMap<String, String>, isolation: &str) -> Result<Client, ClusterError> {
    let mut config = read_by_hand(properties, &[], &FIXED);
    config.set("isolation.level", isolation);
    config.create_with_context(Listener::default()).map_err(ClusterError::Client)
}

impl<'t> Reader<'t> {
    fn open(properties: &BTreeMap<String, String>, topic: &'t str, partition: i32) -> Result<Self, ClusterError> {
        let client = client(properties, "read_committed")?;
        Ok(Self { client: Some(client), topic, partition })
    }

    fn unreachable(&self, cause: &str) -> ClusterError {
        let why = self.client.as_ref().and_then(|client| client.context().troubles.why());
        ClusterError::Unreachable { topic: self.topic.to_owned(), cause: why.unwrap_or_else(|| cause.to_owned()) }
    }

    /// Waits until transactions that are open now have ended: one of them may be the newest state.
    fn wait_for_open_transactions(
        &self,
        properties: &BTreeMap<String, String>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), ClusterError> {
        let all = Reader { client: Some(client(properties, "read_uncommitted")?), ..*self };
        let until = Instant::now() + BEHIND;
        let written = all.end(until, stop)?;
        while self.end(until, stop)? < written {
            if Instant::now() >= until {
                return Err(self.unreachable("a transaction that is open does not end"));
            }
            thread::sleep(10 * LOOK);
        }
        Ok(())
    }

    /// Where the records end that this reader may see.
    fn end(&self, until: Instant, stop: &dyn Fn() -> bool) -> Result<i64, ClusterError> {
        let Some(client) = &self.client else { return Ok(0) };
        while !stop() {
            match client.fetch_watermarks(self.topic, self.partition, ASK) {
                Ok((_, end)) => return Ok(end),
                Err(e) => match self.is_final(&e) {
                    Some(e) => return Err(e),
                    None if Instant::now() >= until => return Err(self.unreachable(&e.to_string())),
                    None => thread::sleep(10 * LOOK),
                },
            }
        }
        Err(ClusterError::Stopped)
    }

    /// An error that does not pass by itself.
    fn is_final(&self, error: &KafkaError) -> Option<ClusterError> {
        let topic = self.topic.to_owned();
        match error.rdkafka_error_code()? {
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition => Some(ClusterError::NoTopic { topic }),
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed => {
                Some(ClusterError::NotAllowed { topic })
            }
            _ => None,
        }
    }

    /// Reads until the state is there; its slot, or `None` where there is no state at all.
    fn read(
        &self,
        gather: &mut Gather,
        unit: &str,
        seq: Option<u64>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<usize>, ClusterError> {
        let Some(client) = &self.client else { return Ok(None) };
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(self.topic, self.partition, Offset::Beginning)
            .and_then(|()| client.assign(&list))
            .map_err(|e| self.unreachable(&e.to_string()))?;
        let (mut news, mut told) = (Instant::now(), Instant::now());
        let mut is_at_end = false;
        while !stop() {
            match client.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    gather.take(message.key().unwrap_or_default(), message.payload())?;
                    (news, is_at_end) = (Instant::now(), false);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    if !is_at_end {
                        (news, is_at_end) = (Instant::now(), true);
                    }
                    if let Some(found) = self.found(gather.find(seq), unit, seq, None)? {
                        return Ok(found);
                    }
                }
                Some(Err(e)) => {
                    if let Some(e) = self.is_final(&e) {
                        return Err(e);
                    }
                }
                None if is_at_end && news.elapsed() > BEHIND => {
                    return self.found(gather.find(seq), unit, seq, Some(())).map(Option::flatten);
                }
                None if news.elapsed() > SILENT => return Err(self.unreachable("nothing comes from the brokers")),
                None => thread::sleep(LOOK),
            }
            if told.elapsed() > TELL_EVERY {
                StateReading { unit, bytes: gather.bytes() }.emit();
                told = Instant::now();
            }
        }
        Err(ClusterError::Stopped)
    }

    /// What it comes to at the end of the topic: a slot, nothing at all, or `None`: the state is waited for, unless that is `over`.
    fn found(
        &self,
        found: Found,
        unit: &str,
        seq: Option<u64>,
        over: Option<()>,
    ) -> Result<Option<Option<usize>>, ClusterError> {
        let topic = self.topic.to_owned();
        match found {
            Found::State(slot) => Ok(Some(Some(slot))),
            Found::Nothing => Ok(Some(None)),
            Found::Newer(found) => Err(ClusterError::Newer { topic, found }),
            Found::Torn => Err(ClusterError::Damaged { topic, what: "its newest manifest is not whole".into() }),
            Found::Other(newest) if over.is_some() => {
                let claimed = seq.unwrap_or(0);
                Err(ClusterError::Behind { topic, unit: unit.to_owned(), claimed, newest })
            }
            Found::Other(_) => Ok(None),
        }
    }
}
