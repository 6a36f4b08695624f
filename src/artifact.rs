//! The digest of a model artifact, from its files as they are now: SHA-256 of a file, or of a folder's files by name; of an artifact in an
//! OCI registry that of the manifest which its location names now. A matching
//! digest in a tag proves nothing; this does, where the files are reachable.
//!
//! The location of an artifact is a text that an API client sent: it leads nowhere but to where artifacts may lie. Artifacts are
//! large: they are read on threads of their own, a file once, and the result is kept in the registry as long as size, times and
//! inode (or tag and version of a store) stay, but not for promotions (`anew`). `part` and `parts` are an artifact's pieces,
//! `files` reads folders, `own` keeps the daemon's own files out, `objects` reads stores, `listed` compares with what a
//! signature lists, `work` is one look and what was found last, `kept` is the table in the registry.
//!
//! [`Artifacts`] is a value: who composes a registry makes it and hands it over.

mod anew;
mod files;
pub(crate) mod kept;
mod listed;
mod objects;
mod own;
mod part;
mod parts;
#[cfg(test)]
mod tests;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::oci::Registries;
use crate::snapshot::places::Places;
use crate::stores::Stores;
use crate::telemetry::events::threads::{NoThread, Purpose};
use driftgate_core::policy::Policy;
use driftgate_core::promotion::types::Recomputed;
use part::{Progress, shown};
use parts::{Parts, Source};
pub use work::{Found, LONG_PATIENCE, Task};
use work::{Key, Last, Look, Work, Works};

/// A gate waits so long for artifacts, which is enough for small ones, and for those that were read before and are the same.
pub const PATIENCE: Duration = Duration::from_millis(400);
/// What was found of files holds for so long, where looking again takes longer than that,
const STANDS: Duration = Duration::from_secs(10);
/// and of objects in stores, which are asked over a network, in any case.
const STANDS_REMOTE: Duration = Duration::from_secs(15);
/// A caller has had it looked at no longer ago than this: the registry may have been held meanwhile.
const ASKED_BEFORE: Duration = Duration::from_secs(60);
/// So many results are held in memory.
const MOST_HELD: usize = 10_000;
/// So many artifacts are looked at side by side.
const MOST_AT_ONCE: usize = 16;

/// Artifacts that are looked at, and what was found of them.
#[derive(Debug, Default)]
pub struct Artifacts {
    /// Where they may lie beside the folder or bucket of a policy.
    places: Places,
    stores: Stores,
    registries: Registries,
    /// Files of the daemon itself, which are no artifacts.
    own: Arc<[PathBuf]>,
    works: Arc<Works>,
}

impl Artifacts {
    /// Artifacts of these places, whose results are kept in this file.
    #[must_use]
    pub fn new(places: Places, stores: Stores, file: Option<&Path>) -> Self {
        let works = Works { file: file.map(Path::to_owned), ..Works::default() };
        Self { places, stores, registries: Registries::default(), own: Arc::default(), works: Arc::new(works) }
    }

    /// The same, with those of registries reached in this way.
    #[must_use]
    pub fn in_registries(mut self, registries: Registries) -> Self {
        self.registries = registries;
        self
    }

    /// The same, reading none of these files and folders.
    #[must_use]
    pub fn but_not(mut self, own: Vec<PathBuf>) -> Self {
        self.own = own.into();
        self
    }

    /// Looks at artifacts beside everything else, and waits so long for them; for one that takes longer only once.
    pub fn look<'a>(&self, patience: Duration, asked: impl IntoIterator<Item = (&'a Policy, &'a str, &'a Task)>) {
        let begun =
            asked.into_iter().filter_map(|(policy, location, task)| self.begin(policy, location, task, false).ok());
        self.wait(patience, &begun.collect::<Vec<_>>());
    }

    fn wait(&self, patience: Duration, keys: &[Key]) {
        let until = Instant::now() + patience;
        let mut works = self.works.lock();
        loop {
            let wait = keys.iter().filter_map(|key| {
                let (since, _) = works.get(key)?.under_way.as_ref()?;
                // One that took longer before is not waited for again.
                (*since + patience).min(until).checked_duration_since(Instant::now())
            });
            let Some(wait) = wait.max().filter(|wait| !wait.is_zero()) else { return };
            works = self.works.ended.wait_timeout(works, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Looks at an artifact and waits until all of it is read, however long that takes.
    pub fn finish(&self, policy: &Policy, location: &str, task: &Task) {
        let Ok(key) = self.begin(policy, location, task, false) else { return };
        let mut works = self.works.lock();
        while works.get(&key).is_some_and(|work| work.under_way.is_some()) {
            works = self.works.ended.wait(works).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What is known of an artifact, without reading anything.
    #[must_use]
    pub fn known(&self, policy: &Policy, location: &str, task: &Task) -> Recomputed {
        let path = match self.allowed(policy, location) {
            Ok(path) => path,
            Err(why) => return Recomputed::Refused(why),
        };
        let works = self.works.lock();
        let work = works.get(&(path, task.name()));
        let stands = |last: &&Last| last.at.elapsed() < if last.remote { STANDS_REMOTE } else { STANDS };
        match work {
            Some(Work { under_way: Some((_, progress)), last }) => match last.as_ref().filter(stands) {
                Some(last) => last.recomputed(),
                None => Recomputed::Computing(task.say(location, progress)),
            },
            Some(Work { last: Some(last), .. }) if last.at.elapsed() < ASKED_BEFORE => last.recomputed(),
            _ => Recomputed::Computing(format!("{} has not been looked at: ask again", shown(location))),
        }
    }

    /// The location that is meant, if an artifact may lie there: a path from the root, or a URL.
    fn allowed(&self, policy: &Policy, location: &str) -> Result<String, String> {
        let refused = || {
            format!(
                "{} lies outside of the folder or bucket of the policy, and under none of the configuration's `artifacts`; move it there, or allow its place",
                shown(location)
            )
        };
        self.places_of(policy).check(&policy.directory, location).map_err(|_| refused())?;
        let path = match location.split_once("://") {
            Some(("file", path)) => path.to_owned(),
            Some(_) => return Ok(location.to_owned()),
            None => {
                let path = std::path::absolute(policy.directory.join(location)).map_err(|_| refused())?;
                path.to_str().ok_or_else(refused)?.to_owned()
            }
        };
        if own::Resolved::of(&self.own).hold(Path::new(&path)) {
            return Err(format!("{} is a file of the daemon itself, and no artifact", shown(location)));
        }
        Ok(path)
    }

    fn places_of(&self, policy: &Policy) -> Places {
        self.places.clone().with(&policy.directory, policy.baseline.snapshot.as_deref())
    }

    /// Begins to look, unless that is under way, or was done in a store just now; `anew` takes nothing that is kept.
    fn begin(&self, policy: &Policy, location: &str, task: &Task, anew: bool) -> Result<Key, String> {
        let path = self.allowed(policy, location)?;
        let key = (path, task.name());
        let mut works = self.works.lock();
        if works.len() >= MOST_HELD {
            works.retain(|_, work| work.under_way.is_some());
        }
        let running = works.values().filter(|work| work.under_way.is_some()).count();
        let work = works.entry(key.clone()).or_default();
        let stands = work.last.as_ref().is_some_and(|last| last.remote && last.at.elapsed() < STANDS_REMOTE);
        let stands = stands || anew && work.stands_for_promotions();
        if work.under_way.is_some() || stands || running >= MOST_AT_ONCE {
            return Ok(key);
        }
        let progress = Arc::new(Progress::default());
        work.under_way = Some((Instant::now(), Arc::clone(&progress)));
        let look = Look {
            key: key.clone(),
            task: task.clone(),
            places: self.places_of(policy),
            stores: self.stores.clone(),
            registries: self.registries.clone(),
            own: Arc::clone(&self.own),
            before: work.last.clone(),
            anew,
            works: Arc::clone(&self.works),
            progress,
        };
        drop(works);
        let spawned = std::thread::Builder::new().name("artifact".into()).spawn(move || look.run());
        if let Err(e) = spawned {
            NoThread { purpose: Purpose::ReadArtifact, error: &e }.emit();
            self.works.end(&key, None);
        }
        Ok(key)
    }
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        let works = self.works.lock();
        let under_way = works.values().filter_map(|work| work.under_way.as_ref());
        under_way.for_each(|(_, progress)| progress.give_up());
    }
}

/// The digest of files of this machine, lower-case hex, for callers that may read them anyway. A folder's digest is that of lines
/// `HEX  relative/path`, sorted by path, as `sha256sum` writes them.
///
/// # Errors
/// Why the files cannot be read: a URL, a missing file, a folder without files, something that is no file.
pub fn digest(location: &str) -> Found {
    if location.contains("://") {
        return Err(format!("{location} is not a path of this machine"));
    }
    let path = std::path::absolute(location).map_err(|e| format!("{location} cannot be read: {e}"))?;
    let (parts, single) = files::list(&path, &|_| true, &own::Resolved::default())
        .map_err(|why| format!("{location} cannot be read: {why}"))?;
    if parts.is_empty() {
        return Err(format!("{location} holds no files"));
    }
    let mut parts = Parts { parts, single, source: Source::Files };
    parts.parts.sort();
    parts.digest(&Progress::default()).map_err(|why| format!("{location} cannot be read: {why}"))
}
