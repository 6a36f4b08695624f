//! Days that are over: what was appended to them goes into their Parquet file, together with what that has already, and the file replaces the
//! one before as a whole. Days that are no longer kept are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::columns::{self, DayFile, Row};
use super::open_day;
use super::place::{self, Day, Kind};
use super::record::Window;
use super::remote::Remote;
use super::{DAY_MS, HistoryError, Options};
use crate::private;
use crate::telemetry::events::history::{DayDeleted, DayWritten};

/// Puts days in order. While files are exchanged, the lock is held: readers hold it, too.
pub struct Days<'d> {
    pub options: &'d Options,
    pub exchange: &'d RwLock<()>,
    pub remote: Option<&'d Remote>,
}

/// The files of all models: their bytes, and how many days they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub bytes: u64,
    pub days: u64,
}

impl Days<'_> {
    fn path(&self, model: &str, day: Day, kind: Kind) -> Option<PathBuf> {
        place::path(&self.options.path, model, day, kind)
    }

    /// Every model.
    pub fn models(&self) -> Result<Vec<String>, HistoryError> {
        place::models(&self.options.path).map_err(HistoryError::file(&self.options.path))
    }

    fn files(&self, model: &str) -> Result<place::Files, HistoryError> {
        place::files(&self.options.path, model).map_err(HistoryError::file(&self.options.path))
    }

    /// Makes Parquet files of what is full. Whether there was any.
    ///
    /// # Errors
    /// The first file that cannot be read or written; what it holds stays.
    pub fn compact(&self, model: &str) -> Result<bool, HistoryError> {
        let mut any = false;
        for (day, kinds) in self.files(model)? {
            if kinds.contains(&Kind::Full) {
                self.compact_day(model, day)?;
                any = true;
            }
        }
        Ok(any)
    }

    fn compact_day(&self, model: &str, day: Day) -> Result<(), HistoryError> {
        let paths = (self.path(model, day, Kind::Parquet), self.path(model, day, Kind::Full));
        let (Some(parquet), Some(full)) = paths else { return Ok(()) };
        let mut rows = Vec::new();
        // Another process of the cluster may have written the day before.
        let there = self.remote.map(|remote| remote.get(model, day)).transpose()?.flatten();
        if let Some(bytes) = &there {
            rows.extend(rows_of_bytes(&parquet, bytes.clone())?);
        }
        rows.extend(rows_of_file(&parquet)?);
        rows.extend(appended(&full)?);
        let rows = columns::settled(rows);
        let bytes = encoded(model, &rows, &parquet)?;
        let length = bytes.len() as u64;
        self.replace(&parquet, &bytes, full.exists().then_some(&full))?;
        DayWritten { file: &parquet, rows: rows.len(), bytes: length }.emit();
        match self.remote {
            Some(remote) if there.as_ref() != Some(&bytes) => remote.put(model, day, bytes),
            _ => Ok(()),
        }
    }

    /// Writes a file that takes the place of the one before; what it was made of is deleted.
    fn replace(&self, path: &Path, bytes: &[u8], of: Option<&PathBuf>) -> Result<(), HistoryError> {
        let fresh = path.with_extension("parquet.new");
        let written = private::create(&fresh).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(HistoryError::file(&fresh))?;
        let _exchange = self.exchange.write().unwrap_or_else(PoisonError::into_inner);
        fs::rename(&fresh, path).map_err(HistoryError::file(path))?;
        of.map_or(Ok(()), |of| private::remove(of).map_err(HistoryError::file(of)))
    }

    /// Deletes the days of a model that ended longer ago than it is kept, before its newest day; in the store as well.
    ///
    /// # Errors
    /// A file that cannot be deleted.
    pub fn delete_old(&self, model: &str) -> Result<(), HistoryError> {
        let files = self.files(model)?;
        let Some(newest) = files.keys().next_back() else { return Ok(()) };
        let keep = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        let first = newest.saturating_mul(DAY_MS).saturating_sub(keep).div_euclid(DAY_MS);
        for (day, kinds) in files.range(..first) {
            for kind in kinds {
                let Some(path) = self.path(model, *day, *kind) else { continue };
                let _exchange = self.exchange.write().unwrap_or_else(PoisonError::into_inner);
                // The writer may have let the day go since, and so called the file otherwise: the next look finds it.
                private::remove(&path).map_err(HistoryError::file(&path))?;
                DayDeleted { file: &path }.emit();
            }
            if let Some(remote) = self.remote {
                remote.delete(model, *day)?;
            }
        }
        Ok(())
    }

    /// Fetches the days that the store has and the folder lacks, copies those there that it lacks, and puts those together that differ: another
    /// process of the cluster wrote a part. So do the days that are not over, up to now.
    ///
    /// # Errors
    /// A store that does not answer.
    pub fn exchange_with_store(&self) -> Result<(), HistoryError> {
        let Some(remote) = self.remote else { return Ok(()) };
        let there = remote.days()?;
        let models: BTreeSet<String> = there.keys().cloned().chain(self.models()?).collect();
        for model in &models {
            let none = BTreeMap::new();
            let of = there.get(model).unwrap_or(&none);
            let here = self.files(model)?;
            for (day, _) in of.iter().filter(|(day, _)| !here.contains_key(day)) {
                let (Some(bytes), Some(path)) = (remote.get(model, *day)?, self.path(model, *day, Kind::Parquet))
                else {
                    continue;
                };
                private::make_folder(&place::folder(&self.options.path, model)).map_err(HistoryError::file(&path))?;
                self.replace(&path, &bytes, None)?;
            }
            for (day, kinds) in &here {
                if kinds.contains(&Kind::Open) {
                    self.share_open_day(remote, model, *day)?;
                    continue;
                }
                let Some(path) = self.path(model, *day, Kind::Parquet).filter(|_| kinds.contains(&Kind::Parquet))
                else {
                    continue;
                };
                let length = fs::metadata(&path).map_err(HistoryError::file(&path))?.len();
                match of.get(day) {
                    None => remote.put(model, *day, fs::read(&path).map_err(HistoryError::file(&path))?)?,
                    Some(other) if *other != length => self.compact_day(model, *day)?,
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Puts what is known here of a day that is appended to into the store, and what others wrote of it into the folder.
    fn share_open_day(&self, remote: &Remote, model: &str, day: Day) -> Result<(), HistoryError> {
        let paths = (
            self.path(model, day, Kind::Parquet),
            self.path(model, day, Kind::Full),
            self.path(model, day, Kind::Open),
        );
        let (Some(parquet), Some(full), Some(open)) = paths else { return Ok(()) };
        let there = remote.get(model, day)?;
        let theirs = there.as_ref().map_or(Ok(Vec::new()), |bytes| rows_of_bytes(&parquet, bytes.clone()))?;
        let before = rows_of_file(&parquet)?;
        let mut since = appended(&full)?;
        since.extend(appended(&open)?);
        let known: BTreeSet<_> = before.iter().chain(&since).map(Row::key).collect();
        let fetched: Vec<Row> = theirs.iter().filter(|row| !known.contains(&row.key())).cloned().collect();
        if !fetched.is_empty() {
            let rows = columns::settled([fetched, before.clone()].concat());
            self.replace(&parquet, &encoded(model, &rows, &parquet)?, None)?;
        }
        let bytes = encoded(model, &columns::settled([theirs, before, since].concat()), &parquet)?;
        if there.as_ref() == Some(&bytes) { Ok(()) } else { remote.put(model, day, bytes) }
    }

    /// What all files take.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn size(&self) -> Result<Size, HistoryError> {
        let mut size = Size::default();
        for model in self.models()? {
            for (day, kinds) in self.files(&model)? {
                size.days += 1;
                let paths = kinds.iter().filter_map(|kind| self.path(&model, day, *kind));
                size.bytes += paths.filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum::<u64>();
            }
        }
        Ok(size)
    }
}

/// The rows of a day as the store has it.
fn rows_of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Vec<Row>, HistoryError> {
    let rows = DayFile::from_bytes(bytes).and_then(|file| file.rows());
    rows.map_err(|e| HistoryError::Store(format!("{}: {e}", path.display())))
}

/// The rows of a day that was over; none where it has no file.
fn rows_of_file(path: &Path) -> Result<Vec<Row>, HistoryError> {
    let Some(file) = DayFile::open(path)? else { return Ok(Vec::new()) };
    file.rows().map_err(|e| HistoryError::unreadable(path, e))
}

/// Settled rows as a file.
fn encoded(model: &str, rows: &[Row], path: &Path) -> Result<Vec<u8>, HistoryError> {
    let mut bytes = Vec::new();
    columns::write(model, rows, &mut bytes).map_err(|e| HistoryError::unreadable(path, e))?;
    Ok(bytes)
}

/// The rows of a file that is, or was, appended to; none where there is none.
///
/// # Errors
/// A file that cannot be read.
fn appended(path: &Path) -> Result<Vec<Row>, HistoryError> {
    let mut rows = Vec::new();
    each_window(path, |window| rows.extend(columns::rows_of(window)))?;
    Ok(rows)
}

/// Hands on the windows of such a file, one after the other.
///
/// # Errors
/// A file that cannot be read.
pub fn each_window(path: &Path, each: impl FnMut(Window)) -> Result<(), HistoryError> {
    let bytes = match fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes.map_err(HistoryError::file(path))?,
    };
    open_day::records(&bytes).filter_map(Window::decode).for_each(each);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::open_day::OpenDay;
    use super::super::record::tests::{measured, window};
    use super::super::remote;
    use super::*;

    fn options(path: &Path) -> Options {
        Options { path: path.to_owned(), keep: Duration::from_hours(48), store: None }
    }

    fn full(options: &Options, day: Day, windows: &[Window]) {
        append(options, (day, Kind::Full), windows);
    }

    fn open(options: &Options, day: Day, windows: &[Window]) {
        append(options, (day, Kind::Open), windows);
    }

    fn append(options: &Options, (day, kind): (Day, Kind), windows: &[Window]) {
        let folder = place::folder(&options.path, "m");
        private::make_folder(&folder).unwrap();
        let records: Vec<Vec<u8>> = windows.iter().map(|w| w.encode().unwrap()).collect();
        let path = folder.join(place::name(day, kind).unwrap());
        OpenDay::open(&path).unwrap().append(records.iter().map(Vec::as_slice)).unwrap();
    }

    fn values(options: &Options, day: Day) -> Vec<(i64, f64)> {
        let path = place::folder(&options.path, "m").join(place::name(day, Kind::Parquet).unwrap());
        let rows = DayFile::open(&path).unwrap().unwrap().rows().unwrap();
        rows.iter().filter_map(|r| Some((r.end_ms, r.of.value?))).collect()
    }

    fn one(end_ms: i64, value: f64) -> Window {
        window("1", end_ms, vec![measured("drift/psi", "a", value)])
    }

    #[test]
    fn what_comes_late_is_added_to_its_day_and_old_days_go() {
        let folder = tempfile::tempdir().unwrap();
        let (options, exchange) = (options(folder.path()), RwLock::default());
        let days = Days { options: &options, exchange: &exchange, remote: None };
        full(&options, 5, &[one(5 * DAY_MS, 0.1), one(5 * DAY_MS + 9, 0.2)]);
        assert!(days.compact("m").unwrap());
        full(&options, 5, &[one(5 * DAY_MS + 3, 0.3), one(5 * DAY_MS, 0.4)]);
        assert!(days.compact("m").unwrap() && !days.compact("m").unwrap());
        let start = 5 * DAY_MS;
        assert_eq!(values(&options, 5), [(start, 0.4), (start + 3, 0.3), (start + 9, 0.2)]);
        full(&options, 7, &[one(7 * DAY_MS, 0.5)]);
        days.compact("m").unwrap();
        days.delete_old("m").unwrap();
        assert_eq!(days.size().unwrap().days, 2);
        full(&options, 8, &[one(8 * DAY_MS, 0.5)]);
        days.delete_old("m").unwrap();
        let left: Vec<Day> = days.files("m").unwrap().into_keys().collect();
        assert_eq!(left, [7, 8]);
    }

    #[test]
    fn two_processes_write_a_day_together_by_way_of_the_store_and_a_new_one_fetches_it() {
        let (a, b, c) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (to, other) = remote::tests::in_memory();
        let (lock, options) = (RwLock::default(), [&a, &b, &c].map(|folder| options(folder.path())));
        let [of_a, of_b, of_c] = &options;
        let days = |options, remote| Days { options, exchange: &lock, remote: Some(remote) };
        full(of_a, 5, &[one(5 * DAY_MS, 0.1)]);
        days(of_a, &to).compact("m").unwrap();
        full(of_b, 5, &[one(5 * DAY_MS + 9, 0.2)]);
        days(of_b, &other).compact("m").unwrap();
        for of in [of_c, of_a] {
            days(of, &to).exchange_with_store().unwrap();
            assert_eq!(values(of, 5), [(5 * DAY_MS, 0.1), (5 * DAY_MS + 9, 0.2)]);
        }
        // What is appended to a day is there before it is over: another process, and one that appends to it as well, have it.
        open(of_a, 6, &[one(6 * DAY_MS, 0.3)]);
        open(of_b, 6, &[one(6 * DAY_MS + 9, 0.4)]);
        for of in [of_a, of_b, of_a, of_c] {
            days(of, &to).exchange_with_store().unwrap();
        }
        let (first, second) = ((6 * DAY_MS, 0.3), (6 * DAY_MS + 9, 0.4));
        assert_eq!(
            (values(of_a, 6), values(of_b, 6), values(of_c, 6)),
            (vec![second], vec![first], vec![first, second])
        );
        let reader = super::super::Reader::of(of_b.clone());
        let wanted = super::super::wanted::Wanted {
            version: "1",
            rule: Some("drift/psi"),
            from_ms: 6 * DAY_MS,
            to_ms: 7 * DAY_MS,
            ..Default::default()
        };
        assert_eq!(reader.find("m", &wanted).unwrap().len(), 2);
        // What could not be copied before is copied then.
        other.delete("m", 5).unwrap();
        days(of_c, &to).exchange_with_store().unwrap();
        assert!(other.get("m", 5).unwrap().is_some());
    }
}
