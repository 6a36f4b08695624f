//! What lies in a folder of data: names that begin with `.` or `_` are marks of whoever wrote it, and links to folders may lead round in circles.

use std::io;
use std::path::{Path, PathBuf};

/// The files and folders in a folder that are data, in the order of their paths.
///
/// # Errors
/// A folder that cannot be read.
pub fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    all.retain(|path| {
        let is_mark = path.file_name().is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')));
        !(is_mark || path.is_symlink() && path.is_dir())
    });
    all.sort_unstable();
    Ok(all)
}

/// A folder with files of this content, each at its path below it.
#[cfg(test)]
pub(crate) fn made(names: &[&str], content: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}
