//! The audit log as it is kept here: read for people, and handed to the check that knows how a chain must look.

use serde_json::Value;

use super::Embedded;
use crate::audit::chain::Row;
use crate::audit::checkpoint::Checkpoint;
use crate::registry::RegistryError;

impl Embedded {
    /// Records of a model (of all for `None`), the oldest first, as JSON; at most the last `most`.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn audit(&self, model: Option<&str>, most: usize) -> Result<Vec<Value>, RegistryError> {
        let texts: Vec<String> = self.read(|tx| {
            tx.prepare_cached("SELECT bytes FROM audit ORDER BY seq DESC")?.query_map([], |row| row.get(0))?.collect()
        })?;
        let mut found: Vec<Value> = texts
            .iter()
            .filter_map(|text| serde_json::from_str::<Value>(text).ok())
            .filter(|record| model.is_none_or(|model| record.get("model").and_then(Value::as_str) == Some(model)))
            .take(most)
            .collect();
        found.reverse();
        Ok(found)
    }

    /// Every row of the log as it is stored, in the order of its numbers.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn audit_rows(&self) -> Result<Vec<Row>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT seq, CAST(bytes AS BLOB), CAST(hash AS TEXT) FROM audit ORDER BY seq")?
                .query_map([], |row| {
                    Ok(Row { seq: row.get::<_, i64>(0)?.cast_unsigned(), bytes: row.get(1)?, hash: row.get(2)? })
                })?
                .collect()
        })
    }

    /// The signed heads that are kept beside the log, and the numbers of those that cannot be read.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn audit_checkpoints(&self) -> Result<(Vec<Checkpoint>, Vec<u64>), RegistryError> {
        let rows: Vec<(i64, Vec<u8>)> = self.read(|tx| {
            tx.prepare_cached("SELECT seq, CAST(json AS BLOB) FROM audit_checkpoints ORDER BY seq")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for (seq, json) in rows {
            match serde_json::from_slice(&json) {
                Ok(checkpoint) => readable.push(checkpoint),
                Err(_) => unreadable.push(seq.cast_unsigned()),
            }
        }
        Ok((readable, unreadable))
    }
}
