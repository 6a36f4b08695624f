//! Fuzzing on stable Rust: kept inputs, and mutations of them from a seed, through every reader of foreign bytes. A target
//! fails when it panics, takes too long, or lets a number out that is not finite. `make fuzz` runs it for longer; what fails
//! is written to `target/fuzz` and, once mended, kept in `corpus`.
//!
//! `DRIFTGATE_FUZZ_SECONDS` (2): how long each target runs. `DRIFTGATE_FUZZ_SEED` (1): where its mutations start.

mod inference;
mod messages;
mod mutate;
mod parts;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use driftgate_core::kserve::Logged;
use mutate::Mutator;
use targets::Target;

/// A single input never takes longer.
const MOST: Duration = Duration::from_secs(20);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Writes an input down and says where.
fn keep(target: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{target}-{}", driftgate_core::codec::hash::sha256_hex(input).get(..12).unwrap()));
    fs::write(&file, input).unwrap();
    file
}

/// Ends the process where one input takes too long, after writing it down.
struct Watch<'a> {
    target: &'a str,
    at: Mutex<Option<(Instant, Vec<u8>)>>,
    done: AtomicBool,
}

impl Watch<'_> {
    fn run(&self) {
        while !self.done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            if let Some((since, input)) = &*self.at.lock().unwrap()
                && since.elapsed() > MOST
            {
                let file = keep(self.target, input);
                eprintln!("fuzz: {} takes longer than {MOST:?}: {}", self.target, file.display());
                std::process::abort();
            }
        }
    }
}

/// Runs a target over its corpus, then over mutations until the time is up; returns how many inputs it saw.
fn fuzz<T: Target>(name: &str, target: &T) -> u64 {
    let mut seeds = corpus(name);
    seeds.extend(target.seeds());
    assert!(!seeds.is_empty(), "{name} has no corpus");
    let watch = Watch { target: name, at: Mutex::new(None), done: AtomicBool::new(false) };
    let mut tried = 0;
    std::thread::scope(|threads| {
        threads.spawn(|| watch.run());
        let mut accepted = 0_u64;
        let mut one = |input: &[u8]| {
            *watch.at.lock().unwrap() = Some((Instant::now(), input.to_vec()));
            let done = catch_unwind(AssertUnwindSafe(|| target.take(input)));
            *watch.at.lock().unwrap() = None;
            tried += 1;
            let Ok(was) = done else {
                let file = keep(name, input);
                watch.done.store(true, Ordering::Relaxed);
                panic!("{name} fails on {}", file.display());
            };
            accepted += u64::from(was);
        };
        seeds.iter().for_each(|seed| one(seed));
        let mut mutator = Mutator::new(setting("DRIFTGATE_FUZZ_SEED", 1), seeds.clone());
        let end = Instant::now() + Duration::from_secs(setting("DRIFTGATE_FUZZ_SECONDS", 2));
        while Instant::now() < end {
            one(&mutator.next());
        }
        watch.done.store(true, Ordering::Relaxed);
        // A corpus of which nothing is taken would test the first check alone.
        assert!(accepted > 0, "{name} takes none of its inputs");
    });
    tried
}

macro_rules! targets {
    ($($name:ident: $target:expr;)*) => {
        $(#[test]
        fn $name() {
            let tried = fuzz(stringify!($name), &$target);
            assert!(tried > 20, "only {tried} inputs were tried");
        })*
    };
}

targets! {
    events_json: targets::Events::new("p.jsonl");
    events_avro: messages::AvroMessages;
    events_protobuf: messages::ProtobufMessages;
    events_cloudevents: messages::CloudEvents;
    events_kserve: inference::Inference::new("p.jsonl", Logged::Kserve);
    events_oip: inference::Inference::new("p.jsonl", Logged::Oip { time: Some(vec!["parameters".into(), "time".into()]) });
    events_seldon: inference::SeldonMessages;
    events_sagemaker: inference::Inference::new("p.jsonl", Logged::SageMaker);
    labels_ground_truth: inference::LoggedLabels::new(Logged::GroundTruth);
    events_seldon_logger: inference::Inference::new("p.jsonl", Logged::SeldonLogger);
    labels_seldon_feedback: inference::LoggedLabels::new(Logged::SeldonFeedback);
    events_databricks: inference::Inference::new("p.jsonl", Logged::Databricks);
    events_databricks_table: inference::Inference::new("p.parquet", Logged::Databricks);
    paths: inference::Paths::new();
    events_avro_file: targets::Events::new("p.avro");
    events_csv: targets::Events::new("p.csv");
    events_parquet: targets::Events::new("p.parquet");
    labels_json: targets::Labels::new();
    snapshot_csv: targets::Snapshot::new("train.csv");
    snapshot_parquet: targets::Snapshot::new("train.parquet");
    policy: targets::PolicyText;
    configuration: targets::ConfigurationText;
    checkpoint: targets::CheckpointFile::new();
    baseline: targets::BaselineFile::new();
    http: targets::Http::new();
    parts: parts::Parts::new();
}
