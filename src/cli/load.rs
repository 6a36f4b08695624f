//! `driftgate load`: a file's rows to a Kafka topic as the default JSON events. What an event says is `rows`; how it
//! reaches Kafka is `send`.

mod rows;
mod send;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender as Told, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use polars_io::{SerReader as _, prelude::ParquetReader};
use serde_json::json;

use super::exit::{self, Failure};
use super::terminal::{errln, outln};
use super::{display, replay};
use crate::config::SourceConfig;
use crate::daemon::read_config;
use crate::source::columns;
use crate::source::files::FileKind;
use driftgate_core::decode::Reject;
use driftgate_core::decode::scan::{Scanner, Token};
use driftgate_core::event::{EventKind, Field, FieldMap, Limits};
use driftgate_core::policy::Policy;
use driftgate_core::schema::canonical_number;
use rows::{Rows, kind_of};
use send::Sender;

/// Events between two looks at the progress bar.
const TICK: u64 = 4096;
/// What a command that was interrupted exits with, by custom.
const INTERRUPTED: u8 = 130;

/// Publishes a file's rows to Kafka as JSON events
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Files may be Parquet (.parquet), CSV (.csv) or JSON lines (.jsonl, .ndjson; - is standard input), which are published as they are.\nPredictions and labels are keyed by prediction id. Ctrl-C stops after what is under way has arrived.\n\nExample:\n  driftgate load --policy tests/data/flights/policy.yaml --topic predictions \\\n    --file tests/data/flights/predictions.parquet --brokers localhost:9092"
)]
pub struct Args {
    /// The model's policy file
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The topic, which must exist
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// The file whose rows are published
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// What the rows are; by default what the columns say: label or a KPI, metric and value, score or version, else features
    #[arg(long, value_name = "KIND", value_parser = EventKind::ALL.map(EventKind::name))]
    kind: Option<String>,
    /// The brokers; by default the configuration's, else localhost:9092
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// A daemon configuration, for its brokers and Kafka properties
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// At most so many events a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Prints what was published as JSON
    #[arg(long)]
    json: bool,
}

/// What publishing came to, or that a second interrupt ended it.
type Ended = thread::Result<Result<u8, Failure>>;

pub fn run(args: &Args) -> Result<u8, Failure> {
    let (tell, ended) = channel();
    let (args, second) = (args.clone(), tell.clone());
    let work = move || {
        let _ = tell.send(catch_unwind(AssertUnwindSafe(|| publish(&args, second))));
    };
    thread::Builder::new().name("load".into()).spawn(work)?;
    ended.recv()?.unwrap_or_else(|panic| resume_unwind(panic))
}

fn publish(args: &Args, second: Told<Ended>) -> Result<u8, Failure> {
    let policy = replay::read_policy(&args.policy)?;
    let (properties, source) = kafka(args)?;
    let kind = match args.kind.as_deref() {
        Some(name) => EventKind::of_name(name),
        None => source.as_ref().map(|s| s.kind),
    };
    if source.is_some_and(|s| s.fields != FieldMap::default()) {
        errln!(
            "driftgate: the configuration's source for {:?} reads other fields than those that are published",
            args.topic
        );
    }
    let mut input = Input::open(&args.file, &policy, kind)?;
    let sender = Sender::connect(&properties, &args.topic)?;
    let stop = interrupts(second)?;
    let started = Instant::now();
    let bar = display::count_bar(input.total, &format!("publishing to {}", args.topic));
    let mut limit = RateLimit { started, rate: args.rate, sent: 0 };
    let mut out = Vec::with_capacity(4096);
    let fed = loop {
        if stop.load(Ordering::Relaxed) || sender.has_failed() {
            break Ok(());
        }
        match input.next(&mut out) {
            Ok(Some(key)) => sender.send(key, &out),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        limit.sent += 1;
        if limit.sent.is_multiple_of(TICK) {
            bar.set_position(sender.delivered());
        }
        limit.keep(&sender, &stop);
    };
    // What was sent arrives even if the file's rest cannot be read.
    sender.flush(|delivered| bar.set_position(delivered));
    bar.finish_and_clear();
    let published = sender.delivered();
    fed.with_context(|| format!("{} events were published before", display::count(published)))?;
    sender.outcome()?;
    let interrupted = stop.load(Ordering::Relaxed);
    let done = Published { kind: input.kind, published, seconds: started.elapsed().as_secs_f64(), interrupted };
    done.print(args, &sender)?;
    Ok(if interrupted { INTERRUPTED } else { exit::PASS })
}

/// What was published.
struct Published {
    kind: EventKind,
    published: u64,
    seconds: f64,
    interrupted: bool,
}

impl Published {
    fn print(&self, args: &Args, sender: &Sender) -> Result<(), Failure> {
        let Self { published, seconds, interrupted, .. } = *self;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = published as f64 / seconds.max(1e-9);
        let kind = self.kind.name();
        if args.json {
            let summary = json!({
                "file": args.file.display().to_string(), "topic": args.topic, "kind": kind, "partitions": sender.partitions,
                "published": published, "seconds": seconds, "events_per_second": rate.round(), "interrupted": interrupted,
            });
            outln!("{}", serde_json::to_string_pretty(&summary)?);
        } else {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive rate")]
            let rate = display::count(rate.round() as u64);
            let until = if interrupted { ", interrupted" } else { "" };
            outln!(
                "{}: {} {kind} published to {} ({} partition{}) in {seconds:.1} s, {rate} a second{until}",
                args.file.display(),
                display::count(published),
                args.topic,
                sender.partitions,
                if sender.partitions == 1 { "" } else { "s" },
            );
        }
        Ok(())
    }
}

/// The client's properties, and the configuration's source for the topic.
fn kafka(args: &Args) -> anyhow::Result<(BTreeMap<String, String>, Option<SourceConfig>)> {
    let (mut properties, mut source) = (BTreeMap::new(), None);
    if let Some(path) = &args.config {
        let config = read_config(path)?;
        let kafka = config
            .kafka
            .ok_or_else(|| anyhow!("{} has no `kafka:`: name the brokers with --brokers", path.display()))?;
        properties = kafka.client_properties()?;
        properties.remove("group.id");
        source = config.sources.into_iter().find(|s| s.topic == args.topic);
    }
    if let Some(brokers) = &args.brokers {
        properties.insert("bootstrap.servers".into(), brokers.clone());
    }
    properties.entry("bootstrap.servers".into()).or_insert_with(|| "localhost:9092".into());
    Ok((properties, source))
}

/// True from the first interrupt on; of the second one `second` is told, which does not wait for what is under way.
fn interrupts(second: Told<Ended>) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let flag = Arc::clone(&stop);
    thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if flag.swap(true, Ordering::Relaxed) {
                    let _ = second.send(Ok(Ok(INTERRUPTED)));
                }
            }
        });
    });
    Ok(stop)
}

/// Keeps to so many events a second.
struct RateLimit {
    started: Instant,
    rate: Option<u32>,
    sent: u64,
}

impl RateLimit {
    /// When the next event is due, since the start.
    fn due(&self) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 events")]
        self.rate.map(|rate| Duration::from_secs_f64(self.sent as f64 / f64::from(rate)))
    }

    fn keep(&self, sender: &Sender, stop: &AtomicBool) {
        let Some(due) = self.due() else { return };
        while let Some(left) = due.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero()) {
            if stop.load(Ordering::Relaxed) || sender.has_failed() {
                return;
            }
            sender.poll();
            thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// The file's events, whatever its format.
struct Input {
    events: Events,
    kind: EventKind,
    /// How many there are, where the file says it.
    total: Option<u64>,
}

enum Events {
    Rows(Box<Rows>),
    Lines(Lines),
}

impl Input {
    fn open(path: &Path, policy: &Policy, kind: Option<EventKind>) -> anyhow::Result<Self> {
        if FileKind::of(path)? == FileKind::Columns {
            let (rows, kind) = Rows::open(path, policy, kind)?;
            return Ok(Self { events: Events::Rows(Box::new(rows)), kind, total: rows_of(path) });
        }
        let reader: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::with_capacity(
                1 << 18,
                File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?,
            ))
        };
        let mut lines =
            Lines { reader, name: path.display().to_string(), number: 0, keyed: true, first: None, key: String::new() };
        let mut first = Vec::new();
        let kind = if let Some(kind) = kind {
            kind
        } else if lines.read(&mut first)? {
            let mut keys: Vec<String> = Vec::new();
            members(&first, |key, _| keys.push(key.to_owned())).map_err(|e| lines.wrong(&e.detail))?;
            lines.first = Some(first);
            kind_of(keys.iter().map(String::as_str), &policy.kpis)?
        } else {
            EventKind::Predictions
        };
        lines.keyed = kind.has(Field::PredictionId);
        Ok(Self { events: Events::Lines(lines), kind, total: None })
    }

    /// Writes the next event into `out` and gives its key, if it has one; `None` at the end.
    fn next(&mut self, out: &mut Vec<u8>) -> anyhow::Result<Option<Option<&[u8]>>> {
        match &mut self.events {
            Events::Rows(rows) => Ok(rows.next(out)?),
            Events::Lines(lines) => lines.next(out),
        }
    }
}

/// The rows of a Parquet file, for the progress bar; nothing fails for want of it.
fn rows_of(path: &Path) -> Option<u64> {
    if path.extension()? == "csv" {
        return None;
    }
    let file = File::open(path).ok()?;
    let rows = columns::guard(|| ParquetReader::new(file).num_rows().map_err(|e| e.to_string()));
    rows.ok().and_then(|rows| u64::try_from(rows).ok())
}

/// JSON lines, published as they stand.
struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    /// Of the line read last, from 1.
    number: u64,
    keyed: bool,
    /// The first line, where it was read for its keys.
    first: Option<Vec<u8>>,
    key: String,
}

/// Reads a line's object, and shows each of its members. The rest is checked to be JSON and skipped.
fn members(line: &[u8], mut each: impl FnMut(&str, Member<'_>)) -> Result<(), Reject> {
    let (mut key, mut text) = (String::new(), String::new());
    let mut scanner = Scanner::new(line, Limits::default().depth);
    let mut more = scanner.enter_object()?;
    while more {
        let name = scanner.key(&mut key)?;
        let member = match scanner.value(&mut text)? {
            Token::Escaped => Member::Text(&text),
            Token::Number(_, "-0") => Member::Text("0"),
            Token::Number(_, text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => Member::Text(text),
            Token::Plain(text) => Member::Text(text),
            Token::Number(x, _) => Member::Number(x),
            Token::Bool(yes) => Member::Text(if yes { "true" } else { "false" }),
            Token::Null | Token::Composite => Member::Other,
        };
        each(name, member);
        more = scanner.next_member()?;
    }
    scanner.end()
}

/// What stands under a key, as far as an id may be made of it.
enum Member<'a> {
    Text(&'a str),
    Number(f64),
    Other,
}

impl Lines {
    /// Reads the next line that is not blank, without its end; false at the end of the file.
    fn read(&mut self, out: &mut Vec<u8>) -> anyhow::Result<bool> {
        loop {
            out.clear();
            if self.reader.read_until(b'\n', out).with_context(|| format!("{} cannot be read", self.name))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.number == 1 && out.starts_with(b"\xef\xbb\xbf") {
                out.drain(..3);
            }
            out.truncate(out.trim_ascii_end().len());
            if !out.is_empty() {
                return Ok(true);
            }
        }
    }

    fn wrong(&self, cause: &str) -> anyhow::Error {
        anyhow!("{}:{}: not a JSON object: {cause}", self.name, self.number)
    }

    fn next(&mut self, out: &mut Vec<u8>) -> anyhow::Result<Option<Option<&[u8]>>> {
        match self.first.take() {
            Some(first) => *out = first,
            None if !self.read(out)? => return Ok(None),
            None => {}
        }
        if out.trim_ascii_start().first() != Some(&b'{') {
            return Err(self.wrong("it does not begin with {"));
        }
        self.key.clear();
        let key = &mut self.key;
        let read = members(out, |name, member| match member {
            _ if name != "prediction_id" => {}
            Member::Text(id) => id.clone_into(key),
            Member::Number(id) => canonical_number(id, key),
            Member::Other => {}
        });
        read.map_err(|e| self.wrong(&e.detail))?;
        if !self.keyed {
            return Ok(Some(None));
        }
        Ok(Some((!self.key.is_empty()).then_some(self.key.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str, keyed: bool) -> Lines {
        Lines {
            reader: Box::new(text.as_bytes()),
            name: "x.jsonl".into(),
            number: 0,
            keyed,
            first: None,
            key: String::new(),
        }
    }

    fn all(mut lines: Lines) -> Result<Vec<(Option<String>, String)>, String> {
        let (mut out, mut read) = (Vec::new(), Vec::new());
        while let Some(key) = lines.next(&mut out).map_err(|e| e.to_string())? {
            let key = key.map(|k| String::from_utf8(k.to_vec()).unwrap());
            read.push((key, String::from_utf8(out.clone()).unwrap()));
        }
        Ok(read)
    }

    #[test]
    fn lines_are_published_as_they_stand() {
        let text = "\u{feff}{\"prediction_id\":\"a\\u00e9\", \"x\": [1,{}]}\r\n\n {\"prediction_id\":7}\n{\"prediction_id\":7.0}\n{\"y\":NaN}";
        let key = |k: &str| Some(k.to_owned());
        let read = all(lines(text, true)).unwrap();
        assert_eq!(read.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(), [key("aé"), key("7"), key("7"), None]);
        assert_eq!(read[0].1, "{\"prediction_id\":\"a\\u00e9\", \"x\": [1,{}]}");
        assert!(all(lines(text, false)).unwrap().iter().all(|(k, _)| k.is_none()));
    }

    #[test]
    fn a_line_that_is_no_object_is_named() {
        for (text, says) in [
            ("{}\n[1]\n", "x.jsonl:2: not a JSON object: it does not begin with {"),
            ("\n{\"a\":}", "x.jsonl:2: not a JSON object: expected a value at byte 5, found '}'"),
            ("{} {}", "expected the end of the event"),
        ] {
            let error = all(lines(text, true)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_rate_is_kept() {
        let limit = RateLimit { started: Instant::now(), rate: Some(200), sent: 100 };
        assert_eq!(limit.due(), Some(Duration::from_millis(500)));
        assert_eq!(RateLimit { rate: None, ..limit }.due(), None);
    }
}
