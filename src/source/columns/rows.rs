//! Consecutive rows of a file, by column.

use std::cell::RefCell;
use std::sync::Arc;

use polars_core::prelude::{
    BooleanChunked, ChunkFull as _, DataFrame, NewChunkedArray as _, PlSmallStr, Series, StringChunked,
};

use super::cells::Cells;
use super::csv::Malformed;
use super::error::guard;
use super::parquet::{GroupRows, ParquetFile};
use crate::source::partitions::PartitionColumn;

/// Some consecutive rows of a file.
pub struct FileRows {
    source: Source,
    len: usize,
    /// The number of the first row, counted from 1.
    pub first: u64,
    csv: bool,
    /// Columns that are not read, with their type.
    opaque: Arc<Vec<(String, String)>>,
    /// Which of the source's rows are left, if not all.
    keep: Option<BooleanChunked>,
    /// Rows of null in the places of unreadable rows.
    malformed: Vec<Malformed>,
    /// Columns of the file's path.
    partitions: Arc<Vec<PartitionColumn>>,
}

enum Source {
    Frame(DataFrame),
    /// Decoded column by column as they are asked for, so that few are in memory at once. The bytes are those of a column.
    Parquet(Arc<ParquetFile>, GroupRows, RefCell<Vec<u8>>),
}

impl FileRows {
    pub(super) fn of_frame(frame: DataFrame, first: u64, csv: bool, opaque: Arc<Vec<(String, String)>>) -> Self {
        Self {
            len: frame.height(),
            source: Source::Frame(frame),
            first,
            csv,
            opaque,
            keep: None,
            malformed: Vec::new(),
            partitions: Arc::default(),
        }
    }

    pub(super) fn with_partitions(self, partitions: Arc<Vec<PartitionColumn>>) -> Self {
        Self { partitions, ..self }
    }

    pub(super) fn with_malformed(self, malformed: Vec<Malformed>) -> Self {
        Self { malformed, ..self }
    }

    /// The rows that replace unreadable ones, and why.
    pub(super) fn take_malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }

    pub(super) fn of_parquet(
        file: Arc<ParquetFile>,
        run: GroupRows,
        first: u64,
        opaque: Arc<Vec<(String, String)>>,
    ) -> Self {
        let len = run.rows.len();
        let source = Source::Parquet(file, run, RefCell::default());
        Self { source, len, first, csv: false, opaque, keep: None, malformed: Vec::new(), partitions: Arc::default() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The cells of a column, `None` if the file has no such column or it was not asked for.
    ///
    /// # Errors
    /// Polars' error, if it cannot read or convert the column.
    pub fn cells(&self, column: &str) -> Result<Option<Cells>, String> {
        if let Some((_, kind)) = self.opaque.iter().find(|(name, _)| name == column) {
            return Ok(Some(Cells::Other(self.len, kind.clone())));
        }
        guard(|| {
            let Some(series) = self.series(column)? else { return Ok(self.of_path(column)) };
            let kept = match &self.keep {
                Some(keep) => series.filter(keep).map_err(|e| e.to_string())?,
                None => series,
            };
            Cells::of(&kept, self.csv).map(Some).map_err(|e| e.to_string())
        })
    }

    /// The cells of a column of the file's path, whose type is read off its text.
    fn of_path(&self, column: &str) -> Option<Cells> {
        let found = self.partitions.iter().find(|partition| partition.name == column)?;
        Some(match &found.value {
            Some(value) => Cells::Csv(StringChunked::full(PlSmallStr::EMPTY, value, self.len)),
            None => Cells::Null(self.len),
        })
    }

    /// All of the source's rows of a column.
    fn series(&self, column: &str) -> Result<Option<Series>, String> {
        match &self.source {
            Source::Frame(frame) => Ok(frame.column(column).ok().map(|c| c.as_materialized_series().clone())),
            Source::Parquet(file, run, scratch) => file.read(run, column, &mut scratch.borrow_mut()),
        }
    }

    /// Keeps the rows whose mark is true; rows are marked once.
    pub fn filter(&mut self, keep: &[bool]) {
        debug_assert!(self.keep.is_none() && keep.len() == self.len, "rows are marked once, and all of them");
        self.len = keep.iter().filter(|&&kept| kept).count();
        self.keep = Some(BooleanChunked::from_slice(PlSmallStr::EMPTY, keep));
    }

    /// All columns at once.
    ///
    /// # Errors
    /// Polars' error, if it cannot read a column.
    pub(super) fn into_frame(self) -> Result<DataFrame, String> {
        let (file, run) = match &self.source {
            Source::Frame(_) => {
                return if let Source::Frame(frame) = self.source { Ok(frame) } else { Ok(DataFrame::empty()) };
            }
            Source::Parquet(file, run, _) => (file, run),
        };
        let columns = file.columns().map(|name| guard(|| self.series(name)).map(|s| s.map(Into::into)));
        let columns: Result<Option<Vec<_>>, String> = columns.collect();
        DataFrame::new(run.rows.len(), columns?.unwrap_or_default()).map_err(|e| e.to_string())
    }
}
