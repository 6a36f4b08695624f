//! The delivery thread: items go to the registry, as many as wait in one transaction, then each to its topic, in order, again
//! and again until it is there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::Item;
use super::topic::TopicWriter;
use crate::clock::now_ms;
use crate::judge::verdict::{Action, Signal};
use crate::live;
use crate::registry::embedded::{Given, Stream, Taken};
use crate::registry::{Applied, Embedded, RegistryError};
use crate::view::Shared;
use crate::view::failing::Part;

/// How long the thread waits for work before it serves the producer again.
const TICK: Duration = Duration::from_millis(20);
/// Pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// At most so many items are written to the registry in one transaction: others who write wait so long.
const BATCH: usize = 1000;
/// And about so many bytes of them.
const BATCH_BYTES: usize = 8 << 20;
/// Reading pauses while so many items wait, or so many bytes.
const MOST_ITEMS: usize = 20_000;
const MOST_BYTES: usize = 64 << 20;

/// Where items go.
pub struct Outlets {
    pub registry: Arc<Embedded>,
    pub topics: Option<TopicWriter>,
    pub signals_topic: Option<String>,
    pub verdicts_topic: Option<String>,
    pub view: Shared,
}

/// What is not acknowledged yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub items: usize,
    pub bytes: usize,
}

impl Waiting {
    /// Whether nothing should be added until some of it is acknowledged.
    #[must_use]
    pub fn is_full(self) -> bool {
        self.items >= MOST_ITEMS || self.bytes >= MOST_BYTES
    }
}

/// The sending side, held by the pipeline; it remembers what is not acknowledged.
pub struct Outbox {
    to: Sender<(u64, Arc<Item>)>,
    done: Receiver<u64>,
    pending: VecDeque<(u64, Arc<Item>)>,
    bytes: usize,
    next: u64,
    thread: Option<JoinHandle<()>>,
}

impl Outbox {
    /// Starts the thread.
    #[must_use]
    pub fn start(outlets: Outlets) -> Self {
        let (to, items) = channel();
        let (report, done) = channel();
        let thread = thread::Builder::new()
            .name("outbox".into())
            .spawn(move || Worker { outlets, report, sent: BTreeMap::new() }.run(&items));
        Self { to, done, pending: VecDeque::new(), bytes: 0, next: 0, thread: thread.ok() }
    }

    /// Delivers an item, sooner or later.
    pub fn put(&mut self, item: Item) {
        let number = self.next;
        self.next += 1;
        self.bytes += item.bytes();
        let item = Arc::new(item);
        // The thread only ends when this side is dropped.
        let _ = self.to.send((number, Arc::clone(&item)));
        self.pending.push_back((number, item));
    }

    /// Forgets what was acknowledged; returns what is not yet.
    pub fn settle(&mut self) -> Waiting {
        let done: std::collections::BTreeSet<u64> = self.done.try_iter().collect();
        if !done.is_empty() {
            self.pending.retain(|(n, _)| !done.contains(n));
            self.bytes = self.pending.iter().map(|(_, item)| item.bytes()).sum();
        }
        self.waiting()
    }

    /// What is not acknowledged, as far as it is known.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        Waiting { items: self.pending.len(), bytes: self.bytes }
    }

    /// The items that are not acknowledged, in order.
    #[must_use]
    pub fn pending(&self) -> Vec<Item> {
        self.pending.iter().map(|(_, item)| Item::clone(item)).collect()
    }

    /// Waits until everything is acknowledged, for at most `wait`; returns whether it is.
    pub fn flush(&mut self, wait: Duration) -> bool {
        let until = std::time::Instant::now() + wait;
        while self.settle().items > 0 && std::time::Instant::now() < until {
            thread::sleep(TICK);
        }
        self.pending.is_empty()
    }

    /// Ends the thread after the work it has taken.
    pub fn close(mut self) {
        let (nowhere, _) = channel();
        drop(std::mem::replace(&mut self.to, nowhere));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the delivery thread panicked; what it did not deliver is in the checkpoint");
        }
    }
}

/// A record under way.
struct Sent {
    topic: String,
    item: Arc<Item>,
    /// What is sent in place of the item's own JSON.
    json: Option<String>,
}

struct Worker {
    outlets: Outlets,
    report: Sender<u64>,
    /// By number.
    sent: BTreeMap<u64, Sent>,
}

impl Worker {
    fn run(mut self, items: &Receiver<(u64, Arc<Item>)>) {
        loop {
            match items.recv_timeout(TICK) {
                Ok(first) => self.deliver(batch(first, items)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.serve(Duration::ZERO);
        }
        if let Some(topics) = &self.outlets.topics {
            topics.flush(Duration::from_secs(5));
        }
        self.serve(Duration::ZERO);
    }

    fn deliver(&mut self, batch: Vec<(u64, Arc<Item>)>) {
        let taken = self.take(&batch);
        for ((number, item), taken) in batch.into_iter().zip(taken) {
            match (&*item, taken) {
                (Item::Verdict { .. }, _) => {
                    self.publish(number, self.outlets.verdicts_topic.clone(), item, None);
                }
                (Item::Signal(signal), taken) => {
                    let signal = self.applied(signal.clone(), taken);
                    let json = serde_json::to_string(&signal).unwrap_or_default();
                    self.publish(number, self.outlets.signals_topic.clone(), item, Some(json));
                }
            }
            self.serve(Duration::ZERO);
        }
    }

    /// Writes a batch to the registry, again and again until it is there; the items behind wait, and the checkpoint keeps
    /// them. What came of each, in the same order.
    fn take(&self, batch: &[(u64, Arc<Item>)]) -> Vec<Taken> {
        let view = &self.outlets.view;
        let given: Vec<Given<'_>> = batch.iter().map(|(_, item)| item.as_given()).collect();
        let policy = |model: &str| view.read().models.get(model).map(|m| Arc::clone(&m.policy));
        let live = |model: &str, version: &str| live::live(view, model, version);
        let mut attempt = 0_u32;
        loop {
            let stream = Stream { policy: &policy, live: &live, now_ms: now_ms() };
            match self.outlets.registry.take_all(&given, &stream) {
                Ok(taken) => {
                    view.works(&Part::Registry);
                    return taken;
                }
                Err(e @ RegistryError::Sql(_)) => {
                    if attempt.is_power_of_two() || attempt == 0 {
                        tracing::warn!(error = %e, attempt, "verdicts and signals are not in the registry yet; trying again");
                    }
                    view.fails(Part::Registry, format!("{} verdicts and signals wait: {e}", batch.len()));
                    attempt = attempt.saturating_add(1);
                    thread::sleep(RETRY);
                }
                Err(e) => {
                    tracing::error!(error = %e, "verdicts and signals are not in the registry, and cannot be");
                    return vec![Taken::Failed(e.to_string()); batch.len()];
                }
            }
        }
    }

    /// Counts and announces what the registry did with a signal; returns the signal with where a rollback went.
    fn applied(&self, mut signal: Signal, taken: Taken) -> Signal {
        let outcome = match taken {
            Taken::Signal(Applied::Done { rollback_to }) => {
                signal.rollback_to = rollback_to;
                "ok"
            }
            Taken::Signal(Applied::Already) => "already",
            Taken::Signal(Applied::Ignored(why)) => {
                let action = signal.action.name();
                tracing::info!(
                    model = signal.model,
                    version = signal.version,
                    action,
                    "the registry ignored a signal: {why}"
                );
                "ignored"
            }
            Taken::Failed(why) => {
                tracing::error!(
                    model = signal.model,
                    version = signal.version,
                    error = why,
                    "a signal is not in the registry"
                );
                "error"
            }
            Taken::Verdict => "error",
        };
        self.count(signal.action, "registry", outcome);
        announce(&signal);
        signal
    }

    /// Sends an item's JSON, or another in its place.
    fn publish(&mut self, number: u64, topic: Option<String>, item: Arc<Item>, json: Option<String>) {
        let (Some(topics), Some(topic)) = (&self.outlets.topics, topic) else {
            let _ = self.report.send(number);
            return;
        };
        let payload = json.as_deref().unwrap_or_else(|| item.json());
        match topics.send(&topic, &item.key(), payload.as_bytes(), number) {
            Ok(()) => drop(self.sent.insert(number, Sent { topic, item, json })),
            Err(e) => self.give_up(number, &topic, item.action(), &e.to_string()),
        }
    }

    fn give_up(&self, number: u64, topic: &str, action: Option<Action>, why: &str) {
        tracing::error!(topic, "a record can never be delivered and is dropped: {why}");
        *self.outlets.view.write().undeliverable.entry("topic".to_owned()).or_default() += 1;
        if let Some(action) = action {
            self.count(action, "topic", "error");
        }
        let _ = self.report.send(number);
    }

    /// Takes what the brokers acknowledged; what failed is sent again, shorter if it was too large.
    fn serve(&mut self, wait: Duration) {
        let Some(topics) = &self.outlets.topics else { return };
        let deliveries: Vec<_> = topics.poll(wait).collect();
        for delivery in deliveries {
            let Some(Sent { topic, item, json }) = self.sent.remove(&delivery.number) else { continue };
            match delivery.result {
                Ok(()) => {
                    self.outlets.view.works(&Part::Sink(topic));
                    if let Some(action) = item.action() {
                        self.count(action, "topic", "ok");
                    }
                    let _ = self.report.send(delivery.number);
                }
                Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    let bytes = json.as_deref().unwrap_or_else(|| item.json()).len();
                    match without_evidence(item.json()) {
                        Some(shorter) if shorter.len() < bytes => {
                            tracing::warn!(
                                topic,
                                bytes,
                                "a verdict is too large for the topic and is published without bins and segments"
                            );
                            self.publish(delivery.number, Some(topic), item, Some(shorter));
                        }
                        _ => self.give_up(delivery.number, &topic, item.action(), &e.to_string()),
                    }
                }
                Err(e) => {
                    tracing::warn!(topic, error = %e, "a record was not delivered; sending it again");
                    self.outlets.view.fails(Part::Sink(topic.clone()), e.to_string());
                    thread::sleep(RETRY);
                    self.publish(delivery.number, Some(topic), item, json);
                }
            }
        }
    }

    fn count(&self, action: Action, sink: &str, outcome: &'static str) {
        *self.outlets.view.write().signals.entry((action, sink.to_owned(), outcome)).or_default() += 1;
    }
}

/// What waits, up to the bounds of a batch.
fn batch(first: (u64, Arc<Item>), items: &Receiver<(u64, Arc<Item>)>) -> Vec<(u64, Arc<Item>)> {
    let mut bytes = first.1.bytes();
    let mut batch = vec![first];
    while batch.len() < BATCH
        && bytes < BATCH_BYTES
        && let Ok(next) = items.try_recv()
    {
        bytes += next.1.bytes();
        batch.push(next);
    }
    batch
}

/// A verdict without what makes it long.
fn without_evidence(json: &str) -> Option<String> {
    let mut verdict: serde_json::Value = serde_json::from_str(json).ok()?;
    for result in verdict.get_mut("results")?.as_array_mut()? {
        let result = result.as_object_mut()?;
        for key in ["bins", "segments", "unseen"] {
            result.shift_remove(key);
        }
    }
    serde_json::to_string(&verdict).ok()
}

fn announce(signal: &Signal) {
    let reasons = signal.reasons.join("; ");
    match signal.action {
        Action::Block => tracing::warn!(
            model = signal.model,
            version = signal.version,
            group = signal.group,
            ts = signal.ts,
            reasons,
            "block"
        ),
        Action::Clear => tracing::info!(
            model = signal.model,
            version = signal.version,
            group = signal.group,
            ts = signal.ts,
            "clear"
        ),
        Action::Rollback => {
            tracing::warn!(
                model = signal.model,
                version = signal.version,
                group = signal.group,
                ts = signal.ts,
                to = signal.rollback_to,
                reasons,
                "rollback"
            );
        }
    }
}
