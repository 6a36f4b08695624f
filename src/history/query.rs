//! The windows of a range of time, of one series or of all of a version: the days that are over from their Parquet files, the others from what
//! was appended to them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use super::columns::{DayFile, Detail, Footers, Row, settled};
use super::place::{self, Day, Kind, day_of};
use super::positions::Positions;
use super::recent::{HOUR_MS, Hours, Recent};
use super::record::Window;
use super::wanted::Wanted;
use super::{DAY_MS, HistoryError, Options};

/// So many threads read days beside each other.
const MOST_THREADS: usize = 4;

/// Rows by version, group, rule, subject and end, each once.
pub type Found = Vec<Row>;

/// Reads the history.
#[derive(Clone, Debug)]
pub struct Reader {
    options: Arc<Options>,
    exchange: Arc<RwLock<()>>,
    recent: Recent,
    footers: Footers,
    positions: Positions,
}

impl Reader {
    pub(super) fn new(options: Arc<Options>, exchange: Arc<RwLock<()>>) -> Self {
        let (recent, footers, positions) = (Recent::default(), Footers::default(), Positions::default());
        Self { options, exchange, recent, footers, positions }
    }

    /// A reader beside the process that writes, if one does.
    #[must_use]
    pub fn of(options: Options) -> Self {
        Self::new(Arc::new(options), Arc::default())
    }

    /// How long the history is kept.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The windows that are asked for.
    ///
    /// # Errors
    /// A file that cannot be read, or more rows than are asked for at most.
    pub fn find(&self, model: &str, wanted: &Wanted<'_>) -> Result<Found, HistoryError> {
        let _exchange = self.exchange.read().unwrap_or_else(PoisonError::into_inner);
        if wanted.from_ms >= wanted.to_ms {
            return Ok(Vec::new());
        }
        let files = place::files(&self.options.path, model).map_err(HistoryError::file(&self.options.path))?;
        let days: Vec<(Day, Vec<Kind>)> = files
            .range(day_of(wanted.from_ms)..=day_of(wanted.to_ms - 1))
            .map(|(day, kinds)| (*day, kinds.clone()))
            .collect();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let share = days.len().div_ceil(threads).max(1);
        let found: Vec<Result<Found, HistoryError>> = thread::scope(|scope| {
            let work = |share: &[(Day, Vec<Kind>)]| {
                share.iter().try_fold(Vec::new(), |rows, day| self.day(model, day, wanted, rows))
            };
            let mut shares = days.chunks(share);
            let first = shares.next();
            let others: Vec<_> = shares.map(|share| scope.spawn(move || work(share))).collect();
            let mut all: Vec<_> = first.into_iter().map(work).collect();
            let failed = || HistoryError::unreadable(&self.options.path, "a thread that read it stopped");
            all.extend(others.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(failed()))));
            all
        });
        let mut rows = Vec::new();
        for part in found {
            rows.extend(part?);
        }
        within(rows.len(), wanted)?;
        Ok(settled(rows))
    }

    /// The rows of a day, behind those of the days before.
    fn day(
        &self,
        model: &str,
        (day, kinds): &(Day, Vec<Kind>),
        wanted: &Wanted<'_>,
        mut rows: Found,
    ) -> Result<Found, HistoryError> {
        for kind in kinds {
            let Some(path) = self.path(model, *day, *kind) else { continue };
            match kind {
                Kind::Parquet => {
                    let Some(file) = DayFile::open_with(&path, &self.footers)? else { continue };
                    let unreadable = |e| HistoryError::unreadable(&path, e);
                    if let Some(series) = file.series() {
                        for place in series.iter().filter(|place| wanted.is_place(place)) {
                            if wanted.only_bins && !file.has_bins(place) {
                                continue;
                            }
                            within(rows.len() + place.rows / wanted.every.max(1), wanted)?;
                            let read = file.series_rows(place, wanted.detail, |rows| wanted.chosen(rows));
                            rows.extend(wanted.with_bins(read.map_err(unreadable)?));
                        }
                    } else {
                        let read = file.rows().map_err(unreadable)?.into_iter().filter(|row| wanted.is_row(row));
                        rows.extend(wanted.thinned(read.collect()));
                    }
                }
                Kind::Full | Kind::Open => rows.extend(wanted.thinned(self.of_open(&path, wanted)?)),
            }
            within(rows.len(), wanted)?;
        }
        Ok(rows)
    }

    /// How many windows there are of what is asked for, before any are left out: exactly where each window is in one file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn windows(&self, model: &str, wanted: &Wanted<'_>) -> Result<usize, HistoryError> {
        let _exchange = self.exchange.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = Wanted { every: 1, most: usize::MAX, ..*wanted };
        let files = place::files(&self.options.path, model).map_err(HistoryError::file(&self.options.path))?;
        let mut windows = 0;
        for (day, kinds) in &files {
            let begin = day.saturating_mul(DAY_MS);
            let whole = wanted.from_ms <= begin && begin.saturating_add(DAY_MS) <= wanted.to_ms;
            let named = if whole { self.named_windows(model, (*day, kinds), &wanted)? } else { None };
            windows += match named {
                Some(named) => named,
                None if begin < wanted.to_ms && wanted.from_ms < begin.saturating_add(DAY_MS) => {
                    self.day(model, &(*day, kinds.clone()), &wanted, Vec::new())?.len()
                }
                None => 0,
            };
        }
        Ok(windows)
    }

    /// The windows of a whole day that its file names; `None` where rows have to be read to be counted.
    fn named_windows(
        &self,
        model: &str,
        (day, kinds): (Day, &[Kind]),
        wanted: &Wanted<'_>,
    ) -> Result<Option<usize>, HistoryError> {
        let (&[Kind::Parquet], Some(path)) = (kinds, self.path(model, day, Kind::Parquet)) else { return Ok(None) };
        let Some(file) = DayFile::open_with(&path, &self.footers)? else { return Ok(Some(0)) };
        let Some(series) = file.series() else { return Ok(None) };
        let places = series.iter().filter(|place| wanted.is_place(place));
        let places = places.filter(|place| !wanted.only_bins || file.has_bins(place));
        Ok(Some(places.map(|place| place.rows).sum()))
    }

    /// The rows of a file that is appended to.
    fn of_open(&self, path: &Path, wanted: &Wanted<'_>) -> Result<Vec<Row>, HistoryError> {
        let is_window =
            |window: &Window| wanted.is_named(&window.version, &window.group) && wanted.is_time(window.end_ms);
        self.positions.rows(
            path,
            is_window,
            |rule, subject| wanted.is_series(rule, subject),
            wanted.detail == Detail::Bins,
        )
    }

    fn path(&self, model: &str, day: Day, kind: Kind) -> Option<PathBuf> {
        place::path(&self.options.path, model, day, kind)
    }

    /// What the windows of a model came to, by hour, of those that begin in `[from_ms, to_ms)`. A window that was judged twice counts as the worse.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn recent(&self, model: &str, from_ms: i64, to_ms: i64) -> Result<Hours, HistoryError> {
        let _exchange = self.exchange.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Hours::new();
        if from_ms >= to_ms {
            return Ok(found);
        }
        let files = place::files(&self.options.path, model).map_err(HistoryError::file(&self.options.path))?;
        // A window that ends at midnight is in the file of the day that begins.
        for (day, kinds) in files.range(day_of(from_ms)..=day_of(to_ms.saturating_add(HOUR_MS))) {
            for kind in kinds {
                let Some(path) = self.path(model, *day, *kind) else { continue };
                let hours = self.recent.of(&path, *kind)?;
                for (key, hour) in hours.iter().filter(|((_, _, start), _)| (from_ms..to_ms).contains(start)) {
                    found.entry(key.clone()).and_modify(|before| *before = before.worse(*hour)).or_insert(*hour);
                }
            }
        }
        Ok(found)
    }

    /// The end of the newest window of a model in ms; `None` where it has none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn newest(&self, model: &str) -> Result<Option<i64>, HistoryError> {
        let _exchange = self.exchange.read().unwrap_or_else(PoisonError::into_inner);
        let files = place::files(&self.options.path, model).map_err(HistoryError::file(&self.options.path))?;
        for (day, kinds) in files.iter().rev() {
            let mut newest = None;
            for kind in kinds {
                let Some(path) = self.path(model, *day, *kind) else { continue };
                let end = match kind {
                    Kind::Parquet => DayFile::open_with(&path, &self.footers)?.and_then(|file| file.newest()),
                    Kind::Full | Kind::Open => self.positions.newest(&path)?,
                };
                newest = newest.max(end);
            }
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }
}

fn within(rows: usize, wanted: &Wanted<'_>) -> Result<(), HistoryError> {
    if rows > wanted.most { Err(HistoryError::TooMany { rows, most: wanted.most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::columns::{self, rows_of};
    use super::super::open_day::OpenDay;
    use super::super::record::series::joined;
    use super::super::record::tests::{measured, window};
    use super::*;
    use driftgate_core::judge::verdict::Status;

    fn put(root: &Path, kind: Kind, windows: Vec<Window>) {
        let folder = place::folder(root, "m");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(place::name(day_of(windows[0].end_ms), kind).unwrap());
        if kind == Kind::Parquet {
            let rows = settled(windows.into_iter().flat_map(rows_of).collect());
            return columns::write("m", &rows, std::fs::File::create(path).unwrap()).unwrap();
        }
        let records: Vec<Vec<u8>> = windows.iter().map(|w| w.encode().unwrap()).collect();
        OpenDay::open(&path).unwrap().append(records.iter().map(Vec::as_slice)).unwrap();
    }

    fn at(end_ms: i64, value: f64) -> Window {
        let results = vec![
            measured("drift/psi", "a", value),
            measured("drift/psi", "b", -value),
            measured("drift/ks_p", "a", 0.5),
        ];
        window("1", end_ms, results)
    }

    /// Of a stretch of windows the worst is left, from files of both kinds, and those without a distribution are left out where they are not asked for.
    #[test]
    fn of_many_windows_the_worst_of_each_stretch_is_read() {
        let root = tempfile::tempdir().unwrap();
        let reader = Reader::of(Options { path: root.path().to_owned(), keep: Duration::ZERO, store: None });
        let windows = |day: Day| -> Vec<Window> {
            let of = |at: i64| {
                let mut results = vec![measured("drift/psi", "a", 0.1), measured("drift/ks_p", "a", 0.2)];
                results[1].bins.clear();
                results[0].status = if at == 4 { Status::Block } else { Status::Pass };
                window("1", day * DAY_MS + at, results)
            };
            (0..10).map(of).collect()
        };
        put(root.path(), Kind::Parquet, windows(0));
        put(root.path(), Kind::Open, windows(1));
        let wanted =
            Wanted { version: "1", subject: Some("a"), to_ms: 2 * DAY_MS, detail: Detail::Bins, ..Wanted::default() };
        let ends = |wanted: Wanted<'_>| -> Vec<i64> {
            let rows = reader.find("m", &wanted).unwrap();
            assert!(!wanted.only_bins || rows.iter().all(|row| row.of.bins.len() == 2));
            rows.iter().filter(|row| row.of.rule == "drift/psi").map(|row| row.end_ms).collect()
        };
        let with_bins = Wanted { only_bins: true, ..wanted };
        assert_eq!((reader.windows("m", &wanted).unwrap(), reader.windows("m", &with_bins).unwrap()), (40, 20));
        let every = |every| ends(Wanted { every, ..with_bins });
        assert_eq!(every(4), [3, 4, 9, DAY_MS + 3, DAY_MS + 4, DAY_MS + 9]);
        assert_eq!(every(100), [4, DAY_MS + 4]);
        assert_eq!(ends(Wanted { every: 4, from_ms: 5, to_ms: DAY_MS + 2, ..wanted }), [8, 9, DAY_MS + 1]);
        assert_eq!(reader.find("m", &Wanted { every: 4, ..wanted }).unwrap().len(), 12);
        assert_eq!(every(1).len(), 20);
    }

    #[test]
    fn a_range_is_read_from_all_kinds_of_files_and_what_was_written_last_counts() {
        let root = tempfile::tempdir().unwrap();
        let reader = Reader::of(Options { path: root.path().to_owned(), keep: Duration::ZERO, store: None });
        assert_eq!((reader.newest("m").unwrap(), reader.find("m", &Wanted::default()).unwrap()), (None, Vec::new()));
        put(root.path(), Kind::Parquet, vec![at(0, 0.1), at(9, 0.2)]);
        put(root.path(), Kind::Full, vec![at(9, 0.3)]);
        put(root.path(), Kind::Open, vec![at(5, 0.4)]);
        put(root.path(), Kind::Parquet, vec![at(DAY_MS, 0.5)]);
        put(
            root.path(),
            Kind::Open,
            vec![at(2 * DAY_MS, 0.6), window("2", 2 * DAY_MS + 1, vec![measured("drift/psi", "a", 0.7)])],
        );
        let wanted = Wanted {
            version: "1",
            rule: Some("drift/psi"),
            subject: Some("a"),
            to_ms: 9 * DAY_MS,
            ..Wanted::default()
        };
        let values = |wanted: &Wanted<'_>| -> Vec<(i64, f64)> {
            reader.find("m", wanted).unwrap().iter().map(|row| (row.end_ms, row.of.value.unwrap())).collect()
        };
        let all = [(0, 0.1), (5, 0.4), (9, 0.3), (DAY_MS, 0.5), (2 * DAY_MS, 0.6)];
        assert_eq!(values(&wanted), all);
        assert_eq!(values(&Wanted { from_ms: 5, to_ms: DAY_MS, ..wanted }), all[1..3]);
        assert_eq!(values(&Wanted { version: "2", ..wanted }), [(2 * DAY_MS + 1, 0.7)]);
        assert_eq!(values(&Wanted { group: Some("other"), ..wanted }), []);
        assert_eq!(reader.find("m", &Wanted { rule: None, subject: None, ..wanted }).unwrap().len(), 20);
        let statuses = Wanted { rule: Some("drift"), subject: Some(""), ..wanted };
        assert_eq!(reader.find("m", &statuses).unwrap().len(), 5);
        let bins = |detail| {
            reader.find("m", &Wanted { detail, ..wanted }).unwrap().iter().filter(|row| row.of.bins.len() == 2).count()
        };
        assert_eq!((bins(Detail::Numbers), bins(Detail::Bins)), (0, 5));
        // Segments of the subject are there where they are asked for.
        let of_segment = |end_ms| {
            window("3", end_ms, vec![measured("drift/psi", "a", 0.1), measured("drift/psi", &joined("a", "eu"), 0.2)])
        };
        put(root.path(), Kind::Parquet, vec![of_segment(7 * DAY_MS)]);
        put(root.path(), Kind::Open, vec![of_segment(8 * DAY_MS)]);
        let third = Wanted { version: "3", ..wanted };
        assert_eq!(values(&third), [(7 * DAY_MS, 0.1), (8 * DAY_MS, 0.1)]);
        assert_eq!(reader.windows("m", &third).unwrap(), 2);
        let segments = Wanted { segments: true, ..third };
        assert_eq!(reader.find("m", &segments).unwrap().iter().filter(|row| row.of.segment() == Some("eu")).count(), 2);
        for day in [7, 8] {
            let path = |kind| place::path(root.path(), "m", day, kind).unwrap();
            for kind in [Kind::Parquet, Kind::Open] {
                let _ = std::fs::remove_file(path(kind));
            }
        }
        assert_eq!(reader.newest("m").unwrap(), Some(2 * DAY_MS + 1));
        assert!(matches!(reader.find("m", &Wanted { most: 4, ..wanted }), Err(HistoryError::TooMany { .. })));
        let counted = |wanted: Wanted<'_>| reader.windows("m", &Wanted { detail: Detail::Bins, ..wanted }).unwrap();
        assert_eq!((counted(wanted), counted(Wanted { from_ms: 5, ..wanted })), (6, 5), "one is in two files");
        std::fs::write(root.path().join("m/1970-01-02.parquet"), "x").unwrap();
        let error = reader.find("m", &wanted).unwrap_err().to_string();
        assert!(error.contains("1970-01-02.parquet is no file of the history"), "{error}");
    }
}
