//! Events of several models from a seed: topics shared by two models and own ones, versions that come later, two versions that score one request,
//! drift that comes and goes; published late, out of order and twice within the lateness; a partition that is never used, and one
//! event far ahead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::support::{Folder, Random};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Of each topic of events; the last one is never used.
pub const PARTITIONS: i32 = 12;
/// Event time goes so much faster than the clock while events are published.
const PACE: i64 = 240;
/// So much is published at once, in event time.
const TICK: i64 = 200 * PACE;
/// An event is published up to so much after its time, and once more so much after that where it is published twice.
const JITTER: i64 = 50_000;
/// A label is up to so much earlier than its prediction. With the jitter it is less than the lateness.
const EARLY: i64 = 15_000;
/// Predictions of a model in a second of the clock.
const EACH: i64 = 60;

/// Name and topics of predictions and labels: two models have topics of their own, two share theirs.
pub const MODELS: [(&str, &str, &str); 4] = [
    ("shop", "shop-p", "shop-l"),
    ("risk", "both-p", "both-l"),
    ("fraud", "both-p", "both-l"),
    ("loan", "loan-p", "loan-l"),
];
/// The model that predicts numbers; the others decide.
const OF_NUMBERS: &str = "loan";
/// Each with its kind.
pub const TOPICS: [(&str, &str); 6] = [
    ("shop-p", "predictions"),
    ("shop-l", "labels"),
    ("both-p", "predictions"),
    ("both-l", "labels"),
    ("loan-p", "predictions"),
    ("loan-l", "labels"),
];
/// The units that these make, in the order of their slots; the ledger's is before them.
pub const UNITS: [&str; 3] = ["fraud", "loan", "shop"];

const POLICY: &str = r#"apiVersion: driftgate/v1
model: MODEL
baseline: {snapshot: "train_v{version}.csv", columns: {score: score, label: label}}
features: {numeric: [amount, items], categorical: [country]}
score: {threshold: 0.5}
segments: [country]
labels: {horizon: 30m, attribute: label_time, lateness: 3m}
lateness: 2m
min_samples: 50
checks:
  drift:
    window: {size: 20m, slide: 10m}
    rules:
    - psi: {of: features, lt: 0.2, warn: 0.1}
    - ks_p: {of: [amount, score], gte: 0.001}
    - missing_rate: {of: features, max_increase: 0.1}
  fairness:
    window: {size: 30m, slide: 15m}
    rules:
    - tpr_gap: {by: country, lt: 0.4, min_positives: 20}
"#;

/// Nobody sends events of this model: it is for people.
pub const PAPER: &str = "\
apiVersion: driftgate/v1
model: paper
features: {numeric: [x], categorical: []}
min_samples: 20
checks: {errors: {window: {size: 1h, slide: 1h}, rules: [{error_rate: {lt: 0.01, unit: fraction}}]}}
transitions:
- {from: dev, to: staging, evidence: [code_commit], approvals: {roles: {owner: 1}}}
";

/// What is published of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event time at which it is published.
    pub at: i64,
    pub topic: &'static str,
    pub partition: i32,
    pub model: &'static str,
    pub id: String,
    pub payload: String,
}

/// All events in the order in which they are published.
pub struct Stream {
    pub events: Vec<Event>,
    start: i64,
}

/// Draws a number below `n`.
fn below(random: &mut Random, n: i64) -> i64 {
    i64::try_from(random.below(n.unsigned_abs())).unwrap()
}

fn partition(id: &str, salt: u8) -> i32 {
    let sum = id.bytes().fold(salt, |sum, b| sum.wrapping_mul(31).wrapping_add(b));
    i32::from(sum) % (PARTITIONS - 1)
}

/// The training data of a version.
fn snapshot(seed: u64) -> String {
    let random = &mut Random(seed);
    let mut text = "amount,items,country,score,label\n".to_owned();
    for i in 0..2000 {
        let (amount, country) = (below(random, 10_000) + below(random, 10_000), below(random, 3));
        let (items, score) = (below(random, 9), below(random, 1000));
        let country = ["de", "fr", "it"][usize::try_from(country).unwrap()];
        text += &format!("{},{items},{country},{},{}\n", amount as f64 / 100.0, score as f64 / 1000.0, i % 2);
    }
    text
}

/// The policy of a model whose labels, 0 and 1, are taken for numbers.
fn of_numbers() -> String {
    let (before, _) = POLICY.split_once("  fairness:").unwrap();
    let errors = "    - wasserstein: {of: [amount, score], lt: 0.5}\n  errors:\n    window: {size: 30m, slide: 15m}\n    rules:\n    - mae: {lt: 0.6}\n    \
                  - gap: {of: mae, by: country, lt: 0.05, min_positives: 20}\n    - gap: {id: grown, of: rmse, by: country, max_increase: 0.02, min_positives: 20}\n    \
                  - psi: {of: label, lt: 0.3, budget: 1/month}\n";
    format!("{before}{errors}").replace("score: {threshold: 0.5}\n", "task: regression\n")
}

/// Writes the policies and their snapshots.
pub fn write_policies(folder: &Folder) {
    for (model, ..) in MODELS {
        let policy = if model == OF_NUMBERS { of_numbers() } else { POLICY.to_owned() };
        folder.write(&format!("{model}.yaml"), policy.replace("MODEL", model));
    }
    folder.write("paper.yaml", PAPER);
    for version in 1..=3 {
        folder.write(&format!("train_v{version}.csv"), snapshot(version));
    }
}

/// The events of one model.
struct Maker<'a> {
    random: &'a mut Random,
    model: &'static str,
    topics: (&'static str, &'static str),
    label_salt: u8,
    start: i64,
    length: i64,
    events: Vec<Event>,
}

impl Maker<'_> {
    fn put(&mut self, ts: i64, topic: &'static str, salt: u8, value: &Value) {
        let id = value["prediction_id"].as_str().unwrap().to_owned();
        let at = ts + below(self.random, JITTER);
        let partition = partition(&id, salt);
        let event = Event { at, topic, partition, model: self.model, id, payload: value.to_string() };
        // Some are sent twice.
        if self.random.below(100) < 2 {
            self.events.push(Event { at: at + below(self.random, JITTER), ..event.clone() });
        }
        self.events.push(event);
    }

    /// The versions that score a request at a time: the second comes after a third, the third after two thirds.
    fn versions(&mut self, since: i64) -> Vec<&'static str> {
        let part = since * 3 / self.length;
        match (part, self.random.below(100)) {
            (1, 0..20) | (2, 0..10) => vec!["2"],
            (1, 20..30) => vec!["1", "2"],
            (2, 10..40) => vec!["3"],
            _ => vec!["1"],
        }
    }

    fn predict(&mut self, i: i64, ts: i64) {
        let drifted = matches!((ts - self.start) * 12 / self.length, 3 | 4 | 8);
        let id = format!("{}-{i}", self.model);
        let random = &mut *self.random;
        let amount = (below(random, 10_000) + below(random, 10_000)) as f64 / 100.0 + if drifted { 80.0 } else { 0.0 };
        let amount = (random.below(100) >= if drifted { 25 } else { 4 }).then_some(amount);
        let score = below(random, 1000) as f64 / 1000.0;
        let country = ["de", "fr", "it"][usize::try_from(random.below(3)).unwrap()];
        let features = json!({"amount": amount, "items": below(random, 9), "country": country});
        for version in self.versions(ts - self.start) {
            let event = json!({"prediction_id": id, "model": self.model, "version": version, "ts": ts, "score": score,
                "stage": if version == "1" { "prod" } else { "staging" }, "features": features});
            self.put(ts, self.topics.0, 0, &event);
        }
        if self.random.below(100) < 90 {
            let ts = ts - EARLY + below(self.random, 12 * MINUTE);
            let paid = self.random.below(100) < if score >= 0.5 { 80 } else { 20 };
            let label = (self.random.below(100) >= 3).then_some(i64::from(paid));
            let event = json!({"prediction_id": id, "model": self.model, "ts": ts, "label": label});
            self.put(ts, self.topics.1, self.label_salt, &event);
        }
    }

    /// What is behind everything: in each used partition as many as it takes to be believed.
    fn end(&mut self) {
        let ts = self.start + self.length + 80 * HOUR;
        for (topic, is_label) in [(self.topics.0, false), (self.topics.1, true)] {
            for (partition, i) in (0..PARTITIONS - 1).flat_map(|p| (0..5).map(move |i| (p, i))) {
                let id = format!("{}-end-{partition}-{i}", self.model);
                let event = if is_label {
                    json!({"prediction_id": id, "model": self.model, "ts": ts, "label": 1})
                } else {
                    json!({"prediction_id": id, "model": self.model, "version": "1", "ts": ts, "score": 0.5, "stage": "prod", "features": {}})
                };
                let payload = event.to_string();
                self.events.push(Event { at: ts + i, topic, partition, model: self.model, id, payload });
            }
        }
    }
}

impl Stream {
    /// Events for about so many seconds of the clock.
    pub fn new(seed: u64, seconds: i64) -> Self {
        Self::partitioned(seed, seconds, 7)
    }

    /// The same with each id in the same partition of both topics, as processes that divide partitions need it.
    pub fn keyed(seed: u64, seconds: i64) -> Self {
        Self::partitioned(seed, seconds, 0)
    }

    fn partitioned(seed: u64, seconds: i64, label_salt: u8) -> Self {
        const { assert!(2 * JITTER + EARLY < 2 * MINUTE) };
        let random = &mut Random(seed);
        let length = seconds * 1000 * PACE;
        let now = crate::kafka::now_ms();
        let start = (now - length - 100 * HOUR) / HOUR * HOUR;
        let mut events = Vec::new();
        for (model, predictions, labels) in MODELS {
            let topics = (predictions, labels);
            let mut maker = Maker { random, model, topics, label_salt, start, length, events: Vec::new() };
            let n = seconds * EACH;
            for i in 0..n {
                maker.predict(i, start + i * length / n);
            }
            maker.end();
            events.append(&mut maker.events);
        }
        // A clock that is days ahead, in one partition.
        let ts = start + length + 40 * HOUR;
        let ahead = json!({"prediction_id": "ahead", "model": "shop", "version": "1", "ts": ts, "score": 0.5, "stage": "prod", "features": {"amount": 50.0}});
        let at = start + length / 2;
        events.push(Event {
            at,
            topic: "shop-p",
            partition: 4,
            model: "shop",
            id: "ahead".into(),
            payload: ahead.to_string(),
        });
        events.sort_by_key(|e| e.at);
        Self { events, start }
    }

    /// The first so many events.
    pub fn first(&self, n: usize) -> Self {
        Self { events: self.events[..n].to_vec(), start: self.start }
    }

    /// Those behind them.
    pub fn rest(&self, n: usize) -> Self {
        Self { events: self.events[n..].to_vec(), start: self.start }
    }

    /// The events of a model and a topic as a file.
    pub fn file(&self, model: &str, topic: &str) -> String {
        let of = self.events.iter().filter(|e| e.model == model && e.topic == topic);
        of.map(|e| e.payload.clone() + "\n").collect()
    }

    /// Records by topic and partition.
    pub fn records(&self) -> BTreeMap<(&'static str, i32), i64> {
        let mut of: BTreeMap<(&'static str, i32), i64> = BTreeMap::new();
        for (topic, _) in TOPICS {
            of.extend((0..PARTITIONS).map(|p| ((topic, p), 0)));
        }
        for event in &self.events {
            *of.entry((event.topic, event.partition)).or_default() += 1;
        }
        of
    }

    /// Predictions that count, by model and version: each (id, version) once.
    pub fn predictions(&self) -> BTreeMap<(String, String), u64> {
        let mut seen = std::collections::BTreeSet::new();
        let mut of = BTreeMap::new();
        for event in self.events.iter().filter(|e| e.topic.ends_with("-p")) {
            let value: Value = serde_json::from_str(&event.payload).unwrap();
            let version = value["version"].as_str().unwrap().to_owned();
            if seen.insert((event.model, event.id.clone(), version.clone())) {
                *of.entry((event.model.to_owned(), version)).or_default() += 1;
            }
        }
        of
    }

    /// Publishes everything, as fast as event time asks for; without a wait once `hurries` says so. What is before is acknowledged
    /// before the next is sent, so that no partition overtakes another one by more than a moment.
    pub fn publish(&self, brokers: &str, prefix: &str, hurries: &dyn Fn() -> bool) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "300000")
            .create()
            .unwrap();
        let begun = Instant::now();
        for tick in
            self.events.chunk_by(|a, b| (a.at - self.start).div_euclid(TICK) == (b.at - self.start).div_euclid(TICK))
        {
            let due = Duration::from_millis(((tick[0].at - self.start).max(0) / PACE).unsigned_abs());
            let is_end = tick[0].id.contains("-end-");
            while !is_end && begun.elapsed() < due && !hurries() {
                std::thread::sleep(Duration::from_millis(20));
            }
            for event in tick {
                let topic = format!("{prefix}{}", event.topic);
                let mut record =
                    BaseRecord::to(&topic).partition(event.partition).key(&event.id).payload(&event.payload);
                while let Err((_, back)) = producer.send(record) {
                    producer.poll(Duration::from_millis(20));
                    record = back;
                }
            }
            producer.flush(Duration::from_secs(300)).unwrap();
        }
    }
}

#[test]
fn a_seed_gives_one_stream_and_the_last_partition_has_nothing() {
    let (one, two) = (Stream::new(1, 20), Stream::new(1, 20));
    assert!(one.events == two.events || one.start != two.start);
    assert_ne!(Stream::new(2, 20).events.len(), one.events.len());
    let records = one.records();
    for (topic, _) in TOPICS {
        assert_eq!(records[&(topic, PARTITIONS - 1)], 0);
        assert!((0..PARTITIONS - 1).all(|p| records[&(topic, p)] > 20), "{records:?}");
    }
    let published = one.predictions();
    assert!(published.len() == 12 && published.values().all(|n| *n > 50), "{published:?}");
}
