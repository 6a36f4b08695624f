//! A snapshot by its location: a file, which stays where it is and is read as it is needed, or an object of a store, which is
//! fetched into a file that has no name. A pipe is read into memory, and only where a person waits for that command.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::places::{NotAllowed, Places, real_path};
use crate::http_client::with_cause;
use crate::source::columns::folder;
use crate::source::columns::nulls::NullTexts;
use crate::source::columns::{ColumnFile, FileError, Pieces};
use crate::stores::Stores;
use driftgate_core::codec::hash::{sha256_hex, sha256_hex_of};

/// A snapshot that is not there after this long has failed.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A snapshot is no longer than this.
const MOST_BYTES: u64 = 16 << 30;
/// What is read of a pipe stays in memory, and is no longer than this.
const MOST_PIPED: u64 = 1 << 30;

/// A snapshot's columns, not read yet.
pub type Columns = (Arc<ColumnFile>, Pieces);

/// Where a location may lead, by whose word it is.
#[derive(Clone, Copy)]
pub enum Reach<'p> {
    /// Anywhere, also to a pipe: of a person who gives a command and waits for it.
    Anything,
    /// To any regular file: of a policy, read by the daemon.
    Files,
    /// To regular files and objects of these places: of a registration or a tag.
    Within(&'p Places),
}

/// A snapshot at hand.
pub enum Fetched {
    Memory(Vec<u8>),
    File(OpenFile),
    /// The files of a folder, in order, each with its name below the folder.
    Folder(Vec<(OpenFile, String)>),
}

/// A file that was opened, and what it was then.
pub struct OpenFile {
    file: File,
    /// For messages.
    path: String,
    stamp: Stamp,
}

/// Length and time of change: as long as they stay, so do the bytes.
type Stamp = (u64, Option<SystemTime>);

/// Finds what is at `location`: a path, relative to `directory`, or a URL.
///
/// # Errors
/// What went wrong and what to do, for people.
pub fn fetch(directory: &Path, location: &str, stores: &Stores, reach: Reach<'_>) -> Result<Fetched, String> {
    if let Reach::Within(places) = reach {
        places.check(directory, location).map_err(|e| e.to_string())?;
    }
    match location.split_once("://") {
        Some(("file", path)) => open(Path::new(path), location, reach),
        Some(_) => remote(location, stores).map(Fetched::File),
        None => open(&directory.join(location), location, reach),
    }
}

impl Fetched {
    /// The first bytes, at most so many.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn start(&self, length: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Memory(bytes) => Ok(bytes.get(..length).unwrap_or(bytes).to_vec()),
            Self::File(file) => file.bytes(length as u64),
            // A folder is no baseline.
            Self::Folder(_) => Ok(Vec::new()),
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn bytes(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File(file) => file.bytes(u64::MAX),
            Self::Folder(_) => Err("it is a folder".to_owned()),
        }
    }

    /// SHA-256 of all bytes, lower-case hex. A file's are read a little at a time. That of a folder is that of the list of its files' digests and
    /// names, as `sha256sum` writes it of the sorted names: `(cd FOLDER; sha256sum NAME…) | sha256sum`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sha256(&self) -> Result<String, String> {
        match self {
            Self::Memory(bytes) => Ok(sha256_hex(bytes)),
            Self::File(file) => file.sha256(),
            Self::Folder(files) => {
                let line = |(file, name): &(OpenFile, String)| Ok(format!("{}  {name}\n", file.sha256()?));
                let list = files.iter().map(line).collect::<Result<String, String>>()?;
                Ok(sha256_hex(list.as_bytes()))
            }
        }
    }

    /// The columns of each of its files, of which there is at least one. Bytes in memory are handed over to them.
    ///
    /// # Errors
    /// Bytes that are no such file, and files of a folder whose columns differ.
    pub fn columns(
        &mut self,
        location: &str,
        wanted: &[String],
        nulls: &Arc<NullTexts>,
    ) -> Result<Vec<Columns>, FileError> {
        let open = |of: &OpenFile, name: &str| {
            let same = of.file.try_clone().map_err(|source| FileError::Open { path: of.path.clone(), source })?;
            ColumnFile::from_file(name, same, wanted, nulls)
        };
        match self {
            Self::Memory(bytes) => Ok(vec![ColumnFile::from_bytes(location, std::mem::take(bytes), wanted, nulls)?]),
            Self::File(file) => Ok(vec![open(file, location)?]),
            Self::Folder(files) => {
                let files: Vec<Columns> =
                    files.iter().map(|(file, _)| open(file, &file.path)).collect::<Result<_, _>>()?;
                if let Some((first, others)) = files.split_first() {
                    others.iter().try_for_each(|other| folder::same_columns(&first.0, &other.0))?;
                }
                Ok(files)
            }
        }
    }

    /// Whether what was read is still what there is.
    ///
    /// # Errors
    /// A file that changed since it was opened.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::File(file) => file.check(),
            Self::Folder(files) => files.iter().try_for_each(|(file, _)| file.check()),
        }
    }
}

impl OpenFile {
    fn check(&self) -> Result<(), String> {
        let Self { file, path, stamp: opened } = self;
        match file.metadata().map(|now| stamp(&now)) {
            Ok(now) if now == *opened => Ok(()),
            Ok(_) => Err(format!(
                "the file {path:?} changed while it was read; write a snapshot under another name, then rename it"
            )),
            Err(e) => Err(cannot_read(path, &e)),
        }
    }
}

impl OpenFile {
    fn sha256(&self) -> Result<String, String> {
        self.read(|input| sha256_hex_of(input))
    }

    /// Reads from the start.
    fn read<T>(&self, read: impl FnOnce(&File) -> io::Result<T>) -> Result<T, String> {
        let mut file = &self.file;
        file.rewind().and_then(|()| read(file)).map_err(|e| cannot_read(&self.path, &e))
    }

    fn bytes(&self, most: u64) -> Result<Vec<u8>, String> {
        self.read(|input| {
            let mut bytes = Vec::new();
            input.take(most).read_to_end(&mut bytes).map(|_| bytes)
        })
    }
}

fn stamp(of: &Metadata) -> Stamp {
    (of.len(), of.modified().ok())
}

fn cannot_read(path: &str, e: &io::Error) -> String {
    format!("cannot read the file {path:?}: {e}")
}

/// Opens a file, and judges what was opened: a link may have taken the place of what was looked at before.
fn open_within(path: &Path, location: &str, reach: Reach<'_>) -> Result<io::Result<File>, NotAllowed> {
    let refused = || NotAllowed { location: location.to_owned() };
    let mut options = OpenOptions::new();
    options.read(true);
    if !matches!(reach, Reach::Anything) {
        // A pipe without a writer is not waited for.
        options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY);
    }
    let opened = options.open(path);
    let Reach::Within(places) = reach else { return Ok(opened) };
    let real = match &opened {
        Ok(file) => real_path(file, path).map_err(|_| refused())?,
        // Nor is told what there is elsewhere.
        Err(_) => path.ancestors().find_map(|above| above.canonicalize().ok()).ok_or_else(refused)?,
    };
    // Where nothing was opened, a folder above all places says nothing of what lies elsewhere.
    let above = opened.is_err() && places.lie_below(&real);
    if above || places.holds_real(&real) { Ok(opened) } else { Err(refused()) }
}

fn open(path: &Path, location: &str, reach: Reach<'_>) -> Result<Fetched, String> {
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let opened = open_within(path, location, reach).map_err(|e| e.to_string())?;
    let opened = opened.and_then(|file| file.metadata().map(|found| (file, found)));
    let (mut file, found) = opened.map_err(|e| cannot_read(&shown, &e))?;
    if found.is_file() {
        within(found.len(), MOST_BYTES).map_err(|why| format!("the file {shown:?} {why}"))?;
        return Ok(Fetched::File(OpenFile { file, path: shown, stamp: stamp(&found) }));
    }
    if found.is_dir() {
        return open_folder(path, location, reach).map(Fetched::Folder);
    }
    if !found.file_type().is_fifo() || !matches!(reach, Reach::Anything) {
        return Err(format!(
            "{shown:?} is no regular file: name a Parquet or CSV file, a folder of such, or a built baseline"
        ));
    }
    // A pipe can be read once only.
    let mut bytes = Vec::new();
    let read = (&mut file).take(MOST_PIPED + 1).read_to_end(&mut bytes).map_err(|e| cannot_read(&shown, &e))?;
    within(read as u64, MOST_PIPED).map_err(|why| format!("the pipe {shown:?} {why}"))?;
    Ok(Fetched::Memory(bytes))
}

/// Opens the files of a folder, each judged by what was opened.
fn open_folder(path: &Path, location: &str, reach: Reach<'_>) -> Result<Vec<(OpenFile, String)>, String> {
    let mut all = 0_u64;
    let open = |file: folder::FolderFile| match open(&file.path, location, reach)? {
        Fetched::File(opened) => {
            all = all.saturating_add(opened.stamp.0);
            within(all, MOST_BYTES).map_err(|why| format!("the folder {:?} {why}", path.display()))?;
            Ok((opened, file.name))
        }
        Fetched::Memory(_) | Fetched::Folder(_) => Err(format!("{:?} is no regular file", file.path.display())),
    };
    folder::files(path).map_err(|e| e.to_string())?.into_iter().map(open).collect()
}

fn within(length: u64, most: u64) -> Result<(), String> {
    if length <= most {
        return Ok(());
    }
    Err(format!(
        "is longer than {} GiB, the most that is read: sample it, or build a baseline of it elsewhere",
        most >> 30
    ))
}

fn remote(location: &str, stores: &Stores) -> Result<OpenFile, String> {
    let (store, path) = stores.open(location)?;
    // On a thread of its own, since the caller may be inside a runtime already.
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(async {
            match tokio::time::timeout(TIMEOUT, get(store.as_ref(), &path)).await {
                Ok(got) => got,
                Err(_) => Err(format!("no answer within {} s; is the store reachable?", TIMEOUT.as_secs())),
            }
        })
    };
    std::thread::scope(|s| {
        s.spawn(work).join().unwrap_or_else(|_| Err("the client of the object store stopped".to_owned()))
    })
}

/// Copies an object into a file without a name, a part at a time.
async fn get(store: &dyn ObjectStore, path: &object_store::path::Path) -> Result<OpenFile, String> {
    let got = store.get(path).await.map_err(|e| with_cause(&e))?;
    within(got.meta.size, MOST_BYTES).map_err(|why| format!("the object {why}"))?;
    let mut file = tempfile::tempfile().map_err(|e| format!("no file to fetch it into: {e}"))?;
    let (mut parts, mut length) = (got.into_stream(), 0);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|e| with_cause(&e))?;
        length += part.len() as u64;
        within(length, MOST_BYTES).map_err(|why| format!("the object {why}"))?;
        file.write_all(&part).map_err(|e| format!("cannot keep what was fetched: {e}"))?;
    }
    let found = file.metadata().map_err(|e| e.to_string())?;
    Ok(OpenFile { stamp: stamp(&found), path: path.to_string(), file })
}
