//! Batches of records that cannot be read: their checksum is wrong, they do not unpack or to more than the client takes, or they
//! are of a format it does not know. The client goes on behind some of them without the records, and fetches others for ever;
//! here each is tried again a few times, and then the partition is halted with a reason until an operator skips it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::messages::Taken;
use super::{Handle, KafkaSource, Start};

/// So often a batch is tried.
const TRIES: u32 = 3;
/// It is tried again after this.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one look at an offset may take.
const LOOK: Duration = Duration::from_secs(15);
const NAP: Duration = Duration::from_millis(5);

/// Whether an error says that a batch itself cannot be read, by any client.
pub fn is_unreadable(e: &KafkaError) -> bool {
    because(e).is_some()
}

fn because(e: &KafkaError) -> Option<&'static str> {
    Some(match e.rdkafka_error_code()? {
        RDKafkaErrorCode::BadCompression => {
            "they do not unpack, or to more than receive.message.max.bytes of kafka.properties (100 MB by default)"
        }
        RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage => {
            "their checksum is wrong, or they are cut: they were damaged after they were written"
        }
        RDKafkaErrorCode::NotImplemented => "their format, or how they are packed, is not known to the Kafka client",
        RDKafkaErrorCode::MessageSizeTooLarge => "they are larger than receive.message.max.bytes of kafka.properties",
        RDKafkaErrorCode::CriticalSystemResource => "there is no memory to unpack them into",
        _ => return None,
    })
}

/// A batch that could not be read.
#[derive(Debug, Default)]
pub struct Broken {
    offset: i64,
    because: &'static str,
    tries: u32,
    /// It is tried again then.
    again: Option<Instant>,
}

/// The next step for a partition that has one.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Read,
    Wait,
    /// Fetch from there once more.
    Again,
}

impl Broken {
    pub fn next(&mut self, now: Instant) -> Next {
        match self.again {
            None => Next::Read,
            Some(again) if now < again => Next::Wait,
            Some(_) => {
                self.again = None;
                Next::Again
            }
        }
    }

    /// Whether it is to be tried again before anything else is read.
    pub fn waits(&self) -> bool {
        self.again.is_some()
    }

    /// It could not be read once more; returns whether that was the last try.
    pub fn failed(&mut self, offset: i64, e: &KafkaError, now: Instant) -> bool {
        // Behind such a batch, without its records, the client may report an error of its own.
        if let Some(because) = because(e) {
            if self.tries == 0 || self.offset != offset {
                *self = Self { offset, ..Self::default() };
            }
            self.because = because;
        }
        self.tries += 1;
        self.again = Some(now + PAUSE);
        // Behind a wrong checksum the client reads on at a wrong place, and may end anywhere.
        let is_astray = e.rdkafka_error_code() == Some(RDKafkaErrorCode::BadMessage);
        is_astray || self.tries >= TRIES
    }

    /// Why nothing is read any more; `next` is to be counted next.
    pub fn why(&self, topic: &str, partition: i32, next: i64) -> String {
        let Self { offset, because, tries, .. } = self;
        format!(
            "{topic}/{partition}: the records from offset {offset} on cannot be read (tries: {tries}): {because}; nothing behind them is read, since counts \
             would have a hole. To pass them over, start driftgate once with --accept-gap {topic}/{partition}={next}: windows that may lack these \
             records are incomplete then and signal nothing"
        )
    }
}

impl Handle {
    /// The first offset from `next` on that does not lie in the batch of records at `next`, if that cannot be read; `next` itself
    /// if it can. `None` where the brokers do not say in time.
    #[must_use]
    pub fn behind_unreadable(&self, topic: &str, partition: i32, next: i64, end: i64) -> Option<i64> {
        if next >= end {
            return Some(next);
        }
        let lies_in_it = |at: i64| {
            let found = (0..2).find_map(|_| look(&self.properties, topic, partition, at))?;
            Some(matches!(found, Found::Unreadable(base) if base <= next))
        };
        if !lies_in_it(next)? {
            return Some(next);
        }
        // It ends somewhere behind `inside`, at `outside` at the latest.
        let (mut inside, mut outside, mut step) = (next, end, 1);
        while inside + step < outside {
            if !lies_in_it(inside + step)? {
                outside = inside + step;
                break;
            }
            inside += step;
            step *= 2;
        }
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            if lies_in_it(middle)? {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        Some(outside)
    }
}

/// The content at an offset.
enum Found {
    Readable,
    /// A batch that cannot be read, which begins at this offset.
    Unreadable(i64),
}

/// Looks at an offset with a client that no other thread uses.
fn look(properties: &Arc<BTreeMap<String, String>>, topic: &str, partition: i32, at: i64) -> Option<Found> {
    let source = KafkaSource::new(properties).ok()?;
    let start = Start { next: Some(at), ..Start::default() };
    let mut partitions = source.assign(&[((topic.to_owned(), partition), start)].into()).ok()?;
    let messages = partitions.first_mut()?.messages.as_mut()?;
    let until = Instant::now() + LOOK;
    let mut found = None;
    while found.is_none() && Instant::now() < until {
        source.serve(Duration::ZERO);
        messages.take(1, |taken| {
            found = match taken {
                Taken::Record(_) | Taken::End(_) => Some(Found::Readable),
                Taken::Failed(e, base) if is_unreadable(&e) => Some(Found::Unreadable(base)),
                Taken::Failed(..) => None,
            };
        });
        std::thread::sleep(NAP);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::MessageConsumption(code)
    }

    #[test]
    fn a_batch_is_tried_a_few_times_and_what_may_pass_is_not_held_against_it() {
        let (mut broken, now) = (Broken::default(), Instant::now());
        let bad = error(RDKafkaErrorCode::BadCompression);
        assert!(!broken.failed(7, &bad, now) && broken.waits());
        assert_eq!(broken.next(now), Next::Wait);
        assert_eq!(broken.next(now + PAUSE), Next::Again);
        assert_eq!(broken.next(now + PAUSE), Next::Read);
        assert!(!broken.failed(1000, &error(RDKafkaErrorCode::AutoOffsetReset), now), "it follows from the last one");
        assert_eq!(broken.offset, 7);
        // Another batch has tries of its own.
        assert!(!broken.failed(9, &bad, now) && !broken.failed(9, &bad, now) && broken.failed(9, &bad, now));
        assert!(Broken::default().failed(9, &error(RDKafkaErrorCode::BadMessage), now), "at once");
        let why = broken.why("t", 3, 8);
        assert!(why.contains("--accept-gap t/3=8:") && why.contains("offset 9") && why.contains("unpack"), "{why}");
        for passing in [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::TopicAuthorizationFailed] {
            assert!(!is_unreadable(&error(passing)));
        }
    }
}
