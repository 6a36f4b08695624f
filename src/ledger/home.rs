//! Where the registry lies. Releases before kept it in the state folder, which operators move away to count anew; from there
//! it is moved to a folder of its own, once: the key first, as a copy, then the database by one rename, then the old key goes.
//! Whatever moment a crash comes at, one of the two places holds the whole registry, and the next start goes on.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Embedded;

use crate::telemetry::events::registry::OldKeyStays;

/// How long another process may take to let go of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a registry is found that may have to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// At its place.
    There,
    /// It was moved to its place just now.
    Moved,
    /// It is where it was before, and why.
    Stays(PathBuf, String),
    /// There is another one where a release before kept it; the one at its place is used.
    Both(PathBuf),
}

/// What a move may be stopped by.
type Step<'s> = &'s mut dyn FnMut(&'static str) -> Result<(), String>;

/// Where the registry of this path is, without moving it: there, or where a release before kept it.
#[must_use]
pub fn find(path: &Path, before: &Path) -> PathBuf {
    if !path.exists() && before.exists() { before.to_owned() } else { path.to_owned() }
}

/// Sees that the registry that a release before kept at `before` is at `path`.
#[must_use]
pub fn settle(path: &Path, before: &Path) -> Home {
    settle_by(path, before, &mut |_| Ok(()))
}

fn settle_by(path: &Path, before: &Path, step: Step<'_>) -> Home {
    if is_same(path, before) {
        return Home::There;
    }
    match (path.exists(), before.exists()) {
        (true, true) => Home::Both(before.to_owned()),
        (false, false) => Home::There,
        (true, false) => {
            if let Err(why) = drop_old_key(path, before, step) {
                OldKeyStays { key: &Embedded::key_path(before), why: &why }.emit();
            }
            Home::There
        }
        (false, true) => match move_to(path, before, step) {
            Ok(()) => Home::Moved,
            // Another process was faster, or it is moved but for what is left to tidy up.
            Err(_) if path.exists() => Home::There,
            Err(why) => Home::Stays(before.to_owned(), why),
        },
    }
}

/// Whether both paths are one place.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    let whole = |path: &Path| {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::canonicalize(folder).map(|folder| folder.join(path.file_name().unwrap_or_default()))
    };
    a == b || matches!((whole(a), whole(b)), (Ok(a), Ok(b)) if a == b)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn move_to(path: &Path, before: &Path, step: Step<'_>) -> Result<(), String> {
    let folder = folder_of(path);
    let failed = |what: &str, e: io::Error| format!("{what}: {e}");
    crate::private::make_folder(folder).map_err(|e| failed(&format!("{} cannot be made", folder.display()), e))?;
    sync(folder_of(folder)).map_err(|e| failed("its folder cannot be synced", e))?;
    step("folder")?;
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev());
    if device(folder).ok() != device(before).ok() {
        return Err(format!("{} lies on another file system", folder.display()));
    }
    let connection = alone(before)?;
    step("alone")?;
    copy_key(&Embedded::key_path(before), &Embedded::key_path(path))?;
    step("key")?;
    // No process reads or writes it while it is renamed.
    let locked = connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    locked.map_err(|e| format!("another process uses it: {e}"))?;
    fs::rename(before, path).map_err(|e| failed("it cannot be renamed", e))?;
    step("rename")?;
    sync(folder).and_then(|()| sync(folder_of(before))).map_err(|e| failed("its folders cannot be synced", e))?;
    step("sync")?;
    drop(connection);
    drop_old_key(path, before, step)
}

/// The registry as one file, without a log beside it, that no other process has open.
fn alone(path: &Path) -> Result<Connection, String> {
    let open = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
        Ok::<_, rusqlite::Error>((connection, mode))
    };
    match open() {
        Ok((connection, mode)) if mode == "delete" => Ok(connection),
        Ok(_) => Err("another process uses it".to_owned()),
        Err(e) => Err(format!("another process uses it, or it is damaged: {e}")),
    }
}

/// Sees that `to` is the key at `from`, if there is one.
pub(super) fn copy_key(from: &Path, to: &Path) -> Result<(), String> {
    let read = |path: &Path| match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("the audit key {} cannot be read: {e}", path.display())),
    };
    let Some(key) = read(from)? else { return Ok(()) };
    match read(to)? {
        Some(there) if there == key => return Ok(()),
        Some(_) => {
            return Err(format!(
                "the audit keys {} and {} differ: move the one that did not sign its records away",
                from.display(),
                to.display()
            ));
        }
        None => {}
    }
    let write = || {
        let folder = folder_of(to);
        let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
        file.write_all(&key)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(to)?;
        sync(folder)
    };
    write().map_err(|e| format!("the audit key cannot be copied to {}: {e}", to.display()))
}

/// The old key goes once the registry and its key are at their place.
fn drop_old_key(path: &Path, before: &Path, step: Step<'_>) -> Result<(), String> {
    let (old, new) = (Embedded::key_path(before), Embedded::key_path(path));
    if is_same(&old, &new) || !old.exists() {
        return Ok(());
    }
    copy_key(&old, &new)?;
    fs::remove_file(&old).map_err(|e| e.to_string())?;
    step("old key")?;
    sync(folder_of(&old)).map_err(|e| e.to_string())
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftgate_core::promotion::version::Registration;

    /// A registry in a state folder, with what a crash left of its log.
    fn before(folder: &Path) -> (PathBuf, PathBuf) {
        let (before, path) = (folder.join("state/registry.db"), folder.join("registry/registry.db"));
        let registry = Embedded::open(&before).unwrap();
        for version in ["1", "2"] {
            let registration = Registration { model: "m".into(), version: version.into(), ..Registration::default() };
            registry.register(&registration, "ann", 1).unwrap();
        }
        registry.set_stage("m", "prod", "1", "ann", "first", 2).unwrap();
        (path, before)
    }

    fn assert_whole(path: &Path, place: &str) {
        let registry = Embedded::open(path).unwrap();
        let versions = registry.versions(Some("m")).unwrap();
        assert_eq!(versions.len(), 2, "{place}");
        assert_eq!(versions[0].stages, ["prod"], "{place}");
        assert_eq!(registry.other_key(), None, "{place}: signed with its own key");
    }

    #[test]
    fn a_crash_at_any_step_of_the_move_leaves_one_whole_registry_and_the_next_start_goes_on() {
        let steps = ["folder", "alone", "key", "rename", "sync", "old key"];
        for stop in steps {
            let folder = tempfile::tempdir().unwrap();
            let (path, before) = before(folder.path());
            let mut seen = Vec::new();
            let _ = settle_by(&path, &before, &mut |step| {
                seen.push(step);
                if step == stop { Err("crashed".to_owned()) } else { Ok(()) }
            });
            assert_eq!(seen.last(), Some(&stop));
            assert!(path.exists() != before.exists(), "{stop}: one of both");
            let found = find(&path, &before);
            assert!(Embedded::key_path(&found).exists(), "{stop}: its key is beside it");
            assert_whole(&found, stop);
            assert!(matches!(settle(&path, &before), Home::Moved | Home::There), "{stop}");
            assert_whole(&path, stop);
            assert_eq!(fs::read_dir(folder.path().join("state")).unwrap().count(), 0, "{stop}: nothing is left behind");
            assert_eq!(settle(&path, &before), Home::There);
        }
    }

    #[test]
    fn what_somebody_uses_or_another_key_stays_and_of_two_the_one_at_its_place_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let (path, before) = before(folder.path());
        let open = Embedded::open(&before).unwrap();
        let Home::Stays(at, why) = settle(&path, &before) else { panic!("it was moved") };
        assert!(at == before && why.contains("another process uses it"), "{why}");
        drop(open);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(Embedded::key_path(&path), "another").unwrap();
        let Home::Stays(_, why) = settle(&path, &before) else { panic!("it was moved") };
        assert!(why.contains("differ"), "{why}");
        assert_whole(&before, "it stays");
        fs::remove_file(Embedded::key_path(&path)).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(settle(&path, &before), Home::Both(before.clone()));
        assert_eq!(settle(&before, &folder.path().join("state/../state/registry.db")), Home::There);
    }
}
