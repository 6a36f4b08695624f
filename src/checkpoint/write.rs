//! Files of the state folder as they are written: whole, and there over a crash.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::private;

/// Writes a file as a whole: beside its place, synced, then moved there. Returns its size.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<u64> {
    move_to(&write_beside(path, bytes)?, path)?;
    Ok(bytes.len() as u64)
}

fn beside(path: &Path) -> PathBuf {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    fresh.into()
}

/// Writes what a file is to hold beside it, synced; returns where.
pub fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let fresh = beside(path);
    let mut file = private::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(fresh)
}

/// Moves a file into its place, where it stays over a crash.
pub fn move_to(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::rename(fresh, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Another name for a file; where the file system knows no such thing, a copy.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| {
        fs::copy(from, to)?;
        File::open(to)?.sync_all()
    })
}

/// The same where there may be a file of that name, which is replaced as a whole.
pub fn link_over(from: &Path, to: &Path) -> io::Result<()> {
    let fresh = beside(to);
    private::remove(&fresh)?;
    link(from, &fresh)?;
    fs::rename(&fresh, to)?;
    // Two names of one file are not moved over each other.
    if fresh.exists() { fs::remove_file(&fresh) } else { Ok(()) }
}
