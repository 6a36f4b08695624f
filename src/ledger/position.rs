//! Where a registry's file stands in the log that it follows: a row, written in the transaction of each change.

use rusqlite::{Connection, OptionalExtension as _};

/// The number of the last change that is in the file; `None`: the file follows no log.
pub(super) fn position(tx: &Connection) -> rusqlite::Result<Option<u64>> {
    let seq: Option<i64> = tx.prepare_cached("SELECT seq FROM replica")?.query_row([], |row| row.get(0)).optional()?;
    Ok(seq.map(i64::cast_unsigned))
}

/// Writes it.
pub(super) fn set_position(tx: &Connection, seq: u64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO replica (one, seq) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET seq = excluded.seq",
    )?
    .execute([seq.cast_signed()])?;
    Ok(())
}
