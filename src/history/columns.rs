//! Rows of the history as a table, and the table as Parquet: one row per (version, group, rule, subject) and window, in this order. The file's
//! metadata name the rows of each series, so that one of them is read without the others.

mod table;

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;

use polars_core::prelude::{DataFrame, PolarsResult};
use polars_io::SerReader as _;
use polars_io::mmap::MmapBytesReader;
use polars_io::parquet::read::{ParallelStrategy, ParquetReader};
use polars_io::parquet::write::{KeyValueMetadata, ParquetCompression, ParquetWriter};

use super::HistoryError;
pub use super::row::{Place, Row, places, rows_of, settled};

/// Under this name the metadata of a file have its series.
const SERIES: &str = "driftgate.series";
/// And under this one the end of their newest window, ms.
const NEWEST: &str = "driftgate.newest";
/// Rows of a row group: a series is read with the groups that it touches.
const GROUP_ROWS: usize = 4096;

/// The table of rows.
///
/// # Errors
/// Columns that polars does not make.
pub fn frame(model: &str, rows: &[Row]) -> PolarsResult<DataFrame> {
    table::frame(model, rows)
}

/// Writes rows of a model that are settled as a Parquet file.
///
/// # Errors
/// A place that does not take it.
pub fn write(model: &str, rows: &[Row], to: impl Write) -> PolarsResult<()> {
    let places = serde_json::to_string(&places(rows)).unwrap_or_default();
    let newest = rows.iter().map(|row| row.end_ms).max().unwrap_or_default().to_string();
    let metadata = vec![(SERIES.to_owned(), places), (NEWEST.to_owned(), newest)];
    let mut frame = table::frame(model, rows)?;
    ParquetWriter::new(to)
        .with_compression(ParquetCompression::Zstd(None))
        .with_row_group_size(Some(GROUP_ROWS))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(metadata)))
        .set_parallel(false)
        .finish(&mut frame)?;
    Ok(())
}

/// A Parquet file of a day, open to be read.
pub struct DayFile {
    file: Source,
    series: Option<Vec<Place>>,
    newest: Option<i64>,
}

enum Source {
    File(File),
    Bytes(Vec<u8>),
}

impl DayFile {
    /// Opens a file; `None` where there is none.
    ///
    /// # Errors
    /// A file that is no Parquet file.
    pub fn open(path: &Path) -> Result<Option<Self>, HistoryError> {
        match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(HistoryError::file(path)(e)),
            // Its owner replaces it as a whole and never shortens it, so that it may be mapped.
            Ok(file) => Self::of(Source::File(file)).map(Some).map_err(|e| HistoryError::unreadable(path, e)),
        }
    }

    /// A file that is in memory.
    ///
    /// # Errors
    /// Bytes that are no Parquet file.
    pub fn from_bytes(bytes: Vec<u8>) -> PolarsResult<Self> {
        Self::of(Source::Bytes(bytes))
    }

    fn of(file: Source) -> PolarsResult<Self> {
        let mut found = Self { file, series: None, newest: None };
        let (series, newest) = {
            let mut reader = ParquetReader::new(found.reader()?);
            let pairs = reader.get_metadata()?.key_value_metadata();
            let named = |name: &str| pairs.iter().flatten().find(|pair| pair.key == name)?.value.as_deref();
            let series = named(SERIES).and_then(|text| serde_json::from_str(text).ok());
            (series, named(NEWEST).and_then(|text| text.parse().ok()))
        };
        (found.series, found.newest) = (series, newest);
        Ok(found)
    }

    /// The end of its newest window in ms, if the file names it.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    fn reader(&self) -> PolarsResult<Box<dyn MmapBytesReader + '_>> {
        Ok(match &self.file {
            Source::File(file) => Box::new(file.try_clone()?),
            Source::Bytes(bytes) => Box::new(Cursor::new(bytes.as_slice())),
        })
    }

    /// The series that the file names; `None` of a file that another program wrote.
    #[must_use]
    pub fn series(&self) -> Option<&[Place]> {
        self.series.as_deref()
    }

    /// All rows.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn rows(&self) -> PolarsResult<Vec<Row>> {
        Ok(table::rows(&self.read(None, None)?))
    }

    /// The rows with nothing but version, group, metric, end, status and whether they are muted.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn statuses(&self) -> PolarsResult<Vec<Row>> {
        let columns = ["version", "group", "metric", "window_end", "status", "muted"].map(str::to_owned);
        Ok(table::rows(&self.read(None, Some(columns.to_vec()))?))
    }

    /// The rows of a series, which need not be read from its columns; with the bins, or without.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn series_rows(&self, place: &Place, bins: bool) -> PolarsResult<Vec<Row>> {
        let columns = table::names(bins);
        let mut rows = table::rows(&self.read(Some((place.first, place.rows)), Some(columns))?);
        for row in &mut rows {
            row.version.clone_from(&place.version);
            row.group.clone_from(&place.group);
            row.of.rule.clone_from(&place.rule);
            row.of.subject.clone_from(&place.subject);
        }
        Ok(rows)
    }

    fn read(&self, slice: Option<(usize, usize)>, columns: Option<Vec<String>>) -> PolarsResult<DataFrame> {
        ParquetReader::new(self.reader()?)
            .read_parallel(ParallelStrategy::None)
            .set_rechunk(true)
            .with_slice(slice)
            .with_columns(columns)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::tests::{measured, window};
    use super::*;
    use driftgate_core::judge::verdict::Status;

    fn row() -> impl Strategy<Value = Row> {
        let names = (prop::sample::select(vec!["1", "2"]), prop::sample::select(vec!["psi", "ks_p"]), "[ab]");
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
                apart.extend(file.series_rows(place, true).unwrap());
                for row in file.series_rows(place, false).unwrap() {
                    prop_assert!(row.of.bins.is_empty());
                }
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
        assert_eq!(file.series_rows(&places[1], false).unwrap().last().unwrap().of.value, Some(5999.0));
        assert!(DayFile::from_bytes(b"PAR1 is not enough".to_vec()).is_err());
    }
}
