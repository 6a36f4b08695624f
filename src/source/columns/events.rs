//! Files of events as batches: a reader for each thread, of any kind of events.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use super::cells::{Cell, Cells};
use super::event_file::EventFile;
pub use super::event_file::Rejects;
use super::reader::ColumnReader;
use super::{FileError, FileRows, Piece, Pieces};
use crate::source::options::FileOptions;
use driftgate_core::decode::columns::ColumnCoder;
use driftgate_core::decode::decoder::Format;
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::Field;
use driftgate_core::pipeline::batch::Batch;
use driftgate_core::schema::Schema;

/// What reads pieces of a file of events into batches: one for each thread, all of one file. Each has codes of its own.
pub struct EventReader<B> {
    file: Arc<EventFile>,
    coder: ColumnCoder,
    notes: Notes,
    batches: PhantomData<fn() -> B>,
}

impl<B: Batch> EventReader<B> {
    /// Opens a file.
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column that such events need.
    pub fn open(path: &Path, schema: Arc<Schema>, options: &FileOptions) -> Result<(Self, Pieces), FileError> {
        let (file, pieces) = EventFile::open(path, B::kind(), schema, options)?;
        file.file.require(&B::columns(&file.schema, file.fields(), &|column| file.file.has(column)))?;
        Ok((Self::of(Arc::new(file)), pieces))
    }

    fn of(file: Arc<EventFile>) -> Self {
        Self { coder: ColumnCoder::new(&file.schema), notes: Notes::default(), batches: PhantomData, file }
    }

    /// A reader of the same file for another thread, which knows no codes yet.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(Arc::clone(&self.file))
    }

    /// Takes what is worth telling of the values read since this was asked last.
    pub fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// Which names the file has columns for.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.file.seen()
    }

    /// Clears `out` and fills it with a piece's events; returns how many rows were of other models.
    ///
    /// # Errors
    /// A damaged file.
    pub fn read(&mut self, piece: Piece, out: &mut B, rejects: Rejects<'_>) -> Result<u64, FileError> {
        out.reset();
        let events = self.file.read(piece, out.times_mut(), rejects)?;
        out.fill(&events, &mut self.coder, &mut self.notes)?;
        Ok(events.ignored)
    }
}

/// An event file read from its start to its end by one reader.
pub struct EventStream<B> {
    reader: EventReader<B>,
    pieces: Pieces,
    ignored: u64,
}

impl<B: Batch> EventStream<B> {
    /// Opens a file.
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column that such events need.
    pub fn open(path: &Path, schema: Arc<Schema>, options: &FileOptions) -> Result<Self, FileError> {
        let (reader, pieces) = EventReader::open(path, schema, options)?;
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
    pub fn next(&mut self, out: &mut B, rejects: Rejects<'_>) -> Result<bool, FileError> {
        let Some(piece) = self.pieces.next()? else { return Ok(false) };
        self.ignored += self.reader.read(piece, out, rejects)?;
        Ok(true)
    }
}

/// The versions in a file of predictions of this model.
///
/// # Errors
/// When the file cannot be read or has no version column.
pub fn versions(path: &Path, options: &FileOptions, model: &str) -> Result<BTreeSet<String>, FileError> {
    let FileOptions { format: Format { fields, .. }, null_values, limits, .. } = options;
    let (version, model_column) = (fields.column(Field::Version), fields.column(Field::Model));
    let wanted = [version.to_owned(), model_column.to_owned()];
    let mut reader = ColumnReader::open_with(path, &wanted, null_values)?.lenient();
    reader.require(&[version])?;
    let mut found = BTreeSet::new();
    while let Some(mut rows) = reader.next()? {
        let cells = |rows: &FileRows, column: &str| match rows.cells(column) {
            Ok(cells) => Ok(cells.map(Cells::raw)),
            Err(cause) => Err(reader.broken(cause)),
        };
        if let Some(models) = cells(&rows, model_column)? {
            let mut keep = Vec::with_capacity(rows.len());
            models.each_text(|cell| {
                keep.push(matches!(cell, Cell::Missing | Cell::Text("")) || cell == Cell::Text(model));
            });
            rows.filter(&keep);
        }
        if let Some(versions) = cells(&rows, version)? {
            let add = |text: &str| {
                if !text.is_empty() && text.len() <= limits.string_bytes && !found.contains(text) {
                    found.insert(text.to_owned());
                }
                0
            };
            versions.codes(add, &mut Vec::with_capacity(rows.len()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
