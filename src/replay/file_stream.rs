//! The files of one kind of a replay as a stream: their pieces are taken in order, one file behind the other, decoded by any worker, and
//! their batches admitted in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::error::ReplayError;
use super::input::InputFile;
use super::remarks::Findings;
use super::report::Event;
use super::workers::{Admitted, Decode, Run, Stream};
use crate::source::files::{FileKind, FileStream, Piece, PieceDecoder, StreamError};
use crate::source::options::Chunk;
use driftgate_core::decode::notes::Notes;
use driftgate_core::decode::seen::Seen;
use driftgate_core::intake::job::Job;
use driftgate_core::intake::{DecoderId, Intake, SourceId};
use driftgate_core::pipeline::batch::{Batch, PerKind};
use driftgate_core::pipeline::{Pipeline, lock};
use driftgate_core::schema::Schema;

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

/// Opens files as a stream.
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

/// The files.
struct FileReplay<B: Batch> {
    source: SourceId,
    file: InputFile,
    open: Mutex<OpenFile<B>>,
    /// One per worker.
    decoders: Vec<Mutex<WorkerDecoder<B>>>,
    /// By file and worker; files of lines share theirs.
    ids: Vec<Vec<DecoderId>>,
    decoded: Mutex<Decoded<B>>,
    /// Bytes that pieces were taken of; told without waiting for who takes one.
    bytes_read: AtomicU64,
}

/// The file that pieces are taken of.
struct OpenFile<B: Batch> {
    /// Its number.
    at: usize,
    stream: FileStream<B>,
    schema: Arc<Schema>,
    /// Bytes of those before it.
    before: u64,
}

/// A worker's decoder, of one file or of several of lines.
struct WorkerDecoder<B: Batch> {
    at: usize,
    decoder: PieceDecoder<B>,
    /// What decoders before it have seen.
    seen: Seen,
}

/// A batch of a file.
struct OfFile<B> {
    at: usize,
    id: DecoderId,
    chunk: Chunk<B>,
}

/// Batches that wait, by piece, and memory for more.
struct Decoded<B> {
    pieces: BTreeMap<u64, VecDeque<OfFile<B>>>,
    spare: Vec<B>,
    /// The number of the file that was admitted last.
    at: usize,
    /// The number of the next line to be admitted.
    line: u64,
    /// Of what was admitted.
    notes: Notes,
    first_id: String,
}

impl<B: Batch> OpenFile<B> {
    /// The next piece, of this file or one behind it.
    fn next_piece(&mut self, file: &InputFile) -> Result<Option<Piece>, StreamError> {
        loop {
            if let Some(piece) = self.stream.next_piece()? {
                return Ok(Some(piece));
            }
            let Some(path) = file.paths().nth(self.at + 1) else { return Ok(None) };
            let mut next = FileStream::open(path, &self.schema, &file.options)?;
            next.follow(&mut self.stream);
            self.before += self.stream.bytes_read();
            (self.at, self.stream) = (self.at + 1, next);
        }
    }
}

/// Whether a file of this kind is read as lines: requests and responses are, whatever their file.
fn is_lines(file: &InputFile, kind: FileKind) -> bool {
    kind == FileKind::JsonLines || file.options.kserve.is_some()
}

impl<B: Batch> FileReplay<B> {
    fn open(file: &InputFile, pipeline: &Pipeline, workers: usize) -> Result<Self, ReplayError> {
        let mut intake = pipeline.intake();
        let schema = Arc::clone(intake.schema());
        let stream = FileStream::open(&file.path, &schema, &file.options)?;
        let decoder = |_| Mutex::new(WorkerDecoder { at: 0, decoder: stream.decoder(), seen: Seen::default() });
        let decoders = (0..workers).map(decoder).collect();
        let mut of_lines: Option<Vec<DecoderId>> = None;
        let mut ids = Vec::new();
        for path in file.paths() {
            let is_lines = is_lines(file, FileKind::of(path)?);
            let known = of_lines.clone().filter(|_| is_lines);
            let of_file: Vec<DecoderId> = known.unwrap_or_else(|| (0..workers).map(|_| intake.add_decoder()).collect());
            if is_lines {
                of_lines.get_or_insert_with(|| of_file.clone());
            }
            ids.push(of_file);
        }
        Ok(Self {
            source: intake.add_source(B::kind(), file.options.format.time.future, None),
            file: file.clone(),
            decoders,
            ids,
            decoded: Mutex::new(Decoded {
                pieces: BTreeMap::new(),
                spare: Vec::new(),
                at: 0,
                line: stream.first_line(),
                notes: Notes::default(),
                first_id: String::new(),
            }),
            open: Mutex::new(OpenFile { at: 0, stream, schema, before: 0 }),
            bytes_read: AtomicU64::new(0),
        })
    }

    /// The number of a file's first line; rows of columns have theirs already.
    fn first_line(&self, at: usize) -> u64 {
        let path = self.file.paths().nth(at);
        u64::from(path.and_then(|path| FileKind::of(path).ok()).is_some_and(|kind| is_lines(&self.file, kind)))
    }
}

impl<B: Batch> Stream for FileReplay<B> {
    fn take(&self, worker: usize) -> Result<Option<Decode<'_>>, ReplayError> {
        let mut open = lock(&self.open);
        let piece = open.next_piece(&self.file)?;
        self.bytes_read.store(open.before + open.stream.bytes_read(), Ordering::Relaxed);
        let Some(piece) = piece else { return Ok(None) };
        let spare = lock(&self.decoded).spare.pop().unwrap_or_else(|| open.stream.empty());
        let at = open.at;
        let id = self.ids.get(at).and_then(|of_file| of_file.get(worker)).copied();
        let (Some(id), Some(decoder)) = (id, self.decoders.get(worker)) else { return Ok(None) };
        let mut own = lock(decoder);
        if own.at != at {
            // Codes of lines go on from file to file, in one decoder.
            if !(open.stream.is_lines() && matches!(own.decoder, PieceDecoder::Lines(_))) {
                let before = std::mem::replace(&mut own.decoder, open.stream.decoder());
                own.seen.merge(&before.seen());
            }
            own.at = at;
        }
        drop((own, open));
        Ok(Some(Box::new(move |number| {
            let (chunk, block) = lock(decoder).decoder.decode(piece, spare)?;
            if let Some(block) = block {
                lock(&self.open).stream.give_back(block);
            }
            lock(&self.decoded).pieces.entry(number).or_default().push_back(OfFile { at, id, chunk });
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
        let Some((OfFile { at, id, mut chunk }, last)) = first else {
            return Ok(Admitted { reached: None, last: true, count: Box::new(|| job) });
        };
        if last {
            decoded.pieces.remove(&number);
        }
        if decoded.at != at {
            (decoded.at, decoded.line) = (at, self.first_line(at));
        }
        let line = decoded.line;
        decoded.line += chunk.lines;
        decoded.notes.merge(&chunk.notes);
        if decoded.first_id.is_empty() {
            decoded.first_id.push_str(chunk.batch.first_id());
        }
        drop(decoded);
        for (of_batch, reject, payload) in chunk.rejects.drain(..) {
            let path = self.file.paths().nth(at).unwrap_or(&self.file.path).to_owned();
            run.note(Event::Reject { path, line: line + of_batch, reject, payload });
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
        for decoder in &self.decoders {
            let own = lock(decoder);
            let mut of_one = own.decoder.seen();
            of_one.merge(&own.seen);
            seen.get_or_insert_with(|| of_one.clone()).merge(&of_one);
        }
        let decoded = lock(&self.decoded);
        Findings {
            path: self.file.name(),
            kind: B::kind(),
            fields: self.file.options.format.fields.clone(),
            unit: self.file.options.format.time.unit,
            notes: decoded.notes.clone(),
            first_id: decoded.first_id.clone(),
            halves: lock(&self.open).stream.halves(),
            seen: seen.unwrap_or_default(),
        }
    }

    fn spare_pieces(&self) -> u64 {
        if lock(&self.open).stream.is_lines() { SPARE_OF_LINES } else { SPARE_OF_COLUMNS }
    }
}
