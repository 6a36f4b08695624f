//! The thread that reads the registry's log and has the registry follow it, in the owner, too: there it finds what it has, and where
//! snapshots are. It knows that it has read all there was at a moment by asking for the end anew: it seeks to where it stands, and the end
//! that comes after that is none of before.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::follower::{Follower, Seen, Step};
use crate::clock::now_ms;
use crate::ledger::{Embedded, RegistryError};
use crate::source::kafka::{Listener, read_by_hand};
use crate::telemetry::events::kafka::LedgerNotFollowed;
use driftgate_core::pipeline::lock;

/// How often the end is asked for while nothing comes.
const ASK: Duration = Duration::from_secs(1);
/// An answer about the end that takes longer is asked for by reading anew.
const ANSWER: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);
/// How often whoever waits for the end looks whether it is still to wait.
const STOPS: Duration = Duration::from_millis(100);
/// How long a registry's file that cannot be written is left alone.
const LATER: Duration = Duration::from_secs(1);

const DEFAULTS: [(&str, &str); 5] = [
    ("fetch.wait.max.ms", "100"),
    ("fetch.queue.backoff.ms", "5"),
    ("queued.max.messages.kbytes", "16384"),
    ("reconnect.backoff.ms", "20"),
    ("log.connection.close", "false"),
];
const FIXED: [(&str, &str); 6] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Where the log was cut meanwhile, it begins with a snapshot.
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
];

/// Why the log is not read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    #[error("the Kafka client of the ledger's topic cannot be made: {0}; check kafka.properties in the configuration")]
    Client(KafkaError),
    #[error("there is no thread to read the ledger's topic on: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the ledger's topic was not read to its end in time: {0}")]
    Late(String),
    #[error("this process's copy of the registry does not follow the ledger's topic: {0}")]
    Problem(String),
}

/// Where the reading stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub seen: Seen,
    /// The wall clock, in ms, of the last moment whose end of the log was reached.
    pub reached_ms: Option<i64>,
    /// Why the brokers do not answer, if so.
    pub trouble: Option<String>,
}

#[derive(Default)]
struct State {
    place: Place,
    /// Ends that were asked for, and the last one of them that was reached.
    asked: u64,
    reached: u64,
    paused: bool,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The thread that reads; it ends soon after this is dropped.
pub struct Tail {
    shared: Arc<Shared>,
    registry: Arc<Embedded>,
}

impl Drop for Tail {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.changed.notify_all();
    }
}

impl Tail {
    /// Reads partition 0 of `topic` from its beginning. `on_change` is called with the number of each change that the registry has now and
    /// had not before.
    ///
    /// # Errors
    /// Properties that librdkafka refuses, a registry that fails, no thread.
    pub fn start(
        properties: &BTreeMap<String, String>,
        topic: &str,
        registry: Arc<Embedded>,
        on_change: impl Fn(u64) + Send + 'static,
    ) -> Result<Self, TailError> {
        let consumer: BaseConsumer<Listener> = read_by_hand(properties, &DEFAULTS, &FIXED)
            .create_with_context(Listener::default())
            .map_err(TailError::Client)?;
        let shared = Arc::new(Shared::default());
        let mut follower = Follower::new(Arc::clone(&registry))?;
        lock(&shared.state).place.seen = follower.seen()?.clone();
        let reading = Reading {
            consumer,
            topic: topic.to_owned(),
            follower,
            shared: Arc::clone(&shared),
            on_change: Box::new(on_change),
            next: None,
            asked: None,
            last: Instant::now(),
        };
        thread::Builder::new().name("ledger-tail".into()).spawn(move || reading.run()).map_err(TailError::Thread)?;
        Ok(Self { shared, registry })
    }

    /// Where the reading stands.
    #[must_use]
    pub fn at(&self) -> Place {
        let mut place = lock(&self.shared.state).place.clone();
        if let Ok(seq) = self.registry.replica_seq() {
            place.seen.seq = seq;
        }
        place
    }

    /// Waits until everything is read that is in the log now, or `stops`.
    ///
    /// # Errors
    /// A log that was not read to its end until then, or that the registry does not follow.
    pub fn catch_up(&self, deadline: Instant, stops: &dyn Fn() -> bool) -> Result<Place, TailError> {
        let mut state = lock(&self.shared.state);
        state.asked += 1;
        let mine = state.asked;
        self.shared.changed.notify_all();
        while state.reached < mine {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stops() {
                let why = state.place.seen.problem.clone().or_else(|| state.place.trouble.clone());
                return Err(TailError::Late(why.unwrap_or_else(|| "the brokers do not answer".to_owned())));
            }
            state = self.shared.changed.wait_timeout(state, left.min(STOPS)).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        let place = self.at();
        match place.seen.problem {
            Some(why) => Err(TailError::Problem(why)),
            None => Ok(place),
        }
    }

    /// Reads nothing until `resume`.
    pub fn pause(&self) {
        lock(&self.shared.state).paused = true;
    }

    /// Reads on.
    pub fn resume(&self) {
        lock(&self.shared.state).paused = false;
        self.shared.changed.notify_all();
    }
}

/// An end that was asked for.
struct Asked {
    /// The number of the last one who asked.
    number: u64,
    at: Instant,
    at_ms: i64,
}

struct Reading {
    consumer: BaseConsumer<Listener>,
    topic: String,
    follower: Follower,
    shared: Arc<Shared>,
    on_change: Box<dyn Fn(u64) + Send>,
    /// The offset to read next; `None`: the log's beginning.
    next: Option<i64>,
    asked: Option<Asked>,
    /// When something came last.
    last: Instant,
}

impl Reading {
    fn run(mut self) {
        self.assign();
        loop {
            {
                let mut state = lock(&self.shared.state);
                while state.paused && !state.stop {
                    state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stop {
                    break;
                }
            }
            if !self.poll() {
                self.ask();
                self.tell();
                thread::sleep(LOOK);
            }
        }
        // The client's end has no bound, and nobody waits for this thread.
        drop(self.consumer);
    }

    /// Reads from the next offset on; the end that comes then is a new one.
    fn assign(&mut self) {
        let mut list = TopicPartitionList::new();
        let offset = self.next.map_or(Offset::Beginning, Offset::Offset);
        let number = lock(&self.shared.state).asked;
        let done = list.add_partition_offset(&self.topic, 0, offset).and_then(|()| self.consumer.assign(&list));
        if let Err(e) = done {
            self.trouble(Some(format!("the ledger's topic {:?} cannot be read: {e}", self.topic)));
        }
        self.asked = Some(Asked { number, at: Instant::now(), at_ms: now_ms() });
    }

    /// Asks for the end where somebody waits for it, or nothing came for a moment.
    fn ask(&mut self) {
        let number = lock(&self.shared.state).asked;
        match &self.asked {
            Some(asked) if asked.at.elapsed() > ANSWER => self.assign(),
            Some(asked) if asked.number < number => self.assign(),
            Some(_) => {}
            None => {
                let waits = number > lock(&self.shared.state).reached;
                if waits || self.last.elapsed() > ASK {
                    self.assign();
                }
            }
        }
    }

    /// Takes what came; whether something did.
    fn poll(&mut self) -> bool {
        let step = match self.consumer.poll(Duration::ZERO) {
            None => return false,
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.reached();
                return false;
            }
            Some(Err(e)) => {
                let said = e.to_string();
                self.trouble(Some(format!("the ledger's topic {:?} cannot be read: {said}", self.topic)));
                return false;
            }
            Some(Ok(message)) => {
                let offset = message.offset();
                self.next = Some(offset + 1);
                self.last = Instant::now();
                let before = self.shared_seq();
                let step = self.follower.take(
                    offset,
                    message.key().unwrap_or_default(),
                    message.payload().unwrap_or_default(),
                );
                drop(message);
                self.changed(before);
                step
            }
        };
        match step {
            Step::Next => {}
            Step::Start => self.seek(None),
            Step::Seek(offset) => self.seek(Some(offset)),
            Step::Later(offset) => {
                self.tell();
                thread::sleep(LATER);
                self.seek(Some(offset));
            }
        }
        true
    }

    fn seek(&mut self, next: Option<i64>) {
        self.next = next;
        self.follower.moved();
        self.assign();
    }

    fn shared_seq(&self) -> Option<u64> {
        lock(&self.shared.state).place.seen.seq
    }

    /// Tells what the registry has now.
    fn changed(&mut self, before: Option<u64>) {
        self.tell();
        let now = self.shared_seq();
        if let Some(seq) = now.filter(|_| now != before) {
            (self.on_change)(seq);
        }
    }

    fn tell(&mut self) {
        let trouble = self.consumer.context().troubles.why();
        let Ok(seen) = self.follower.seen().cloned() else { return };
        let mut state = lock(&self.shared.state);
        if state.place.seen == seen && state.place.trouble == trouble {
            return;
        }
        if let Some(why) = seen.problem.as_ref().filter(|why| state.place.seen.problem.as_ref() != Some(why)) {
            LedgerNotFollowed { why }.emit();
        }
        state.place.seen = seen;
        state.place.trouble = trouble;
        drop(state);
        self.shared.changed.notify_all();
    }

    fn trouble(&self, why: Option<String>) {
        lock(&self.shared.state).place.trouble = why;
    }

    /// The end that was asked for is reached.
    fn reached(&mut self) {
        let Some(asked) = self.asked.take() else { return };
        self.last = Instant::now();
        self.tell();
        let mut state = lock(&self.shared.state);
        state.reached = state.reached.max(asked.number);
        state.place.reached_ms = Some(asked.at_ms);
        drop(state);
        self.shared.changed.notify_all();
    }
}
