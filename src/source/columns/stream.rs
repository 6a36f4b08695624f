//! Reading event files of all kinds: piece by piece by one reader per thread, or by one from start to end.

use std::path::Path;
use std::sync::Arc;

use super::events::FileFields;
use super::{FileError, Piece, Pieces};
use driftgate_core::decode::Reject;
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::Limits;
use driftgate_core::schema::Schema;

/// A receiver of rejected rows: their number counted from 1, and why.
pub type Rejects<'a> = &'a mut dyn FnMut(u64, Reject);

/// A reader of pieces of one kind of event file into batches: one per thread, all of one file. Each has codes of its own.
pub trait EventReader: Sized + Send {
    type Batch;

    /// Opens a file; the rows' times must not be ahead of `record_ts` (ms).
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column that such events need.
    fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<(Self, Pieces), FileError>;

    /// A reader of the same file for another thread, which knows no codes yet.
    #[must_use]
    fn fork(&self) -> Self;

    /// Takes the remarks about the values read since the last call.
    fn take_notes(&mut self) -> Notes {
        Notes::default()
    }

    /// Which names the file has columns for.
    fn seen(&self) -> Seen;

    /// Clears `out` and fills it with a piece's events; returns how many rows were of other models.
    ///
    /// # Errors
    /// A damaged file.
    fn read(&mut self, piece: Piece, out: &mut Self::Batch, rejects: Rejects<'_>) -> Result<u64, FileError>;
}

/// An event file read from its start to its end by one reader.
pub struct EventStream<R> {
    reader: R,
    pieces: Pieces,
    ignored: u64,
}

impl<R: EventReader> EventStream<R> {
    /// Opens a file; the rows' times must not be ahead of `record_ts` (ms).
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column that such events need.
    pub fn open(
        path: &Path,
        schema: Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<Self, FileError> {
        let (reader, pieces) = R::open(path, schema, fields, limits, record_ts)?;
        Ok(Self { reader, pieces, ignored: 0 })
    }

    /// Rows of other models so far.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Clears `out` and fills it with the next rows; false at the end of the file.
    ///
    /// # Errors
    /// A damaged file.
    pub fn next(&mut self, out: &mut R::Batch, rejects: Rejects<'_>) -> Result<bool, FileError> {
        let Some(piece) = self.pieces.next()? else { return Ok(false) };
        self.ignored += self.reader.read(piece, out, rejects)?;
        Ok(true)
    }
}
