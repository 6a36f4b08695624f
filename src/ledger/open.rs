//! Opening a registry's file.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rusqlite::Connection;

use super::embedded::Embedded;
use super::error::RegistryError;
use super::{likeness, schema, upgrade};
use crate::artifact::Artifacts;
use crate::audit_key;
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
            written: AtomicU64::new(0),
        };
        if upgraded {
            registry.write(crate::clock::now_ms(), upgrade::settle)?;
        }
        Ok(registry)
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
            written: AtomicU64::new(0),
        })
    }
}
