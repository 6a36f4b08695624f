//! Batches of records that cannot be read: their checksum is wrong, they do not unpack or to more than the client takes, or they
//! are of a format it does not know. The client goes on behind some of them without the records, and fetches others for ever;
//! here each is tried again a few times, and then the partition is halted with a reason until an operator skips it.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// So often a batch is tried.
const TRIES: u32 = 3;
/// A message that waits for something else is fetched again after this.
const HOLD: Duration = Duration::from_millis(100);
/// It is tried again after this.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// A message that cannot be read yet, since what it needs is being fetched: it is tried as often as it takes.
    pub fn held(now: Instant) -> Self {
        Self { again: Some(now + HOLD), ..Self::default() }
    }

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
