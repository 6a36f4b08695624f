//! Rejected messages with their origin and reason, to a topic or a file, by a thread of its own that tries again until they are
//! there. The message itself goes along only if the configuration says so. What waits is bounded; beyond, letters are counted
//! and left out. A dead letter is told at least once per run, not kept over a crash.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::topics::DeadLetter;
use crate::publish::lane::{Body, FLIGHT, Lane, Letter};
use crate::publish::standing::Standing;
use crate::publish::topic::TopicWriter;
use crate::view::Shared;
use crate::view::failing::Part;

/// How its sink is called.
const SINK: &str = "dead-letters";
/// So many letters wait, and so many bytes of them.
const MOST: usize = 50_000;
const MOST_BYTES: usize = 32 << 20;
const TICK: Duration = Duration::from_millis(20);

/// Where dead letters go.
pub enum Target {
    Topic { writer: TopicWriter, topic: String },
    File(File),
}

impl Target {
    /// Dead letters appended to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn file(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self::File(OpenOptions::new().create(true).append(true).open(path)?))
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
        let of = Arc::clone(&waiting);
        let work = move || match target {
            Target::Topic { writer, topic } => to_topic(Lane::new(writer, topic, standing), &letters, &of),
            Target::File(file) => to_file(file, standing, &letters, &of),
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
            let mut view = self.view.write();
            view.dead_letters_lost += left_out;
            *view.undeliverable.entry(SINK.to_owned()).or_default() += left_out;
            drop(view);
            if self.said.is_none_or(|at| at.elapsed() >= super::rejections::EVERY) {
                self.said = Some(Instant::now());
                tracing::error!(left_out, "dead letters are left out: too many wait for their topic or file");
            }
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

/// Appends lines. What a full disk cut off is taken away again before the lines are written once more.
fn to_file(mut file: File, mut standing: Standing, letters: &Receiver<(String, String)>, waiting: &Waiting) {
    loop {
        let (mut lines, mut n) = (String::new(), 0);
        let mut add = |text: String| {
            lines.push_str(&text);
            lines.push('\n');
            n += 1;
            n < FLIGHT
        };
        match letters.recv_timeout(Duration::from_secs(1)) {
            Ok((_, text)) => drop(add(text)),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Ok((_, text)) = letters.try_recv()
            && add(text)
        {}
        loop {
            let began = Instant::now();
            let before = file.metadata().map(|m| m.len());
            match file.write_all(lines.as_bytes()) {
                Ok(()) => break standing.delivered(),
                Err(e) => {
                    if let Ok(before) = before {
                        let _ = file.set_len(before);
                    }
                    thread::sleep(
                        standing.failed(began, &format!("dead letters cannot be written to their file: {e}")),
                    );
                }
            }
        }
        waiting.take(n, lines.len() - n);
    }
}
