//! What the windows of the last days came to, by hour: enough for a small picture of each of many versions. A day that is over is read once, and of
//! the file that is appended to what came since the last time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::HistoryError;
use super::columns::{DayFile, Row};
use super::open_day;
use super::place::Kind;
use super::record::Window;
use super::row::VERDICT;
use driftgate_core::judge::verdict::Status;

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Of so many files what they came to is kept in memory, then it is read anew.
const MOST_FILES: usize = 4096;

/// What the windows that ended within an hour came to: the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    pub status: Status,
    /// Results that neither pass nor are muted, and all results, of the window with most of the former.
    pub failing: u32,
    pub results: u32,
}

impl Hour {
    /// The worse of both.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let most = if other.failing > self.failing { other } else { self };
        Self { status: self.status.max(other.status), ..most }
    }
}

/// By version, group and the hour's beginning in ms.
pub type Hours = BTreeMap<(String, String, i64), Hour>;

/// What is known of files, by path.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<BTreeMap<PathBuf, Known>>>);

#[derive(Clone, Debug, Default)]
struct Known {
    /// Which file it was.
    length: u64,
    modified: Option<SystemTime>,
    /// Records of a file that is appended to, and their bytes with the head.
    records: usize,
    bytes: u64,
    hours: Arc<Hours>,
}

impl Recent {
    /// What the windows in a file came to; nothing where there is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(&self, path: &Path, kind: Kind) -> Result<Arc<Hours>, HistoryError> {
        let meta = match fs::metadata(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Arc::default()),
            meta => meta.map_err(HistoryError::file(path))?,
        };
        let (length, modified) = (meta.len(), meta.modified().ok());
        let before = self.lock().get(path).cloned().unwrap_or_default();
        if (before.length, before.modified) == (length, modified) && modified.is_some() {
            return Ok(before.hours);
        }
        let known = match kind {
            Kind::Parquet => Known { length, modified, hours: Arc::new(of_parquet(path)?), ..Known::default() },
            Kind::Full | Kind::Open => {
                let before = if before.length <= length { before } else { Known::default() };
                Known { length, modified, ..of_appended(path, before)? }
            }
        };
        let hours = Arc::clone(&known.hours);
        let mut all = self.lock();
        if all.len() >= MOST_FILES {
            all.clear();
        }
        all.insert(path.to_owned(), known);
        Ok(hours)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(hours: &mut Hours, version: String, group: String, end_ms: i64, hour: Hour) {
    // A window that ends on the hour is the last one of the hour before.
    let start = end_ms.saturating_sub(1).div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
    hours.entry((version, group, start)).and_modify(|before| *before = before.worse(hour)).or_insert(hour);
}

fn fails(status: Status, muted: bool) -> bool {
    !muted && matches!(status, Status::Warn | Status::Block)
}

fn of_parquet(path: &Path) -> Result<Hours, HistoryError> {
    let mut hours = Hours::new();
    let Some(file) = DayFile::open(path)? else { return Ok(hours) };
    let rows = file.statuses().map_err(|e| HistoryError::unreadable(path, e))?;
    let mut windows: BTreeMap<(&str, &str, i64), Hour> = BTreeMap::new();
    for Row { version, group, end_ms, of, .. } in rows.iter().filter(|row| row.of.segment().is_none()) {
        let none = Hour { status: Status::Pass, failing: 0, results: 0 };
        let window = windows.entry((version, group, *end_ms)).or_insert(none);
        if of.metric == VERDICT {
            window.status = of.status;
        } else {
            window.results = window.results.saturating_add(1);
            window.failing = window.failing.saturating_add(u32::from(fails(of.status, of.muted)));
        }
    }
    for ((version, group, end_ms), hour) in windows {
        add(&mut hours, version.to_owned(), group.to_owned(), end_ms, hour);
    }
    Ok(hours)
}

/// Adds the records behind those that are known.
fn of_appended(path: &Path, mut known: Known) -> Result<Known, HistoryError> {
    let file = match fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Known::default()),
        file => file.map_err(HistoryError::file(path))?,
    };
    let (at, bytes) = open_day::behind(&file, known.bytes).map_err(HistoryError::file(path))?;
    known.bytes = at;
    for (_, record) in open_day::framed(&bytes) {
        known.records = known.records.saturating_add(1);
        known.bytes = known.bytes.saturating_add((open_day::FRAME + record.len()) as u64);
        let (mut status, mut failing, mut results) = (Status::Pass, 0_u32, 0_u32);
        let window = Window::skim(record, |of, _| {
            if of.segment().is_some() {
                return;
            }
            status = status.max(of.status);
            failing = failing.saturating_add(u32::from(fails(of.status, of.muted)));
            results = results.saturating_add(1);
        });
        let Some(Window { version, group, end_ms, .. }) = window else { continue };
        add(Arc::make_mut(&mut known.hours), version, group, end_ms, Hour { status, failing, results });
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::super::columns;
    use super::super::open_day::OpenDay;
    use super::super::record::series::joined;
    use super::super::record::tests::{measured, window};
    use super::super::row::{rows_of, settled};
    use super::*;

    fn at(end_ms: i64, statuses: &[Status]) -> Window {
        let named = |(at, status): (usize, &Status)| {
            let mut of = measured("drift/psi", &format!("f{at}"), 0.5);
            of.status = *status;
            of
        };
        let mut results: Vec<_> = statuses.iter().enumerate().map(named).collect();
        // A segment is no result of its own.
        let mut of_segment = measured("drift/psi", &joined("f0", "eu"), 0.5);
        of_segment.status = Status::Block;
        results.push(of_segment);
        window("1", end_ms, results)
    }

    fn shown(hours: &Hours) -> Vec<(i64, Status, u32, u32)> {
        hours.iter().map(|((_, _, start), h)| (start / HOUR_MS, h.status, h.failing, h.results)).collect()
    }

    #[test]
    fn an_hour_is_as_bad_as_its_worst_window_and_what_is_appended_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let (recent, open) = (Recent::default(), folder.path().join("a.open"));
        let path = folder.path().join("a.parquet");
        assert!(recent.of(&path, Kind::Parquet).unwrap().is_empty());
        let (pass, warn, block) = (Status::Pass, Status::Warn, Status::Block);
        let windows = [at(1, &[pass, warn]), at(HOUR_MS, &[block, block]), at(HOUR_MS + 1, &[pass, pass])];
        let mut file = OpenDay::open(&open).unwrap();
        let encoded: Vec<Vec<u8>> = windows.iter().map(|w| w.encode().unwrap()).collect();
        file.append([encoded[0].as_slice()]).unwrap();
        assert_eq!(shown(&recent.of(&open, Kind::Open).unwrap()), [(0, warn, 1, 2)]);
        file.append([encoded[1].as_slice(), encoded[2].as_slice()]).unwrap();
        let both = [(0, block, 2, 2), (1, pass, 0, 2)];
        assert_eq!(shown(&recent.of(&open, Kind::Open).unwrap()), both);
        assert_eq!(recent.lock()[&open].records, 3);
        let rows = settled(windows.into_iter().flat_map(rows_of).collect());
        columns::write("m", &rows, fs::File::create(&path).unwrap()).unwrap();
        assert_eq!(shown(&recent.of(&path, Kind::Parquet).unwrap()), both);
        fs::write(&path, "x").unwrap();
        assert!(recent.of(&path, Kind::Parquet).is_err());
    }
}
