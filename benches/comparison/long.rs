//! One long stream through one process, beside new processes that read its start, in turn: neither an event's cost nor the
//! memory may grow with the number of events.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::feed::T0;
use crate::process::{Ended, Usage};
use crate::results::{Claim, Part, Spread, Table, count, real, thousands, times};
use crate::settings::{BINARY, Settings};

/// The long stream pauses so often, the last time at its end.
const ROUNDS: u64 = 5;
/// One in so many of its events are measured before each pause, and as many of a new process,
const MEASURED: u64 = 25;
/// after one in so many.
const WARM: u64 = 100;
/// How much more an event may cost than in a new process, and how much more memory there may be after all than after a
/// tenth.
const STEADY: f64 = 1.1;
/// Milliseconds of event time between two events.
const STEP: i64 = 10;
/// Lines that the stream is made of.
const TEMPLATES: usize = 50_000;
const LABEL_EVERY: u64 = 10;
const LABEL_AFTER: i64 = 60_000;

/// Where a stream stood.
struct Mark {
    events: u64,
    at: Instant,
    usage: Usage,
}

impl Mark {
    /// Core nanoseconds an event since then, all threads together.
    fn cost_to(&self, later: &Self) -> f64 {
        (later.usage.cpu - self.usage.cpu) * 1e9 / real(later.events - self.events)
    }

    fn rate_to(&self, later: &Self) -> f64 {
        real(later.events - self.events) / later.at.duration_since(self.at).as_secs_f64()
    }
}

/// What one pause came to.
struct Round {
    mark: Mark,
    rate: f64,
    /// Core nanoseconds an event before the pause, and in a new process.
    cost: f64,
    new: f64,
}

pub fn run(settings: &Settings, part: &mut Part) {
    let events = settings.stream;
    let templates = templates(&settings.file("predictions.jsonl"));
    let measured = (events / MEASURED).max(1);
    let (rounds, tenth) = thread::scope(|scope| {
        let start = |name: String, events| {
            let labels = pipe(settings.scratch.path().join(name));
            let replay = Replay::start(settings, &labels, &templates);
            scope.spawn(move || write_labels(&labels, events));
            replay
        };
        let mut long = start("labels-long.jsonl".to_owned(), events);
        long.send_to(events / 10);
        let tenth = long.mark();
        let mut rounds = Vec::new();
        for round in 1..=ROUNDS {
            let pause = events * round / ROUNDS;
            long.send_to(pause - measured);
            let before = long.mark();
            long.send_to(pause);
            let mark = long.mark();
            let warm = events / WARM;
            let mut short = start(format!("labels-{round}.jsonl"), warm + measured);
            short.send_to(warm);
            let warmed = short.mark();
            short.send_to(warm + measured);
            let new = warmed.cost_to(&short.mark());
            short.end();
            let round = Round { rate: before.rate_to(&mark), cost: before.cost_to(&mark), new, mark };
            eprintln!(
                "growth: {} events, {:.0} ns, {:.0} ns in a new process, {:.0} MiB",
                count(round.mark.events),
                round.cost,
                round.new,
                round.mark.usage.resident
            );
            rounds.push(round);
        }
        long.end();
        (rounds, tenth)
    });
    report(&rounds, &tenth, part);
}

/// A replay that is fed line by line.
struct Replay<'t> {
    child: Ended,
    to: BufWriter<ChildStdin>,
    templates: &'t [Template],
    sent: u64,
    line: Vec<u8>,
}

impl<'t> Replay<'t> {
    fn start(settings: &Settings, labels: &Path, templates: &'t [Template]) -> Self {
        let mut child = Ended(
            Command::new(BINARY)
                .args(["replay", "--json", "--policy"])
                .arg(settings.file("policy.yaml"))
                .args(["--predictions", "-", "--labels"])
                .arg(labels)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("driftgate replay runs"),
        );
        let to = BufWriter::with_capacity(1 << 18, child.0.stdin.take().expect("its input"));
        Self { child, to, templates, sent: 0, line: Vec::new() }
    }

    /// Sends events until there were so many.
    fn send_to(&mut self, events: u64) {
        for i in self.sent..events {
            let template = &self.templates[usize::try_from(i).expect("64 bits") % self.templates.len()];
            template.write(i, time(i), &mut self.line);
            self.to.write_all(&self.line).expect("the replay reads on");
        }
        self.to.flush().expect("the replay reads on");
        self.sent = self.sent.max(events);
    }

    fn mark(&self) -> Mark {
        let usage = Usage::of(self.child.0.id()).expect("the replay runs");
        Mark { events: self.sent, at: Instant::now(), usage }
    }

    fn end(self) {
        let Self { mut child, to, .. } = self;
        drop(to);
        assert!(child.0.wait().expect("a child").success(), "the replay of the stream");
    }
}

/// A named pipe.
fn pipe(path: PathBuf) -> PathBuf {
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
    assert!(made.success(), "a named pipe for the labels");
    path
}

/// Writes the labels of so many events.
fn write_labels(path: &Path, events: u64) {
    let to = std::fs::OpenOptions::new().write(true).open(path).expect("the named pipe");
    let mut to = BufWriter::with_capacity(1 << 18, to);
    for i in (0..events).step_by(usize::try_from(LABEL_EVERY).expect("a small number")) {
        let (ts, label) = (time(i) + LABEL_AFTER, i / LABEL_EVERY % 2);
        writeln!(to, "{{\"prediction_id\":\"e{i:09}\",\"model\":\"credit\",\"ts\":{ts},\"label\":{label}}}")
            .expect("the replay reads on");
    }
    to.flush().expect("the replay reads on");
}

fn time(i: u64) -> i64 {
    T0 + STEP * i64::try_from(i).expect("fewer than 2^63 events")
}

/// A line of the bench data, cut where its id and its time stand.
struct Template {
    line: Vec<u8>,
    id: usize,
    ts: usize,
}

impl Template {
    fn new(line: &str) -> Self {
        let after = |key: &str| line.find(key).expect("the bench data's lines") + key.len();
        let (id, ts) = (after("\"prediction_id\":\"e"), after("\"ts\":"));
        let mut line = line.as_bytes().to_vec();
        line.push(b'\n');
        Self { line, id, ts }
    }

    /// The line with another id of 9 digits and another time of 13.
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

fn templates(path: &Path) -> Vec<Template> {
    use std::io::BufRead as _;
    let file = std::io::BufReader::new(std::fs::File::open(path).expect("the bench data"));
    file.lines().take(TEMPLATES).map(|line| Template::new(&line.expect("a line"))).collect()
}

fn report(rounds: &[Round], tenth: &Mark, part: &mut Part) {
    let row = |round: &Round| {
        let Round { mark, rate, cost, new } = round;
        let [resident, peak] = [mark.usage.resident, mark.usage.peak].map(|mib| format!("{mib:.0} MiB"));
        vec![count(mark.events), format!("{cost:.0}"), format!("{new:.0}"), thousands(*rate), resident, peak]
    };
    let head =
        ["events of one stream", "core ns an event", "in a new process", "events/s", "resident", "most resident"];
    part.tables.push(Table { head: head.map(str::to_owned).to_vec(), rows: rounds.iter().map(row).collect() });
    part.claims.push(Claim::at_most(
        "long stream: an event's cost over that in a new process",
        Spread::of(rounds.iter().map(|r| r.cost / r.new)),
        STEADY,
        times,
    ));
    let Some(last) = rounds.last() else { return };
    let grown = last.mark.usage.resident / tenth.usage.resident;
    part.claims.push(Claim::at_most(
        &format!("long stream: resident after {} events over {}", count(last.mark.events), count(tenth.events)),
        Spread::of([grown]),
        STEADY,
        times,
    ));
    let raw = |r: &Round| json!({"events": r.mark.events, "ns": r.cost, "ns_in_a_new_process": r.new, "cpu_seconds": r.mark.usage.cpu, "resident_mib": r.mark.usage.resident});
    part.raw.push(json!({"resident_mib_after_a_tenth": tenth.usage.resident, "stream": rounds.iter().map(raw).collect::<Vec<_>>()}));
}
