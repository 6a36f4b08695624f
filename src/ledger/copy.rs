//! A copy of a registry's file as it is at one moment, while others write to it. The copy holds what was committed by then; of the
//! file itself nothing changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// How long a copy waits for others that hold the file.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("there is no registry {0}: correct the path")]
    Missing(PathBuf),
    #[error("the registry {path} cannot be copied: {source}")]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("the copy of the registry {path} is damaged, and so is the registry: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("the path {0} cannot be written as a URL")]
    Path(PathBuf),
}

/// Writes the registry at `from` to the file `to`, which is not there yet, and checks the copy. Returns the registry's id. The copy
/// is a registry of its own, and follows no log of other processes.
///
/// # Errors
/// A registry that is not there or damaged, or a disk without room.
pub fn copy(from: &Path, to: &Path) -> Result<String, CopyError> {
    if !from.is_file() {
        return Err(CopyError::Missing(from.to_owned()));
    }
    let failed = |source| CopyError::Sqlite { path: from.to_owned(), source };
    let source = open(from)?;
    source.busy_timeout(PATIENCE).map_err(failed)?;
    // One transaction reads it all, of which writers take no notice.
    source.execute("VACUUM INTO ?1", [to.display().to_string()]).map_err(failed)?;
    crate::private::tighten(to);
    alone(to).map_err(failed)?;
    let copy = open(to)?;
    let found: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(CopyError::Damaged { path: from.to_owned(), what: found });
    }
    copy.query_row("SELECT id FROM likeness", [], |row| row.get(0)).map_err(failed)
}

/// Takes off the copy that it follows a log; a registry of a release before follows none.
fn alone(copy: &Path) -> rusqlite::Result<()> {
    let copy = Connection::open(copy)?;
    if copy.table_exists(None, "replica")? {
        copy.execute("DELETE FROM replica", [])?;
    }
    copy.close().map_err(|(_, error)| error)
}

/// Opens it to read. Without a write-ahead log nobody has it open, and then `SQLite` need not make the files that readers share.
fn open(path: &Path) -> Result<Connection, CopyError> {
    let unnamed = || CopyError::Path(path.to_owned());
    let absolute = std::path::absolute(path).map_err(|_| unnamed())?;
    let mut url = reqwest::Url::from_file_path(absolute).map_err(|()| unnamed())?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if !PathBuf::from(log).exists() {
        url.set_query(Some("immutable=1"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(url.as_str(), flags)
        .map_err(|source| CopyError::Sqlite { path: path.to_owned(), source })
}
