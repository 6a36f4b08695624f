//! A whole registry as a stream of rows, and back: what a process takes that has nothing of the log yet, is too far behind or damaged.
//! Taken in, it is one transaction: others read what was there before, or all of it.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::PoisonError;

use rusqlite::{Connection, TransactionBehavior};
use serde::{Deserialize, Serialize};

use super::embedded::Embedded;
use super::position::{position, set_position};
use super::replica::ReplicaError;
use super::role::Acting;
use super::rows::{self, Cell, Table};
use super::{held, schema};
use crate::telemetry::events::registry::RegistryReplaced;

const MAGIC: &[u8; 4] = b"DGW1";
/// A frame has so many bytes at most: a row that a registry takes is shorter by far.
const MOST: usize = 1 << 30;

/// What a registry as a stream begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: i64,
    registry: String,
    key_id: Option<String>,
    /// The last change that is in it.
    seq: u64,
    tables: Vec<Table>,
    sequences: Vec<(String, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    Header(Header),
    /// The table's place in the header, the row's id, its values.
    Row(u16, i64, Vec<Cell>),
    /// So many rows came.
    End(u64),
}

/// What takes the bytes of a whole registry, in order: the number of its last change, bytes, and whether they are the last.
pub type Part<'p> = &'p mut dyn FnMut(u64, &[u8], bool) -> io::Result<()>;

impl Embedded {
    /// Gives the whole registry as bytes, as it is with its last change; the number of that. Others go on writing meanwhile.
    ///
    /// # Errors
    /// A registry that follows no log, one that cannot be read, or what `part` fails with.
    pub fn export(&self, part: Part<'_>) -> Result<u64, ReplicaError> {
        let path = self.file();
        let reader = path.map(|path| schema::reader(&path, schema::PATIENCE)).transpose()?;
        let mut all = |connection: &mut Connection| {
            let tx = connection.transaction()?;
            let seq =
                position(&tx)?.ok_or_else(|| ReplicaError::Snapshot("this registry follows no log".to_owned()))?;
            give(&tx, seq, part)?;
            Ok(seq)
        };
        match reader {
            Some(mut reader) => all(&mut reader),
            None => all(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The registry that a log begins with: gives all of it as bytes with the number `seq`, and follows the log from there on once `part`
    /// has taken the last of them. Nobody writes meanwhile.
    ///
    /// # Errors
    /// A registry that cannot be read or written, or what `part` fails with: it follows no log then, if it did not before.
    pub fn begin_log(&self, seq: u64, part: Part<'_>) -> Result<(), ReplicaError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        give(&tx, seq, part)?;
        set_position(&tx, seq)?;
        Ok(tx.commit()?)
    }

    /// Becomes the registry that these bytes are; the number of its last change. What was there before and followed no log is kept
    /// beside the file, whole, under another name.
    ///
    /// # Errors
    /// Bytes of another release or key, cut or damaged; the registry stays what it was then.
    pub fn import(&self, from: &mut dyn Read) -> Result<u64, ReplicaError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let acting = self.acting.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*acting, Acting::Owner(..)) {
            return Err(ReplicaError::Snapshot("the owner takes no snapshot".to_owned()));
        }
        let header = begin(from)?;
        if let (Some(found), Some(known)) = (&header.key_id, self.signer.as_ref().map(|s| s.public_key().id()))
            && *found != known
        {
            return Err(ReplicaError::OtherKey { found: found.clone(), known });
        }
        let kept = keep_aside(&connection, &header)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        take(&tx, &header, from)?;
        tx.commit()?;
        if let Some(kept) = kept {
            RegistryReplaced { kept: &kept, registry: &header.registry, seq: header.seq }.emit();
        }
        Ok(header.seq)
    }

    /// The folder of the registry's file; none in memory.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        Some(self.file()?.parent()?.to_owned())
    }

    /// The registry's file; none in memory.
    fn file(&self) -> Option<PathBuf> {
        self.reader.as_ref()?;
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.path().filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

fn failed(error: &io::Error) -> ReplicaError {
    ReplicaError::Snapshot(format!("a snapshot of the registry cannot be given or taken: {error}"))
}

fn unreadable(why: &str) -> ReplicaError {
    ReplicaError::Unreadable { what: "a snapshot of the registry", why: why.to_owned() }
}

/// Gives frames, so many bytes at once.
struct Giver<'p> {
    part: Part<'p>,
    seq: u64,
    bytes: Vec<u8>,
}

impl Giver<'_> {
    /// Parts of this size are given at least, but for the last one.
    const ENOUGH: usize = 256 << 10;

    fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        let body = postcard::to_stdvec(frame).map_err(io::Error::other)?;
        self.bytes.write_all(&u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes())?;
        self.bytes.write_all(&body)?;
        if self.bytes.len() >= Self::ENOUGH { self.flush(false) } else { Ok(()) }
    }

    fn flush(&mut self, is_last: bool) -> io::Result<()> {
        (self.part)(self.seq, &self.bytes, is_last)?;
        self.bytes.clear();
        Ok(())
    }
}

fn give(tx: &Connection, seq: u64, part: Part<'_>) -> Result<(), ReplicaError> {
    let mut giver = Giver { part, seq, bytes: MAGIC.to_vec() };
    let tables = rows::tables(tx)?;
    let (registry, key_id) =
        tx.query_row("SELECT id, key_id FROM likeness", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sequences = rows::sequences(tx)?;
    let header = Header { format: schema::FORMAT, registry, key_id, seq, tables: tables.clone(), sequences };
    giver.frame(&Frame::Header(header)).map_err(|e| failed(&e))?;
    let mut count = 0;
    for (at, table) in (0..).zip(&tables) {
        let query = format!("SELECT rowid, {} FROM {} ORDER BY rowid", table.listed(""), rows::quoted(&table.name));
        let mut statement = tx.prepare(&query)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let cells = rows::cells(row, 1, table.columns.len())?;
            giver.frame(&Frame::Row(at, row.get(0)?, cells)).map_err(|e| failed(&e))?;
            count += 1;
        }
    }
    giver.frame(&Frame::End(count)).and_then(|()| giver.flush(true)).map_err(|e| failed(&e))
}

fn frame(from: &mut dyn Read) -> Result<Frame, ReplicaError> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(|e| failed(&e))?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok().filter(|l| *l <= MOST);
    let mut body = vec![0; length.ok_or_else(|| unreadable("a row has more than a GiB"))?];
    from.read_exact(&mut body).map_err(|e| failed(&e))?;
    postcard::from_bytes(&body).map_err(|e| unreadable(&e.to_string()))
}

fn begin(from: &mut dyn Read) -> Result<Header, ReplicaError> {
    let mut magic = [0; 4];
    from.read_exact(&mut magic).map_err(|e| failed(&e))?;
    if magic != *MAGIC {
        return Err(unreadable("it is none of this release"));
    }
    match frame(from)? {
        Frame::Header(header) if header.format == schema::FORMAT => Ok(header),
        Frame::Header(header) => Err(ReplicaError::OtherFormat { found: header.format, known: schema::FORMAT }),
        _ => Err(unreadable("it has no header")),
    }
}

/// What the file holds that no log has, under another name beside it.
fn keep_aside(connection: &Connection, header: &Header) -> Result<Option<PathBuf>, ReplicaError> {
    let file = connection.path().filter(|path| !path.is_empty()).map(PathBuf::from);
    let is_used = held::is_used(connection)?
        || connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM audit) OR EXISTS (SELECT 1 FROM verdicts)",
            [],
            |row| row.get(0),
        )?;
    let mine: String = connection.query_row("SELECT id FROM likeness", [], |row| row.get(0))?;
    // A file that follows the log of its registry holds nothing that the log does not.
    let follows = position(connection)?.is_some() && mine == header.registry;
    let (Some(file), false, true) = (file, follows, is_used) else { return Ok(None) };
    let what = if mine == header.registry { "before-cluster" } else { "other" };
    let kept = file.with_extension(format!("{what}-{}.db", crate::clock::now_ms()));
    connection.execute("VACUUM INTO ?1", [kept.display().to_string()])?;
    crate::private::tighten(&kept);
    Ok(Some(kept))
}

fn take(tx: &Connection, header: &Header, from: &mut dyn Read) -> Result<(), ReplicaError> {
    let tables = rows::tables(tx)?;
    if tables != header.tables {
        return Err(unreadable("its tables are others"));
    }
    tx.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    // Some tables let no row go: their triggers make way.
    let triggers: Vec<(String, String)> = tx
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, _) in &triggers {
        tx.execute_batch(&format!("DROP TRIGGER main.{}", rows::quoted(name)))?;
    }
    for table in &tables {
        tx.execute(&format!("DELETE FROM main.{}", rows::quoted(&table.name)), [])?;
    }
    tx.execute("DELETE FROM sqlite_sequence", [])?;
    let mut count = 0;
    loop {
        match frame(from)? {
            Frame::Row(at, id, cells) => {
                let table = tables.get(usize::from(at)).ok_or_else(|| unreadable("a row of no table"))?;
                table.put(tx, id, &cells)?;
                count += 1;
            }
            Frame::End(rows) if rows == count => break,
            Frame::End(_) => return Err(unreadable("rows are missing")),
            Frame::Header(_) => return Err(unreadable("it has two headers")),
        }
    }
    tx.execute("DELETE FROM sqlite_sequence", [])?;
    rows::set_sequences(tx, &header.sequences)?;
    for (_, sql) in &triggers {
        tx.execute_batch(sql)?;
    }
    if tx.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return Err(unreadable("rows name others that are missing"));
    }
    Ok(set_position(tx, header.seq)?)
}

#[cfg(test)]
mod tests;
