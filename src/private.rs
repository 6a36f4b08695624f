//! Files and folders of the state: their owner alone reads and writes them, whatever the umask says.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::telemetry::events::registry::OpenToOthers;

/// The mode of a file.
pub const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;
/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Makes a folder, and those above it, where they are missing; those that are there stay as they are.
///
/// # Errors
/// A folder that cannot be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(path)
}

/// Makes an empty file where there is none.
///
/// # Errors
/// A file that cannot be made.
pub fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Makes a file, or empties the one that is there.
///
/// # Errors
/// A file that cannot be written.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE).open(path)?;
    tighten(path);
    Ok(file)
}

/// Writes a file whole.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut create(path)?, bytes)
}

/// Opens a file to append to it.
///
/// # Errors
/// A file that cannot be written.
pub fn append(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(FILE).open(path)?;
    tighten(path);
    Ok(file)
}

/// Removes a file, if it is there.
///
/// # Errors
/// A file that cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Takes the rights of others from a file that is there; where that cannot be done, it is logged.
pub fn tighten(path: &Path) {
    let Ok(meta) = fs::metadata(path) else { return };
    let mode = meta.permissions().mode() & 0o777;
    if !meta.is_file() || mode & OTHERS == 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => OpenToOthers::Closed { file: path, mode }.emit(),
        Err(error) => OpenToOthers::Stays { file: path, mode, error: &error }.emit(),
    }
}

/// The same for every file of a folder and of those in it.
pub fn tighten_all(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => tighten_all(&entry.path()),
            Ok(kind) if kind.is_file() => tighten(&entry.path()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_the_owners_and_what_was_wider_is_tightened() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        make_folder(&state).unwrap();
        make_folder(&state).unwrap();
        assert_eq!((mode(&folder.path().join("a")), mode(&state)), (0o700, 0o700));
        for (name, make) in [("made", make_file as fn(&Path) -> io::Result<()>), ("written", |p| write(p, b"x"))] {
            make(&state.join(name)).unwrap();
            assert_eq!(mode(&state.join(name)), 0o600, "{name}");
        }
        drop(append(&state.join("appended")).unwrap());
        assert_eq!(mode(&state.join("appended")), 0o600);
        make_folder(&state.join("chunks")).unwrap();
        fs::write(state.join("chunks/wide"), "x").unwrap();
        fs::set_permissions(state.join("chunks/wide"), Permissions::from_mode(0o664)).unwrap();
        tighten_all(&state);
        assert_eq!(mode(&state.join("chunks/wide")), 0o600);
        assert_eq!(fs::read(state.join("chunks/wide")).unwrap(), b"x");
        tighten(&state.join("none"));
    }
}
