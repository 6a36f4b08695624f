//! What more features, more versions and a longer stream cost, in processor time.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::feed::{Feed, T0, names, noise};
use crate::process::{Ended, Usage, own_cpu};
use crate::results::{Claim, Part, Spread, Table, count, real, thousands, times};
use crate::settings::{BINARY, Settings};

const FEATURES: [usize; 4] = [1, 10, 100, 1_000];
const VERSIONS: [usize; 3] = [1, 10, 50];
/// Features of the events of many versions.
const SOME: usize = 20;
pub const REFERENCE_ROWS: usize = 20_000;
/// Every contender goes through so many bytes of different events, time and again, for so many seconds.
const BYTES: usize = 4 << 20;
const LONG_ENOUGH: f64 = 0.4;
/// Events decoded before they are counted: as many as the daemon takes from a partition in one turn.
const BATCH: usize = 2_048;
/// How much more a feature may cost where there are many, an event where there are 50 versions, and the second half of a
/// long stream.
const LINEAR: f64 = 1.5;
const MANY_VERSIONS: f64 = 1.5;
const STEADY: f64 = 1.1;

pub fn run(settings: &Settings) -> Part {
    let mut part = Part { title: "Growth".to_owned(), ..Part::default() };
    features(settings.rounds, &mut part);
    versions(settings.rounds, &mut part);
    let stream = Stream { events: settings.stream };
    part.about = format!(
        "Features and versions: JSON events decoded and counted from memory on one core, PSI and KS on everything. The long \
         stream: {} events of the bench data, one every 10 ms of event time, and their labels, piped into `driftgate \
         replay`; its policy, with 1 h of predictions waiting for labels.",
        count(stream.events)
    );
    stream.run(settings, &mut part);
    part
}

/// Nanoseconds an event of each contender, round by round, in turn.
fn measure(rounds: usize, what: &str, mut contenders: Vec<(usize, Feed, Vec<Vec<u8>>)>) -> Vec<(usize, Vec<f64>)> {
    let mut out: Vec<(usize, Vec<f64>)> = contenders.iter().map(|(n, ..)| (*n, Vec::new())).collect();
    // The first round only warms up.
    for round in 0..=rounds {
        for ((n, feed, lines), (_, costs)) in contenders.iter_mut().zip(&mut out) {
            let (begun, before) = (own_cpu(), feed.counted());
            while own_cpu() - begun < LONG_ENOUGH {
                for chunk in lines.chunks(BATCH) {
                    feed.lines(chunk);
                    feed.advance();
                }
            }
            let cost = (own_cpu() - begun) * 1e9 / real(feed.counted() - before);
            if round > 0 {
                eprintln!("growth, round {round} of {rounds}: {n} {what}: {cost:.0} ns an event");
                costs.push(cost);
            }
        }
    }
    out
}

/// Events of so many features and versions, about `BYTES` of them.
pub fn events(features: usize, versions: usize) -> Vec<Vec<u8>> {
    let names = names(features);
    let event = |i: usize| {
        let value = |(f, name): (usize, &String)| format!("\"{name}\":{}", noise((i * features + f) as u64 + 77));
        let values: Vec<String> = names.iter().enumerate().map(value).collect();
        let version = i % versions + 1;
        let features = values.join(",");
        format!(
            "{{\"model\":\"wide\",\"version\":\"{version}\",\"ts\":{T0},\"score\":0.5,\"features\":{{{features}}}}}"
        )
        .into_bytes()
    };
    let wanted = (BYTES / event(0).len()).max(2 * versions);
    (0..wanted).map(event).collect()
}

fn features(rounds: usize, part: &mut Part) {
    let contenders = FEATURES.map(|n| (n, Feed::new(n, 1, REFERENCE_ROWS), events(n, 1)));
    let costs = measure(rounds, "features", contenders.into());
    part.tables.push(table("features", &costs));
    let per_feature = |low: usize, high: usize, round: usize| {
        let (few, many) = (&costs[low], &costs[high]);
        (many.1[round] - few.1[round]) / real((many.0 - few.0) as u64)
    };
    // What a feature adds from 100 to 1,000, beside what it adds from 1 to 100.
    let more = (0..rounds).map(|round| per_feature(2, 3, round) / per_feature(0, 2, round));
    part.claims.push(Claim::at_most(
        "a feature's cost from 100 to 1,000, over its cost from 1 to 100",
        Spread::of(more),
        LINEAR,
        times,
    ));
    part.raw.push(json!({"features": costs}));
}

fn versions(rounds: usize, part: &mut Part) {
    let contenders = VERSIONS.map(|n| (n, Feed::new(SOME, n, REFERENCE_ROWS), events(SOME, n)));
    let costs = measure(rounds, "versions", contenders.into());
    part.tables.push(table("versions", &costs));
    let last = VERSIONS.len() - 1;
    let more = costs[last].1.iter().zip(&costs[0].1).map(|(many, one)| many / one);
    part.claims.push(Claim::at_most(
        "an event's cost with 50 versions over one",
        Spread::of(more),
        MANY_VERSIONS,
        times,
    ));
    part.raw.push(json!({"versions": costs}));
}

fn table(what: &str, costs: &[(usize, Vec<f64>)]) -> Table {
    let row = |(n, costs): &(usize, Vec<f64>)| {
        let spread = Spread::of(costs.iter().copied());
        let each = if what == "features" { format!("{:.1}", spread.median / real(*n as u64)) } else { String::new() };
        vec![count(*n as u64), spread.show(|c| format!("{c:.0}")), each]
    };
    let mut head = vec![what.to_owned(), "ns an event".to_owned()];
    head.push(if what == "features" { "ns a feature".to_owned() } else { String::new() });
    Table { head, rows: costs.iter().map(row).collect() }
}

/// One long stream.
struct Stream {
    events: u64,
}

/// Where a stream stood: its events, the time, and what the replay used.
type Mark = (u64, Instant, Usage);

/// Milliseconds of event time between two events of the long stream.
const STEP: i64 = 10;
/// Lines that the long stream is made of.
const TEMPLATES: usize = 50_000;
const LABEL_EVERY: u64 = 10;
const LABEL_AFTER: i64 = 60_000;

impl Stream {
    fn run(&self, settings: &Settings, part: &mut Part) {
        let labels = settings.scratch.path().join("labels.jsonl");
        let made = Command::new("mkfifo").arg(&labels).status().expect("mkfifo runs");
        assert!(made.success(), "a named pipe for the labels");
        let mut child = Ended(
            Command::new(BINARY)
                .args(["replay", "--json", "--policy"])
                .arg(settings.file("policy.yaml"))
                .args(["--predictions", "-", "--labels"])
                .arg(&labels)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("driftgate replay runs"),
        );
        let (pid, predictions) = (child.0.id(), child.0.stdin.take().expect("its input"));
        let templates = templates(&settings.file("predictions.jsonl"));
        let marks = thread::scope(|scope| {
            scope.spawn(|| self.labels(&labels));
            self.predictions(predictions, &templates, pid)
        });
        assert!(child.0.wait().expect("a child").success(), "the replay of the long stream");
        std::fs::remove_file(&labels).expect("the named pipe");
        report(&marks, part);
    }

    /// Writes the predictions; a mark every tenth of them.
    fn predictions(&self, to: impl std::io::Write, templates: &[Template], pid: u32) -> Vec<Mark> {
        let mut to = BufWriter::with_capacity(1 << 18, to);
        let mut marks = Vec::new();
        let mut line = Vec::new();
        for i in 0..self.events {
            let template = &templates[usize::try_from(i).expect("64 bits") % templates.len()];
            template.write(i, time(i), &mut line);
            to.write_all(&line).expect("the replay reads on");
            if (i + 1).is_multiple_of(self.events / 10) {
                let usage = Usage::of(pid).expect("the replay runs");
                eprintln!("growth: {} events, {:.0} MiB", count(i + 1), usage.resident);
                marks.push((i + 1, Instant::now(), usage));
            }
        }
        to.flush().expect("the replay reads on");
        marks
    }

    fn labels(&self, path: &Path) {
        let to = std::fs::OpenOptions::new().write(true).open(path).expect("the named pipe");
        let mut to = BufWriter::with_capacity(1 << 18, to);
        for i in (0..self.events).step_by(usize::try_from(LABEL_EVERY).expect("a small number")) {
            let (ts, label) = (time(i) + LABEL_AFTER, i / LABEL_EVERY % 2);
            writeln!(to, "{{\"prediction_id\":\"e{i:09}\",\"model\":\"credit\",\"ts\":{ts},\"label\":{label}}}")
                .expect("the replay reads on");
        }
        to.flush().expect("the replay reads on");
    }
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

fn report(marks: &[Mark], part: &mut Part) {
    let rate = |from: usize, to: usize| {
        let ((e0, t0, _), (e1, t1, _)) = (&marks[from], &marks[to]);
        real(e1 - e0) / t1.duration_since(*t0).as_secs_f64()
    };
    // Core nanoseconds of the replay, all its threads together.
    let cost = |from: usize, to: usize| {
        let ((e0, _, u0), (e1, _, u1)) = (&marks[from], &marks[to]);
        (u1.cpu - u0.cpu) * 1e9 / real(e1 - e0)
    };
    let row = |at: usize| {
        let (events, _, usage) = &marks[at];
        vec![
            count(*events),
            format!("{:.0}", cost(at - 1, at)),
            thousands(rate(at - 1, at)),
            format!("{:.0} MiB", usage.resident),
            format!("{:.0} MiB", usage.peak),
        ]
    };
    let head = ["events of one stream", "core ns an event, the last tenth", "events/s", "resident", "most resident"];
    part.tables
        .push(Table { head: head.map(str::to_owned).to_vec(), rows: (1..marks.len()).step_by(2).map(row).collect() });
    let (first, last) = (&marks[0], &marks[marks.len() - 1]);
    let one = |x: f64| Spread::of([x]);
    part.claims.push(Claim::at_most(
        "long stream: an event's cost in the second half over the first",
        one(cost(5, 9) / cost(0, 4)),
        STEADY,
        times,
    ));
    part.claims.push(Claim::at_most(
        &format!("long stream: resident after {} events over {}", count(last.0), count(first.0)),
        one(last.2.resident / first.2.resident),
        STEADY,
        times,
    ));
    let raw = |(events, at, usage): &Mark| json!({"events": events, "seconds": at.duration_since(first.1).as_secs_f64(), "cpu_seconds": usage.cpu, "resident_mib": usage.resident});
    part.raw.push(json!({"stream": marks.iter().map(raw).collect::<Vec<_>>()}));
}
