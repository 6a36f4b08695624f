//! Baselines loaded off the pipeline's thread: an unseen version's partition waits, the others go on. Versions that a state
//! holds the baseline of are counted against that at once; their snapshots are looked at beside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::control::Control;
use crate::ledger::Embedded;
use crate::replay;
use crate::snapshot::Reach;
use crate::snapshot::places::Places;
use crate::stores::Stores;
use crate::telemetry::events::state::{BaselineFailed, BaselineLoaded, BaselineLoading};
use crate::telemetry::events::threads::{NoThread, Purpose};
use driftgate_core::intake::versions::Reference;
use driftgate_core::policy::Policy;

/// A load that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(60);
/// One that takes longer than this holds up no other.
const SLOW: Duration = Duration::from_secs(5);
/// A version that failed is tried again after this, and after twice as long each time,
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// up to this.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How often a wait looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A model's version by name.
pub type Key = (String, String);

/// What a version has to be loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is registered, has a stage, or is counted already: it waits behind no other.
    Known,
    /// Only events name it.
    Named,
    /// Events name it, and it was not taken on: whether it has a snapshot is looked for once, one after the other.
    Refused,
}

impl Claim {
    #[must_use]
    pub fn of(registered: bool) -> Self {
        if registered { Self::Known } else { Self::Named }
    }
}

/// A load of a version's baseline on a thread of its own.
struct Load {
    claim: Claim,
    started: Instant,
    /// It was reported as failed since it took too long; its thread goes on.
    given_up: bool,
    /// Its result is being taken over.
    done: bool,
}

/// A load that failed.
struct Failure {
    claim: Claim,
    at: Instant,
    /// It is tried again after this.
    pause: Duration,
}

/// Where baselines come from.
#[derive(Clone)]
pub struct Origin {
    registry: Arc<Embedded>,
    /// Where snapshots may lie that registrations name.
    places: Arc<Places>,
    stores: Stores,
    /// So many threads read one.
    pub threads: usize,
}

/// Loads under way.
pub struct Loader {
    origin: Origin,
    send: Sender<(Key, Reference)>,
    receive: Receiver<(Key, Reference)>,
    under_way: BTreeMap<Key, Load>,
    /// Those that wait for a place, in order.
    queue: VecDeque<(Arc<Policy>, String, Claim)>,
    failed: BTreeMap<Key, Failure>,
}

impl Loader {
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        let (send, receive) = channel();
        Self { origin, send, receive, under_way: BTreeMap::new(), queue: VecDeque::new(), failed: BTreeMap::new() }
    }

    /// Starts loading a version's baseline, unless that is under way.
    pub fn start(&mut self, policy: &Arc<Policy>, version: &str, claim: Claim) {
        let key = (policy.model.clone(), version.to_owned());
        if self.under_way.contains_key(&key) {
            return;
        }
        if self.is_full(claim) {
            match self.queue.iter_mut().find(|(p, v, _)| p.model == policy.model && v == version) {
                Some((.., is)) if claim == Claim::Known => *is = claim,
                Some(_) => {}
                None => self.queue.push_back((Arc::clone(policy), version.to_owned(), claim)),
            }
            return;
        }
        let load = Load { claim, started: Instant::now(), given_up: false, done: false };
        self.under_way.insert(key.clone(), load);
        let (policy, origin, send) = (Arc::clone(policy), self.origin.clone(), self.send.clone());
        if claim != Claim::Refused {
            BaselineLoading { model: &key.0, version: &key.1 }.emit();
        }
        let work = move || {
            let found = origin.load(&policy, &key.1, claim != Claim::Refused);
            // No thread receives it once the daemon has stopped.
            let _ = send.send((key, found));
        };
        if let Err(e) = thread::Builder::new().name("baseline".into()).spawn(work) {
            NoThread { purpose: Purpose::LoadBaseline, error: &e }.emit();
        }
    }

    /// Whether a version's baseline is being loaded, or waits for its place.
    #[must_use]
    pub fn is_under_way(&self, model: &str, version: &str) -> bool {
        self.under_way.contains_key(&(model.to_owned(), version.to_owned()))
            || self.queue.iter().any(|(policy, queued, _)| policy.model == model && queued == version)
    }

    /// Those that are known have places of their own.
    fn is_full(&self, claim: Claim) -> bool {
        let is_known = |claim| claim == Claim::Known;
        let own = self.under_way.values().filter(|load| is_known(load.claim) == is_known(claim));
        own.filter(|load| load.started.elapsed() < SLOW).count() >= self.origin.threads.max(1)
    }

    /// Baselines that were loaded, or failed, since; loads that take too long fail. They are under way, and not begun again,
    /// until `settle` says that they are taken over.
    pub fn finished(&mut self) -> Vec<(Key, Reference)> {
        let mut out: Vec<_> = self.receive.try_iter().collect();
        for (key, load) in &mut self.under_way {
            if out.iter().any(|(k, _)| k == key) {
                load.done = true;
            } else if load.started.elapsed() > TIMEOUT && !load.given_up {
                load.given_up = true;
                out.push((key.clone(), Reference::Failed(too_slow(&key.1, TIMEOUT))));
            }
        }
        for (key, reference) in &out {
            let claim = self.under_way.get(key).map_or(Claim::Named, |load| load.claim);
            match reference {
                Reference::Failed(_) if claim == Claim::Refused => {}
                Reference::Failed(_) => {
                    let pause = self.failed.get(key).map_or(FIRST_RETRY, |f| (f.pause * 2).min(LAST_RETRY));
                    self.failed.insert(key.clone(), Failure { claim, at: Instant::now(), pause });
                }
                Reference::Baseline { baseline, sha256 } => {
                    BaselineLoaded { model: &key.0, version: &key.1, rows: baseline.rows, sha256 }.emit();
                    self.failed.remove(key);
                }
                Reference::Unknown => {}
            }
        }
        self.start_waiting();
        out
    }

    /// A finished load was taken over; what waited for its place begins.
    pub fn settle(&mut self, key: &Key) {
        // A thread that took too long is not doubled by another one.
        if self.under_way.get(key).is_some_and(|load| load.done) {
            self.under_way.remove(key);
        }
        self.start_waiting();
    }

    fn start_waiting(&mut self) {
        for known in [true, false] {
            let next = |(.., claim): &(Arc<Policy>, String, Claim)| (*claim == Claim::Known) == known;
            while !self.is_full(Claim::of(known))
                && let Some(at) = self.queue.iter().position(next)
                && let Some((policy, version, claim)) = self.queue.remove(at)
            {
                self.start(&policy, &version, claim);
            }
        }
    }

    /// What a load under way is for.
    #[must_use]
    pub fn claim(&self, key: &Key) -> Option<Claim> {
        self.under_way.get(key).map(|load| load.claim)
    }

    /// Whether a snapshot of a name that was refused is being looked for.
    #[must_use]
    pub fn seeks(&self) -> bool {
        self.under_way.values().any(|load| load.claim == Claim::Refused && !load.done)
    }

    /// Versions whose load failed long enough ago to try again, or was forgotten meanwhile.
    pub fn due(&mut self) -> Vec<(Key, Claim)> {
        let is_due = |key: &Key, f: &Failure| f.at.elapsed() > f.pause && !self.under_way.contains_key(key);
        let due = self.failed.iter().filter(|(k, f)| is_due(k, f)).map(|(k, f)| (k.clone(), f.claim));
        let due: Vec<(Key, Claim)> = due.collect();
        for (key, _) in &due {
            if let Some(failure) = self.failed.get_mut(key) {
                failure.at = Instant::now();
            }
        }
        due
    }

    /// Whether the last load of a version failed, so that it is tried again when that is due.
    #[must_use]
    pub fn has_failed(&self, key: &Key) -> bool {
        self.failed.contains_key(key)
    }

    /// A version is not tried again.
    pub fn forget(&mut self, key: &Key) {
        self.failed.remove(key);
        self.queue.retain(|(policy, version, _)| (&policy.model, version) != (&key.0, &key.1));
    }

    /// Versions whose snapshots are being read for longer than this, and for how long.
    #[must_use]
    pub fn slow(&self, than: Duration) -> Vec<(Key, Duration)> {
        let slow = self.under_way.iter().filter(|(_, load)| !load.done).map(|(k, load)| (k, load.started.elapsed()));
        slow.filter(|(_, elapsed)| *elapsed > than).map(|(key, elapsed)| (key.clone(), elapsed)).collect()
    }
}

impl Origin {
    #[must_use]
    pub fn new(registry: Arc<Embedded>, places: Places, stores: Stores, threads: usize) -> Self {
        Self { registry, places: Arc::new(places), stores, threads }
    }

    /// A version's baseline from where the registry, or else the policy, says its snapshot is.
    #[must_use]
    pub fn load(&self, policy: &Policy, version: &str, tell: bool) -> Reference {
        let location = match self.registry.version(&policy.model, version) {
            Ok(record) => record.and_then(|r| r.snapshot_in_use().map(str::to_owned)),
            Err(e) => return Reference::Failed(e.to_string()),
        };
        let allowed = self.places.as_ref().clone().with(&policy.directory, policy.baseline.snapshot.as_deref());
        let reach = if location.is_some() { Reach::Within(&allowed) } else { Reach::Files };
        let found = replay::try_reference(policy, version, location.as_deref(), self.threads, &self.stores, reach);
        found.unwrap_or_else(|errors| {
            let why = errors.without_content();
            if tell {
                // Who named the location may have named a file of secrets; a policy's author names snapshots.
                let error = if location.is_some() { why.clone() } else { errors.to_string() };
                BaselineFailed { model: &policy.model, version, error: &error }.emit();
            }
            Reference::Failed(why)
        })
    }

    /// The same, tried for a minute, or until the daemon is to stop. `tell` is called with the reason of each new attempt.
    #[must_use]
    pub fn load_patiently(
        &self,
        policy: &Arc<Policy>,
        version: &str,
        control: &Control,
        tell: &dyn Fn(&str),
    ) -> Reference {
        let until = Instant::now() + TIMEOUT;
        let mut last = too_slow(version, TIMEOUT);
        loop {
            let (send, receive) = channel();
            let (policy, origin, version) = (Arc::clone(policy), self.clone(), version.to_owned());
            let work = move || drop(send.send(origin.load(&policy, &version, true)));
            if let Err(e) = thread::Builder::new().name("baseline".into()).spawn(work) {
                return Reference::Failed(e.to_string());
            }
            let started = Instant::now();
            let found = loop {
                match receive.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) if Instant::now() < until && !control.is_stopping() => {
                        if started.elapsed() > Duration::from_secs(2) {
                            tell("its snapshot is being read");
                        }
                    }
                    found => break found,
                }
            };
            match found {
                Ok(Reference::Failed(why)) => last = why,
                Ok(found) => return found,
                Err(_) => return Reference::Failed(last),
            }
            tell(&last);
            let again = Instant::now() + FIRST_RETRY;
            while Instant::now() < again {
                if Instant::now() >= until || control.is_stopping() {
                    return Reference::Failed(last);
                }
                thread::sleep(LOOK);
            }
        }
    }
}

fn too_slow(version: &str, after: Duration) -> String {
    format!("the snapshot of version {version:?} was not loaded within {} s", after.as_secs())
}
