//! Where the results of the windows are in a file that is appended to. A day of windows of many features is tens of megabytes: it is walked through
//! once, then what is appended to it, and of a series only its own results are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::HistoryError;
use super::open_day::{self, FRAME};
use super::record::{Measured, Skimmed, Window};
use super::row::{Row, rows_of, verdict_of};
use driftgate_core::judge::verdict::Status;

/// Results whose positions are kept in memory, 12 bytes each; beyond that those of all files but one are forgotten.
const MOST_RESULTS: usize = 4_000_000;
/// Results that are no further apart, in bytes, are read together.
const TOGETHER: u64 = 4096;

/// The positions in files, by path.
#[derive(Clone, Debug, Default)]
pub struct Positions(Arc<Mutex<BTreeMap<PathBuf, Entry>>>);

#[derive(Clone, Debug, Default)]
struct Entry {
    known: Arc<Mutex<Known>>,
    results: usize,
}

/// What is known of a file.
#[derive(Debug, Default)]
struct Known {
    /// The head and the whole records that were walked through, in bytes.
    bytes: u64,
    /// The frames of the first and of the last of them, with their places: another file has others there.
    ends: Option<[(u64, [u8; FRAME]); 2]>,
    /// Each rule with each of its subjects.
    names: Vec<(String, String)>,
    numbers: BTreeMap<(String, String), u32>,
    windows: Vec<At>,
    results: Vec<ResultAt>,
}

/// A window without its results.
#[derive(Debug)]
struct At {
    window: Window,
    status: Status,
    /// Where its record is in the file.
    record: u64,
    first: usize,
    results: usize,
}

/// A result: its name, and its bytes in the record.
#[derive(Clone, Copy, Debug)]
struct ResultAt {
    name: u32,
    at: u32,
    length: u32,
}

impl Positions {
    /// The rows of the windows and of the rules' subjects that are wanted, in the order of the file; with the bins, or without. None where there
    /// is no file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn rows(
        &self,
        path: &Path,
        is_window: impl Fn(&Window) -> bool,
        is_series: impl Fn(&str, &str) -> bool,
        bins: bool,
    ) -> Result<Vec<Row>, HistoryError> {
        self.with(path, |file, known| {
            let wanted: Vec<bool> = known.names.iter().map(|(rule, subject)| is_series(rule, subject)).collect();
            let mut rows = Vec::new();
            for at in known.windows.iter().filter(|at| is_window(&at.window)) {
                if is_series(&at.window.group, "") {
                    rows.extend(
                        rows_of(at.window.clone()).map(|row| Row { of: verdict_of(&row.group, at.status), ..row }),
                    );
                }
                let results = known.results.iter().skip(at.first).take(at.results);
                let results = results.filter(|of| wanted.get(of.name as usize).copied().unwrap_or(false));
                let measured = read(file, at.record, results)?;
                let named = measured.into_iter().map(|mut of| {
                    if !bins {
                        of.bins.clear();
                    }
                    of
                });
                // The row of the verdict comes first, and was made above.
                rows.extend(rows_of(Window { results: named.collect(), ..at.window.clone() }).skip(1));
            }
            Ok(rows)
        })
    }

    /// The end of the newest window in ms; `None` where there is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn newest(&self, path: &Path) -> Result<Option<i64>, HistoryError> {
        self.with(path, |_, known| Ok(known.windows.iter().map(|at| at.window.end_ms).max()))
    }

    /// Does something with a file and its positions, which are brought up to date before.
    fn with<T: Default>(
        &self,
        path: &Path,
        work: impl FnOnce(&File, &Known) -> io::Result<T>,
    ) -> Result<T, HistoryError> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.lock().remove(path);
                return Ok(T::default());
            }
            file => file.map_err(HistoryError::file(path))?,
        };
        let entry = self.lock().entry(path.to_owned()).or_default().known.clone();
        let mut known = entry.lock().unwrap_or_else(PoisonError::into_inner);
        known.follow(&file).map_err(HistoryError::file(path))?;
        let found = work(&file, &known).map_err(HistoryError::file(path));
        let results = known.results.len();
        drop(known);
        self.keep(path, results);
        found
    }

    /// Notes how many results of a file are known, and forgets the others where they are too many.
    fn keep(&self, path: &Path, results: usize) {
        let mut all = self.lock();
        if let Some(entry) = all.get_mut(path) {
            entry.results = results;
        }
        if all.values().map(|entry| entry.results).sum::<usize>() > MOST_RESULTS {
            all.retain(|of, _| of == path);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads results of the record at a place. What lies close together is read at once.
fn read<'r>(file: &File, record: u64, results: impl Iterator<Item = &'r ResultAt>) -> io::Result<Vec<Measured>> {
    let mut found = Vec::new();
    let mut waiting: Vec<ResultAt> = Vec::new();
    let end_of = |of: &ResultAt| u64::from(of.at) + u64::from(of.length);
    for of in results.copied() {
        if waiting.last().is_some_and(|last| u64::from(of.at) > end_of(last) + TOGETHER) {
            decode(file, record, &waiting, &mut found)?;
            waiting.clear();
        }
        waiting.push(of);
    }
    decode(file, record, &waiting, &mut found)?;
    Ok(found)
}

/// Decodes results that are in ascending order.
fn decode(file: &File, record: u64, results: &[ResultAt], to: &mut Vec<Measured>) -> io::Result<()> {
    let (Some(first), Some(last)) = (results.first(), results.last()) else { return Ok(()) };
    let start = first.at as usize;
    let mut bytes = vec![0; (last.at as usize + last.length as usize).saturating_sub(start)];
    file.read_exact_at(&mut bytes, record + u64::from(first.at))?;
    for of in results {
        let measured = bytes.get(of.at as usize - start..).and_then(|rest| rest.get(..of.length as usize));
        let measured = measured.and_then(|bytes| postcard::from_bytes(bytes).ok());
        to.push(
            measured
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it changed while it was read: ask again"))?,
        );
    }
    Ok(())
}

impl Known {
    /// Walks through what was appended since, or through everything where it is another file.
    fn follow(&mut self, file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        if length < self.bytes || !self.is_of(file)? {
            *self = Self::default();
        }
        let (mut at, bytes) = open_day::behind(file, self.bytes)?;
        for (frame, record) in open_day::framed(&bytes) {
            let last = (at, *frame);
            self.ends = Some([self.ends.map_or(last, |[first, _]| first), last]);
            at += FRAME as u64;
            self.walk(at, record);
            at += record.len() as u64;
        }
        self.bytes = at;
        Ok(())
    }

    /// Whether the file still has the records that are known.
    fn is_of(&self, file: &File) -> io::Result<bool> {
        for (at, frame) in self.ends.into_iter().flatten() {
            let mut found = [0; FRAME];
            file.read_exact_at(&mut found, at)?;
            if found != frame {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Notes where the results of a record are; a record of a newer format has none for us.
    fn walk(&mut self, record: u64, bytes: &[u8]) {
        let first = self.results.len();
        let mut status = Status::Pass;
        let window = Window::skim(bytes, |of: &Skimmed<'_>, range| {
            if of.segment().is_none() {
                status = status.max(of.status);
            }
            let name = self.number(of.rule, of.subject);
            let place = (u32::try_from(range.start), u32::try_from(range.len()));
            if let (Ok(at), Ok(length)) = place {
                self.results.push(ResultAt { name, at, length });
            }
        });
        match window {
            Some(window) => {
                let results = self.results.len() - first;
                self.windows.push(At { window, status, record, first, results });
            }
            None => self.results.truncate(first),
        }
    }

    /// The number of a rule with a subject. Most results are in the order of the window before, so that the name behind the last one is tried
    /// first.
    fn number(&mut self, rule: &str, subject: &str) -> u32 {
        let next = self.results.last().map_or(0, |last| last.name.saturating_add(1));
        if self.names.get(next as usize).is_some_and(|(r, s)| r == rule && s == subject) {
            return next;
        }
        let key = (rule.to_owned(), subject.to_owned());
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(key.clone());
        self.numbers.insert(key, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::open_day::OpenDay;
    use super::super::record::tests::{measured, window};
    use super::*;

    fn append(path: &Path, windows: &[Window]) {
        let records: Vec<Vec<u8>> = windows.iter().map(|w| w.encode().unwrap()).collect();
        OpenDay::open(path).unwrap().append(records.iter().map(Vec::as_slice)).unwrap();
    }

    /// What a file says that is read whole.
    fn whole(path: &Path, rule: &str) -> Vec<Row> {
        let bytes = std::fs::read(path).unwrap();
        let windows = open_day::records(&bytes).filter_map(Window::decode);
        windows.flat_map(rows_of).filter(|row| row.of.rule == rule).collect()
    }

    fn windows() -> impl Strategy<Value = Vec<Window>> {
        let of = (prop::sample::select(vec!["drift/psi", "drift/ks_p", "drift"]), "[a-c]?", 0_usize..3, any::<bool>());
        let result = of.prop_map(|(rule, subject, bins, is_bad)| {
            let mut of = measured(rule, &subject, 0.5);
            of.bins.truncate(bins);
            of.status = if is_bad { Status::Block } else { Status::Pass };
            of.reason = is_bad.then(|| "r".repeat(300));
            of
        });
        let results = prop::collection::vec(result, 0..40);
        prop::collection::vec((0_i64..9, results), 0..6)
            .prop_map(|all| all.into_iter().map(|(end, results)| window("1", end, results)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn a_series_is_read_by_its_positions_as_from_the_whole_file_also_when_more_is_appended(
            first in windows(),
            more in windows(),
            cut in 0_usize..30,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (path, positions) = (folder.path().join("a.open"), Positions::default());
            let rows = |rule: &str| positions.rows(&path, |_| true, |r, _| r == rule, true).unwrap();
            prop_assert_eq!(rows("drift"), []);
            for windows in [first, more] {
                append(&path, &windows);
                for rule in ["drift/psi", "drift/ks_p", "drift", "none"] {
                    prop_assert_eq!(rows(rule), whole(&path, rule));
                }
                let newest = windows.iter().map(|w| w.end_ms).max();
                prop_assert!(positions.newest(&path).unwrap() >= newest);
            }
            // A crash cuts the last record off; what follows is read as before.
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - cut.min(bytes.len() - 8)]).unwrap();
            prop_assert_eq!(rows("drift/psi"), whole(&path, "drift/psi"));
            append(&path, &[window("2", 4, vec![measured("drift/psi", "z", 0.25)])]);
            prop_assert_eq!(rows("drift/psi"), whole(&path, "drift/psi"));
        }
    }

    #[test]
    fn another_file_of_the_same_name_is_walked_through_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, positions) = (folder.path().join("a.open"), Positions::default());
        let values = || {
            let rows = positions.rows(&path, |w| w.version == "1", |_, s| s == "a", false).unwrap();
            rows.iter().map(|row| (row.of.value, row.of.bins.len())).collect::<Vec<_>>()
        };
        let of = |value| window("1", 7, vec![measured("drift/psi", "a", value)]);
        append(&path, &[of(0.5)]);
        assert_eq!(values(), [(Some(0.5), 0)]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!((values(), positions.newest(&path).unwrap()), (Vec::new(), None));
        append(&path, &[of(0.25), of(0.75)]);
        assert_eq!(values(), [(Some(0.25), 0), (Some(0.75), 0)]);
        let other = folder.path().join("b.open");
        append(&other, &[of(0.125), of(0.375), of(0.625)]);
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(values(), [(Some(0.125), 0), (Some(0.375), 0), (Some(0.625), 0)]);
        assert_eq!(positions.newest(&path).unwrap(), Some(7));
    }
}
