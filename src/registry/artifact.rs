//! The digest of a model artifact, from its files as they are now: SHA-256 of a file, or of a folder's files by name.
//! A matching digest in a tag proves nothing; this does, where the files are reachable.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use crate::frame::{sha256_hex, sha256_hex_of};

/// Size and time of change of every file: as long as they stay, so does the digest.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Digests of artifacts that were read: gates are asked often, artifacts are large.
static KNOWN: LazyLock<Mutex<HashMap<PathBuf, (Stamp, Digested)>>> = LazyLock::new(Mutex::default);

/// A digest, or why there is none.
type Digested = Result<String, String>;

/// The digest of what lies at a location, lower-case hex. A folder's digest is that of lines `HEX  relative/path`, sorted
/// by path, as `sha256sum` writes them.
///
/// # Errors
/// Why the files cannot be read: a URL, a missing file, a folder without files, something that is no file.
pub fn digest(location: &str) -> Digested {
    let (stamp, digest) = compute(location);
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(PathBuf::from(location), (stamp, digest.clone()));
    digest
}

/// What `digest` last said of a location, without reading anything.
#[must_use]
pub fn known(location: &str) -> Option<Digested> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.get(Path::new(location)).map(|(_, digest)| digest.clone())
}

fn compute(location: &str) -> (Stamp, Digested) {
    let root = PathBuf::from(location);
    let stamp = match stamp(&root) {
        _ if location.contains("://") => return (Vec::new(), Err(format!("{location} is not a path of this machine"))),
        Ok(stamp) if stamp.is_empty() => return (stamp, Err(format!("{location} holds no files"))),
        Ok(stamp) => stamp,
        Err(e) => return (Vec::new(), Err(format!("{location} cannot be read: {e}"))),
    };
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&root).cloned();
    if let Some((_, digest)) = known.filter(|(then, _)| *then == stamp) {
        return (stamp, digest);
    }
    let digest = of_files(&root, &stamp).map_err(|e| format!("{location} cannot be read: {e}"));
    (stamp, digest)
}

fn of_files(root: &Path, stamp: &Stamp) -> io::Result<String> {
    if root.is_file() {
        return of_file(root);
    }
    let mut lines = String::new();
    for (path, ..) in stamp {
        let name = path.strip_prefix(root).unwrap_or(path);
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{}  {}", of_file(path)?, name.display());
    }
    Ok(sha256_hex(lines.as_bytes()))
}

fn of_file(path: &Path) -> io::Result<String> {
    sha256_hex_of(File::open(path)?)
}

/// The files below a path, sorted.
fn stamp(root: &Path) -> io::Result<Stamp> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = std::fs::metadata(&path)?;
        if meta.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if !meta.is_file() {
            // A pipe or a device has no end.
            return Err(io::Error::other(format!("{} is not a regular file", path.display())));
        } else {
            found.push((path, meta.len(), meta.modified().ok()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_that_sha256sum_prints_and_a_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.bin");
        std::fs::write(&file, "abc").unwrap();
        let of = || digest(file.to_str().unwrap());
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of().as_deref(), Ok(abc));
        assert_eq!(of().as_deref(), Ok(abc), "from memory");
        std::fs::write(&file, "abcd").unwrap();
        assert_ne!(of().as_deref(), Ok(abc));
    }

    #[test]
    fn a_folder_is_its_files_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/b"), "abc").unwrap();
        std::fs::write(folder.path().join("a"), "").unwrap();
        let lines = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n\
                     ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  sub/b\n";
        assert_eq!(digest(folder.path().to_str().unwrap()), Ok(sha256_hex(lines.as_bytes())));
    }

    #[test]
    fn what_is_not_reachable_says_why() {
        assert!(digest("s3://bucket/model").unwrap_err().contains("not a path of this machine"));
        assert!(digest("no/such/model").unwrap_err().starts_with("no/such/model cannot be read: "));
        let folder = tempfile::tempdir().unwrap();
        assert!(digest(folder.path().to_str().unwrap()).unwrap_err().ends_with("holds no files"));
        let device = digest("/dev/zero").unwrap_err();
        assert!(device.ends_with("is not a regular file"), "{device}");
        assert_eq!(known("/dev/zero"), Some(Err(device)));
        assert_eq!(known("never/looked/at"), None);
    }
}
