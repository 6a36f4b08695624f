//! The delivery thread: each item goes to the registry, then to its topic, in order, again and again until it is there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;

use super::Item;
use super::topic::TopicWriter;
use crate::clock::now_ms;
use crate::judge::read::verdict_from_json;
use crate::judge::verdict::{Action, Signal};
use crate::live;
use crate::registry::embedded::Desk;
use crate::registry::{Applied, Embedded, Registry as _, RegistryError};
use crate::view::Shared;

/// How long the thread waits for work before it serves the producer again.
const TICK: Duration = Duration::from_millis(20);
/// Pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where items go.
pub struct Outlets {
    pub registry: Arc<Embedded>,
    pub topics: Option<TopicWriter>,
    pub signals_topic: Option<String>,
    pub verdicts_topic: Option<String>,
    pub view: Shared,
}

/// The sending side, held by the pipeline; it remembers what is not acknowledged.
pub struct Outbox {
    to: Sender<(u64, Item)>,
    done: Receiver<u64>,
    pending: VecDeque<(u64, Item)>,
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
        Self { to, done, pending: VecDeque::new(), next: 0, thread: thread.ok() }
    }

    /// Delivers an item, sooner or later.
    pub fn put(&mut self, item: Item) {
        let number = self.next;
        self.next += 1;
        // The thread only ends when this side is dropped.
        let _ = self.to.send((number, item.clone()));
        self.pending.push_back((number, item));
    }

    /// Forgets what was acknowledged; returns how much is not yet.
    pub fn settle(&mut self) -> usize {
        let done: std::collections::BTreeSet<u64> = self.done.try_iter().collect();
        if !done.is_empty() {
            self.pending.retain(|(n, _)| !done.contains(n));
        }
        self.pending.len()
    }

    /// What is not acknowledged, in order.
    #[must_use]
    pub fn pending(&self) -> Vec<Item> {
        self.pending.iter().map(|(_, item)| item.clone()).collect()
    }

    /// Waits until everything is acknowledged, for at most `wait`; returns whether it is.
    pub fn flush(&mut self, wait: Duration) -> bool {
        let until = std::time::Instant::now() + wait;
        while self.settle() > 0 && std::time::Instant::now() < until {
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

struct Worker {
    outlets: Outlets,
    report: Sender<u64>,
    /// Records under way by number: topic, key, payload and what to count.
    sent: BTreeMap<u64, (String, String, String, Option<Action>)>,
}

impl Worker {
    fn run(mut self, items: &Receiver<(u64, Item)>) {
        loop {
            match items.recv_timeout(TICK) {
                Ok((number, item)) => self.deliver(number, item),
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

    fn deliver(&mut self, number: u64, item: Item) {
        let key = item.key();
        match item {
            Item::Verdict { model, version, group, end_ms, json } => {
                let verdict = verdict_from_json(&json);
                self.until_done("a verdict is not in the registry yet", |o| {
                    let policy = o.view.read().models.get(&model).map(|m| Arc::clone(&m.policy));
                    let (Some(policy), Some(verdict)) = (policy, &verdict) else {
                        return o.registry.record_verdict(&model, &version, &group, end_ms, &json);
                    };
                    let live = |version: &str| live::live(&o.view, &model, version);
                    let desk = Desk { policy: &policy, live: &live, actor: "driftgate", now_ms: now_ms() };
                    match o.registry.take(&desk, verdict, &json) {
                        Err(e) if !matches!(e, RegistryError::Sql(_)) => {
                            tracing::error!(error = %e, model, version, "what follows from a verdict was not done");
                            o.registry.record_verdict(&model, &version, &group, end_ms, &json)
                        }
                        taken => taken,
                    }
                });
                self.publish(number, self.outlets.verdicts_topic.clone(), key, json, None);
            }
            Item::Signal(mut signal) => {
                let applied =
                    self.until_done("a signal is not in the registry yet", |o| o.registry.apply(&signal, now_ms()));
                let outcome = match &applied {
                    Some(Applied::Done { rollback_to }) => {
                        signal.rollback_to.clone_from(rollback_to);
                        "ok"
                    }
                    Some(Applied::Already) => "already",
                    Some(Applied::Ignored(why)) => {
                        tracing::info!(
                            model = signal.model,
                            version = signal.version,
                            action = signal.action.name(),
                            "the registry ignored a signal: {why}"
                        );
                        "ignored"
                    }
                    None => "error",
                };
                self.count(signal.action, "registry", outcome);
                announce(&signal);
                let json = serde_json::to_string(&signal).unwrap_or_default();
                self.publish(number, self.outlets.signals_topic.clone(), key, json, Some(signal.action));
            }
        }
    }

    /// Tries until it works; the items behind wait, and the checkpoint keeps them. What does not go with what is there
    /// would not go later either: `None`.
    fn until_done<T>(&self, what: &str, mut work: impl FnMut(&Outlets) -> Result<T, RegistryError>) -> Option<T> {
        let mut attempt = 0_u32;
        loop {
            match work(&self.outlets) {
                Ok(done) => return Some(done),
                Err(e @ RegistryError::Sql(_)) => {
                    if attempt.is_power_of_two() || attempt == 0 {
                        tracing::warn!(error = %e, attempt, "{what}; trying again");
                    }
                    attempt = attempt.saturating_add(1);
                    thread::sleep(RETRY);
                }
                Err(e) => {
                    tracing::error!(error = %e, "{what}, and cannot be");
                    return None;
                }
            }
        }
    }

    fn publish(&mut self, number: u64, topic: Option<String>, key: String, json: String, action: Option<Action>) {
        let (Some(topics), Some(topic)) = (&self.outlets.topics, topic) else {
            let _ = self.report.send(number);
            return;
        };
        match topics.send(&topic, &key, json.as_bytes(), number) {
            Ok(()) => {
                self.sent.insert(number, (topic, key, json, action));
            }
            Err(e) => self.give_up(number, &topic, action, &e.to_string()),
        }
    }

    fn give_up(&self, number: u64, topic: &str, action: Option<Action>, why: &str) {
        tracing::error!(topic, "a record can never be delivered and is dropped: {why}");
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
            let Some((topic, key, json, action)) = self.sent.remove(&delivery.number) else { continue };
            match delivery.result {
                Ok(()) => {
                    if let Some(action) = action {
                        self.count(action, "topic", "ok");
                    }
                    let _ = self.report.send(delivery.number);
                }
                Err(e) if e.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    match without_evidence(&json) {
                        Some(shorter) if shorter.len() < json.len() => {
                            tracing::warn!(
                                topic,
                                bytes = json.len(),
                                "a verdict is too large for the topic and is published without bins and segments"
                            );
                            self.publish(delivery.number, Some(topic), key, shorter, action);
                        }
                        _ => self.give_up(delivery.number, &topic, action, &e.to_string()),
                    }
                }
                Err(e) => {
                    tracing::warn!(topic, error = %e, "a record was not delivered; sending it again");
                    thread::sleep(RETRY);
                    self.publish(delivery.number, Some(topic), key, json, action);
                }
            }
        }
    }

    fn count(&self, action: Action, sink: &str, outcome: &'static str) {
        *self.outlets.view.write().signals.entry((action, sink.to_owned(), outcome)).or_default() += 1;
    }
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
