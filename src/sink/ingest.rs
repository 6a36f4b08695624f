//! Events that came over HTTP, on their way to the topics of their sources. Each is acknowledged by every replica in sync before its
//! sender is answered. One producer, on a thread of its own, sends for all sources; how many requests wait for it is bounded, and a topic that
//! does not acknowledge gets one event at a time until it does again.

mod entry;
mod record;
mod thread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Semaphore, oneshot};

use crate::view::Shared;
pub use entry::{Entry, Outcome};
pub use record::{Event, IngestConfig, NotTaken, UNDER};
use thread::Record;

/// How long at most an answer waits for the client to say what became of it.
const ANSWERED: Duration = Duration::from_secs(30);

/// The sources that take events over HTTP; by default there are none. A clone is the same one.
#[derive(Clone, Default)]
pub struct Ingest(Option<Arc<Inner>>);

struct Inner {
    /// By the name in the path.
    entries: BTreeMap<String, Arc<Entry>>,
    records: Sender<Record>,
    waiting: Arc<Semaphore>,
    most: usize,
}

impl Ingest {
    /// Those of a configuration, each with its topic; at most `most` requests wait at a time.
    ///
    /// # Errors
    /// A token that cannot be used, or properties that librdkafka refuses.
    pub fn start(
        sources: &[(&str, &IngestConfig)],
        properties: impl FnOnce() -> anyhow::Result<BTreeMap<String, String>>,
        most: usize,
        view: &Shared,
    ) -> anyhow::Result<Self> {
        let entry = |(topic, http): &(&str, &IngestConfig)| {
            let entry = Entry::load(http, topic, view.clone());
            anyhow::Ok((http.name.clone(), Arc::new(entry.with_context(|| format!("the source {topic}"))?)))
        };
        let entries: BTreeMap<_, _> = sources.iter().map(entry).collect::<anyhow::Result<_>>()?;
        if entries.is_empty() {
            return Ok(Self::default());
        }
        let records = thread::start(&properties()?, entries.values().cloned().collect())?;
        Ok(Self(Some(Arc::new(Inner { entries, records, waiting: Arc::new(Semaphore::new(most)), most }))))
    }

    /// The source at a path.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        self.0.as_ref()?.entries.get(name)
    }

    /// All of them.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().flat_map(|inner| inner.entries.values().map(AsRef::as_ref))
    }

    /// Sends events to the topic of a source, and waits until each is acknowledged.
    ///
    /// # Errors
    /// The first event that was not taken; others may have been.
    pub async fn take(&self, entry: &Arc<Entry>, events: Vec<Event>) -> Result<(), NotTaken> {
        if events.is_empty() {
            return Ok(());
        }
        let Some(inner) = &self.0 else { return Err(NotTaken::Busy("this process sends no events".to_owned())) };
        let Ok(permit) = Arc::clone(&inner.waiting).try_acquire_owned() else {
            let why = format!("{} requests wait for Kafka already", inner.most);
            return Err(entry.refuse(why));
        };
        entry.may_send()?;
        let waits = Arc::new(permit);
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            let (tell, hear) = oneshot::channel();
            let record = Record { entry: Arc::clone(entry), event, told: tell, waits: Arc::clone(&waits) };
            // Without the thread the answer's sender is gone, which is heard below.
            let _ = inner.records.send(record);
            told.push(hear);
        }
        let unheard = || NotTaken::Unacknowledged("the producer has ended: the daemon stops".to_owned());
        let all = async {
            let mut done = Ok(());
            for hear in told {
                done = done.and(hear.await.unwrap_or_else(|_| Err(unheard())));
            }
            done
        };
        tokio::time::timeout(ANSWERED, all).await.unwrap_or_else(|_| {
            let why = format!("{} did not acknowledge it within {} s", entry.topic(), ANSWERED.as_secs());
            Err(NotTaken::Unacknowledged(why))
        })
    }
}
