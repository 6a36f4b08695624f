//! How long the daemon takes to be ready, with ten versions of a hundred features whose baselines it loads as it starts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use polars_core::prelude::{DataFrame, NamedFrom as _, Series};
use polars_io::prelude::ParquetWriter;

use crate::feed::{names, noise, policy_text};
use crate::process::{self, Daemon, Usage};
use crate::results::{Claim, Entry, Part, Sample, take_turns};
use crate::settings::{BINARY, Settings};
use crate::topics::{PARTITIONS, Topics};

const VERSIONS: usize = 10;
const FEATURES: usize = 100;
const SNAPSHOT_ROWS: usize = 100_000;
const TARGET: f64 = 2.0;
const LOOK: Duration = Duration::from_millis(5);

pub fn run(settings: &Settings, brokers: &str) -> Part {
    let folder = settings.scratch.path().join("start");
    std::fs::create_dir(&folder).expect("a folder");
    let policy = folder.join("policy.yaml");
    std::fs::write(&policy, policy_text(FEATURES)).expect("a policy");
    let snapshot = folder.join("train.parquet");
    write_snapshot(&snapshot);
    let mut topics = Topics::new(brokers);
    let topic = topics.make("start", PARTITIONS);
    let built = |version: usize| {
        let out = folder.join(format!("{version}.baseline"));
        let mut build = Command::new(BINARY);
        build.args(["baseline", "build", "--version", &version.to_string(), "--policy"]).arg(&policy);
        process::run(build.arg("--out").arg(&out).arg(&snapshot));
        out
    };
    let of_baselines = registered(&folder.join("baselines"), brokers, &topic, &policy, built);
    let of_snapshots = registered(&folder.join("snapshots"), brokers, &topic, &policy, |_| snapshot.clone());
    let rounds = settings.rounds;
    let entry = |name, config| Entry { name, events: 0, rounds, run: Box::new(move || ready(config)) };
    let contenders = take_turns(
        "start",
        rounds,
        vec![
            entry("`driftgate run`, from built baselines", &of_baselines),
            entry("`driftgate run`, from snapshots", &of_snapshots),
        ],
    );
    let about = format!(
        "{VERSIONS} registered versions of {FEATURES} features with a stage each; from the start of the process until \
         `/ready` says so and all {VERSIONS} baselines are loaded: built ones (`driftgate baseline build`), or from snapshots \
         of {SNAPSHOT_ROWS} rows."
    );
    let mut part = Part::of_contenders("Start", about, &contenders);
    // Nothing is counted here.
    for row in part.tables.iter_mut().flat_map(|t| std::iter::once(&mut t.head).chain(&mut t.rows)) {
        row.drain(3..4);
        row.drain(1..2);
    }
    part.claims = vec![Claim::at_most(
        "start: ready with 10 versions of 100 features, from built baselines",
        contenders[0].seconds(),
        TARGET,
        |s| format!("{s:.2} s"),
    )];
    part
}

/// A folder with a registry of the versions and a configuration that uses it.
fn registered(folder: &Path, brokers: &str, topic: &str, policy: &Path, of: impl Fn(usize) -> PathBuf) -> PathBuf {
    std::fs::create_dir(folder).expect("a folder");
    let config = folder.join("driftgate.yaml");
    // Of its own: where a daemon with another state folder was killed, the next one of its group waits for five seconds.
    let group = folder.file_name().and_then(|name| name.to_str()).expect("a folder with a name");
    let text = format!(
        "policies: [\"{}\"]\n\
         kafka: {{brokers: \"{brokers}\", group: bench-start-{group}}}\n\
         sources:\n- {{topic: {topic}, kind: predictions, format: json}}\n\
         registry: {{embedded: {{path: registry.db}}}}\n\
         state: {{path: state}}\n\
         http: {{listen: \"127.0.0.1:0\"}}\n",
        policy.display()
    );
    std::fs::write(&config, text).expect("a configuration");
    for version in 1..=VERSIONS {
        let mut register = Command::new(BINARY);
        register.args(["register", "wide", &version.to_string(), "--stage", &format!("stage-{version}"), "--snapshot"]);
        process::run(register.arg(of(version)).arg("--config").arg(&config));
    }
    config
}

/// One start, from the process's to readiness.
fn ready(config: &Path) -> Sample {
    let mut daemon = Daemon::start(config);
    let mut answered = false;
    loop {
        daemon.listen();
        answered = answered || daemon.get("/ready").is_some();
        let loaded = daemon.heard("baseline loaded", VERSIONS).is_some();
        if answered && loaded {
            break;
        }
        assert!(daemon.begun.elapsed() < Duration::from_secs(120), "the daemon gets ready: {:?}", daemon.said);
        std::thread::sleep(LOOK);
    }
    let seconds = Instant::now().duration_since(daemon.begun).as_secs_f64();
    let usage = Usage::of(daemon.pid()).expect("the daemon runs");
    Sample { seconds, after_start: None, resident: usage.peak, cpu: usage.cpu }
}

fn write_snapshot(path: &Path) {
    let column = |(f, name): (usize, String)| {
        let values: Vec<f64> = (0..SNAPSHOT_ROWS).map(|row| noise((f * SNAPSHOT_ROWS + row) as u64)).collect();
        Series::new(name.into(), values).into()
    };
    let columns = names(FEATURES).into_iter().enumerate().map(column).collect();
    let mut frame = DataFrame::new(SNAPSHOT_ROWS, columns).expect("a frame");
    let file = std::fs::File::create(path).expect("a snapshot");
    ParquetWriter::new(file).finish(&mut frame).expect("a snapshot");
}
