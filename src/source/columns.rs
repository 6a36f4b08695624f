//! Parquet and CSV files as rows of named columns, in file order and in bounded memory. `events` (event
//! files) and `snapshot` (training data) give the columns their meaning; `cells` turns a column into cells. A file is cut into pieces
//! in its order, which any thread may read on its own (`ColumnFile`), or is read from its start to its end (`ColumnReader`).

pub mod cells;
mod clock;
mod csv;
mod decimals;
mod error;
mod event_file;
pub mod events;
pub mod folder;
mod footer;
pub mod nulls;
mod pages;
mod parquet;
mod parts;
pub mod reader;
mod records;
mod rows;
mod scores;
mod texts;
mod thrift;
pub mod values;
mod widen;

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use super::packed::unpacked;
use super::partitions::{self, PartitionColumn};
use csv::{CsvBlock, CsvBlocks, CsvParser};
use error::PARQUET_MAGIC;
pub use error::{FileError, Format, guard, quoted};
use nulls::NullTexts;
use parquet::{Contents, GroupRows, Input, ParquetFile};
pub use rows::FileRows;

/// Rows handed out at a time.
pub const BATCH_ROWS: usize = 16_384;
/// An open file that several threads may read pieces of at once.
pub struct ColumnFile {
    path: String,
    format: Format,
    columns: Vec<String>,
    /// Wanted columns of a type polars is not asked to read, with their type.
    opaque: Arc<Vec<(String, String)>>,
    /// Columns of its path.
    partitions: Arc<Vec<PartitionColumn>>,
    content: Content,
}

enum Content {
    Parquet(Arc<ParquetFile>),
    Csv(CsvParser),
}

/// The pieces of a file that no thread has taken yet, in file order. Taking one is cheap: a Parquet piece is a run of rows, a
/// CSV piece is read, but not parsed.
pub struct Pieces {
    file: Arc<ColumnFile>,
    left: Left,
    /// The row group to end before, if not all are read.
    until: Option<usize>,
    /// Rows taken.
    rows: u64,
}

enum Left {
    /// Behind these rows.
    Parquet(Option<GroupRows>),
    Csv(CsvBlocks),
}

/// Some consecutive rows of a file, not decoded yet.
#[derive(Clone)]
pub struct Piece {
    /// The number of the first row, counted from 1.
    pub first: u64,
    part: Part,
}

#[derive(Clone)]
enum Part {
    Rows(GroupRows),
    Block(CsvBlock),
}

impl ColumnFile {
    /// Opens a file to read those of the `wanted` columns that it has; `nulls` are a CSV file's.
    ///
    /// # Errors
    /// When the file cannot be opened, or its format is not that of its name or first bytes.
    pub fn open(path: &Path, wanted: &[String], nulls: &Arc<NullTexts>) -> Result<(Arc<Self>, Pieces), FileError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_file(&name, file, wanted, nulls),
            Err(source) => Err(FileError::Open { path: name, source }),
        }
    }

    /// Reads an open file from its start; `name` is for messages and the extension.
    ///
    /// # Errors
    /// When the file is a folder, or its format is not that of the name or the first bytes.
    pub fn from_file(
        name: &str,
        mut file: File,
        wanted: &[String],
        nulls: &Arc<NullTexts>,
    ) -> Result<(Arc<Self>, Pieces), FileError> {
        use std::io::{Read as _, Seek as _};
        let failed = |source| FileError::Open { path: name.to_owned(), source };
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut start = Vec::new();
        file.rewind().map_err(failed)?;
        (&file).take(PARQUET_MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
        file.rewind().map_err(failed)?;
        match Format::of(name, &start) {
            Some(Format::Parquet) => {
                let input = Input::file(file).map_err(failed)?;
                Self::parquet(name.to_owned(), input, wanted)
            }
            Some(Format::Csv) => Self::csv(name, file, wanted, nulls),
            Some(Format::Avro) | None => Err(FileError::Format { path: name.to_owned() }),
        }
    }

    /// Reads a file from memory; `name` is for messages and the extension.
    ///
    /// # Errors
    /// When the format is not that of the name or the first bytes.
    pub fn from_bytes(
        name: &str,
        bytes: Vec<u8>,
        wanted: &[String],
        nulls: &Arc<NullTexts>,
    ) -> Result<(Arc<Self>, Pieces), FileError> {
        match Format::of(name, &bytes) {
            Some(Format::Parquet) => Self::parquet(name.to_owned(), Input::Memory(bytes.into()), wanted),
            Some(Format::Csv) => Self::csv(name, Cursor::new(bytes), wanted, nulls),
            Some(Format::Avro) | None => Err(FileError::Format { path: name.to_owned() }),
        }
    }

    fn parquet(path: String, input: Input, wanted: &[String]) -> Result<(Arc<Self>, Pieces), FileError> {
        let (file, Contents { columns, opaque }) = guard(|| ParquetFile::open(input, wanted))
            .map_err(|cause| FileError::Broken { path: path.clone(), format: Format::Parquet, cause })?;
        let content = Content::Parquet(Arc::new(file));
        let (columns, partitions) = with_path(&path, columns);
        let file = Self { path, format: Format::Parquet, columns, opaque: Arc::new(opaque), partitions, content };
        Ok(Pieces::of(file, Left::Parquet(None)))
    }

    fn csv(
        name: &str,
        input: impl std::io::Read + Send + 'static,
        wanted: &[String],
        nulls: &Arc<NullTexts>,
    ) -> Result<(Arc<Self>, Pieces), FileError> {
        let path = name.to_owned();
        let input =
            unpacked(Path::new(name), input).map_err(|source| FileError::Open { path: path.clone(), source })?;
        let broken = |cause| FileError::Broken { path: path.clone(), format: Format::Csv, cause };
        let (mut blocks, columns) = guard(|| CsvBlocks::open(input)).map_err(broken)?;
        let mut projection: Vec<(usize, String)> = Vec::new();
        for (i, name) in columns.iter().enumerate().filter(|(_, name)| wanted.contains(name)) {
            if projection.iter().any(|(_, known)| known == name) {
                return Err(broken(format!("the column {name:?} stands twice in its header")));
            }
            projection.push((i, name.clone()));
        }
        blocks.project(projection, Arc::clone(nulls));
        let content = Content::Csv(blocks.parser().clone());
        // A file without even a header has no columns.
        let (columns, partitions) =
            if columns.is_empty() { (columns, Arc::default()) } else { with_path(&path, columns) };
        let file = Self { path, format: Format::Csv, columns, opaque: Arc::default(), partitions, content };
        Ok(Pieces::of(file, Left::Csv(blocks)))
    }

    /// Its name, as messages have it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The names of all of the file's columns, and behind them those of its path; none for an empty CSV file.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c == column)
    }

    /// Checks that the file has these columns. A CSV file without even a header has no rows either, and passes.
    ///
    /// # Errors
    /// The columns that are not there and those that are.
    pub fn require(&self, needed: &[&str]) -> Result<(), FileError> {
        let missing: Vec<String> = needed.iter().filter(|c| !self.has(c)).map(|&c| c.to_owned()).collect();
        if missing.is_empty() || (self.format == Format::Csv && self.columns.is_empty()) {
            return Ok(());
        }
        Err(FileError::Columns { path: self.path.clone(), missing, columns: self.columns.clone() })
    }

    /// The rows of a piece of this file. Those of Parquet are decoded a column at a time, when its cells are asked for.
    ///
    /// # Errors
    /// A damaged file.
    pub fn read(&self, piece: Piece) -> Result<FileRows, FileError> {
        let Piece { first, part } = piece;
        match (&self.content, part) {
            (Content::Parquet(file), Part::Rows(run)) => {
                let rows = FileRows::of_parquet(Arc::clone(file), run, first, Arc::clone(&self.opaque));
                Ok(rows.with_partitions(Arc::clone(&self.partitions)))
            }
            (Content::Csv(parser), Part::Block(block)) => {
                let parsed = guard(|| parser.parse(&block)).map_err(|cause| self.broken(first - 1, cause))?;
                let (frame, malformed) = parsed;
                let rows = FileRows::of_frame(frame, first, true, Arc::clone(&self.opaque)).with_malformed(malformed);
                Ok(rows.with_partitions(Arc::clone(&self.partitions)))
            }
            (Content::Parquet(_), Part::Block(_)) | (Content::Csv(_), Part::Rows(_)) => {
                Err(self.broken(first - 1, "a piece of another file was asked for".to_owned()))
            }
        }
    }

    /// The same where a row that cannot be read is a damaged file.
    ///
    /// # Errors
    /// A damaged file.
    pub fn read_whole(&self, piece: Piece) -> Result<FileRows, FileError> {
        let mut rows = self.read(piece)?;
        match rows.take_malformed().into_iter().next() {
            Some(malformed) => Err(self.broken(0, malformed.why)),
            None => Ok(rows),
        }
    }

    /// The error of a file that cannot be read behind so many rows for this cause.
    #[must_use]
    pub fn broken(&self, rows: u64, cause: String) -> FileError {
        let cause = if rows > 0 { format!("after row {rows}: {cause}") } else { cause };
        FileError::Broken { path: self.path.clone(), format: self.format, cause }
    }
}

/// A file's columns with those of its path that it does not have itself.
fn with_path(path: &str, mut columns: Vec<String>) -> (Vec<String>, Arc<Vec<PartitionColumn>>) {
    let mut partitions = partitions::of(Path::new(path));
    partitions.retain(|partition| !columns.contains(&partition.name));
    columns.extend(partitions.iter().map(|partition| partition.name.clone()));
    (columns, Arc::new(partitions))
}

impl Pieces {
    fn of(file: ColumnFile, left: Left) -> (Arc<ColumnFile>, Self) {
        let file = Arc::new(file);
        (Arc::clone(&file), Self { file, left, until: None, rows: 0 })
    }

    /// All of a Parquet file's pieces at once, each a row group as it was written: for who reads a column whole before the
    /// next. None of a CSV file.
    pub fn groups(&mut self) -> Vec<Piece> {
        let (Left::Parquet(last), Content::Parquet(file)) = (&mut self.left, &self.file.content) else {
            return Vec::new();
        };
        let groups = std::iter::from_fn(|| {
            let run = file.group_after(last.as_ref())?;
            *last = Some(run.clone());
            let first = self.rows + 1;
            self.rows += run.rows.len() as u64;
            Some(Piece { first, part: Part::Rows(run) })
        });
        groups.collect()
    }

    /// How many rows were taken.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next piece, `None` at the end of the file.
    ///
    /// # Errors
    /// A damaged file.
    #[allow(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Piece>, FileError> {
        let (left, content, first) = (&mut self.left, &self.file.content, self.rows + 1);
        let next = guard(|| match (left, content) {
            (Left::Parquet(last), Content::Parquet(file)) => {
                let run = file.after(last.as_ref())?.filter(|run| self.until.is_none_or(|until| run.group < until));
                let Some(run) = run else { return Ok(None) };
                *last = Some(run.clone());
                Ok(Some((run.rows.len() as u64, Part::Rows(run))))
            }
            (Left::Csv(blocks), _) => Ok(blocks.cut()?.map(|(block, rows)| (rows, Part::Block(block)))),
            (Left::Parquet(_), Content::Csv(_)) => Ok(None),
        });
        let next = next.map_err(|cause| self.file.broken(self.rows, cause))?;
        Ok(next.map(|(rows, part)| {
            self.rows += rows;
            Piece { first, part }
        }))
    }
}

#[cfg(test)]
mod tests;
