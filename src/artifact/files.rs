//! Files of an artifact on this machine. What a listing found of a file must still hold when it is opened and when its end is
//! reached, so that nothing else is read in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::own::Resolved;
use super::part::{At, Each, FileState, MOST_FILES, Part};
use crate::snapshot::places::real_path;

/// Folders within folders.
const DEEPEST: usize = 64;
/// Read at once.
const PIECE: usize = 1 << 20;

/// The files at and below a path, and whether it is one file. Links are followed to where `allowed` holds of the real path.
pub(super) fn list(root: &Path, allowed: &dyn Fn(&Path) -> bool, own: &Resolved) -> Result<(Vec<Part>, bool), String> {
    let real = root.canonicalize().map_err(|e| e.to_string())?;
    if !allowed(&real) {
        return Err("it is a link that leads out of where artifacts may lie".to_owned());
    }
    let mut found = Listing { parts: Vec::new(), entries: 0, allowed, own };
    let single = !std::fs::metadata(&real).map_err(|e| e.to_string())?.is_dir();
    found.add(&real, String::new(), false, 0)?;
    Ok((found.parts, single))
}

struct Listing<'a> {
    parts: Vec<Part>,
    entries: usize,
    allowed: &'a dyn Fn(&Path) -> bool,
    own: &'a Resolved,
}

impl Listing<'_> {
    fn add(&mut self, path: &Path, name: String, in_link: bool, depth: usize) -> Result<(), String> {
        let of = |e: io::Error| format!("{}: {e}", path.display());
        self.entries += 1;
        if self.entries > MOST_FILES {
            return Err(format!("it has more than {MOST_FILES} files and folders"));
        }
        if depth > DEEPEST {
            return Err(format!(
                "{} lies deeper than {DEEPEST} folders; is there a link to a folder above?",
                path.display()
            ));
        }
        let link = std::fs::symlink_metadata(path).map_err(of)?.is_symlink();
        let real = if link { path.canonicalize().map_err(of)? } else { path.to_owned() };
        if link && !(self.allowed)(&real) {
            return Err(format!("{} is a link that leads out of where artifacts may lie", path.display()));
        }
        let meta = std::fs::metadata(&real).map_err(of)?;
        if self.own.hold_real(&real, &meta) {
            return Err(format!("{} is a file of the daemon itself, and no artifact", path.display()));
        }
        if meta.is_dir() {
            for entry in std::fs::read_dir(&real).map_err(of)? {
                let entry = entry.map_err(of)?;
                let own = entry.file_name();
                let own = own.to_string_lossy();
                let name = if name.is_empty() { own.into_owned() } else { format!("{name}/{own}") };
                self.add(&entry.path(), name, in_link || link, depth + 1)?;
            }
            return Ok(());
        }
        if !meta.is_file() {
            // A pipe or a device has no end.
            return Err(format!("{} is not a regular file", path.display()));
        }
        let state = FileState::of(&meta);
        let stamp = format!("{state:?}");
        let at = At::File { path: real, state };
        self.parts.push(Part { name, length: meta.len(), stamp, link: in_link || link, at });
        Ok(())
    }
}

/// Gives the bytes of a file that is still what it was.
pub(super) fn read(path: &PathBuf, state: &FileState, each: Each<'_>) -> Result<(), String> {
    let of = |e: io::Error| format!("{}: {e}", path.display());
    let same = |file: &File| match file.metadata() {
        Ok(meta) if FileState::of(&meta) == *state => Ok(()),
        Ok(_) => Err(format!("{} changed while it was read", path.display())),
        Err(e) => Err(of(e)),
    };
    // A link or a pipe that took its place is not followed, and not waited for.
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let mut file = file.map_err(of)?;
    same(&file)?;
    // A link may have taken the place of a folder above it, before or after it was listed.
    if real_path(&file, path).map_err(of)? != *path {
        return Err(format!("{} lies elsewhere than it was listed", path.display()));
    }
    let mut buffer = vec![0; PIECE];
    let mut left = state.length();
    while left > 0 {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let read = read.min(usize::try_from(left).unwrap_or(usize::MAX));
                each(buffer.get(..read).unwrap_or_default())?;
                left -= read as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(of(e)),
        }
    }
    same(&file)
}
