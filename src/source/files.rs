//! Event files of any format as streams of decoded chunks, read ahead on threads of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::columns::FileError;
use super::columns::events::{FeatureFile, FileFields, LabelFile, MeasurementFile, PredictionFile};
use super::jsonl::JsonLines;
use crate::decode::json::{Format, JsonDecoder, Outcome};
use crate::decode::plan::EventKind;
use crate::decode::{Limits, Reject};
use crate::event::{FeatureBatch, LabelBatch, MeasurementBatch, PredictionBatch};
use crate::schema::Schema;

/// Chunks read ahead of the pipeline.
const AHEAD: usize = 4;

/// Decoded events and what was not decoded.
pub struct Chunk<B> {
    pub batch: B,
    /// Which of the stream's decoders its codes belong to.
    pub decoder: usize,
    /// Line or row, from 1; why; and the line's bytes where there are any.
    pub rejects: Vec<(u64, Reject, Vec<u8>)>,
    /// Events of models without a policy here.
    pub unknown_model: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("{name} cannot be read: {cause}")]
    Read { name: String, cause: String },
    #[error(
        "{name}: files end in .parquet, .csv, .jsonl or .ndjson (or - for JSON lines on standard input); this one does not"
    )]
    Extension { name: String },
    #[error(transparent)]
    Columns(#[from] FileError),
}

/// Batches that files can be read into.
pub trait StreamBatch: Send + Sized + 'static {
    const KIND: EventKind;

    fn empty(schema: &Schema) -> Self;

    fn rows(&self) -> usize;

    /// Makes room, so that decoding does not allocate event by event.
    fn make_room(&mut self, rows: usize);

    /// Decodes one JSON event into the batch.
    ///
    /// # Errors
    /// The rejection; nothing was added.
    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject>;

    /// Opens a Parquet or CSV file of this kind: a function that reads the next batch.
    ///
    /// # Errors
    /// A file that cannot be read, or without a column that is needed.
    fn columns(
        path: &Path,
        schema: &Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<ColumnSource<Self>, FileError>;
}

/// What reads the next batch of a column file: `false` at the end, and how many rows belonged to other models so far.
pub type ColumnSource<B> = Box<dyn FnMut(&mut B, &mut dyn FnMut(u64, Reject)) -> Result<(bool, u64), FileError> + Send>;

impl StreamBatch for PredictionBatch {
    const KIND: EventKind = EventKind::Predictions;

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.numeric.len(), schema.categorical.len(), schema.segmentations.len())
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.prediction(bytes, record_ts, std::slice::from_mut(self))
    }

    fn columns(
        path: &Path,
        schema: &Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<ColumnSource<Self>, FileError> {
        let mut file = PredictionFile::open(path, Arc::clone(schema), fields, limits, record_ts)?;
        Ok(Box::new(move |batch, rejects| Ok((file.next(batch, rejects)?, file.ignored()))))
    }
}

impl StreamBatch for LabelBatch {
    const KIND: EventKind = EventKind::Labels;

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.kpis.len())
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.label(bytes, record_ts, std::slice::from_mut(self))
    }

    fn columns(
        path: &Path,
        schema: &Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<ColumnSource<Self>, FileError> {
        let mut file = LabelFile::open(path, Arc::clone(schema), fields, limits, record_ts)?;
        Ok(Box::new(move |batch, rejects| Ok((file.next(batch, rejects)?, file.ignored()))))
    }
}

impl StreamBatch for FeatureBatch {
    const KIND: EventKind = EventKind::Features;

    fn empty(schema: &Schema) -> Self {
        Self::new(schema.numeric.len(), schema.categorical.len())
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.features(bytes, record_ts, std::slice::from_mut(self))
    }

    fn columns(
        path: &Path,
        schema: &Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<ColumnSource<Self>, FileError> {
        let mut file = FeatureFile::open(path, Arc::clone(schema), fields, limits, record_ts)?;
        Ok(Box::new(move |batch, rejects| Ok((file.next(batch, rejects)?, file.ignored()))))
    }
}

impl StreamBatch for MeasurementBatch {
    const KIND: EventKind = EventKind::Measurements;

    fn empty(_: &Schema) -> Self {
        Self::default()
    }

    fn rows(&self) -> usize {
        self.len()
    }

    fn make_room(&mut self, rows: usize) {
        self.reserve(rows);
    }

    fn decode(&mut self, json: &mut JsonDecoder, bytes: &[u8], record_ts: i64) -> Result<Outcome, Reject> {
        json.measurement(bytes, record_ts, std::slice::from_mut(self))
    }

    fn columns(
        path: &Path,
        schema: &Arc<Schema>,
        fields: &FileFields,
        limits: Limits,
        record_ts: i64,
    ) -> Result<ColumnSource<Self>, FileError> {
        let mut file = MeasurementFile::open(path, Arc::clone(schema), fields, limits, record_ts)?;
        Ok(Box::new(move |batch, rejects| Ok((file.next(batch, rejects)?, file.ignored()))))
    }
}

/// What kind of file a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Columns,
    JsonLines,
}

impl FileKind {
    /// By extension; `-` is JSON lines on standard input.
    ///
    /// # Errors
    /// Any other name.
    pub fn of(path: &Path) -> Result<Self, StreamError> {
        if path == Path::new("-") {
            return Ok(Self::JsonLines);
        }
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("parquet" | "csv") => Ok(Self::Columns),
            Some("jsonl" | "ndjson" | "json") => Ok(Self::JsonLines),
            _ => Err(StreamError::Extension { name: path.display().to_string() }),
        }
    }
}

/// How event files are read.
#[derive(Clone, Debug)]
pub struct FileOptions {
    pub format: Format,
    pub columns: FileFields,
    pub limits: Limits,
    /// The time that "in the future" is measured from, in ms.
    pub record_ts: i64,
    pub threads: usize,
}

/// An event file being read.
pub struct FileStream<B> {
    pub path: PathBuf,
    /// How many decoders its chunks come from.
    pub decoders: usize,
    /// Bytes read and to read, where known.
    pub bytes_read: Arc<AtomicU64>,
    pub bytes: Option<u64>,
    chunks: Box<dyn Iterator<Item = Result<Chunk<B>, StreamError>> + Send>,
}

impl<B> Iterator for FileStream<B> {
    type Item = Result<Chunk<B>, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunks.next()
    }
}

impl<B: StreamBatch> FileStream<B> {
    /// Opens a file and starts reading it.
    ///
    /// # Errors
    /// A file that cannot be opened, of an unknown kind, or without a column that is needed.
    pub fn open(path: &Path, schema: &Arc<Schema>, options: &FileOptions) -> Result<Self, StreamError> {
        let unreadable = |e: io::Error| StreamError::Read { name: path.display().to_string(), cause: e.to_string() };
        let bytes_read = Arc::new(AtomicU64::new(0));
        let (chunks, decoders, bytes): (Box<dyn Iterator<Item = _> + Send>, _, _) = match FileKind::of(path)? {
            FileKind::JsonLines => {
                let (input, bytes): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
                    (Box::new(io::stdin()), None)
                } else {
                    let file = File::open(path).map_err(unreadable)?;
                    let bytes = file.metadata().ok().map(|m| m.len());
                    (Box::new(file), bytes)
                };
                let name = path.display().to_string();
                let read = Arc::clone(&bytes_read);
                let lines = JsonLines::start(input, &name, schema, options, read);
                (Box::new(lines), options.threads.max(1), bytes)
            }
            FileKind::Columns => {
                let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
                let source = B::columns(path, schema, &options.columns, options.limits, options.record_ts)?;
                (Box::new(read_columns(source, Arc::clone(schema), Arc::clone(&bytes_read), bytes)), 1, Some(bytes))
            }
        };
        Ok(Self { path: path.to_owned(), decoders, bytes_read, bytes, chunks })
    }
}

/// Reads a column file ahead on its own thread.
fn read_columns<B: StreamBatch>(
    mut source: ColumnSource<B>,
    schema: Arc<Schema>,
    bytes_read: Arc<AtomicU64>,
    bytes: u64,
) -> ChunkReceiver<B> {
    let (send, receive) = sync_channel(AHEAD);
    thread::spawn(move || {
        let mut other_models = 0;
        loop {
            let mut chunk = Chunk { batch: B::empty(&schema), decoder: 0, rejects: Vec::new(), unknown_model: 0 };
            let rejects = &mut chunk.rejects;
            let read = source(&mut chunk.batch, &mut |row, reject| rejects.push((row, reject, Vec::new())));
            let more = match read {
                Ok((more, ignored)) => {
                    chunk.unknown_model = ignored - other_models;
                    other_models = ignored;
                    more
                }
                Err(e) => {
                    let _ = send.send(Err(e.into()));
                    return;
                }
            };
            let holds = chunk.batch.rows() > 0 || !chunk.rejects.is_empty() || chunk.unknown_model > 0;
            if (holds && send.send(Ok(chunk)).is_err()) || !more {
                bytes_read.store(bytes, Ordering::Relaxed);
                return;
            }
        }
    });
    ChunkReceiver(receive)
}

struct ChunkReceiver<B>(Receiver<Result<Chunk<B>, StreamError>>);

impl<B> Iterator for ChunkReceiver<B> {
    type Item = Result<Chunk<B>, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.recv().ok()
    }
}
