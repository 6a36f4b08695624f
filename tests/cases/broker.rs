//! A real Kafka for the tests: topics, records, and a daemon that runs as an operator would run it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

/// No wait in these tests is longer.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// The broker that the test script started.
pub fn brokers() -> String {
    std::env::var("DRIFTGATE_TEST_KAFKA")
        .expect("these tests need a Kafka: run `make test`, or set DRIFTGATE_TEST_KAFKA=host:port")
}

/// Waits until `done` gives something; panics with what was waited for after the deadline. It asks the less often the longer it waits and the longer an
/// answer takes: a program that is started anew for each takes a core from the tests beside.
pub fn wait_for<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, what, done)
}

/// The same with a deadline of the test's own.
pub fn wait_within<T>(deadline: Duration, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        let asked = Instant::now();
        if let Some(found) = done() {
            return found;
        }
        assert!(since.elapsed() < deadline, "waited {} s for {what}", deadline.as_secs());
        let pause = (since.elapsed() / 20).max(asked.elapsed() * 5);
        std::thread::sleep(pause.clamp(Duration::from_millis(20), Duration::from_millis(400)));
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap()
}

/// A topic name nobody else uses, made with so many partitions.
pub fn topic(name: &str, partitions: i32) -> String {
    let unique = format!("{name}-{}-{:x}", std::process::id(), std::ptr::from_ref(&name).addr());
    make_topic(&unique, partitions, &[]);
    unique
}

/// Makes a topic of this name with these settings.
pub fn make_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let mut new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    let made = block_on(admin().create_topics([&new], &AdminOptions::new())).unwrap();
    made.into_iter().for_each(|t| drop(t.unwrap()));
}

/// Deletes a topic, and waits until it is gone.
pub fn delete_topic(name: &str) {
    let gone = block_on(admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
    gone.into_iter().for_each(|t| drop(t.unwrap()));
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    wait_for("the topic to be gone", || {
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
        metadata.topics().iter().all(|t| t.name() != name).then_some(())
    });
}

/// Makes a topic of this very name with one partition, anew where there is one.
pub fn renew(name: &str) {
    block_on(admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
    wait_for("the topic", || {
        let new = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let made = block_on(admin().create_topics([&new], &AdminOptions::new())).unwrap();
        made.into_iter().all(|t| t.is_ok()).then_some(())
    });
}

/// Deletes the records of a partition before an offset.
pub fn delete_before(topic: &str, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    block_on(admin().delete_records(&list, &AdminOptions::new())).unwrap();
}

/// Publishes records in order: (partition, key, payload).
pub fn publish(topic: &str, records: impl IntoIterator<Item = (i32, String, Vec<u8>)>) {
    publish_to(&brokers(), topic, records);
}

/// The same to a broker of the test's own.
pub fn publish_to(brokers: &str, topic: &str, records: impl IntoIterator<Item = (i32, String, Vec<u8>)>) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("message.max.bytes", "100000000").create().unwrap();
    for (partition, key, payload) in records {
        let mut record = BaseRecord::to(topic).partition(partition).key(&key).payload(&payload);
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(20));
            record = back;
        }
    }
    // A broker that hung takes a while to lead again.
    producer.flush(Duration::from_secs(120)).unwrap();
}

/// Publishes records in one transaction, which is then committed or aborted.
pub fn publish_in_transaction(topic: &str, records: impl IntoIterator<Item = (i32, String, Vec<u8>)>, commit: bool) {
    let wait = Duration::from_secs(30);
    let producer = open_transaction(topic, records);
    if commit { producer.commit_transaction(wait).unwrap() } else { producer.abort_transaction(wait).unwrap() }
}

/// Publishes records in a transaction that stays open.
pub fn open_transaction(topic: &str, records: impl IntoIterator<Item = (i32, String, Vec<u8>)>) -> BaseProducer {
    let wait = Duration::from_secs(30);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("transactional.id", format!("{topic}-writer"))
        .create()
        .unwrap();
    producer.init_transactions(wait).unwrap();
    producer.begin_transaction().unwrap();
    for (partition, key, payload) in records {
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&payload);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(wait).unwrap();
    producer
}

/// The first offset of a partition and the one after its last, markers included.
pub fn log_range(topic: &str, partition: i32) -> (i64, i64) {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    consumer.fetch_watermarks(topic, partition, Duration::from_secs(10)).unwrap()
}

/// Everything that is in a topic now, as JSON, by partition.
pub fn read(topic: &str) -> Vec<Value> {
    read_from(&brokers(), topic)
}

/// The same from a broker of the test's own.
pub fn read_from(brokers: &str, topic: &str) -> Vec<Value> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let mut list = TopicPartitionList::new();
    let mut ends = Vec::new();
    for p in metadata.topics()[0].partitions() {
        let (low, high) = consumer.fetch_watermarks(topic, p.id(), Duration::from_secs(10)).unwrap();
        list.add_partition_offset(topic, p.id(), Offset::Offset(low)).unwrap();
        if high > low {
            ends.push((p.id(), high));
        }
    }
    consumer.assign(&list).unwrap();
    let mut out = Vec::new();
    while !ends.is_empty() {
        let message = consumer.poll(Duration::from_secs(30)).expect("records up to the end").unwrap();
        out.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
        ends.retain(|(p, high)| *p != message.partition() || message.offset() + 1 < *high);
    }
    out
}

/// The offset that a group has committed.
pub fn committed(group: &str, topic: &str, partition: i32) -> i64 {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers()).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let found = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
    match found.elements()[0].offset() {
        Offset::Offset(o) => o,
        _ => 0,
    }
}

/// A daemon and what it logs.
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    pub url: String,
    config: PathBuf,
}

impl Daemon {
    /// Starts `driftgate run` on a configuration that listens on port 0.
    pub fn start(config: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_with(config, environment, &[])
    }

    /// The same with more arguments.
    pub fn start_with(config: &Path, environment: &[(&str, &str)], more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driftgate"));
        command.args(["run", "--config"]).arg(config).args(more).envs(environment.iter().copied());
        Self::run(command, config)
    }

    /// The same under a limit of the shell, as `ulimit` takes it.
    pub fn start_limited(config: &Path, limit: &str) -> Self {
        let mut command = Command::new("bash");
        let script = format!("ulimit {limit}; exec \"$@\"");
        command.args(["-c", &script, "limited", env!("CARGO_BIN_EXE_driftgate"), "run", "--config"]).arg(config);
        Self::run(command, config)
    }

    fn run(mut command: Command, config: &Path) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut daemon = Self { child, log, url: String::new(), config: config.to_owned() };
        let address = wait_for("the daemon's address", || {
            let log = daemon.log();
            let line = log.lines().find(|l| l.contains("\"message\":\"http\""))?;
            let line: Value = serde_json::from_str(line).ok()?;
            Some(line["address"].as_str()?.to_owned())
        });
        daemon.url = format!("http://{address}");
        daemon
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn is_gone(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The exit code of one that ends by itself.
    pub fn stop_code(&mut self) -> Option<i32> {
        wait_for("the daemon's end", || self.child.try_wait().unwrap()).code()
    }

    /// The body of a GET, if somebody answers.
    pub fn try_get(&self, path: &str) -> Option<String> {
        reqwest::blocking::get(format!("{}{path}", self.url)).ok()?.text().ok()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::blocking::get(format!("{}{path}", self.url)).unwrap();
        (answer.status().as_u16(), answer.text().unwrap())
    }

    /// The value of a metric's series, by the start of its line.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics");
        text.lines().find(|l| l.starts_with(series)).and_then(|l| l.rsplit(' ').next()?.parse().ok())
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// SIGTERM, and the exit code. Whatever it lived through, its registry follows from its audit log.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        let code = wait_for("the daemon's end", || self.child.try_wait().unwrap());
        let verify = ["audit", "verify", "--no-anchors", "--json", "--config"];
        let verified = Command::new(env!("CARGO_BIN_EXE_driftgate")).args(verify).arg(&self.config).output().unwrap();
        let said: Value = serde_json::from_slice(&verified.stdout).unwrap_or_default();
        let unheld = |p: &&Value| p["problem"] == "mismatch" || p["problem"] == "no_log";
        let unheld: Vec<&Value> = said["problems"].as_array().into_iter().flatten().filter(unheld).collect();
        assert!(unheld.is_empty(), "{unheld:?}");
        code.code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
        // Already gone in the good case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the shipped flights lie.
pub fn flights() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights")
}
