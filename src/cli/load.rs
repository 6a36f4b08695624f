//! `driftgate load`: publishes a file's rows to a Kafka topic as JSON events of the default format. `input` reads the file, `rows` writes
//! events of columns, `avro` those of an Avro file, `send` sends them.

pub(super) mod avro;
mod input;
mod rows;
mod send;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender as Told, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use serde_json::json;

use super::exit::{self, Failure};
use super::output::Output;
use super::terminal::errln;
use super::{display, replay};
use crate::config::SourceConfig;
use crate::daemon::read_config;
use crate::source::many;
use driftgate_core::event::{EventKind, FieldMap};
use input::Input;
use send::Sender;

/// Events between two looks at the progress bar.
const TICK: u64 = 4096;
/// What a command that was interrupted exits with, by custom.
const INTERRUPTED: u8 = 130;

/// Publishes a file's rows to Kafka as JSON events
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Files may be Parquet (.parquet), Avro (.avro), CSV (.csv) or JSON lines (.jsonl, .ndjson; - is standard input), whose lines are published unchanged.\nCSV and JSON lines may be packed (.gz, .zst).\nA folder stands for all event files in it, a pattern in quotes (logs/2026-*/**.jsonl.gz) for those that match, both in the order of their paths. --file may be given several times.\nThe key of predictions and labels is the prediction id. Ctrl-C stops once the brokers have acknowledged what was sent; a second Ctrl-C stops at once.\n\nExample:\n  driftgate load --policy tests/data/flights/policy.yaml --topic predictions \\\n    --file tests/data/flights/predictions.parquet --brokers localhost:9092"
)]
pub struct Args {
    /// Policy of the model
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Topic to publish to; it must exist
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// File whose rows are published, or a folder or pattern of files
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    file: Vec<PathBuf>,
    /// Kind of the events; default: labels if there is a column of labels or of a KPI, measurements if there are metric and value, predictions if
    /// there is a score or a version, else features
    #[arg(long, value_name = "KIND", value_parser = EventKind::ALL.map(EventKind::name))]
    kind: Option<String>,
    /// Brokers; default: those of the configuration, else localhost:9092
    #[arg(long, value_name = "HOST:PORT,…")]
    brokers: Option<String>,
    /// Daemon configuration whose brokers and Kafka properties are used
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Limit of events per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    output: Output,
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
            "driftgate: warning: the configuration's source for {:?} reads other fields than the events have that are published",
            args.topic
        );
    }
    let mut files = many::files(&args.file)?.into_iter();
    let first = files.next().context("--file names the file to publish")?;
    let mut input = Input::open(&first, &policy, kind)?;
    if files.len() > 0 {
        input.total = None;
    }
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
            Ok(None) => match files.next().map(|next| Input::open(&next, &policy, Some(input.kind))) {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(next)) => {
                    input = next;
                    input.total = None;
                    continue;
                }
            },
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
        let named: Vec<String> = args.file.iter().map(|file| file.display().to_string()).collect();
        let (file, topic, partitions) = (named.join(", "), &args.topic, sender.partitions);
        let summary = json!({
            "file": file, "topic": topic, "kind": kind, "partitions": partitions,
            "published": published, "seconds": seconds, "events_per_second": rate.round(), "interrupted": interrupted,
        });
        args.output.print(&summary, || {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive rate")]
            let (count, rate) = (display::count(published), display::count(rate.round() as u64));
            let plural = if partitions == 1 { "" } else { "s" };
            let until = if interrupted { ", interrupted" } else { "" };
            Ok(format!(
                "{file}: {count} {kind} published to {topic} ({partitions} partition{plural}) in {seconds:.1} s, {rate} per second{until}\n"
            ))
        })
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

/// True from the first interrupt on. The second one is sent to `second`, which does not wait for what is under way.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept() {
        let limit = RateLimit { started: Instant::now(), rate: Some(200), sent: 100 };
        assert_eq!(limit.due(), Some(Duration::from_millis(500)));
        assert_eq!(RateLimit { rate: None, ..limit }.due(), None);
    }
}
