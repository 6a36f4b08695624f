//! The first or the newest messages of a topic, read apart from every group: nothing is committed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::detect::Message;
use crate::cli::exit::{self, Failure};
use crate::source::kafka::{KafkaSource, KafkaSourceError, Listener, read_by_hand};

/// The brokers may take so long to answer, and a partition to give its next message.
const WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// Messages are looked at until they have so many bytes together.
const MOST_BYTES: usize = 256 << 20;

const FIXED: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("log.connection.close", "false"),
];

/// What was read.
pub struct Read {
    pub messages: Vec<Message>,
    pub partitions: i32,
}

/// Reads at most so many messages: of each partition the first ones, or the newest ones.
///
/// # Errors
/// Brokers that do not answer, or a topic that is not there or may not be read.
pub fn read(properties: &BTreeMap<String, String>, topic: &str, most: usize, newest: bool) -> Result<Read, Failure> {
    let handle = KafkaSource::new(properties).map_err(|e| failure(&e))?.handle();
    let found = handle.partitions(&[topic.to_owned()], WAIT).map_err(|e| failure(&e))?;
    let partitions = found.get(topic).copied().unwrap_or(0);
    let consumer: BaseConsumer<Listener> = read_by_hand(properties, &[], &FIXED)
        .create_with_context(Listener::default())
        .context("the Kafka client cannot be made")?;
    // Each partition has its share, so that none is left out.
    let share = most.div_ceil(usize::try_from(partitions).unwrap_or(1).max(1));
    let from = if newest { Offset::OffsetTail(i64::try_from(share).unwrap_or(i64::MAX)) } else { Offset::Beginning };
    let mut list = TopicPartitionList::new();
    (0..partitions).try_for_each(|p| list.add_partition_offset(topic, p, from)).context("the offsets are refused")?;
    consumer.assign(&list).context("the partitions cannot be assigned")?;
    let mut left: BTreeMap<i32, usize> = (0..partitions).map(|p| (p, share)).collect();
    let (mut messages, mut bytes, mut heard) = (Vec::new(), 0_usize, Instant::now());
    while !left.is_empty() && messages.len() < most && bytes < MOST_BYTES && heard.elapsed() < WAIT {
        match consumer.poll(POLL) {
            None => {}
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&partition)),
            Some(Err(e)) => return Err(anyhow!("the topic {topic:?} cannot be read: {e}").into()),
            Some(Ok(record)) => {
                heard = Instant::now();
                let (partition, message) = (record.partition(), taken(&record));
                bytes += message.value.as_ref().map_or(0, Vec::len);
                match left.get_mut(&partition) {
                    None => {}
                    Some(1) => drop(left.remove(&partition)),
                    Some(share) => *share -= 1,
                }
                messages.push(message);
            }
        }
    }
    if messages.is_empty() && !left.is_empty() {
        let error = anyhow!("no message of the topic {topic:?} came within {} s: try again", WAIT.as_secs());
        return Err(Failure { code: exit::UNREACHABLE, error });
    }
    Ok(Read { messages, partitions })
}

fn taken(record: &rdkafka::message::BorrowedMessage<'_>) -> Message {
    let headers = record.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect::<Vec<_>>()
    });
    Message { value: record.payload().map(<[u8]>::to_vec), headers: headers.unwrap_or_default() }
}

fn failure(error: &KafkaSourceError) -> Failure {
    let code = match error {
        KafkaSourceError::Unreachable { .. } | KafkaSourceError::Topic { .. } => exit::UNREACHABLE,
        _ => exit::INPUT,
    };
    // The daemon tries again, and this command does not.
    Failure { code, error: anyhow!("{}", error.to_string().trim_end_matches("; trying again")) }
}
