//! Who writes to the registry. A process alone writes to its file. Of several processes one writes, its owner: each change is in the
//! log that the others read before it is in its own file. The others are standbys: their files follow the log, and no caller
//! changes them.

use std::fmt::Debug;
use std::sync::Arc;

use rusqlite::{Connection, Transaction};

use super::capture::Capture;
use super::error::{Logged, RegistryError};
use super::position::{position, set_position};
use crate::transaction::Outcome;

/// The log of changes that every process reads.
pub trait ChangeLog: Send + Sync + Debug {
    /// Adds the change of this number. Only `Done` says that it is there; after `Ended` and `Unknown` nothing more may be added by this process.
    fn append(&self, seq: u64, change: &[u8]) -> Outcome;
}

/// What this process is to the registry.
#[derive(Clone, Debug, Default)]
pub enum Role {
    /// The only one: no log.
    #[default]
    Alone,
    /// It follows the log; writes go to the owner (its URL), if there is one.
    Standby { owner: Option<String> },
    /// It writes, to the log first.
    Owner(Arc<dyn ChangeLog>),
}

/// A role, and what it takes.
#[derive(Debug, Default)]
pub(super) enum Acting {
    #[default]
    Alone,
    Standby {
        owner: Option<String>,
    },
    Owner(Arc<dyn ChangeLog>, Capture),
    /// It was the owner, and others write now, or it does not know what the log has.
    Stopped(String),
}

/// A write that began, as it ends.
pub(super) enum Writing<'a> {
    Alone,
    Owner { log: Arc<dyn ChangeLog>, capture: &'a Capture, before: Vec<(String, i64)> },
}

impl Acting {
    /// Takes a role.
    pub fn turn(&mut self, connection: &Connection, role: Role) -> Result<(), RegistryError> {
        if let (Role::Owner(_), Self::Stopped(why)) = (&role, &*self) {
            return Err(RegistryError::Log { why: why.clone(), logged: Logged::Ended });
        }
        if let (Role::Owner(_), None) = (&role, position(connection)?) {
            let why = "this registry does not follow the log yet: it takes the log's snapshot first".to_owned();
            return Err(RegistryError::Log { why, logged: Logged::Refused });
        }
        if let Self::Owner(_, capture) = &*self {
            capture.stop(connection)?;
            *self = Self::Standby { owner: None };
        }
        *self = match role {
            Role::Alone => Self::Alone,
            Role::Standby { owner } => Self::Standby { owner },
            Role::Owner(log) => Self::Owner(log, Capture::start(connection)?),
        };
        Ok(())
    }

    /// Nothing more is written: others write now, or what the log has is not known.
    pub fn stop(&mut self, connection: &Connection, why: &str) {
        if let Self::Owner(_, capture) = std::mem::replace(self, Self::Stopped(why.to_owned())) {
            // A connection that cannot drop its own triggers notes what nobody asks for.
            let _ = capture.stop(connection);
        }
    }

    /// A write begins.
    pub fn begin(&self, tx: &Connection) -> Result<Writing<'_>, RegistryError> {
        match self {
            Self::Alone => match position(tx)? {
                None => Ok(Writing::Alone),
                Some(_) => Err(RegistryError::Copy),
            },
            Self::Standby { owner } => Err(RegistryError::Standby { owner: owner.clone() }),
            Self::Owner(log, capture) => {
                Ok(Writing::Owner { log: Arc::clone(log), capture, before: Capture::begin(tx)? })
            }
            Self::Stopped(why) => Err(RegistryError::Log { why: why.clone(), logged: Logged::Ended }),
        }
    }
}

impl Writing<'_> {
    /// Ends a transaction: the change is in the log, then in the file.
    pub fn commit(self, tx: Transaction<'_>) -> Result<(), Ended> {
        let Self::Owner { log, capture, before } = self else { return Ok(tx.commit()?) };
        let Some(changed) = capture.take(&tx, &before)? else { return Ok(tx.commit()?) };
        let seq = position(&tx)?.unwrap_or(0) + 1;
        set_position(&tx, seq)?;
        let change = changed.encode();
        match log.append(seq, &change) {
            Outcome::Done => tx.commit().map_err(|e| {
                let why = format!("change {seq} is in the log and cannot be written to this process's file: {e}");
                Ended::Stopped(why, Logged::Unknown)
            }),
            Outcome::Refused(why) => Err(RegistryError::Log { why, logged: Logged::Refused }.into()),
            Outcome::Ended(why) => Err(Ended::Stopped(why, Logged::Ended)),
            Outcome::Unknown(why) => {
                let why = format!("whether change {seq} is in the log is not known: {why}");
                Err(Ended::Stopped(why, Logged::Unknown))
            }
        }
    }
}

/// How a transaction ended that is not committed here.
pub(super) enum Ended {
    Failed(RegistryError),
    /// Nothing more may be written; what became of this change.
    Stopped(String, Logged),
}

impl From<RegistryError> for Ended {
    fn from(error: RegistryError) -> Self {
        Self::Failed(error)
    }
}

impl From<rusqlite::Error> for Ended {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests;
