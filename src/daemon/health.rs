//! Whether the brokers answer: before the start until they do, and while running, beside the counting thread.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::control::Control;
use super::starts::{self, Before, Starts};
use crate::config::Config;
use crate::source::kafka::{Found, Handle, KafkaSourceError};
use crate::telemetry::events::kafka::{BrokersAway, BrokersBack};
use crate::telemetry::events::state::CheckpointHangs;
use crate::telemetry::events::threads::{NoThread, Purpose};
use crate::view::Shared;
use crate::view::readiness::{Latch, NotReady};

const TIMEOUT: Duration = Duration::from_secs(5);
const EVERY: Duration = Duration::from_secs(5);
const EVERY_ID: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const MOST: Duration = Duration::from_secs(10);
/// A checkpoint that takes longer is reported.
const SLOW_CHECKPOINT: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_millis(50);

/// What the brokers say of the topics.
pub type Answer = Result<BTreeMap<String, Found>, KafkaSourceError>;

/// Asks the brokers for the topics for the first time, while the registry and the state are opened.
///
/// # Errors
/// A system without threads.
pub fn ask(kafka: Handle, config: &Config) -> std::io::Result<JoinHandle<Answer>> {
    let topics = topics(config);
    thread::Builder::new().name("brokers".into()).spawn(move || kafka.topics(&topics, TIMEOUT))
}

fn topics(config: &Config) -> Vec<String> {
    config.sources.iter().map(|s| s.topic.clone()).collect()
}

/// Waits until every topic exists; `None` if the daemon is to stop meanwhile.
#[must_use]
pub fn wait_for_topics(
    kafka: &Handle,
    asked: JoinHandle<Answer>,
    config: &Config,
    before: &Before<'_>,
    view: &Shared,
    control: &Control,
) -> Option<Starts> {
    let topics = topics(config);
    let stops = || control.is_stopping();
    let mut pause = Duration::from_secs(1);
    // Problems of the connections are reported before the time of the first question is over.
    while !asked.is_finished() && !stops() {
        kafka.serve(NAP);
        if let Some(why) = kafka.trouble() {
            view.write().readiness.hold(NotReady::Brokers { error: why.to_string() });
        }
    }
    let mut asked = Some(asked);
    while !stops() {
        let first = asked.take().and_then(|asked| asked.join().ok());
        match first.unwrap_or_else(|| kafka.topics(&topics, TIMEOUT)) {
            Ok(found) => {
                view.write().readiness.release(&Latch::Kafka);
                let mut starts = starts::starts(&found, before, view);
                starts::cut(kafka, &mut starts);
                starts::pass_over(kafka, &mut starts, &before.accepted.gaps);
                return Some(starts);
            }
            Err(e) => {
                BrokersAway { error: &e, pause: Some(pause.as_secs()) }.emit();
                view.write().readiness.hold(NotReady::Brokers { error: e.to_string() });
            }
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !stops() {
            kafka.serve(NAP);
        }
        pause = (pause * 2).min(MOST);
    }
    None
}

/// Compares the topics' ids with those that are read.
fn same_topics(ids: &BTreeMap<String, String>, starts: &Starts, asked: Instant, view: &Shared) {
    let mut seen: Vec<&str> = Vec::new();
    for ((topic, _), start) in starts {
        if seen.contains(&topic.as_str()) {
            continue;
        }
        seen.push(topic);
        match (&start.topic_id, ids.get(topic)) {
            (Some(read), Some(now)) if read != now => {
                let known = view.read().replaced.contains_key(topic);
                if !known {
                    starts::report_replaced(view, starts::why_replaced(topic, read, now));
                }
            }
            (_, Some(_)) | (None, None) => drop(view.write().verified.insert(topic.clone(), asked)),
            // It is gone.
            (Some(_), None) => {}
        }
    }
}

/// Says so where the disk takes a checkpoint without an end: nothing else can be said then by who writes it.
pub async fn watch_checkpoint(view: Shared) {
    loop {
        tokio::time::sleep(EVERY_ID).await;
        let since = view.read().checkpoint.since;
        if let Some(takes) = since.map(|since| since.elapsed()).filter(|takes| *takes > SLOW_CHECKPOINT) {
            let why = NotReady::CheckpointSlow { seconds: takes.as_secs() };
            let sentence = why.to_string();
            if !view.write().readiness.hold(why) {
                CheckpointHangs { why: &sentence }.emit();
            }
        }
    }
}

/// Asks the brokers now and then whether they answer, and every second whether they still are the same topics.
#[must_use]
pub fn watch(
    kafka: Handle,
    config: &Config,
    starts: &Starts,
    view: Shared,
    control: Control,
) -> Option<JoinHandle<()>> {
    let topics = topics(config);
    let starts = starts.clone();
    let work = move || {
        while !control.is_stopping() {
            match kafka.partitions(&topics, TIMEOUT) {
                Ok(_) => {
                    let was = view.write().readiness.release(&Latch::Kafka);
                    if was {
                        BrokersBack.emit();
                    }
                }
                Err(e) => {
                    let was = view.write().readiness.hold(NotReady::Brokers { error: e.to_string() });
                    if !was {
                        BrokersAway { error: &e, pause: None }.emit();
                    }
                }
            }
            let until = Instant::now() + EVERY;
            while Instant::now() < until && !control.is_stopping() {
                let asked = Instant::now();
                if let Ok(ids) = kafka.ids(&topics, TIMEOUT) {
                    same_topics(&ids, &starts, asked, &view);
                }
                while asked.elapsed() < EVERY_ID && !control.is_stopping() {
                    thread::sleep(NAP);
                }
            }
        }
    };
    thread::Builder::new()
        .name("health".into())
        .spawn(work)
        .inspect_err(|e| NoThread { purpose: Purpose::WatchBrokers, error: e }.emit())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kafka::Start;

    #[test]
    fn a_topic_that_changes_its_id_while_it_is_read_is_noticed_and_one_that_is_the_same_is_verified() {
        let start = Start { topic_id: Some("old".into()), ..Start::default() };
        let starts: Starts = [(("t".to_owned(), 0), start.clone()), (("u".to_owned(), 0), start)].into();
        let (view, asked) = (Shared::default(), Instant::now());
        let ids = [("t".to_owned(), "new".to_owned()), ("u".to_owned(), "old".to_owned())].into();
        same_topics(&ids, &starts, asked, &view);
        assert_eq!(view.read().replaced.keys().collect::<Vec<_>>(), ["t"]);
        assert_eq!(view.read().verified.get("u"), Some(&asked));
        assert_eq!(view.read().verified.get("t"), None);
    }
}
