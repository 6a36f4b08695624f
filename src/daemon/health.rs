//! Whether the brokers answer: before the start until they do, and while running, beside the counting thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::Flags;
use crate::checkpoint::SourceState;
use crate::config::Config;
use crate::source::kafka::{Handle, KafkaSourceError};
use crate::view::Shared;

const TIMEOUT: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const MOST: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_millis(50);

/// Where every partition starts.
pub type Starts = BTreeMap<(String, i32), Option<i64>>;

/// What the brokers say of the topics.
pub type Answer = Result<BTreeMap<String, i32>, KafkaSourceError>;

/// Asks the brokers for the topics for the first time, while the registry and the state are opened.
///
/// # Errors
/// A system without threads.
pub fn ask(kafka: Handle, config: &Config) -> std::io::Result<thread::JoinHandle<Answer>> {
    let topics = topics(config);
    thread::Builder::new().name("brokers".into()).spawn(move || kafka.partitions(&topics, TIMEOUT))
}

fn topics(config: &Config) -> Vec<String> {
    config.sources.iter().map(|s| s.topic.clone()).collect()
}

/// Waits until every topic is there; `None` when told to stop meanwhile.
pub fn wait_for_topics(
    kafka: &Handle,
    asked: thread::JoinHandle<Answer>,
    config: &Config,
    kept: &[SourceState],
    view: &Shared,
    flags: &Flags,
) -> Option<Starts> {
    let topics = topics(config);
    let mut pause = Duration::from_secs(1);
    let mut asked = Some(asked);
    while !flags.stop.load(Ordering::Relaxed) {
        let first = asked.take().and_then(|asked| asked.join().ok());
        match first.unwrap_or_else(|| kafka.partitions(&topics, TIMEOUT)) {
            Ok(found) => {
                view.write().not_ready.remove("kafka");
                return Some(starts(&found, kept));
            }
            Err(e) => {
                tracing::warn!("{e}; next attempt in {} s", pause.as_secs());
                view.write().not_ready.insert("kafka".into(), e.to_string());
            }
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !flags.stop.load(Ordering::Relaxed) {
            thread::sleep(NAP);
        }
        pause = (pause * 2).min(MOST);
    }
    None
}

fn starts(found: &BTreeMap<String, i32>, kept: &[SourceState]) -> Starts {
    let all = found.iter().flat_map(|(topic, n)| (0..*n).map(move |p| (topic.clone(), p)));
    all.map(|(topic, p)| {
        let next = kept.iter().find(|s| s.topic == topic && s.partition == p).and_then(|s| s.next_offset);
        ((topic, p), next)
    })
    .collect()
}

/// Asks the brokers now and then: readiness, lag, and topics that grew.
pub fn watch(kafka: Handle, config: &Config, starts: &Starts, view: Shared, flags: Arc<Flags>) {
    let topics = topics(config);
    let partitions: Vec<(String, i32)> = starts.keys().cloned().collect();
    let work = move || {
        while !flags.stop.load(Ordering::Relaxed) {
            match kafka.partitions(&topics, TIMEOUT) {
                Ok(found) => {
                    let was = view.write().not_ready.remove("kafka");
                    if was.is_some() {
                        tracing::info!("the brokers answer again");
                    }
                    grown(&found, &partitions, &view);
                    for (topic, partition) in &partitions {
                        if let Some(high) = kafka.high_watermark(topic, *partition, TIMEOUT) {
                            view.write().sources.entry((topic.clone(), *partition)).or_default().high_watermark =
                                Some(high);
                        }
                    }
                }
                Err(e @ (KafkaSourceError::Unreachable { .. } | KafkaSourceError::NoTopic { .. })) => {
                    if view.write().not_ready.insert("kafka".into(), e.to_string()).is_none() {
                        tracing::warn!("{e}");
                    }
                }
                Err(e) => tracing::warn!("{e}"),
            }
            let until = Instant::now() + EVERY;
            while Instant::now() < until && !flags.stop.load(Ordering::Relaxed) {
                thread::sleep(NAP);
            }
        }
    };
    if let Err(e) = thread::Builder::new().name("health".into()).spawn(work) {
        tracing::error!(error = %e, "no thread to watch the brokers on");
    }
}

/// A topic with more partitions than are read would be counted in part: say so until the daemon is restarted.
fn grown(found: &BTreeMap<String, i32>, partitions: &[(String, i32)], view: &Shared) {
    for (topic, n) in found {
        let read = partitions.iter().filter(|(t, _)| t == topic).count();
        if usize::try_from(*n).is_ok_and(|n| n > read) {
            let why = format!(
                "{topic} has {n} partitions, {read} are read: restart driftgate to read the new ones from their beginning"
            );
            if view.write().not_ready.insert(format!("{topic} grew"), why.clone()).is_none() {
                tracing::error!("{why}");
            }
        }
    }
}
