//! One long stream through one process, beside new processes that read its start, in turn: neither an event's cost nor the
//! memory may grow with the number of events.

use std::path::Path;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::feed::T0;
use crate::long_stream::{Replay, Template, Times, pipe, write_labels};
use crate::process::Usage;
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
const TIMES: Times = Times { first: T0, step: 10 };
/// Lines that the stream is made of.
const TEMPLATES: usize = 50_000;

/// Where a stream stood.
struct Mark {
    events: u64,
    at: Instant,
    usage: Usage,
}

impl Mark {
    fn of(replay: &Replay<'_>) -> Self {
        let usage = Usage::of(replay.pid()).expect("the replay runs");
        Self { events: replay.sent(), at: Instant::now(), usage }
    }

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
            let replay = Replay::start(BINARY, &settings.file("policy.yaml"), &labels, &templates, TIMES);
            scope.spawn(move || write_labels(&labels, "credit", TIMES, events));
            replay
        };
        let mut long = start("labels-long.jsonl".to_owned(), events);
        long.send_to(events / 10);
        let tenth = Mark::of(&long);
        let mut rounds = Vec::new();
        for round in 1..=ROUNDS {
            let pause = events * round / ROUNDS;
            long.send_to(pause - measured);
            let before = Mark::of(&long);
            long.send_to(pause);
            let mark = Mark::of(&long);
            let warm = events / WARM;
            let mut short = start(format!("labels-{round}.jsonl"), warm + measured);
            short.send_to(warm);
            let warmed = Mark::of(&short);
            short.send_to(warm + measured);
            let new = warmed.cost_to(&Mark::of(&short));
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
        ["events of one stream", "core ns per event", "in a new process", "events/s", "resident", "most resident"];
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
