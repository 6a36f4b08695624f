//! A long stream of events and their labels, made while a replay reads it: lines of which only the id and the time change.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// There is a label for one event in so many,
pub const LABEL_EVERY: u64 = 10;
/// so many ms later.
const LABEL_AFTER: i64 = 60_000;

/// When the events happen, in ms.
#[derive(Clone, Copy)]
pub struct Times {
    pub first: i64,
    pub step: i64,
}

impl Times {
    fn of(self, i: u64) -> i64 {
        self.first + self.step * i64::try_from(i).expect("fewer than 2^63 events")
    }
}

/// A prediction's line, cut where its id (`e` and nine digits) and its time (13 digits) stand.
pub struct Template {
    line: Vec<u8>,
    id: usize,
    ts: usize,
}

impl Template {
    pub fn new(line: &str) -> Self {
        let after = |key: &str| line.find(key).expect("a line with an id and a time") + key.len();
        let (id, ts) = (after("\"prediction_id\":\"e"), after("\"ts\":"));
        let mut line = line.as_bytes().to_vec();
        line.push(b'\n');
        Self { line, id, ts }
    }

    fn write(&self, i: u64, ts: i64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.line);
        digits(i, &mut out[self.id..self.id + 9]);
        digits(ts.unsigned_abs(), &mut out[self.ts..self.ts + 13]);
    }
}

/// A number over digits that are there, from the right.
fn digits(mut n: u64, out: &mut [u8]) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(n % 10).expect("a digit");
        n /= 10;
    }
}

/// A named pipe.
pub fn pipe(path: PathBuf) -> PathBuf {
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success(), "a named pipe for the labels");
    path
}

/// Writes the labels of so many events of a model.
pub fn write_labels(path: &Path, model: &str, times: Times, events: u64) {
    let to = OpenOptions::new().write(true).open(path).expect("the named pipe");
    let mut to = BufWriter::with_capacity(1 << 18, to);
    for i in (0..events).step_by(usize::try_from(LABEL_EVERY).expect("a small number")) {
        let (ts, label) = (times.of(i) + LABEL_AFTER, i / LABEL_EVERY % 2);
        writeln!(to, "{{\"prediction_id\":\"e{i:09}\",\"model\":\"{model}\",\"ts\":{ts},\"label\":{label}}}")
            .expect("the replay reads on");
    }
    to.flush().expect("the replay reads on");
}

/// A `driftgate replay` that is fed line by line; it does not outlive a failure.
pub struct Replay<'t> {
    child: Child,
    /// Until the end of the stream.
    to: Option<BufWriter<ChildStdin>>,
    templates: &'t [Template],
    times: Times,
    sent: u64,
    line: Vec<u8>,
}

impl<'t> Replay<'t> {
    pub fn start(binary: &str, policy: &Path, labels: &Path, templates: &'t [Template], times: Times) -> Self {
        let mut child = Command::new(binary)
            .args(["replay", "--json", "--policy"])
            .arg(policy)
            .args(["--predictions", "-", "--labels"])
            .arg(labels)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("driftgate replay runs");
        let to = child.stdin.take().map(|to| BufWriter::with_capacity(1 << 18, to));
        Self { child, to, templates, times, sent: 0, line: Vec::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends events until there were so many.
    pub fn send_to(&mut self, events: u64) {
        let to = self.to.as_mut().expect("its end was not sent");
        for i in self.sent..events {
            let template = &self.templates[usize::try_from(i).expect("64 bits") % self.templates.len()];
            template.write(i, self.times.of(i), &mut self.line);
            to.write_all(&self.line).expect("the replay reads on");
        }
        to.flush().expect("the replay reads on");
        self.sent = self.sent.max(events);
    }

    /// Ends the stream; the replay must be a success. Gives its summary.
    pub fn end(mut self) -> serde_json::Value {
        drop(self.to.take());
        let summary = self.child.stdout.take().expect("its output");
        let summary = serde_json::from_reader(summary).expect("a summary");
        assert!(self.child.wait().expect("a child").success(), "the replay of the stream");
        summary
    }
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
