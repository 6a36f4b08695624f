//! The Python package with the binary of this build: runs the suites of `tests/python`, on one machine, Spark and Ray, and against a daemon.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use polars_io::SerReader as _;
use polars_io::prelude::{ParquetReader, ParquetWriter};

use crate::broker::{Daemon, brokers, topic, wait_for};
use crate::support::{Folder, interpreter};

/// Rows of a group of the flights: their files have one group each in the repository.
const GROUP: usize = 40_000;

/// The interpreter that has Spark and Ray.
fn engines() -> PathBuf {
    interpreter("engines", "Spark and Ray are")
}

/// The flights with several groups of rows in each file.
fn flights() -> Folder {
    let (folder, data) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights"));
    for name in ["policy-core.yaml", "train_v1.parquet", "train_v2.parquet"] {
        std::fs::copy(data.join(name), folder.path(name)).unwrap();
    }
    for name in ["predictions.parquet", "labels.parquet"] {
        let mut frame = ParquetReader::new(File::open(data.join(name)).unwrap()).finish().unwrap();
        let file = File::create(folder.path(name)).unwrap();
        ParquetWriter::new(file).with_row_group_size(Some(GROUP)).finish(&mut frame).unwrap();
    }
    folder
}

/// Runs a suite; it has to run at least one test, skip none and pass.
#[track_caller]
fn passes(python: &Path, suite: &str, flights: Option<&Folder>) {
    let of_flights = flights.map(|folder| ("DRIFTGATE_TEST_FLIGHTS", folder.path("").into_os_string()));
    runs(python, suite, of_flights.as_slice());
}

/// The same with more variables of the environment.
#[track_caller]
fn runs(python: &Path, suite: &str, variables: &[(&str, std::ffi::OsString)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .args(["-m", "unittest", "--verbose", suite])
        .current_dir(root.join("tests/python"))
        .env("PYTHONPATH", root.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("DRIFTGATE_BINARY", env!("CARGO_BIN_EXE_driftgate"))
        .envs(variables.iter().cloned())
        .output()
        .unwrap_or_else(|e| panic!("{} cannot be run: {e}", python.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    let ran = said.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<u32>().ok());
    let passed = output.status.success() && ran.is_some_and(|tests| tests > 0) && said.lines().any(|line| line == "OK");
    assert!(passed, "{suite} of tests/python: {}\n{}\n{said}", output.status, String::from_utf8_lossy(&output.stdout));
}

#[test]
fn replay_gives_the_bytes_of_the_command_and_errors_hold_its_text() {
    passes(Path::new("python3"), "test_replay", None);
}

#[test]
fn the_passes_take_and_give_bytes_and_refuse_what_does_not_fit() {
    passes(Path::new("python3"), "test_passes", None);
}

/// A model that anybody's events can block, and whose owner approves.
const SHOP: &str = "apiVersion: driftgate/v1
model: shop
baseline: {snapshot: train.csv}
features: {numeric: [a]}
min_samples: 20
lateness: 0s
checks:
  drift:
    window: {size: 1h, slide: 1h}
    rules:
    - mean: {of: a, lte: 12}
transitions:
- {from: staging, to: prod, checks: [drift], approvals: {roles: {owner: 1}}}
";

/// The interpreter that has pandas, polars, pyarrow and what runs notebooks.
fn notebooks() -> PathBuf {
    interpreter("notebooks", "pandas, polars, pyarrow and nbclient are")
}

#[test]
fn tables_are_judged_and_published_as_files_are() {
    let variables = [("DRIFTGATE_TEST_BROKERS", brokers().into()), ("DRIFTGATE_TEST_TOPIC", topic("tables", 1).into())];
    runs(&notebooks(), "test_tables", &variables);
}

#[test]
fn the_notebooks_run() {
    runs(&notebooks(), "test_notebooks", &[]);
}

#[test]
fn the_client_asks_and_tells_a_daemon_and_says_what_it_refuses() {
    let folder = Folder::new();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/flights/policy-core.yaml");
    std::fs::copy(policy, folder.path("policy-core.yaml")).unwrap();
    let of = |name: &str, role: &str| format!("{name}-secret-of-these-tests-0123456789 {role} * {name}\n");
    folder
        .write_secret("tokens", of("operator", "operator") + &of("reader", "viewer") + &of("owner", "approver:owner"));
    folder.write("shop.yaml", SHOP);
    folder
        .write("train.csv", (0..100).map(|i| format!("{}\n", 9 + i % 3)).fold("a\n".to_owned(), |all, row| all + &row));
    let (predictions, labels) = (topic("client", 1), topic("client-labels", 1));
    folder.write(
        "driftgate.yaml",
        format!(
            "policies: [policy-core.yaml, shop.yaml]\nkafka: {{brokers: \"{}\"}}\n\
             sources: [{{topic: {predictions}, kind: predictions}}, {{topic: {labels}, kind: labels}}]\n\
             http: {{listen: \"127.0.0.1:0\", tokens_file: tokens}}\nregistry: {{embedded: {{path: r.db}}}}\nstate: {{path: state}}\n\
             history: {{path: history}}\n",
            brokers(),
        ),
    );
    let daemon = Daemon::start(&folder.path("driftgate.yaml"), &[]);
    wait_for("the daemon to be ready", || (daemon.get("/ready").0 == 200).then_some(()));
    let variables = [
        ("DRIFTGATE_TEST_DAEMON", daemon.url.clone().into()),
        ("DRIFTGATE_TEST_BROKERS", brokers().into()),
        ("DRIFTGATE_TEST_TOPIC", predictions.into()),
        ("DRIFTGATE_TEST_FOLDER", folder.path("").into_os_string()),
    ];
    runs(Path::new("python3"), "test_client", &variables);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn on_spark_the_verdicts_are_the_replays_and_tasks_may_fail() {
    passes(&engines(), "test_spark", Some(&flights()));
}

#[test]
fn on_ray_the_verdicts_are_the_replays_and_tasks_may_fail() {
    passes(&engines(), "test_ray", Some(&flights()));
}
