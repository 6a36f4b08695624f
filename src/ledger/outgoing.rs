//! Messages that wait for delivery: read in order, removed once they were delivered. A restart goes on where it was.

use rusqlite::{Connection, params};

use super::change::{Outgoing, Sink};
use super::embedded::Embedded;
use super::error::RegistryError;
use super::mirror;
use driftgate_core::fact::attestation;

impl Embedded {
    /// The next things for a sink, the oldest first.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn outgoing(&self, sink: Sink, most: usize) -> Result<Vec<Outgoing>, RegistryError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.read(|tx| {
            tx.prepare_cached("SELECT id, key, body, at FROM outgoing WHERE sink = ?1 ORDER BY id LIMIT ?2")?
                .query_map(params![sink.name(), most], |row| {
                    Ok(Outgoing { id: row.get(0)?, key: row.get(1)?, body: row.get(2)?, at_ms: row.get(3)? })
                })?
                .collect()
        })
    }

    /// How many things wait, by sink: records and posts, and models with changes that the external registry does not have.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn waiting(&self) -> Result<Vec<(String, u64)>, RegistryError> {
        self.read(|tx| {
            let mut waiting: Vec<(String, u64)> = tx
                .prepare_cached("SELECT sink, count(*) FROM outgoing GROUP BY sink ORDER BY sink")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?
                .collect::<Result<_, _>>()?;
            waiting.extend(self.undelivered_to_registry(tx)?);
            waiting.sort();
            Ok(waiting)
        })
    }

    /// Takes off what was delivered.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn delivered(&self, ids: &[i64]) -> Result<(), RegistryError> {
        self.write(0, |change| {
            let mut delete = change.prepare_cached("DELETE FROM outgoing WHERE id = ?1")?;
            for id in ids {
                delete.execute([id])?;
            }
            Ok(())
        })
    }

    /// A statement in a bundle that the audit log's key signed; `None`: this process has no key, and only reads.
    #[must_use]
    pub fn attest(&self, statement: &str) -> Option<String> {
        self.signer.as_ref().map(|signer| attestation::bundle(statement, signer))
    }

    /// Models with a change that the external registry does not have yet, with the number of the change.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn unsettled(&self) -> Result<Vec<(String, i64)>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT model, changed FROM mirror WHERE changed > settled ORDER BY model")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// The external registry says what it shall of a model, up to a change; later ones are still due.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn settled(&self, model: &str, changed: i64) -> Result<(), RegistryError> {
        self.write(0, |change| {
            change
                .prepare_cached("UPDATE mirror SET settled = max(settled, ?2) WHERE model = ?1")?
                .execute(params![model, changed])?;
            Ok(())
        })
    }

    /// An alias is about to be moved in the external registry: if it is there afterwards, it was moved by us.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn writing(&self, model: &str, alias: &str, version: &str) -> Result<(), RegistryError> {
        self.write(0, |change| {
            change
                .prepare_cached("INSERT OR REPLACE INTO mirror_writes (model, alias, version) VALUES (?1, ?2, ?3)")?
                .execute([model, alias, version])?;
            Ok(())
        })
    }

    /// The version that an alias is on there now that we moved it.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn mirrored(&self, model: &str, alias: &str, version: &str) -> Result<(), RegistryError> {
        self.write(0, |change| mirror::mirrored(change, model, alias, version))
    }

    /// Models with something that the external registry does not have yet, where there is one.
    fn undelivered_to_registry(&self, tx: &Connection) -> rusqlite::Result<Option<(String, u64)>> {
        let external = self.sinks.iter().find(|sink| matches!(sink, Sink::Registry(_)));
        let Some(external) = external else { return Ok(None) };
        let count: i64 = tx
            .prepare_cached("SELECT count(*) FROM mirror WHERE changed > settled")?
            .query_row([], |row| row.get(0))?;
        Ok((count > 0).then(|| (external.name(), count.cast_unsigned())))
    }
}
