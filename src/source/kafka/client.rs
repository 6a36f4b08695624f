//! The client that reads topics of events: how far open transactions reach by its statistics, and its own events, served.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::message::Message as _;
use rdkafka::statistics::Statistics;

use super::listener::{Listener, Own};
use crate::telemetry::events::kafka::{MessageAstray, Place};

/// How often a wait looks whether there is something.
const LOOK: Duration = Duration::from_millis(5);

/// The context of a client that reads topics of events.
pub type SourceContext = Listener<OpenTransactions>;

/// By topic and partition: how much of the log lies behind the start of a transaction that is open.
#[derive(Debug, Default)]
pub struct OpenTransactions {
    pub open: Mutex<BTreeMap<(String, i32), i64>>,
}

impl Own for OpenTransactions {
    const WARNS: bool = true;

    fn statistics(&self, statistics: Statistics) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in statistics.topics {
            for (id, p) in topic.partitions.iter().filter(|(id, p)| **id >= 0 && p.ls_offset >= 0) {
                open.insert((name.clone(), *id), (p.hi_offset - p.ls_offset).max(0));
            }
        }
    }
}

impl ConsumerContext for SourceContext {}

/// Serves a client's own events for up to `wait`; its context receives errors. Returns whether there was one. The client waits by
/// the wall clock, and for an hour longer where that is set back by one: so it does not wait itself.
pub fn serve(consumer: &BaseConsumer<SourceContext>, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        if serve_now(consumer) {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(left.min(LOOK));
    }
}

fn serve_now(consumer: &BaseConsumer<SourceContext>) -> bool {
    match consumer.poll(Duration::ZERO) {
        None => false,
        Some(Err(_)) => true,
        Some(Ok(message)) => {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            MessageAstray { at: Place { topic, partition }, offset }.emit();
            true
        }
    }
}
