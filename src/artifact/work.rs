//! Looks at artifacts, each on a thread of its own, and what was found last.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::part::{Progress, shown};
use super::parts::Parts;
use super::{kept, listed};
use crate::oci::Registries;
use crate::snapshot::places::Places;
use crate::stores::Stores;
use crate::telemetry::events::registry::ArtifactRead;
use driftgate_core::fact::attestation::SCHEME;
use driftgate_core::promotion::model_signing::Manifest;
use driftgate_core::promotion::types::Recomputed;

/// A promotion waits so long for artifacts.
pub const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// A reading that takes longer than a promotion waits counts for so long after its end.
const COUNTS: Duration = Duration::from_secs(5 * 60);

/// What is asked about an artifact.
#[derive(Clone, Debug)]
pub enum Task {
    /// Its digest.
    Digest,
    /// Whether its files are those that a signature lists.
    Listed(Arc<Manifest>),
}

impl Task {
    /// Its name, as results are kept by.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Digest => "sha256".to_owned(),
            Self::Listed(listed) => format!("listed:{}", listed.sha256),
        }
    }

    /// How far its reading is.
    pub(super) fn say(&self, location: &str, progress: &Progress) -> String {
        let (of, bytes) = (shown(location), progress.bytes());
        match self {
            Self::Digest => format!("the digest of {of} is being computed, {bytes}"),
            Self::Listed(_) => format!("the files of {of} are being compared with the signature, {bytes}"),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Works {
    /// By location and task.
    pub by_key: Mutex<HashMap<Key, Work>>,
    /// One of them has ended.
    pub ended: Condvar,
    /// The registry's file, where results outlast the process.
    pub file: Option<PathBuf>,
}

/// Where it lies, and the name of the task.
pub(super) type Key = (String, String);

#[derive(Debug, Default)]
pub(super) struct Work {
    /// Since when it is being looked at, and how far that is.
    pub under_way: Option<(Instant, Arc<Progress>)>,
    pub last: Option<Last>,
}

/// What was found, when, and of which state of the files.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub at: Instant,
    pub remote: bool,
    pub stamp: String,
    pub found: Found,
    /// `None`: it was kept by a process before, or nothing was read.
    pub reading: Option<Reading>,
}

/// A digest or another answer, or why there is none.
pub type Found = Result<String, String>;

/// When an artifact was read to its end by this process, and how long that took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub at: Instant,
    pub took: Duration,
}

impl Reading {
    /// Whether a promotion that was asked for then may go by it.
    pub fn counts(&self, asked: Instant) -> bool {
        self.at.checked_sub(self.took).is_some_and(|began| began >= asked) || self.is_long()
    }

    /// It is not repeated for the next promotion.
    pub fn is_long(&self) -> bool {
        self.took > LONG_PATIENCE && self.at.elapsed() < COUNTS
    }
}

impl Work {
    /// Whether there is nothing to read for a promotion.
    pub fn stands_for_promotions(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.remote || last.reading.is_some_and(|reading| reading.is_long()))
    }
}

impl Works {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<Key, Work>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn end(&self, key: &Key, last: Option<Last>) {
        if let Some(work) = self.lock().get_mut(key) {
            work.under_way = None;
            work.last = last.or(work.last.take());
        }
        self.ended.notify_all();
    }
}

impl Last {
    pub fn recomputed(&self) -> Recomputed {
        match &self.found {
            Ok(found) => Recomputed::Known(found.clone()),
            Err(why) => Recomputed::Unreachable(why.clone()),
        }
    }
}

/// One look at an artifact, on a thread of its own.
pub(super) struct Look {
    pub key: Key,
    pub task: Task,
    pub places: Places,
    pub stores: Stores,
    pub registries: Registries,
    pub own: Arc<[PathBuf]>,
    /// What was found before.
    pub before: Option<Last>,
    pub anew: bool,
    pub works: Arc<Works>,
    pub progress: Arc<Progress>,
}

impl Look {
    pub fn run(self) {
        let (location, name) = (&self.key.0, &self.key.1);
        let remote = location.contains("://");
        let known = self.before.as_ref().and_then(|last| last.found.clone().ok());
        if location.starts_with(SCHEME) {
            let found = self.in_registry();
            self.end(known.as_deref(), Last { at: Instant::now(), remote, stamp: String::new(), found, reading: None });
            return;
        }
        let listed = Parts::list(location, &self.places, &self.own, &self.stores);
        let began = Instant::now();
        let (stamp, found, reading) = match listed {
            Err(why) => (String::new(), Err(why), None),
            Ok(parts) => {
                let stamp = parts.stamp();
                let before =
                    self.before.as_ref().filter(|last| !self.anew && last.stamp == stamp && last.found.is_ok());
                let kept = || self.works.file.as_deref().and_then(|file| kept::read(file, location, name, &stamp));
                let known = before.map(|last| (last.found.clone(), last.reading));
                let known = known.or_else(|| kept().filter(|_| !self.anew).map(|kept| (Ok(kept), None)));
                let (found, reading) = known.unwrap_or_else(|| {
                    self.progress.expect(parts.bytes());
                    let found = answer(&parts, location, &self.task, &self.progress);
                    if let (Some(file), Ok(found)) = (self.works.file.as_deref(), &found) {
                        kept::write(file, location, name, &stamp, found);
                    }
                    (found, Some(Reading { at: Instant::now(), took: began.elapsed() }))
                });
                (stamp, found, reading)
            }
        };
        self.end(known.as_deref(), Last { at: Instant::now(), remote, stamp, found, reading });
    }

    /// What was found is there, where it was `known` before.
    fn end(&self, known: Option<&str>, last: Last) {
        let (location, name) = &self.key;
        if let Some(found) = last.found.as_ref().ok().filter(|found| known != Some(found.as_str())) {
            // Callers learn only whether it is the right one.
            ArtifactRead { location, task: name, found }.emit();
        }
        self.works.end(&self.key, Some(last));
    }

    /// Of an artifact in a registry: the manifest that is named now. Its digest is over all that it holds.
    fn in_registry(&self) -> Found {
        let location = &self.key.0;
        match &self.task {
            Task::Digest => {
                self.registries.digest(location).map_err(|e| format!("{} cannot be read: {e}", shown(location)))
            }
            Task::Listed(_) => Err(format!(
                "the signature lists files, and {} is an artifact in a registry: sign its digest in their place",
                shown(location)
            )),
        }
    }
}

/// What a task comes to.
fn answer(parts: &Parts, location: &str, task: &Task, progress: &Progress) -> Found {
    let cannot = |why: String| format!("{} cannot be read: {why}", shown(location));
    match task {
        Task::Digest => parts.digest(progress).map_err(cannot),
        Task::Listed(listed) => listed::compare(listed, parts, progress).map_err(|e| match e {
            listed::Differs::Unreadable(why) => cannot(why),
            listed::Differs::Otherwise(why) => why,
        }),
    }
}
