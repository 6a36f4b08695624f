//! Rows of the history as a table, and the table as Parquet: one row per (version, group, rule, subject) and window, in this order. The file's
//! metadata name the rows of each series, so that one of them is read without the others.

mod footer;
mod table;

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use polars_core::prelude::{DataFrame, PolarsResult};
use polars_io::SerReader as _;
use polars_io::mmap::MmapBytesReader;
use polars_io::parquet::metadata::FileMetadataRef;
use polars_io::parquet::read::{ParallelStrategy, ParquetReader};
use polars_io::parquet::write::{KeyValueMetadata, ParquetCompression, ParquetWriter};

use super::HistoryError;
pub use super::row::{Place, Row, VERDICT, places, rows_of, settled};
pub use footer::Footers;
use footer::{Footer, NEWEST, SERIES};
pub use table::Detail;

/// Rows of a row group: a series is read with the groups that it touches.
const GROUP_ROWS: usize = 4096;
/// Bytes of a page: of a column that a series needs, only the pages with its rows are decompressed.
const PAGE_BYTES: usize = 16 * 1024;

/// The table of rows.
///
/// # Errors
/// Columns that polars does not make.
pub fn frame(model: &str, rows: &[Row]) -> PolarsResult<DataFrame> {
    table::frame(model, rows)
}

/// Writes rows of a model that are settled as a Parquet file. Pages are LZ4 blocks: where a series is read from three months, making ready to
/// decompress Zstandard took a quarter of the time, and decompressing it a sixth.
///
/// # Errors
/// A place that does not take it.
pub fn write(model: &str, rows: &[Row], to: impl Write) -> PolarsResult<()> {
    let places = serde_json::to_string(&places(rows)).unwrap_or_default();
    let newest = rows.iter().map(|row| row.end_ms).max().unwrap_or_default().to_string();
    let metadata = vec![(SERIES.to_owned(), places), (NEWEST.to_owned(), newest)];
    let mut frame = table::frame(model, rows)?;
    ParquetWriter::new(to)
        .with_compression(ParquetCompression::Lz4Raw)
        .with_row_group_size(Some(GROUP_ROWS))
        .with_data_page_size(Some(PAGE_BYTES))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(metadata)))
        .set_parallel(false)
        .finish(&mut frame)?;
    Ok(())
}

/// A Parquet file of a day, open to be read.
pub struct DayFile {
    file: Source,
    footer: Arc<Footer>,
}

enum Source {
    File(File),
    Bytes(Vec<u8>),
}

impl Source {
    fn reader(&self) -> PolarsResult<Box<dyn MmapBytesReader + '_>> {
        Ok(match self {
            Self::File(file) => Box::new(file.try_clone()?),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes.as_slice())),
        })
    }

    fn footer(&self) -> PolarsResult<Footer> {
        let mut reader = ParquetReader::new(self.reader()?);
        Ok(Footer::of(reader.get_metadata()?))
    }
}

impl DayFile {
    /// Opens a file; `None` where there is none.
    ///
    /// # Errors
    /// A file that is no Parquet file.
    pub fn open(path: &Path) -> Result<Option<Self>, HistoryError> {
        Self::open_with(path, &Footers::default())
    }

    /// Opens a file whose footer is read only where `known` does not have it.
    ///
    /// # Errors
    /// A file that is no Parquet file.
    pub fn open_with(path: &Path, known: &Footers) -> Result<Option<Self>, HistoryError> {
        let file = match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            // Its owner replaces it as a whole and never shortens it, so that it may be mapped.
            file => file.map_err(HistoryError::file(path))?,
        };
        let meta = file.metadata().map_err(HistoryError::file(path))?;
        let file = Source::File(file);
        let footer = known.of(path, &meta, || file.footer()).map_err(|e| HistoryError::unreadable(path, e))?;
        Ok(Some(Self { file, footer }))
    }

    /// A file that is in memory.
    ///
    /// # Errors
    /// Bytes that are no Parquet file.
    pub fn from_bytes(bytes: Vec<u8>) -> PolarsResult<Self> {
        let file = Source::Bytes(bytes);
        let footer = Arc::new(file.footer()?);
        Ok(Self { file, footer })
    }

    /// The end of its newest window in ms, if the file names it.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        self.footer.newest
    }

    /// Whether windows of a series can have distributions.
    #[must_use]
    pub fn has_bins(&self, place: &Place) -> bool {
        let mut groups = self.footer.groups(place.first, place.rows);
        place.bins.unwrap_or_else(|| groups.any(|(group, _)| group.has(table::BIN_NAMES)))
    }

    /// The series that the file names; `None` of a file that another program wrote.
    #[must_use]
    pub fn series(&self) -> Option<&[Place]> {
        self.footer.series.as_deref()
    }

    /// All rows.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn rows(&self) -> PolarsResult<Vec<Row>> {
        Ok(table::rows(&self.read(&self.footer.whole, None, None)?))
    }

    /// The rows with nothing but version, group, metric, segment, end, status and whether they are muted.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn statuses(&self) -> PolarsResult<Vec<Row>> {
        let mut columns = vec!["version", "group", "metric", "window_end", "status", "muted"];
        if self.footer.has(table::SEGMENT) {
            columns.push(table::SEGMENT);
        }
        let columns = columns.into_iter().map(str::to_owned).collect();
        Ok(table::rows(&self.read(&self.footer.whole, None, Some(columns))?))
    }

    /// The rows of a series, whose names need not be read from the columns; with the bins, or without. `choose` is given the rows of each row group
    /// without their bins, and says which of them are to be there, by their places in ascending order.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn series_rows(
        &self,
        place: &Place,
        detail: Detail,
        choose: impl Fn(&[Row]) -> Vec<usize>,
    ) -> PolarsResult<Vec<Row>> {
        let mut rows = Vec::new();
        let detail = if detail == Detail::Bins && !self.has_bins(place) { Detail::Numbers } else { detail };
        for (group, slice) in self.footer.groups(place.first, place.rows) {
            let columns = table::names(detail).filter(|name| group.has(name)).map(str::to_owned).collect();
            let frame = self.read(&group.alone, Some(slice), Some(columns))?;
            rows.extend(table::chosen_rows(&frame, &choose));
        }
        for row in &mut rows {
            row.version.clone_from(&place.version);
            row.group.clone_from(&place.group);
            row.of.rule.clone_from(&place.rule);
            row.of.subject.clone_from(&place.subject);
        }
        Ok(rows)
    }

    fn read(
        &self,
        of: &FileMetadataRef,
        slice: Option<(usize, usize)>,
        columns: Option<Vec<String>>,
    ) -> PolarsResult<DataFrame> {
        // Without putting chunks together: polars would wake its own threads for that, and columns are read by their values.
        let mut reader = ParquetReader::new(self.file.reader()?)
            .read_parallel(ParallelStrategy::None)
            .with_slice(slice)
            .with_columns(columns);
        reader.set_metadata(Arc::clone(of));
        reader.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::{measured, window};
    use super::*;
    use driftgate_core::judge::verdict::Status;

    fn all(rows: &[Row]) -> Vec<usize> {
        (0..rows.len()).collect()
    }

    fn row() -> impl Strategy<Value = Row> {
        let names =
            (prop::sample::select(vec!["1", "2"]), prop::sample::select(vec!["psi", "ks_p"]), "[ab](\u{1f}[xy])?");
        let number = || prop::option::of(any::<f64>().prop_filter("finite", |x| x.is_finite()));
        let count = || prop::option::of(0_u64..1 << 40);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop::sample::select(Status::ALL.to_vec()));
        (
            names,
            0_i64..5,
            [number(), number(), number(), number(), number()],
            [count(), count(), count(), count()],
            flags,
            prop::option::of(".*"),
            0_usize..3,
        )
            .prop_map(
                |(
                    (version, rule, subject),
                    end,
                    [value, lower, upper, limit, warn],
                    [n, missing, invalid, reference_n],
                    flags,
                    text,
                    bins,
                )| {
                    let mut of = measured(&format!("drift/{rule}"), &subject, 0.0);
                    of.bins.truncate(bins);
                    (of.value, of.lower, of.upper, of.limit, of.warn) = (value, lower, upper, limit, warn);
                    (of.n, of.missing, of.invalid, of.reference_n) = (n, missing, invalid, reference_n);
                    (of.pending, of.muted, of.status) = (flags.0, flags.1, flags.3);
                    of.reason.clone_from(&text);
                    let mut all = rows_of(window(version, end * 300_000, vec![of]));
                    let row = all.nth(1).unwrap();
                    Row { complete: flags.2, stage: text, ..row }
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Whatever was written twice is there once, the last one; and a series is read alone as it is read with all.
        #[test]
        fn rows_are_read_back_from_parquet_in_their_order_whole_and_by_series(rows in prop::collection::vec(row(), 1..60)) {
            let mut expected: Vec<Row> = Vec::new();
            for row in &rows {
                expected.retain(|other| other.key() != row.key());
                expected.push(row.clone());
            }
            expected.sort_by(|a, b| a.key().cmp(&b.key()));
            let settled = settled(rows);
            prop_assert_eq!(&settled, &expected);
            let mut bytes = Vec::new();
            write("m", &settled, &mut bytes).unwrap();
            let file = DayFile::from_bytes(bytes).unwrap();
            prop_assert_eq!(&file.rows().unwrap(), &settled);
            let mut apart = Vec::new();
            for place in file.series().unwrap() {
                let of_it = file.series_rows(place, Detail::Bins, all).unwrap();
                prop_assert_eq!(file.has_bins(place), of_it.iter().any(|row| !row.of.bins.is_empty()));
                let unsaid = file.series_rows(&Place { bins: None, ..place.clone() }, Detail::Bins, all).unwrap();
                prop_assert_eq!(&unsaid, &of_it);
                let second = file.series_rows(place, Detail::Bins, |rows| (1..rows.len()).step_by(2).collect()).unwrap();
                prop_assert!(second.iter().eq(of_it.iter().skip(1).step_by(2)));
                apart.extend(of_it);
                for row in file.series_rows(place, Detail::Numbers, all).unwrap() {
                    prop_assert!(row.of.bins.is_empty());
                }
                let line = |row: &Row| (row.key().4, row.of.status, row.of.value, row.of.limit, row.of.warn);
                let lines = file.series_rows(place, Detail::Line, all).unwrap();
                prop_assert!(lines.iter().map(line).eq(unsaid.iter().map(line)));
            }
            prop_assert_eq!(apart, settled);
        }
    }

    #[test]
    fn a_series_beyond_one_row_group_is_found() {
        let windows = (0..6000_i32).map(|at| {
            window(
                "1",
                i64::from(at) * 300_000,
                vec![measured("drift/psi", "a", f64::from(at)), measured("drift/psi", "b", 0.0)],
            )
        });
        let rows = settled(windows.flat_map(rows_of).collect());
        let mut bytes = Vec::new();
        write("m", &rows, &mut bytes).unwrap();
        let file = DayFile::from_bytes(bytes).unwrap();
        let places = file.series().unwrap();
        assert_eq!((places[2].first, places[2].rows), (12000, 6000));
        assert_eq!(places[0].rule, "drift");
        for place in places {
            let ends: Vec<i64> =
                file.series_rows(place, Detail::Numbers, all).unwrap().iter().map(|row| row.end_ms).collect();
            assert!(ends.len() == 6000 && ends.is_sorted(), "{place:?}");
        }
        assert_eq!(file.series_rows(&places[1], Detail::Numbers, all).unwrap().last().unwrap().of.value, Some(5999.0));
        assert!(DayFile::from_bytes(b"PAR1 is not enough".to_vec()).is_err());
    }
}
