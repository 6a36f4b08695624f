//! One file of a replay as a lane: its pieces are taken in order, decoded by any worker, and their batches admitted in
//! order.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::remarks::Findings;
use super::workers::{Note, Run};
use super::{InputFile, ReplayError};
use crate::source::files::{Chunk, FileStream, PieceDecoder, StreamBatch};
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::event::{FeatureBatch, FieldMap, LabelBatch, MeasurementBatch, PredictionBatch, TimeUnit};
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{DecoderId, Intake, SourceId};
use driftgate_core::pipeline::{Batch, Pipeline, lock};

/// Pieces of columns are large, and take tens of milliseconds each.
const SPARE_OF_COLUMNS: u64 = 2;
/// Pieces of lines take a millisecond each. On a shared machine a worker that has the one that is due is often kept from
/// its core for longer.
const SPARE_OF_LINES: u64 = 12;

/// Decodes a piece that was taken, as number so many.
pub(super) type Decode<'a> = Box<dyn FnOnce(u64) -> Result<(), ReplayError> + 'a>;

/// What a worker does with a lane, whatever its events.
pub(super) trait Lane: Send + Sync {
    /// Takes the next piece out of the file; `None` at its end. The function that comes back decodes it.
    fn take(&self, worker: usize) -> Result<Option<Decode<'_>>, ReplayError>;

    /// Admits the first waiting batch of piece `number`; the function that comes back counts it. Says how far the lane has
    /// come, and whether the piece has no more batches.
    fn admit<'a>(&'a self, run: &'a Run<'_>, worker: usize, number: u64, job: Job)
    -> Result<Admitted<'a>, ReplayError>;

    /// Tells the pipeline that there is no more.
    fn end(&self, pipeline: &Pipeline);

    /// Whether a batch of piece `number` waits.
    fn has(&self, number: u64) -> bool;

    fn bytes_read(&self) -> u64;

    /// What is worth saying of the file, once it was read.
    fn findings(&self) -> Findings;

    /// How many pieces are worth having in memory, beside those in hand.
    fn spare_pieces(&self) -> u64;
}

/// An admitted batch.
pub(super) struct Admitted<'a> {
    pub reached: Option<i64>,
    /// The piece has no more batches.
    pub last: bool,
    /// Counts it, and gives the job back.
    pub count: Box<dyn FnOnce() -> Job + 'a>,
}

/// A batch that files are replayed in.
pub(super) trait Replayed: StreamBatch + Batch + Sync {
    /// Takes over what its codes mean; loads what its versions need.
    fn translate(&mut self, decoder: DecoderId, intake: &mut Intake, run: &Run<'_>);

    /// The first event's id; empty where events have none.
    #[allow(clippy::unnecessary_literal_bound, reason = "those with ids lend them")]
    fn first_id(&self) -> &str {
        ""
    }
}

impl Replayed for PredictionBatch {
    fn translate(&mut self, decoder: DecoderId, intake: &mut Intake, run: &Run<'_>) {
        intake.learn(decoder, self);
        // A baseline is known from the first row of its version on, however many rows a batch has.
        let mut done = 0;
        for (row, version) in intake.unknown_versions(self) {
            intake.translate_rows(decoder, self, done..row);
            run.load(intake, &version);
            done = row;
        }
        let rest = done..self.len();
        intake.translate_rows(decoder, self, rest);
    }

    fn first_id(&self) -> &str {
        self.ids.text(0)
    }
}

impl Replayed for LabelBatch {
    fn translate(&mut self, _: DecoderId, _: &mut Intake, _: &Run<'_>) {}

    fn first_id(&self) -> &str {
        self.ids.text(0)
    }
}

impl Replayed for FeatureBatch {
    fn translate(&mut self, decoder: DecoderId, intake: &mut Intake, _: &Run<'_>) {
        intake.translate_features(decoder, self);
    }
}

impl Replayed for MeasurementBatch {
    fn translate(&mut self, decoder: DecoderId, intake: &mut Intake, _: &Run<'_>) {
        intake.translate_measurements(decoder, self);
    }
}

/// One file.
pub(super) struct FileLane<B: StreamBatch> {
    source: SourceId,
    path: PathBuf,
    stream: Mutex<FileStream<B>>,
    /// One a worker.
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

impl<B: Replayed> FileLane<B> {
    pub fn open(file: &InputFile, pipeline: &Pipeline, workers: usize) -> Result<Self, ReplayError> {
        let mut intake = pipeline.intake();
        let stream = FileStream::open(&file.path, intake.schema(), &file.options)?;
        let decoders = (0..workers).map(|_| (Mutex::new(stream.decoder()), intake.add_decoder())).collect();
        Ok(Self {
            source: intake.add_source(B::KIND, file.options.format.time.future, None),
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

impl<B: Replayed> Lane for FileLane<B> {
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
            run.note(Note::Reject { path: self.path.clone(), line: line + at, reject, payload });
        }
        if chunk.unknown_model > 0 {
            run.note(Note::UnknownModel(chunk.unknown_model));
        }
        let mut intake = run.pipeline.intake();
        chunk.batch.translate(id, &mut intake, run);
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
            kind: B::KIND,
            fields: self.fields.clone(),
            unit: self.unit,
            notes: decoded.notes.clone(),
            first_id: decoded.first_id.clone(),
            seen: seen.unwrap_or_default(),
        }
    }

    fn spare_pieces(&self) -> u64 {
        if lock(&self.stream).is_lines() { SPARE_OF_LINES } else { SPARE_OF_COLUMNS }
    }
}
