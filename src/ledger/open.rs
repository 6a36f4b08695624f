//! Opening a registry's file.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;

use super::embedded::Embedded;
use super::error::RegistryError;
use super::written::Written;
use super::{home, likeness, schema, upgrade};
use crate::artifact::Artifacts;
use crate::audit_key;
use crate::private;
use crate::snapshot::places::Places;
use crate::stores::Stores;

impl Embedded {
    /// Opens the registry at `path`; makes the file and its folder where they are missing.
    ///
    /// # Errors
    /// A path that cannot be opened or written, a damaged file, or one of another format.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        Self::open_within(path, schema::PATIENCE)
    }

    /// The same, waiting no longer than this for other processes.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_within(path: &Path, patience: Duration) -> Result<Self, RegistryError> {
        let connection = schema::open(path, patience)?;
        let reader = Some(Mutex::new(schema::reader(path, patience)?));
        let signer = audit_key::open(&Self::key_path(path)).map_err(|e| RegistryError::Audit(e.to_string()))?;
        let other_key = likeness::note_key(&connection, &signer.public_key().id())?;
        let upgraded = upgrade::is_due(&connection)?;
        let connection = Mutex::new(connection);
        let registry = Self {
            connection,
            reader,
            signer: Some(signer),
            other_key,
            sinks: Vec::new(),
            artifacts: Artifacts::new(Places::default(), Stores::default(), Some(path)),
            waits_for_artifacts: false,
            promoted_later: Mutex::default(),
            written: Written::default(),
            acting: Mutex::default(),
        };
        if upgraded {
            registry.write(crate::clock::now_ms(), upgrade::settle)?;
        }
        Ok(registry)
    }

    /// Opens the registry of one of several processes, which all sign with the key at `key`. It is copied beside the file, where every command
    /// finds it.
    ///
    /// # Errors
    /// As `open_within`; a key that is not there, or another one than the file has or was signed with.
    pub fn open_shared(path: &Path, key: &Path, patience: Duration) -> Result<Self, RegistryError> {
        let refused = |why: String| RegistryError::Audit(why);
        if !key.is_file() {
            return Err(refused(format!(
                "there is no audit key {}: all processes of a cluster sign with one key; give each the same file (cluster.audit_key), the key \
                 beside the registry that they begin with, or a new one by `openssl genpkey -algorithm ed25519`",
                key.display()
            )));
        }
        audit_key::open(key).map_err(|e| refused(e.to_string()))?;
        let beside = Self::key_path(path);
        if let Some(folder) = beside.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private::make_folder(folder).map_err(|e| refused(format!("{} cannot be made: {e}", folder.display())))?;
        }
        if !home::is_same(key, &beside) {
            home::copy_key(key, &beside).map_err(refused)?;
        }
        let registry = Self::open_within(path, patience)?;
        match registry.other_key() {
            None => Ok(registry),
            Some(other) => Err(refused(format!(
                "the records of {} are signed with another key, {other}, than {}: give this process the key that signed them, or begin \
                 with another file",
                path.display(),
                key.display()
            ))),
        }
    }

    /// Where the key that signs the audit log of a registry lies: beside it.
    #[must_use]
    pub fn key_path(path: &Path) -> PathBuf {
        audit_key::beside(path)
    }

    /// A registry that goes with the process.
    ///
    /// # Errors
    /// `SQLite` without memory.
    pub fn in_memory() -> Result<Self, RegistryError> {
        let registry = Self::made_in_memory()?;
        #[cfg(test)]
        super::shadow::follow(&registry)?;
        Ok(registry)
    }

    pub(super) fn made_in_memory() -> Result<Self, RegistryError> {
        let mut connection = Connection::open_in_memory()?;
        schema::prepare(&mut connection)?;
        let connection = Mutex::new(connection);
        Ok(Self {
            connection,
            reader: None,
            signer: None,
            other_key: None,
            sinks: Vec::new(),
            artifacts: Artifacts::default(),
            waits_for_artifacts: false,
            promoted_later: Mutex::default(),
            written: Written::default(),
            acting: Mutex::default(),
        })
    }
}
