//! Files of a state that is read: chunks grow beside their places, in the order that parts come, and are put there once all of the state is
//! there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::parts::Part;
use crate::checkpoint::files::{BEFORE, CHUNKS, FILE, Files};
use crate::checkpoint::write;
use crate::cluster::error::ClusterError;
use crate::private;
use driftgate_core::codec::hash;

/// Where chunks are while they are not whole, in the state folder.
const FOLDER: &str = "restoring";

/// The state folder while a state is read.
pub struct Staged {
    files: Files,
    folder: PathBuf,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ClusterError + '_ {
    |source| ClusterError::Folder { path: path.to_owned(), source }
}

impl Staged {
    /// Begins, without what an attempt before left.
    pub fn new(folder: &Path) -> Result<Self, ClusterError> {
        let staged = Self { files: Files::new(folder), folder: folder.join(FOLDER) };
        staged.clear()?;
        private::make_folder(&staged.folder).map_err(failed(&staged.folder))?;
        let chunks = staged.files.path(CHUNKS);
        private::make_folder(&chunks).map_err(failed(&chunks))?;
        Ok(staged)
    }

    fn clear(&self) -> Result<(), ClusterError> {
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(&self.folder)(e)),
            _ => Ok(()),
        }
    }

    /// Whether a chunk is in its place already, whole.
    pub fn is_there(&self, digest: &str) -> bool {
        has_digest(&self.files.chunk(digest), digest)
    }

    /// Puts a part of a chunk where it belongs in the whole.
    pub fn write(&self, part: &Part<'_>) -> Result<(), ClusterError> {
        let path = self.folder.join(part.digest);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(private::FILE).open(&path);
        file.and_then(|file| file.write_all_at(part.bytes, part.offset())).map_err(failed(&path))
    }

    /// Forgets a chunk that was deleted.
    pub fn remove(&self, digest: &str) {
        // What stays goes with the folder.
        let _ = fs::remove_file(self.folder.join(digest));
    }

    /// Puts a chunk into its place; whether it is what its name says.
    pub fn place(&self, digest: &str) -> Result<bool, ClusterError> {
        let path = self.folder.join(digest);
        if !has_digest(&path, digest) {
            return Ok(false);
        }
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed(&path))?;
        let place = self.files.chunk(digest);
        write::move_to(&path, &place).map_err(failed(&place))?;
        Ok(true)
    }

    /// Writes the checkpoint, whose chunks are in their places, and reads it back; one that was there before belongs to another state.
    pub fn finish(&self, checkpoint: &[u8], chunks: &std::collections::BTreeSet<String>) -> Result<bool, ClusterError> {
        let path = self.files.path(FILE);
        let fresh = write::write_beside(&path, checkpoint).map_err(failed(&path))?;
        let name = fresh.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let read = self.files.read(name)?;
        let is_whole = read.is_some_and(|mut read| read.bytes == checkpoint && read.digests() == *chunks);
        if !is_whole {
            return Ok(false);
        }
        let before = self.files.path(BEFORE);
        private::remove(&before).map_err(failed(&before))?;
        write::move_to(&fresh, &path).map_err(failed(&path))?;
        self.clear()?;
        Ok(true)
    }
}

fn has_digest(path: &Path, digest: &str) -> bool {
    File::open(path).and_then(hash::sha256_hex_of).is_ok_and(|found| found == digest)
}
