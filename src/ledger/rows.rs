//! Rows of any table as values, and the tables whose rows every process of a cluster has. A row is told by its row id, in tables
//! with a key of text, too: what is read in the order of entry has one order everywhere.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql};
use serde::{Deserialize, Serialize};

/// The tables that stay with their file: where the file's reading of the log stands, and what was found of artifacts, which follows
/// from the files that this process sees.
const STAYING: [&str; 2] = ["replica", "artifacts"];

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Cell {
    fn of(value: ValueRef<'_>) -> rusqlite::Result<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            ValueRef::Text(_) => Self::Text(value.as_str()?.to_owned()),
            ValueRef::Blob(value) => Self::Blob(value.to_vec()),
        })
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

/// So many columns of a row, from the column `first` on.
pub(super) fn cells(row: &Row<'_>, first: usize, columns: usize) -> rusqlite::Result<Vec<Cell>> {
    (first..first + columns).map(|at| Cell::of(row.get_ref(at)?)).collect()
}

/// What tells a row from what it was.
pub(super) type Digest = [u8; 16];

/// The digest of a row.
pub(super) fn digest(cells: &[Cell]) -> Digest {
    let bytes = postcard::to_stdvec(cells).unwrap_or_default();
    let mut out = Digest::default();
    blake3::Hasher::new().update(&bytes).finalize_xof().fill(&mut out);
    out
}

/// A table and its columns, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Table {
    pub name: String,
    pub columns: Vec<String>,
}

/// A name as SQL has it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    /// The columns after each other, each with this before its name.
    pub fn listed(&self, before: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|c| format!("{before}{}", quoted(c))).collect();
        names.join(", ")
    }

    /// The row of this id.
    pub fn row(&self, tx: &Connection, id: i64) -> rusqlite::Result<Option<Vec<Cell>>> {
        let query = format!("SELECT {} FROM {} WHERE rowid = ?1", self.listed(""), quoted(&self.name));
        tx.prepare_cached(&query)?.query_row([id], |row| cells(row, 0, self.columns.len())).optional()
    }

    /// Takes the row of this id away.
    pub fn remove(&self, tx: &Connection, id: i64) -> rusqlite::Result<()> {
        let statement = format!("DELETE FROM {} WHERE rowid = ?1", quoted(&self.name));
        tx.prepare_cached(&statement)?.execute([id])?;
        Ok(())
    }

    /// Puts a row of this id there, where there is none.
    pub fn put(&self, tx: &Connection, id: i64, cells: &[Cell]) -> rusqlite::Result<()> {
        let mut statement = format!("INSERT INTO {} (rowid, {}) VALUES (?", quoted(&self.name), self.listed(""));
        for _ in &self.columns {
            statement.push_str(", ?");
        }
        statement.push(')');
        let mut statement = tx.prepare_cached(&statement)?;
        if statement.parameter_count() != cells.len() + 1 {
            return Err(rusqlite::Error::InvalidParameterCount(cells.len() + 1, statement.parameter_count()));
        }
        statement.raw_bind_parameter(1, id)?;
        for (at, cell) in (2..).zip(cells) {
            statement.raw_bind_parameter(at, cell)?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

/// The tables whose rows every process has, by name.
pub(super) fn tables(tx: &Connection) -> rusqlite::Result<Vec<Table>> {
    let names: Vec<String> = tx
        .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite#_%' ESCAPE '#' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut tables = Vec::new();
    for name in names.into_iter().filter(|name| !STAYING.contains(&name.as_str())) {
        let columns = tx
            .prepare_cached("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?
            .query_map([&name], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

/// The last number of each table that never gives a number twice.
pub(super) fn sequences(tx: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    tx.prepare_cached("SELECT name, seq FROM sqlite_sequence ORDER BY name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Sets the last numbers.
pub(super) fn set_sequences(tx: &Connection, sequences: &[(String, i64)]) -> rusqlite::Result<()> {
    for (name, seq) in sequences {
        let set = tx.prepare_cached("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1")?.execute((name, seq))?;
        if set == 0 {
            tx.prepare_cached("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)")?.execute((name, seq))?;
        }
    }
    Ok(())
}

/// Rows by table and row id, and the last numbers.
#[cfg(test)]
pub(super) type All = (Vec<(String, i64, Vec<Cell>)>, Vec<(String, i64)>);

/// All that every process has of a registry.
#[cfg(test)]
pub(super) fn all(tx: &Connection) -> rusqlite::Result<All> {
    let mut found = Vec::new();
    for table in tables(tx)? {
        let query = format!("SELECT rowid, {} FROM {} ORDER BY rowid", table.listed(""), quoted(&table.name));
        let mut statement = tx.prepare(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.push((table.name.clone(), row.get(0)?, cells(row, 1, table.columns.len())?));
        }
    }
    Ok((found, sequences(tx)?))
}
