//! Event files through the pipeline, as fast as they can be read: the same verdicts as the daemon's, in a fixed order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::decode::plan::EventKind;
use crate::decode::{Reason, Reject};
use crate::event::{FeatureBatch, LabelBatch, MeasurementBatch, PredictionBatch};
use crate::intake::versions::Reference;
use crate::intake::{Counters, DecoderId, Setup, SourceId};
use crate::judge::verdict::{Signal, Verdict};
use crate::pipeline::Pipeline;
use crate::policy::{Policy, Traffic};
use crate::snapshot;
use crate::source::columns::FileError;
use crate::source::files::{Chunk, FileOptions, FileStream, StreamBatch, StreamError};

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

/// Who is told what while a replay runs.
pub trait Observer {
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

/// A version's reference as the policy says where its snapshot is; `location` overrides the policy's.
#[must_use]
pub fn reference(policy: &Policy, version: &str, location: Option<&str>) -> Reference {
    let location = match location {
        Some(l) => l.to_owned(),
        None => match snapshot::location_for(policy, version) {
            Ok(Some(l)) => l,
            Ok(None) => {
                return Reference::Failed(format!(
                    "version {version:?} has no snapshot: neither the registry nor the policy's baseline.snapshot names one"
                ));
            }
            Err(e) => return Reference::Failed(e.to_string()),
        },
    };
    match snapshot::load(policy, version, &location) {
        Ok(baseline) => match baseline.digest() {
            Ok(sha256) => Reference::Baseline { baseline: Arc::new(baseline), sha256: sha256.into() },
            Err(e) => Reference::Failed(e.to_string()),
        },
        Err(e) => Reference::Failed(e.to_string()),
    }
}

/// One stream of a replay: its chunks and where they go.
struct Feed<B> {
    stream: FileStream<B>,
    source: SourceId,
    decoders: Vec<DecoderId>,
    ended: bool,
}

impl<B: StreamBatch> Feed<B> {
    fn open(file: &InputFile, pipeline: &mut Pipeline) -> Result<Self, StreamError> {
        let stream = FileStream::open(&file.path, pipeline.intake.schema(), &file.options)?;
        let decoders = (0..stream.decoders).map(|_| pipeline.intake.add_decoder()).collect();
        Ok(Self { source: pipeline.intake.add_source(B::KIND), decoders, stream, ended: false })
    }

    fn next(&mut self) -> Result<Option<(Chunk<B>, DecoderId)>, StreamError> {
        match self.stream.next() {
            None => {
                self.ended = true;
                Ok(None)
            }
            Some(chunk) => {
                let chunk = chunk?;
                let decoder = self.decoders.get(chunk.decoder).copied().unwrap_or(DecoderId(0));
                Ok(Some((chunk, decoder)))
            }
        }
    }

    /// How far the stream has come, if it can be read on.
    fn turn(&self, pipeline: &Pipeline) -> Option<i64> {
        (!self.ended).then(|| pipeline.intake.progress(self.source).max_ts.unwrap_or(i64::MIN))
    }
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
    let setup = Setup { has_features: input.features.is_some(), limits: input.predictions.options.limits };
    let mut pipeline = Pipeline::new(Arc::clone(policy), setup);
    let mut outcome = Outcome::default();
    let by_model = policy.groups.iter().any(|g| g.traffic == Traffic::Model);
    if input.features.is_some() || by_model {
        let why = if by_model { "traffic: model" } else { "a features file" };
        for version in versions_in_file(input, &pipeline, why)? {
            load(&mut pipeline, &version, &mut outcome, observer);
            pipeline.intake.pin(&version, true);
        }
    }
    let mut predictions: Feed<PredictionBatch> = Feed::open(&input.predictions, &mut pipeline)?;
    let mut labels: Option<Feed<LabelBatch>> = match (&input.labels, &policy.labels) {
        (Some(file), Some(_)) => Some(Feed::open(file, &mut pipeline)?),
        _ => None,
    };
    let mut features: Option<Feed<FeatureBatch>> = match &input.features {
        Some(file) => Some(Feed::open(file, &mut pipeline)?),
        None => None,
    };
    let mut measurements: Option<Feed<MeasurementBatch>> = match &input.measurements {
        Some(file) if !policy.measured.is_empty() => Some(Feed::open(file, &mut pipeline)?),
        _ => None,
    };
    let mut ordered = Ordered::default();
    // The stream that is furthest behind in event time is read on, so that little waits for the others.
    loop {
        let turns = [
            (predictions.turn(&pipeline), EventKind::Predictions),
            (labels.as_ref().and_then(|f| f.turn(&pipeline)), EventKind::Labels),
            (features.as_ref().and_then(|f| f.turn(&pipeline)), EventKind::Features),
            (measurements.as_ref().and_then(|f| f.turn(&pipeline)), EventKind::Measurements),
        ];
        let Some((_, kind)) =
            turns.into_iter().filter_map(|(turn, kind)| Some((turn?, kind))).min_by_key(|(turn, _)| *turn)
        else {
            break;
        };
        match (kind, &mut labels, &mut features, &mut measurements) {
            (EventKind::Labels, Some(feed), _, _) => {
                if let Some((chunk, _)) = feed.next()? {
                    report_rejects(&feed.stream.path, &chunk, &mut outcome, observer)?;
                    pipeline.intake.labels(feed.source, &chunk.batch);
                }
            }
            (EventKind::Features, _, Some(feed), _) => {
                if let Some((mut chunk, decoder)) = feed.next()? {
                    report_rejects(&feed.stream.path, &chunk, &mut outcome, observer)?;
                    pipeline.intake.translate_features(decoder, &mut chunk.batch);
                    pipeline.intake.features(feed.source, &chunk.batch);
                }
            }
            (EventKind::Measurements, _, _, Some(feed)) => {
                if let Some((mut chunk, decoder)) = feed.next()? {
                    report_rejects(&feed.stream.path, &chunk, &mut outcome, observer)?;
                    pipeline.intake.translate_measurements(decoder, &mut chunk.batch);
                    pipeline.intake.measurements(feed.source, &chunk.batch);
                }
            }
            _ => {
                if let Some((mut chunk, decoder)) = predictions.next()? {
                    report_rejects(&predictions.stream.path, &chunk, &mut outcome, observer)?;
                    pipeline.intake.learn(decoder, &mut chunk.batch);
                    for version in pipeline.intake.unknown_versions(&chunk.batch) {
                        load(&mut pipeline, &version, &mut outcome, observer);
                    }
                    pipeline.intake.translate(decoder, &mut chunk.batch);
                    pipeline.intake.predictions(predictions.source, &chunk.batch);
                }
                observer.progress(
                    &pipeline,
                    predictions.stream.bytes_read.load(Ordering::Relaxed),
                    predictions.stream.bytes,
                )?;
            }
        }
        ordered.take(pipeline.advance());
        ordered.give(pipeline.closed_to(), observer)?;
    }
    let needs_one = policy.measured.is_empty() && !outcome.failed.is_empty();
    if needs_one && pipeline.intake.versions().all(|(_, _, v)| v.baseline().is_none()) {
        return Err(ReplayError::NoBaseline);
    }
    ordered.take(pipeline.finish());
    ordered.give(i64::MAX, observer)?;
    outcome.counters = pipeline.intake.counters;
    outcome.waiting = pipeline.intake.waiting();
    outcome.versions = pipeline.intake.versions().map(|(_, name, v)| (name.to_owned(), v.predictions)).collect();
    Ok(outcome)
}

fn load(pipeline: &mut Pipeline, version: &str, outcome: &mut Outcome, observer: &mut dyn Observer) {
    let found = reference(&pipeline.policy, version, None);
    if let Reference::Failed(why) = &found {
        outcome.failed.insert(version.to_owned(), why.clone());
    }
    observer.reference(version, &found);
    pipeline.intake.set_reference(version, found);
}

fn report_rejects<B>(
    file: &std::path::Path,
    chunk: &Chunk<B>,
    outcome: &mut Outcome,
    observer: &mut dyn Observer,
) -> Result<(), ReplayError> {
    outcome.unknown_model += chunk.unknown_model;
    for (line, reject, payload) in &chunk.rejects {
        *outcome.rejected.entry(reject.reason).or_default() += 1;
        observer.reject(file, *line, reject, payload)?;
    }
    Ok(())
}

/// The distinct versions of the predictions file.
fn versions_in_file(input: &Input, pipeline: &Pipeline, why: &'static str) -> Result<Vec<String>, ReplayError> {
    use crate::event::Domain;
    use crate::source::files::FileKind;
    let InputFile { path, options } = &input.predictions;
    match FileKind::of(path)? {
        _ if path.as_os_str() == "-" => Err(ReplayError::StandardInput { why }),
        FileKind::Columns => {
            Ok(crate::source::columns::events::versions(path, &options.columns, &input.policy.model, options.limits)?
                .into_iter()
                .collect())
        }
        FileKind::JsonLines => {
            let stream: FileStream<PredictionBatch> = FileStream::open(path, pipeline.intake.schema(), options)?;
            let mut found = std::collections::BTreeSet::new();
            for chunk in stream {
                found.extend(
                    chunk?.batch.fresh.into_iter().filter(|(d, _)| *d == Domain::Version).map(|(_, v)| v.into_string()),
                );
            }
            Ok(found.into_iter().collect())
        }
    }
}

/// Verdicts waiting for those that come before them.
#[derive(Default)]
struct Ordered(BTreeMap<(i64, String, String), (Verdict, Vec<Signal>)>);

impl Ordered {
    fn take(&mut self, judged: crate::evaluate::Judgement) {
        for verdict in judged.verdicts {
            let key = (verdict.window.end, verdict.version.clone(), verdict.group.clone());
            let signals = judged.signals.iter().filter(|s| s.verdict_id == verdict.verdict_id).cloned().collect();
            self.0.insert(key, (verdict, signals));
        }
    }

    fn give(&mut self, closed_to: i64, observer: &mut dyn Observer) -> Result<(), ReplayError> {
        while let Some(first) = self.0.first_entry() {
            if first.key().0 > closed_to {
                break;
            }
            let (verdict, signals) = first.remove();
            observer.verdict(&verdict, &signals)?;
        }
        Ok(())
    }
}
