//! What a run is told by its environment: which parts, how often, where the data and the peers are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The driftgate that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_driftgate");

/// Rounds, unless the environment says otherwise.
const ROUNDS: usize = 5;
/// For each of them, so many runs of what takes a second or two: on a shared machine the ratio of two such runs swings by
/// more than a tenth.
const QUICK_RUNS: usize = 3;
/// Events of the long stream, likewise.
const STREAM: u64 = 100_000_000;

/// One run's settings.
pub struct Settings {
    /// Contenders take turns so many times.
    pub rounds: usize,
    /// The parts asked for; all where none is named.
    only: Vec<String>,
    /// The folder that `make_data.py` filled.
    pub data: PathBuf,
    /// The Python of the peers' virtual environment.
    pub python: PathBuf,
    /// A broker's address.
    pub kafka: Option<String>,
    /// What stops that broker, if it was started for the run.
    kafka_stop: Option<String>,
    /// Where table, picture and raw numbers go.
    pub out: PathBuf,
    /// Events of the long stream.
    pub stream: u64,
    pub scratch: tempfile::TempDir,
}

impl Settings {
    /// Reads the environment; `None` where nothing is set up, as under a plain `cargo bench`.
    pub fn from_environment() -> Option<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let only = text("DRIFTGATE_BENCH_ONLY").unwrap_or_default();
        let out = path("DRIFTGATE_BENCH_OUT")?;
        std::fs::create_dir_all(&out).expect("the folder for the results");
        Some(Self {
            rounds: text("DRIFTGATE_BENCH_ROUNDS").and_then(|r| r.parse().ok()).unwrap_or(ROUNDS).max(1),
            only: only.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
            data: path("DRIFTGATE_BENCH_DATA")?,
            python: path("DRIFTGATE_BENCH_PYTHON")?,
            kafka: text("DRIFTGATE_BENCH_KAFKA"),
            kafka_stop: text("DRIFTGATE_BENCH_KAFKA_STOP"),
            stream: text("DRIFTGATE_BENCH_STREAM").and_then(|n| n.parse().ok()).unwrap_or(STREAM).max(10),
            // Beside the results, so that large files lie on the same disk as the build and not in memory.
            scratch: tempfile::tempdir_in(&out).expect("a scratch folder"),
            out,
        })
    }

    /// How often a quick contender takes its turn.
    pub fn quick_rounds(&self) -> usize {
        self.rounds * QUICK_RUNS
    }

    /// Whether a part is to be run.
    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == part)
    }

    /// Whether every part is to be run.
    pub fn wants_all(&self) -> bool {
        self.only.is_empty()
    }

    /// Stops the broker if it was started for the run, so that it takes nothing from what is measured without it.
    pub fn stop_kafka(&self) {
        let mut words = self.kafka_stop.iter().flat_map(|command| command.split_whitespace());
        if let Some(program) = words.next() {
            let status = Command::new(program).args(words).status().expect("what stops the broker runs");
            assert!(status.success(), "the broker stops");
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// A script beside this program.
    pub fn peer(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
    }

    /// Rows of the data's predictions.
    pub fn rows(&self) -> u64 {
        parquet_rows(&self.file("predictions.parquet"))
    }

    /// Rows of its labels.
    pub fn labels(&self) -> u64 {
        parquet_rows(&self.file("labels.parquet"))
    }
}

fn parquet_rows(path: &Path) -> u64 {
    use polars_io::{SerReader as _, prelude::ParquetReader};
    let file = std::fs::File::open(path).expect("the bench data");
    ParquetReader::new(file).num_rows().expect("a Parquet file") as u64
}
