//! How far the results of the units were applied: a row, written in the transaction of each change that they lead to, so that every process's
//! copy has it, and whoever writes next goes on from it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::embedded::Embedded;
use super::error::RegistryError;

/// The table; a release of the same format that does not know it leaves it as it is.
pub(super) const RESULTS: &str = "
CREATE TABLE IF NOT EXISTS results (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    ends  INTEGER NOT NULL,
    items INTEGER NOT NULL,
    next  INTEGER NOT NULL
) STRICT;
";

/// How far the results were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// All sets whose last record is up to this offset.
    pub end: i64,
    /// Of the set after it, so many items.
    pub items: u64,
    /// The topic is read on from this offset.
    pub next: i64,
}

impl Default for Applied {
    fn default() -> Self {
        Self { end: -1, items: 0, next: 0 }
    }
}

impl Embedded {
    /// How far the results were applied; `None`: none were.
    ///
    /// # Errors
    /// A registry that fails.
    pub fn results_applied(&self) -> Result<Option<Applied>, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT ends, items, next FROM results")?
                .query_row([], |row| {
                    Ok(Applied { end: row.get(0)?, items: row.get::<_, i64>(1)?.cast_unsigned(), next: row.get(2)? })
                })
                .optional()
        })
    }
}

/// Writes it.
pub(super) fn set(tx: &Connection, applied: Applied) -> rusqlite::Result<()> {
    let Applied { end, items, next } = applied;
    tx.prepare_cached(
        "INSERT INTO results (one, ends, items, next) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT (one) DO UPDATE SET ends = excluded.ends, items = excluded.items, next = excluded.next",
    )?
    .execute(params![end, items.cast_signed(), next])?;
    Ok(())
}
