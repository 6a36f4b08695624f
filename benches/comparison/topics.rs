//! The broker's side: topics, what is published to them and read back, and the bare consumer.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::json;

use crate::process;
use crate::results::Sample;
use crate::settings::BINARY;

/// Partitions of the events' topics.
pub const PARTITIONS: i32 = 4;
const WAIT: Duration = Duration::from_secs(30);

/// Topics made for one run, deleted at its end.
pub struct Topics<'a> {
    pub brokers: &'a str,
    admin: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
    made: Vec<String>,
}

impl<'a> Topics<'a> {
    pub fn new(brokers: &'a str) -> Self {
        Self {
            brokers,
            admin: ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a client"),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
            made: Vec::new(),
        }
    }

    /// Makes a topic with a name of its own.
    pub fn make(&mut self, name: &str, partitions: i32) -> String {
        let unique = format!("bench-{name}-{}-{}", std::process::id(), self.made.len());
        let new = NewTopic::new(&unique, partitions, TopicReplication::Fixed(1));
        let made = self.runtime.block_on(self.admin.create_topics([&new], &AdminOptions::new()));
        made.expect("the broker answers").into_iter().for_each(|t| drop(t.expect("a topic")));
        self.made.push(unique.clone());
        unique
    }

    /// A file's events to a topic by `driftgate load`: keyed by id, compressed by lz4.
    pub fn load(&self, topic: &str, kind: &str, policy: &Path, file: &Path) {
        let mut load = Command::new(BINARY);
        load.args(["load", "--brokers", self.brokers, "--topic", topic, "--kind", kind, "--policy"]);
        process::run(load.arg(policy).arg("--file").arg(file));
    }

    /// All messages of a topic that has so many; fewer if they do not come.
    pub fn read(&self, topic: &str, messages: usize) -> Vec<String> {
        let (consumer, _) = consumer(self.brokers, &[topic], 1);
        let until = Instant::now() + WAIT;
        let mut out = Vec::new();
        while out.len() < messages && Instant::now() < until {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.expect("a message");
                out.push(String::from_utf8_lossy(message.payload().unwrap_or(&[])).into_owned());
            }
        }
        out
    }
}

impl Drop for Topics<'_> {
    fn drop(&mut self) {
        let names: Vec<&str> = self.made.iter().map(String::as_str).collect();
        if let Err(e) = self.runtime.block_on(self.admin.delete_topics(&names, &AdminOptions::new())) {
            eprintln!("the topics {names:?} are left on the broker: {e}");
        }
    }
}

/// A consumer of all partitions from their beginning, and how many messages they hold.
fn consumer(brokers: &str, topics: &[&str], partitions: i32) -> (BaseConsumer, u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    let mut events = 0;
    for topic in topics {
        for p in 0..partitions {
            let (_, high) = consumer.fetch_watermarks(topic, p, WAIT).expect("watermarks");
            events += u64::try_from(high).unwrap_or(0);
            list.add_partition_offset(topic, p, Offset::Beginning).expect("an offset");
        }
    }
    consumer.assign(&list).expect("an assignment");
    (consumer, events)
}

/// How many messages topics hold.
pub fn messages(brokers: &str, topics: &[&str]) -> u64 {
    consumer(brokers, topics, PARTITIONS).1
}

/// The argument that makes this program the bare consumer.
pub const BARE: &str = "--bare-consumer";

/// The bare consumer, in a process of its own: takes every message and drops it.
pub fn bare_consumer(brokers: &str, topics: &[&str]) {
    let (consumer, events) = consumer(brokers, topics, PARTITIONS);
    let mut bytes = 0;
    let mut first = None;
    for _ in 0..events {
        let message = consumer.poll(WAIT).expect("a message").expect("a message");
        first.get_or_insert_with(Instant::now);
        bytes += message.payload().map_or(0, <[u8]>::len);
    }
    let seconds = first.expect("messages").elapsed().as_secs_f64();
    println!("{}", json!({"events": events, "bytes": bytes, "seconds": seconds}));
    // librdkafka's threads take their time to end.
    std::process::exit(0)
}

/// One run of the bare consumer.
pub fn bare(brokers: &str, topics: &[&str], events: u64) -> Sample {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let (sample, said) = process::run(command.arg(BARE).arg(brokers).args(topics));
    let said: serde_json::Value = serde_json::from_str(&said).expect("the bare consumer's result");
    assert_eq!(said["events"].as_u64(), Some(events), "the bare consumer takes every message");
    Sample { after_start: said["seconds"].as_f64(), ..sample }
}
