//! A file read from its start to its end by one reader.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use polars_core::prelude::DataFrame;

use super::error::{FileError, Format};
use super::folder;
use super::nulls::NullTexts;
use super::rows::FileRows;
use super::{BATCH_ROWS, ColumnFile, Pieces};

/// A file's rows from its start to its end, a batch at a time.
pub struct ColumnReader {
    file: Arc<ColumnFile>,
    pieces: Pieces,
    chunk: DataFrame,
    /// Rows of the chunk handed out.
    offset: usize,
    /// Rows of the file handed out.
    row: u64,
    /// Rows that cannot be read are rows of nulls, and no error.
    lenient: bool,
    /// Files of a folder that come behind this one.
    more: VecDeque<(Arc<ColumnFile>, Pieces)>,
}

impl ColumnReader {
    /// Opens a file, or the files of a folder one behind the other, to read those of the `wanted` columns that it has.
    ///
    /// # Errors
    /// When a file cannot be opened, its format is not that of its name or first bytes, or the files of a folder are no table.
    pub fn open(path: &Path, wanted: &[String]) -> Result<Self, FileError> {
        Self::open_with(path, wanted, &Arc::default())
    }

    /// The same with a CSV file's texts that mean null.
    ///
    /// # Errors
    /// When the file cannot be opened, or its format is not that of its name or first bytes.
    pub fn open_with(path: &Path, wanted: &[String], nulls: &Arc<NullTexts>) -> Result<Self, FileError> {
        if !path.is_dir() {
            return ColumnFile::open(path, wanted, nulls).map(Self::new);
        }
        let open = |file: folder::FolderFile| ColumnFile::open(&file.path, wanted, nulls);
        let mut files = folder::files(path)?.into_iter().map(open).collect::<Result<VecDeque<_>, _>>()?;
        let none = || FileError::Folder { path: path.display().to_string(), why: "it holds no file".to_owned() };
        let first = files.pop_front().ok_or_else(none)?;
        files.iter().try_for_each(|(other, _)| folder::same_columns(&first.0, other))?;
        Ok(Self { more: files, ..Self::new(first) })
    }

    /// Reads a file from memory; `name` is for messages and the extension.
    ///
    /// # Errors
    /// When the format is not that of the name or the first bytes.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, wanted: &[String]) -> Result<Self, FileError> {
        ColumnFile::from_bytes(name, bytes, wanted, &Arc::default()).map(Self::new)
    }

    /// Reads an open file by its pieces.
    #[must_use]
    pub fn of(opened: (Arc<ColumnFile>, Pieces)) -> Self {
        Self::new(opened)
    }

    fn new((file, pieces): (Arc<ColumnFile>, Pieces)) -> Self {
        Self { file, pieces, chunk: DataFrame::empty(), offset: 0, row: 0, lenient: false, more: VecDeque::new() }
    }

    /// Takes rows that cannot be read as rows of nulls.
    #[must_use]
    pub fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    /// The names of all of the file's columns; none for an empty CSV file.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.file.columns()
    }

    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.file.has(column)
    }

    /// Checks that the file has these columns. A CSV file without even a header has no rows either, and passes.
    ///
    /// # Errors
    /// The columns that are not there and those that are.
    pub fn require(&self, needed: &[&str]) -> Result<(), FileError> {
        self.file.require(needed)
    }

    /// The next at most `BATCH_ROWS` rows, `None` at the end.
    ///
    /// # Errors
    /// A damaged file.
    #[allow(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<FileRows>, FileError> {
        while self.offset >= self.chunk.height() {
            let Some(piece) = self.pieces.next()? else {
                let Some((file, pieces)) = self.more.pop_front() else { return Ok(None) };
                (self.file, self.pieces, self.row) = (file, pieces, 0);
                continue;
            };
            let rows = if self.lenient { self.file.read(piece)? } else { self.file.read_whole(piece)? };
            self.chunk = rows.into_frame().map_err(|cause| self.broken(cause))?;
            self.offset = 0;
        }
        let frame = self.chunk.slice(i64::try_from(self.offset).unwrap_or(i64::MAX), BATCH_ROWS);
        let first = self.row + 1;
        self.offset += frame.height();
        self.row += frame.height() as u64;
        let rows = FileRows::of_frame(frame, first, self.file.format == Format::Csv, Arc::clone(&self.file.opaque));
        Ok(Some(rows.with_partitions(Arc::clone(&self.file.partitions))))
    }

    /// The error of a file that cannot be read for this cause.
    #[must_use]
    pub fn broken(&self, cause: String) -> FileError {
        self.file.broken(self.row, cause)
    }
}
