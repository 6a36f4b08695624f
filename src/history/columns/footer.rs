//! The footer of a day's file, as it is kept in memory: its row groups, and where its series are. It is most of what a series of three months
//! would be read for.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use polars_core::prelude::PolarsResult;
use polars_io::parquet::metadata::{FileMetadata, FileMetadataRef};
use polars_parquet::read::{ColumnChunkMetadata, RowGroupMetadata};

use super::table::{BIN_NAMES, BINS};
use crate::history::row::Place;

/// Under this name the metadata of a file have its series.
pub const SERIES: &str = "driftgate.series";
/// And under this one the end of their newest window, ms.
pub const NEWEST: &str = "driftgate.newest";

/// Column chunks of the footers in memory, about 300 bytes each: a year of days of a model with 100 features.
const MOST_CHUNKS: usize = 200_000;

/// What a file says of itself.
pub struct Footer {
    pub whole: FileMetadataRef,
    groups: Vec<Group>,
    /// `None` of a file that another program wrote.
    pub series: Option<Vec<Place>>,
    /// The end of its newest window, ms.
    pub newest: Option<i64>,
}

/// A row group, described as if the file had no other: polars decodes the columns of every group that is described, also of those outside of
/// the rows that it is asked for.
pub struct Group {
    first: usize,
    rows: usize,
    pub alone: FileMetadataRef,
    /// Columns without a value.
    empty: Vec<String>,
}

impl Group {
    fn of(found: &RowGroupMetadata, first: usize, alone: FileMetadata) -> Self {
        let rows = found.num_rows();
        let is_empty = |column: &&ColumnChunkMetadata| {
            let nulls = column.statistics(&alone.footer_buf).and_then(Result::ok).and_then(|of| of.null_count());
            nulls.is_some_and(|nulls| nulls == column.num_values() && usize::try_from(nulls) == Ok(rows))
        };
        let name = |column: &ColumnChunkMetadata| column.descriptor().path_in_schema.first().map(ToString::to_string);
        let empty = found.parquet_columns().iter().filter(is_empty).filter_map(name).collect();
        Self { first, rows, alone: Arc::new(alone), empty }
    }

    /// Whether a column has any value: one that has none need not be read.
    pub fn has(&self, column: &str) -> bool {
        let is_empty = |column: &str| self.empty.iter().any(|empty| empty == column);
        // Lists without elements count no nulls; a window's are there where their names are.
        !(is_empty(column) || BINS.contains(&column) && is_empty(BIN_NAMES))
    }
}

impl Footer {
    pub fn of(found: &FileMetadata) -> Self {
        let pairs = found.key_value_metadata.as_deref().unwrap_or_default();
        let named = |name: &str| pairs.iter().find(|pair| pair.key == name)?.value.as_deref();
        let series = named(SERIES).and_then(|text| serde_json::from_str(text).ok());
        let newest = named(NEWEST).and_then(|text| text.parse().ok());
        // The list of series is long, and is read now.
        let pairs = pairs.iter().filter(|pair| pair.key != SERIES).cloned().collect();
        let mut empty = FileMetadata { row_groups: Vec::new(), ..found.clone() };
        empty.key_value_metadata = Some(pairs);
        let mut first = 0;
        let mut groups = Vec::with_capacity(found.row_groups.len());
        for group in &found.row_groups {
            let rows = group.num_rows();
            let alone = FileMetadata { row_groups: vec![group.clone()], num_rows: rows, ..empty.clone() };
            groups.push(Group::of(group, first, alone));
            first += rows;
        }
        let whole = Arc::new(FileMetadata { row_groups: found.row_groups.clone(), ..empty });
        Self { whole, groups, series, newest }
    }

    /// Whether the file has a column of this name.
    pub fn has(&self, column: &str) -> bool {
        let is_it =
            |of: &ColumnChunkMetadata| of.descriptor().path_in_schema.first().is_some_and(|name| name == column);
        self.whole.row_groups.first().is_some_and(|group| group.parquet_columns().iter().any(is_it))
    }

    /// The row groups that have some of so many rows from the first on, each with those rows' place in it: the first, and how many.
    pub fn groups(&self, first: usize, rows: usize) -> impl Iterator<Item = (&Group, (usize, usize))> {
        let end = first.saturating_add(rows);
        self.groups.iter().filter_map(move |group| {
            let from = first.max(group.first);
            let to = end.min(group.first + group.rows);
            (from < to).then(|| (group, (from - group.first, to - from)))
        })
    }

    fn chunks(&self) -> usize {
        self.whole.row_groups.iter().map(RowGroupMetadata::n_columns).sum()
    }
}

/// Which file it was: a file that is exchanged has another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// The footers of files that were read, by path.
#[derive(Clone, Debug, Default)]
pub struct Footers(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    of: BTreeMap<PathBuf, (Identity, Arc<Footer>)>,
    chunks: usize,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("files", &self.of.len()).field("chunks", &self.chunks).finish()
    }
}

impl Footers {
    /// The footer of a file: the one that is known, or else the one that is read.
    ///
    /// # Errors
    /// What reading it fails with.
    pub fn of(
        &self,
        path: &Path,
        meta: &Metadata,
        read: impl FnOnce() -> PolarsResult<Footer>,
    ) -> PolarsResult<Arc<Footer>> {
        let identity = Identity { inode: meta.ino(), length: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) };
        let known = self.lock().of.get(path).filter(|(of, _)| *of == identity).map(|(_, footer)| Arc::clone(footer));
        if let Some(footer) = known {
            return Ok(footer);
        }
        let footer = Arc::new(read()?);
        let mut known = self.lock();
        if known.chunks + footer.chunks() > MOST_CHUNKS {
            *known = Known::default();
        }
        known.chunks += footer.chunks();
        if let Some((_, before)) = known.of.insert(path.to_owned(), (identity, Arc::clone(&footer))) {
            known.chunks = known.chunks.saturating_sub(before.chunks());
        }
        Ok(footer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Detail;
    use super::super::{DayFile, settled, write};
    use super::*;
    use crate::history::record::tests::{measured, window};
    use crate::history::row::rows_of;

    fn put(path: &Path, values: &[f64]) {
        let windows =
            values.iter().zip(0..).map(|(value, at)| window("1", at, vec![measured("drift/psi", "a", *value)]));
        let rows = settled(windows.flat_map(rows_of).collect());
        let fresh = path.with_extension("new");
        write("m", &rows, fs::File::create(&fresh).unwrap()).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    #[test]
    fn a_file_that_was_exchanged_is_read_anew_and_one_that_was_not_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let (path, footers) = (folder.path().join("1970-01-01.parquet"), Footers::default());
        let values = || {
            let file = DayFile::open_with(&path, &footers).unwrap().unwrap();
            let place = file.series().unwrap().iter().find(|place| place.subject == "a").unwrap().clone();
            let rows = file.series_rows(&place, Detail::Numbers, |rows| (0..rows.len()).collect()).unwrap();
            (file.newest(), rows.iter().filter_map(|row| row.of.value).collect::<Vec<f64>>())
        };
        assert!(DayFile::open_with(&path, &footers).unwrap().is_none());
        put(&path, &[0.5]);
        assert_eq!(values(), (Some(0), vec![0.5]));
        let before = Arc::clone(&footers.lock().of[&path].1);
        assert_eq!(values(), (Some(0), vec![0.5]));
        let again = Arc::clone(&footers.lock().of[&path].1);
        assert!(Arc::ptr_eq(&before, &again));
        put(&path, &[0.25, 0.75]);
        assert_eq!(values(), (Some(1), vec![0.25, 0.75]));
        let of_it = footers.lock().of[&path].1.chunks();
        assert_eq!(footers.lock().chunks, of_it);
        fs::write(&path, "x").unwrap();
        assert!(DayFile::open_with(&path, &footers).is_err());
    }
}
