//! Baselines loaded off the pipeline's thread: an unseen version's partition waits, the others go on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::intake::versions::Reference;
use crate::policy::Policy;
use crate::registry::Registry;
use crate::replay;

/// A load that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A version that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(60);

/// A model's version by name.
pub type Key = (String, String);

/// Loads under way.
pub struct Loader {
    registry: Arc<dyn Registry>,
    send: Sender<(Key, Reference)>,
    receive: Receiver<(Key, Reference)>,
    /// So many loads at once.
    at_once: usize,
    under_way: BTreeMap<Key, Instant>,
    /// Those that wait for a place, in order.
    queue: VecDeque<(Arc<Policy>, String)>,
    failed: BTreeMap<Key, Instant>,
}

impl Loader {
    #[must_use]
    pub fn new(registry: Arc<dyn Registry>, at_once: usize) -> Self {
        let (send, receive) = channel();
        Self {
            registry,
            send,
            receive,
            at_once: at_once.max(1),
            under_way: BTreeMap::new(),
            queue: VecDeque::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Starts loading a version's baseline, unless that is under way.
    pub fn start(&mut self, policy: &Arc<Policy>, version: &str) {
        let key = (policy.model.clone(), version.to_owned());
        if self.under_way.contains_key(&key) {
            return;
        }
        if self.under_way.len() >= self.at_once {
            if !self.queue.iter().any(|(p, v)| p.model == policy.model && v == version) {
                self.queue.push_back((Arc::clone(policy), version.to_owned()));
            }
            return;
        }
        self.under_way.insert(key.clone(), Instant::now());
        let (policy, registry, send) = (Arc::clone(policy), Arc::clone(&self.registry), self.send.clone());
        let threads = self.at_once;
        tracing::info!(model = key.0, version = key.1, "loading the baseline of a version");
        let work = move || {
            let found = load(&policy, registry.as_ref(), &key.1, threads);
            // Nobody listens once the daemon has stopped.
            let _ = send.send((key, found));
        };
        if let Err(e) = thread::Builder::new().name("baseline".into()).spawn(work) {
            tracing::error!(error = %e, "no thread to load a baseline on");
        }
    }

    /// Baselines that were loaded, or failed, since; loads that take too long fail. They are under way, and not begun again,
    /// until `settle` says that they are taken over.
    pub fn finished(&mut self) -> Vec<(Key, Reference)> {
        let mut out: Vec<_> = self.receive.try_iter().collect();
        for (key, started) in &self.under_way {
            if started.elapsed() > TIMEOUT && !out.iter().any(|(k, _)| k == key) {
                out.push((
                    key.clone(),
                    Reference::Failed(format!(
                        "the snapshot of version {:?} was not loaded within {} s",
                        key.1,
                        TIMEOUT.as_secs()
                    )),
                ));
            }
        }
        for (key, reference) in &out {
            match reference {
                Reference::Failed(why) => {
                    tracing::error!(
                        model = key.0,
                        version = key.1,
                        "no baseline, verdicts will be insufficient until there is one: {why}"
                    );
                    self.failed.insert(key.clone(), Instant::now());
                }
                Reference::Baseline { baseline, sha256 } => {
                    tracing::info!(
                        model = key.0,
                        version = key.1,
                        rows = baseline.rows,
                        sha256 = &**sha256,
                        "baseline loaded"
                    );
                    self.failed.remove(key);
                }
                Reference::Unknown => {}
            }
        }
        out
    }

    /// A finished load was taken over; what waited for its place begins.
    pub fn settle(&mut self, key: &Key) {
        self.under_way.remove(key);
        while self.under_way.len() < self.at_once
            && let Some((policy, version)) = self.queue.pop_front()
        {
            self.start(&policy, &version);
        }
    }

    /// Versions whose load failed long enough ago to try again.
    pub fn due(&mut self) -> Vec<Key> {
        let due: Vec<Key> = self.failed.iter().filter(|(_, at)| at.elapsed() > RETRY).map(|(k, _)| k.clone()).collect();
        self.failed.retain(|k, _| !due.contains(k));
        due
    }
}

/// A version's baseline from where the registry, or else the policy, says its snapshot is, read on so many threads.
pub fn load(policy: &Policy, registry: &dyn Registry, version: &str, threads: usize) -> Reference {
    let location = match registry.version(&policy.model, version) {
        Ok(record) => record.and_then(|r| r.snapshot),
        Err(e) => return Reference::Failed(e.to_string()),
    };
    replay::reference(policy, version, location.as_deref(), threads)
}
