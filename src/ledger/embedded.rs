//! The registry in an `SQLite` file: one connection that writes, one that reads, and what goes with every change.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::change::{Change, Sink};
use super::error::RegistryError;
use super::role::{Acting, Ended, Role};
use super::written::Written;
use crate::artifact::Artifacts;
use driftgate_core::audit::signed_head::Signer;

/// A registry in an `SQLite` file. Calls block, for up to five seconds while another process writes.
#[derive(Debug)]
pub struct Embedded {
    pub(super) connection: Mutex<Connection>,
    /// Reads while the other one writes, or waits to; a registry in memory has none.
    pub(super) reader: Option<Mutex<Connection>>,
    /// Signs the head of the audit log.
    pub(super) signer: Option<Signer>,
    /// The id of another key that signed before.
    pub(super) other_key: Option<String>,
    /// Where changes are sent.
    pub(super) sinks: Vec<Sink>,
    /// Artifacts that are read, and what was found of them.
    pub(super) artifacts: Artifacts,
    /// A caller waits until artifacts are read to their end.
    pub(super) waits_for_artifacts: bool,
    /// Versions that are promoted by themselves, if they may be, once their artifacts are read.
    pub(super) promoted_later: Mutex<HashSet<(String, String)>>,
    /// Transactions that were written.
    pub(super) written: Written,
    /// Who writes; locked after the connection.
    pub(super) acting: Mutex<Acting>,
}

impl Embedded {
    /// The registry, telling its changes to these sinks, too.
    #[must_use]
    pub fn telling(self, sinks: Vec<Sink>) -> Self {
        Self { sinks, ..self }
    }

    /// The registry, with artifacts that may lie elsewhere, too.
    #[must_use]
    pub fn with_artifacts(self, artifacts: Artifacts) -> Self {
        Self { artifacts, ..self }
    }

    /// The registry, waiting until artifacts are read, however long that takes: for a process that ends with its answer.
    #[must_use]
    pub fn waiting_for_artifacts(self) -> Self {
        Self { waits_for_artifacts: true, ..self }
    }

    /// Whether a caller waits until artifacts are read.
    #[must_use]
    pub fn waits_for_artifacts(&self) -> bool {
        self.waits_for_artifacts
    }

    /// Whether a version is promoted later already; from now on it is.
    #[must_use]
    pub fn promotes_later(&self, model: &str, version: &str) -> bool {
        let mut later = self.promoted_later.lock().unwrap_or_else(PoisonError::into_inner);
        !later.insert((model.to_owned(), version.to_owned()))
    }

    /// It was promoted, or may not be.
    pub fn promoted(&self, model: &str, version: &str) {
        let mut later = self.promoted_later.lock().unwrap_or_else(PoisonError::into_inner);
        later.remove(&(model.to_owned(), version.to_owned()));
    }

    /// Takes a role among several processes; waits for a write that is under way.
    ///
    /// # Errors
    /// A registry that fails, or one that cannot be an owner's: it does not follow the log, or did not read it to its end since
    /// a change whose outcome is unknown.
    pub fn set_role(&self, role: Role) -> Result<(), RegistryError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        acting.turn(&connection, role)
    }

    /// Why this process writes nothing more, if so: it has to end.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        match &*self.acting.lock().unwrap_or_else(PoisonError::into_inner) {
            Acting::Stopped(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// One transaction that takes the write lock first, so that it never fails half-way for another's write.
    pub(super) fn write<T>(
        &self,
        now_ms: i64,
        work: impl FnOnce(&Change<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let writing = acting.begin(&tx)?;
        let change = Change::new(&tx, &self.sinks, &self.artifacts, now_ms);
        let out = work(&change)?;
        change.seal(self.signer.as_ref())?;
        match writing.commit(tx) {
            Ok(()) => {}
            Err(Ended::Failed(error)) => return Err(error),
            Err(Ended::Stopped(why, logged)) => {
                acting.stop(&connection, &why);
                return Err(RegistryError::Log { why, logged });
            }
        }
        self.written.one_more(&connection);
        Ok(out)
    }

    /// How many transactions this process has written; each is synced to the disk.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.written.count()
    }

    /// As `read`, for what can fail in other ways than the database's.
    pub(super) fn read_checked<T>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.lock_to_read();
        let tx = connection.transaction()?;
        look(&tx)
    }

    fn lock_to_read(&self) -> MutexGuard<'_, Connection> {
        self.reader.as_ref().unwrap_or(&self.connection).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One snapshot: all its queries see the same state.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.lock_to_read();
        let tx = connection.transaction()?;
        Ok(look(&tx)?)
    }
}
