//! Parquet and CSV files as rows of named columns, in file order and in bounded memory. What the columns mean is
//! `events` (event files) and `snapshot` (training data); how a column becomes cells is `cells`.

pub mod cells;
mod csv;
mod event_file;
pub mod events;

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::File;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use polars::prelude::{
    ArrowDataType, BooleanChunked, DataFrame, FileMetadata, NewChunkedArray as _, ParallelStrategy, ParquetReader,
    PlSmallStr, SerReader as _,
};

use cells::Cells;
use csv::CsvBlocks;

/// Rows handed out at a time.
pub const BATCH_ROWS: usize = 16_384;
/// Rows of a row group decoded at a time.
const CHUNK_ROWS: usize = 131_072;
/// Columns named in a message at most.
const NAMED_COLUMNS: usize = 30;
const PARQUET_MAGIC: &[u8] = b"PAR1";

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot open {path:?}: {source}")]
    Open { path: String, source: std::io::Error },
    #[error(
        "cannot read {path:?}: it is neither Parquet (no PAR1 at its start) nor named .csv; give it its extension or convert it"
    )]
    Format { path: String },
    #[error("cannot read {path:?} as {format}: {cause}; write the file again or fetch it anew")]
    Broken { path: String, format: Format, cause: String },
    #[error("{path:?} has no column {}; its columns are {}; name the columns in the configuration's `fields`", quoted(.missing), quoted(.columns))]
    Columns { path: String, missing: Vec<String>, columns: Vec<String> },
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
}

impl Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Parquet => "Parquet",
            Self::Csv => "CSV",
        })
    }
}

impl Format {
    /// The format of a file by its first bytes, else by its extension.
    #[must_use]
    pub fn of(name: &str, start: &[u8]) -> Option<Self> {
        let extension = Path::new(name).extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if start.starts_with(PARQUET_MAGIC) || matches!(extension.as_str(), "parquet" | "pq") {
            return Some(Self::Parquet);
        }
        (extension == "csv").then_some(Self::Csv)
    }
}

/// A file's rows, a batch at a time.
pub struct ColumnReader {
    path: String,
    format: Format,
    columns: Vec<String>,
    /// Wanted columns of a type polars is not asked to read, with their type.
    opaque: Arc<Vec<(String, String)>>,
    source: Source,
    chunk: DataFrame,
    /// Rows of the chunk handed out.
    offset: usize,
    /// Rows of the file handed out.
    row: u64,
}

enum Source {
    Parquet(ParquetGroups),
    Csv(CsvBlocks),
}

/// The bytes of a Parquet file.
enum Input {
    File(File),
    Memory(Arc<[u8]>),
}

/// The row groups of a Parquet file not read yet, each with metadata of its own so that reading one skips the others.
struct ParquetGroups {
    input: Input,
    groups: VecDeque<Arc<FileMetadata>>,
    projection: Vec<usize>,
    /// Rows of the first group already read.
    offset: usize,
}

impl ColumnReader {
    /// Opens a file to read those of the `wanted` columns that it has.
    ///
    /// # Errors
    /// When the file cannot be opened or is not what its name or first bytes say.
    pub fn open(path: &Path, wanted: &[String]) -> Result<Self, FileError> {
        use std::io::{Read as _, Seek as _};
        let name = path.display().to_string();
        let failed = |source| FileError::Open { path: name.clone(), source };
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut start = Vec::new();
        (&file).take(PARQUET_MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
        file.rewind().map_err(failed)?;
        match Format::of(&name, &start) {
            Some(Format::Parquet) => Self::parquet(name, Input::File(file), wanted),
            Some(Format::Csv) => Self::csv(name, Box::new(file), wanted),
            None => Err(FileError::Format { path: name }),
        }
    }

    /// Reads a file from memory; `name` is for messages and the extension.
    ///
    /// # Errors
    /// When the bytes are not what the name or the first bytes say.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, wanted: &[String]) -> Result<Self, FileError> {
        match Format::of(name, &bytes) {
            Some(Format::Parquet) => Self::parquet(name.to_owned(), Input::Memory(bytes.into()), wanted),
            Some(Format::Csv) => Self::csv(name.to_owned(), Box::new(Cursor::new(bytes)), wanted),
            None => Err(FileError::Format { path: name.to_owned() }),
        }
    }

    fn parquet(path: String, mut input: Input, wanted: &[String]) -> Result<Self, FileError> {
        let (metadata, schema) = guard(|| input.with(|mut r| Ok((Arc::clone(r.get_metadata()?), r.schema()?))))
            .map_err(|cause| FileError::Broken { path: path.clone(), format: Format::Parquet, cause })?;
        let columns: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
        let mut projection = Vec::new();
        let mut opaque = Vec::new();
        for (i, (name, field)) in
            schema.iter().enumerate().filter(|(_, (name, _))| wanted.iter().any(|w| w == name.as_str()))
        {
            if is_readable(field.dtype()) {
                projection.push(i);
            } else {
                opaque.push((name.to_string(), type_name(field.dtype())));
            }
        }
        let groups = metadata.row_groups.iter().map(|group| {
            let rows = group.num_rows();
            Arc::new(FileMetadata {
                num_rows: rows,
                max_row_group_height: rows,
                row_groups: vec![group.clone()],
                ..without_groups(&metadata)
            })
        });
        let source = Source::Parquet(ParquetGroups { input, groups: groups.collect(), projection, offset: 0 });
        Ok(Self::new(path, Format::Parquet, columns, opaque, source))
    }

    fn csv(path: String, input: Box<dyn std::io::Read + Send>, wanted: &[String]) -> Result<Self, FileError> {
        let broken = |cause| FileError::Broken { path: path.clone(), format: Format::Csv, cause };
        let (mut blocks, columns) = guard(|| CsvBlocks::open(input)).map_err(broken)?;
        let mut projection: Vec<(usize, String)> = Vec::new();
        for (i, name) in columns.iter().enumerate().filter(|(_, name)| wanted.contains(name)) {
            if projection.iter().any(|(_, known)| known == name) {
                return Err(broken(format!("the column {name:?} stands twice in its header")));
            }
            projection.push((i, name.clone()));
        }
        blocks.project(projection);
        Ok(Self::new(path, Format::Csv, columns, Vec::new(), Source::Csv(blocks)))
    }

    fn new(path: String, format: Format, columns: Vec<String>, opaque: Vec<(String, String)>, source: Source) -> Self {
        Self { path, format, columns, opaque: Arc::new(opaque), source, chunk: DataFrame::empty(), offset: 0, row: 0 }
    }

    /// The names of all of the file's columns; none for an empty CSV file.
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

    /// The next at most `BATCH_ROWS` rows, `None` at the end.
    ///
    /// # Errors
    /// A damaged file.
    #[allow(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Rows>, FileError> {
        if self.offset >= self.chunk.height() {
            let source = &mut self.source;
            let chunk = guard(|| match source {
                Source::Parquet(groups) => groups.next(),
                Source::Csv(blocks) => blocks.next(),
            })
            .map_err(|cause| self.broken(cause))?;
            self.offset = 0;
            self.chunk = chunk.unwrap_or_default();
            if self.chunk.height() == 0 {
                return Ok(None);
            }
        }
        let frame = self.chunk.slice(i64::try_from(self.offset).unwrap_or(i64::MAX), BATCH_ROWS);
        let first = self.row + 1;
        self.offset += frame.height();
        self.row += frame.height() as u64;
        Ok(Some(Rows { frame, first, csv: self.format == Format::Csv, opaque: Arc::clone(&self.opaque) }))
    }

    /// The error of a file that cannot be read for this cause.
    #[must_use]
    pub fn broken(&self, cause: String) -> FileError {
        let cause = if self.row > 0 { format!("after row {}: {cause}", self.row) } else { cause };
        FileError::Broken { path: self.path.clone(), format: self.format, cause }
    }
}

/// Some consecutive rows of a file.
pub struct Rows {
    frame: DataFrame,
    /// The number of the first row, counted from 1.
    pub first: u64,
    csv: bool,
    opaque: Arc<Vec<(String, String)>>,
}

impl Rows {
    #[must_use]
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cells of a column, `None` if the file has no such column or it was not asked for.
    ///
    /// # Errors
    /// What polars says when it cannot convert the column.
    pub fn cells(&self, column: &str) -> Result<Option<Cells>, String> {
        if let Some((_, kind)) = self.opaque.iter().find(|(name, _)| name == column) {
            return Ok(Some(Cells::Other(self.len(), kind.clone())));
        }
        match self.frame.column(column) {
            Ok(found) => {
                guard(|| Cells::of(found.as_materialized_series(), self.csv).map_err(|e| e.to_string())).map(Some)
            }
            Err(_) => Ok(None),
        }
    }

    /// Keeps the rows whose mark is true.
    ///
    /// # Errors
    /// What polars says when it cannot.
    pub fn filter(&mut self, keep: &[bool]) -> Result<(), String> {
        let mask = BooleanChunked::from_slice(PlSmallStr::EMPTY, keep);
        self.frame = guard(|| self.frame.filter(&mask).map_err(|e| e.to_string()))?;
        Ok(())
    }
}

impl Input {
    /// Makes a polars reader over the bytes.
    fn with<T>(
        &mut self,
        run: impl FnOnce(ParquetReader<Box<dyn polars::io::mmap::MmapBytesReader + '_>>) -> polars::prelude::PolarsResult<T>,
    ) -> Result<T, String> {
        let reader: Box<dyn polars::io::mmap::MmapBytesReader + '_> = match self {
            Self::File(file) => Box::new(file),
            Self::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        run(ParquetReader::new(reader)).map_err(|e| e.to_string())
    }
}

impl ParquetGroups {
    fn next(&mut self) -> Result<Option<DataFrame>, String> {
        loop {
            let Some(group) = self.groups.front() else { return Ok(None) };
            let rows = group.num_rows.saturating_sub(self.offset).min(CHUNK_ROWS);
            if rows == 0 {
                self.groups.pop_front();
                self.offset = 0;
                continue;
            }
            let (group, slice, projection) = (Arc::clone(group), (self.offset, rows), self.projection.clone());
            self.offset += rows;
            let frame = self.input.with(|mut reader| {
                reader.set_metadata(group);
                let reader = reader.with_projection(Some(projection)).with_slice(Some(slice));
                reader.read_parallel(ParallelStrategy::Columns).set_rechunk(true).finish()
            })?;
            // Polars does not compare its columns' lengths, and a damaged page can end early.
            let lengths = frame.columns().iter().map(polars::prelude::Column::len);
            if let Some(short) = lengths.chain([frame.height()]).find(|&len| len != rows) {
                return Err(format!("it is damaged: a row group holds {short} rows where {rows} are promised"));
            }
            return Ok(Some(frame));
        }
    }
}

fn without_groups(metadata: &FileMetadata) -> FileMetadata {
    FileMetadata {
        version: metadata.version,
        num_rows: 0,
        max_row_group_height: 0,
        created_by: metadata.created_by.clone(),
        row_groups: Vec::new(),
        key_value_metadata: metadata.key_value_metadata.clone(),
        schema_descr: metadata.schema_descr.clone(),
        column_orders: metadata.column_orders.clone(),
        footer_buf: metadata.footer_buf.clone(),
    }
}

/// Runs what may panic on damaged files and turns the panic into its message.
///
/// # Errors
/// The error or the panic's message.
pub fn guard<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // Nothing that a panic leaves half done is used again: the caller gives the file up.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("it is damaged ({})", text.unwrap_or("the decoder stopped")))
    })
}

/// Types polars is built to read here; others are never touched, since polars panics on some.
fn is_readable(kind: &ArrowDataType) -> bool {
    use ArrowDataType as A;
    if let A::Dictionary(_, value, _) = kind {
        return is_readable(value);
    }
    let number = matches!(
        kind,
        A::Int8
            | A::Int16
            | A::Int32
            | A::Int64
            | A::UInt8
            | A::UInt16
            | A::UInt32
            | A::UInt64
            | A::Float32
            | A::Float64
    );
    let decimal = matches!(kind, A::Decimal(..) | A::Decimal32(..) | A::Decimal64(..));
    let text = matches!(kind, A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Binary | A::LargeBinary | A::BinaryView);
    let other = matches!(kind, A::Null | A::Boolean | A::Date32 | A::Date64 | A::Timestamp(..));
    number || decimal || text || other
}

/// The bare name of a type, without its parameters.
fn type_name(kind: &ArrowDataType) -> String {
    let full = format!("{kind:?}");
    full.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

/// Names for a message: quoted, the first few.
#[must_use]
pub fn quoted(names: &[String]) -> String {
    let first = names.iter().take(NAMED_COLUMNS).map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMED_COLUMNS) {
        None if names.is_empty() => "(none)".to_owned(),
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
