//! A stream from a real Kafka, end to end: the daemon beside a bare librdkafka consumer that drops the same messages and a
//! monitor in Python. The daemon's verdicts are compared with the replay's in every run.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::agreement::complete_verdicts;
use crate::process::{self, Daemon, Usage, cpu};
use crate::results::{
    Bar, Bars, Claim, Contender, Entry, Part, Sample, Spread, count, percent, real, take_turns, times,
};
use crate::settings::Settings;
use crate::topics::{PARTITIONS, Topics, bare, messages};

/// How often the daemon's processor time is looked at, and how often it is asked how many events it has counted: the
/// latter costs it something, the former does not.
const LOOK: Duration = Duration::from_millis(5);
const ASK: Duration = Duration::from_millis(250);
/// A process that uses less than two ticks in so long is not working.
const PAUSE: Duration = Duration::from_millis(60);
const DEADLINE: Duration = Duration::from_secs(300);

/// The topics of one run.
struct Stream<'a> {
    brokers: &'a str,
    predictions: &'a str,
    labels: &'a str,
    rows: u64,
    events: u64,
}

pub fn run(settings: &Settings, brokers: &str) -> Part {
    let policy = settings.file("policy.yaml");
    let mut topics = Topics::new(brokers);
    let (predictions, labels) = (topics.make("predictions", PARTITIONS), topics.make("labels", PARTITIONS));
    topics.load(&predictions, "predictions", &policy, &settings.file("predictions.jsonl"));
    topics.load(&labels, "labels", &policy, &settings.file("labels.parquet"));
    let names = [predictions.as_str(), labels.as_str()];
    let (rows, events) = (settings.rows(), messages(brokers, &names));
    assert_eq!(events, rows + settings.labels(), "every event was published once");
    let expected = complete_verdicts(settings, &settings.file("predictions.jsonl"));
    assert!(!expected.is_empty(), "the data closes no window: make more rows");
    let verdicts: Vec<String> = (0..settings.quick_rounds()).map(|_| topics.make("verdicts", 1)).collect();
    let mut runs = verdicts.iter();
    let stream = Stream { brokers, predictions: &predictions, labels: &labels, rows, events };
    let python = |mode: &str| {
        let mut command = Command::new(&settings.python);
        command.arg(Settings::peer("stream_python.py")).args([brokers, &predictions, &rows.to_string()]);
        let (sample, said) = process::run(command.arg(&settings.data).arg(mode));
        let said: serde_json::Value = serde_json::from_str(&said).expect("the peer's result");
        assert_eq!(said["events"].as_u64(), Some(rows), "the peer takes every message");
        Sample { after_start: said["seconds"].as_f64(), ..sample }
    };
    let mut one = |topics: &Topics<'_>| {
        let verdicts = runs.next().expect("a topic a round");
        let (sample, daemon) = daemon(settings, &stream, verdicts);
        let mut said = topics.read(verdicts, expected.len());
        drop(daemon);
        said.sort();
        assert!(said == expected, "the daemon's verdicts are not the replay's:\n{said:#?}\n{expected:#?}");
        sample
    };
    let rounds = settings.quick_rounds();
    // The broker compiles its code while it serves for the first time, at the cost of whoever asks.
    bare(brokers, &names, events);
    let entry = |name, events, run| Entry { name, events, rounds, run };
    let peer = |name, run| Entry { rounds: settings.rounds, ..entry(name, rows, run) };
    let contenders = take_turns(
        "kafka",
        rounds,
        vec![
            entry(
                "a bare librdkafka consumer that drops the messages",
                events,
                Box::new(|| bare(brokers, &names, events)),
            ),
            entry("`driftgate run`, to the last event", events, Box::new(|| one(&topics))),
            peer("`stream_python.py`", Box::new(|| python("orjson"))),
            peer("`stream_python.py none`, messages dropped", Box::new(|| python("none"))),
        ],
    );
    part(&stream, &contenders, expected.len())
}

fn part(stream: &Stream<'_>, contenders: &[Contender], verdicts: usize) -> Part {
    let [bare, daemon, python, dropped] = contenders else { panic!("four contenders") };
    let about = format!(
        "{} predictions and {} labels in {PARTITIONS} partitions each, compressed by lz4. The bare consumer and the daemon \
         read both topics, stream_python.py the predictions alone. All are timed as whole processes, from their start to \
         the last event, the daemon's end being where it stops working. {verdicts} verdicts of each run on the daemon's \
         topic were byte for byte those of the replay.",
        count(stream.rows),
        count(stream.events - stream.rows)
    );
    let mut part = Part::of_contenders("A stream from Kafka", about, contenders);
    // Predictions per second of both: as whole processes, and both without their start.
    let over_python = |seconds: fn(&Sample) -> f64| {
        Spread::of(daemon.samples.iter().zip(&python.samples).map(|(d, p)| seconds(p) / seconds(d)))
    };
    part.claims = vec![
        Claim::at_least("stream: of the bare consumer's rate", daemon.speed_over(bare), 0.6, percent),
        Claim::at_least(
            "stream: predictions per second over `stream_python.py`",
            over_python(|sample| sample.seconds),
            5.0,
            times,
        ),
        Claim::at_least(
            "stream: the same, both without their start",
            over_python(|sample| sample.after_start.unwrap_or(sample.seconds)),
            5.0,
            times,
        ),
    ];
    let bar = |c: &Contender, name: &str, rate: f64, ours| Bar {
        name: name.to_owned(),
        rate,
        note: format!("{:.0} MiB", c.resident()),
        ours,
    };
    part.bars = vec![Bars {
        title: "A stream from Kafka: events per second, end to end".to_owned(),
        bars: vec![
            bar(bare, "librdkafka, messages dropped", bare.rate(), false),
            bar(daemon, "driftgate run", daemon.rate(), true),
            bar(dropped, "Python, messages dropped", dropped.rate(), false),
            bar(python, "Python, orjson, numpy", python.rate(), false),
        ],
    }];
    part
}

/// One run of the daemon to its last event. It is still running when this returns, for its verdicts to arrive.
fn daemon(settings: &Settings, stream: &Stream<'_>, verdicts: &str) -> (Sample, Daemon) {
    let state = tempfile::tempdir_in(settings.scratch.path()).expect("a folder").keep();
    let config = write_config(&state, &settings.file("policy.yaml"), stream, verdicts);
    let mut daemon = Daemon::start(&config);
    let pid = daemon.pid();
    let mut worked = Worked::default();
    let mut asked = Instant::now();
    loop {
        worked.look(pid);
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            if counted(&daemon, stream) {
                break;
            }
        }
        daemon.listen();
        assert!(daemon.begun.elapsed() < DEADLINE, "the daemon counts all events: {:?}", daemon.said);
        thread::sleep(LOOK);
    }
    let end = worked.end();
    // It takes events once its partitions are assigned and the version's baseline is there.
    let ready = daemon.heard("running", 1).max(daemon.heard("baseline loaded", 1));
    let usage = Usage::of(pid).expect("the daemon runs");
    let sample = Sample {
        seconds: end.duration_since(daemon.begun).as_secs_f64(),
        after_start: ready.map(|ready| end.saturating_duration_since(ready).as_secs_f64()),
        resident: usage.peak,
        cpu: usage.cpu,
    };
    (sample, daemon)
}

/// When a process last worked, by its processor time.
#[derive(Default)]
struct Worked(Vec<(Instant, f64)>);

impl Worked {
    fn look(&mut self, pid: u32) {
        if let Some(cpu) = cpu(pid) {
            self.0.push((Instant::now(), cpu));
        }
    }

    /// The last moment that had at least two ticks in the pause before it.
    fn end(&self) -> Instant {
        let worked = |at: &usize| {
            let (now, cpu) = self.0[*at];
            let before = self.0[..*at].iter().rev().find(|(t, _)| now.duration_since(*t) >= PAUSE);
            let grew = self.0[at.saturating_sub(1)].1 < cpu;
            grew && before.is_none_or(|(_, was)| cpu - was > 0.015)
        };
        let last = (0..self.0.len()).rev().find(worked).expect("the daemon worked");
        self.0[last].0
    }
}

/// Whether all events are counted. The cheap question comes first.
fn counted(daemon: &Daemon, stream: &Stream<'_>) -> bool {
    let predictions = || {
        let answer: serde_json::Value = serde_json::from_str(&daemon.get("/api/v1/models/credit")?).ok()?;
        Some(answer["versions"].as_array()?.iter().filter_map(|v| v["predictions"].as_u64()).sum::<u64>())
    };
    if predictions().is_none_or(|n| n < stream.rows) {
        return false;
    }
    let Some(metrics) = daemon.get("/metrics") else { return false };
    let value = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    let of = |name: &str| metrics.lines().filter(|l| l.starts_with(name)).map(value).sum::<f64>();
    assert!(of("driftgate_rejected_events_total") == 0.0, "no event is rejected");
    of("driftgate_events_total{") >= real(stream.events)
}

fn write_config(state: &Path, policy: &Path, stream: &Stream<'_>, verdicts: &str) -> std::path::PathBuf {
    let Stream { brokers, predictions, labels, .. } = stream;
    // Each run's group is its own, as its topic of verdicts is: the run before was killed, and another of its group would wait for it.
    let text = format!(
        "policies: [\"{}\"]\n\
         kafka: {{brokers: \"{brokers}\", group: \"bench-{verdicts}\"}}\n\
         sources:\n\
         - {{topic: {predictions}, kind: predictions, format: json}}\n\
         - {{topic: {labels}, kind: labels, format: json}}\n\
         publish: {{verdicts: {verdicts}}}\n\
         registry: {{embedded: {{path: registry.db}}}}\n\
         state: {{path: state}}\n\
         http: {{listen: \"127.0.0.1:0\"}}\n",
        policy.display()
    );
    let config = state.join("driftgate.yaml");
    std::fs::write(&config, text).expect("a configuration");
    config
}
