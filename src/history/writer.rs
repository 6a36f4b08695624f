//! The thread that appends windows to their days. Windows that cannot be written wait in memory, up to a
//! bound, and are tried again; beyond it they are counted and left out. Whoever hands windows over waits for them to be appended for a moment
//! only, so that what was acknowledged survives the end of the process, and a disk that hangs stops nothing else.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::keeper::Keeper;
use super::open_day::OpenDay;
use super::place::{self, Day, Kind, day_of};
use super::query::Reader;
use super::remote::Remote;
use super::{HistoryError, Options};
use crate::private;
use crate::stores::Stores;
use crate::telemetry::events::history::{NotWritten, WrittenAgain};
use crate::view::Shared;
use crate::view::failing::Part;

/// Whoever hands windows over waits so long for them to be appended.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many bytes of them wait in memory.
const MOST_BYTES: usize = 64 << 20;
/// Between two tries to write.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks at the days.
const LOOK: Duration = Duration::from_secs(5);
/// A day that is over, and to which nothing came for so long, becomes a Parquet file;
const QUIET: Duration = Duration::from_secs(600);
/// one of more than so many that are appended to at once, as when a backlog is read: at once.
const MOST_OPEN: usize = 4;
/// So many files are held open.
const MOST_FILES: usize = 32;
/// How long the writer is waited for at the end.
const LAST: Duration = Duration::from_secs(2);

/// A window for the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub model: String,
    pub end_ms: i64,
    /// As `Window::encode` makes it.
    pub record: Vec<u8>,
}

/// Where windows are handed over. A clone is the same one; the threads end with the last.
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    to: Option<Sender<(Vec<Given>, Sender<()>)>>,
    queued: Arc<AtomicUsize>,
    reader: Reader,
    view: Shared,
    is_over: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.to.take());
        let until = Instant::now() + LAST;
        let Some(writer) = self.writer.take() else { return };
        while !writer.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl History {
    /// Makes the folder, and starts the threads.
    ///
    /// # Errors
    /// A folder that cannot be made, a URL of no store, a system without threads.
    pub fn start(options: Options, stores: &Stores, view: &Shared) -> Result<Self, HistoryError> {
        private::make_folder(&options.path).map_err(HistoryError::file(&options.path))?;
        let remote = options.store.as_deref().map(|url| Remote::open(url, stores)).transpose()?;
        let (options, exchange) = (Arc::new(options), Arc::new(RwLock::new(())));
        let (is_over, queued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let reader = Reader::new(Arc::clone(&options), Arc::clone(&exchange));
        view.write().history = Some(crate::view::HistoryView::default());
        let (to, given) = channel();
        let no_thread = |e: io::Error| HistoryError::File { path: PathBuf::from("a thread"), source: e };
        let mut writer = Writer::new(Arc::clone(&options), Arc::clone(&exchange), view.clone(), Arc::clone(&queued));
        let writer =
            thread::Builder::new().name("history".into()).spawn(move || writer.run(&given)).map_err(no_thread)?;
        let keeper = Keeper { options, exchange, remote, view: view.clone(), is_over: Arc::clone(&is_over) };
        thread::Builder::new().name("history-days".into()).spawn(move || keeper.run()).map_err(no_thread)?;
        let inner = Inner { to: Some(to), queued, reader, view: view.clone(), is_over, writer: Some(writer) };
        Ok(Self(Arc::new(inner)))
    }

    /// Hands windows over, and waits a moment for them to be appended.
    pub fn write(&self, given: Vec<Given>) {
        if given.is_empty() {
            return;
        }
        let bytes: usize = given.iter().map(|g| g.record.len()).sum();
        if self.0.queued.load(Ordering::Relaxed) + bytes > MOST_BYTES {
            let lost = given.len() as u64;
            if let Some(history) = &mut self.0.view.write().history {
                history.lost += lost;
            }
            return;
        }
        self.0.queued.fetch_add(bytes, Ordering::Relaxed);
        let (done, appended) = channel();
        if self.0.to.as_ref().is_some_and(|to| to.send((given, done)).is_ok()) {
            // Where it takes longer, they wait with the writer.
            let _ = appended.recv_timeout(PATIENCE);
        }
    }

    /// What reads it.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.0.reader.clone()
    }
}

/// The thread that appends.
struct Writer {
    options: Arc<Options>,
    exchange: Arc<RwLock<()>>,
    view: Shared,
    queued: Arc<AtomicUsize>,
    waiting: Vec<Given>,
    since: Option<Instant>,
    files: HashMap<(String, Day), OpenDay>,
    /// Days that are appended to, and when that was last.
    open: BTreeMap<(String, Day), Instant>,
    /// The end of each model's newest window.
    newest: HashMap<String, i64>,
}

impl Writer {
    fn new(options: Arc<Options>, exchange: Arc<RwLock<()>>, view: Shared, queued: Arc<AtomicUsize>) -> Self {
        let (files, open, newest) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        let mut writer =
            Self { options, exchange, view, queued, waiting: Vec::new(), since: None, files, open, newest };
        writer.look_back();
        writer
    }

    /// What a run before left. A folder that cannot be read is told when it is written to.
    fn look_back(&mut self) {
        let root = &self.options.path;
        for model in place::models(root).unwrap_or_default() {
            for (day, kinds) in place::files(root, &model).unwrap_or_default() {
                self.newest.insert(model.clone(), day.saturating_mul(super::DAY_MS));
                if kinds.contains(&Kind::Open) {
                    self.open.insert((model.clone(), day), Instant::now());
                }
            }
        }
    }

    fn run(&mut self, given: &Receiver<(Vec<Given>, Sender<()>)>) {
        let mut looked = Instant::now();
        loop {
            match given.recv_timeout(RETRY) {
                Ok((windows, done)) => {
                    self.waiting.extend(windows);
                    self.write();
                    // Who has waited long enough does not hear it.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.write(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if looked.elapsed() >= LOOK {
                self.close_full();
                looked = Instant::now();
            }
        }
        self.write();
        for file in self.files.values_mut() {
            let _ = file.sync();
        }
    }

    /// Appends what waits; what cannot be appended waits on.
    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut by_day: BTreeMap<(String, Day), Vec<Given>> = BTreeMap::new();
        for given in std::mem::take(&mut self.waiting) {
            by_day.entry((given.model.clone(), day_of(given.end_ms))).or_default().push(given);
        }
        let mut failed = None;
        for (at, windows) in by_day {
            match self.append(&at, &windows) {
                Ok(()) => {
                    let bytes = windows.iter().map(|w| w.record.len()).sum();
                    self.queued.fetch_sub(bytes, Ordering::Relaxed);
                    let newest = self.newest.entry(at.0.clone()).or_insert(i64::MIN);
                    *newest = windows.iter().map(|w| w.end_ms).max().unwrap_or(i64::MIN).max(*newest);
                    self.open.insert(at, Instant::now());
                }
                Err(e) => {
                    self.files.remove(&at);
                    self.waiting.extend(windows);
                    failed = Some(e);
                }
            }
        }
        self.tell(failed);
    }

    fn append(&mut self, at: &(String, Day), windows: &[Given]) -> Result<(), HistoryError> {
        let (model, day) = at;
        let Some(path) = place::path(&self.options.path, model, *day, Kind::Open) else { return Ok(()) };
        if !self.files.contains_key(at) {
            if self.files.len() >= MOST_FILES {
                self.files.values_mut().for_each(|file| drop(file.sync()));
                self.files.clear();
            }
            let folder = place::folder(&self.options.path, model);
            private::make_folder(&folder).map_err(HistoryError::file(&folder))?;
            self.files.insert(at.clone(), OpenDay::open(&path).map_err(HistoryError::file(&path))?);
        }
        let Some(file) = self.files.get_mut(at) else { return Ok(()) };
        file.append(windows.iter().map(|w| w.record.as_slice())).map_err(HistoryError::file(&path))
    }

    /// Says whether it is written, once as it changes; and counts what failed.
    fn tell(&mut self, failed: Option<HistoryError>) {
        let began = self.since.is_none();
        match failed {
            Some(e) => {
                let since = *self.since.get_or_insert_with(Instant::now);
                if began {
                    NotWritten { error: &e }.emit();
                }
                let mut view = self.view.write();
                if let Some(history) = &mut view.history {
                    history.write_failures += 1;
                    history.behind_since = Some(since);
                }
                view.failing.insert(Part::History, e.to_string());
            }
            None if !began => {
                self.since = None;
                let mut view = self.view.write();
                let lost = view.history.as_ref().map_or(0, |history| history.lost);
                view.history.iter_mut().for_each(|history| history.behind_since = None);
                view.failing.remove(&Part::History);
                WrittenAgain { lost }.emit();
            }
            None => {}
        }
    }

    /// Puts what was appended on the disk, and lets days go that are over.
    fn close_full(&mut self) {
        self.files.values_mut().for_each(|file| drop(file.sync()));
        let mut done = Vec::new();
        for ((model, day), last) in &self.open {
            let is_over = self.newest.get(model).is_some_and(|newest| day_of(*newest) > *day);
            let newer = self.open.iter().filter(|((m, _), at)| m == model && *at > last).count();
            if is_over && (last.elapsed() >= QUIET || newer >= MOST_OPEN) {
                done.push((model.clone(), *day));
            }
        }
        for at in done {
            self.files.remove(&at);
            if self.set_aside(&at).unwrap_or(false) {
                self.open.remove(&at);
            }
        }
    }

    /// Hands a day to the other thread, unless that has it still.
    fn set_aside(&self, (model, day): &(String, Day)) -> io::Result<bool> {
        let path = |kind| place::path(&self.options.path, model, *day, kind);
        let (Some(open), Some(full)) = (path(Kind::Open), path(Kind::Full)) else { return Ok(true) };
        if full.exists() {
            return Ok(false);
        }
        let _exchange = self.exchange.write().unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(open, full).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::record::tests::{measured, window};
    use super::super::{DAY_MS, Wanted};
    use super::*;

    fn given(day: Day, value: f64) -> Given {
        let window = window("1", day * DAY_MS, vec![measured("drift/psi", "a", value)]);
        Given { model: "m".into(), end_ms: window.end_ms, record: window.encode().unwrap() }
    }

    fn options(path: &std::path::Path) -> Options {
        Options { path: path.to_owned(), keep: Duration::from_hours(24 * 90), store: None }
    }

    fn values(reader: &Reader) -> Vec<f64> {
        let wanted = Wanted { version: "1", from_ms: 0, to_ms: i64::MAX, ..Wanted::default() };
        reader.find("m", &wanted).unwrap().iter().filter_map(|row| row.of.value).collect()
    }

    #[test]
    fn what_was_written_is_there_also_after_a_restart_and_many_days_become_files() {
        let folder = tempfile::tempdir().unwrap();
        let view = Shared::default();
        let history = History::start(options(folder.path()), &Stores::default(), &view).unwrap();
        history.write((0..8).map(|day: i32| given(day.into(), 0.125 * f64::from(day))).collect());
        let all: Vec<f64> = (0..8).map(|day| 0.125 * f64::from(day)).collect();
        assert_eq!(values(&history.reader()), all);
        drop(history);
        let history = History::start(options(folder.path()), &Stores::default(), &view).unwrap();
        // The same again, and one that is judged anew.
        history.write(vec![given(7, 0.875), given(3, 9.0)]);
        let until = Instant::now() + Duration::from_secs(30);
        let parquet = || {
            let files = place::files(folder.path(), "m").unwrap();
            files.values().filter(|kinds| **kinds == [Kind::Parquet]).count()
        };
        while parquet() < 4 && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
        assert!(parquet() >= 3, "{:?}", place::files(folder.path(), "m"));
        let mut expected = all;
        expected[3] = 9.0;
        assert_eq!(values(&history.reader()), expected);
        assert_eq!(history.reader().newest("m").unwrap(), Some(7 * DAY_MS));
    }

    #[test]
    fn what_cannot_be_written_waits_and_is_told_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let view = Shared::default();
        let history = History::start(options(folder.path()), &Stores::default(), &view).unwrap();
        // A file where the model's folder would be.
        fs::write(folder.path().join("m"), "").unwrap();
        history.write(vec![given(1, 0.5)]);
        assert!(view.read().failing.contains_key(&Part::History));
        assert!(view.read().history.as_ref().unwrap().write_failures > 0);
        fs::remove_file(folder.path().join("m")).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while view.read().failing.contains_key(&Part::History) && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(values(&history.reader()), [0.5]);
        assert!(view.read().history.as_ref().unwrap().behind_since.is_none());
    }
}
