//! Event files through the pipeline, as fast as they can be read, by any number of workers: the same verdicts as the
//! daemon's, in a fixed order. `board` says who does what next, `lane` is one file, `work` the workers.

mod file_stream;
mod remarks;
mod schedule;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::snapshot::{self, Reach, SnapshotErrors};
use crate::source::columns::FileError;
use crate::source::files::{FileKind, FileOptions, FileStream, StreamError};
use crate::stores::Stores;
use driftgate_core::decode::{Reason, Reject};
use driftgate_core::event::{Domain, FeatureBatch, LabelBatch, MeasurementBatch, PredictionBatch};
use driftgate_core::intake::versions::Reference;
use driftgate_core::intake::{Counters, Setup};
use driftgate_core::judge::verdict::{Signal, Verdict};
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::policy::{Policy, Traffic};
use driftgate_core::schema::Schema;

use file_stream::{FileLane, Lane};
use workers::{Note, Run};

/// What to replay.
#[derive(Clone, Debug)]
pub struct Input {
    pub policy: Arc<Policy>,
    pub predictions: InputFile,
    pub features: Option<InputFile>,
    pub labels: Option<InputFile>,
    pub measurements: Option<InputFile>,
}

/// A file and how it is read.
#[derive(Clone, Debug)]
pub struct InputFile {
    pub path: PathBuf,
    pub options: FileOptions,
}

impl InputFile {
    /// How many bytes there are to read, where that is known.
    fn bytes(&self) -> Option<u64> {
        if self.path.as_os_str() == "-" { None } else { std::fs::metadata(&self.path).ok().map(|m| m.len()) }
    }
}

/// Who is told what while a replay runs.
pub trait Observer: Send {
    /// A verdict with the signals that follow from it, in the order of verdicts.
    ///
    /// # Errors
    /// What ends the replay.
    fn verdict(&mut self, verdict: &Verdict, signals: &[Signal]) -> anyhow::Result<()>;

    /// An event was rejected: file, line or row, why, and its bytes where there are any.
    ///
    /// # Errors
    /// What ends the replay.
    fn reject(&mut self, file: &std::path::Path, line: u64, reject: &Reject, payload: &[u8]) -> anyhow::Result<()>;

    /// A version's baseline was loaded, or could not be.
    fn reference(&mut self, version: &str, reference: &Reference);

    /// Events counted so far, and how many bytes of the predictions were read of how many.
    ///
    /// # Errors
    /// What ends the replay.
    fn progress(&mut self, pipeline: &Pipeline, read: u64, total: Option<u64>) -> anyhow::Result<()>;
}

/// What a replay came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub counters: Counters,
    /// Predictions by version.
    pub versions: BTreeMap<String, u64>,
    pub rejected: BTreeMap<Reason, u64>,
    pub unknown_model: u64,
    /// Versions without a baseline, and why.
    pub failed: BTreeMap<String, String>,
    pub waiting: (usize, usize),
    /// What is worth saying of the files, a sentence each.
    pub remarks: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("no version of the predictions has a baseline, so nothing can be judged")]
    NoBaseline,
    #[error("only one file can be standard input")]
    OneStandardInput,
    #[error(
        "{why} needs the versions before the first event is counted, so the predictions are read twice: give a file, not standard input"
    )]
    StandardInput { why: &'static str },
    #[error("the policy's label rules need --labels, or a stream of labels")]
    NoLabels,
    #[error("the policy's measured rules need --measurements")]
    NoMeasurements,
    #[error(transparent)]
    Observer(#[from] anyhow::Error),
}

impl From<FileError> for ReplayError {
    fn from(e: FileError) -> Self {
        Self::Stream(e.into())
    }
}

/// A version's reference as the policy says where its snapshot is; `location` overrides the policy's. It is read on so
/// many threads.
#[must_use]
pub fn reference(policy: &Policy, version: &str, location: Option<&str>, threads: usize) -> Reference {
    let found = try_reference(policy, version, location, threads, &Stores::default(), Reach::Anything);
    found.unwrap_or_else(|errors| Reference::Failed(errors.to_string()))
}

/// The same with the errors of its snapshot as they are.
///
/// # Errors
/// What cannot be fetched, read, or does not fit the policy.
pub fn try_reference(
    policy: &Policy,
    version: &str,
    location: Option<&str>,
    threads: usize,
    stores: &Stores,
    reach: Reach<'_>,
) -> Result<Reference, SnapshotErrors> {
    let named = match location {
        Some(l) => Some(l.to_owned()),
        None => snapshot::location_for(policy, version)?,
    };
    let Some(location) = named else {
        return Ok(Reference::Failed(format!(
            "version {version:?} has no snapshot: neither the registry nor the policy's baseline.snapshot names one"
        )));
    };
    let baseline = snapshot::load_on(policy, version, &location, threads, stores, reach)?;
    Ok(match baseline.digest() {
        Ok(sha256) => Reference::Baseline { baseline: Arc::new(baseline), sha256: sha256.into() },
        Err(e) => Reference::Failed(e.to_string()),
    })
}

/// Replays the files; verdicts reach the observer by (end, model, version, group).
///
/// # Errors
/// Files that cannot be read, no baseline at all, or what the observer says.
pub fn run(input: &Input, observer: &mut dyn Observer) -> Result<Outcome, ReplayError> {
    let policy = &input.policy;
    if input.labels.is_none() && policy.rules().any(|r| r.kind.reads_labels()) {
        return Err(ReplayError::NoLabels);
    }
    if input.measurements.is_none() && !policy.measured.is_empty() {
        return Err(ReplayError::NoMeasurements);
    }
    let files = [Some(&input.predictions), input.labels.as_ref(), input.features.as_ref(), input.measurements.as_ref()];
    if files.into_iter().flatten().filter(|f| f.path.as_os_str() == "-").count() > 1 {
        return Err(ReplayError::OneStandardInput);
    }
    let setup = Setup {
        has_features: input.features.is_some(),
        limits: input.predictions.options.limits,
        confirmed_only: false,
    };
    let workers = input.predictions.options.threads.max(1);
    let pipeline = Pipeline::new(Arc::clone(policy), setup, workers);
    let mut lanes: Vec<Box<dyn Lane>> =
        vec![Box::new(FileLane::<PredictionBatch>::open(&input.predictions, &pipeline, workers)?)];
    if let (Some(file), Some(_)) = (&input.labels, &policy.labels) {
        lanes.push(Box::new(FileLane::<LabelBatch>::open(file, &pipeline, workers)?));
    }
    if let Some(file) = &input.features {
        lanes.push(Box::new(FileLane::<FeatureBatch>::open(file, &pipeline, workers)?));
    }
    if let Some(file) = input.measurements.as_ref().filter(|_| !policy.measured.is_empty()) {
        lanes.push(Box::new(FileLane::<MeasurementBatch>::open(file, &pipeline, workers)?));
    }
    let told = Told { outcome: Outcome::default(), observer };
    let run = Run::new(pipeline, &lanes, workers, told);
    let by_model = policy.groups.iter().any(|g| g.traffic == Traffic::Model);
    if by_model {
        let why = "traffic: model";
        let schema = Arc::clone(run.pipeline.intake().schema());
        for version in versions_in_file(input, &schema, why)? {
            let mut intake = run.pipeline.intake();
            run.load(&mut intake, &version);
            intake.expect(&version);
        }
    }
    let total = input.predictions.bytes();
    std::thread::scope(|threads| {
        for worker in 1..workers {
            let (run, lanes) = (&run, &lanes);
            threads.spawn(move || run.work(worker, lanes, || Ok(())));
        }
        run.work(0, &lanes, || {
            run.tell()?;
            let read = lanes.first().map_or(0, |l| l.bytes_read());
            Ok(lock(&run.told).observer.progress(&run.pipeline, read, total)?)
        });
    });
    let failed = run.finish();
    run.tell()?;
    failed?;
    let mut outcome = std::mem::take(&mut lock(&run.told).outcome);
    let findings: Vec<_> = lanes.iter().map(|lane| lane.findings()).collect();
    let intake = run.pipeline.intake();
    outcome.remarks = remarks::remarks(policy, intake.schema(), &findings);
    let needs_one = policy.measured.is_empty() && !outcome.failed.is_empty();
    if needs_one && intake.versions().all(|(_, _, v)| v.baseline().is_none()) {
        return Err(ReplayError::NoBaseline);
    }
    outcome.waiting = intake.waiting();
    outcome.versions = intake.versions().map(|(_, name, v)| (name.to_owned(), v.predictions)).collect();
    drop(intake);
    outcome.counters = run.pipeline.counters();
    outcome.remarks.extend(remarks::unjoined(&findings, &outcome.counters));
    Ok(outcome)
}

/// Hands notes on to the observer, and keeps count.
struct Told<'o> {
    outcome: Outcome,
    observer: &'o mut dyn Observer,
}

impl Told<'_> {
    fn take(&mut self, note: Note) -> Result<(), ReplayError> {
        match note {
            Note::Verdict(verdict, signals) => self.observer.verdict(&verdict, &signals)?,
            Note::Reject { path, line, reject, payload } => {
                *self.outcome.rejected.entry(reject.reason).or_default() += 1;
                self.observer.reject(&path, line, &reject, &payload)?;
            }
            Note::UnknownModel(events) => self.outcome.unknown_model += events,
            Note::Reference(version, found) => {
                if let Reference::Failed(why) = &found {
                    self.outcome.failed.insert(version.clone(), why.clone());
                }
                self.observer.reference(&version, &found);
            }
        }
        Ok(())
    }
}

/// The distinct versions of the predictions file.
fn versions_in_file(input: &Input, schema: &Arc<Schema>, why: &'static str) -> Result<Vec<String>, ReplayError> {
    let InputFile { path, options } = &input.predictions;
    match FileKind::of(path)? {
        _ if path.as_os_str() == "-" => Err(ReplayError::StandardInput { why }),
        FileKind::Columns => {
            Ok(crate::source::columns::events::versions(path, &options.columns, &input.policy.model, options.limits)?
                .into_iter()
                .collect())
        }
        FileKind::JsonLines => {
            let mut stream: FileStream<PredictionBatch> = FileStream::open(path, schema, options)?;
            let mut decoder = stream.decoder();
            let mut found = std::collections::BTreeSet::new();
            while let Some(piece) = stream.next_piece()? {
                let (chunk, block) = decoder.decode(piece, stream.empty())?;
                block.into_iter().for_each(|b| stream.give_back(b));
                let versions = chunk.batch.fresh.into_iter().filter(|(d, _)| *d == Domain::Version);
                found.extend(versions.map(|(_, v)| v.into_string()));
            }
            Ok(found.into_iter().collect())
        }
    }
}
