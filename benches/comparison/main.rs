//! driftgate beside other tools, in one run on one machine: from a real Kafka, from files, and alone where it has
//! targets of its own. Writes a table, a picture and the raw numbers. `benches/run.sh` sets it up; what it is told is in
//! `settings`. Any disagreement between contenders about a result fails the run, a target that is missed does not.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a bench may fail loudly"
)]

mod agreement;
mod allocations;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../../tests/support/counting.rs"]
mod counting;
mod estimates;
mod feed;
mod files;
mod growth;
mod headlines;
mod long;
#[path = "../../tests/support/long_stream.rs"]
mod long_stream;
mod machine;
mod pending;
mod picture;
mod process;
mod results;
mod settings;
mod start;
mod stream;
mod table;
mod topics;
mod windows;

use std::path::{Path, PathBuf};

use machine::Machine;
use results::Part;
use settings::Settings;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Where docs/benchmarks.md finds the picture.
const PICTURE: &str = "../benches/results.svg";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, brokers, topics @ ..] = arguments.as_slice()
        && first == topics::BARE
    {
        topics::bare_consumer(brokers, &topics.iter().map(String::as_str).collect::<Vec<_>>());
        return;
    }
    // `cargo test` runs benches too, with --test; there is nothing to check then.
    if arguments.iter().any(|a| a == "--test") {
        return;
    }
    let Some(settings) = Settings::from_environment() else {
        println!("comparison: nothing is set up, so nothing is measured; run `make bench`");
        return;
    };
    let parts = run(&settings);
    let machine = Machine::read(&settings.python);
    let picture = picture::draw(&parts, &machine);
    let section =
        table::section(&parts, &machine, (settings.rounds, settings.quick_rounds()), picture.as_ref().map(|_| PICTURE));
    println!("{section}");
    let write = |name: &str, text: &str| std::fs::write(settings.out.join(name), text).expect("the results");
    write("section.md", &section);
    if let Some(picture) = picture {
        write("results.svg", &picture);
    }
    let raw: Vec<_> = parts.iter().map(Part::to_json).collect();
    write("results.json", &serde_json::to_string_pretty(&raw).expect("JSON"));
    if settings.wants_all() {
        write("headlines.md", &headlines::table(&parts, &machine));
    }
}

fn run(settings: &Settings) -> Vec<Part> {
    let mut parts = Vec::new();
    let broker = |part: &str| {
        let wanted = settings.wants(part);
        if wanted && settings.kafka.is_none() {
            eprintln!("comparison: {part} is left out: no DRIFTGATE_BENCH_KAFKA");
        }
        settings.kafka.as_deref().filter(|_| wanted)
    };
    if let Some(brokers) = broker("kafka") {
        parts.push(stream::run(settings, brokers));
    }
    if let Some(brokers) = broker("start") {
        parts.push(start::run(settings, brokers));
    }
    settings.stop_kafka();
    if settings.wants("files") {
        parts.push(files::run(settings));
    }
    if settings.wants("files") || settings.wants("agreement") {
        parts.push(agreement::run(settings));
    }
    let criterion = criterion();
    let groups = [
        ("decode", "Decoding", "Events decoded and counted from memory on one core (criterion)."),
        ("join", "Label join", "Predictions entered and labels matched on one core (criterion)."),
        (
            "checkpoint",
            "Checkpoint",
            "The state of a model of 100 features, with 576,000 predictions waiting for labels and an hour of panes, written to the disk for the first time, and again after five more minutes (24,000 events); criterion.",
        ),
    ];
    for (group, title, about) in groups {
        if settings.wants(group) {
            parts.extend(estimates::part(&criterion, group, title, about));
        }
    }
    if settings.wants("join") {
        parts.push(pending::run());
    }
    if settings.wants("allocations") {
        parts.push(allocations::run());
    }
    if settings.wants("windows") {
        parts.push(windows::run(settings.rounds));
    }
    if settings.wants("growth") {
        parts.push(growth::run(settings));
    }
    parts
}

/// Where criterion keeps its results.
fn criterion() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target")).join("criterion")
}
