//! The producer of transactions. Each ends as done, as refused (nothing of it is durable), as ended (the same, and others keep this producer
//! from writing), or as unknown; after the last two the producer is never used again.
//!
//! What librdkafka answers, and what it comes to:
//!
//! | when | answer | outcome |
//! |---|---|---|
//! | before the commit was asked for | any, and the transaction was aborted | refused |
//! | | any, and the transaction could not be aborted yet | refused; the next call aborts it first |
//! | the commit was asked for | retriable, or no answer yet | asked again, until the time is over: then unknown |
//! | | any other | unknown: an earlier request may have reached the coordinator |
//! | before the commit was asked for | fatal: others took the transactional id, or its transaction ran into its time limit | ended |
//! | any time later, for the next transactions | | ended |

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::topic_partition_list::Offset;

use super::client::{self, Client};
use super::error::TransactionError;
use super::types::{ClaimAt, Outcome, Record};
use driftgate_core::pipeline::lock;

/// How long a transaction that failed is tried to be aborted.
const ABORT: Duration = Duration::from_secs(5);
/// One question of an abort lasts so long: while it lasts nothing serves the records that it waits for.
const SLICE: Duration = Duration::from_millis(50);

/// A commit that was asked for is waited for so long, from the beginning of its transaction: a coordinator that dies is replaced within ten
/// seconds or so, and what comes later than the time limit of transactions is no answer.
const ANSWERED: Duration = Duration::from_secs(25);

/// A producer; one transaction at a time.
pub struct Producer {
    inner: Mutex<Inner>,
    limits: Limits,
}

/// How long a transaction may take.
#[derive(Clone, Copy)]
struct Limits {
    /// Until the commit is asked for: then it is refused.
    asked: Duration,
    /// Until it is answered: then its outcome is unknown.
    answered: Duration,
}

struct Inner {
    /// `None` only while this ends.
    client: Option<Client>,
    /// A transaction was begun and neither committed nor aborted.
    is_open: bool,
    /// Why it must not be used any more.
    ended: Option<String>,
}

/// Why a transaction was not committed.
#[derive(Debug)]
enum Stopped {
    /// The commit was not asked for.
    Before(String),
    /// The same, and the client can never write again.
    Ended(String),
    /// It may have been committed.
    Unknown(String),
}

impl Producer {
    /// Takes the transactional id within this time, which fences whoever had it. Each transaction may take as long until its commit is asked for.
    ///
    /// # Errors
    /// Brokers that do not answer in time, or do not allow it.
    pub fn new(
        properties: &BTreeMap<String, String>,
        transactional_id: &str,
        wait: Duration,
    ) -> Result<Self, TransactionError> {
        let client = client::connect(properties, transactional_id, wait)?;
        let limits = Limits { asked: wait, answered: ANSWERED.max(wait) };
        Ok(Self { inner: Mutex::new(Inner { client: Some(client), is_open: false, ended: None }), limits })
    }

    /// Commits records, and with them the claim, if there is one, as a member of a group.
    ///
    /// The member's metadata are asked for at once, before anything waits: with those of a later moment the claim could be committed by a member
    /// that had lost what it claims meanwhile, and got it back.
    pub fn commit(
        &self,
        records: &[Record],
        claim: Option<(&ClaimAt, &dyn Fn() -> Option<ConsumerGroupMetadata>)>,
    ) -> Outcome {
        let claim = match claim {
            None => None,
            Some((claim, member)) => match member() {
                Some(member) => Some((claim, member)),
                None => return Outcome::Refused("this process is no member of the group".to_owned()),
            },
        };
        lock(&self.inner).commit(records, claim.as_ref(), self.limits)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if let Some(client) = lock(&self.inner).client.take() {
            client::end(client);
        }
    }
}

type Claimed<'c> = (&'c ClaimAt, ConsumerGroupMetadata);

impl Inner {
    fn commit(&mut self, records: &[Record], claim: Option<&Claimed<'_>>, limits: Limits) -> Outcome {
        let Self { client: Some(client), is_open, ended } = self else {
            return Outcome::Ended("the producer has ended".to_owned());
        };
        if let Some(why) = ended {
            return Outcome::Ended(why.clone());
        }
        let stopped = match abort(client, is_open) {
            Ok(()) => match transact(client, is_open, records, claim, limits) {
                Ok(()) => return Outcome::Done,
                Err(Stopped::Before(why)) => match abort(client, is_open) {
                    Ok(()) | Err(Stopped::Before(_)) => Stopped::Before(why),
                    Err(Stopped::Ended(fatal) | Stopped::Unknown(fatal)) => Stopped::Ended(format!("{why}; {fatal}")),
                },
                Err(ended) => ended,
            },
            Err(stopped) => stopped,
        };
        match stopped {
            Stopped::Before(why) => Outcome::Refused(why),
            Stopped::Ended(why) => {
                *ended = Some(why.clone());
                Outcome::Ended(why)
            }
            Stopped::Unknown(why) => {
                *ended = Some(why.clone());
                Outcome::Unknown(why)
            }
        }
    }
}

/// An answer before the commit was asked for.
fn before(client: &Client, what: &str, error: &KafkaError) -> Stopped {
    if client::is_fatal(client, error) {
        let fatal = client.client().fatal_error().map_or_else(|| error.to_string(), |(_, why)| why);
        return Stopped::Ended(format!("{what}: the producer can write no more: {fatal}"));
    }
    Stopped::Before(match client.context().troubles.why() {
        Some(why) => format!("{what}: {error} ({why})"),
        None => format!("{what}: {error}"),
    })
}

/// Everything between the beginning of a transaction and its end.
fn transact(
    client: &Client,
    is_open: &mut bool,
    records: &[Record],
    claim: Option<&Claimed<'_>>,
    limits: Limits,
) -> Result<(), Stopped> {
    let began = Instant::now();
    let until = began + limits.asked;
    client.context().own.begin();
    client.begin_transaction().map_err(|e| before(client, "the transaction cannot begin", &e))?;
    *is_open = true;
    for record in records {
        send(client, record, until)?;
    }
    delivered(client, until)?;
    if let Some((claim, member)) = claim {
        let offsets = offsets(claim).map_err(|e| before(client, "the claim cannot be committed", &e))?;
        let left = until.saturating_duration_since(Instant::now()).max(client::LOOK);
        client
            .send_offsets_to_transaction(&offsets, member, left)
            .map_err(|e| before(client, "the claim cannot be committed", &e))?;
    }
    end(client, began + limits.answered)?;
    *is_open = false;
    Ok(())
}

/// Hands a record to the client, waiting while its queue is full.
fn send(client: &Client, record: &Record, until: Instant) -> Result<(), Stopped> {
    let mut next: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(&record.topic).partition(record.partition).key(record.key.as_slice());
    next.payload = record.payload.as_deref();
    loop {
        match client.send(next) {
            Ok(()) => return Ok(()),
            Err((e, back))
                if e.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
                    && Instant::now() < until
                    && client.context().own.failed().is_none() =>
            {
                next = back;
                client::serve(client);
            }
            Err((e, _)) => {
                let what = format!("the topic {:?} does not take records", record.topic);
                return Err(match client.context().own.failed() {
                    Some(why) if !client::is_fatal(client, &e) => Stopped::Before(why),
                    _ => before(client, &what, &e),
                });
            }
        }
    }
}

/// Waits until every record is acknowledged.
fn delivered(client: &Client, until: Instant) -> Result<(), Stopped> {
    loop {
        client.poll(Duration::ZERO);
        if let Some((_, fatal)) = client.client().fatal_error() {
            return Err(Stopped::Ended(format!("the producer can write no more: {fatal}")));
        }
        if let Some(why) = client.context().own.failed() {
            return Err(Stopped::Before(why));
        }
        if client.in_flight_count() == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            let why = client.context().troubles.why().map_or_else(String::new, |why| format!(": {why}"));
            return Err(Stopped::Before(format!("the brokers did not acknowledge records in time{why}")));
        }
        client::serve(client);
    }
}

fn offsets(claim: &ClaimAt) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    let mut at = list.add_partition(&claim.topic, claim.partition);
    at.set_offset(Offset::Offset(i64::try_from(claim.seq).unwrap_or(i64::MAX)))?;
    at.set_metadata(&claim.metadata);
    Ok(list)
}

/// Asks for the commit, until there is an answer or the time is over.
fn end(client: &Client, until: Instant) -> Result<(), Stopped> {
    let mut is_first = true;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match client.commit_transaction(left.clamp(client::LOOK, Duration::from_secs(1))) {
            Ok(()) => return Ok(()),
            // It waits for records first, and asks for nothing before.
            Err(e @ KafkaError::Flush(_)) if is_first => return Err(before(client, "the commit cannot begin", &e)),
            Err(e) if client::is_retriable(&e) && !left.is_zero() => client::serve(client),
            Err(e) => {
                return Err(Stopped::Unknown(format!("it is not known whether the transaction was committed: {e}")));
            }
        }
        is_first = false;
    }
}

/// Aborts the transaction that is open, if one is.
fn abort(client: &Client, is_open: &mut bool) -> Result<(), Stopped> {
    let until = Instant::now() + ABORT;
    while *is_open {
        match client.abort_transaction(SLICE) {
            Ok(()) => {
                *is_open = false;
                // What became of its records is still to be heard, or the next transaction would take it for its own.
                while client.in_flight_count() > 0 && Instant::now() < until {
                    client::serve(client);
                }
            }
            Err(e) if client::is_retriable(&e) && Instant::now() < until => client::serve(client),
            Err(e) => return Err(before(client, "the transaction cannot be aborted", &e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
