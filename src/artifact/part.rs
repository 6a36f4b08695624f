//! A piece of an artifact, a file or an object, and how much of it is read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// An artifact has no more bytes than this,
pub(super) const MOST_BYTES: u64 = 1 << 40;
/// and no more files.
pub(super) const MOST_FILES: usize = 100_000;

/// What of a file changes when its bytes do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileState {
    length: u64,
    device: u64,
    inode: u64,
    /// In seconds and nanoseconds: when its bytes were written, and when anything of it was.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn of(meta: &Metadata) -> Self {
        Self {
            length: meta.len(),
            device: meta.dev(),
            inode: meta.ino(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// Takes bytes as they come, until it wants no more.
pub(super) type Each<'e> = &'e mut dyn FnMut(&[u8]) -> Result<(), String>;

/// A piece of an artifact: a file or an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    /// Below the artifact, with slashes; a single file has none.
    pub name: String,
    pub length: u64,
    /// What changes when its bytes do.
    pub stamp: String,
    /// It is reached by a link.
    pub link: bool,
    pub at: At,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    File { path: PathBuf, state: FileState },
    Object { path: String, tag: Option<String> },
}

/// How much is read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    /// No caller waits for it any more.
    given_up: AtomicBool,
}

impl Progress {
    /// So many bytes there are.
    pub fn expect(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    pub fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes are read, and of how many.
    pub fn bytes(&self) -> String {
        format!("{} of {} bytes", self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// A location for messages: it may be a text of anybody.
pub(super) fn shown(location: &str) -> String {
    if location.chars().all(|c| !c.is_control()) && location.len() <= 300 {
        return location.to_owned();
    }
    let start: String = location.chars().take(200).collect();
    format!("{start:?}")
}
