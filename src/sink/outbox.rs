//! The delivery threads: one takes items to the registry, as many as wait in one transaction, and waits for nothing else; one
//! publishes verdicts. Both in order, again and again until it is there. An outbox that holds keeps items until a checkpoint that has them was
//! written: where another process goes on from that checkpoint, it delivers the same. Without a registry, what is released was committed with
//! the state (`cluster/results`), and only verdicts' topic is left to be served.

mod registrar;
mod to_topic;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Item;
use super::lane::Lane;
use crate::history::History;
use crate::ledger::{Embedded, Sink};
use crate::telemetry::events::delivery::VerdictsOverflow;
use crate::telemetry::events::threads::{DeliveryPanicked, NoThread, Purpose};
use crate::telemetry::spans;
use crate::view::Shared;
pub use registrar::{ASK_GATES, Registrar, With};
pub use to_topic::Of;
use to_topic::{Backlog, ToTopic};

/// Between two looks whether everything is acknowledged.
const TICK: Duration = Duration::from_millis(20);
/// Pause before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// At most so many items are written to the registry in one transaction: others who write wait so long.
const BATCH: usize = 1000;
/// Verdicts wait so long for others that share their transaction, unless a signal is among them.
const GATHER: Duration = Duration::from_millis(30);
/// And about so many bytes of them.
const BATCH_BYTES: usize = 8 << 20;
/// Reading pauses while so many items wait, or so many bytes.
const MOST_ITEMS: usize = 20_000;
pub const MOST_BYTES: usize = 64 << 20;

/// At most so many bytes of verdicts are put into that file: then reading pauses.
const FILE_BYTES: usize = 1 << 30;

/// Where items go.
pub struct Outlets {
    /// None where the commit of the state has said them already.
    pub registry: Option<Arc<Embedded>>,
    /// Signals go to their topic from the registry's own queue, with what became of them.
    pub verdicts: Option<Lane<Of>>,
    pub view: Shared,
    /// Where windows are kept, if they are.
    pub history: Option<History>,
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
    /// Where items are held: the number of the first that was not released.
    held_from: Option<u64>,
    thread: Option<JoinHandle<()>>,
    _open: Open,
}

/// The threads go on as long as this is there; what is not delivered then is in the checkpoint.
#[derive(Default)]
struct Open(Arc<AtomicBool>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Outbox {
    /// Starts the thread.
    #[must_use]
    pub fn start(outlets: Outlets) -> Self {
        let (to, items) = channel();
        let (report, done) = channel();
        let Outlets { registry, verdicts, view, history } = outlets;
        let open = Open::default();
        let backlog = Arc::new(Backlog::default());
        let verdicts = verdicts.and_then(|lane| {
            let (to, items) = channel();
            let to_topic = ToTopic {
                lane,
                items,
                registry: registry.clone(),
                report: report.clone(),
                backlog: Arc::clone(&backlog),
                is_over: Arc::clone(&open.0),
            };
            match thread::Builder::new().name("to-verdicts".into()).spawn(move || to_topic.run()) {
                Ok(_) => Some(to),
                Err(e) => {
                    NoThread { purpose: Purpose::PublishVerdicts, error: &e }.emit();
                    None
                }
            }
        });
        let registrar = registry.map(|registry| Registrar::new(registry, view, history));
        let is_over = Arc::clone(&open.0);
        let worker = Worker { registrar, verdicts, report, backlog, in_file: None, is_over };
        let thread = thread::Builder::new().name("outbox".into()).spawn(move || worker.run(&items));
        Self {
            to,
            done,
            pending: VecDeque::new(),
            bytes: 0,
            next: 0,
            held_from: None,
            thread: thread.ok(),
            _open: open,
        }
    }

    /// Holds items from now on, until they are released.
    #[must_use]
    pub fn holding(self) -> Self {
        Self { held_from: Some(self.next), ..self }
    }

    /// The mark of the items so far: those that `pending` returns, and those that were acknowledged.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.next
    }

    /// Whether items wait that were not released.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.held_from.is_some_and(|from| from < self.next)
    }

    /// Lets the items before the mark go: a checkpoint that has them was written.
    pub fn released(&mut self, mark: u64) {
        let Some(from) = self.held_from.filter(|from| *from < mark) else { return };
        let held = |(number, _): &&(u64, Arc<Item>)| (from..mark).contains(number);
        for (number, item) in self.pending.iter().filter(held) {
            // The thread only ends when this side is dropped.
            let _ = self.to.send((*number, Arc::clone(item)));
        }
        self.held_from = Some(mark);
    }

    /// The items that were not released, before the mark.
    #[must_use]
    pub fn held(&self) -> Vec<Arc<Item>> {
        let Some(from) = self.held_from else { return Vec::new() };
        self.pending.iter().filter(|(number, _)| *number >= from).map(|(_, item)| Arc::clone(item)).collect()
    }

    /// Delivers an item that a checkpoint has which was written: before any other is put.
    pub fn put_released(&mut self, item: Item) {
        let holds = self.held_from.take().is_some();
        self.put(item);
        self.held_from = holds.then_some(self.next);
    }

    /// Delivers an item, sooner or later; where items are held, once it is released.
    pub fn put(&mut self, item: Item) {
        let number = self.next;
        self.next += 1;
        self.bytes += item.bytes();
        let item = Arc::new(item);
        if self.held_from.is_none() {
            // The thread only ends when this side is dropped.
            let _ = self.to.send((number, Arc::clone(&item)));
        }
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
        let until = Instant::now() + wait;
        while self.settle().items > 0 && Instant::now() < until {
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
            DeliveryPanicked.emit();
        }
    }
}

/// The thread that writes to the registry. It waits for nothing else.
struct Worker {
    registrar: Option<Registrar>,
    verdicts: Option<Sender<(u64, Arc<Item>)>>,
    report: Sender<u64>,
    backlog: Arc<Backlog>,
    /// Bytes of verdicts put into the registry's queue since it was empty; `None` while it is.
    in_file: Option<usize>,
    is_over: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, items: &Receiver<(u64, Arc<Item>)>) {
        // What a run before left there goes first.
        self.in_file = self.queued().then_some(0);
        loop {
            match (items.recv_timeout(ASK_GATES), &self.registrar) {
                (Ok(first), Some(_)) => self.deliver(batch(first, items)),
                (Ok(first), None) => self.pass_on(first),
                (Err(RecvTimeoutError::Timeout), _) => {}
                (Err(RecvTimeoutError::Disconnected), _) => return,
            }
            if let Some(registrar) = &mut self.registrar {
                registrar.ask_waiting_gates();
            }
        }
    }

    /// Of what was committed, verdicts are left to be published; where too many wait, the others wait with the checkpoint.
    fn pass_on(&self, (number, item): (u64, Arc<Item>)) {
        match (&*item, &self.verdicts) {
            (Item::Verdict { .. }, Some(to)) => {
                while self.backlog.is_full() && !self.is_over.load(Ordering::Relaxed) {
                    thread::sleep(TICK);
                }
                self.backlog.add(item.bytes());
                let _ = to.send((number, item));
            }
            _ => drop(self.report.send(number)),
        }
    }

    fn queued(&self) -> bool {
        let Some(Registrar { registry, .. }) = self.registrar.as_ref().filter(|_| self.verdicts.is_some()) else {
            return false;
        };
        registry.outgoing(Sink::Verdicts, 1).map_or(self.in_file.is_some(), |rows| !rows.is_empty())
    }

    /// Whether verdicts wait in the registry's file: where too many wait in memory, and until the file's are published.
    fn to_file(&mut self) -> bool {
        if self.in_file.is_some() && !self.queued() {
            self.in_file = None;
        }
        if self.in_file.is_none() && self.backlog.is_full() {
            VerdictsOverflow.emit();
            self.in_file = Some(0);
        }
        while self.in_file.is_some_and(|bytes| bytes >= FILE_BYTES) && self.queued() {
            thread::sleep(RETRY);
        }
        self.in_file.is_some()
    }

    fn deliver(&mut self, batch: Vec<(u64, Arc<Item>)>) {
        let to_file = self.verdicts.is_some() && self.to_file();
        let signals = batch.iter().filter_map(|(_, item)| match &**item {
            Item::Signal(signal) => Some(spans::signal("registry", signal)),
            Item::Verdict { .. } | Item::Window { .. } => None,
        });
        let signals: Vec<_> = signals.collect();
        let Some(registrar) = &self.registrar else { return };
        let given: Vec<&Item> = batch.iter().map(|(_, item)| &**item).collect();
        // The items behind wait, and the checkpoint keeps them.
        let with = With { queue_verdicts: to_file, applied: None };
        let taken = registrar.take(&given, with, &|| false).unwrap_or_default();
        drop(signals);
        for ((number, item), taken) in batch.into_iter().zip(taken) {
            match &*item {
                Item::Signal(signal) => {
                    registrar.announce(signal.clone(), taken);
                    let _ = self.report.send(number);
                }
                Item::Window { .. } => drop(self.report.send(number)),
                Item::Verdict { json, .. } => match (&self.verdicts, &mut self.in_file) {
                    (Some(_), Some(bytes)) if to_file => {
                        *bytes += json.len();
                        let _ = self.report.send(number);
                    }
                    (Some(to), _) => {
                        self.backlog.add(item.bytes());
                        let _ = to.send((number, item));
                    }
                    (None, _) => drop(self.report.send(number)),
                },
            }
        }
    }
}

/// What waits, up to the bounds of a batch, and what comes within a moment: windows are judged one end after the other.
fn batch(first: (u64, Arc<Item>), items: &Receiver<(u64, Arc<Item>)>) -> Vec<(u64, Arc<Item>)> {
    let until = Instant::now() + GATHER;
    let is_signal = |item: &Item| matches!(item, Item::Signal(_));
    let (mut bytes, mut at_once) = (first.1.bytes(), is_signal(&first.1));
    let mut batch = vec![first];
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        let wait = if at_once { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
        let Ok(next) = items.recv_timeout(wait) else { break };
        bytes += next.1.bytes();
        at_once |= is_signal(&next.1);
        batch.push(next);
    }
    batch
}

#[cfg(test)]
mod tests;
