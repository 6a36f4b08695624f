//! A Parquet file that several threads read at once: opened once, read in runs of rows, each column with the bytes of its
//! own pages alone. No memory is mapped, since mapped pages of the file would count as the process's own.

mod types;

use std::fs::File;
use std::io::Cursor;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

use polars_buffer::Buffer;
use polars_core::prelude::{ArrowField, DataType, IntoSeries as _, Series};
use polars_parquet::parquet::read::{PageMetaData, deserialize_metadata};
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, Filter, PageReader, RowGroupMetadata, column_iter_to_arrays,
};

use super::error::guard;
use super::footer::{self, Footer};
use super::pages::{Pages, Span};
use super::{decimals, texts, widen};
use types::{Form, fields, is_readable, readable, type_name};

/// Most rows decoded at a time: few enough that a column of them stays in a core's cache.
const MOST_ROWS: usize = 65_536;
/// Values decoded at a time, about: rows of many columns are fewer, since each thread holds a piece or two,
const PIECE_VALUES: usize = 64 * MOST_ROWS;
/// but no fewer than this.
const LEAST_ROWS: usize = 8_192;
/// The end of a file: the length of its description in four bytes, and four magic bytes.
const TAIL: u64 = 8;
const MAGIC: &[u8] = b"PAR1";

/// Where the bytes of the file are.
pub enum Input {
    File { file: File, length: u64 },
    Memory(Buffer<u8>),
}

/// An open Parquet file and the columns that are read of it.
pub struct ParquetFile {
    input: Input,
    metadata: FileMetadata,
    columns: Vec<Column>,
    /// Pages by row group and column, read when the first rows of the group are.
    pages: Vec<Vec<OnceLock<Result<Pages, String>>>>,
}

/// A column to read.
struct Column {
    name: String,
    field: ArrowField,
    form: Form,
}

/// Some rows of one row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRows {
    pub group: usize,
    pub rows: Range<usize>,
}

/// The columns of a file in order, and those not to be read, with their type.
pub struct Contents {
    pub columns: Vec<String>,
    pub opaque: Vec<(String, String)>,
}

impl Input {
    /// The bytes of a file that was opened.
    ///
    /// # Errors
    /// When the system cannot say how long it is.
    pub fn file(file: File) -> std::io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::File { file, length })
    }

    /// Reads a range of bytes and replaces the content of `out`.
    fn read(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), String> {
        out.clear();
        self.append(range, out)
    }

    fn append(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<(), String> {
        let short = || "it is damaged: a column lies behind the end of the file".to_owned();
        match self {
            Self::File { file, length } => {
                let size = range.end.checked_sub(range.start).filter(|_| range.end <= *length).ok_or_else(short)?;
                let start = out.len();
                out.resize(start + usize::try_from(size).map_err(|e| e.to_string())?, 0);
                let into = out.get_mut(start..).unwrap_or_default();
                file.read_exact_at(into, range.start).map_err(|e| e.to_string())
            }
            Self::Memory(bytes) => {
                out.extend_from_slice(bytes.get(indexes(&range)?).ok_or_else(short)?);
                Ok(())
            }
        }
    }

    /// The file's description of itself, at its end.
    fn description(&self) -> Result<Vec<u8>, String> {
        let length = match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        };
        let mut tail = Vec::new();
        let cut =
            || "it does not end as a Parquet file does (with PAR1): it was cut, or is still being written".to_owned();
        let end = length.checked_sub(TAIL).ok_or_else(cut)?;
        self.read(end..length, &mut tail)?;
        let size = match tail.split_first_chunk::<4>() {
            Some((size, MAGIC)) => u64::from(u32::from_le_bytes(*size)),
            Some((_, b"PARE")) => return Err("it is encrypted as a whole, which cannot be read".to_owned()),
            _ => return Err(cut()),
        };
        let start =
            end.checked_sub(size).ok_or_else(|| "it is damaged: its description is longer than the file".to_owned())?;
        let mut bytes = Vec::new();
        self.read(start..end, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes of a span: in `scratch`, or where they are if they are in memory already.
    fn span(&self, span: &Span, scratch: &mut Vec<u8>) -> Result<Buffer<u8>, String> {
        if let Self::Memory(bytes) = self {
            let start = match &span.dictionary {
                None => Some(span.data.start),
                Some(dictionary) => Some(dictionary.start).filter(|_| dictionary.end == span.data.start),
            };
            let end = usize::try_from(span.data.end).unwrap_or(usize::MAX);
            if let Some(start) = start.filter(|_| end <= bytes.len()) {
                return Ok(bytes.clone().sliced(indexes(&(start..span.data.end))?));
            }
        }
        scratch.clear();
        span.dictionary.iter().cloned().try_for_each(|range| self.append(range, scratch))?;
        self.append(span.data.clone(), scratch)?;
        Ok(Buffer::from_vec(std::mem::take(scratch)))
    }
}

fn indexes(range: &Range<u64>) -> Result<Range<usize>, String> {
    let index = |at: u64| usize::try_from(at).map_err(|e| e.to_string());
    Ok(index(range.start)?..index(range.end)?)
}

impl ParquetFile {
    /// Reads the file's own description, and chooses those of the `wanted` columns that it has.
    ///
    /// # Errors
    /// The error in the file, for people.
    pub fn open(input: Input, wanted: &[String]) -> Result<(Self, Contents), String> {
        let bytes = input.description()?;
        let described = |wanted: &[String]| {
            footer::read(&bytes, wanted).ok_or_else(|| "it is damaged: its description of itself is none".to_owned())
        };
        let Footer { bytes: of_wanted, columns: names, kept, mut opaque } = described(wanted)?;
        let twice = |name: &&String| names.iter().filter(|n| n == name).count() > 1;
        if let Some(name) = wanted.iter().find(twice) {
            return Err(format!("it has two columns named {name:?}"));
        }
        let metadata = match metadata(of_wanted) {
            Ok(metadata) => metadata,
            Err(cause) => {
                // A column out of specification is reported, and the others can be read.
                let wrong = |name: &String| {
                    Some((name.clone(), metadata(described(std::slice::from_ref(name)).ok()?.bytes).err()?))
                };
                let wrong: Vec<_> = kept.iter().filter_map(wrong).collect();
                let right: Vec<String> = kept.into_iter().filter(|n| wrong.iter().all(|(name, _)| name != n)).collect();
                if wrong.is_empty() {
                    return Err(cause);
                }
                opaque.extend(wrong.into_iter().map(|(name, cause)| (name, format!("no known type ({cause})"))));
                metadata(described(&right)?.bytes)?
            }
        };
        let mut columns = Vec::new();
        for (field, kind) in fields(&metadata) {
            let (field, form) = readable(field, kind);
            let name = field.name.to_string();
            if is_readable(field.dtype()) || form != Form::Typed {
                columns.push(Column { name, field, form });
            } else {
                opaque.push((name, type_name(field.dtype())));
            }
        }
        let of_group = |_: &_| std::iter::repeat_with(OnceLock::new).take(columns.len()).collect();
        let pages = metadata.row_groups.iter().map(of_group).collect();
        Ok((Self { input, metadata, columns, pages }, Contents { columns: names, opaque }))
    }

    /// The names of the columns that are read.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }

    /// How many rows each row group has.
    pub fn rows_of_groups(&self) -> impl Iterator<Item = usize> {
        self.metadata.row_groups.iter().map(RowGroupMetadata::num_rows)
    }

    /// The rows to read after `last`; `None` at the end of the file.
    ///
    /// # Errors
    /// The error in the file, for people.
    pub fn after(&self, last: Option<&GroupRows>) -> Result<Option<GroupRows>, String> {
        let Some(GroupRows { group, rows }) = self.group_after(last) else { return Ok(None) };
        let end = self.end_of(group, rows.start, rows.end)?;
        Ok(Some(GroupRows { group, rows: rows.start..end }))
    }

    /// All rows of a row group after `last`; `None` at the end of the file.
    pub fn group_after(&self, last: Option<&GroupRows>) -> Option<GroupRows> {
        let (group, start) = last.map_or((0, 0), |l| (l.group, l.rows.end));
        let groups = self.metadata.row_groups.iter().enumerate().skip(group);
        let left = |(at, rows)| GroupRows { group: at, rows: if at == group { start } else { 0 }..rows };
        groups.map(|(at, g)| left((at, g.num_rows()))).find(|l| !l.rows.is_empty())
    }

    /// Where to end a run of rows that starts at `start`: with a page of the column that holds the most bytes.
    fn end_of(&self, group: usize, start: usize, rows: usize) -> Result<usize, String> {
        let behind = self.metadata.row_groups.iter().skip(group + 1).map(RowGroupMetadata::num_rows);
        let left = behind.fold(rows - start, usize::saturating_add);
        let many = (PIECE_VALUES / self.columns.len().max(1)).clamp(LEAST_ROWS, MOST_ROWS);
        // The last runs are as short as pages allow: the worker with the last one keeps the others waiting.
        let wanted = if left > 2 * many { many } else { many / 3 };
        // Reading a page twice costs more than the memory of some more rows.
        let most = MOST_ROWS.min(4 * many);
        if rows - start <= wanted {
            return Ok(rows);
        }
        let size = |at: usize| self.chunk(group, at).map_or(0, ColumnChunkMetadata::compressed_size);
        match (0..self.columns.len()).max_by_key(|&at| size(at)) {
            Some(at) => Ok(self.pages(group, at)?.cut(start, wanted, most).min(rows)),
            None => Ok(rows.min(start + most)),
        }
    }

    /// The column's chunk in a row group; `None` for a column that is none of a plain type there.
    fn chunk(&self, group: usize, at: usize) -> Option<&ColumnChunkMetadata> {
        let mut chunks =
            self.metadata.row_groups.get(group)?.columns_under_root_iter(&self.columns.get(at)?.field.name)?;
        chunks.next().filter(|_| chunks.next().is_none())
    }

    fn pages(&self, group: usize, at: usize) -> Result<&Pages, String> {
        let absent = || "it is damaged: a column is not there".to_owned();
        let known = self.pages.get(group).and_then(|columns| columns.get(at)).ok_or_else(absent)?;
        let scan = || {
            let chunk = self.chunk(group, at).ok_or_else(absent)?;
            let rows = self.metadata.row_groups.get(group).map_or(0, RowGroupMetadata::num_rows);
            Pages::scan(chunk.byte_range(), rows, |range, out| self.input.read(range, out))
        };
        known.get_or_init(scan).as_ref().map_err(Clone::clone)
    }

    /// Decodes a column's rows; `None` for a column that is not read. `scratch` is used for its bytes.
    ///
    /// # Errors
    /// The error in the file, for people.
    pub fn read(&self, run: &GroupRows, column: &str, scratch: &mut Vec<u8>) -> Result<Option<Series>, String> {
        let Some(at) = self.columns.iter().position(|c| c.name == column) else { return Ok(None) };
        let Some(Column { field, form, .. }) = self.columns.get(at) else { return Ok(None) };
        let Some(chunk) = self.chunk(run.group, at) else {
            return Ok(Some(Series::full_null(field.name.clone(), run.rows.len(), &DataType::from_arrow_field(field))));
        };
        let pages = self.pages(run.group, at)?;
        let span = pages.span(&run.rows).ok_or_else(|| "it is damaged: rows are not there".to_owned())?;
        let bytes = self.input.span(&span, scratch)?;
        let descriptor = chunk.descriptor().descriptor.clone();
        let values = i64::try_from(span.rows.len()).map_err(|e| e.to_string())?;
        let of_pages = PageMetaData::new(0, values, chunk.compression(), descriptor);
        let reader = PageReader::new_with_page_meta(Cursor::new(bytes.clone()), of_pages, Vec::new(), usize::MAX);
        let range = Filter::new_ranged(run.rows.start - span.rows.start, run.rows.end - span.rows.start);
        let (arrays, _) = column_iter_to_arrays(
            vec![BasicDecompressor::new(reader, Vec::new())],
            vec![&chunk.descriptor().descriptor.primitive_type],
            field.clone(),
            Some(range),
        )
        .map_err(|e| e.to_string())?;
        let series = Series::try_from((field, arrays)).map_err(|e| e.to_string())?;
        if let Some(used) = bytes.into_mut().right() {
            *scratch = used;
        }
        // A damaged page can end early.
        if series.len() != run.rows.len() {
            let (short, promised) = (series.len(), run.rows.len());
            return Err(format!("it is damaged: a column holds {short} rows where {promised} are promised"));
        }
        let bytes = || series.binary().map_err(|e| e.to_string());
        Ok(Some(match *form {
            Form::Typed => series,
            Form::Half => widen::halves(bytes()?),
            Form::Decimal(scale) => decimals::of_bytes(bytes()?, scale)?,
            Form::Uuid => texts::uuids(bytes()?),
            Form::Bytes => bytes()?.clone().into_series(),
        }))
    }
}

fn metadata(description: Vec<u8>) -> Result<FileMetadata, String> {
    guard(|| deserialize_metadata(Buffer::from_vec(description)).map_err(|e| e.to_string()))
}
