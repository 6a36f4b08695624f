//! The thread that publishes verdicts: from memory, and from the registry's file where too many wait in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::ledger::{Embedded, Sink};
use crate::sink::Item;
use crate::sink::lane::{Body, FLIGHT, Lane, Letter};
use crate::telemetry::events::delivery::{DeliveryNotRecorded, QueueUnreadable};

/// Between two looks into the registry's queue.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Verdicts that wait for their topic stay in memory up to so many and so many bytes; beyond, they wait in the registry's file.
const MEMORY_ITEMS: usize = 5_000;
const MEMORY_BYTES: usize = 16 << 20;

/// Which verdict a letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The item of this number.
    Item(u64),
    /// A row of the registry's queue.
    Row(i64),
}

/// What waits in memory for the verdicts' topic.
#[derive(Default)]
pub(super) struct Backlog {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

impl Backlog {
    pub fn is_full(&self) -> bool {
        self.items.load(Ordering::Relaxed) >= MEMORY_ITEMS || self.bytes.load(Ordering::Relaxed) >= MEMORY_BYTES
    }

    pub fn add(&self, bytes: usize) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) {
        self.items.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The thread that publishes verdicts.
pub(super) struct ToTopic {
    pub lane: Lane<Of>,
    pub items: Receiver<(u64, Arc<Item>)>,
    pub registry: Option<Arc<Embedded>>,
    pub report: Sender<u64>,
    pub backlog: Arc<Backlog>,
    /// The other side is gone.
    pub is_over: Arc<AtomicBool>,
}

impl ToTopic {
    pub fn run(mut self) {
        while !self.is_over.load(Ordering::Relaxed) && self.fill() {
            let turn = self.lane.turn();
            let mut rows = Vec::new();
            for letter in turn.done.into_iter().chain(turn.dropped) {
                match letter.number {
                    Of::Item(number) => drop(self.report.send(number)),
                    Of::Row(id) => rows.push(id),
                }
            }
            if !rows.is_empty()
                && let Some(registry) = &self.registry
                && let Err(e) = registry.delivered(&rows)
            {
                DeliveryNotRecorded { sink: &Sink::Verdicts.name(), error: &e.to_string() }.emit();
            }
            if let Some(pause) = turn.pause {
                thread::sleep(pause);
            }
        }
    }

    /// Takes what waits: of memory first, since what waits in the file is newer. Whether there can be more.
    fn fill(&mut self) -> bool {
        if self.lane.is_empty() {
            match self.items.recv_timeout(LOOK_EVERY) {
                Ok((number, item)) => self.push(number, item),
                Err(RecvTimeoutError::Timeout) => self.rows(),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        // Rows in the lane are newer than nothing in memory, and older than what comes to it.
        while self.lane.len() < FLIGHT
            && let Ok((number, item)) = self.items.try_recv()
        {
            self.push(number, item);
        }
        true
    }

    fn push(&mut self, number: u64, item: Arc<Item>) {
        self.backlog.take(item.bytes());
        self.lane.push(Letter::new(Of::Item(number), item.key(), Body::Item(item)));
    }

    fn rows(&mut self) {
        let Some(registry) = &self.registry else { return };
        match registry.outgoing(Sink::Verdicts, FLIGHT) {
            Ok(rows) => {
                for row in rows {
                    self.lane.push(Letter::new(Of::Row(row.id), row.key, Body::Text(row.body)));
                }
            }
            Err(e) => QueueUnreadable { sink: &Sink::Verdicts.name(), error: &e.to_string() }.emit(),
        }
    }
}
