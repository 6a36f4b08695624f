//! The digest of a model artifact, from its files as they are now: SHA-256 of a file, or of a folder's files by name. A matching
//! digest in a tag proves nothing; this does, where the files are reachable.
//!
//! Where an artifact lies is a text that somebody sent: it leads nowhere but to where artifacts may lie. Artifacts are large:
//! they are read on threads of their own, a file once, and what came of it is kept in the registry as long as size, times and
//! inode (or tag and version of a store) stay, but for promotions: `anew`. `files` reads folders, `own` keeps the daemon's own
//! files out, `objects` reads stores, `kept` is the table in the registry,
//! `listed` compares with what a signature lists.

mod anew;
mod files;
pub(crate) mod kept;
mod listed;
mod objects;
mod own;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::snapshot::places::Places;
use crate::stores::Stores;
use driftgate_core::frame;
use driftgate_core::policy::Policy;
use driftgate_core::promotion::model_signing::Manifest;
use driftgate_core::promotion::types::Recomputed;

/// A gate waits so long for artifacts, which is enough for small ones, and for those that were read before and are the same;
pub const PATIENCE: Duration = Duration::from_millis(400);
/// a promotion so long.
pub const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// What was found of files stands for so long, where looking again takes longer than that,
const STANDS: Duration = Duration::from_secs(10);
/// and of objects in stores, which are asked over a network, in any case.
const STANDS_REMOTE: Duration = Duration::from_secs(15);
/// Whoever asks has had it looked at no longer ago than this: the registry may have been held meanwhile.
const ASKED_BEFORE: Duration = Duration::from_secs(60);
/// So many results are held in memory.
const MOST_HELD: usize = 10_000;
/// So many artifacts are looked at side by side.
const MOST_AT_ONCE: usize = 16;
/// An artifact has no more bytes than this,
const MOST_BYTES: u64 = 1 << 40;
/// and no more files.
const MOST_FILES: usize = 100_000;

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
    fn name(&self) -> String {
        match self {
            Self::Digest => "sha256".to_owned(),
            Self::Listed(listed) => format!("listed:{}", listed.sha256),
        }
    }
}

/// Artifacts that are looked at, and what was found of them.
#[derive(Debug, Default)]
pub struct Artifacts {
    /// Where they may lie beside the folder or bucket of a policy.
    places: Places,
    stores: Stores,
    /// Files of the daemon itself, which are nobody's artifacts.
    own: Arc<[PathBuf]>,
    works: Arc<Works>,
}

#[derive(Debug, Default)]
struct Works {
    /// By location and task.
    by_key: Mutex<HashMap<Key, Work>>,
    /// One of them has ended.
    ended: Condvar,
    /// The registry's file, where results outlast the process.
    file: Option<PathBuf>,
}

/// Where it lies, and the name of the task.
type Key = (String, String);

#[derive(Debug, Default)]
struct Work {
    /// Since when it is being looked at, and how far that is.
    under_way: Option<(Instant, Arc<Progress>)>,
    last: Option<Last>,
}

/// What was found, when, and of which state of the files.
#[derive(Clone, Debug)]
struct Last {
    at: Instant,
    remote: bool,
    stamp: String,
    found: Found,
    /// `None`: it was kept by a process before, or nothing was read.
    reading: Option<anew::Reading>,
}

/// A digest or another answer, or why there is none.
pub type Found = Result<String, String>;

/// How much is read.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    /// Nobody asks any more.
    given_up: AtomicBool,
}

/// Takes bytes as they come, until it wants no more.
type Each<'e> = &'e mut dyn FnMut(&[u8]) -> Result<(), String>;

/// A piece of an artifact: a file or an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    /// Below the artifact, with slashes; a single file has none.
    name: String,
    length: u64,
    /// What changes when its bytes do.
    stamp: String,
    /// It is reached by a link.
    link: bool,
    at: At,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    File { path: PathBuf, state: files::State },
    Object { path: String, tag: Option<String> },
}

/// Where pieces are read from.
enum Source {
    Files,
    Objects(objects::Store),
}

/// All pieces of an artifact, by name.
struct Parts {
    parts: Vec<Part>,
    /// It is one file, not a folder.
    single: bool,
    source: Source,
}

impl Artifacts {
    /// Artifacts of these places, whose results are kept in this file.
    #[must_use]
    pub fn new(places: Places, stores: Stores, file: Option<&Path>) -> Self {
        let works = Works { file: file.map(Path::to_owned), ..Works::default() };
        Self { places, stores, own: Arc::default(), works: Arc::new(works) }
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
                None => Recomputed::Computing(progress.say(location, task)),
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
        let stands = stands || anew && Self::stands_for_promotions(work);
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
            own: Arc::clone(&self.own),
            before: work.last.clone(),
            anew,
            works: Arc::clone(&self.works),
            progress,
        };
        drop(works);
        let spawned = std::thread::Builder::new().name("artifact".into()).spawn(move || look.run());
        if let Err(e) = spawned {
            tracing::error!(error = %e, "no thread to read an artifact on");
            self.works.end(&key, None);
        }
        Ok(key)
    }
}

impl Drop for Artifacts {
    fn drop(&mut self) {
        let works = self.works.lock();
        let under_way = works.values().filter_map(|work| work.under_way.as_ref());
        under_way.for_each(|(_, progress)| progress.given_up.store(true, Ordering::Relaxed));
    }
}

impl Works {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Work>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, key: &Key, last: Option<Last>) {
        if let Some(work) = self.lock().get_mut(key) {
            work.under_way = None;
            work.last = last.or(work.last.take());
        }
        self.ended.notify_all();
    }
}

impl Last {
    fn recomputed(&self) -> Recomputed {
        match &self.found {
            Ok(found) => Recomputed::Known(found.clone()),
            Err(why) => Recomputed::Unreachable(why.clone()),
        }
    }
}

impl Progress {
    fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn say(&self, location: &str, task: &Task) -> String {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let of = shown(location);
        match task {
            Task::Digest => format!("the digest of {of} is being computed, {done} of {total} bytes"),
            Task::Listed(_) => {
                format!("the files of {of} are being compared with the signature, {done} of {total} bytes")
            }
        }
    }
}

/// One look at an artifact, on a thread of its own.
struct Look {
    key: Key,
    task: Task,
    places: Places,
    stores: Stores,
    own: Arc<[PathBuf]>,
    /// What was found before.
    before: Option<Last>,
    anew: bool,
    works: Arc<Works>,
    progress: Arc<Progress>,
}

impl Look {
    fn run(self) {
        let (location, name) = (&self.key.0, &self.key.1);
        let remote = location.contains("://");
        let known = self.before.as_ref().and_then(|last| last.found.clone().ok());
        let listed = Parts::list(location, &self.places, &self.own, &self.stores);
        let began = Instant::now();
        let (stamp, found, reading) = match listed {
            Err(why) => (String::new(), Err(why), None),
            Ok(parts) => {
                let stamp = parts.stamp();
                let before = self.before.filter(|last| !self.anew && last.stamp == stamp && last.found.is_ok());
                let kept = || self.works.file.as_deref().and_then(|file| kept::read(file, location, name, &stamp));
                let known = before.map(|last| (last.found, last.reading));
                let known = known.or_else(|| kept().filter(|_| !self.anew).map(|kept| (Ok(kept), None)));
                let (found, reading) = known.unwrap_or_else(|| {
                    self.progress.total.store(parts.bytes(), Ordering::Relaxed);
                    let found = parts.answer(location, &self.task, &self.progress);
                    if let (Some(file), Ok(found)) = (self.works.file.as_deref(), &found) {
                        kept::write(file, location, name, &stamp, found);
                    }
                    (found, Some(anew::Reading { at: Instant::now(), took: began.elapsed() }))
                });
                (stamp, found, reading)
            }
        };
        if let Some(found) = found.as_ref().ok().filter(|found| known.as_ref() != Some(*found)) {
            // Those who ask are told whether it is the right one only.
            tracing::info!(location, task = name, found, "what an artifact's files are now");
        }
        self.works.end(&self.key, Some(Last { at: Instant::now(), remote, stamp, found, reading }));
    }
}

impl Parts {
    /// The pieces of what lies at a location.
    fn list(location: &str, places: &Places, own: &[PathBuf], stores: &Stores) -> Result<Self, String> {
        let cannot = |why: String| format!("{} cannot be read: {why}", shown(location));
        let mut found = if location.contains("://") {
            let store = objects::Store::open(location, stores).map_err(cannot)?;
            let (parts, single) = store.list().map_err(cannot)?;
            Self { parts, single, source: Source::Objects(store) }
        } else {
            let (path, own) = (Path::new(location), own::Resolved::of(own));
            let (parts, single) = files::list(path, &|real| places.holds_real(real), &own).map_err(cannot)?;
            Self { parts, single, source: Source::Files }
        };
        found.parts.sort();
        if found.parts.is_empty() {
            return Err(format!("{} holds no files", shown(location)));
        }
        if found.bytes() > MOST_BYTES {
            return Err(cannot(format!("it has {} bytes, more than {MOST_BYTES}", found.bytes())));
        }
        Ok(found)
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.length))
    }

    /// One text for names, lengths and states of all pieces.
    fn stamp(&self) -> String {
        let mut all = Sha256::new();
        for part in &self.parts {
            for text in [part.name.as_str(), &part.length.to_string(), &part.stamp] {
                all.update(text.as_bytes());
                all.update([0]);
            }
        }
        frame::hex(&all.finalize())
    }

    fn answer(&self, location: &str, task: &Task, progress: &Progress) -> Found {
        let cannot = |why: String| format!("{} cannot be read: {why}", shown(location));
        match task {
            Task::Digest => self.digest(progress).map_err(cannot),
            Task::Listed(listed) => listed::compare(listed, self, progress).map_err(|e| match e {
                listed::Differs::Unreadable(why) => cannot(why),
                listed::Differs::Otherwise(why) => why,
            }),
        }
    }

    fn digest(&self, progress: &Progress) -> Result<String, String> {
        if let ([part], true) = (self.parts.as_slice(), self.single) {
            return self.sha256(part, progress);
        }
        let mut lines = String::new();
        for part in &self.parts {
            // Writing to a String does not fail.
            let _ = writeln!(lines, "{}  {}", self.sha256(part, progress)?, part.name);
        }
        Ok(frame::sha256_hex(lines.as_bytes()))
    }

    fn sha256(&self, part: &Part, progress: &Progress) -> Result<String, String> {
        let mut hash = Sha256::new();
        self.read(part, progress, &mut |bytes| hash.update(bytes))?;
        Ok(frame::hex(&hash.finalize()))
    }

    /// Gives all bytes of a piece in order; one that is not what it was when it was listed is an error.
    fn read(&self, part: &Part, progress: &Progress, each: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        let mut each = |bytes: &[u8]| {
            if progress.given_up.load(Ordering::Relaxed) {
                return Err("it was given up".to_owned());
            }
            progress.add(bytes.len());
            each(bytes);
            Ok(())
        };
        match (&part.at, &self.source) {
            (At::File { path, state }, _) => files::read(path, state, &mut each),
            (At::Object { path, tag }, Source::Objects(store)) => {
                store.read(path, tag.as_deref(), part.length, &mut each)
            }
            (At::Object { .. }, Source::Files) => Err("it is no file".to_owned()),
        }
    }
}

/// The digest of files of this machine, lower-case hex, for whoever may read them anyway. A folder's digest is that of lines
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

/// A location for messages: it may be a text of anybody.
fn shown(location: &str) -> String {
    if location.chars().all(|c| !c.is_control()) && location.len() <= 300 {
        return location.to_owned();
    }
    let start: String = location.chars().take(200).collect();
    format!("{start:?}")
}
