//! The claims as the brokers keep them: the committed offsets of the topic of units, with who committed each. Slot 0 is the ledger's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub seq: i64,
    /// The transactional id that committed it.
    pub writer: String,
    pub is_released: bool,
    /// What the slot stands for, as the claim has it.
    pub unit: String,
}

impl Claim {
    /// Where a process keeps its state, in its state folder.
    pub fn folder(&self) -> &str {
        self.unit.strip_prefix("u.").unwrap_or_default()
    }

    /// It is of a unit that judges what shards count.
    pub fn judges(&self) -> bool {
        self.unit.contains('~') && !self.unit.contains("%2f")
    }
}

/// The claims of all slots.
pub struct Claims {
    consumer: BaseConsumer,
    topic: String,
    slots: i32,
}

impl Claims {
    pub fn of(brokers: &str, group: &str, topic: &str, slots: usize) -> Self {
        // Also while a transaction is open.
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", group)
            .set("isolation.level", "read_uncommitted")
            .create()
            .unwrap();
        Self { consumer, topic: topic.to_owned(), slots: slots as i32 }
    }

    /// The claims now, as far as there are any, if the brokers answer.
    pub fn all(&self) -> Option<Vec<Option<Claim>>> {
        let mut list = TopicPartitionList::new();
        for slot in 0..self.slots {
            list.add_partition(&self.topic, slot);
        }
        let found = self.consumer.committed_offsets(list, Duration::from_secs(2)).ok()?;
        let claim = |slot| {
            let element = found.find_partition(&self.topic, slot)?;
            let Offset::Offset(seq) = element.offset() else { return None };
            let metadata: Value = serde_json::from_str(element.metadata()).ok()?;
            Some(Claim {
                seq,
                writer: metadata["txn"].as_str()?.to_owned(),
                is_released: metadata["released"].as_bool().unwrap_or(false),
                unit: metadata["unit"].as_str().unwrap_or_default().to_owned(),
            })
        };
        Some((0..self.slots).map(claim).collect())
    }

    /// The claim to a slot now.
    pub fn read(&self, slot: u32) -> Option<Claim> {
        self.all()?.swap_remove(slot as usize)
    }
}

/// What was noted of the claim: each one that was seen with when it was seen first, and what must not be.
#[derive(Default)]
pub struct Notes {
    pub seen: Vec<(Instant, Claim)>,
    pub wrong: Vec<String>,
}

impl Notes {
    fn note(&mut self, claim: Claim) {
        if let Some((_, last)) = self.seen.last() {
            if *last == claim {
                return;
            }
            if claim.seq <= last.seq {
                self.wrong.push(format!("the claim went from {last:?} to {claim:?}"));
            }
        }
        self.seen.push((Instant::now(), claim));
    }

    pub fn last(&self) -> Option<&Claim> {
        self.seen.last().map(|(_, claim)| claim)
    }

    /// The last claim of before, and the first one after `at` of another writer or another start of the same: when it was seen.
    pub fn next_after(&self, at: Instant) -> Option<(Instant, &Claim)> {
        self.seen.iter().find(|(seen, _)| *seen > at).map(|(seen, claim)| (*seen, claim))
    }

    /// How often another process took over.
    pub fn takeovers(&self) -> usize {
        self.seen.windows(2).filter(|pair| pair[0].1.writer != pair[1].1.writer).count()
    }
}

/// Looks at the claims until it is dropped.
pub struct Watch {
    /// By slot.
    pub notes: Arc<Mutex<Vec<Notes>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    pub fn start(claims: Claims) -> Self {
        let all: Vec<Notes> = (0..claims.slots).map(|_| Notes::default()).collect();
        let (notes, stop) = (Arc::new(Mutex::new(all)), Arc::<AtomicBool>::default());
        let (kept, asked) = (Arc::clone(&notes), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                let now = claims.all().unwrap_or_default();
                let mut kept = kept.lock().unwrap();
                for (notes, claim) in kept.iter_mut().zip(now) {
                    claim.into_iter().for_each(|claim| notes.note(claim));
                }
                drop(kept);
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        Self { notes, stop, thread: Some(thread) }
    }

    pub fn last(&self, slot: u32) -> Option<Claim> {
        self.notes.lock().unwrap()[slot as usize].last().cloned()
    }

    /// Looks at the notes of a slot.
    pub fn of<T>(&self, slot: u32, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.notes.lock().unwrap()[slot as usize])
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn a_claim_that_goes_back_is_noted() {
    let claim = |seq, writer: &str| Claim { seq, writer: writer.into(), is_released: false, unit: String::new() };
    let mut notes = Notes::default();
    for (seq, writer) in [(1, "g-a"), (1, "g-a"), (2, "g-b"), (2, "g-a"), (1, "g-a")] {
        notes.note(claim(seq, writer));
    }
    assert_eq!((notes.seen.len(), notes.wrong.len(), notes.takeovers()), (4, 2, 2), "{:?}", notes.wrong);
}
