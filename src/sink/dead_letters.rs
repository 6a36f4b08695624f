//! Rejected messages with their origin and reason, to a topic or a file, by a thread of its own that tries again until they are
//! there. The message itself goes along only if the configuration says so. What waits is bounded; beyond, letters are counted
//! and left out. So is the file: beyond its bound a new one is begun, and the one before last goes. A dead letter is told at
//! least once per run, not kept over a crash.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::lane::{Body, FLIGHT, Lane, Letter};
use super::standing::Standing;
use super::topic::TopicWriter;
use crate::private;
use crate::telemetry::events::input::{DeadLettersLeftOut, DeadLettersTurned};
use crate::view::Shared;
use crate::view::failing::Part;
use driftgate_core::decode::Reject;

/// How its sink is called.
const SINK: &str = "dead-letters";
/// So many letters wait, and so many bytes of them.
const MOST: usize = 50_000;
const MOST_BYTES: usize = 32 << 20;
/// Between two messages that letters are left out.
const SAID_EVERY: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(20);

/// A rejected message and where it came from.
pub struct DeadLetter {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub reject: Reject,
    /// Empty unless the configuration asks for it.
    pub payload: Vec<u8>,
    /// What the message looks like; only now and then.
    pub read: Option<String>,
}

/// Where dead letters go.
pub enum Target {
    Topic { writer: TopicWriter, topic: String },
    File(Pages),
}

impl Target {
    /// Dead letters appended to a file. With the one before (`.1`) it takes at most so many bytes.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn file(path: &Path, most_bytes: u64) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            private::make_folder(folder)?;
        }
        let file = private::append(path)?;
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        let before = PathBuf::from(before);
        private::tighten(&before);
        Ok(Self::File(Pages { path: path.to_owned(), before, file, most_bytes: most_bytes / 2 }))
    }
}

/// A file, and the one before it.
pub struct Pages {
    path: PathBuf,
    before: PathBuf,
    file: File,
    /// Of each.
    most_bytes: u64,
}

impl Pages {
    /// Whether lines of so many bytes go beyond the file's bound.
    fn is_full(&self, bytes: usize) -> std::io::Result<bool> {
        let there = self.file.metadata()?.len();
        Ok(there > 0 && there.saturating_add(bytes as u64) > self.most_bytes)
    }

    /// The file becomes the one before, whose letters go; a new one takes its place. How many bytes went.
    fn turn(&mut self) -> std::io::Result<u64> {
        let gone = std::fs::metadata(&self.before).map_or(0, |m| m.len());
        std::fs::rename(&self.path, &self.before)?;
        self.file = private::append(&self.path)?;
        Ok(gone)
    }

    /// Appends lines. What a full disk cut off is taken away again.
    fn append(&mut self, lines: &str) -> std::io::Result<()> {
        let before = self.file.metadata()?.len();
        self.file.write_all(lines.as_bytes()).inspect_err(|_| {
            let _ = self.file.set_len(before);
        })
    }
}

/// What waits.
#[derive(Default)]
struct Waiting {
    letters: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    fn take(&self, letters: usize, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.letters.fetch_sub(letters, Ordering::Relaxed);
    }
}

/// The sending side.
pub struct DeadLetters {
    to: Sender<(String, String)>,
    waiting: Arc<Waiting>,
    view: Shared,
    /// When it was said last that letters are left out.
    said: Option<Instant>,
}

impl DeadLetters {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(target: Target, view: &Shared) -> std::io::Result<Self> {
        let (to, letters) = channel();
        let waiting = Arc::new(Waiting::default());
        let standing = Standing::new(Part::DeadLetters, view.clone());
        let (of, shown) = (Arc::clone(&waiting), view.clone());
        let work = move || match target {
            Target::Topic { writer, topic } => to_topic(Lane::new(writer, topic, standing), &letters, &of),
            Target::File(pages) => to_file(pages, standing, &letters, &of, &shown),
        };
        thread::Builder::new().name(SINK.into()).spawn(work)?;
        Ok(Self { to, waiting, view: view.clone(), said: None })
    }

    /// Sends dead letters on.
    pub fn send(&mut self, letters: impl Iterator<Item = DeadLetter>) {
        let mut left_out = 0_u64;
        for letter in letters {
            if self.waiting.letters.load(Ordering::Relaxed) >= MOST
                || self.waiting.bytes.load(Ordering::Relaxed) >= MOST_BYTES
            {
                left_out += 1;
                continue;
            }
            let mut text = json!({
                "topic": letter.topic, "partition": letter.partition, "offset": letter.offset,
                "reason": letter.reject.reason.name(), "detail": letter.reject.detail,
            });
            if let (false, Some(fields)) = (letter.payload.is_empty(), text.as_object_mut()) {
                fields.insert("payload".into(), String::from_utf8_lossy(&letter.payload).into());
            }
            let text = text.to_string();
            self.waiting.letters.fetch_add(1, Ordering::Relaxed);
            self.waiting.bytes.fetch_add(text.len(), Ordering::Relaxed);
            // The thread only ends when this side is dropped.
            let _ = self.to.send((format!("{}/{}", letter.topic, letter.partition), text));
        }
        if left_out > 0 {
            let is_told = self.said.is_none_or(|at| at.elapsed() >= SAID_EVERY);
            if is_told {
                self.said = Some(Instant::now());
            }
            DeadLettersLeftOut { sink: SINK, left_out, is_told }.emit(&self.view);
        }
    }

    /// Waits until all are there, for at most `wait`; how many are not.
    #[must_use]
    pub fn flush(&self, wait: Duration) -> usize {
        let until = Instant::now() + wait;
        while self.waiting.letters.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            thread::sleep(TICK);
        }
        self.waiting.letters.load(Ordering::Relaxed)
    }
}

fn to_topic(mut lane: Lane<usize>, letters: &Receiver<(String, String)>, waiting: &Waiting) {
    loop {
        if lane.is_empty() {
            match letters.recv() {
                Ok((key, text)) => lane.push(Letter::new(text.len(), key, Body::Text(text))),
                Err(_) => return,
            }
        }
        while lane.len() < FLIGHT
            && let Ok((key, text)) = letters.try_recv()
        {
            lane.push(Letter::new(text.len(), key, Body::Text(text)));
        }
        let turn = lane.turn();
        for letter in turn.done.iter().chain(&turn.dropped) {
            waiting.take(1, letter.number);
        }
        if let Some(pause) = turn.pause {
            thread::sleep(pause);
        }
    }
}

/// Appends lines, and begins a new file where one is full. What fails is tried again.
fn to_file(
    mut pages: Pages,
    mut standing: Standing,
    letters: &Receiver<(String, String)>,
    waiting: &Waiting,
    view: &Shared,
) {
    loop {
        let mut lines = Vec::new();
        match letters.recv_timeout(Duration::from_secs(1)) {
            Ok((_, text)) => lines.push(text + "\n"),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while lines.len() < FLIGHT
            && let Ok((_, text)) = letters.try_recv()
        {
            lines.push(text + "\n");
        }
        let mut left = lines.as_slice();
        while !left.is_empty() {
            let began = Instant::now();
            match write(&mut pages, left, view) {
                Ok(written) => {
                    standing.delivered();
                    let (done, rest) = left.split_at(written.min(left.len()));
                    waiting.take(done.len(), done.iter().map(|line| line.len() - 1).sum());
                    left = rest;
                }
                Err(e) => {
                    let why = format!("dead letters cannot be written to their file: {e}");
                    thread::sleep(standing.failed(began, &why));
                }
            }
        }
    }
}

/// Writes as many lines as go into the file, at least one; how many.
fn write(pages: &mut Pages, lines: &[String], view: &Shared) -> std::io::Result<usize> {
    if pages.is_full(lines.first().map_or(0, String::len))? {
        let gone = pages.turn()?;
        DeadLettersTurned { file: &pages.path, gone }.emit(view);
    }
    let there = pages.file.metadata()?.len();
    let mut text = String::new();
    let mut written = 0;
    for line in lines {
        if written > 0 && there + (text.len() + line.len()) as u64 > pages.most_bytes {
            break;
        }
        text.push_str(line);
        written += 1;
    }
    pages.append(&text)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_dead_letters_and_the_one_before_it_stay_within_their_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/dead.jsonl");
        let Target::File(mut pages) = Target::file(&path, 2_000).unwrap() else { panic!("a file") };
        let view = Shared::default();
        let lines: Vec<String> = (0..300).map(|n| format!("{{\"n\":{n:>90}}}\n")).collect();
        let mut left = lines.as_slice();
        while !left.is_empty() {
            let written = write(&mut pages, left, &view).unwrap();
            assert!(written > 0);
            left = &left[written..];
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
            assert!(size(&path) <= 1_000 && size(&path) + size(&pages.before) <= 2_000);
        }
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("299}\n"), "the newest are kept");
        assert!(std::fs::read_to_string(&pages.before).unwrap().ends_with("}\n"), "whole lines");
        assert_eq!(view.read().dead_letters_turned, 29);
        // A letter that is larger than the bound is written all the same, alone.
        write(&mut pages, &["x".repeat(5_000)], &view).unwrap();
        write(&mut pages, &["y\n".to_owned()], &view).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "y\n");
    }
}
