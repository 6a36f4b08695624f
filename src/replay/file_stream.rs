//! One file of a replay as a stream: its pieces are taken in order, decoded by any worker, and their batches admitted in
//! order.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ReplayError;
use super::input::InputFile;
use super::remarks::Findings;
use super::report::Event;
use super::workers::{Admitted, Decode, Run, Stream};
use crate::source::files::{FileStream, PieceDecoder};
use crate::source::options::Chunk;
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::{FieldMap, TimeUnit};
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{DecoderId, Intake, SourceId};
use driftgate_core::pipeline::batch::{Batch, PerKind};
use driftgate_core::pipeline::{Pipeline, lock};

/// Pieces of columns are large, and take tens of milliseconds each.
const SPARE_OF_COLUMNS: u64 = 2;
/// Pieces of lines take a millisecond each. On a shared machine a worker that has the one that is due is often kept from
/// its core for longer.
const SPARE_OF_LINES: u64 = 12;

/// Takes over what a batch's codes mean, and loads what its versions need.
fn translate<B: Batch>(batch: &mut B, decoder: DecoderId, intake: &mut Intake, run: &Run<'_>) {
    batch.learn(intake, decoder);
    // A baseline is known from the first row of its version on, however many rows a batch has.
    let mut done = 0;
    for (row, version) in batch.unknown_versions(intake) {
        batch.translate(intake, decoder, done..row);
        run.load(intake, &version);
        done = row;
    }
    let rest = done..batch.rows();
    batch.translate(intake, decoder, rest);
}

/// Opens a file as a stream.
pub(super) struct OpenStream<'a> {
    pub file: &'a InputFile,
    pub pipeline: &'a Pipeline,
    pub workers: usize,
}

impl PerKind for OpenStream<'_> {
    type Output = Result<Box<dyn Stream>, ReplayError>;

    fn of<B: Batch + 'static>(self) -> Self::Output {
        Ok(Box::new(FileReplay::<B>::open(self.file, self.pipeline, self.workers)?))
    }
}

/// One file.
struct FileReplay<B: Batch> {
    source: SourceId,
    path: PathBuf,
    stream: Mutex<FileStream<B>>,
    /// One per worker.
    decoders: Vec<(Mutex<PieceDecoder<B>>, DecoderId)>,
    decoded: Mutex<Decoded<B>>,
    /// Where its fields stand, and in which unit its times are.
    fields: FieldMap,
    unit: TimeUnit,
    /// Bytes that pieces were taken of; told without waiting for who takes one.
    bytes_read: AtomicU64,
}

/// Batches that wait, by piece, and memory for more.
struct Decoded<B> {
    pieces: BTreeMap<u64, VecDeque<(DecoderId, Chunk<B>)>>,
    spare: Vec<B>,
    /// The number of the next line to be admitted.
    line: u64,
    /// Of what was admitted.
    notes: Notes,
    first_id: String,
}

impl<B: Batch> FileReplay<B> {
    fn open(file: &InputFile, pipeline: &Pipeline, workers: usize) -> Result<Self, ReplayError> {
        let mut intake = pipeline.intake();
        let stream = FileStream::open(&file.path, intake.schema(), &file.options)?;
        let decoders = (0..workers).map(|_| (Mutex::new(stream.decoder()), intake.add_decoder())).collect();
        Ok(Self {
            source: intake.add_source(B::kind(), file.options.format.time.future, None),
            path: file.path.clone(),
            decoders,
            decoded: Mutex::new(Decoded {
                pieces: BTreeMap::new(),
                spare: Vec::new(),
                line: stream.first_line(),
                notes: Notes::default(),
                first_id: String::new(),
            }),
            stream: Mutex::new(stream),
            fields: file.options.format.fields.clone(),
            unit: file.options.format.time.unit,
            bytes_read: AtomicU64::new(0),
        })
    }
}

impl<B: Batch> Stream for FileReplay<B> {
    fn take(&self, worker: usize) -> Result<Option<Decode<'_>>, ReplayError> {
        let mut stream = lock(&self.stream);
        let piece = stream.next_piece()?;
        self.bytes_read.store(stream.bytes_read(), Ordering::Relaxed);
        let Some(piece) = piece else { return Ok(None) };
        let spare = lock(&self.decoded).spare.pop().unwrap_or_else(|| stream.empty());
        drop(stream);
        Ok(Some(Box::new(move |number| {
            let Some((decoder, id)) = self.decoders.get(worker) else { return Ok(()) };
            let (chunk, block) = lock(decoder).decode(piece, spare)?;
            if let Some(block) = block {
                lock(&self.stream).give_back(block);
            }
            lock(&self.decoded).pieces.entry(number).or_default().push_back((*id, chunk));
            Ok(())
        })))
    }

    fn admit<'a>(
        &'a self,
        run: &'a Run<'_>,
        worker: usize,
        number: u64,
        mut job: Job,
    ) -> Result<Admitted<'a>, ReplayError> {
        let mut decoded = lock(&self.decoded);
        let first = decoded.pieces.get_mut(&number).and_then(|chunks| Some((chunks.pop_front()?, chunks.is_empty())));
        let Some(((id, mut chunk), last)) = first else {
            return Ok(Admitted { reached: None, last: true, count: Box::new(|| job) });
        };
        if last {
            decoded.pieces.remove(&number);
        }
        let line = decoded.line;
        decoded.line += chunk.lines;
        decoded.notes.merge(&chunk.notes);
        if decoded.first_id.is_empty() {
            decoded.first_id.push_str(chunk.batch.first_id());
        }
        drop(decoded);
        for (at, reject, payload) in chunk.rejects.drain(..) {
            run.note(Event::Reject { path: self.path.clone(), line: line + at, reject, payload });
        }
        if chunk.unknown_model > 0 {
            run.note(Event::UnknownModel(chunk.unknown_model));
        }
        let mut intake = run.pipeline.intake();
        translate(&mut chunk.batch, id, &mut intake, run);
        run.pipeline.admit(&mut intake, self.source, &chunk.batch, &mut job);
        let reached = intake.progress(self.source).max_ts;
        drop(intake);
        let count = move || {
            run.pipeline.count(worker, &chunk.batch, &job);
            chunk.batch.reset();
            lock(&self.decoded).spare.push(chunk.batch);
            job
        };
        Ok(Admitted { reached, last, count: Box::new(count) })
    }

    fn end(&self, pipeline: &Pipeline) {
        pipeline.intake().end(self.source);
    }

    fn has(&self, number: u64) -> bool {
        lock(&self.decoded).pieces.contains_key(&number)
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn findings(&self) -> Findings {
        let mut seen: Option<Seen> = None;
        for (decoder, _) in &self.decoders {
            let of_one = lock(decoder).seen();
            seen.get_or_insert_with(|| of_one.clone()).merge(&of_one);
        }
        let decoded = lock(&self.decoded);
        Findings {
            path: self.path.clone(),
            kind: B::kind(),
            fields: self.fields.clone(),
            unit: self.unit,
            notes: decoded.notes.clone(),
            first_id: decoded.first_id.clone(),
            halves: lock(&self.stream).halves(),
            seen: seen.unwrap_or_default(),
        }
    }

    fn spare_pieces(&self) -> u64 {
        if lock(&self.stream).is_lines() { SPARE_OF_LINES } else { SPARE_OF_COLUMNS }
    }
}
