//! What a transaction changes, row by row: triggers of this connection alone note each row that is touched, with what it was before;
//! at the end the rows are looked at again. A row that is what it was is no change. The file has nothing of it: the triggers and
//! their table are temporary, and are there only while this process writes for others.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::rows::{self, Cell, Digest, Table};
use super::schema::later::FORMAT;

/// A row that a transaction changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RowChange {
    /// The table's place in the change.
    pub table: u16,
    pub id: i64,
    /// The digest of what it was.
    pub before: Option<Digest>,
    pub after: Option<Vec<Cell>>,
}

/// What a transaction changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Changed {
    /// The format of the registry's tables.
    pub format: i64,
    /// The id of the registry.
    pub registry: String,
    pub tables: Vec<Table>,
    /// By table and id.
    pub rows: Vec<RowChange>,
    /// Last numbers that are others now.
    pub sequences: Vec<(String, i64)>,
}

/// What a change begins with.
const MAGIC: &[u8; 4] = b"DGL1";
const DIGEST: usize = 16;

impl Changed {
    /// The change as it goes into the log: its bytes with their digest before them.
    pub fn encode(&self) -> Vec<u8> {
        let body = postcard::to_stdvec(self).unwrap_or_default();
        let digest = blake3::hash(&body);
        let mut bytes = Vec::with_capacity(MAGIC.len() + DIGEST + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(digest.as_bytes().get(..DIGEST).unwrap_or_default());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// A change of the log; otherwise why it cannot be read.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("it is none of this release")?;
        let (digest, body) = rest.split_at_checked(DIGEST).ok_or("it is cut")?;
        if blake3::hash(body).as_bytes().get(..DIGEST) != Some(digest) {
            return Err("its digest is another".to_owned());
        }
        postcard::from_bytes(body).map_err(|e| e.to_string())
    }
}

/// Notes the changes of a connection.
#[derive(Debug)]
pub(super) struct Capture {
    registry: String,
    tables: Vec<Table>,
}

impl Capture {
    /// Starts to note what this connection changes.
    pub fn start(connection: &Connection) -> rusqlite::Result<Self> {
        // In memory, and so without a file that a commit would sync. A replaced row is a deleted one.
        connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA recursive_triggers = ON")?;
        let tables = rows::tables(connection)?;
        let width = tables.iter().map(|t| t.columns.len()).max().unwrap_or(0);
        let kept: Vec<String> = (0..width).map(|at| format!("was_{at}")).collect();
        connection.execute_batch(&format!(
            "CREATE TEMP TABLE captured (of_table INTEGER NOT NULL, id INTEGER NOT NULL, had INTEGER NOT NULL, {});
             CREATE INDEX temp.captured_of ON captured (of_table, id);",
            kept.join(", ")
        ))?;
        for (at, table) in tables.iter().enumerate() {
            connection.execute_batch(&triggers(at, table, &kept))?;
        }
        let registry = connection.query_row("SELECT id FROM likeness", [], |row| row.get(0))?;
        Ok(Self { registry, tables })
    }

    /// Notes nothing more.
    pub fn stop(&self, connection: &Connection) -> rusqlite::Result<()> {
        for at in 0..self.tables.len() {
            connection.execute_batch(&format!(
                "DROP TRIGGER temp.captured_{at}_i; DROP TRIGGER temp.captured_{at}_u; DROP TRIGGER temp.captured_{at}_d"
            ))?;
        }
        connection.execute_batch("DROP TABLE temp.captured; PRAGMA recursive_triggers = OFF")
    }

    /// A transaction begins; the last numbers before it.
    pub fn begin(tx: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
        tx.prepare_cached("DELETE FROM temp.captured")?.execute([])?;
        rows::sequences(tx)
    }

    /// What the transaction changed; `None`: nothing.
    pub fn take(&self, tx: &Connection, before: &[(String, i64)]) -> rusqlite::Result<Option<Changed>> {
        let mut changed = Changed {
            format: FORMAT,
            registry: self.registry.clone(),
            tables: Vec::new(),
            rows: Vec::new(),
            sequences: rows::sequences(tx)?.into_iter().filter(|one| !before.contains(one)).collect(),
        };
        let mut last = None;
        {
            let mut statement = tx.prepare_cached("SELECT * FROM temp.captured ORDER BY of_table, id")?;
            let mut noted = statement.query([])?;
            while let Some(row) = noted.next()? {
                let (at, id, had): (u16, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let Some(table) = self.tables.get(usize::from(at)) else { continue };
                let before = if had { Some(rows::cells(row, 3, table.columns.len())?) } else { None };
                let after = table.row(tx, id)?;
                if before == after {
                    continue;
                }
                if last != Some(at) {
                    last = Some(at);
                    changed.tables.push(table.clone());
                }
                let before = before.as_deref().map(rows::digest);
                let table = u16::try_from(changed.tables.len() - 1).unwrap_or(u16::MAX);
                changed.rows.push(RowChange { table, id, before, after });
            }
        }
        tx.prepare_cached("DELETE FROM temp.captured")?.execute([])?;
        Ok((!changed.rows.is_empty() || !changed.sequences.is_empty()).then_some(changed))
    }
}

/// The triggers of a table. Only the first look at a row counts: later ones see what this transaction made of it. A statement's
/// own rule for conflicts would be taken over by what a trigger inserts, so there is none to meet.
fn triggers(at: usize, table: &Table, kept: &[String]) -> String {
    let (name, columns) = (rows::quoted(&table.name), table.columns.len());
    let into = kept.get(..columns).unwrap_or(kept).join(", ");
    let unseen = |id: &str| format!("WHERE NOT EXISTS (SELECT 1 FROM captured WHERE of_table = {at} AND id = {id})");
    let made = |when: &str| {
        format!("INSERT INTO captured (of_table, id, had) SELECT {at}, NEW.rowid, 0 {}{when};", unseen("NEW.rowid"))
    };
    let was = format!(
        "INSERT INTO captured (of_table, id, had, {into}) SELECT {at}, OLD.rowid, 1, {} {};",
        table.listed("OLD."),
        unseen("OLD.rowid")
    );
    format!(
        "CREATE TEMP TRIGGER captured_{at}_i AFTER INSERT ON main.{name} BEGIN {} END;
         CREATE TEMP TRIGGER captured_{at}_u AFTER UPDATE ON main.{name} BEGIN {was} {} END;
         CREATE TEMP TRIGGER captured_{at}_d AFTER DELETE ON main.{name} BEGIN {was} END;",
        made(""),
        made(" AND NEW.rowid <> OLD.rowid"),
    )
}
