//! Event files through the pipeline, as fast as they can be read, by any number of workers: the same verdicts as the
//! daemon's, in a fixed order. `schedule` says who does what next, `file_stream` is one file, `workers` the workers.

mod baseline;
mod error;
mod file_stream;
mod input;
mod ordered;
mod remarks;
mod report;
mod schedule;
mod workers;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::source::files::{FileKind, FileStream};
use driftgate_core::event::{Domain, EventKind, PredictionBatch};
use driftgate_core::intake::Setup;
use driftgate_core::pipeline::kinds::of_kind;
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::policy::{Policy, Traffic};
use driftgate_core::schema::Schema;

pub use baseline::{reference, try_reference};
pub use error::ReplayError;
use file_stream::OpenStream;
pub use input::{Input, InputFile};
pub use ordered::Ordered;
use report::Report;
pub use report::{Observer, ReplayOutcome};
use workers::{Run, Stream};

/// Replays the files; verdicts reach the observer by (end, model, version, group).
///
/// # Errors
/// Files that cannot be read, no baseline at all, or what the observer says.
pub fn run(input: &Input, observer: &mut dyn Observer) -> Result<ReplayOutcome, ReplayError> {
    check(input)?;
    let policy = &input.policy;
    let setup = Setup {
        has_features: input.others.contains_key(&EventKind::Features),
        limits: input.predictions.options.limits,
        confirmed_only: false,
    };
    let workers = input.predictions.options.threads.max(1);
    let pipeline = Pipeline::new(Arc::clone(policy), setup, workers);
    let streams: Vec<Box<dyn Stream>> = input
        .files()
        .filter(|(kind, _)| pipeline.reads(*kind))
        .map(|(kind, file)| of_kind(kind, OpenStream { file, pipeline: &pipeline, workers }))
        .collect::<Result<_, _>>()?;
    let report = Report { outcome: ReplayOutcome::default(), observer };
    let run = Run::new(pipeline, &streams, workers, report);
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
            let (run, streams) = (&run, &streams);
            threads.spawn(move || run.work(worker, streams, || Ok(())));
        }
        run.work(0, &streams, || {
            run.tell()?;
            let read = streams.first().map_or(0, |l| l.bytes_read());
            Ok(lock(&run.report).observer.progress(&run.pipeline, read, total)?)
        });
    });
    let failed = run.finish();
    run.tell()?;
    failed?;
    conclude(policy, &run, &streams)
}

/// Whether the files are there that the policy's rules read, and can be read.
fn check(input: &Input) -> Result<(), ReplayError> {
    let has = |kind| input.others.contains_key(&kind);
    if !has(EventKind::Labels) && input.policy.rules().any(|r| r.kind.reads_labels()) {
        return Err(ReplayError::NoLabels);
    }
    if !has(EventKind::Measurements) && !input.policy.measured.is_empty() {
        return Err(ReplayError::NoMeasurements);
    }
    if input.files().flat_map(|(_, file)| file.paths()).filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(ReplayError::OneStandardInput);
    }
    Ok(())
}

/// What a replay that is over came to.
fn conclude(policy: &Policy, run: &Run<'_>, streams: &[Box<dyn Stream>]) -> Result<ReplayOutcome, ReplayError> {
    let mut outcome = std::mem::take(&mut lock(&run.report).outcome);
    let findings: Vec<_> = streams.iter().map(|stream| stream.findings()).collect();
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

/// The distinct versions of the predictions.
fn versions_in_file(input: &Input, schema: &Arc<Schema>, why: &'static str) -> Result<Vec<String>, ReplayError> {
    let mut all = BTreeSet::new();
    for path in input.predictions.paths() {
        all.extend(versions_in(path, input, schema, why)?);
    }
    Ok(all.into_iter().collect())
}

fn versions_in(
    path: &Path,
    input: &Input,
    schema: &Arc<Schema>,
    why: &'static str,
) -> Result<Vec<String>, ReplayError> {
    let options = &input.predictions.options;
    match FileKind::of(path)? {
        _ if path.as_os_str() == "-" => Err(ReplayError::StandardInput { why }),
        FileKind::Columns => {
            Ok(crate::source::columns::events::versions(path, options, &input.policy.model)?.into_iter().collect())
        }
        FileKind::JsonLines | FileKind::Avro => {
            let mut stream: FileStream<PredictionBatch> = FileStream::open(path, schema, options)?;
            let mut decoder = stream.decoder();
            let mut found = BTreeSet::new();
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
