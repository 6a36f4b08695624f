//! What the processes say together, held against a replay of the same events: verdicts byte for byte, positions, registries.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::stream::{MODELS, Stream};
use crate::support::Folder;

/// How long a broker may take to answer: beside builds and other tests one was seen to be silent for eleven seconds.
const WAIT: Duration = Duration::from_secs(60);

/// What a replay says: each verdict and signal as it is written, by id.
#[derive(Default)]
pub struct Expected {
    pub verdicts: BTreeMap<String, String>,
    pub signals: BTreeMap<String, String>,
}

fn id(line: &str, key: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value[key].as_str().unwrap().to_owned()
}

/// The complete verdicts, and the signals, of a replay of each model.
pub fn replayed(folder: &Folder, stream: &Stream) -> Expected {
    let mut expected = Expected::default();
    for (model, predictions, labels) in MODELS {
        folder.write(&format!("{model}-p.jsonl"), stream.file(model, predictions));
        folder.write(&format!("{model}-l.jsonl"), stream.file(model, labels));
        folder
            .driftgate(&format!(
                "replay --policy {model}.yaml --predictions {model}-p.jsonl --labels {model}-l.jsonl \
                 --verdicts {model}-verdicts.jsonl --signals {model}-signals.jsonl"
            ))
            .exits(0);
        for line in folder.read(&format!("{model}-verdicts.jsonl")).lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            if value["window"]["complete"] == true {
                expected.verdicts.insert(id(line, "verdict_id"), line.to_owned());
            }
        }
        for line in folder.read(&format!("{model}-signals.jsonl")).lines() {
            expected.signals.insert(id(line, "signal_id"), line.to_owned());
        }
    }
    expected
}

/// What differs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub missing: Vec<String>,
    /// Known by id, with another content.
    pub other: Vec<String>,
    /// No replay has it.
    pub unknown: Vec<String>,
    /// Said again with the same content, which is allowed.
    pub repeated: usize,
}

impl Difference {
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.other.is_empty() && self.unknown.is_empty()
    }

    /// A few words on each kind of difference.
    pub fn told(&self, of: usize) -> String {
        let mut text = String::new();
        for (what, list) in
            [("missing", &self.missing), ("of another content", &self.other), ("unknown", &self.unknown)]
        {
            if let Some(first) = list.first() {
                let _ = writeln!(text, "{} of {of} are {what}, such as {first}", list.len());
            }
        }
        text
    }
}

/// A signal without what became of it, which a replay cannot know.
fn without_outcome(line: &str) -> Cow<'_, str> {
    line.rfind(",\"outcome\":").map_or(Cow::Borrowed(line), |at| Cow::Owned(line[..at].to_owned() + "}"))
}

/// Compares records of a topic with lines of a replay; `key` names what identifies them.
pub fn compare(expected: &BTreeMap<String, String>, found: &[String], key: &str) -> Difference {
    let mut difference = Difference::default();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for line in found {
        let id = id(line, key);
        let Some(known) = expected.get(&id) else {
            difference.unknown.push(line.clone());
            continue;
        };
        let before = seen.insert(id, line);
        if known != without_outcome(line).as_ref() {
            difference.other.push(format!("{line}\n  instead of\n{known}"));
        } else if before.is_some_and(|before| before != line) {
            difference.other.push(format!("{line}\n  and before\n{}", before.unwrap_or_default()));
        } else if before.is_some() {
            difference.repeated += 1;
        }
    }
    difference.missing =
        expected.iter().filter(|(id, _)| !seen.contains_key(*id)).map(|(_, line)| line.clone()).collect();
    difference
}

/// Everything that is committed in a topic now, in the order of each partition.
pub fn read_committed(brokers: &str, topic: &str) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), WAIT).unwrap();
    let mut list = TopicPartitionList::new();
    let partitions = metadata.topics()[0].partitions();
    partitions.iter().for_each(|p| list.add_partition_offset(topic, p.id(), Offset::Beginning).unwrap());
    let mut open = partitions.len();
    consumer.assign(&list).unwrap();
    let mut out = Vec::new();
    while open > 0 {
        match consumer.poll(WAIT).expect("records up to the end") {
            Ok(message) => out.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap()),
            Err(KafkaError::PartitionEOF(_)) => open -= 1,
            Err(e) => panic!("{topic}: {e}"),
        }
    }
    out
}

/// The first offset of a partition and the one after its last.
pub fn log_range(brokers: &str, topic: &str, partition: i32) -> (i64, i64) {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    consumer.fetch_watermarks(topic, partition, WAIT).unwrap()
}

/// What a state folder holds: the next offset by topic and partition, counted predictions by model and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub next: BTreeMap<(String, i64), i64>,
    pub predictions: BTreeMap<(String, String), u64>,
}

/// The last checkpoint in a state folder, if there is one that can be read.
pub fn kept(folder: &Folder, state: &str) -> Option<Kept> {
    let run = folder.driftgate(&format!("state show --state {state} --json"));
    let shown: Value = serde_json::from_str(&run.stdout).ok()?;
    let checkpoint = &shown["checkpoint"];
    let position =
        |p: &Value| Some(((p["topic"].as_str()?.to_owned(), p["partition"].as_i64()?), p["next_offset"].as_i64()?));
    let next = checkpoint["positions"].as_array()?.iter().filter_map(position).collect();
    let models = checkpoint["models"].as_array()?.iter();
    let counted = models.flat_map(|m| {
        let model = m["model"].as_str().unwrap().to_owned();
        let versions = m["versions"].as_object().unwrap().clone();
        versions.into_iter().map(move |(version, n)| ((model.clone(), version), n.as_u64().unwrap()))
    });
    Some(Kept { next, predictions: counted.filter(|(_, n)| *n > 0).collect() })
}

/// Positions that went back.
pub fn went_back(before: &Kept, after: &Kept) -> Vec<String> {
    let of = |(place, next): (&(String, i64), &i64)| {
        let now = after.next.get(place).copied().unwrap_or(-1);
        (now < *next).then(|| format!("{}/{} went from {next} to {now}", place.0, place.1))
    };
    before.next.iter().filter_map(of).collect()
}

/// Every row of every table, in order, as text.
pub fn tables(registry: &Path) -> BTreeMap<String, Vec<String>> {
    let connection =
        rusqlite::Connection::open_with_flags(registry, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    // One moment for all tables.
    connection.execute_batch("BEGIN").unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut names = connection.prepare(names).unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let read = |name: String| {
        let mut all = connection.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = all.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            Ok((0..columns).map(|i| text(row.get_ref(i).unwrap())).collect::<Vec<_>>().join("|"))
        };
        let mut rows: Vec<String> = all.query_map([], row).unwrap().map(Result::unwrap).collect();
        rows.sort_unstable();
        (name, rows)
    };
    names.into_iter().map(read).collect()
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(x) => x.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => format!("{bytes:x?}"),
    }
}

/// Where two registries differ: a line per table.
pub fn tables_differ(one: &BTreeMap<String, Vec<String>>, two: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    let of = |name: &String| {
        let none = Vec::new();
        let (a, b) = (one.get(name).unwrap_or(&none), two.get(name).unwrap_or(&none));
        let only =
            |of: &Vec<String>, other: &Vec<String>| of.iter().find(|row| other.binary_search(row).is_err()).cloned();
        let known = one.contains_key(name) && two.contains_key(name);
        (a != b || !known).then(|| {
            let (left, right) = (only(a, b).unwrap_or_default(), only(b, a).unwrap_or_default());
            format!("{name}: {} and {} rows; only here {left:?}, only there {right:?}", a.len(), b.len())
        })
    };
    names.into_iter().filter_map(of).collect()
}
