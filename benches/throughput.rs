//! Whole processes side by side in one run: replay of files, the daemon from a real Kafka, and a bare librdkafka consumer
//! that drops the same messages. Contenders take turns; medians are shown. Needs `DRIFTGATE_BENCH_KAFKA=host:port`.
//!
//! `DRIFTGATE_BENCH_ROUNDS` sets the rounds (5); `DRIFTGATE_BENCH_OUT` a file that the table is written to.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_push_string,
    reason = "a bench may fail loudly"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const BINARY: &str = env!("CARGO_BIN_EXE_driftgate");
const PARTITIONS: i32 = 4;

/// One measurement: events, seconds, and the most memory resident (MiB).
#[derive(Clone, Copy)]
struct Measured {
    events: u64,
    seconds: f64,
    resident: f64,
}

fn main() {
    // `cargo test` runs benches too, with --test; there is nothing to check then.
    if std::env::args().any(|a| a == "--test") {
        return;
    }
    let Ok(brokers) = std::env::var("DRIFTGATE_BENCH_KAFKA") else {
        println!("throughput: no DRIFTGATE_BENCH_KAFKA, so nothing is measured; `make bench` starts a Kafka");
        return;
    };
    let rounds = std::env::var("DRIFTGATE_BENCH_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(5);
    let flights = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (predictions, labels) = (make_topic(&brokers, "bench-predictions"), make_topic(&brokers, "bench-labels"));
    for (topic, file, kind) in
        [(&predictions, "predictions.parquet", "predictions"), (&labels, "labels.parquet", "labels")]
    {
        let done = Command::new(BINARY)
            .args(["load", "--brokers", &brokers, "--topic", topic, "--kind", kind, "--policy"])
            .arg(flights.join("policy.yaml"))
            .arg("--file")
            .arg(flights.join(file))
            .stdout(Stdio::null())
            .status();
        assert!(done.expect("driftgate load runs").success(), "the flights are published");
    }
    let topics = [predictions, labels];
    // The messages as a file of JSON lines, in the order of event time.
    let jsonl = scratch.path().join("predictions.jsonl");
    dump(&brokers, &topics[0], &jsonl);
    let events = bare(&brokers, &topics).events;

    let mut results: BTreeMap<usize, (&str, Vec<Measured>)> = BTreeMap::new();
    for round in 0..rounds {
        let contenders: [(&str, &dyn Fn() -> Measured); 4] = [
            ("a bare librdkafka consumer that drops the messages", &|| bare(&brokers, &topics)),
            ("`driftgate run` on the same topics, to the last event", &|| {
                daemon(&brokers, &topics, &flights, scratch.path(), events)
            }),
            ("`driftgate replay`, Parquet", &|| replay(&flights, &flights.join("predictions.parquet"), events)),
            ("`driftgate replay`, JSON lines", &|| replay(&flights, &jsonl, events)),
        ];
        for (at, (name, measure)) in contenders.into_iter().enumerate() {
            let m = measure();
            eprintln!("round {}: {name}: {:.2} s", round + 1, m.seconds);
            results.entry(at).or_insert((name, Vec::new())).1.push(m);
        }
    }
    let table = table(&results);
    println!("{table}");
    if let Ok(out) = std::env::var("DRIFTGATE_BENCH_OUT") {
        std::fs::write(&out, table).expect("the table is written");
    }
}

fn table(results: &BTreeMap<usize, (&str, Vec<Measured>)>) -> String {
    let median = |ms: &[Measured]| {
        let mut ms = ms.to_vec();
        ms.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        ms[ms.len() / 2]
    };
    #[allow(clippy::cast_precision_loss)]
    let rate = |m: Measured| m.events as f64 / m.seconds;
    let base = results.get(&0).map_or(1.0, |(_, ms)| rate(median(ms)));
    let mut out =
        String::from("| | events | seconds | events/s | of the bare consumer | memory |\n|---|---|---|---|---|---|\n");
    for (name, ms) in results.values() {
        let m = median(ms);
        out += &format!(
            "| {name} | {} | {:.2} | {:.0} | {:.0}% | {:.0} MiB |\n",
            m.events,
            m.seconds,
            rate(m),
            100.0 * rate(m) / base,
            m.resident
        );
    }
    out
}

fn make_topic(brokers: &str, name: &str) -> String {
    let unique = format!("{name}-{}", std::process::id());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let new = NewTopic::new(&unique, PARTITIONS, TopicReplication::Fixed(1));
    let made = runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).expect("the broker answers");
    made.into_iter().for_each(|t| drop(t.expect("a topic")));
    unique
}

fn consumer(brokers: &str, topics: &[String]) -> (BaseConsumer, u64) {
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
        for p in 0..PARTITIONS {
            let (_, high) = consumer.fetch_watermarks(topic, p, Duration::from_secs(10)).expect("watermarks");
            events += u64::try_from(high).unwrap_or(0);
            list.add_partition_offset(topic, p, Offset::Beginning).expect("an offset");
        }
    }
    consumer.assign(&list).expect("an assignment");
    (consumer, events)
}

fn bare(brokers: &str, topics: &[String]) -> Measured {
    let begun = Instant::now();
    let (consumer, events) = consumer(brokers, topics);
    let mut bytes = 0;
    for _ in 0..events {
        let message = consumer.poll(Duration::from_secs(30)).expect("a message").expect("a message");
        bytes += message.payload().map_or(0, <[u8]>::len);
    }
    assert!(bytes > 0);
    Measured { events, seconds: begun.elapsed().as_secs_f64(), resident: resident("self").unwrap_or(0.0) }
}

/// Writes a topic's messages as lines, sorted by their time.
fn dump(brokers: &str, topic: &String, path: &Path) {
    let (consumer, events) = consumer(brokers, std::slice::from_ref(topic));
    let mut lines: Vec<(i64, String)> = Vec::new();
    for _ in 0..events {
        let message = consumer.poll(Duration::from_secs(30)).expect("a message").expect("a message");
        let text = String::from_utf8(message.payload().unwrap_or(&[]).to_vec()).expect("JSON");
        let event: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        lines.push((event["ts"].as_i64().expect("a time"), text));
    }
    lines.sort();
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("a file"));
    lines.iter().for_each(|(_, text)| writeln!(file, "{text}").expect("a line"));
}

/// The most memory a process has had, in MiB.
fn resident(process: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// Waits for the end of a child; its memory is read meanwhile.
fn watch(child: &mut Child) -> f64 {
    let mut most = 0.0;
    while child.try_wait().expect("a child").is_none() {
        most = resident(&child.id().to_string()).unwrap_or(0.0).max(most);
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

fn replay(flights: &Path, predictions: &Path, events: u64) -> Measured {
    let begun = Instant::now();
    let mut child = Command::new(BINARY)
        .args(["replay", "--json", "--policy"])
        .arg(flights.join("policy.yaml"))
        .arg("--predictions")
        .arg(predictions)
        .arg("--labels")
        .arg(flights.join("labels.parquet"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("driftgate replay runs");
    let resident = watch(&mut child);
    assert!(child.wait().expect("a child").success());
    Measured { events, seconds: begun.elapsed().as_secs_f64(), resident }
}

fn daemon(brokers: &str, topics: &[String; 2], flights: &Path, scratch: &Path, events: u64) -> Measured {
    let state = tempfile::tempdir_in(scratch).expect("a folder");
    let config = state.path().join("driftgate.yaml");
    let [predictions, labels] = topics;
    let text = format!(
        "policies: [\"{}\"]\nkafka: {{brokers: \"{brokers}\", group: bench-daemon}}\nsources:\n- {{topic: {predictions}, kind: predictions, format: json}}\n- {{topic: {labels}, kind: labels, format: json}}\nregistry: {{embedded: {{path: registry.db}}}}\nstate: {{path: state}}\nhttp: {{listen: \"127.0.0.1:0\"}}\n",
        flights.join("policy.yaml").display()
    );
    std::fs::write(&config, text).expect("a configuration");
    let begun = Instant::now();
    let mut child = Command::new(BINARY)
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .expect("driftgate run runs");
    let mut log = BufReader::new(child.stderr.take().expect("a log")).lines().map_while(Result::ok);
    let address = log
        .find_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok()?["address"].as_str().map(str::to_owned))
        .expect("an address");
    std::thread::spawn(move || log.for_each(drop));
    let url = format!("http://{address}/metrics");
    // The picture is renewed twice a second: the end is seen up to half a second late, which counts against us.
    let done = || {
        let text = reqwest::blocking::get(&url).ok()?.text().ok()?;
        let count = |l: &str| l.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        #[allow(clippy::cast_precision_loss)]
        let all =
            text.lines().filter(|l| l.starts_with("driftgate_events_total{")).map(count).sum::<f64>() >= events as f64;
        all.then_some(())
    };
    while done().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(300), "the daemon reads all events");
        std::thread::sleep(Duration::from_millis(10));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let resident = resident(&child.id().to_string()).unwrap_or(0.0);
    child.kill().expect("a child");
    child.wait().expect("a child");
    Measured { events, seconds, resident }
}
