//! What tells one registry file from another, and one audit key from another: an id that is drawn when the file is made, and
//! the key that its records were signed with first.

use rusqlite::{Connection, OptionalExtension as _};

use super::embedded::Embedded;
use super::error::RegistryError;

/// The row of a file's id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    pub id: String,
    /// When the file was made: wall clock, ms. `None`: by a release before.
    pub made_ms: Option<i64>,
    /// The id of the key that signs its records.
    pub key_id: Option<String>,
}

impl Embedded {
    /// What tells this registry from others.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn likeness(&self) -> Result<Likeness, RegistryError> {
        self.read(read)
    }

    /// The id of the key that signed its records, where that is not the key beside it.
    #[must_use]
    pub fn other_key(&self) -> Option<&str> {
        self.other_key.as_deref()
    }

    /// From now on the key beside it is its key.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn accept_key(&self) -> Result<(), RegistryError> {
        let Some(signer) = &self.signer else { return Ok(()) };
        let id = signer.public_key().id();
        self.write(0, |change| {
            change.execute("UPDATE likeness SET key_id = ?1", [&id])?;
            Ok(())
        })
    }
}

fn read(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<Likeness> {
    tx.query_row("SELECT id, made_ms, key_id FROM likeness", [], |row| {
        Ok(Likeness { id: row.get(0)?, made_ms: row.get(1)?, key_id: row.get(2)? })
    })
}

/// Notes the key of a registry that has none yet; the id of another one that signed before.
pub(super) fn note_key(connection: &Connection, id: &str) -> rusqlite::Result<Option<String>> {
    let noted: Option<String> = connection.query_row("SELECT key_id FROM likeness", [], |row| row.get(0))?;
    let signed = || {
        let last = "SELECT json FROM audit_checkpoints ORDER BY seq DESC LIMIT 1";
        let json: Option<String> = connection.query_row(last, [], |row| row.get(0)).optional()?;
        let checkpoint: Option<serde_json::Value> = json.and_then(|json| serde_json::from_str(&json).ok());
        Ok::<_, rusqlite::Error>(checkpoint.and_then(|c| Some(c.get("key_id")?.as_str()?.to_owned())))
    };
    let known = if let Some(known) = noted {
        known
    } else {
        let known = signed()?.unwrap_or_else(|| id.to_owned());
        connection.execute("UPDATE likeness SET key_id = ?1 WHERE key_id IS NULL", [&known])?;
        known
    };
    Ok(Some(known).filter(|known| known != id))
}
